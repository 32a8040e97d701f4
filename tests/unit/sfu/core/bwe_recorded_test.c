/* The estimator and the allocator on recorded links (tests/data/links): what sfud sent to a real
 * Chromium, and when it came out of a link that changed. Feedback is made of the arrivals as a
 * browser makes it; what the estimate then was, ten times a second, is held against the link. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "allocator_world.h"
#include "lib/proto/rtcp.h"
#include "sfu/core/bwe.h"
#include "sfu/core/twcc_recorder.h"

#define MOST_PACKETS 30000
#define MOST_SAMPLES 600
#define STEP_US      1000
#define BACK_US      20000 /* of feedback's way */
#define UNDER_WAY    8
#define WANTED_BPS   2500000
#define AUDIO_BPS    60000

struct sent {
    int64_t sent_us, came_us; /* came_us under 0: it was lost */
    uint16_t number, bytes;
};

struct change {
    int64_t at_us;
    double bps, loss; /* bps 0: no bottleneck */
};

struct feedback {
    int64_t at_us;
    size_t len;
    uint8_t data[1200];
};

struct sample {
    int64_t at_us;
    double target_bps, arrived_bps; /* arrived: in the last second */
};

static struct replay {
    struct bwe b;
    struct twcc_recorder recorder;
    size_t n, n_changes, n_samples, n_back;
    struct sent packet[MOST_PACKETS];
    const struct sent *came[MOST_PACKETS]; /* in order of arrival */
    struct change change[8];
    struct feedback back[UNDER_WAY];
    struct sample sample[MOST_SAMPLES];
    struct world world;
    int n_switches;
    uint16_t first; /* number of the recording's first packet */
} r;

/* ---- reading ---- */

static void read_line(const char *line)
{
    long long at, came = -1;
    unsigned number, bytes;
    double bps, loss;

    if (sscanf(line, "link,%lld,%lf,%lf", &at, &bps, &loss) == 3) {
        assert_true(r.n_changes < 8);
        r.change[r.n_changes++] = (struct change){at, bps, loss};
        return;
    }
    assert_true(sscanf(line, "%lld,%u,%u,%lld", &at, &number, &bytes, &came) >= 3);
    assert_true(r.n < MOST_PACKETS);
    r.packet[r.n++] = (struct sent){at, came, (uint16_t)number, (uint16_t)bytes};
}

/* Numbers wrap: by their distance from the first, which is less than one round. */
static int by_number(const void *a, const void *b)
{
    const struct sent *x = a, *y = b;
    return (uint16_t)(x->number - r.first) - (uint16_t)(y->number - r.first);
}

static int by_arrival(const void *a, const void *b)
{
    const struct sent *x = *(const struct sent *const *)a, *y = *(const struct sent *const *)b;
    return x->came_us < y->came_us ? -1 : x->came_us > y->came_us;
}

static size_t sort_arrivals(void)
{
    size_t n = 0;
    for (size_t i = 0; i < r.n; i++) {
        if (r.packet[i].came_us >= 0) {
            r.came[n++] = &r.packet[i];
        }
    }
    qsort(r.came, n, sizeof r.came[0], by_arrival);
    return n;
}

/* tests/data/links/<name>.csv; the working directory is the repository's. */
static void read_links(const char *name)
{
    char path[128], line[128];

    memset(&r, 0, sizeof r);
    snprintf(path, sizeof path, "tests/data/links/%s.csv", name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        read_line(line);
    }
    fclose(f);
    assert_true(r.n > 1000 && r.n_changes > 0);
    r.first = r.packet[0].number;
    qsort(r.packet, r.n, sizeof r.packet[0], by_number);
}

/* ---- playing ---- */

static void give_back(int64_t now_us)
{
    static struct twcc_status st[TWCC_MAX_PACKETS];
    struct twcc_feedback fb;
    struct rtcp_packet p;

    while (r.n_back > 0 && r.back[0].at_us <= now_us) {
        struct rtcp_iter it;
        rtcp_iter_init(&it, r.back[0].data, r.back[0].len);
        assert_int_equal(rtcp_next(&it, &p), 1);
        int n = twcc_parse(&fb, st, TWCC_MAX_PACKETS, &p);
        assert_true(n > 0);
        bwe_on_feedback(&r.b, &fb, st, (size_t)n, now_us);
        memmove(&r.back[0], &r.back[1], --r.n_back * sizeof r.back[0]);
    }
}

