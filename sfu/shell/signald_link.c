#include "sfu/shell/signald_link.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/link.h"
#include "sfu/shell/hello_merge.h"
#include "sfu/shell/sfu_metrics.h"

#define LOAD_US  1000000
#define MAX_HELD 65536 /* reports kept back until all workers have answered */

/* A worker's part of the greeting. */
struct greeter {
    int awaited; /* hellos asked of it; only the answer to the last one counts */
    char *hello; /* that one, until all have answered; owned */
};

struct held_report {
    char *text;
    struct held_report *next, *prev;
};

struct signald_link {
    struct loop *loop;
    struct worker_set *workers;
    struct link_client *client;
    struct link *link; /* NULL while away */
    struct greeter greeter[PLACEMENT_MAX_WORKERS];
    size_t n_hellos;          /* of those */
    struct held_report *held; /* what came behind a worker's hello before all had answered */
    size_t n_held;
    bool greeted;        /* hello was sent on this link: the rest may follow */
    _Atomic bool posted; /* a drain is on its way to the loop */
    bool freed;          /* by its owner: that drain, which can't be called back, frees the rest */
    struct loop_timer *timer;
    void (*observe)(void *arg, size_t worker);
    void *observe_arg;
    int64_t load_us, cpu_us, forwarded;
};

/* ---- the greeting: one hello of all workers, and what they tell, behind it ---- */

static void send_text(struct signald_link *s, const char *text)
{
    if (s->link && link_send(s->link, text, strlen(text)) != OK) {
        LOG_W("link_send_failed", NULL);
    }
}

/* The worker's answers that are under way are still awaited: they are for nobody then. */
static void forget_greeting(struct signald_link *s)
{
    struct held_report *h, *tmp;
    s->greeted = false;
    for (size_t i = 0; i < PLACEMENT_MAX_WORKERS; i++) {
        free(s->greeter[i].hello);
        s->greeter[i].hello = NULL;
    }
    s->n_hellos = 0;
    DL_FOREACH_SAFE(s->held, h, tmp)
    {
        free(h->text);
        free(h);
    }
    s->held = NULL;
    s->n_held = 0;
}

static void ask_hellos(struct signald_link *s)
{
    forget_greeting(s);
    for (size_t i = 0; i < worker_set_count(s->workers); i++) {
        if (worker_ask_hello(worker_set_at(s->workers, i)) != OK) {
            link_drop(s->link); /* and again, when there is room for the question */
            return;
        }
        s->greeter[i].awaited++;
    }
}

static char *merged_hello(const struct signald_link *s)
{
    char *hello[PLACEMENT_MAX_WORKERS];
    for (size_t i = 0; i < s->n_hellos; i++) {
        hello[i] = s->greeter[i].hello;
    }
    return hello_merge(hello, s->n_hellos);
}

static void greet(struct signald_link *s)
{
    struct held_report *h, *tmp, *held = s->held;
    char *text = merged_hello(s);
    if (!text) {
        link_drop(s->link);
        return;
    }
    s->held = NULL; /* sending may end the link, and with it the greeting */
    forget_greeting(s);
    s->greeted = true;
    worker_set_greeted(s->workers, clock_mono_us());
    send_text(s, text);
    free(text);
    DL_FOREACH_SAFE(held, h, tmp)
    {
        send_text(s, h->text);
        free(h->text);
        free(h);
    }
}

static void hold(struct signald_link *s, struct worker_report *r)
{
    struct held_report *h = s->n_held < MAX_HELD ? calloc(1, sizeof *h) : NULL;
    if (!h) {
        link_drop(s->link);
        return;
    }
    h->text = r->text;
    r->text = NULL;
    DL_APPEND(s->held, h);
    s->n_held++;
}

static void take_hello(struct signald_link *s, struct greeter *g, struct worker_report *r)
{
    if (--g->awaited > 0 || !s->link || g->hello) {
        return;
    }
    g->hello = r->text;
    r->text = NULL;
    if (++s->n_hellos == worker_set_count(s->workers)) {
        greet(s);
    }
}

/* ---- from the workers ---- */

static void pass_on(struct signald_link *s, size_t worker, struct worker_report *r)
{
    struct greeter *g = &s->greeter[worker];
    if (r->is_inventory) {
        worker_set_take_inventory(s->workers, worker, r->inventory);
    } else if (r->hello) {
        take_hello(s, g, r);
    } else if (s->greeted) {
        send_text(s, r->text);
    } else if (s->link && g->hello) {
        hold(s, r);
    }
}

static void drain_worker(struct signald_link *s, size_t i)
{
    struct worker *w = worker_set_at(s->workers, i);
    struct worker_report *r;
    while ((r = worker_take(w))) {
        pass_on(s, i, r);
        worker_report_free(r);
    }
    if (s->observe) {
        s->observe(s->observe_arg, i);
    }
    if (worker_lost_reports(w) && s->link) {
        LOG_W("reports_lost", "worker=%zu", i);
        link_drop(s->link); /* the hello of the next one tells everything anew */
    }
}

static void drain(void *arg)
{
    struct signald_link *s = arg;
    if (s->freed) {
        free(s);
        return;
    }
    atomic_store_explicit(&s->posted, false, memory_order_seq_cst);
    for (size_t i = 0; s->workers && i < worker_set_count(s->workers); i++) {
        drain_worker(s, i);
    }
}

