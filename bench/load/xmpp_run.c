/* A run: warm-up, window, and the wait for what is still under way. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/load/xmpp_load.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

static double own_cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void tell(const char *what)
{
    cJSON *e = json_new();
    json_put_str(e, "ev", what);
    load_tell(e);
}

int run_begin(struct load *l, const cJSON *command)
{
    struct json_errors bad = {0};
    if (l->phase != LOAD_IDLE)
        return ERR_WRONG_STATE;
    l->rate = (double)json_int(command, "rate", JSON_OPTIONAL, 0, 1000000, 0, &bad);
    l->window = (int)json_int(command, "window", JSON_OPTIONAL, 1, 1000, 1, &bad);
    l->warmup_us = 1000 * json_int(command, "warmup_ms", JSON_OPTIONAL, 0, 600000, 500, &bad);
    l->window_us = 1000 * json_int(command, "ms", JSON_OPTIONAL, 1, 3600000, 2000, &bad);
    if (bad.n > 0)
        return ERR_INVALID;
    int64_t now_us = clock_mono_us();
    memset(l->flight, 0, sizeof(l->flight));
    l->phase = LOAD_WARMUP;
    l->phase_end_us = now_us + l->warmup_us;
    l->next_due_us = (double)now_us;
    l->mark_seq = UINT64_MAX;
    l->mark_us = INT64_MAX;
    if (l->mode == LOAD_RECOVERY)
        recovery_first(l);
    else if (l->rate == 0)
        send_first(l);
    else
        pace_set(l->rate);
    return OK;
}

static void mark(struct load *l, int64_t now_us)
{
    memset(&l->stats, 0, sizeof(l->stats));
    l->phase = LOAD_WINDOW;
    l->mark_us = now_us;
    l->mark_seq = l->seq;
    l->missing = 0;
    l->phase_end_us = now_us + l->window_us;
    l->mark_cpu = own_cpu_s();
    tell("marked");
}

static void end_window(struct load *l, int64_t now_us)
{
    l->phase = LOAD_DRAIN;
    l->window_took_us = now_us - l->mark_us;
    l->cpu_s = own_cpu_s() - l->mark_cpu;
    l->phase_end_us = now_us + DRAIN_US;
    pace_set(0);
    tell("window");
}

static void put_histogram(cJSON *into, const char *name, const struct histogram *h)
{
    static char text[16384];
    if (h->count > 0 && histogram_json(h, text, sizeof(text)) > 0)
        json_put(into, name, cJSON_CreateRaw(text));
}

/* Recoveries whose end the drain didn't see: what they haven't got by now is missing. */
static void give_up(struct load *l)
{
    for (int i = 0; i < l->clients; i++) {
        const struct user *u = &l->users[i];
        if (u->fetching && u->fetched < l->expect)
            l->stats.lost += (uint64_t)(l->expect - u->fetched);
    }
}

static void finish(struct load *l)
{
    cJSON *e = json_new(), *latency = json_new();
    l->phase = LOAD_IDLE;
    give_up(l);
    json_put_str(e, "ev", "done");
    cJSON_AddNumberToObject(e, "window_s", (double)l->window_took_us / 1e6);
    cJSON_AddNumberToObject(e, "cpu_s", l->cpu_s);
    json_put_int(e, "sent", (int64_t)l->stats.sent);
    json_put_int(e, "delivered", (int64_t)l->stats.delivered);
    json_put_int(e, "lost", (int64_t)(l->stats.lost + l->missing));
    json_put_int(e, "strangers", (int64_t)l->stats.strangers);
    json_put_int(e, "recoveries", (int64_t)l->stats.recoveries);
    cJSON_AddNumberToObject(e, "late_ms", (double)l->stats.late_max_us / 1000);
    put_histogram(latency, "delivery", &l->stats.delivery);
    put_histogram(latency, "ack", &l->stats.ack);
    put_histogram(latency, "recovery", &l->stats.recovery);
    json_put(e, "latency", latency);
    load_tell(e);
}

static bool is_quiet(const struct load *l)
{
    if (l->mode != LOAD_RECOVERY)
        return l->missing == 0;
    for (int i = 0; i < l->clients; i++)
        if (l->users[i].fetching)
            return false;
    return true;
}

void run_tick(void *arg)
{
    struct load *l = arg;
    int64_t now_us = clock_mono_us();
    bool over = now_us >= l->phase_end_us;
    if (l->phase == LOAD_WARMUP && over)
        mark(l, now_us);
    else if (l->phase == LOAD_WINDOW && over)
        end_window(l, now_us);
    else if (l->phase == LOAD_DRAIN && (over || is_quiet(l)))
        finish(l);
}
