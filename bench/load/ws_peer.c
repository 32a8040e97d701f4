/* The users of the load: their accounts, sockets of either protocol, and pings. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/ws.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

enum { LINE_MAX_LEN = 8192, PING_TURN_US = 1000 };

/* ---- Sotto's socket ---- */

static void sotto_open(struct ws_socket *s, void *arg)
{
    (void)s;
    (void)arg; /* `connected` is what counts */
}

static void peer_is_ready(struct peer *p)
{
    p->ready = true;
    p->failures = 0;
    p->run->ready++;
    p->run->mode->on_ready(p);
}

static void pong(struct run *r, uint32_t id)
{
    struct ping *g = &r->pings[id % RUN_PINGS];
    if (!g->under_way || g->id != id)
        return;
    g->under_way = false;
    histogram_add(&r->rtt, clock_mono_us() - g->due_us);
}

/* "g12": a ping's id. */
static bool is_ping_reply(struct run *r, const char *type, const cJSON *frame)
{
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(frame, "id"));
    if (strcmp(type, "reply") != 0 || !id || id[0] != 'g')
        return false;
    pong(r, (uint32_t)strtoul(id + 1, NULL, 10));
    return true;
}

static void note_cursor(struct peer *p, const cJSON *frame)
{
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(frame, "data");
    const cJSON *own = cJSON_GetObjectItemCaseSensitive(frame, "cursor");
    const cJSON *in_data = cJSON_GetObjectItemCaseSensitive(data, "cursor");
    const cJSON *v = own ? own : in_data;
    if (cJSON_IsNumber(v) && (int64_t)v->valuedouble > p->cursor)
        p->cursor = (int64_t)v->valuedouble;
}

static void sotto_text(struct ws_socket *s, void *arg, const char *text, size_t len)
{
    struct peer *p = arg;
    struct run *r = p->run;
    cJSON *frame = NULL;
    (void)s;
    r->frames++;
    if (json_parse(&frame, text, len) != OK) {
        run_error(r, "a frame that is no JSON");
        return;
    }
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(frame, "type"));
    note_cursor(p, frame);
    if (type && strcmp(type, "synced") == 0 && !p->ready)
        peer_is_ready(p);
    else if (type && !is_ping_reply(r, type, frame) && r->mode->on_frame)
        r->mode->on_frame(p, type, frame);
    cJSON_Delete(frame);
}

static void gone(struct peer *p, int code, const char *why)
{
    struct run *r = p->run;
    p->ws = NULL;
    p->xmpp = NULL;
    p->live = false;
    if (p->ready) {
        p->ready = false;
        r->ready--;
    } else {
        p->failures++;
        r->failed++;
    }
    if (!r->ending)
        r->mode->on_gone(p, code, why);
}

static void sotto_closed(struct ws_socket *s, void *arg, int code, const char *reason)
{
    struct peer *p = arg;
    (void)s;
    cJSON *hint = NULL;
    p->retry_after_ms = 0;
    if (reason[0] == '{' && json_parse(&hint, reason, strlen(reason)) == OK)
        p->retry_after_ms = (int64_t)run_number(hint, "retryAfterMs", 0);
    cJSON_Delete(hint);
    gone(p, code, reason);
}

static const struct ws_client_handlers sotto_handlers = {
    .on_open = sotto_open, .on_text = sotto_text, .on_closed = sotto_closed};

static int sotto_connect(struct peer *p, const char *ticket)
{
    char url[512], offer[LINE_MAX_LEN];
    struct ws_open o = {.url = url, .protocols = offer};
    int n = p->cursor > 0 ? snprintf(url, sizeof(url), "%s?since=%" PRId64, p->run->url, p->cursor)
                          : snprintf(url, sizeof(url), "%s", p->run->url);
    if (n < 0 || (size_t)n >= sizeof(url))
        return ERR_TOO_LARGE;
    n = snprintf(offer, sizeof(offer), "sotto.v1, ticket.%s", ticket);
    if (n < 0 || (size_t)n >= sizeof(offer))
        return ERR_TOO_LARGE;
    int rc = ws_client_open(&p->ws, p->run->ws, &o, &sotto_handlers, p);
    p->live = rc == OK;
    return rc;
}

/* The ticket that a reconnect takes, as the SDK does it. */
static void on_ticket(void *arg, int status, const char *body, size_t len)
{
    struct peer *p = arg;
    cJSON *answer = NULL;
    const char *ticket = NULL;
    p->live = false;
    p->retry_after_ms = 0;
    if (status == 200 && json_parse(&answer, body, len) == OK)
        ticket = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "token"));
    if (!ticket || sotto_connect(p, ticket) != OK) {
        if (status > 0)
            p->run->refused++;
        gone(p, status, "no ticket");
    }
    cJSON_Delete(answer);
}

/* ---- XMPP ---- */

static void xmpp_ready(struct xmpp *x, void *arg, bool resumed)
{
    struct peer *p = arg;
    (void)x;
    p->run->resumed += resumed;
    peer_is_ready(p);
}

static void xmpp_result(struct xmpp *x, void *arg, const char *id, bool ok, bool complete,
                        const char *last)
{
    struct peer *p = arg;
    (void)x;
    (void)ok; /* a server without XEP-0199 says so, which is an answer as well */
    (void)complete;
    (void)last;
    if (id[0] == 'g')
        pong(p->run, (uint32_t)strtoul(id + 1, NULL, 10));
}

static void xmpp_closed(struct xmpp *x, void *arg, int err, const char *why, const char *resume,
                        uint32_t heard)
{
    struct peer *p = arg;
    (void)x;
    free(p->resume);
    p->resume = resume[0] ? strdup(resume) : NULL;
    p->heard = heard;
    p->retry_after_ms = 0;
    gone(p, err, why);
}

