/* The requests of signald, carried out on the worker's thread. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/proto/sdp_publish.h"
#include "sfu/shell/worker_order.h"
#include "sfu/shell/worker_relay.h"
#include "sfu/shell/worker_requests.h"

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
    case ERR_LIMIT: /* no place for another; admission.h says that of a busy worker too */
    case ERR_UNAVAILABLE:
        code = "overloaded";
        break;
    default:
        break;
    }
    worker_count(w, SFU_REFUSED_REQUESTS, 1);
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

/* ---- transports ---- */

struct sdp_local request_local(const struct worker *w, struct transport *t)
{
    const struct ice_credentials *c = transport_local(t);
    struct sdp_local local = {.ice_ufrag = c->ufrag,
                              .ice_pwd = c->pwd,
                              .n_candidates = w->o.n_candidates,
                              .session_id = t->session_id,
                              .session_version = ++t->session_version,
                              .cname = WORKER_CNAME,
                              .simulcast = true,
                              .codecs = WORKER_CODECS};
    memcpy(local.fingerprint, dtls_context_fingerprint(w->o.dtls), sizeof local.fingerprint);
    memcpy(local.candidate, w->o.candidate, sizeof local.candidate);
    return local;
}

struct transport *request_find(const struct worker *w, const struct control_frame *f,
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

int request_transport(struct worker *w, const struct control_frame *f, enum control_which which,
                      struct transport **out)
{
    bool replaces = request_find(w, f, which) != NULL;
    bool joins = !router_find(w->router, &f->room, f->participant);
    if (!replaces && (w->n_transports >= w->o.max_transports || (joins && worker_join(w)))) {
        return ERR_LIMIT;
    }
    *out = transport_new(w->table, which, &f->room, f->participant, w->now_us);
    return *out ? OK : ERR_NOMEM;
}

void request_replace(struct worker *w, struct transport *former, struct transport *t)
{
    if (former) {
        former->publisher = NULL;
        former->subscriber = NULL;
        worker_remove(w, former, false);
    }
    worker_add(w, t);
}

/* ---- views ---- */

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
    struct transport *t = request_find(w, f, f->which);
    if (!t || t->lost) {
        return ERR_NOT_FOUND;
    }
    return f->which == CONTROL_WHICH_PUBLISH ? request_restart_publish(w, t, f->sdp, out)
                                             : request_restart_subscribe(w, t, f->sdp, out);
}

static void leave(struct worker *w, const struct control_frame *f)
{
    static const enum control_which both[] = {CONTROL_WHICH_PUBLISH, CONTROL_WHICH_SUBSCRIBE};
    for (int i = 0; i < 2; i++) {
        bool meant = !f->has_which || f->which == both[i];
        struct transport *t = meant ? request_find(w, f, both[i]) : NULL;
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
        err = request_publish(w, f, &sdp);
        break;
    case CONTROL_SUBSCRIBE:
        err = request_subscribe(w, f, &sdp);
        break;
    case CONTROL_WATCH:
        err = request_watch(w, f, &sdp);
        break;
    case CONTROL_ANSWER:
        err = request_answer(w, f);
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
