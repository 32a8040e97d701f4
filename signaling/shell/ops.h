/* What operators ask: /healthz (the process is alive), /readyz (each part that a call needs, by
 * name), /metrics (internal port only). */
#ifndef SOTTO_SIGNALING_SHELL_OPS_H
#define SOTTO_SIGNALING_SHELL_OPS_H

#include <stdbool.h>

#include "lib/base/config.h"
#include "lib/io/http.h"
#include "lib/io/loop.h"
#include "lib/io/pg.h"
#include "signaling/shell/sfu_link.h"

struct ops;

/* A further part that must be ready. */
typedef bool (*ops_check_fn)(const void *arg);

struct ops_options {
    struct loop *loop;
    struct http_server *http;
    struct pg *pg;
    struct sfu_pool *sfu;        /* NULL: there is none, `sfu` isn't shown */
    const struct config *config; /* the STUN or TURN server to ask is the first of its URLs */
    ops_check_fn calls_ready;    /* the open calls are loaded, or NULL */
    const void *calls;
};

/* Adds the routes and starts asking the TURN server. NULL when out of memory. */
struct ops *ops_new(const struct ops_options *o);
void ops_free(struct ops *o);
/* From now on /readyz says no, so that a balancer sends nobody any more. */
void ops_drain(struct ops *o);

/* Pure: host and port of a stun:, turn:, stuns: or turns: URL (RFC 7064, RFC 7065; the default port
 * is 3478, 5349 for the TLS ones). host holds 256. ERR_INVALID. */
int ops_stun_address(const char *url, char host[256], int *port);

#endif
