/* What control makes of the workers' numbers: events with rates, totals, and text for /metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/proto/control.h"
#include "sfu/shell/debug_json.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/stats_board.h"

#define ROOM  "01890a5d-ac96-774b-bcce-b302099a8057"
#define START INT64_C(1000000000)

/* One participant with a camera and slots. */
static struct stats_part *part_of(uint32_t participant, int64_t now_us)
{
    struct stats_part *p = calloc(1, sizeof *p + sizeof p->entry[0] + sizeof *p->track);
    assert_non_null(p);
    p->data.type = WORKER_DATA_STATS;
    assert_int_equal(id_parse(&p->room, ROOM), OK);
    p->now_us = now_us;
    p->n = p->n_tracks = 1;
    p->track = (struct stats_track *)(void *)(p->entry + 1);
    p->track[0] = (struct stats_track){.source = SDP_SOURCE_CAMERA, .live = true, .height = 720};
    p->entry[0] = (struct stats_entry){
        .participant = participant, .publishes = true, .subscribes = true, .n_tracks = 1};
    counters_init(&p->track[0].counters);
    counters_init(&p->entry[0].subscriber.sum);
    return p;
}

static cJSON *event_of(struct stats_board *b, const struct stats_part *p)
{
    struct control_frame f;
    cJSON *o = NULL;
    char *text = stats_board_part(b, 0, p);
    assert_non_null(text);
    assert_int_equal(control_parse(&f, text, strlen(text), NULL, 0), OK); /* as signald reads it */
    assert_int_equal(f.type, CONTROL_STATS);
    control_free(&f);
    assert_int_equal(json_parse(&o, text, strlen(text)), OK);
    free(text);
    return o;
}

static const cJSON *first(const cJSON *event, const char *side)
{
    const cJSON *entry =
        cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(event, "participants"), 0);
    const cJSON *o = cJSON_GetObjectItemCaseSensitive(entry, side);
    return cJSON_IsArray(o) ? cJSON_GetArrayItem(o, 0) : o;
}

static double number(const cJSON *o, const char *name)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

static void rates_are_of_the_time_between_two_events(void **state)
{
    (void)state;
    struct stats_board *b = stats_board_new();
    struct stats_part *p = part_of(7, START);
    struct counters *up = &p->track[0].counters, *down = &p->entry[0].subscriber.sum;
    cJSON *e = event_of(b, p);
    assert_int_equal(number(first(e, "publish"), "bitrateKbps"), 0); /* nothing to compare with */
    assert_true(number(first(e, "subscribe"), "rttMs") < 0);         /* not known */
    cJSON_Delete(e);

    p->now_us += 5000000;
    up->n[COUNTER_PACKETS] = 950;
    up->n[COUNTER_LOST] = 50;
    up->n[COUNTER_BYTES] = 625000;
    up->jitter_us = 4200;
    down->n[COUNTER_BYTES] = 1250000;
    down->n[COUNTER_SWITCHES] = 3;
    down->rtt_us = 31400;
    down->estimate_bps = 1800000;
    down->fraction_lost = 65536 / 4;
    p->entry[0].subscriber.paused = 2;
    int64_t lost = sfu_metric_value(SFU_LOST_RECEIVED);
    int64_t switches = sfu_metric_value(SFU_LAYER_SWITCHES);
    e = event_of(b, p);
    assert_int_equal(number(first(e, "publish"), "bitrateKbps"), 1000);
    assert_float_equal(number(first(e, "publish"), "lossPercent"), 5, 0.01);
    assert_float_equal(number(first(e, "publish"), "jitterMs"), 4.2, 0.01);
    assert_int_equal(number(first(e, "publish"), "height"), 720);
    assert_int_equal(number(first(e, "subscribe"), "bitrateKbps"), 2000);
    assert_float_equal(number(first(e, "subscribe"), "lossPercent"), 25, 0.01);
    assert_float_equal(number(first(e, "subscribe"), "rttMs"), 31.4, 0.01);
    assert_int_equal(number(first(e, "subscribe"), "estimateKbps"), 1800);
    assert_int_equal(number(first(e, "subscribe"), "pausedSlots"), 2);
    cJSON_Delete(e);
    assert_int_equal(sfu_metric_value(SFU_LOST_RECEIVED) - lost, 50);
    assert_int_equal(sfu_metric_value(SFU_LAYER_SWITCHES) - switches, 3);

    /* He came anew: what he had is not taken off, and nothing is a rate. */
    p->now_us += 5000000;
    counters_init(up);
    counters_init(down);
    up->n[COUNTER_BYTES] = 1000;
    up->n[COUNTER_LOST] = 4;
    e = event_of(b, p);
    assert_int_equal(number(first(e, "publish"), "bitrateKbps"), 0);
    cJSON_Delete(e);
    assert_int_equal(sfu_metric_value(SFU_LOST_RECEIVED) - lost, 54);
    free(p);
    stats_board_free(b);
}

