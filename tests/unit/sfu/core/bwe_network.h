/* A network in the process: flows (source, pacer, estimator, receiver with its own clock that makes
 * real transport-wide feedback) over one bottleneck with a tail-drop queue, delay, jitter, random
 * loss, cross traffic and a lossy way back. Steps of 1 ms, everything by seeded chance. */
#ifndef SOTTO_TEST_BWE_NETWORK_H
#define SOTTO_TEST_BWE_NETWORK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/proto/rtcp.h"
#include "lib/proto/twcc.h"
#include "sfu/core/bwe.h"
#include "sfu/core/pacer.h"
#include "sfu/core/twcc_recorder.h"

#define NET_FLOWS    2
#define NET_FLIGHT   16384 /* packets on the way, at most */
#define NET_FEEDBACK 256
#define NET_PACKET   1200
#define NET_CROSS    NET_FLOWS /* the flow number of cross traffic */
#define STEP_US      1000
#define NET_WAITING  4 /* feedbacks that wait for each other, as in sfu/shell/rtcp_wait.h, */
#define NET_WAIT_US  200000

struct net_packet {
    int64_t leaves_us; /* the bottleneck */
    int64_t arrives_us;
    uint16_t seq;
    uint16_t bytes;
    uint8_t flow;
};

struct net_feedback {
    int64_t arrives_us;
    size_t len;
    uint8_t flow;
    uint8_t data[1200];
};

struct flow {
    bool on;
    struct bwe bwe;
    bool calm; /* they may */
    size_t n_waiting;
    uint64_t waited;
    struct net_feedback waiting[NET_WAITING]; /* arrives_us: when it came */
    struct pacer pacer;
    struct twcc_recorder recorder;
    double source_max_bps; /* the encoder, or the sum of layers, never sends more */
    double source_min_bps;
    const double *layers; /* simulcast: rates to choose from, ascending, 0 at the end; or NULL */
    double wanted_bps;
    int64_t tick_us, frame_us, audio_us, probe_us;
    size_t queue; /* bytes that the pacer holds */
    int64_t queue_since_us;
    double skew; /* of the receiver's clock */
    uint64_t delivered_bytes;
    int64_t worst_wait_us; /* in the pacer's queue */
};

struct net {
    int64_t now_us;
    double capacity_bps;
    int64_t queue_max_us; /* of the bottleneck, in time at its capacity */
    int64_t delay_us;     /* each way */
    int64_t jitter_us;
    double loss, feedback_loss;
    bool waits;                 /* feedback waits where bwe_is_calm */
    int64_t feedback_jitter_us; /* reorders feedback */
    double cross_bps;
    int64_t cross_us;
    int64_t busy_until_us;
    int64_t last_arrival_us[NET_FLOWS + 1];
    struct flow flow[NET_FLOWS];
    struct net_packet packet[NET_FLIGHT];
    size_t first, count;
    struct net_feedback feedback[NET_FEEDBACK];
    size_t feedbacks;
    uint32_t seed;
    uint64_t dropped;
    /* what was measured since net_measure */
    int64_t since_us;
    double queue_sum_us;
    int64_t queue_worst_us;
    uint64_t steps;
    FILE *trace;
};

/* What SOTTO_BWE_FIGURES prints of a test: over many seeds and all their time but the first 5 s.
 * Bounds are counted then where they are missed, not held. */
struct net_figures {
    const char *name;
    double could_bits, got_bits, lowest_bps;
    uint64_t steps, waited_ms[512];
    unsigned out; /* bounds missed */
};

static struct net net;
static struct net_figures net_figures;

static double chance(struct net *n)
{
    n->seed = n->seed * 1664525u + 1013904223u;
    return (double)(n->seed >> 8) / (1 << 24);
}

static bool net_tells(void)
{
    return getenv("SOTTO_BWE_FIGURES") != NULL;
}

static void net_tell(void)
{
    struct net_figures *f = &net_figures;
    uint64_t below = 0;
    int p95 = 0;

    if (f->steps > 0 && net_tells()) {
        while (p95 < 511 && (below += f->waited_ms[p95]) < 0.95 * (double)f->steps) {
            p95++;
        }
        printf("| %s | %.1f %% | %d ms | %.0f kbit/s | %u |\n", f->name,
               100 * f->got_bits / f->could_bits, p95, f->lowest_bps / 1000, f->out);
    }
    memset(f, 0, sizeof *f);
    f->lowest_bps = INFINITY;
}

