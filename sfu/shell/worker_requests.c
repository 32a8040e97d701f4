/* The requests of signald, carried out on the worker's thread. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/proto/sdp_publish.h"
#include "lib/proto/sdp_subscribe.h"
#include "sfu/shell/worker_order.h"
#include "sfu/shell/worker_private.h"
#include "sfu/shell/worker_relay.h"

#define SDP_ROOM ((size_t)256 * 1024) /* bound of an answer or offer that we write */

/* ---- replies ---- */

static void reply_error(struct worker *w, const struct control_frame *f, int err)
{
    const char *code = "unavailable";
    switch (err) {
    case ERR_INVALID:
    case ERR_TRUNCATED:
    case ERR_UNSUPPORTED:
        code = "bad_request";
        break;
    case ERR_TOO_LARGE:
        code = "too_large";
        break;
    case ERR_NOT_FOUND:
        code = "not_participant";
        break;
    case ERR_WRONG_STATE:
        code = "conflict";
        break;
    default:
        break;
    }
    LOG_I("request_refused", "type=%s room=%s participant=%u error=%s", control_type_name(f->type),
          f->room.s, f->participant, err_name(err));
    worker_tell(w, control_make_error(f->id, code, err_name(err)));
}

static void reply(struct worker *w, const struct control_frame *f, int err, struct buf *sdp)
{
    if (err) {
        reply_error(w, f, err);
    } else {
        worker_tell(w, control_make_reply(f->id, sdp && sdp->len ? buf_cstr(sdp) : NULL));
    }
}

/* ---- descriptions ---- */

static struct sdp_local describe(const struct worker *w, struct transport *t)
{
    const struct ice_credentials *c = transport_local(t);
    struct sdp_local local = {.ice_ufrag = c->ufrag,
                              .ice_pwd = c->pwd,
                              .n_candidates = w->o.n_candidates,
                              .session_id = t->session_id,
                              .session_version = ++t->session_version,
                              .cname = WORKER_CNAME};
    memcpy(local.fingerprint, dtls_context_fingerprint(w->o.dtls), sizeof local.fingerprint);
    memcpy(local.candidate, w->o.candidate, sizeof local.candidate);
    return local;
}

static struct transport *find(const struct worker *w, const struct control_frame *f,
                              enum control_which which)
{
    const struct participant *p = router_find(w->router, &f->room, f->participant);
    if (!p) {
        return NULL;
    }
    if (which == CONTROL_WHICH_PUBLISH) {
        return p->publisher ? p->publisher->user : NULL;
    }
    return p->subscriber ? p->subscriber->user : NULL;
}

/* A new transport, which takes the place of the participant's former one of that kind only when
 * its description turns out well. */
static int make_transport(struct worker *w, const struct control_frame *f, enum control_which which,
                          struct transport **out)
{
    bool replaces = find(w, f, which) != NULL;
    if (w->n_transports >= w->o.max_transports && !replaces) {
        return ERR_LIMIT;
    }
    *out = transport_new(w->table, which, &f->room, f->participant, w->now_us);
    return *out ? OK : ERR_NOMEM;
}

/* The former transport goes without a word; router_publish and router_subscribe have replaced what
 * it carried, or will. */
static void drop_former(struct worker *w, struct transport *former)
{
    if (former) {
        former->publisher = NULL;
        former->subscriber = NULL;
        worker_remove(w, former, false);
    }
}

/* ---- publish ---- */

/* The ICE and DTLS identity of an offer are those of a transport that we have: the same peer
 * connection speaks again (a track was added, say). */
static bool is_same_peer(const struct transport *t, const struct sdp *offer)
{
    const struct sdp_media *m = offer->n_media ? &offer->media[0] : NULL;
    uint8_t fingerprint[SDP_FINGERPRINT_LEN];
    if (!t || t->lost || !t->has_remote || !m || !sdp_ice_ufrag(offer, m) ||
        !sdp_ice_pwd(offer, m) || sdp_fingerprint_sha256(fingerprint, offer, m)) {
        return false;
    }
    return strcmp(t->remote.ice_ufrag, sdp_ice_ufrag(offer, m)) == 0 &&
           strcmp(t->remote.ice_pwd, sdp_ice_pwd(offer, m)) == 0 &&
           memcmp(t->remote.fingerprint, fingerprint, sizeof fingerprint) == 0;
}

