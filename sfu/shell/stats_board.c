#include "sfu/shell/stats_board.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/proto/control.h"
#include "sfu/shell/sfu_metrics.h"

#define FORGET_US (3 * STATS_ROUND_US)
#define WINDOW_US 10000000 /* of the quantiles */
#define MAX_KNOWN 100000   /* participants remembered; further ones have no rates */

/* Uthash compares it by its bytes: no padding may be inside. */
struct key {
    struct id room; /* 37 bytes */
    uint8_t worker[3];
    uint32_t participant;
};
_Static_assert(sizeof(struct key) == ID_LEN + 1 + 3 + 4, "no padding");

/* What was told of somebody last. */
struct known {
    struct key key;
    int64_t seen_us;
    size_t n_tracks;
    struct counters track[SDP_MAX_TRACKS];
    struct counters subscriber;
    UT_hash_handle hh;
};

struct board_worker {
    struct histogram transit, before; /* now, and when the window began */
    int64_t window_us;
    double p50_s, p99_s; /* of the last whole window */
    int64_t cpu_us, cpu_at_us;
    double busy; /* share of the last second or so */
};

struct stats_board {
    struct known *known;
    size_t n_workers; /* that were heard of */
    struct board_worker worker[STATS_BOARD_MAX_WORKERS];
    struct histogram estimate_kbps, rtt_ms, jitter_us;
};

struct stats_board *stats_board_new(void)
{
    return calloc(1, sizeof(struct stats_board));
}

static void forget(struct stats_board *b, struct known *k)
{
    HASH_DEL(b->known, k);
    free(k);
}

void stats_board_free(struct stats_board *b)
{
    struct known *k, *tmp;
    if (b) {
        HASH_ITER(hh, b->known, k, tmp)
        {
            forget(b, k);
        }
        free(b);
    }
}

void stats_board_tick(struct stats_board *b, int64_t now_us)
{
    struct known *k, *tmp;
    HASH_ITER(hh, b->known, k, tmp)
    {
        if (now_us - k->seen_us > FORGET_US) {
            forget(b, k);
        }
    }
}

/* ---- what was before ---- */

static struct known *recall(struct stats_board *b, size_t worker, const struct id *room,
                            uint32_t participant)
{
    struct key key;
    struct known *k;
    memset(&key, 0, sizeof key);
    key.room = *room;
    key.worker[0] = (uint8_t)worker;
    key.participant = participant;
    HASH_FIND(hh, b->known, &key, sizeof key, k);
    if (k || HASH_COUNT(b->known) >= MAX_KNOWN) {
        return k;
    }
    k = calloc(1, sizeof *k);
    if (k) {
        k->key = key;
        HASH_ADD(hh, b->known, key, sizeof k->key, k);
    }
    return k;
}

/* The growth of one counter, for the totals: a block that began anew counts from nothing. */
static void count_growth(enum sfu_metric m, const struct counters *now,
                         const struct counters *before, enum counter which)
{
    uint64_t from = before && before->n[which] <= now->n[which] ? before->n[which] : 0;
    if (now->n[which] > from) {
        sfu_count(m, (int64_t)(now->n[which] - from));
    }
}

static void count_track(const struct counters *now, const struct counters *before)
{
    count_growth(SFU_LOST_RECEIVED, now, before, COUNTER_LOST);
    count_growth(SFU_FREEZES, now, before, COUNTER_FREEZES);
}

static void count_subscriber(const struct counters *now, const struct counters *before)
{
    count_growth(SFU_LOST_SENT, now, before, COUNTER_LOST);
    count_growth(SFU_LAYER_SWITCHES, now, before, COUNTER_SWITCHES);
    count_growth(SFU_FREEZES, now, before, COUNTER_FREEZES);
    count_growth(SFU_PAUSES, now, before, COUNTER_PAUSES);
}

static void observe(struct histogram *h, int64_t value, int64_t unit)
{
    if (value >= 0) {
        histogram_record(h, value / unit);
    }
}

