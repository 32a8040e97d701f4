#include "sfu/core/probe.h"

#include <math.h>
#include <string.h>

#define CLUSTER_US       15000
#define SPREAD_US        10000 /* a train of video in it may fill it early: one more ends it then */
#define BURST_US         2000
#define GIVE_UP_US       1000000 /* from the beginning to the last answer */
#define SEND_UP_TO_US    300000
#define INTERVAL_US      5000000
#define INTERVAL_FULL_US 20000000 /* where we fill the link, a probe only pushes others away */
#define SOON_US          500000   /* after the last probe, when the want has grown */
#define PACKET_MIN       200
#define PACKET_MAX       1200
#define FIRST_SCALE      3.0
#define SECOND_SCALE     6.0
#define FURTHER_SCALE    2.0
#define FURTHER_SHARE    0.7  /* of the target that must have come through to go on */
#define OVERSHOOT        1.25 /* of what is wanted: room for it to vary */
#define WORTH            1.05
#define GOT_SHARE        0.8
#define GOT_MIN          4
#define RATIO_MAX        2.0
#define UNSATURATED      0.9
#define USABLE           0.95

void probe_init(struct probe *p)
{
    memset(p, 0, sizeof *p);
    p->last_us = INT64_MIN / 2;
}

static struct probe_cluster *find(struct probe *p, uint8_t id)
{
    struct probe_cluster *c = &p->cluster[id % PROBE_CLUSTERS];

    return id != 0 && c->id == id ? c : NULL;
}

static struct probe_cluster *newest(struct probe *p)
{
    return find(p, p->last_id);
}

static void start(struct probe *p, double bps, int64_t now_us)
{
    p->last_id = p->last_id == SEND_HISTORY_CLUSTER ? 2 : p->last_id + 1; /* 7, 2: other places */
    p->cluster[p->last_id % PROBE_CLUSTERS] = (struct probe_cluster){
        .id = p->last_id,
        .sending = true,
        .target_bps = bps,
        .started_us = now_us,
        .want_bytes = (uint32_t)fmax(bps * CLUSTER_US / 8e6, PROBE_PACKETS * PACKET_MIN),
    };
    p->sent++;
    p->last_us = now_us;
    p->hurry = false;
}

/* The most that is worth proving. */
static double top(const struct probe_state *s)
{
    return fmin(s->max_bps, s->wanted_bps * OVERSHOOT);
}

static bool worth(const struct probe_state *s)
{
    return top(s) > s->estimate_bps * WORTH && s->wanted_bps > s->estimate_bps;
}

static void give_up(struct probe *p, int64_t now_us)
{
    for (unsigned i = 0; i < PROBE_CLUSTERS; i++) {
        struct probe_cluster *c = &p->cluster[i];
        int64_t age = now_us - c->started_us;
        if (c->sending && age > SEND_UP_TO_US) { /* nobody had padding: judge what there was */
            c->sending = false;
        }
        if (c->id != 0 && age > GIVE_UP_US) {
            if (!c->judged && c->lost_packets == 0 && !p->retried) { /* its feedback was lost */
                p->hurry = p->retried = true;
            }
            c->id = 0;
        }
    }
}

static int64_t ready_us(const struct probe *p, const struct probe_state *s)
{
    if (p->hurry || s->wanted_bps > p->explored_bps * OVERSHOOT) {
        return p->last_us + SOON_US;
    }
    return p->last_us + (p->full && s->filling ? INTERVAL_FULL_US : INTERVAL_US);
}

void probe_hurry(struct probe *p)
{
    p->hurry = true;
    p->full = false; /* it was, before */
}

bool probe_busy(const struct probe *p)
{
    for (unsigned i = 0; i < PROBE_CLUSTERS; i++) {
        if (p->cluster[i].id != 0 && (p->cluster[i].sending || !p->cluster[i].judged)) {
            return true;
        }
    }
    return false;
}

static void start_initial(struct probe *p, const struct probe_state *s, int64_t now_us)
{
    p->initial_done = true;
    p->explored_bps = s->wanted_bps;
    start(p, fmin(FIRST_SCALE * s->estimate_bps, top(s)), now_us);
    if (FIRST_SCALE * s->estimate_bps < top(s)) {
        p->then_bps = fmin(SECOND_SCALE * s->estimate_bps, top(s));
    }
}

void probe_tick(struct probe *p, const struct probe_state *s, int64_t now_us)
{
    give_up(p, now_us);
    const struct probe_cluster *c = newest(p);
    if (s->congested) {
        p->then_bps = 0;
        return;
    }
    if (!worth(s) || (c && c->sending)) {
        return;
    }
    if (!p->initial_done) {
        start_initial(p, s, now_us);
    } else if (p->then_bps > s->estimate_bps) {
        start(p, p->then_bps, now_us);
        p->then_bps = 0;
    } else if (!probe_busy(p) && now_us >= ready_us(p, s)) {
        p->explored_bps = s->wanted_bps;
        start(p, fmin(FURTHER_SCALE * s->estimate_bps, top(s)), now_us);
    }
}

static bool enough(const struct probe_cluster *c)
{
    return c->sent_bytes >= c->want_bytes && c->sent_packets >= PROBE_PACKETS;
}

uint8_t probe_on_sent(struct probe *p, size_t bytes, int64_t now_us)
{
    struct probe_cluster *c = newest(p);

    if (!c || !c->sending) {
        return 0;
    }
    if (c->sent_packets == 0) { /* packets of one turn may bear the time of the one before */
        c->began_us = now_us;
    }
    c->sent_bytes += (uint32_t)bytes;
    c->sent_packets++;
    if (enough(c) && now_us - c->started_us >= SPREAD_US) {
        c->sending = false;
    }
    return c->id;
}

