/* churn: pairs of users call each other over open sockets, open loop. Users 2k and 2k + 1 are a
 * pair.
 *   {"op":"calls","rate":n,"seconds":s} → {"ev":"called", …} when the last call has ended
 * A call's life: call_start → incoming_call at the callee, who says call_ringing and accept_call →
 * call_accepted at the caller, who hangs up → call_ended at both, live and then durable, which each
 * acknowledges by `ack`. A call that is due while all pairs are in calls waits, and its times count
 * from when it was due. What doesn't end within 10 s is lost, and its pair is not used again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/ws.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

enum { TURN_US = 1000, PATIENCE_US = 10000000 };

enum step { FREE, STARTING, RINGING, ENDING, LOST };

struct pair {
    struct peer *caller, *callee;
    enum step step;
    struct id call;
    int64_t due_us, accepted_us;
    int ended; /* durable call_ended seen, of 2 */
    struct pair *next;
};

struct churn {
    struct loop_timer *timer;
    struct pair *pairs;
    struct pair *free, *free_last; /* those that may be used: who has rested longest comes first, so
                                      that none speaks faster than a person's limits allow */
    int n, under_way;
    double rate;
    int64_t next_us, until_us;
    bool on;
    uint64_t started, rang, accepted, ended, refused, lost, waited;
    struct histogram ring, accept, whole;
};

static struct churn *of(const struct run *r)
{
    return r->own;
}

static cJSON *with_call(const struct pair *pr)
{
    cJSON *o = json_new();
    json_put_str(o, "callId", pr->call.s);
    return o;
}

static void put_free(struct churn *c, struct pair *pr)
{
    pr->step = FREE;
    pr->next = NULL;
    if (c->free)
        c->free_last->next = pr;
    else
        c->free = pr;
    c->free_last = pr;
}

static void release(struct churn *c, struct pair *pr)
{
    put_free(c, pr);
    c->under_way--;
}

/* ---- a call's life ---- */

static void start_call(struct run *r, int64_t due_us)
{
    struct churn *c = of(r);
    struct pair *pr = c->free;
    c->free = pr->next;
    c->under_way++;
    c->started++;
    *pr = (struct pair){
        .caller = pr->caller, .callee = pr->callee, .step = STARTING, .due_us = due_us};
    cJSON *data = json_new();
    json_put_str(data, "userId", pr->callee->name);
    json_put_str(data, "media", "audio");
    json_put_str(data, "mode", "p2p");
    if (peer_send(pr->caller, "call_start", "s", data) != OK) {
        c->lost++;
        pr->step = LOST;
        c->under_way--;
    }
}

static void on_incoming(struct peer *p, struct pair *pr, const cJSON *data)
{
    struct churn *c = of(p->run);
    const char *id = run_text(data, "callId", "");
    if (p != pr->callee || pr->step != STARTING || id_parse(&pr->call, id) != OK)
        return;
    pr->step = RINGING;
    c->rang++;
    histogram_add(&c->ring, clock_mono_us() - pr->due_us);
    cJSON *accept = with_call(pr);
    json_put_str(accept, "media", "audio");
    (void)peer_send(p, "call_ringing", "r", with_call(pr));
    pr->accepted_us = clock_mono_us();
    (void)peer_send(p, "accept_call", "a", accept);
}

static void on_accepted(struct peer *p, struct pair *pr)
{
    struct churn *c = of(p->run);
    if (p != pr->caller || pr->step != RINGING)
        return;
    pr->step = ENDING;
    c->accepted++;
    histogram_add(&c->accept, clock_mono_us() - pr->accepted_us);
    (void)peer_send(p, "hang_up", "h", with_call(pr));
}

/* The durable one has a cursor; the live one, sooner, hasn't. */
static void on_ended(struct peer *p, struct pair *pr, const cJSON *frame, const cJSON *data)
{
    struct churn *c = of(p->run);
    double cursor = run_number(frame, "cursor", 0);
    if (cursor <= 0 || strcmp(run_text(data, "callId", ""), pr->call.s) != 0 || pr->step == FREE)
        return;
    cJSON *ack = json_new();
    json_put_int(ack, "cursor", (int64_t)cursor);
    (void)peer_send(p, "ack", "k", ack);
    if (++pr->ended < 2 || pr->step != ENDING)
        return;
    c->ended++;
    histogram_add(&c->whole, clock_mono_us() - pr->due_us);
    release(c, pr);
}

static void on_reply(struct peer *p, struct pair *pr, const cJSON *frame)
{
    struct churn *c = of(p->run);
    if (!cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(frame, "ok")) || pr->step == FREE ||
        pr->step == LOST)
        return;
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(frame, "error");
    c->refused++;
    if (c->refused <= 5)
        run_error(p->run, run_text(error, "code", "refused"));
    if (pr->step == STARTING) /* there is no call */
        release(c, pr);
}