/* ---- the event ---- */

static void put_number(cJSON *o, const char *name, double v)
{
    if (v >= 0) {
        json_put(o, name, cJSON_CreateNumber(v));
    }
}

static void put_known(cJSON *o, const char *name, int64_t v)
{
    if (v >= 0) {
        json_put_int(o, name, v);
    }
}

static struct counters_view view_of(const struct counters *now, const struct counters *before,
                                    int64_t elapsed_us)
{
    struct counters_view v;
    struct counter_rates rates = {0};
    if (before) {
        counters_rates(now, before, elapsed_us, &rates);
    }
    counters_render(now, &rates, &v);
    return v;
}

static cJSON *track_json(const struct stats_track *t, const struct counters *before,
                         int64_t elapsed_us)
{
    struct counters_view v = view_of(&t->counters, before, elapsed_us);
    cJSON *o = json_new();
    json_put_str(o, "source", sdp_source_name(t->source));
    json_put_int(o, "packets", (int64_t)v.packets);
    json_put_int(o, "bytes", (int64_t)v.bytes);
    json_put_int(o, "lost", (int64_t)v.lost);
    put_number(o, "lossPercent", v.loss_percent);
    json_put_int(o, "bitrateKbps", v.bitrate_kbps);
    put_number(o, "jitterMs", v.jitter_ms);
    put_number(o, "rttMs", v.rtt_ms);
    json_put_int(o, "nacks", (int64_t)v.nacks);
    json_put_int(o, "plis", (int64_t)v.plis);
    if (t->height > 0) {
        json_put_int(o, "height", t->height);
    }
    if (v.frames > 0) {
        put_number(o, "framesPerSecond", v.fps);
        json_put_int(o, "freezes", (int64_t)v.freezes);
    }
    json_put_bool(o, "live", t->live);
    return o;
}

static cJSON *subscriber_json(const struct stats_subscriber *s, const struct counters *before,
                              int64_t elapsed_us)
{
    struct counters_view v = view_of(&s->sum, before, elapsed_us);
    cJSON *o = json_new();
    json_put_int(o, "packets", (int64_t)v.packets);
    json_put_int(o, "bytes", (int64_t)v.bytes);
    json_put_int(o, "resent", (int64_t)v.retransmits);
    put_number(o, "lossPercent", v.loss_percent);
    json_put_int(o, "bitrateKbps", v.bitrate_kbps);
    put_number(o, "jitterMs", v.jitter_ms);
    put_number(o, "rttMs", v.rtt_ms);
    put_known(o, "estimateKbps", v.estimate_kbps);
    json_put_int(o, "nacks", (int64_t)v.nacks);
    json_put_int(o, "plis", (int64_t)v.plis);
    json_put_int(o, "layerSwitches", (int64_t)v.switches);
    json_put_int(o, "slots", s->used);
    json_put_int(o, "pausedSlots", s->paused);
    return o;
}

static void add_tracks(struct stats_board *b, cJSON *o, const struct stats_part *part,
                       const struct stats_entry *e, const struct known *k)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < e->n_tracks; i++) {
        const struct stats_track *t = &part->track[e->first_track + i];
        const struct counters *before = k && i < k->n_tracks ? &k->track[i] : NULL;
        if (k) {
            count_track(&t->counters, before);
        }
        observe(&b->jitter_us, t->counters.jitter_us, 1);
        cJSON_AddItemToArray(list, track_json(t, before, k ? part->now_us - k->seen_us : 0));
    }
    json_put(o, "publish", list);
}

static void add_subscriber(struct stats_board *b, cJSON *o, const struct stats_part *part,
                           const struct stats_entry *e, const struct known *k)
{
    const struct counters *sum = &e->subscriber.sum;
    const struct counters *before = k && k->seen_us ? &k->subscriber : NULL;
    if (k) {
        count_subscriber(sum, before);
    }
    observe(&b->rtt_ms, sum->rtt_us, 1000);
    observe(&b->estimate_kbps, sum->estimate_bps, 1000);
    json_put(o, "subscribe",
             subscriber_json(&e->subscriber, before, k ? part->now_us - k->seen_us : 0));
}

