#include "sfu/shell/srtp_peer.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <srtp2/srtp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/srtcp.h"

#define REPLAY_WINDOW 1024

#define RTP_SSRC_AT  8
#define RTCP_SSRC_AT 4

/* A session of libsrtp's takes 17 KiB (over NSS, as Debian builds it), and who only watches never
 * sends RTP: with RTCP in our own hands it is made with the first packet. */
struct srtp_peer {
    srtp_t in;
    struct dtls_keys *keys; /* for `in`; NULL once made */
    struct srtcp *rtcp;
    size_t n_streams; /* SSRCs that libsrtp keeps state of; it has no bound of its own */
    uint32_t stream[SRTP_PEER_MAX_STREAMS];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static srtp_err_status_t once_status;

static void init_once(void)
{
    once_status = srtp_init();
}

int srtp_peer_library_init(void)
{
    pthread_once(&once, init_once);
    return once_status == srtp_err_status_ok ? OK : ERR_UNSUPPORTED;
}

static int set_profile(srtp_policy_t *policy, enum dtls_srtp_profile profile)
{
    switch (profile) {
    case DTLS_AEAD_AES_128_GCM:
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy->rtcp);
        return OK;
    case DTLS_AEAD_AES_256_GCM:
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy->rtcp);
        return OK;
    case DTLS_AES128_CM_SHA1_80:
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy->rtp);
        srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&policy->rtcp);
        return OK;
    }
    return ERR_UNSUPPORTED;
}

static int make_session(srtp_t *out, const struct dtls_keys *k)
{
    srtp_policy_t policy;
    uint8_t key[32 + 14];
    memset(&policy, 0, sizeof policy);
    int err = set_profile(&policy, k->profile);
    if (err) {
        return err;
    }
    memcpy(key, k->remote_key, k->key_len);
    memcpy(key + k->key_len, k->remote_salt, k->salt_len);
    policy.key = key;
    policy.ssrc.type = ssrc_any_inbound;
    policy.window_size = REPLAY_WINDOW;
    srtp_err_status_t status = srtp_create(out, &policy);
    OPENSSL_cleanse(key, sizeof key);
    return status == srtp_err_status_ok ? OK : ERR_NOMEM;
}

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
    int err = make_session(&p->in, p->keys);
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
        if (p->in) {
            srtp_dealloc(p->in);
        }
        srtcp_free(p->rtcp);
        forget_keys(p);
        free(p);
    }
}

static int result(srtp_err_status_t status)
{
    switch (status) {
    case srtp_err_status_ok:
        return OK;
    case srtp_err_status_auth_fail:
        return ERR_AUTH;
    case srtp_err_status_replay_fail:
    case srtp_err_status_replay_old:
        return ERR_CONFLICT;
    default:
        return ERR_INVALID;
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
    int n = (int)*len;
    if (!p->in && (!p->keys || make_in(p))) {
        return ERR_NOMEM;
    }
    int err = result(srtp_unprotect(p->in, data, &n));
    *len = err ? *len : (size_t)n;
    return err;
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
        __builtin_prefetch(p);
    } else if (step == SRTP_PEER_NEAR) {
        srtcp_prefetch_far(p->rtcp);
    } else {
        srtcp_prefetch_near(p->rtcp);
    }
}
