/* sotto-load-ws: what its modes share. The first line on stdin is the configuration, each further
 * one a command {"op": …}; each line on stdout is an event {"ev": …}. Everything runs on one loop.
 *
 * Configuration of all modes: {"mode": "idle|storm|churn|login", "kind": "sotto|xmpp", "url":
 * "ws://…", "http": "http://…", "domain": "…", "accounts": "file", "count": n, "per_second": n,
 * "in_flight": n}. A line of the accounts' file is `ticket TAB access-token TAB user-id` (kind
 * sotto) or `user TAB password`. Commands of all: {"op":"mark"}, {"op":"stats"}, {"op":"stop"},
 * {"op":"pace","per_second":n,"in_flight":n}. */
#ifndef SOTTO_BENCH_LOAD_WS_H
#define SOTTO_BENCH_LOAD_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/client/histogram.h"
#include "bench/client/http_client.h"
#include "bench/client/ws_client.h"
#include "bench/client/xmpp.h"
#include "lib/base/json.h"
#include "lib/io/loop.h"

#define RUN_PINGS 1024 /* under way at once */

struct run;

/* One user of the load, with his socket. */
struct peer {
    struct run *run;
    int index;
    char *secret; /* a ticket, or a password */
    char *token;  /* an access token, or NULL */
    char *name;   /* a user id, or a user name */
    struct ws_socket *ws;
    struct xmpp *xmpp;
    bool ready, live; /* signed in; has a socket, maybe still connecting */
    int failures;
    int64_t lost_us, retry_after_ms, cursor;
    char *resume;
    uint32_t heard;
    void *mode; /* the mode's own */
};

struct mode {
    const char *name;
    bool opens; /* all sockets are opened at the start */
    int (*start)(struct run *r);
    void (*stop)(struct run *r); /* frees r->own */
    void (*on_ready)(struct peer *p);
    /* A frame of Sotto, parsed: replies and events. */
    void (*on_frame)(struct peer *p, const char *type, const cJSON *frame);
    void (*on_gone)(struct peer *p, int code, const char *why);
    /* Returns false for an op it doesn't know. */
    bool (*on_command)(struct run *r, const char *op, const cJSON *command);
    void (*on_mark)(struct run *r);
    /* Adds its own figures. */
    void (*on_stats)(struct run *r, cJSON *into);
};

struct ping {
    int64_t due_us;
    uint32_t id;
    bool under_way;
};

struct run {
    struct loop *loop;
    struct ws_client *ws;
    struct http_client *http;
    const struct mode *mode;
    cJSON *config;
    bool xmpp;
    const char *url, *domain;
    struct peer *peers;
    int n, ready, failed, refused, resumed;
    bool all_open, ending;
    int64_t begun_us, mark_us;
    double mark_cpu;
    struct histogram connect, rtt;
    /* pings, open loop */
    struct loop_timer *pinger, *teller;
    double ping_rate;
    int64_t ping_next_us;
    uint32_t ping_id;
    uint64_t pings_sent, pings_lost, frames;
    struct ping pings[RUN_PINGS];
    int64_t late_max_us;
    void *own;  /* the mode's */
    char *json; /* room for a histogram's text */
};

extern const struct mode mode_idle, mode_storm, mode_churn, mode_login;

/* ---- ws.c ---- */
/* Prints the event and deletes it. */
void run_tell(struct run *r, cJSON *event);
cJSON *run_event(const char *ev);
/* {"ev":"error","why":…}. */
void run_error(struct run *r, const char *why);
/* Adds a histogram under `name`. */
void run_put_histogram(struct run *r, cJSON *into, const char *name, const struct histogram *h);
void run_mark(struct run *r);
/* Prints the stats as event `ev`. */
void run_stats(struct run *r, const char *ev);
/* Ends the program. */
void run_stop(struct run *r);
double run_number(const cJSON *o, const char *name, double dflt);
const char *run_text(const cJSON *o, const char *name, const char *dflt);

/* ---- ws_peer.c ---- */
/* Reads r->config's accounts into r->peers. ERR_NOT_FOUND, ERR_INVALID with an event that says why.
 */
int peers_load(struct run *r);
void peers_free(struct run *r);
/* Opens a socket: with p->secret, or (renew) with a ticket that is asked for first. */
int peer_connect(struct peer *p, bool renew);
void peer_drop(struct peer *p);
/* A frame of Sotto; data is owned. */
int peer_send(struct peer *p, const char *type, const char *id, cJSON *data);
/* Whoever's turn it is says `ping`; rate 0 ends it. */
void run_ping_rate(struct run *r, double per_second);

#endif
