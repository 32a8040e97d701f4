/* What the files of dtls share: the context (dtls_context.c) and its associations (dtls.c). */
#ifndef SOTTO_SFU_DTLS_PRIVATE_H
#define SOTTO_SFU_DTLS_PRIVATE_H

#include <stdbool.h>

#include <openssl/bio.h>

#include "sfu/shell/dtls.h"

struct dtls_context {
    SSL_CTX *ssl;
    BIO_METHOD *method;
    bool hurry;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
};

/* ---- dtls.c ---- */

/* One read is one datagram, one write is one datagram; its data is the `struct dtls`. NULL: no
 * memory. */
BIO_METHOD *dtls_bio_method(void);

/* ---- dtls_context.c ---- */

/* For DTLS_set_timer_cb, where `hurry`. */
unsigned dtls_hurried(SSL *ssl, unsigned before_us);

#endif