static void net_of_test(const char *name)
{
    if (!net_figures.name || strcmp(net_figures.name, name) != 0) {
        net_tell();
        net_figures.name = name;
    }
}

static void net_figure(const struct net *n, int64_t wait_us)
{
    struct net_figures *f = &net_figures;

    if (n->now_us < 10000000) {
        return;
    }
    f->could_bits += fmax(n->capacity_bps - n->cross_bps, 0) * STEP_US / 1e6;
    f->lowest_bps = fmin(f->lowest_bps, (double)bwe_target_bps(&n->flow[0].bwe));
    f->waited_ms[wait_us / 1000 < 511 ? wait_us / 1000 : 511]++;
    f->steps++;
}

/* 2.5 Mbit/s, 30 ms each way, 300 ms of queue. */
static void net_init(struct net *n, uint32_t seed)
{
    memset(n, 0, sizeof *n);
    n->seed = seed * 2654435761u + 1;
    n->now_us = 5000000;
    n->capacity_bps = 2.5e6;
    n->queue_max_us = 300000;
    n->delay_us = 30000;
}

static struct flow *net_flow(struct net *n, unsigned i, double max_bps)
{
    struct flow *f = &n->flow[i];
    struct bwe_config cfg = {.start_bps = 300000, .min_bps = 60000, .max_bps = 20000000};

    *f = (struct flow){.on = true, .source_max_bps = max_bps, .wanted_bps = max_bps};
    bwe_init(&f->bwe, &cfg, n->now_us);
    pacer_init(&f->pacer);
    twcc_recorder_init(&f->recorder, 1);
    f->frame_us = f->audio_us = f->tick_us = n->now_us;
    f->probe_us = INT64_MAX;
    return f;
}

/* Into the bottleneck's queue, or dropped. */
static void net_send(struct net *n, unsigned flow, uint16_t seq, size_t bytes)
{
    int64_t wait_us = n->busy_until_us > n->now_us ? n->busy_until_us - n->now_us : 0;

    if (wait_us > n->queue_max_us || n->count == NET_FLIGHT) {
        n->dropped++;
        return;
    }
    int64_t from_us = n->now_us + wait_us;
    n->busy_until_us = from_us + (int64_t)((double)bytes * 8e6 / n->capacity_bps);
    bool lost = chance(n) < n->loss;
    int64_t at_us = n->busy_until_us + n->delay_us + (int64_t)((double)n->jitter_us * chance(n));
    if (at_us < n->last_arrival_us[flow]) { /* jitter delays, it doesn't reorder */
        at_us = n->last_arrival_us[flow];
    }
    n->last_arrival_us[flow] = at_us;
    if (lost || flow == NET_CROSS) {
        n->dropped += lost;
        return;
    }
    n->packet[(n->first + n->count++) % NET_FLIGHT] =
        (struct net_packet){n->busy_until_us, at_us, seq, (uint16_t)bytes, (uint8_t)flow};
}

static void flow_send(struct net *n, unsigned i, size_t bytes, enum bwe_kind kind,
                      enum pacer_kind paced)
{
    struct flow *f = &n->flow[i];
    uint16_t seq = bwe_on_sent(&f->bwe, bytes, kind, n->now_us);

    if (paced != PACER_VIDEO || f->queue > 0) {
        pacer_sent(&f->pacer, bytes, n->now_us);
    }
    net_send(n, i, seq, bytes);
}

static void flow_send_train(struct net *n, unsigned i, size_t bytes)
{
    while (bytes > 0) {
        size_t one = bytes > NET_PACKET ? NET_PACKET : bytes;
        flow_send(n, i, one, BWE_MEDIA, PACER_VIDEO);
        bytes -= one;
    }
}

static double source_bps(const struct flow *f)
{
    double target = (double)bwe_target_bps(&f->bwe) - 40000; /* audio first */
    double bps = fmax(fmin(target, f->source_max_bps), f->source_min_bps);

    if (f->layers) {
        bps = 0;
        for (const double *l = f->layers; *l > 0; l++) {
            bps = *l <= target ? *l : bps;
        }
    }
    return bps;
}