static void make_feedback(int64_t now_us)
{
    while (r.n_back < UNDER_WAY && twcc_recorder_deadline(&r.recorder) <= now_us) {
        struct feedback *f = &r.back[r.n_back];
        f->len = twcc_recorder_poll(&r.recorder, 1, f->data, sizeof f->data, now_us);
        f->at_us = now_us + BACK_US;
        if (f->len == 0) {
            break;
        }
        r.n_back++;
    }
}

/* What the allocator makes of the estimate for one camera in three sizes. */
static void share(void)
{
    struct world *w = &r.world;
    int64_t budget = (int64_t)(0.95 * (double)bwe_target_bps(&r.b)) - AUDIO_BPS;

    w->in.budget_bps = budget > 0 ? budget : 0;
    r.n_switches += world_run(w);
    assert_true(w->result.used_bps <= w->in.budget_bps);
}

static double rate_of(size_t from, size_t to)
{
    double bits = 0;
    for (size_t i = from; i < to; i++) {
        bits += 8.0 * r.came[i]->bytes;
    }
    return bits;
}

static void look(int64_t now_us, size_t *second, size_t arrived)
{
    while (*second < arrived && r.came[*second]->came_us < now_us - 1000000) {
        ++*second;
    }
    assert_true(r.n_samples < MOST_SAMPLES);
    r.sample[r.n_samples++] =
        (struct sample){now_us, (double)bwe_target_bps(&r.b), rate_of(*second, arrived)};
    bwe_set_wanted(&r.b, WANTED_BPS, now_us);
    share();
}

/* The number that the estimator gives to this packet: it begins with 1. */
static uint16_t own(const struct sent *p)
{
    return (uint16_t)(p->number - r.first + 1);
}

static void play(const char *name)
{
    size_t i = 0, arrived = 0, second = 0;

    read_links(name);
    size_t n_came = sort_arrivals();
    int64_t now = r.packet[0].sent_us, tick = now, next_look = now, end = r.packet[r.n - 1].sent_us;
    bwe_init(&r.b, &(struct bwe_config){0}, now);
    twcc_recorder_init(&r.recorder, 1);
    world_init(&r.world, 1, 0);
    for (; now < end; now += STEP_US) {
        for (; i < r.n && r.packet[i].sent_us <= now; i++) { /* what left but wasn't seen, too */
            while (bwe_on_sent(&r.b, r.packet[i].bytes, BWE_MEDIA, now) != own(&r.packet[i])) {
            }
        }
        for (; arrived < n_came && r.came[arrived]->came_us <= now; arrived++) {
            twcc_recorder_input(&r.recorder, own(r.came[arrived]), r.came[arrived]->came_us);
        }
        make_feedback(now);
        give_back(now);
        if (now >= tick) {
            tick = bwe_tick(&r.b, now);
        }
        if (now >= next_look) {
            look(now, &second, arrived);
            next_look += TICK_US;
        }
    }
}

/* ---- judging ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Of the samples between two times after a change of the link: what a share of them is below. */
static double quantile(size_t change, double from_s, double to_s, double q)
{
    static double v[MOST_SAMPLES];
    size_t n = 0;
    for (size_t i = 0; i < r.n_samples; i++) {
        double s = (double)(r.sample[i].at_us - r.change[change].at_us) / 1e6;
        if (s >= from_s && s < to_s) {
            v[n++] = r.sample[i].target_bps;
        }
    }
    assert_true(n >= 5);
    qsort(v, n, sizeof v[0], by_value);
    return v[(size_t)(q * (double)(n - 1))];
}

