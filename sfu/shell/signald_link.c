#include "sfu/shell/signald_link.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/io/link.h"
#include "sfu/shell/sfu_metrics.h"

#define LOAD_US 1000000

struct signald_link {
    struct loop *loop;
    struct worker *worker;
    struct link_client *client;
    struct link *link;   /* NULL while away */
    int hellos_awaited;  /* asked of the worker; only the answer to the last one counts */
    bool greeted;        /* hello was sent on this link: the rest may follow */
    _Atomic bool posted; /* a drain is on its way to the loop */
    bool freed;          /* by its owner: that drain, which can't be called back, frees the rest */
    struct loop_timer *timer;
    int64_t load_us, cpu_us, forwarded;
};

/* ---- from the worker ---- */

static void pass_on(struct signald_link *s, const struct worker_report *r)
{
    if (r->hello) {
        s->greeted = --s->hellos_awaited == 0 && s->link;
        if (!s->greeted) {
            return;
        }
    }
    if (s->link && s->greeted && link_send(s->link, r->text, strlen(r->text)) != OK) {
        LOG_W("link_send_failed", NULL);
    }
}

static void drain(void *arg)
{
    struct signald_link *s = arg;
    struct worker_report *r;
    if (s->freed) {
        free(s);
        return;
    }
    atomic_store_explicit(&s->posted, false, memory_order_seq_cst);
    while (s->worker && (r = worker_take(s->worker))) {
        pass_on(s, r);
        worker_report_free(r);
    }
    if (s->worker && worker_lost_reports(s->worker) && s->link) {
        LOG_W("reports_lost", NULL);
        link_drop(s->link); /* the hello of the next one tells everything anew */
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
    if (text) {
        (void)link_send(k, text, strlen(text));
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
    if (f->type < CONTROL_PUBLISH || f->type > CONTROL_CLOSE) {
        control_free(f);
        free(f);
        return;
    }
    if (worker_request(s->worker, f) != OK) {
        refuse(k, f->id, "unavailable", "overloaded");
        control_free(f);
        free(f);
    }
}

static void on_up(struct link *k, void *arg)
{
    struct signald_link *s = arg;
    s->link = k;
    s->greeted = false;
    sfu_gauge(SFU_LINK_UP, 1);
    LOG_I("signald_up", NULL);
    if (worker_ask_hello(s->worker) == OK) {
        s->hellos_awaited++;
    } else {
        link_drop(k); /* and again, when there is room for the question */
    }
}

static void on_down(struct link *k, void *arg)
{
    struct signald_link *s = arg;
    if (s->link == k) {
        s->link = NULL;
        s->greeted = false;
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

int signald_link_connect(struct signald_link *s, struct worker *w, const char *address, int port,
                         const char *secret)
{
    static const struct link_handlers handlers = {
        .on_up = on_up, .on_frame = on_frame, .on_down = on_down};
    s->worker = w;
    s->load_us = clock_mono_us();
    s->cpu_us = process_cpu_us();
    loop_timer_start(s->timer, LOAD_US, LOAD_US);
    return link_connect(&s->client, s->loop, address, port, secret, &handlers, s);
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
        s->freed = atomic_load_explicit(&s->posted, memory_order_seq_cst);
        if (!s->freed) {
            free(s);
        }
    }
}
