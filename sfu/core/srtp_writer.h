/* Outgoing SRTP over OpenSSL EVP, keyed once, in place (RFC 3711, RFC 7714). One writer a
 * transport, one srtp_stream an SSRC. No MKI, no encrypted header extensions. Checked byte for byte
 * against libsrtp2 in tests. Not for use by several threads. */
#ifndef SOTTO_SFU_CORE_SRTP_WRITER_H
#define SOTTO_SFU_CORE_SRTP_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers of the DTLS-SRTP protection profiles (RFC 5764 section 4.1.2, RFC 7714 section 14.2). */
enum srtp_profile {
    SRTP_AES128_CM_SHA1_80 = 0x0001,
    SRTP_AEAD_AES_128_GCM = 0x0007,
    SRTP_AEAD_AES_256_GCM = 0x0008,
};

#define SRTP_MAX_TAG 16

size_t srtp_profile_key_len(enum srtp_profile p);  /* master key: 16, 16, 32; 0 when unknown */
size_t srtp_profile_salt_len(enum srtp_profile p); /* master salt: 14, 12, 12 */
size_t srtp_profile_tag_len(enum srtp_profile p);  /* 10, 16, 16 */

struct srtp_writer;

/* Rollover state of one SSRC; zero-initialise (RFC 3711 section 3.3.1: ROC starts at 0). */
struct srtp_stream {
    bool started;
    uint16_t seq; /* highest sent */
    uint32_t roc;
};

/* Derives the session keys (RFC 3711 section 4.3, key derivation rate 0). ERR_UNSUPPORTED
 * (profile), ERR_NOMEM. The keys are wiped when freed. */
int srtp_writer_new(struct srtp_writer **out, enum srtp_profile profile, const uint8_t *master_key,
                    const uint8_t *master_salt);
void srtp_writer_free(struct srtp_writer *w);
size_t srtp_writer_tag_len(const struct srtp_writer *w); /* bytes that each packet grows by */

/* The writer will be used soon: fetches what it can of it into the cache. First far (the writer
 * itself must not be touched yet), then near (what it points to). */
void srtp_writer_prefetch_far(const struct srtp_writer *w);
void srtp_writer_prefetch_near(const struct srtp_writer *w);

/* Encrypts and authenticates a whole RTP packet in place and appends the tag. header_len is the
 * header's length with CSRCs and extension (rtp_header.payload_off, or rtp_out_write's result; an
 * RTX packet's OSN is payload: don't count it). Returns the new length, or ERR_TOO_LARGE (cap),
 * ERR_INVALID (header_len), ERR_LIMIT (2^48 packets), ERR_IO (OpenSSL). */
int srtp_writer_protect(struct srtp_writer *w, struct srtp_stream *s, uint8_t *packet, size_t len,
                        size_t header_len, size_t cap);

#endif