/* The estimate never starves what the link carried, all the while. */
static void check_carries(size_t change, double from_s, double to_s, double share_of)
{
    for (size_t i = 0; i < r.n_samples; i++) {
        double s = (double)(r.sample[i].at_us - r.change[change].at_us) / 1e6;
        if (s >= from_s && s < to_s) {
            assert_true(r.sample[i].target_bps >= share_of * r.sample[i].arrived_bps);
        }
    }
}

/* SOTTO_BWE_FIGURES: what the estimate was from 2 s on. */
static void tell_figures(const char *name)
{
    double sum = 0, lowest = INFINITY;
    size_t n = 0;

    for (size_t i = 0; i < r.n_samples; i++) {
        if (r.sample[i].at_us - r.change[0].at_us >= 2000000) {
            sum += r.sample[i].target_bps;
            lowest = fmin(lowest, r.sample[i].target_bps);
            n++;
        }
    }
    printf("| %s.csv | %.0f kbit/s | %.0f kbit/s |\n", name, sum / (double)n / 1e3, lowest / 1e3);
}

static void tell(const char *name)
{
    if (getenv("SOTTO_BWE_FIGURES")) {
        tell_figures(name);
    }
    for (size_t i = 0; i < r.n_samples && getenv("SOTTO_BWE_TRACE"); i += 5) {
        printf("%s %.1f s: target %.0f, arrived %.0f kbit/s\n", name,
               (double)(r.sample[i].at_us - r.change[0].at_us) / 1e6, r.sample[i].target_bps / 1e3,
               r.sample[i].arrived_bps / 1e3);
    }
}

/* A median within a share of the link, from so many seconds after its change to so many. */
static void check_band(size_t change, double from_s, double to_s, double low, double high)
{
    double link = r.change[change].bps, half = quantile(change, from_s, to_s, 0.5);
    if (half < low * link || half > high * link) {
        fail_msg("%.0f kbit/s on a link of %.0f", half / 1e3, link / 1e3);
    }
}

/* ---- the recordings ---- */

static void a_wide_link_starves_nobody(void **state)
{
    (void)state;
    play("wide");
    tell("wide");
    assert_int_equal(r.b.stats.overuses, 0);
    check_carries(0, 2, 10, 0.8);
    assert_true(quantile(0, 8, 10, 0) > 900000); /* it grows with what it carries */
    assert_in_range(r.n_switches, 1, 3);         /* and so does the picture, step by step */
}

static void five_percent_lost_starve_nobody(void **state)
{
    (void)state;
    play("lossy");
    tell("lossy");
    assert_true(r.b.stats.lost_packets > 50);
    check_carries(0, 2, 20, 1);
    assert_in_range(r.n_switches, 1, 3);
}

/* Ten seconds wide, ten of 500 kbit/s, ten wide. What was sent fits into the narrow link at first,
 * so that nothing tells the estimate of it; when a queue stands, it falls at once, and below the
 * link, for the queue to drain. */
static void a_link_that_narrows_is_found(void **state)
{
    (void)state;
    play("squeezed");
    tell("squeezed");
    assert_true(r.b.stats.overuses > 0);
    check_band(1, 6, 10, 0.6, 1.0);
    check_carries(1, 6, 10, 1);
    assert_true(quantile(2, 9, 10, 0.5) > 1.3 * quantile(1, 9, 10, 0.5)); /* wide again */
    assert_in_range(r.n_switches, 2, 6);
}

/* 1200 kbit/s, then 800. Little was sent until shortly before: the estimate falls by what comes
 * through, not by what came. */
static void a_megabit_is_met(void **state)
{
    (void)state;
    play("megabit");
    tell("megabit");
    check_band(0, 1, 10, 0.5, 1.1);
    check_band(1, 0.5, 1.5, 0.6, 0.9);
    check_band(1, 2, 10, 0.65, 0.9);
    assert_true(quantile(1, 0, 10, 0) > 0.6 * 800e3);
    assert_in_range(r.n_switches, 1, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_link_starves_nobody),
        cmocka_unit_test(five_percent_lost_starve_nobody),
        cmocka_unit_test(a_link_that_narrows_is_found),
        cmocka_unit_test(a_megabit_is_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
