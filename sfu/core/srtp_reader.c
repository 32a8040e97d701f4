#include "sfu/core/srtp_reader.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "lib/base/err.h"
#include "sfu/core/srtp_session.h"

#define HEADER_LEN     12
#define EXTENSION_LEN  4
#define EXTENSION_FLAG 0x10
#define MAX_PACKET     65535
#define WORDS          (SRTP_READER_WINDOW / 64)
#define HALF           UINT32_C(0x8000)

/* seen has a bit for each index of the window that ends at highest, at the index modulo the window.
 */
struct stream {
    uint32_t ssrc;
    uint64_t highest; /* index: ROC * 2^16 + SEQ */
    uint64_t seen[WORDS];
};

struct srtp_reader {
    struct srtp_session session;
    size_t n_streams, cap_streams, last; /* last: where the packet before was found */
    struct stream *stream;
};

int srtp_reader_new(struct srtp_reader **out, enum srtp_profile profile, const uint8_t *master_key,
                    const uint8_t *master_salt)
{
    struct srtp_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return ERR_NOMEM;
    }
    int err = srtp_session_open(&r->session, profile, false, master_key, master_salt);
    if (err) {
        srtp_reader_free(r);
        return err;
    }
    *out = r;
    return OK;
}

void srtp_reader_free(struct srtp_reader *r)
{
    if (r) {
        srtp_session_close(&r->session);
        free(r->stream);
        free(r);
    }
}

/* ---- what is known of an SSRC ---- */

static struct stream *find(struct srtp_reader *r, uint32_t ssrc)
{
    if (r->last < r->n_streams && r->stream[r->last].ssrc == ssrc) {
        return &r->stream[r->last];
    }
    for (size_t i = 0; i < r->n_streams; i++) {
        if (r->stream[i].ssrc == ssrc) {
            r->last = i;
            return &r->stream[i];
        }
    }
    return NULL;
}

/* The index that a number most likely has (RFC 3711 section 3.3.1 and appendix A). One that would
 * lie before index 0 is taken as newer, as libsrtp2 does. */
static int guess_index(const struct stream *s, uint16_t seq, uint64_t *index)
{
    *index = seq;
    if (!s) {
        return OK;
    }
    uint64_t roc = s->highest >> 16;
    uint32_t last = s->highest & 0xffff;
    if (last < HALF) {
        roc -= seq > last + HALF && roc > 0;
    } else if (last - HALF > seq && ++roc > UINT32_MAX) {
        return ERR_LIMIT;
    }
    *index |= roc << 16;
    return OK;
}

static uint64_t bit_of(uint64_t index)
{
    return UINT64_C(1) << index % 64;
}

static uint64_t *word_of(struct stream *s, uint64_t index)
{
    return &s->seen[index / 64 % WORDS];
}

/* RFC 3711 section 3.3.2. */
static bool is_replayed(struct stream *s, uint64_t index)
{
    if (!s || index > s->highest) {
        return false;
    }
    return s->highest - index >= SRTP_READER_WINDOW || (*word_of(s, index) & bit_of(index));
}

static void note(struct stream *s, uint64_t index)
{
    if (index > s->highest + SRTP_READER_WINDOW) {
        s->highest = index;
        memset(s->seen, 0, sizeof s->seen);
    }
    while (s->highest < index) { /* what leaves the window gives its bit to what enters */
        s->highest++;
        *word_of(s, s->highest) &= ~bit_of(s->highest);
    }
    *word_of(s, index) |= bit_of(index);
}

/* An SSRC takes its place only when its first packet proved authentic. */
static int add_stream(struct srtp_reader *r, uint32_t ssrc, uint64_t index)
{
    if (r->n_streams == r->cap_streams) {
        size_t cap = r->cap_streams ? 2 * r->cap_streams : 2;
        struct stream *more = realloc(r->stream, cap * sizeof *more);
        if (!more) {
            return ERR_NOMEM;
        }
        r->stream = more;
        r->cap_streams = cap;
    }
    struct stream *s = &r->stream[r->n_streams++];
    *s = (struct stream){.ssrc = ssrc, .highest = index};
    note(s, index);
    return OK;
}