static void who_is_gone_is_forgotten(void **state)
{
    (void)state;
    struct stats_board *b = stats_board_new();
    struct stats_part *p = part_of(7, START);
    cJSON_Delete(event_of(b, p));
    p->now_us += 4 * STATS_ROUND_US;
    p->track[0].counters.n[COUNTER_BYTES] = 1000000;
    stats_board_tick(b, p->now_us);
    cJSON *e = event_of(b, p);
    assert_int_equal(number(first(e, "publish"), "bitrateKbps"), 0);
    cJSON_Delete(e);
    free(p);
    stats_board_free(b);
}

static char *rendered(const struct stats_board *b)
{
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(stats_board_render(b, &out), OK);
    char *text = strdup(buf_cstr(&out));
    buf_free(&out);
    return text;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("no \"%s\" in:\n%s", part, text);
    }
}

static void transit_times_of_all_workers_are_one_histogram(void **state)
{
    (void)state;
    struct stats_board *b = stats_board_new();
    struct stats_sample *s = calloc(1, sizeof *s);
    for (int i = 0; i < 1000; i++) {
        histogram_record(&s->transit, i < 980 ? 63 : 4096);
    }
    stats_board_sample(b, 0, s, START);
    memset(&s->transit, 0, sizeof s->transit);
    histogram_record_n(&s->transit, 64, 10);
    stats_board_sample(b, 2, s, START);
    stats_board_sample(b, 99999, s, START); /* there is no such worker */
    char *text = rendered(b);
    assert_has(text, "# TYPE sotto_sfu_transit_seconds histogram\n");
    assert_has(text, "sotto_sfu_transit_seconds_bucket{le=\"4.8e-05\"} 0\n");
    assert_has(text, "sotto_sfu_transit_seconds_bucket{le=\"6.4e-05\"} 980\n");
    assert_has(text, "sotto_sfu_transit_seconds_bucket{le=\"9.6e-05\"} 990\n");
    assert_has(text, "sotto_sfu_transit_seconds_bucket{le=\"0.004096\"} 990\n");
    assert_has(text, "sotto_sfu_transit_seconds_bucket{le=\"0.006144\"} 1010\n");
    assert_has(text, "sotto_sfu_transit_seconds_bucket{le=\"+Inf\"} 1010\n");
    assert_has(text, "sotto_sfu_transit_seconds_count 1010\n");
    assert_has(text, "sotto_sfu_worker_transit_seconds{worker=\"0\",quantile=\"0.99\"} 0.004");
    free(text);
    /* Quantiles are of the last ten seconds: what was slow before is no longer in them. */
    histogram_record_n(&s->transit, 30, 1000);
    stats_board_sample(b, 2, s, START + 10000000);
    text = rendered(b);
    assert_has(text, "sotto_sfu_worker_transit_seconds{worker=\"2\",quantile=\"0.99\"} 3e-05\n");
    free(text);
    free(s);
    stats_board_free(b);
}

static void busy_shares(void **state)
{
    (void)state;
    struct stats_board *b = stats_board_new();
    stats_board_cpu(b, 1, 500000, START);
    stats_board_cpu(b, 1, 750000, START + 1000000);
    stats_board_cpu(b, 64, 750000, START + 1000000); /* there is no such worker */
    char *text = rendered(b);
    assert_has(text, "sotto_sfu_worker_busy_ratio{worker=\"0\"} 0.000\n");
    assert_has(text, "sotto_sfu_worker_busy_ratio{worker=\"1\"} 0.250\n");
    assert_has(text, "sotto_sfu_worker_cpu_seconds_total{worker=\"1\"} 0.750\n");
    free(text);
    stats_board_free(b);
}

static void addresses_are_masked(void **state)
{
    (void)state;
    char out[80];
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(5000)};
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.77", &a.sin6_addr), 1);
    debug_address(out, sizeof out, &a, false);
    assert_string_equal(out, "192.0.2.0/24");
    debug_address(out, sizeof out, &a, true);
    assert_string_equal(out, "192.0.2.77:5000");
    assert_int_equal(inet_pton(AF_INET6, "2001:db8:aa:bbcc:1:2:3:4", &a.sin6_addr), 1);
    debug_address(out, sizeof out, &a, false);
    assert_string_equal(out, "2001:db8:aa:bb00::/56");
    debug_address(out, sizeof out, &a, true);
    assert_string_equal(out, "[2001:db8:aa:bbcc:1:2:3:4]:5000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_of_the_time_between_two_events),
        cmocka_unit_test(who_is_gone_is_forgotten),
        cmocka_unit_test(transit_times_of_all_workers_are_one_histogram),
        cmocka_unit_test(busy_shares),
        cmocka_unit_test(addresses_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