struct probe_want probe_wants(const struct probe *p, int64_t now_us)
{
    const struct probe_cluster *c = &p->cluster[p->last_id % PROBE_CLUSTERS];

    if (c->id == 0 || !c->sending) {
        return (struct probe_want){.again_us = INT64_MAX};
    }
    double a_us = c->target_bps / 8e6;
    double size = fmin(fmax((double)c->want_bytes / PROBE_PACKETS, PACKET_MIN), PACKET_MAX);
    double due = a_us * (double)(now_us - c->started_us) + size - c->sent_bytes;
    /* A turn that comes late must not send all at once: what leaves together measures nothing. */
    due = fmin(due, fmax(2 * size, 2 * BURST_US * a_us));
    double next = (double)c->sent_bytes / a_us;
    if (enough(c)) {
        due = now_us - c->started_us >= SPREAD_US ? size : 0;
        next = SPREAD_US;
    }
    return (struct probe_want){
        .bytes = due >= size / 2 ? (size_t)due : 0,
        .packet_bytes = (size_t)size,
        .again_us = c->started_us + (int64_t)fmin(next, SEND_UP_TO_US) + BURST_US,
    };
}

void probe_input(struct probe *p, const struct sent_news *news, int64_t arrived_us)
{
    struct probe_cluster *c = find(p, news->cluster);

    if (!c || c->judged || news->sent_us < c->began_us) { /* of another that had this number */
        return;
    }
    if (!news->received) {
        c->lost_packets++;
        return;
    }
    if (c->got_packets == 0) {
        c->first_sent_us = c->last_sent_us = news->sent_us;
        c->first_arrived_us = c->last_arrived_us = arrived_us;
        c->first_bytes = news->bytes;
        c->last_began_us = arrived_us;
    }
    if (news->sent_us > c->last_sent_us) {
        c->last_sent_us = news->sent_us;
        c->last_bytes = 0;
        c->last_began_us = arrived_us;
    }
    if (news->sent_us == c->last_sent_us) {
        c->last_bytes += news->bytes;
        c->last_began_us = arrived_us < c->last_began_us ? arrived_us : c->last_began_us;
    }
    if (arrived_us < c->first_arrived_us) {
        c->first_arrived_us = arrived_us;
        c->first_bytes = news->bytes;
    }
    c->last_arrived_us = arrived_us > c->last_arrived_us ? arrived_us : c->last_arrived_us;
    c->got_packets++;
    c->got_bytes += news->bytes;
}

/* The sending rate leaves out the last burst, the receiving rate the first packet: an interval has
 * one fewer of both than there are ends. */
static bool judge(const struct probe_cluster *c, struct probe_result *out)
{
    double sent_us = (double)(c->last_sent_us - c->first_sent_us);
    double arrived_us = (double)(c->last_arrived_us - c->first_arrived_us);

    if (c->got_packets < GOT_MIN || c->got_packets < GOT_SHARE * c->sent_packets ||
        c->got_bytes < GOT_SHARE * c->sent_bytes) {
        return false;
    }
    if (sent_us <= 0 || sent_us > GIVE_UP_US || arrived_us <= 0 || arrived_us > GIVE_UP_US) {
        return false;
    }
    double sent_bps = (c->got_bytes - c->last_bytes) * 8e6 / sent_us;
    double arrived_bps = (c->got_bytes - c->first_bytes) * 8e6 / arrived_us;
    if (arrived_bps > RATIO_MAX * sent_bps) {
        return false;
    }
    /* What was sent before the last burst took longer to come than to leave: bytes don't matter
     * here, which are unequal, nor does the time that the last burst, a train, takes. */
    double began_us = (double)(c->last_began_us - c->first_arrived_us);
    out->saturated = sent_us < UNSATURATED * began_us && arrived_bps < UNSATURATED * c->target_bps;
    out->bps = out->saturated ? USABLE * arrived_bps : fmin(sent_bps, arrived_bps);
    out->target_bps = c->target_bps;
    return true;
}

bool probe_poll(struct probe *p, int64_t now_us, struct probe_result *out)
{
    for (unsigned i = 0; i < PROBE_CLUSTERS; i++) {
        struct probe_cluster *c = &p->cluster[i];
        bool told = c->got_packets + c->lost_packets >= c->sent_packets ||
                    now_us - c->started_us > GIVE_UP_US / 2;
        if (c->id == 0 || c->judged || c->sending || !told) {
            continue;
        }
        if (judge(c, out)) {
            c->judged = true;
            p->succeeded++;
            p->retried = false;
            return true;
        }
        c->judged = c->got_packets + c->lost_packets >= c->sent_packets;
        if (c->judged && c->lost_packets == 0 && !p->retried) { /* it came, at odd times */
            p->hurry = p->retried = true;
        }
    }
    return false;
}

void probe_go_on(struct probe *p, const struct probe_result *r, const struct probe_state *s,
                 int64_t now_us)
{
    p->full = r->saturated && !r->gained;
    if (r->saturated || s->congested || !worth(s) || probe_busy(p) || p->then_bps > 0) {
        return;
    }
    if (r->bps >= FURTHER_SHARE * r->target_bps) {
        start(p, fmin(FURTHER_SCALE * r->bps, top(s)), now_us);
    }
}

int64_t probe_deadline(const struct probe *p, const struct probe_state *s)
{
    struct probe_want w = probe_wants(p, 0);

    if (w.again_us != INT64_MAX || s->congested || !worth(s)) {
        return w.again_us;
    }
    return ready_us(p, s);
}