/* ---- the packet ---- */

/* With CSRCs and extension (RFC 3550 section 5.1); 0: it ends before they do. The version isn't
 * looked at: it is authenticated, and the RTP parser's matter. */
static size_t header_length(const uint8_t *p, size_t len)
{
    if (len < HEADER_LEN) {
        return 0;
    }
    size_t n = HEADER_LEN + 4u * (p[0] & 0x0f);
    if (p[0] & EXTENSION_FLAG) {
        if (len < n + EXTENSION_LEN) {
            return 0;
        }
        n += EXTENSION_LEN + 4u * ((size_t)p[n + 2] << 8 | p[n + 3]);
    }
    return n <= len ? n : 0;
}

/* The header is associated data. n: without the tag, which is behind. */
static int open_aead(struct srtp_session *s, uint8_t *packet, size_t n, size_t header, uint32_t roc)
{
    uint8_t iv[SRTP_AEAD_IV_LEN], rest[16], *payload = packet + header;
    int out;

    srtp_session_aead_iv(s, packet, roc, iv);
    if (EVP_DecryptInit_ex(s->cipher, NULL, NULL, NULL, iv) != 1 ||
        EVP_CIPHER_CTX_ctrl(s->cipher, EVP_CTRL_AEAD_SET_TAG, SRTP_AEAD_TAG_LEN, packet + n) != 1 ||
        EVP_DecryptUpdate(s->cipher, NULL, &out, packet, (int)header) != 1) {
        return ERR_IO;
    }
    if (n > header &&
        EVP_DecryptUpdate(s->cipher, payload, &out, payload, (int)(n - header)) != 1) {
        return ERR_IO;
    }
    return EVP_DecryptFinal_ex(s->cipher, rest, &out) == 1 ? OK : ERR_AUTH;
}

/* As open_aead; proved before it is decrypted (RFC 3711 section 3.3). */
static int open_cm(struct srtp_session *s, uint8_t *packet, size_t n, size_t header, uint32_t roc)
{
    uint8_t iv[SRTP_CM_IV_LEN], tag[SRTP_CM_TAG_LEN], *payload = packet + header;
    int out;

    srtp_hmac_tag(&s->hmac, packet, n, roc, tag);
    if (CRYPTO_memcmp(tag, packet + n, sizeof tag) != 0) {
        return ERR_AUTH;
    }
    srtp_session_cm_iv(s, packet, roc, iv);
    if (EVP_DecryptInit_ex(s->cipher, NULL, NULL, NULL, iv) != 1) {
        return ERR_IO;
    }
    bool ok =
        n == header || EVP_DecryptUpdate(s->cipher, payload, &out, payload, (int)(n - header)) == 1;
    return ok ? OK : ERR_IO;
}

static uint32_t ssrc_of(const uint8_t *p)
{
    return (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
}

int srtp_reader_open(struct srtp_reader *r, uint8_t *packet, size_t *len)
{
    bool cm = r->session.profile == SRTP_AES128_CM_SHA1_80;
    size_t tag = cm ? SRTP_CM_TAG_LEN : SRTP_AEAD_TAG_LEN;
    size_t header = *len <= MAX_PACKET ? header_length(packet, *len) : 0;
    uint64_t index;
    if (header == 0) {
        return ERR_INVALID;
    }
    struct stream *s = find(r, ssrc_of(packet));
    int err = guess_index(s, (uint16_t)(packet[2] << 8 | packet[3]), &index);
    if (err || is_replayed(s, index)) {
        return err ? err : ERR_CONFLICT;
    }
    if (*len < header + tag) {
        return ERR_INVALID;
    }
    if (!s && r->n_streams == SRTP_READER_MAX_STREAMS) {
        return ERR_LIMIT;
    }
    uint32_t roc = (uint32_t)(index >> 16);
    err = cm ? open_cm(&r->session, packet, *len - tag, header, roc)
             : open_aead(&r->session, packet, *len - tag, header, roc);
    if (!err && s) {
        note(s, index);
    } else if (!err) {
        err = add_stream(r, ssrc_of(packet), index);
    }
    *len -= err ? 0 : tag;
    return err;
}
