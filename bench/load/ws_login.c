/* login: users sign in, open loop.
 *   {"op":"logins","rate":n,"seconds":s} → {"ev":"logged", …} when the last answer is here
 * kind sotto: POST /v1/auth/login, over kept connections; kind xmpp: WebSocket, SASL, binding, and
 * the end of the stream. Times count from when the login was due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/ws.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

enum { TURN_US = 1000, STATUSES = 600 };

struct login {
    struct loop_timer *timer;
    double rate;
    int64_t next_us, until_us;
    bool on;
    int next_user;
    int64_t under_way;
    uint64_t asked, good;
    uint32_t status[STATUSES];
    struct histogram time;
};

struct one {
    struct run *run;
    int64_t due_us;
    bool good;
};

static struct login *of(const struct run *r)
{
    return r->own;
}

static void done(struct one *o, int status)
{
    struct login *l = of(o->run);
    l->under_way--;
    if (status >= 0 && status < STATUSES)
        l->status[status]++;
    if (status == 200) {
        l->good++;
        histogram_add(&l->time, clock_mono_us() - o->due_us);
    }
    free(o);
}

static void on_answer(void *arg, int status, const char *body, size_t len)
{
    (void)body;
    (void)len;
    done(arg, status);
}

static int ask_sotto(struct run *r, struct peer *p, struct one *o)
{
    cJSON *body = json_new(), *device = json_new();
    json_put_str(body, "username", p->name);
    json_put_str(body, "password", p->secret);
    json_put_str(device, "name", "load");
    json_put_str(device, "platform", "test");
    json_put(body, "device", device);
    char *text = json_print(body);
    cJSON_Delete(body);
    struct http_ask ask = {.method = "POST", .path = "/v1/auth/login", .body = text};
    int err = text && r->http ? http_client_ask(r->http, &ask, on_answer, o) : ERR_WRONG_STATE;
    free(text);
    return err;
}

static void on_xmpp_ready(struct xmpp *x, void *arg, bool resumed)
{
    struct one *o = arg;
    (void)resumed;
    o->good = true;
    xmpp_close(x);
}

static void on_xmpp_closed(struct xmpp *x, void *arg, int err, const char *why, const char *resume,
                           uint32_t heard)
{
    struct one *o = arg;
    (void)x;
    (void)why;
    (void)resume;
    (void)heard;
    done(o, o->good ? 200 : err == ERR_AUTH ? 401 : 0);
}

static const struct xmpp_handlers xmpp_login = {.on_ready = on_xmpp_ready,
                                                .on_closed = on_xmpp_closed};

static int ask_xmpp(struct run *r, struct peer *p, struct one *o)
{
    struct xmpp *x;
    struct xmpp_options x_options = {
        .url = r->url, .domain = r->domain, .user = p->name, .password = p->secret};
    return xmpp_open(&x, r->ws, &x_options, &xmpp_login, o);
}

static void ask(struct run *r, int64_t due_us)
{
    struct login *l = of(r);
    struct peer *p = &r->peers[l->next_user++ % r->n];
    struct one *o = calloc(1, sizeof(*o));
    l->asked++;
    if (!o)
        return;
    *o = (struct one){.run = r, .due_us = due_us};
    l->under_way++;
    if ((r->xmpp ? ask_xmpp(r, p, o) : ask_sotto(r, p, o)) != OK)
        done(o, 0);
}

static void on_turn(void *arg)
{
    struct run *r = arg;
    struct login *l = of(r);
    int64_t now = clock_mono_us();
    while (l->next_us <= now && l->next_us < l->until_us) {
        if (now - l->next_us > r->late_max_us)
            r->late_max_us = now - l->next_us;
        ask(r, l->next_us);
        l->next_us += (int64_t)(1e6 / l->rate);
    }
    if (l->under_way > 0 || l->next_us < l->until_us)
        return;
    l->on = false;
    loop_timer_stop(l->timer);
    run_stats(r, "logged");
}

static bool on_command(struct run *r, const char *op, const cJSON *c)
{
    struct login *l = of(r);
    if (strcmp(op, "logins") != 0)
        return false;
    l->rate = run_number(c, "rate", 1);
    if (l->on || l->rate <= 0) {
        run_error(r, "logins: no rate, or logins already");
        return true;
    }
    run_mark(r);
    l->on = true;
    l->next_us = clock_mono_us();
    l->until_us = l->next_us + (int64_t)(run_number(c, "seconds", 1) * 1e6);
    loop_timer_start(l->timer, 0, TURN_US);
    return true;
}

static void on_mark(struct run *r)
{
    struct login *l = of(r);
    if (!l)
        return;
    l->asked = l->good = 0;
    l->time = (struct histogram){0};
    memset(l->status, 0, sizeof(l->status));
}

static void on_stats(struct run *r, cJSON *into)
{
    const struct login *l = of(r);
    cJSON *o = json_new(), *statuses = json_new();
    char name[12];
    json_put_int(o, "asked", (int64_t)l->asked);
    json_put_int(o, "good", (int64_t)l->good);
    for (int i = 0; i < STATUSES; i++) {
        if (l->status[i] == 0)
            continue;
        snprintf(name, sizeof(name), "%d", i);
        json_put_int(statuses, name, l->status[i]);
    }
    json_put(o, "statuses", statuses);
    json_put_int(o, "connections", r->http ? (int64_t)http_client_connections(r->http) : 0);
    run_put_histogram(r, o, "time", &l->time);
    json_put(into, "logins", o);
}

static int start(struct run *r)
{
    struct login *l = calloc(1, sizeof(*l));
    r->own = l;
    if (!l)
        return ERR_NOMEM;
    l->timer = loop_timer_new(r->loop, on_turn, r);
    return l->timer ? OK : ERR_NOMEM;
}

static void stop(struct run *r)
{
    struct login *l = of(r);
    if (!l)
        return;
    if (l->timer)
        loop_timer_free(l->timer);
    free(l);
}

const struct mode mode_login = {
    .name = "login",
    .start = start,
    .stop = stop,
    .on_command = on_command,
    .on_mark = on_mark,
    .on_stats = on_stats,
};
