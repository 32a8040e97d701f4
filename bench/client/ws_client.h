/* Thousands of WebSockets of one process: libwebsockets' client over libuv, one context, one
 * thread.
 *
 * A process holds at most 19,000 sockets: descriptors are limited to 20,000 a process here as on
 * most servers, and the rest is for the loop, logs, and the HTTP requests beside. More sockets take
 * more processes, which also spread over cores. One local address and one server port have about
 * 28,000 ports between them (ip_local_port_range), so a process fits in, too; `source` gives more.
 *
 * Memory a socket, this side: a wsi with its WebSocket part and receive buffer (WS_CLIENT_RX bytes)
 * of the library, the poll handle of libuv, and 200 bytes of ours: about 5 KB in all (measured),
 * since nothing is queued while nothing is to be said. While it connects, the library holds 4 KiB
 * more for the head.
 *
 * libwebsockets keeps its timeouts in one sorted list that is walked from its head for each
 * insertion, so a storm of n handshakes at once costs n² / 2 steps: `in_flight` bounds how many are
 * under way, and its own keep-alive pings, which would stay in that list for good, are turned off.
 */
#ifndef SOTTO_BENCH_CLIENT_WS_CLIENT_H
#define SOTTO_BENCH_CLIENT_WS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "lib/io/loop.h"

#define WS_CLIENT_SOCKETS   19000
#define WS_CLIENT_IN_FLIGHT 1024
#define WS_CLIENT_RX        1024 /* bytes a socket reads at once; longer messages come in parts */

/* What on_closed gets besides the close codes of RFC 6455 section 7.4 and HTTP's statuses (101–599:
 * the upgrade was answered with it). */
enum {
    WS_CLOSED_CONNECT = 0,   /* no TCP connection, or it ended within the handshake */
    WS_CLOSED_DROPPED = 1,   /* by ws_socket_drop */
    WS_CLOSED_TOO_LARGE = 2, /* a message over max_message */
    WS_CLOSED_LOST = 1006,   /* ended without a close frame */
};

struct ws_client;
struct ws_socket;

struct ws_client_options {
    struct loop *loop;
    double per_second;  /* handshakes begun a second; 0: as fast as in_flight lets them */
    int in_flight;      /* handshakes under way at most; 0: WS_CLIENT_IN_FLIGHT */
    size_t max_message; /* bytes of a message received; 0: 256 KiB */
};

struct ws_client_handlers {
    void (*on_open)(struct ws_socket *s, void *arg);
    /* One whole message; not 0-ended, valid during the call. */
    void (*on_text)(struct ws_socket *s, void *arg, const char *text, size_t len);
    /* The answer to ws_socket_ping; may be NULL. */
    void (*on_pong)(struct ws_socket *s, void *arg, int64_t rtt_us);
    /* Exactly once a socket, whatever its end, also before on_open; s is gone after. reason is ""
     * where none was given. */
    void (*on_closed)(struct ws_socket *s, void *arg, int code, const char *reason);
};

struct ws_open {
    const char *url; /* ws:// or wss:// (certificates aren't checked: they are made for the run) */
    const char *protocols; /* of Sec-WebSocket-Protocol, "sotto.v1, ticket.X"; NULL: none */
    const char *source;    /* local address, NULL: any */
};

/* NULL when out of memory or when libwebsockets can't start. */
struct ws_client *ws_client_new(const struct ws_client_options *o);
/* Ends all sockets (their on_closed is called) and frees; run the loop once more before freeing it.
 */
void ws_client_free(struct ws_client *c);
/* A new pace as in the options, also for those that wait: a storm is 0 a second and as many in
 * flight as there are sockets. */
void ws_client_pace(struct ws_client *c, double per_second, int in_flight);
/* Sockets that are open, and those that wait or connect. */
size_t ws_client_open_count(const struct ws_client *c);
size_t ws_client_pending(const struct ws_client *c);

/* Queues an open in the pace. *out is valid until its on_closed. Strings are copied. ERR_INVALID
 * for a URL that is none, ERR_LIMIT past WS_CLIENT_SOCKETS, ERR_NOMEM. handlers and arg are
 * borrowed. */
int ws_client_open(struct ws_socket **out, struct ws_client *c, const struct ws_open *o,
                   const struct ws_client_handlers *h, void *arg);

/* Sends a text message (copied). ERR_WRONG_STATE before on_open, ERR_CLOSED, ERR_NOMEM. */
int ws_socket_send(struct ws_socket *s, const char *text, size_t len);
/* A ping (RFC 6455 section 5.5.2) that carries the time. Errors as above. */
int ws_socket_ping(struct ws_socket *s);
/* When the handshake was begun (µs, clock_mono_us): what waiting in the pace doesn't count into. */
int64_t ws_socket_begun_us(const struct ws_socket *s);
/* Closes with a close frame after what is queued; on_closed follows, at the latest after 2 s. */
void ws_socket_close(struct ws_socket *s, int code, const char *reason);
/* Ends it without a word, by a reset, as a lost network does for the server; on_closed follows with
 * WS_CLOSED_DROPPED, from the loop. */
void ws_socket_drop(struct ws_socket *s);

#endif
