/* What subscribers may be sent: made when they are up, fed with their RTCP, looked at in time. */
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/shell/subscriber_rate.h"
#include "sfu/shell/worker_private.h"

/* One without video slots has nothing to share out. */
static struct subscriber_rate *rate_of(struct worker *w, struct transport *t)
{
    struct subscriber_rate *r = subscriber_rate_of(t);
    if (!r && t->subscriber->n_video > 0 && t->subscriber->ready &&
        subscriber_rate_new(&r, t, t->subscriber, w->now_us)) {
        LOG_W("subscriber_unbounded", "room=%s participant=%u error=out_of_memory", t->room.s,
              t->number);
    }
    return r;
}

/* A tenth of a second ago is long for the cache: the next two are fetched meanwhile. */
static void fetch_ahead(const struct transport *t)
{
    const struct transport *one = t->next, *two = one ? one->next : NULL;
    if (two) {
        __builtin_prefetch(two->out.pace);
        __builtin_prefetch(two->subscriber);
    }
    for (size_t at = 0; two && two->next && at < 3 * SLOT_LINE; at += SLOT_LINE) {
        __builtin_prefetch((const char *)two->next + at);
    }
    if (one && one->subscriber) {
        subscriber_rate_prefetch(one);
        __builtin_prefetch(one->subscriber->slot);
    }
}

void worker_rates(struct worker *w)
{
    struct transport *t;
    DL_FOREACH(w->transports, t)
    {
        fetch_ahead(t);
        struct subscriber_rate *r = t->subscriber && t->connected ? rate_of(w, t) : NULL;
        if (r) {
            subscriber_rate_run(r, w->shed, w->now_us);
            out_queue_probe(w->queue, t);
        }
    }
}

bool worker_rate_rtcp(struct worker *w, struct transport *t, const uint8_t *data, size_t len)
{
    struct subscriber_rate *r = subscriber_rate_of(t);
    bool bad = false;
    if (r) {
        if (subscriber_rate_rtcp(r, data, len, w->statuses, w->now_us, &bad)) {
            subscriber_rate_run(r, w->shed, w->now_us);
        }
        out_queue_probe(w->queue, t);
    }
    return !bad;
}

void worker_rate_close(struct worker *w, struct transport *t)
{
    out_queue_forget(w->queue, t);
    subscriber_rate_free(subscriber_rate_of(t));
}
