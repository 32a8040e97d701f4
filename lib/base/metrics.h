/* Prometheus metrics (text format 0.0.4). Metrics are static objects that register themselves on
 * first use; updates are relaxed atomics and safe from any thread. */
#ifndef SOTTO_BASE_METRICS_H
#define SOTTO_BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/base/buf.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

/* Define with METRIC_COUNTER_DEF / METRIC_GAUGE_DEF at file scope. `labels` is the fixed label text
 * ("result=\"ok\"") or NULL; several metrics may share a name with different labels. */
struct metric {
    const char *name, *help, *labels;
    enum metric_kind kind;
    _Atomic int64_t value;
    _Atomic int registered;
    struct metric *next;
};
#define METRIC_COUNTER_DEF(var, name_, labels_, help_)                                             \
    static struct metric var = {                                                                   \
        .name = name_, .help = help_, .labels = labels_, .kind = METRIC_COUNTER}
#define METRIC_GAUGE_DEF(var, name_, labels_, help_)                                               \
    static struct metric var = {                                                                   \
        .name = name_, .help = help_, .labels = labels_, .kind = METRIC_GAUGE}

void metric_add(struct metric *m, int64_t n);
void metric_set(struct metric *m, int64_t v);
/* Registers without changing the value, so that it shows as 0 from the start. */
void metric_register(struct metric *m);

/* Histogram of seconds with fixed buckets 0.0005 … 10 (observed in microseconds). */
#define HIST_BUCKETS 14
struct metric_hist {
    const char *name, *help, *labels;
    _Atomic int64_t bucket[HIST_BUCKETS + 1];
    _Atomic int64_t count, sum_us;
    _Atomic int registered;
    struct metric_hist *next;
};
#define METRIC_HIST_DEF(var, name_, labels_, help_)                                                \
    static struct metric_hist var = {.name = name_, .help = help_, .labels = labels_}
void metric_observe_us(struct metric_hist *h, int64_t us);
void metric_hist_register(struct metric_hist *h);

/* Metrics that their owner writes himself, because their bounds or labels are his own: whole
 * families, with HELP and TYPE. They are called on the thread of metrics_render, behind all others,
 * and must not register or remove anything. */
struct metric_source {
    int (*render)(struct buf *out, void *arg); /* OK or an error of lib/base/err.h */
    void *arg;
    struct metric_source *next;
};
void metric_source_add(struct metric_source *s);
void metric_source_remove(struct metric_source *s); /* one that was never added is fine */

/* Writes every registered metric, grouped by name, with HELP and TYPE. */
int metrics_render(struct buf *out);

#endif
