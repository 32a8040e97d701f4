/* Private to bench/client/ws_client*.c. */
#ifndef SOTTO_BENCH_CLIENT_WS_CLIENT_PRIVATE_H
#define SOTTO_BENCH_CLIENT_WS_CLIENT_PRIVATE_H

#include <stdbool.h>

#include "bench/client/lws_host.h"
#include "bench/client/ws_client.h"
#include "lib/base/buf.h"

enum state { WAITING, CONNECTING, OPEN, CLOSING };

/* A frame to be written; `room` begins with what the library writes its head into. */
struct out {
    struct out *next;
    size_t len;
    unsigned char room[];
};

struct ws_socket {
    struct ws_client *client;
    const struct ws_client_handlers *h;
    void *arg;
    struct lws *wsi;
    struct ws_open *open; /* until it is begun */
    struct out *out;
    struct buf rx; /* a message that came in parts */
    int64_t begun_us, ping_us;
    struct ws_socket *prev, *next; /* of `waiting` or `sockets` */
    struct ws_socket *next_drop;
    uint16_t code;
    uint8_t state;
    bool ping_due, close_due, beginning, over, dropped;
    char *reason; /* of its end */
};

struct ws_client {
    struct ws_client_options o;
    struct lws_host host;
    struct loop_timer *pump, *dropper;
    struct ws_socket *waiting, *sockets, *drops;
    size_t n_waiting, n_connecting, n_open;
    double credit;
    int64_t credit_us;
    bool stopping;
};

/* Notes why a socket ends; the first one to say so is right. */
void ws_socket_ended(struct ws_socket *s, int code, const char *reason, size_t len);
/* Out of the lists, told, freed. */
void ws_socket_finish(struct ws_socket *s);

/* ---- ws_client_open.c ---- */
/* The timer's function: begins as many handshakes as the pace allows. */
void ws_client_pump(void *arg);
void ws_open_free(struct ws_open *o);

#endif
