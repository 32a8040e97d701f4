/* HTTP/1.1 requests with JSON bodies, by libwebsockets' client on our loop. Requests queue for
 * `lanes`: connections that are kept alive and carry one request at a time (no pipelining: the
 * server doesn't do it, and browsers don't either); libwebsockets 4.1.6 forgets a poll handle (160
 * bytes) for each request that reuses a connection. With lanes 0 each request has a connection of
 * its own that closes behind it, and `at_once` of them run beside each other. */
#ifndef SOTTO_BENCH_CLIENT_HTTP_CLIENT_H
#define SOTTO_BENCH_CLIENT_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/io/loop.h"

#define HTTP_CLIENT_LANES 16
#define HTTP_CLIENT_BODY  (256 * 1024) /* of an answer */

struct http_client;

struct http_client_options {
    struct loop *loop;
    const char *url;    /* http://127.0.0.1:8080 (or https, unchecked); requests add their path */
    int lanes;          /* 0..HTTP_CLIENT_LANES */
    int at_once;        /* requests under way without lanes; 0: 512 */
    const char *source; /* local address, or NULL */
};

/* status 0: no answer (refused, lost, larger than HTTP_CLIENT_BODY). The body isn't 0-ended. */
typedef void (*http_client_fn)(void *arg, int status, const char *body, size_t len);

struct http_ask {
    const char *method, *path;
    const char *bearer; /* access token, or NULL */
    const char *body;   /* JSON, or NULL for none */
};

/* NULL when out of memory, or for a URL that is none. */
struct http_client *http_client_new(const struct http_client_options *o);
/* Requests under way are answered with status 0. */
void http_client_free(struct http_client *c);
/* Copies everything; fn is called exactly once, from the loop. ERR_NOMEM, ERR_INVALID, ERR_CLOSED.
 */
int http_client_ask(struct http_client *c, const struct http_ask *ask, http_client_fn fn,
                    void *arg);
/* Requests that wait, and those under way. */
size_t http_client_waiting(const struct http_client *c);
size_t http_client_under_way(const struct http_client *c);
/* TCP connections made so far: fewer than the requests when they were kept alive. */
uint64_t http_client_connections(const struct http_client *c);

#endif
