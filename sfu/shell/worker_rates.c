/* What subscribers may be sent: made when they are up, fed with their RTCP, looked at in time. */
#include <stddef.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"
#include "lib/base/log.h"
#include "sfu/shell/subscriber_rate.h"
#include "sfu/shell/worker_private.h"

#define CALM_LOOK_US 1000000 /* between two looks at one for whom nothing is to be decided, */
#define FRESH_US     300000  /* as long as his feedback is no older */

/* One without video slots has nothing to share out. */
static struct subscriber_rate *rate_of(struct worker *w, struct transport *t)
{
    struct subscriber_rate *r = subscriber_rate_of(t);
    if (!r && t->subscriber->n_video > 0 && t->subscriber->ready &&
        subscriber_rate_new(&r, t, t->subscriber, w->now_us)) {
        LOG_W("subscriber_unbounded", "room=%s participant=%u error=out_of_memory", t->room.s,
              t->number);
        worker_rate_look(w, t);
    }
    return r;
}

/* A source in sight doesn't send all of its simulcast's streams: nobody tells when it begins to. */
static bool may_grow(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->n_video; i++) {
        const struct track *t = subscriber_video(s, i)->track;
        if (t && layers_track_live(&t->layers) != (1u << t->n_streams) - 1) {
            return true;
        }
    }
    return false;
}

/* His link carries all that he asks for, and it was said just now: what changes that is told, by
 * worker_events or the feedback itself. */
static bool is_calm(const struct subscriber_rate *r, int64_t now_us)
{
    const struct bwe *b = r->pace.bwe;
    bool content = r->result.next_bps == 0 && r->result.used_bps <= r->budget_bps;
    return b && content && b->feedback_us != INT64_MIN && now_us - b->feedback_us < FRESH_US &&
           r->heard_us != 0 && r->trust.state != RATE_STARTING && !b->probing &&
           b->loss.average <= RATE_LOSSY && r->playout <= 1 /* 10 ms: for nothing any more */ &&
           !may_grow(r->subscriber);
}

void worker_rate_look(struct worker *w, struct transport *t)
{
    due_set(&w->rates, &t->rate_due, w->now_us);
}

static void run(struct worker *w, struct transport *t, struct subscriber_rate *r)
{
    subscriber_rate_run(r, w->shed, w->now_us);
    if (is_calm(r, w->now_us)) {
        due_set(&w->rates, &t->rate_due, w->now_us + CALM_LOOK_US);
    } else {
        worker_rate_look(w, t);
    }
}

static void look(struct worker *w, struct transport *t)
{
    if (t->subscriber && t->connected) {
        struct subscriber_rate *r = rate_of(w, t);
        if (r) {
            (void)worker_rtcp_open(w, t);
            run(w, t, r);
            out_queue_probe(w->queue, t);
        }
    }
}

/* Long ago is long for the cache: what all of these need is fetched together, step by step. */
static void fetch(struct transport *const *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t at = 0; at < 3 * FETCH_LINE; at += FETCH_LINE) {
            fetch_read((const char *)t[i] + at);
        }
    }
    for (size_t i = 0; i < n; i++) {
        fetch_read(t[i]->out.pace);
        fetch_read(t[i]->subscriber);
    }
    for (size_t i = 0; i < n; i++) {
        if (t[i]->subscriber) {
            subscriber_rate_prefetch(t[i]);
            fetch_read(t[i]->subscriber->slot);
        }
    }
}

/* More or less is shed than before: of everybody. */
static void note_shed(struct worker *w)
{
    struct transport *t;
    if (w->shed != w->rates_shed) {
        w->rates_shed = w->shed;
        DL_FOREACH(w->transports, t)
        {
            worker_rate_look(w, t);
        }
    }
}

void worker_rates(struct worker *w)
{
    struct transport *t[WORKER_FETCH];
    struct due_entry *e = NULL;
    note_shed(w);
    do {
        size_t n = 0;
        while (n < WORKER_FETCH && (e = due_take(&w->rates, w->now_us))) {
            t[n++] = (struct transport *)(void *)((char *)e - offsetof(struct transport, rate_due));
        }
        fetch(t, n);
        for (size_t i = 0; i < n; i++) {
            look(w, t[i]);
        }
    } while (e);
}

bool worker_rate_rtcp(struct worker *w, struct transport *t, const uint8_t *data, size_t len)
{
    struct subscriber_rate *r = subscriber_rate_of(t);
    bool bad = false;
    if (r) {
        if (subscriber_rate_rtcp(r, data, len, w->statuses, w->now_us, &bad)) {
            run(w, t, r);
        }
        out_queue_probe(w->queue, t);
    }
    return !bad;
}

void worker_rate_waited(struct worker *w, struct transport *t)
{
    if (worker_rtcp_open(w, t)) {
        run(w, t, subscriber_rate_of(t));
    }
    out_queue_probe(w->queue, t);
}

void worker_rate_close(struct worker *w, struct transport *t)
{
    due_cancel(&w->rates, &t->rate_due);
    if (t->rtcp.n > 0) {
        rtcp_wait_forget(w->waits, &t->rtcp);
    }
    t->rtcp.open = false;
    out_queue_forget(w->queue, t);
    subscriber_rate_free(subscriber_rate_of(t));
}