static void flow_video(struct net *n, unsigned i)
{
    struct flow *f = &n->flow[i];
    size_t bytes = (size_t)(source_bps(f) / 30 / 8 * (0.8 + 0.4 * chance(n)));

    f->frame_us += 32333 + (int64_t)(2000 * chance(n)); /* 30 a second, in no step with others */
    if (bytes == 0) {
        return;
    }
    if (pacer_pass(&f->pacer, bytes, n->now_us)) {
        flow_send_train(n, i, bytes);
        return;
    }
    f->queue_since_us = f->queue == 0 ? n->now_us : f->queue_since_us;
    f->queue += bytes;
    pacer_queued(&f->pacer, f->queue, f->queue_since_us, n->now_us);
}

static void flow_drain(struct net *n, unsigned i)
{
    struct flow *f = &n->flow[i];

    while (f->queue > 0 && pacer_next(&f->pacer, n->now_us) <= n->now_us) {
        size_t budget = pacer_budget(&f->pacer, PACER_VIDEO, n->now_us);
        size_t one = f->queue > NET_PACKET ? NET_PACKET : f->queue;
        if (budget == 0) {
            break;
        }
        flow_send(n, i, one, BWE_MEDIA, PACER_VIDEO);
        int64_t waited_us = n->now_us - f->queue_since_us;
        f->worst_wait_us = waited_us > f->worst_wait_us ? waited_us : f->worst_wait_us;
        f->queue -= one;
        pacer_queued(&f->pacer, f->queue, f->queue_since_us, n->now_us);
    }
}

static void flow_pad(struct net *n, unsigned i)
{
    struct flow *f = &n->flow[i];
    struct probe_want w = bwe_probe_wants(&f->bwe, n->now_us);

    for (size_t sent = 0; sent < w.bytes; sent += w.packet_bytes) {
        flow_send(n, i, w.packet_bytes, BWE_PADDING, PACER_PADDING);
    }
}

static void flow_step(struct net *n, unsigned i)
{
    struct flow *f = &n->flow[i];

    if (n->now_us >= f->audio_us) {
        f->audio_us += 20000;
        flow_send(n, i, 100, BWE_MEDIA, PACER_AUDIO);
    }
    if (n->now_us >= f->frame_us) {
        flow_video(n, i);
    }
    flow_drain(n, i);
    bwe_set_wanted(&f->bwe, (int64_t)f->wanted_bps, n->now_us);
    if (n->now_us >= f->tick_us) {
        f->tick_us = bwe_tick(&f->bwe, n->now_us);
        f->calm = n->waits && bwe_is_calm(&f->bwe, n->now_us);
    }
    flow_pad(n, i);
    pacer_set_target(&f->pacer, bwe_target_bps(&f->bwe));
}

static void net_deliver(struct net *n)
{
    while (n->count > 0 && n->packet[n->first].arrives_us <= n->now_us) {
        struct net_packet *p = &n->packet[n->first];
        struct flow *f = &n->flow[p->flow];
        int64_t at_us = (int64_t)((double)p->arrives_us * (1 + f->skew)) + 77000000;
        twcc_recorder_input(&f->recorder, p->seq, at_us);
        f->delivered_bytes += p->bytes;
        net_figures.got_bits += n->now_us < 10000000 ? 0 : 8.0 * p->bytes;
        n->first = (n->first + 1) % NET_FLIGHT;
        n->count--;
    }
}

static void flow_answer(struct net *n, unsigned i)
{
    struct flow *f = &n->flow[i];
    int64_t at_us = (int64_t)((double)n->now_us * (1 + f->skew)) + 77000000;
    uint8_t data[1200];
    size_t len;

    while ((len = twcc_recorder_poll(&f->recorder, 2, data, sizeof data, at_us)) > 0) {
        if (chance(n) < n->feedback_loss || n->feedbacks == NET_FEEDBACK) {
            continue;
        }
        struct net_feedback *fb = &n->feedback[n->feedbacks++];
        fb->arrives_us =
            n->now_us + n->delay_us + (int64_t)((double)n->feedback_jitter_us * chance(n));
        fb->flow = (uint8_t)i;
        fb->len = len;
        memcpy(fb->data, data, len);
    }
}