static const struct xmpp_handlers xmpp_handlers = {
    .on_ready = xmpp_ready, .on_result = xmpp_result, .on_closed = xmpp_closed};

static int xmpp_connect(struct peer *p)
{
    struct run *r = p->run;
    struct xmpp_options o = {
        .url = r->url,
        .domain = r->domain,
        .user = p->name,
        .password = p->secret,
        .resource = "load",
        .presence = true,
        .managed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r->config, "managed")),
        .resume = p->resume,
        .heard = p->heard,
    };
    int rc = xmpp_open(&p->xmpp, r->ws, &o, &xmpp_handlers, p);
    p->live = rc == OK;
    return rc;
}

/* ---- either ---- */

int peer_connect(struct peer *p, bool renew)
{
    if (p->run->xmpp)
        return xmpp_connect(p);
    if (!renew)
        return sotto_connect(p, p->secret);
    if (!p->token || !p->run->http)
        return ERR_WRONG_STATE;
    struct http_ask ask = {.method = "POST", .path = "/v1/ws-ticket", .bearer = p->token};
    int rc = http_client_ask(p->run->http, &ask, on_ticket, p);
    p->live = rc == OK;
    return rc;
}

void peer_drop(struct peer *p)
{
    if (p->ws)
        ws_socket_drop(p->ws);
    else if (p->xmpp)
        xmpp_drop(p->xmpp);
}

int peer_send(struct peer *p, const char *type, const char *id, cJSON *data)
{
    cJSON *frame = json_new();
    json_put_str(frame, "type", type);
    json_put_str(frame, "id", id);
    json_put(frame, "data", data);
    char *text = json_print(frame);
    int rc = !text ? ERR_NOMEM : !p->ws ? ERR_CLOSED : ws_socket_send(p->ws, text, strlen(text));
    free(text);
    cJSON_Delete(frame);
    return rc;
}

/* ---- accounts ---- */

static char *next_field(char **at)
{
    char *field = strsep(at, "\t");
    return field && field[0] ? strdup(field) : NULL;
}

static int read_peer(struct run *r, struct peer *p, char *line)
{
    line[strcspn(line, "\r\n")] = 0;
    p->run = r;
    if (r->xmpp || strcmp(r->mode->name, "login") == 0) {
        p->name = next_field(&line);
        p->secret = next_field(&line);
        return p->name && p->secret ? OK : ERR_INVALID;
    }
    p->secret = next_field(&line);
    p->token = next_field(&line);
    p->name = next_field(&line);
    return p->secret ? OK : ERR_INVALID;
}

int peers_load(struct run *r)
{
    const char *path = run_text(r->config, "accounts", "");
    int want = (int)run_number(r->config, "count", 0);
    char *line = malloc(LINE_MAX_LEN);
    FILE *f = fopen(path, "re");
    int err = f && line ? OK : ERR_NOT_FOUND;
    if (want < 1 || want > WS_CLIENT_SOCKETS)
        err = ERR_INVALID;
    r->peers = err == OK ? calloc((size_t)want, sizeof(*r->peers)) : NULL;
    if (err == OK && !r->peers)
        err = ERR_NOMEM;
    while (err == OK && r->n < want && fgets(line, LINE_MAX_LEN, f)) {
        struct peer *p = &r->peers[r->n];
        p->index = r->n++;
        err = read_peer(r, p, line);
    }
    if (err == OK && r->n < want)
        err = ERR_TRUNCATED;
    if (f)
        fclose(f);
    free(line);
    return err;
}

void peers_free(struct run *r)
{
    for (int i = 0; i < r->n; i++) {
        free(r->peers[i].secret);
        free(r->peers[i].token);
        free(r->peers[i].name);
        free(r->peers[i].resume);
    }
    free(r->peers);
    r->peers = NULL;
    r->n = 0;
}

/* ---- pings ---- */

static void send_ping(struct run *r, int64_t due_us)
{
    struct ping *g = &r->pings[++r->ping_id % RUN_PINGS];
    char id[16];
    if (g->under_way)
        r->pings_lost++; /* a thousand later, still no answer */
    *g = (struct ping){.due_us = due_us, .id = r->ping_id, .under_way = true};
    struct peer *p = &r->peers[(r->ping_id * 2654435761U) % (uint32_t)r->n];
    snprintf(id, sizeof(id), "g%" PRIu32, r->ping_id);
    int rc = !p->ready ? ERR_CLOSED
             : r->xmpp ? xmpp_ping(p->xmpp, id)
                       : peer_send(p, "ping", id, json_new());
    if (rc != OK)
        g->under_way = false; /* nobody there to ask */
    else
        r->pings_sent++;
}

/* Open loop: what is late counts from when it was due. */
static void on_ping_turn(void *arg)
{
    struct run *r = arg;
    int64_t now = clock_mono_us();
    while (r->ping_rate > 0 && r->ping_next_us <= now) {
        if (now - r->ping_next_us > r->late_max_us)
            r->late_max_us = now - r->ping_next_us;
        send_ping(r, r->ping_next_us);
        r->ping_next_us += (int64_t)(1e6 / r->ping_rate);
    }
}

void run_ping_rate(struct run *r, double per_second)
{
    r->ping_rate = per_second;
    r->ping_next_us = clock_mono_us();
    if (!r->pinger)
        r->pinger = loop_timer_new(r->loop, on_ping_turn, r);
    if (!r->pinger)
        return;
    if (per_second > 0 && r->n > 0)
        loop_timer_start(r->pinger, 0, PING_TURN_US);
    else
        loop_timer_stop(r->pinger);
}
