/* What /metrics says of calls. */
#include "lib/base/metrics.h"
#include "signaling/shell/call_shell.h"

METRIC_COUNTER_DEF(started, "sotto_calls_started_total", NULL, "Calls that were started.");
METRIC_GAUGE_DEF(ringing, "sotto_calls", "state=\"ringing\"", "Open calls.");
METRIC_GAUGE_DEF(active, "sotto_calls", "state=\"active\"", "Open calls.");
METRIC_GAUGE_DEF(unwritten, "sotto_call_writes_waiting", NULL,
                 "Writes of calls that wait for the database.");
METRIC_HIST_DEF(rung, "sotto_call_ring_seconds", NULL,
                "From call_start to its incoming_call on the callees' sockets.");

#define ENDED(reason, path)                                                                        \
    {                                                                                              \
        .name = "sotto_calls_ended_total", .help = "Calls that ended, by reason and path.",        \
        .labels = "reason=\"" reason "\",path=\"" path "\"", .kind = METRIC_COUNTER                \
    }
#define ENDED_BY(reason)                                                                           \
    {                                                                                              \
        ENDED(reason, "none"), ENDED(reason, "p2p"), ENDED(reason, "turn"), ENDED(reason, "sfu")   \
    }

static struct metric ended[][4] = {
    [CALL_MISSED] = ENDED_BY("missed"),
    [CALL_DECLINED] = ENDED_BY("declined"),
    [CALL_BUSY] = ENDED_BY("busy"),
    [CALL_CANCELLED] = ENDED_BY("cancelled"),
    [CALL_UNREACHABLE] = ENDED_BY("unreachable"),
    [CALL_FAILED] = ENDED_BY("failed"),
    [CALL_COMPLETED] = ENDED_BY("completed"),
};

void call_metrics_register(void)
{
    metric_register(&started);
    metric_register(&ringing);
    metric_register(&active);
    metric_register(&unwritten);
    metric_hist_register(&rung);
    for (int r = CALL_MISSED; r <= CALL_COMPLETED; r++) {
        for (int p = 0; p < 4; p++) {
            metric_register(&ended[r][p]);
        }
    }
}

void call_metrics_started(void)
{
    metric_add(&started, 1);
}

void call_metrics_ended(const struct call *c)
{
    if (c->reason != CALL_REASON_NONE) {
        metric_add(&ended[c->reason][c->path], 1);
    }
}

void call_metrics_rung(int64_t us)
{
    metric_observe_us(&rung, us);
}

void call_metrics_unwritten(size_t n)
{
    metric_set(&unwritten, (int64_t)n);
}

static void gauge(enum call_state s, int n)
{
    if (s == CALL_RINGING) {
        metric_add(&ringing, n);
    } else if (s == CALL_ACTIVE) {
        metric_add(&active, n);
    }
}

void call_metrics_gauges(struct call_entry *en)
{
    enum call_state now = en->call->state;
    if (now == en->shown) {
        return;
    }
    gauge(en->shown, -1);
    gauge(now, 1);
    en->shown = now;
}