static void remember(struct known *k, const struct stats_part *part, const struct stats_entry *e)
{
    k->seen_us = part->now_us;
    k->n_tracks = e->n_tracks < SDP_MAX_TRACKS ? e->n_tracks : SDP_MAX_TRACKS;
    for (size_t i = 0; i < k->n_tracks; i++) {
        k->track[i] = part->track[e->first_track + i].counters;
    }
    k->subscriber = e->subscriber.sum;
}

static cJSON *entry_json(struct stats_board *b, size_t worker, const struct stats_part *part,
                         const struct stats_entry *e)
{
    struct known *k = recall(b, worker, &part->room, e->participant);
    cJSON *o = json_new();
    json_put_int(o, "participant", e->participant);
    if (e->publishes) {
        add_tracks(b, o, part, e, k);
    }
    if (e->subscribes) {
        add_subscriber(b, o, part, e, k);
    }
    if (k) {
        remember(k, part, e);
    }
    return o;
}

char *stats_board_part(struct stats_board *b, size_t worker, const struct stats_part *part)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; list && i < part->n; i++) {
        cJSON_AddItemToArray(list, entry_json(b, worker, part, &part->entry[i]));
    }
    return list ? control_make_stats(part->room.s, list) : NULL;
}

/* ---- workers ---- */

static struct board_worker *worker_at(struct stats_board *b, size_t worker)
{
    if (worker >= STATS_BOARD_MAX_WORKERS) {
        return NULL;
    }
    b->n_workers = worker >= b->n_workers ? worker + 1 : b->n_workers;
    return &b->worker[worker];
}

void stats_board_sample(struct stats_board *b, size_t worker, const struct stats_sample *s,
                        int64_t now_us)
{
    struct board_worker *w = worker_at(b, worker);
    struct histogram window;
    if (!w) {
        return;
    }
    w->transit = s->transit;
    if (now_us - w->window_us < WINDOW_US) {
        return;
    }
    histogram_since(&window, &w->transit, &w->before);
    w->p50_s = (double)histogram_quantile(&window, 0.5) / 1e6;
    w->p99_s = (double)histogram_quantile(&window, 0.99) / 1e6;
    w->before = w->transit;
    w->window_us = now_us;
}

void stats_board_cpu(struct stats_board *b, size_t worker, int64_t cpu_us, int64_t now_us)
{
    struct board_worker *w = worker_at(b, worker);
    if (!w) {
        return;
    }
    if (w->cpu_at_us && now_us > w->cpu_at_us) {
        double busy = (double)(cpu_us - w->cpu_us) / (double)(now_us - w->cpu_at_us);
        w->busy = busy < 0 ? 0 : busy > 1 ? 1 : busy;
    }
    w->cpu_us = cpu_us;
    w->cpu_at_us = now_us;
}

/* ---- /metrics ---- */

struct shown {
    const char *name, *help;
    double unit;          /* of a histogram's 1, in what is shown */
    unsigned first, last; /* bounds are 2^first and 1.5 × that, …, 2^last */
};

static int show_bound(struct buf *out, const struct shown *s, const struct histogram *h,
                      uint64_t bound)
{
    return buf_printf(out, "%s_bucket{le=\"%.9g\"} %" PRIu64 "\n", s->name, (double)bound * s->unit,
                      histogram_below(h, bound));
}

/* Bounds are where buckets begin, so that what is shown is exact. */
static int show_histogram(struct buf *out, const struct shown *s, const struct histogram *h)
{
    int rc = buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", s->name, s->help, s->name);
    for (unsigned bit = s->first; rc == OK && bit <= s->last; bit++) {
        rc = show_bound(out, s, h, UINT64_C(1) << bit);
        if (rc == OK && bit < s->last) {
            rc = show_bound(out, s, h, UINT64_C(3) << (bit - 1));
        }
    }
    return rc ? rc
              : buf_printf(
                    out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.9g\n%s_count %" PRIu64 "\n",
                    s->name, h->count, s->name, (double)h->sum * s->unit, s->name, h->count);
}