static void on_frame(struct peer *p, const char *type, const cJSON *frame)
{
    struct pair *pr = p->mode;
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(frame, "data");
    if (!pr)
        return;
    if (strcmp(type, "reply") == 0)
        on_reply(p, pr, frame);
    else if (strcmp(type, "incoming_call") == 0)
        on_incoming(p, pr, data);
    else if (strcmp(type, "call_accepted") == 0)
        on_accepted(p, pr);
    else if (strcmp(type, "call_ended") == 0)
        on_ended(p, pr, frame, data);
}

/* ---- the clock ---- */

static void give_up_late(struct churn *c, int64_t now)
{
    for (int i = 0; i < c->n; i++) {
        struct pair *pr = &c->pairs[i];
        if (pr->step == FREE || pr->step == LOST || now - pr->due_us < PATIENCE_US)
            continue;
        pr->step = LOST;
        c->lost++;
        c->under_way--;
    }
}

/* Between two calls. */
static int64_t step_us(const struct churn *c)
{
    int64_t us = (int64_t)(1e6 / c->rate);
    return us > 0 ? us : 1;
}

/* Calls that were due and found no pair to the end are lost as well. */
static void tell_called(struct run *r)
{
    struct churn *c = of(r);
    for (; c->next_us < c->until_us; c->next_us += step_us(c))
        c->lost++;
    c->on = false;
    loop_timer_stop(c->timer);
    run_stats(r, "called");
}

static void on_turn(void *arg)
{
    struct run *r = arg;
    struct churn *c = of(r);
    int64_t now = clock_mono_us();
    while (c->next_us <= now && c->next_us < c->until_us && c->free) {
        if (now - c->next_us > 2 * TURN_US)
            c->waited++;
        if (now - c->next_us > r->late_max_us)
            r->late_max_us = now - c->next_us;
        start_call(r, c->next_us);
        c->next_us += step_us(c);
    }
    bool late = now >= c->until_us + PATIENCE_US; /* the rate was too high, or nobody answers */
    if (late)
        give_up_late(c, now);
    if (c->under_way == 0 && (c->next_us >= c->until_us || !c->free || late))
        tell_called(r);
}

static bool on_command(struct run *r, const char *op, const cJSON *command)
{
    struct churn *c = of(r);
    if (strcmp(op, "calls") != 0)
        return false;
    c->rate = run_number(command, "rate", 10);
    if (c->on || c->rate <= 0) {
        run_error(r, "calls: no rate, or calls already");
        return true;
    }
    run_mark(r);
    c->on = true;
    c->next_us = clock_mono_us();
    c->until_us = c->next_us + (int64_t)(run_number(command, "seconds", 1) * 1e6);
    loop_timer_start(c->timer, 0, TURN_US);
    return true;
}

static void on_mark(struct run *r)
{
    struct churn *c = of(r);
    if (!c)
        return;
    c->started = c->rang = c->accepted = c->ended = c->refused = c->lost = c->waited = 0;
    c->ring = c->accept = c->whole = (struct histogram){0};
}

static void on_stats(struct run *r, cJSON *into)
{
    const struct churn *c = of(r);
    const struct {
        const char *name;
        uint64_t n;
    } all[] = {{"started", c->started}, {"rang", c->rang},       {"accepted", c->accepted},
               {"ended", c->ended},     {"refused", c->refused}, {"lost", c->lost},
               {"waited", c->waited}};
    cJSON *o = json_new();
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        json_put_int(o, all[i].name, (int64_t)all[i].n);
    run_put_histogram(r, o, "ring", &c->ring);
    run_put_histogram(r, o, "accept", &c->accept);
    run_put_histogram(r, o, "whole", &c->whole);
    json_put(into, "calls", o);
}

static void on_ready(struct peer *p)
{
    (void)p;
}

static void on_gone(struct peer *p, int code, const char *why)
{
    run_error(p->run,
              why && *why ? why : "a socket went"); /* its calls are lost: the stats say so */
    (void)code;
}

static int start(struct run *r)
{
    struct churn *c = calloc(1, sizeof(*c));
    r->own = c;
    if (!c)
        return ERR_NOMEM;
    c->n = r->n / 2;
    c->pairs = calloc((size_t)c->n + 1, sizeof(*c->pairs));
    c->timer = loop_timer_new(r->loop, on_turn, r);
    if (!c->pairs || !c->timer)
        return ERR_NOMEM;
    for (int i = 0; i < c->n; i++) {
        struct pair *pr = &c->pairs[i];
        pr->caller = &r->peers[2 * i];
        pr->callee = &r->peers[2 * i + 1];
        pr->caller->mode = pr->callee->mode = pr;
        if (!pr->callee->name)
            return ERR_INVALID;
        put_free(c, pr);
    }
    return OK;
}

static void stop(struct run *r)
{
    struct churn *c = of(r);
    if (!c)
        return;
    if (c->timer)
        loop_timer_free(c->timer);
    free(c->pairs);
    free(c);
}

const struct mode mode_churn = {
    .name = "churn",
    .opens = true,
    .start = start,
    .stop = stop,
    .on_ready = on_ready,
    .on_frame = on_frame,
    .on_gone = on_gone,
    .on_command = on_command,
    .on_mark = on_mark,
    .on_stats = on_stats,
};