static void give_feedback(struct net *n, const struct net_feedback *f, int64_t came_us)
{
    static struct twcc_status st[2048];
    struct flow *flow = &n->flow[f->flow];
    struct twcc_feedback fb;
    struct rtcp_iter it;
    struct rtcp_packet p;

    rtcp_iter_init(&it, f->data, f->len);
    while (rtcp_next(&it, &p) == 1) {
        int got = twcc_parse(&fb, st, 2048, &p);
        if (got > 0) {
            bwe_on_feedback(&flow->bwe, &fb, st, (size_t)got, came_us);
        }
    }
    flow->calm = n->waits && bwe_is_calm(&flow->bwe, came_us);
}

static void give_waiting(struct net *n, struct flow *f)
{
    for (size_t i = 0; i < f->n_waiting; i++) {
        give_feedback(n, &f->waiting[i], f->waiting[i].arrives_us);
    }
    f->n_waiting = 0;
}

static void net_came(struct net *n, const struct net_feedback *fb)
{
    struct flow *f = &n->flow[fb->flow];
    if (f->calm && f->n_waiting < NET_WAITING) {
        f->waiting[f->n_waiting] = *fb;
        f->waiting[f->n_waiting++].arrives_us = n->now_us;
        f->waited++;
        return;
    }
    give_waiting(n, f);
    give_feedback(n, fb, n->now_us);
}

static void net_return(struct net *n)
{
    for (size_t i = 0; i < n->feedbacks;) {
        if (n->feedback[i].arrives_us > n->now_us) {
            i++;
            continue;
        }
        net_came(n, &n->feedback[i]);
        n->feedback[i] = n->feedback[--n->feedbacks];
    }
    for (unsigned i = 0; i < NET_FLOWS; i++) {
        struct flow *f = &n->flow[i];
        if (f->n_waiting > 0 && n->now_us - f->waiting[0].arrives_us >= NET_WAIT_US) {
            give_waiting(n, f);
        }
    }
}

static void net_cross(struct net *n)
{
    if (n->cross_bps <= 0) {
        n->cross_us = n->now_us;
        return;
    }
    while (n->cross_us <= n->now_us) {
        net_send(n, NET_CROSS, 0, NET_PACKET);
        n->cross_us += (int64_t)(NET_PACKET * 8e6 / n->cross_bps * (0.5 + chance(n)));
    }
}

static void net_record(struct net *n)
{
    int64_t wait_us = n->busy_until_us > n->now_us ? n->busy_until_us - n->now_us : 0;

    n->queue_sum_us += (double)wait_us;
    n->queue_worst_us = wait_us > n->queue_worst_us ? wait_us : n->queue_worst_us;
    n->steps++;
    net_figure(n, wait_us);
    if (n->trace && n->now_us % 100000 == 0) {
        struct bwe *b = &n->flow[0].bwe;
        fprintf(n->trace, "%.1f,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%d,%.3f,%.1f\n",
                (double)n->now_us / 1e6 - 5, n->capacity_bps, (double)bwe_target_bps(b),
                b->rate.bps, fmin(b->loss.limit_bps, 2e7), b->acked.bps,
                (double)bwe_target_bps(&n->flow[1].bwe), b->delay.usage, b->loss.average,
                (double)wait_us / 1000);
    }
}

static void net_run(struct net *n, double seconds)
{
    int64_t end_us = n->now_us + (int64_t)(seconds * 1e6);

    for (; n->now_us < end_us; n->now_us += STEP_US) {
        net_cross(n);
        for (unsigned i = 0; i < NET_FLOWS; i++) {
            if (n->flow[i].on) {
                flow_step(n, i);
                flow_answer(n, i);
            }
        }
        net_deliver(n);
        net_return(n);
        net_record(n);
    }
}

/* Begins to measure: delivered bytes and the bottleneck's queue. */
static void net_measure(struct net *n)
{
    n->since_us = n->now_us;
    n->queue_sum_us = 0;
    n->queue_worst_us = 0;
    n->steps = 0;
    for (unsigned i = 0; i < NET_FLOWS; i++) {
        n->flow[i].delivered_bytes = 0;
        n->flow[i].worst_wait_us = 0;
    }
}

static double net_got_bps(const struct net *n, unsigned flow)
{
    return (double)n->flow[flow].delivered_bytes * 8e6 / (double)(n->now_us - n->since_us);
}

static double net_queue_ms(const struct net *n)
{
    return n->steps > 0 ? n->queue_sum_us / (double)n->steps / 1000 : 0;
}

#endif