/* Answers an offer of the peer connection that t already is. */
static int answer_again(struct worker *w, struct transport *t, const struct sdp *offer,
                        struct buf *out)
{
    struct sdp_publish described;
    struct sdp_local local = describe(w, t);
    int err = sdp_answer_publish(out, &described, offer, &local);
    if (err) {
        return err;
    }
    if (memcmp(t->remote.fingerprint, described.remote.fingerprint, SDP_FINGERPRINT_LEN) != 0) {
        return ERR_INVALID; /* another certificate is another peer */
    }
    err = router_republish(w->router, t->publisher, &described, w->now_us);
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
    struct transport *former = find(w, f, CONTROL_WHICH_PUBLISH);
    uint32_t random;
    int err = make_transport(w, f, CONTROL_WHICH_PUBLISH, &t);
    if (err) {
        return err;
    }
    struct sdp_local local = describe(w, t);
    random_bytes(&random, sizeof random);
    err = sdp_answer_publish(out, &described, offer, &local);
    if (!err) {
        err = router_publish(w->router, &f->room, f->participant, &described, random, w->now_us,
                             &publisher);
    }
    if (err) {
        transport_free(w->table, t);
        return err;
    }
    drop_former(w, former);
    publisher->user = t;
    t->publisher = publisher;
    transport_set_remote(t, &described.remote);
    worker_add(w, t);
    return OK;
}

static int handle_publish(struct worker *w, const struct control_frame *f, struct buf *out)
{
    struct sdp *offer;
    int err = sdp_parse(&offer, f->sdp, strlen(f->sdp));
    if (err) {
        return err;
    }
    struct transport *t = find(w, f, CONTROL_WHICH_PUBLISH);
    if (is_same_peer(t, offer)) {
        err = answer_again(w, t, offer, out);
    } else {
        err = publish_anew(w, f, offer, out);
    }
    sdp_free(offer);
    return err;
}

/* ---- subscribe ---- */

static int offer_slots(struct worker *w, struct transport *t, const struct subscriber *s,
                       struct buf *out)
{
    struct sdp_slots slots;
    struct sdp_local local = describe(w, t);
    subscriber_describe(s, &slots);
    return sdp_offer_subscribe(out, &slots, &local);
}

static int handle_subscribe(struct worker *w, const struct control_frame *f, struct buf *out)
{
    struct transport *t;
    struct subscriber *s;
    struct transport *former = find(w, f, CONTROL_WHICH_SUBSCRIBE);
    uint64_t random;
    int err = make_transport(w, f, CONTROL_WHICH_SUBSCRIBE, &t);
    if (err) {
        return err;
    }
    random_bytes(&random, sizeof random);
    err = router_subscribe(w->router, &f->room, f->participant, f->audio_slots, f->video_slots,
                           random, w->now_us, &s);
    if (err) {
        transport_free(w->table, t);
        return err;
    }
    drop_former(w, former);
    s->user = t;
    t->subscriber = s;
    worker_add(w, t);
    err = offer_slots(w, t, s, out);
    if (err) {
        worker_remove(w, t, false);
    }
    return err;
}

static int handle_answer(struct worker *w, const struct control_frame *f)
{
    struct transport *t = find(w, f, CONTROL_WHICH_SUBSCRIBE);
    struct sdp_slots slots;
    struct sdp *answer;
    if (!t) {
        return ERR_NOT_FOUND;
    }
    int err = sdp_parse(&answer, f->sdp, strlen(f->sdp));
    if (err) {
        return err;
    }
    struct sdp_subscribe *agreed = malloc(sizeof *agreed);
    subscriber_describe(t->subscriber, &slots);
    err = agreed ? sdp_read_answer(agreed, answer, &slots) : ERR_NOMEM;
    if (!err && t->connected &&
        memcmp(t->remote.fingerprint, agreed->remote.fingerprint, SDP_FINGERPRINT_LEN) != 0) {
        err = ERR_INVALID;
    }
    if (!err) {
        subscriber_answered(t->subscriber, agreed);
        transport_set_remote(t, &agreed->remote);
        worker_peer_ready(w, t);
    }
    free(agreed);
    sdp_free(answer);
    return err;
}

