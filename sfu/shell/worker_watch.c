/* Subscribers: our own offer of slots with its answer, or a watcher's offer (WHEP), which we
 * answer. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/proto/sdp_subscribe.h"
#include "lib/proto/sdp_watch.h"
#include "sfu/shell/worker_requests.h"

/* ---- slots that we offer ---- */

static int offer_slots(struct worker *w, struct transport *t, struct buf *out)
{
    struct sdp_slots slots;
    struct sdp_local local = request_local(w, t);
    subscriber_describe(t->subscriber, &slots);
    return sdp_offer_subscribe(out, &slots, &local);
}

/* A subscriber with a transport of its own, which take the place of the participant's former ones.
 */
static int subscribe(struct worker *w, const struct control_frame *f, size_t n_audio,
                     size_t n_video, struct transport **out)
{
    struct transport *t;
    struct subscriber *s;
    struct transport *former = request_find(w, f, CONTROL_WHICH_SUBSCRIBE);
    uint64_t random;
    int err = request_transport(w, f, CONTROL_WHICH_SUBSCRIBE, &t);
    if (err) {
        return err;
    }
    random_bytes(&random, sizeof random);
    err = router_subscribe(w->router, &f->room, f->participant, (uint32_t)n_audio,
                           (uint32_t)n_video, random, w->now_us, &s);
    if (err) {
        transport_free(w->table, t);
        return err;
    }
    s->user = t;
    t->subscriber = s;
    request_replace(w, former, t);
    *out = t;
    return OK;
}

int request_subscribe(struct worker *w, const struct control_frame *f, struct buf *out)
{
    struct transport *t;
    int err = subscribe(w, f, f->audio_slots, f->video_slots, &t);
    if (err) {
        return err;
    }
    err = offer_slots(w, t, out);
    if (err) {
        worker_remove(w, t, false);
    }
    return err;
}

/* The peer of an open transport stays who it is. */
static int check_peer(const struct transport *t, const struct sdp_remote *remote)
{
    bool same = memcmp(t->remote.fingerprint, remote->fingerprint, SDP_FINGERPRINT_LEN) == 0;
    return !t->connected || same ? OK : ERR_INVALID;
}

int request_answer(struct worker *w, const struct control_frame *f)
{
    struct transport *t = request_find(w, f, CONTROL_WHICH_SUBSCRIBE);
    struct sdp_slots slots;
    struct sdp *answer;
    if (!t || t->watches) {
        return t ? ERR_WRONG_STATE : ERR_NOT_FOUND;
    }
    int err = sdp_parse(&answer, f->sdp, strlen(f->sdp));
    if (err) {
        return err;
    }
    struct sdp_subscribe *agreed = malloc(sizeof *agreed);
    subscriber_describe(t->subscriber, &slots);
    err = agreed ? sdp_read_answer(agreed, answer, &slots) : ERR_NOMEM;
    err = err ? err : check_peer(t, &agreed->remote);
    if (!err) {
        subscriber_answered(t->subscriber, agreed);
        transport_set_remote(t, &agreed->remote);
        worker_peer_ready(w, t);
    }
    free(agreed);
    sdp_free(answer);
    return err;
}

/* ---- slots that the client offers ---- */

/* An offer and what we read of it. */
struct watch_offer {
    struct sdp *sdp;
    struct sdp_watch watch;
};

static void free_offer(struct watch_offer *o)
{
    sdp_free(o->sdp);
    free(o);
}

static int read_offer(struct watch_offer **out, const char *text)
{
    struct watch_offer *o = calloc(1, sizeof *o);
    if (!o) {
        return ERR_NOMEM;
    }
    int err = sdp_parse(&o->sdp, text, strlen(text));
    if (err) {
        free(o);
        return err;
    }
    err =
        sdp_read_watch(&o->watch, o->sdp, WORKER_CODECS, SDP_MAX_AUDIO_SLOTS, SDP_MAX_VIDEO_SLOTS);
    if (err) {
        free_offer(o);
        return err;
    }
    *out = o;
    return OK;
}

static int answer_watch(struct worker *w, struct transport *t, const struct watch_offer *o,
                        struct buf *out)
{
    struct sdp_slots slots;
    struct sdp_local local = request_local(w, t);
    subscriber_describe(t->subscriber, &slots);
    int err = sdp_answer_watch(out, &o->watch, o->sdp, &slots, &local);
    if (!err) {
        subscriber_watched(t->subscriber, &o->watch);
        transport_set_remote(t, &o->watch.remote);
    }
    return err;
}

int request_watch(struct worker *w, const struct control_frame *f, struct buf *out)
{
    struct watch_offer *o;
    struct transport *t = NULL;
    int err = read_offer(&o, f->sdp);
    if (err) {
        return err;
    }
    err = subscribe(w, f, o->watch.n_audio, o->watch.n_video, &t);
    if (!err) {
        t->watches = true;
        err = answer_watch(w, t, o, out);
    }
    if (err && t) {
        worker_remove(w, t, false);
    }
    free_offer(o);
    return err;
}

static int restart_watch(struct worker *w, struct transport *t, const char *sdp, struct buf *out)
{
    struct watch_offer *o;
    int err = read_offer(&o, sdp);
    if (err) {
        return err;
    }
    const struct subscriber *s = t->subscriber;
    if (o->watch.n_audio != s->n_audio || o->watch.n_video != s->n_video) {
        err = ERR_INVALID;
    }
    err = err ? err : check_peer(t, &o->watch.remote);
    if (!err) {
        transport_restart(w->table, t);
        err = answer_watch(w, t, o, out);
    }
    free_offer(o);
    return err;
}

int request_restart_subscribe(struct worker *w, struct transport *t, const char *sdp,
                              struct buf *out)
{
    if (t->watches) {
        return sdp ? restart_watch(w, t, sdp, out) : ERR_INVALID;
    }
    if (sdp) {
        return ERR_WRONG_STATE;
    }
    transport_restart(w->table, t);
    return offer_slots(w, t, out);
}
