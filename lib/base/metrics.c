#include "lib/base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "lib/base/err.h"

/* The lists only grow, once a metric; the lock guards their links, never the values. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *metrics;
static struct metric_hist *hists;
static struct metric_source *sources;

static const int64_t bound_us[HIST_BUCKETS] = {500,     1000,    2500,    5000,    10000,
                                               25000,   50000,   100000,  250000,  500000,
                                               1000000, 2500000, 5000000, 10000000};
static const char *const bound_text[HIST_BUCKETS] = {"0.0005", "0.001", "0.0025", "0.005", "0.01",
                                                     "0.025",  "0.05",  "0.1",    "0.25",  "0.5",
                                                     "1",      "2.5",   "5",      "10"};

/* By name, then by labels: text of one name must stand together. */
static int order(const char *name_a, const char *labels_a, const char *name_b, const char *labels_b)
{
    int by_name = strcmp(name_a, name_b);

    return by_name ? by_name : strcmp(labels_a ? labels_a : "", labels_b ? labels_b : "");
}

void metric_register(struct metric *m)
{
    if (atomic_load_explicit(&m->registered, memory_order_acquire)) {
        return;
    }
    pthread_mutex_lock(&list_lock);
    if (!atomic_load_explicit(&m->registered, memory_order_relaxed)) {
        struct metric **at = &metrics;
        while (*at && order((*at)->name, (*at)->labels, m->name, m->labels) < 0) {
            at = &(*at)->next;
        }
        m->next = *at;
        *at = m;
        atomic_store_explicit(&m->registered, 1, memory_order_release);
    }
    pthread_mutex_unlock(&list_lock);
}

void metric_hist_register(struct metric_hist *h)
{
    if (atomic_load_explicit(&h->registered, memory_order_acquire)) {
        return;
    }
    pthread_mutex_lock(&list_lock);
    if (!atomic_load_explicit(&h->registered, memory_order_relaxed)) {
        struct metric_hist **at = &hists;
        while (*at && order((*at)->name, (*at)->labels, h->name, h->labels) < 0) {
            at = &(*at)->next;
        }
        h->next = *at;
        *at = h;
        atomic_store_explicit(&h->registered, 1, memory_order_release);
    }
    pthread_mutex_unlock(&list_lock);
}

void metric_add(struct metric *m, int64_t n)
{
    metric_register(m);
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t v)
{
    metric_register(m);
    atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

void metric_observe_us(struct metric_hist *h, int64_t us)
{
    int i = 0;

    metric_hist_register(h);
    while (i < HIST_BUCKETS && us > bound_us[i]) {
        i++;
    }
    atomic_fetch_add_explicit(&h->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, us > 0 ? us : 0, memory_order_relaxed);
}

void metric_source_add(struct metric_source *s)
{
    pthread_mutex_lock(&list_lock);
    s->next = sources;
    sources = s;
    pthread_mutex_unlock(&list_lock);
}

void metric_source_remove(struct metric_source *s)
{
    pthread_mutex_lock(&list_lock);
    struct metric_source **at = &sources;
    while (*at && *at != s) {
        at = &(*at)->next;
    }
    if (*at) {
        *at = s->next;
    }
    pthread_mutex_unlock(&list_lock);
}

static int render_head(struct buf *out, const char *last, const char *name, const char *help,
                       const char *type)
{
    if (last && strcmp(last, name) == 0) {
        return OK;
    }
    return buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help ? help : "", name, type);
}

static int render_metric(struct buf *out, const char *last, struct metric *m)
{
    const char *type = m->kind == METRIC_COUNTER ? "counter" : "gauge";
    int64_t v = atomic_load_explicit(&m->value, memory_order_relaxed);
    int rc = render_head(out, last, m->name, m->help, type);

    if (rc == OK && m->labels) {
        rc = buf_printf(out, "%s{%s} %" PRId64 "\n", m->name, m->labels, v);
    } else if (rc == OK) {
        rc = buf_printf(out, "%s %" PRId64 "\n", m->name, v);
    }
    return rc;
}

static int render_hist(struct buf *out, const char *last, struct metric_hist *h)
{
    const char *labels = h->labels ? h->labels : "";
    const char *comma = h->labels ? "," : "";
    const char *open = h->labels ? "{" : "", *close = h->labels ? "}" : "";
    int64_t sum_us = atomic_load_explicit(&h->sum_us, memory_order_relaxed);
    int64_t below = 0; /* buckets are cumulative; the total is theirs, so that one text agrees */
    int rc = render_head(out, last, h->name, h->help, "histogram");

    for (int i = 0; rc == OK && i <= HIST_BUCKETS; i++) {
        below += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        rc = buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRId64 "\n", h->name, labels, comma,
                        i < HIST_BUCKETS ? bound_text[i] : "+Inf", below);
    }
    if (rc == OK) {
        rc = buf_printf(out, "%s_sum%s%s%s %" PRId64 ".%06" PRId64 "\n%s_count%s%s%s %" PRId64 "\n",
                        h->name, open, labels, close, sum_us / 1000000, sum_us % 1000000, h->name,
                        open, labels, close, below);
    }
    return rc;
}

int metrics_render(struct buf *out)
{
    const char *last = NULL;
    int rc = OK;

    pthread_mutex_lock(&list_lock);
    for (struct metric *m = metrics; rc == OK && m; m = m->next) {
        rc = render_metric(out, last, m);
        last = m->name;
    }
    last = NULL;
    for (struct metric_hist *h = hists; rc == OK && h; h = h->next) {
        rc = render_hist(out, last, h);
        last = h->name;
    }
    for (struct metric_source *s = sources; rc == OK && s; s = s->next) {
        rc = s->render(out, s->arg);
    }
    pthread_mutex_unlock(&list_lock);
    return rc;
}