void signald_link_on_report(void *arg)
{
    struct signald_link *s = arg;
    if (!atomic_exchange_explicit(&s->posted, true, memory_order_seq_cst) &&
        loop_post(s->loop, drain, s) != OK) {
        atomic_store_explicit(&s->posted, false, memory_order_seq_cst);
    }
}

/* ---- from signald ---- */

static void refuse(struct link *k, int64_t id, const char *code, const char *why)
{
    char *text = id > 0 ? control_make_error(id, code, why) : NULL;
    sfu_count(SFU_REFUSED_REQUESTS, 1);
    if (text) {
        (void)link_send(k, text, strlen(text));
        free(text);
    }
}

/* Rooms that other nodes share are control's own business. */
static void answer_relay(struct signald_link *s, const struct control_frame *f)
{
    int port = 0;
    int err = worker_set_relay(s->workers, f, &port);
    if (err) {
        const char *code = err == ERR_INVALID ? "bad_request" : "unavailable";
        refuse(s->link, f->id, code, err == ERR_UNSUPPORTED ? "relay_off" : err_name(err));
        return;
    }
    char *text = control_make_relay_reply(f->id, (uint32_t)port);
    if (text) {
        send_text(s, text);
        free(text);
    }
}

static void on_frame(struct link *k, void *arg, const uint8_t *data, size_t len)
{
    struct signald_link *s = arg;
    char why[96] = "";
    struct control_frame *f = calloc(1, sizeof *f);
    if (!f) {
        return;
    }
    int err = control_parse(f, (const char *)data, len, why, sizeof why);
    if (err) {
        LOG_W("bad_control_frame", "error=%s why=%s", err_name(err), log_quote(why));
        refuse(k, f->id, "bad_request", why);
        free(f);
        return;
    }
    bool relays = f->type == CONTROL_RELAY || f->type == CONTROL_UNRELAY;
    if (relays) {
        answer_relay(s, f);
    }
    if (relays || !control_is_request(f->type)) {
        control_free(f);
        free(f);
        return;
    }
    err = worker_set_request(s->workers, f);
    if (err) {
        refuse(k, f->id, err == ERR_LIMIT ? "overloaded" : "unavailable", err_name(err));
        control_free(f);
        free(f);
    }
}

static void on_up(struct link *k, void *arg)
{
    struct signald_link *s = arg;
    s->link = k;
    sfu_gauge(SFU_LINK_UP, 1);
    LOG_I("signald_up", NULL);
    ask_hellos(s);
}

static void on_down(struct link *k, void *arg)
{
    struct signald_link *s = arg;
    if (s->link == k) {
        s->link = NULL;
        forget_greeting(s);
        sfu_gauge(SFU_LINK_UP, 0);
        LOG_W("signald_down", NULL);
    }
}

/* ---- load ---- */

static int64_t process_cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static void tell_load(void *arg)
{
    struct signald_link *s = arg;
    int64_t now_us = clock_mono_us(), cpu_us = process_cpu_us();
    int64_t forwarded = sfu_metric_value(SFU_FORWARDED_PACKETS);
    int64_t past_us = now_us - s->load_us > 0 ? now_us - s->load_us : 1;
    double cpu = (double)(cpu_us - s->cpu_us) / (double)past_us;
    worker_set_measure(s->workers, now_us);
    int64_t rate = (forwarded - s->forwarded) * 1000000 / past_us;
    s->load_us = now_us;
    s->cpu_us = cpu_us;
    s->forwarded = forwarded;
    if (!s->link || !s->greeted) {
        return;
    }
    char *text = control_make_load(sfu_metric_value(SFU_ROOMS), sfu_metric_value(SFU_TRANSPORTS),
                                   rate, forwarded, cpu);
    if (text) {
        (void)link_send(s->link, text, strlen(text));
        free(text);
    }
}

/* ---- life ---- */

int signald_link_new(struct signald_link **out, struct loop *l)
{
    struct signald_link *s = calloc(1, sizeof *s);
    if (!s) {
        return ERR_NOMEM;
    }
    s->loop = l;
    s->timer = loop_timer_new(l, tell_load, s);
    if (!s->timer) {
        free(s);
        return ERR_NOMEM;
    }
    *out = s;
    return OK;
}

int signald_link_connect(struct signald_link *s, struct worker_set *w, const char *address,
                         int port, const char *secret)
{
    static const struct link_handlers handlers = {
        .on_up = on_up, .on_frame = on_frame, .on_down = on_down};
    s->workers = w;
    s->load_us = clock_mono_us();
    s->cpu_us = process_cpu_us();
    loop_timer_start(s->timer, LOAD_US, LOAD_US);
    return link_connect(&s->client, s->loop, address, port, secret, &handlers, s);
}

void signald_link_observe(struct signald_link *s, void (*fn)(void *arg, size_t worker), void *arg)
{
    s->observe = fn;
    s->observe_arg = arg;
}

void signald_link_tell(struct signald_link *s, const char *text)
{
    if (s->greeted) {
        send_text(s, text);
    }
}

bool signald_link_is_up(const struct signald_link *s)
{
    return s->greeted;
}

void signald_link_free(struct signald_link *s)
{
    if (s) {
        if (s->client) {
            link_client_free(s->client);
        }
        loop_timer_free(s->timer);
        forget_greeting(s);
        s->freed = atomic_load_explicit(&s->posted, memory_order_seq_cst);
        if (!s->freed) {
            free(s);
        }
    }
}
