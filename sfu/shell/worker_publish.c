/* Publishers: their offers answered, the first one and those that follow. */
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/proto/sdp_publish.h"
#include "sfu/shell/worker_requests.h"

/* The ICE and DTLS identity of an offer are those of a transport that we have: the same peer
 * connection speaks again (a track was added, say). */
static bool is_same_peer(const struct transport *t, const struct sdp *offer)
{
    const struct sdp_media *m = sdp_first_used(offer);
    uint8_t fingerprint[SDP_FINGERPRINT_LEN];
    if (!t || t->lost || !t->has_remote || !m || !sdp_ice_ufrag(offer, m) ||
        !sdp_ice_pwd(offer, m) || sdp_fingerprint_sha256(fingerprint, offer, m)) {
        return false;
    }
    return strcmp(t->remote.ice_ufrag, sdp_ice_ufrag(offer, m)) == 0 &&
           strcmp(t->remote.ice_pwd, sdp_ice_pwd(offer, m)) == 0 &&
           memcmp(t->remote.fingerprint, fingerprint, sizeof fingerprint) == 0;
}

/* Answers an offer of the peer connection that t already is. With `restart` under new credentials,
 * which are made when nothing can go wrong any more: two sets are in force at a time, and each
 * restart ends the older one. */
static int answer_again(struct worker *w, struct transport *t, const struct sdp *offer,
                        bool restart, struct buf *out)
{
    struct sdp_publish described;
    struct sdp_local local = request_local(w, t);
    int err = sdp_answer_publish(out, &described, offer, &local);
    if (err) {
        return err;
    }
    if (memcmp(t->remote.fingerprint, described.remote.fingerprint, SDP_FINGERPRINT_LEN) != 0) {
        return ERR_INVALID; /* another certificate is another peer */
    }
    err = worker_hold_tracks(w, t, described.n_tracks);
    if (err) {
        return err;
    }
    if (restart) {
        transport_restart(w->table, t);
        local.ice_ufrag = transport_local(t)->ufrag;
        local.ice_pwd = transport_local(t)->pwd;
        buf_clear(out);
        err = sdp_answer_publish(out, &described, offer, &local);
    }
    err = err ? err : router_republish(w->router, t->publisher, &described, w->now_us);
    (void)worker_hold_tracks(w, t, t->publisher->n_tracks);
    if (!err) {
        transport_set_remote(t, &described.remote);
    }
    return err;
}

static int publish_anew(struct worker *w, const struct control_frame *f, const struct sdp *offer,
                        struct buf *out)
{
    struct sdp_publish described;
    struct publisher *publisher;
    struct transport *t;
    struct transport *former = request_find(w, f, CONTROL_WHICH_PUBLISH);
    uint32_t random;
    int err = request_transport(w, f, CONTROL_WHICH_PUBLISH, &t);
    if (err) {
        return err;
    }
    struct sdp_local local = request_local(w, t);
    random_bytes(&random, sizeof random);
    err = sdp_answer_publish(out, &described, offer, &local);
    err = err ? err : worker_hold_tracks(w, t, described.n_tracks);
    if (!err) {
        err = router_publish(w->router, &f->room, f->participant, &described, random, w->now_us,
                             &publisher);
    }
    if (err) {
        (void)worker_hold_tracks(w, t, 0);
        transport_free(w->table, t);
        return err;
    }
    publisher->user = t;
    t->publisher = publisher;
    transport_set_remote(t, &described.remote);
    request_replace(w, former, t);
    return OK;
}

int request_publish(struct worker *w, const struct control_frame *f, struct buf *out)
{
    struct sdp *offer;
    int err = sdp_parse(&offer, f->sdp, strlen(f->sdp));
    if (err) {
        return err;
    }
    struct transport *t = request_find(w, f, CONTROL_WHICH_PUBLISH);
    if (is_same_peer(t, offer)) {
        err = answer_again(w, t, offer, false, out);
    } else {
        err = publish_anew(w, f, offer, out);
    }
    sdp_free(offer);
    return err;
}

int request_restart_publish(struct worker *w, struct transport *t, const char *sdp, struct buf *out)
{
    struct sdp *offer;
    if (!sdp) {
        return ERR_INVALID;
    }
    int err = sdp_parse(&offer, sdp, strlen(sdp));
    if (err) {
        return err;
    }
    err = answer_again(w, t, offer, true, out);
    sdp_free(offer);
    return err;
}