static int show_transit(const struct stats_board *b, struct buf *out)
{
    static const struct shown shown = {
        .name = "sotto_sfu_transit_seconds",
        .help = "Time from a packet's arrival to its leaving, retransmissions not counted",
        .unit = 1e-6,
        .first = 3,
        .last = 18};
    struct histogram *all = calloc(1, sizeof *all);
    if (!all) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < b->n_workers; i++) {
        histogram_merge(all, &b->worker[i].transit);
    }
    int rc = show_histogram(out, &shown, all);
    free(all);
    return rc;
}

static int show_distributions(const struct stats_board *b, struct buf *out)
{
    static const struct shown estimate = {
        .name = "sotto_sfu_estimate_bits_per_second",
        .help = "What subscribers' links are thought to carry, each of them every 5 s",
        .unit = 1000,
        .first = 5,
        .last = 15};
    static const struct shown rtt = {.name = "sotto_sfu_rtt_seconds",
                                     .help = "Round trips to subscribers, each every 5 s",
                                     .unit = 1e-3,
                                     .first = 1,
                                     .last = 12};
    static const struct shown jitter = {.name = "sotto_sfu_jitter_seconds",
                                        .help = "Jitter of incoming tracks, each every 5 s",
                                        .unit = 1e-6,
                                        .first = 7,
                                        .last = 19};
    int rc = show_histogram(out, &estimate, &b->estimate_kbps);
    rc = rc ? rc : show_histogram(out, &rtt, &b->rtt_ms);
    return rc ? rc : show_histogram(out, &jitter, &b->jitter_us);
}

#define HEAD(name, type, help) "# HELP " name " " help "\n# TYPE " name " " type "\n"

static int show_quantiles(const struct stats_board *b, struct buf *out)
{
    static const char *const name = "sotto_sfu_worker_transit_seconds";
    int rc = buf_append_str(out, HEAD("sotto_sfu_worker_transit_seconds", "gauge",
                                      "Quantiles of the transit time of the last ten seconds"));
    for (size_t i = 0; rc == OK && i < b->n_workers; i++) {
        const struct board_worker *w = &b->worker[i];
        rc = buf_printf(out,
                        "%s{worker=\"%zu\",quantile=\"0.5\"} %.9g\n"
                        "%s{worker=\"%zu\",quantile=\"0.99\"} %.9g\n",
                        name, i, w->p50_s, name, i, w->p99_s);
    }
    return rc;
}

static int show_busy(const struct stats_board *b, struct buf *out)
{
    int rc = buf_append_str(out, HEAD("sotto_sfu_worker_busy_ratio", "gauge",
                                      "Share of the last second that the worker's thread ran"));
    for (size_t i = 0; rc == OK && i < b->n_workers; i++) {
        rc = buf_printf(out, "sotto_sfu_worker_busy_ratio{worker=\"%zu\"} %.3f\n", i,
                        b->worker[i].busy);
    }
    rc = rc ? rc
            : buf_append_str(out, HEAD("sotto_sfu_worker_cpu_seconds_total", "counter",
                                       "CPU time of the worker's thread"));
    for (size_t i = 0; rc == OK && i < b->n_workers; i++) {
        rc = buf_printf(out, "sotto_sfu_worker_cpu_seconds_total{worker=\"%zu\"} %.3f\n", i,
                        (double)b->worker[i].cpu_us / 1e6);
    }
    return rc;
}

int stats_board_render(const struct stats_board *b, struct buf *out)
{
    int rc = show_transit(b, out);
    rc = rc ? rc : show_distributions(b, out);
    rc = rc ? rc : show_quantiles(b, out);
    return rc ? rc : show_busy(b, out);
}