static int handle_view(struct worker *w, const struct control_frame *f)
{
    const struct participant *p = router_find(w->router, &f->room, f->participant);
    struct room_view view[CONTROL_MAX_SLOTS];
    if (!p || !p->subscriber) {
        return ERR_NOT_FOUND;
    }
    for (size_t i = 0; i < f->n_video; i++) {
        const struct control_slot *s = &f->video[i];
        int source = sdp_source_of(s->source);
        if (source != SDP_SOURCE_CAMERA && source != SDP_SOURCE_SCREEN) {
            return ERR_INVALID;
        }
        view[i] = (struct room_view){.slot = s->slot,
                                     .wish = {.participant = s->participant,
                                              .source = (enum sdp_source)source,
                                              .max_height = s->max_height,
                                              .priority = s->priority}};
    }
    return router_view(w->router, p->subscriber, view, f->n_video, w->now_us);
}

/* ---- restart, leave, close ---- */

static int handle_restart(struct worker *w, const struct control_frame *f, struct buf *out)
{
    struct transport *t = find(w, f, f->which);
    struct sdp *offer;
    if (!t || t->lost) {
        return ERR_NOT_FOUND;
    }
    if (f->which == CONTROL_WHICH_SUBSCRIBE) {
        transport_restart(w->table, t);
        return offer_slots(w, t, t->subscriber, out);
    }
    if (!f->sdp) {
        return ERR_INVALID;
    }
    int err = sdp_parse(&offer, f->sdp, strlen(f->sdp));
    if (err) {
        return err;
    }
    transport_restart(w->table, t);
    err = answer_again(w, t, offer, out);
    sdp_free(offer);
    return err;
}

static void leave(struct worker *w, const struct control_frame *f)
{
    static const enum control_which both[] = {CONTROL_WHICH_PUBLISH, CONTROL_WHICH_SUBSCRIBE};
    for (int i = 0; i < 2; i++) {
        bool meant = !f->has_which || f->which == both[i];
        struct transport *t = meant ? find(w, f, both[i]) : NULL;
        if (t) {
            worker_remove(w, t, false);
        }
    }
}

/* Leaving twice, or a room that is gone, is no error: what was asked for is so. */
static void handle_close(struct worker *w, const struct control_frame *f)
{
    const struct room *room;
    worker_relay_close(w, &f->room);
    while ((room = router_room(w->router, &f->room)) && room->participants) {
        struct control_frame one = {.room = f->room, .participant = room->participants->number};
        leave(w, &one);
    }
}

static void handle_request(struct worker *w, const struct control_frame *f)
{
    struct buf sdp;
    int err = OK;
    buf_init(&sdp, SDP_ROOM);
    switch (f->type) {
    case CONTROL_HELLO:
        worker_hello(w);
        break;
    case CONTROL_PUBLISH:
        err = handle_publish(w, f, &sdp);
        break;
    case CONTROL_SUBSCRIBE:
        err = handle_subscribe(w, f, &sdp);
        break;
    case CONTROL_ANSWER:
        err = handle_answer(w, f);
        break;
    case CONTROL_VIEW:
        err = handle_view(w, f);
        break;
    case CONTROL_RESTART:
        err = handle_restart(w, f, &sdp);
        break;
    case CONTROL_LEAVE:
        leave(w, f);
        break;
    case CONTROL_CLOSE:
        handle_close(w, f);
        break;
    default:
        err = ERR_UNSUPPORTED;
        break;
    }
    if (f->type != CONTROL_HELLO && f->id) { /* one without is another worker's to answer */
        reply(w, f, err, &sdp);
    }
    buf_free(&sdp);
}

void worker_handle(struct worker *w, struct control_frame *f)
{
    const struct worker_order *order = worker_order_of(f);
    if (order) {
        worker_obey(w, order);
    } else {
        handle_request(w, f);
    }
    control_free(f);
    free(f);
}
