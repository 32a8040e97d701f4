#include "sfu/core/srtp_writer.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"
#include "sfu/core/evp_fetch.h"
#include "sfu/core/evp_gcm.h"
#include "sfu/core/srtp_session.h"

struct srtp_writer {
    _Alignas(FETCH_LINE) struct srtp_session session;
};

size_t srtp_profile_key_len(enum srtp_profile p)
{
    switch (p) {
    case SRTP_AES128_CM_SHA1_80:
    case SRTP_AEAD_AES_128_GCM:
        return 16;
    case SRTP_AEAD_AES_256_GCM:
        return 32;
    }
    return 0;
}

size_t srtp_profile_salt_len(enum srtp_profile p)
{
    if (srtp_profile_key_len(p) == 0) {
        return 0;
    }
    return p == SRTP_AES128_CM_SHA1_80 ? SRTP_SALT_LEN : SRTP_AEAD_IV_LEN;
}

size_t srtp_profile_tag_len(enum srtp_profile p)
{
    if (srtp_profile_key_len(p) == 0) {
        return 0;
    }
    return p == SRTP_AES128_CM_SHA1_80 ? SRTP_CM_TAG_LEN : SRTP_AEAD_TAG_LEN;
}

int srtp_writer_new(struct srtp_writer **out, enum srtp_profile profile, const uint8_t *master_key,
                    const uint8_t *master_salt)
{
    struct srtp_writer *w = aligned_alloc(_Alignof(struct srtp_writer), sizeof *w);
    if (!w) {
        return ERR_NOMEM;
    }
    memset(w, 0, sizeof *w);
    int r = srtp_session_open(&w->session, profile, true, master_key, master_salt);
    if (r < 0) {
        srtp_writer_free(w);
        return r;
    }
    *out = w;
    return OK;
}

void srtp_writer_free(struct srtp_writer *w)
{
    if (w) {
        srtp_session_close(&w->session);
        free(w);
    }
}

size_t srtp_writer_tag_len(const struct srtp_writer *w)
{
    return w->session.profile == SRTP_AES128_CM_SHA1_80 ? SRTP_CM_TAG_LEN : SRTP_AEAD_TAG_LEN;
}

void srtp_writer_prefetch_far(const struct srtp_writer *w)
{
    fetch_read(w);
}

void srtp_writer_prefetch_near(const struct srtp_writer *w)
{
    evp_fetch(w->session.cipher, w->session.state);
}

/* The packet's rollover counter by RFC 3711 section 3.3.1, and the stream moved on. A number that
 * would lie before index 0 is taken as newer, as libsrtp2 does. */
static int next_roc(struct srtp_stream *s, uint16_t seq, uint32_t *roc)
{
    if (!s->started) {
        s->started = true;
        s->seq = seq;
        *roc = s->roc;
        return OK;
    }
    int diff = (int)seq - (int)s->seq;
    *roc = s->roc;
    if (diff > 32768 && s->roc > 0) {
        *roc = s->roc - 1;
        return OK;
    }
    if (diff < -32768) {
        if (s->roc == UINT32_MAX) {
            return ERR_LIMIT;
        }
        *roc = ++s->roc;
        s->seq = seq;
    } else if (diff > 0) {
        s->seq = seq;
    }
    return OK;
}

/* The header is associated data. */
static int protect_aead(struct srtp_session *s, uint8_t *packet, size_t len, size_t header_len,
                        uint32_t roc)
{
    uint8_t iv[SRTP_AEAD_IV_LEN];
    int n = 0;

    srtp_session_aead_iv(s, packet, roc, iv);
    uint8_t *payload = packet + header_len;
    int payload_len = (int)(len - header_len);
    bool ok = evp_gcm_begin(s->cipher, iv, NULL) &&
              EVP_EncryptUpdate(s->cipher, NULL, &n, packet, (int)header_len) == 1;
    if (ok && payload_len > 0) {
        ok = EVP_EncryptUpdate(s->cipher, payload, &n, payload, payload_len) == 1;
    }
    ok = ok && EVP_EncryptFinal_ex(s->cipher, packet + len, &n) == 1 &&
         evp_gcm_tag(s->cipher, packet + len);
    return ok ? (int)(len + SRTP_AEAD_TAG_LEN) : ERR_IO;
}

/* RFC 3711 sections 4.1.1 and 4.2: AES-CM, then HMAC-SHA1 over the packet and the ROC. */
static int protect_cm(struct srtp_session *s, uint8_t *packet, size_t len, size_t header_len,
                      uint32_t roc)
{
    uint8_t iv[SRTP_CM_IV_LEN];
    int n = 0;

    srtp_session_cm_iv(s, packet, roc, iv);
    uint8_t *payload = packet + header_len;
    bool ok = EVP_EncryptInit_ex(s->cipher, NULL, NULL, NULL, iv) == 1;
    if (ok && len > header_len) {
        ok = EVP_EncryptUpdate(s->cipher, payload, &n, payload, (int)(len - header_len)) == 1;
    }
    if (!ok) {
        return ERR_IO;
    }
    srtp_hmac_tag(&s->hmac, packet, len, roc, packet + len);
    return (int)(len + SRTP_CM_TAG_LEN);
}

int srtp_writer_protect(struct srtp_writer *w, struct srtp_stream *s, uint8_t *packet, size_t len,
                        size_t header_len, size_t cap)
{
    uint32_t roc;

    if (header_len < 12 || header_len > len) {
        return ERR_INVALID;
    }
    if (len > 65535 || cap < len + srtp_writer_tag_len(w)) {
        return ERR_TOO_LARGE;
    }
    int r = next_roc(s, (uint16_t)(packet[2] << 8 | packet[3]), &roc);
    if (r < 0) {
        return r;
    }
    if (w->session.profile == SRTP_AES128_CM_SHA1_80) {
        return protect_cm(&w->session, packet, len, header_len, roc);
    }
    return protect_aead(&w->session, packet, len, header_len, roc);
}
