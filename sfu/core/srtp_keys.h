/* Session keys of SRTP and SRTCP out of a master key and salt (RFC 3711 section 4.3, key derivation
 * rate 0). */
#ifndef SOTTO_SFU_CORE_SRTP_KEYS_H
#define SOTTO_SFU_CORE_SRTP_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define SRTP_SALT_LEN 14 /* of AES-CM; that of AEAD is 12, and zeros behind it */

/* Labels (RFC 3711 section 4.3.2). */
enum srtp_label {
    SRTP_LABEL_ENCRYPTION = 0,
    SRTP_LABEL_AUTHENTICATION = 1,
    SRTP_LABEL_SALT = 2,
    SRTCP_LABEL_ENCRYPTION = 3,
    SRTCP_LABEL_AUTHENTICATION = 4,
    SRTCP_LABEL_SALT = 5,
};

/* out_len bytes of the key with this label; key_len is 16 or 32, salt is padded with zeros.
 * ERR_NOMEM, ERR_IO (OpenSSL). */
int srtp_derive(uint8_t *out, size_t out_len, enum srtp_label label, const uint8_t *key,
                size_t key_len, const uint8_t salt[SRTP_SALT_LEN]);

#endif
