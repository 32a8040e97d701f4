#include "sfu/shell/observer.h"

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/metrics.h"
#include "sfu/shell/stats_board.h"

#define TICK_US 1000000

struct observer {
    struct worker_set *workers;
    struct signald_link *link;
    struct loop_timer *timer;
    struct stats_board *board;
    struct debug_admin *admin;
    struct metric_source source;
};

static void take_part(struct observer *o, size_t worker, const struct stats_part *part)
{
    char *text = stats_board_part(o->board, worker, part);
    if (text) {
        signald_link_tell(o->link, text);
        free(text);
    }
}

static void take(struct observer *o, size_t worker, struct worker_data *data)
{
    switch (data->type) {
    case WORKER_DATA_STATS:
        take_part(o, worker, (const struct stats_part *)(const void *)data);
        break;
    case WORKER_DATA_SAMPLE:
        stats_board_sample(o->board, worker, (const struct stats_sample *)(const void *)data,
                           clock_mono_us());
        break;
    case WORKER_DATA_DUMP:
        debug_admin_take(o->admin, worker, data);
        return; /* it's the admin's now */
    }
    free(data);
}

static void on_data(void *arg, size_t worker)
{
    struct observer *o = arg;
    struct worker_data *data;
    while ((data = worker_take_data(worker_set_at(o->workers, worker)))) {
        take(o, worker, data);
    }
}

static void on_tick(void *arg)
{
    struct observer *o = arg;
    int64_t now_us = clock_mono_us();
    for (size_t i = 0; i < worker_set_count(o->workers); i++) {
        stats_board_cpu(o->board, i, worker_cpu_us(worker_set_at(o->workers, i)), now_us);
    }
    stats_board_tick(o->board, now_us);
    debug_admin_tick(o->admin, now_us);
}

static int render(struct buf *out, void *arg)
{
    const struct observer *o = arg;
    return stats_board_render(o->board, out);
}

int observer_new(struct observer **out, struct loop *l, struct signald_link *link,
                 const struct debug_options *options)
{
    struct observer *o = calloc(1, sizeof *o);
    if (!o) {
        return ERR_NOMEM;
    }
    o->workers = options->workers;
    o->link = link;
    o->board = stats_board_new();
    o->admin = debug_admin_new(options);
    o->timer = loop_timer_new(l, on_tick, o);
    if (!o->board || !o->admin || !o->timer) {
        observer_free(o);
        return ERR_NOMEM;
    }
    o->source = (struct metric_source){.render = render, .arg = o};
    metric_source_add(&o->source);
    loop_timer_start(o->timer, TICK_US, TICK_US);
    signald_link_observe(link, on_data, o);
    *out = o;
    return OK;
}

void observer_free(struct observer *o)
{
    if (!o) {
        return;
    }
    signald_link_observe(o->link, NULL, NULL);
    metric_source_remove(&o->source);
    if (o->timer) {
        loop_timer_free(o->timer);
    }
    debug_admin_free(o->admin);
    stats_board_free(o->board);
    free(o);
}

void observer_routes(struct observer *o, struct http_server *s)
{
    debug_admin_routes(o->admin, s);
}
