#include "sfu/shell/srtp_peer.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"
#include "sfu/core/srtcp.h"
#include "sfu/core/srtp_reader.h"

#define RTP_SSRC_AT  8
#define RTCP_SSRC_AT 4

/* Who only watches never sends RTP: its reader (a kilobyte and more of keys) is made with the first
 * packet. */
struct srtp_peer {
    struct srtp_reader *in;
    struct dtls_keys *keys; /* for `in`; NULL once made */
    struct srtcp *rtcp;
    size_t n_streams; /* SSRCs that state is kept of, for RTP or RTCP */
    uint32_t stream[SRTP_PEER_MAX_STREAMS];
};

static void forget_keys(struct srtp_peer *p)
{
    if (p->keys) {
        OPENSSL_cleanse(p->keys, sizeof *p->keys);
        free(p->keys);
        p->keys = NULL;
    }
}

static int make_in(struct srtp_peer *p)
{
    const struct dtls_keys *k = p->keys;
    int err = srtp_reader_new(&p->in, (enum srtp_profile)k->profile, k->remote_key, k->remote_salt);
    forget_keys(p);
    return err;
}

int srtp_peer_new(struct srtp_peer **out, const struct dtls_keys *keys)
{
    struct srtp_peer *p = calloc(1, sizeof *p);
    int err = ERR_NOMEM;
    if (p && (p->keys = malloc(sizeof *p->keys))) {
        *p->keys = *keys;
        err = srtcp_new(&p->rtcp, (enum srtp_profile)keys->profile, keys->local_key,
                        keys->local_salt, keys->remote_key, keys->remote_salt);
    }
    if (err) {
        srtp_peer_free(p);
        return err;
    }
    *out = p;
    return OK;
}

void srtp_peer_free(struct srtp_peer *p)
{
    if (p) {
        srtp_reader_free(p->in);
        srtcp_free(p->rtcp);
        forget_keys(p);
        free(p);
    }
}

static bool is_known(const struct srtp_peer *p, uint32_t ssrc)
{
    for (size_t i = 0; i < p->n_streams; i++) {
        if (p->stream[i] == ssrc) {
            return true;
        }
    }
    return false;
}

typedef int (*unprotect_fn)(struct srtp_peer *p, uint8_t *data, size_t *len);

static int open_rtp(struct srtp_peer *p, uint8_t *data, size_t *len)
{
    if (!p->in && (!p->keys || make_in(p))) {
        return ERR_NOMEM;
    }
    return srtp_reader_open(p->in, data, len);
}

static int open_rtcp(struct srtp_peer *p, uint8_t *data, size_t *len)
{
    return srtcp_unprotect(p->rtcp, data, len);
}

/* An SSRC takes its place only when its first packet proved authentic. */
static int unprotect(struct srtp_peer *p, uint8_t *data, size_t *len, size_t ssrc_at,
                     unprotect_fn open)
{
    uint32_t ssrc;
    if (*len < ssrc_at + sizeof ssrc) {
        return ERR_INVALID;
    }
    memcpy(&ssrc, data + ssrc_at, sizeof ssrc);
    bool known = is_known(p, ssrc);
    if (!known && p->n_streams == SRTP_PEER_MAX_STREAMS) {
        return ERR_LIMIT;
    }
    int err = open(p, data, len);
    if (!err && !known) {
        p->stream[p->n_streams++] = ssrc;
    }
    return err;
}

int srtp_peer_unprotect_rtp(struct srtp_peer *p, uint8_t *data, size_t *len)
{
    return unprotect(p, data, len, RTP_SSRC_AT, open_rtp);
}

int srtp_peer_unprotect_rtcp(struct srtp_peer *p, uint8_t *data, size_t *len)
{
    return unprotect(p, data, len, RTCP_SSRC_AT, open_rtcp);
}

int srtp_peer_protect_rtcp(struct srtp_peer *p, uint8_t *data, size_t *len)
{
    return srtcp_protect(p->rtcp, data, len);
}

void srtp_peer_prefetch(const struct srtp_peer *p, enum srtp_peer_step step)
{
    if (step == SRTP_PEER_FAR) {
        fetch_read(p);
    } else if (step == SRTP_PEER_NEAR) {
        srtcp_prefetch_far(p->rtcp);
    } else {
        srtcp_prefetch_near(p->rtcp);
    }
}
