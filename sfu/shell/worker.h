/* A worker: one thread that owns a UDP port, the rooms on it and all their state. Control speaks to
 * it by messages only; both directions are bounded rings. */
#ifndef SOTTO_SFU_WORKER_H
#define SOTTO_SFU_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/control.h"
#include "lib/proto/sdp.h"
#include "sfu/core/admission.h"
#include "sfu/shell/dtls.h"

struct worker;

struct worker_inventory; /* worker_order.h */

/* A control frame's text for signald, or the answer to worker_ask_inventory; owned by whoever takes
 * it, both parts to be freed (each is one allocation). */
struct worker_report {
    union {
        char *text;
        struct worker_inventory *inventory;
    };
    bool hello;        /* the answer to worker_ask_hello */
    bool is_inventory; /* not for signald */
};

struct worker_options {
    const char *node, *instance, *region; /* for hello; borrowed for the worker's life */
    const char *address;
    int port;
    int buffer_bytes;
    size_t max_rooms, max_transports;
    size_t pool_packets;
    int64_t cache_us;
    struct admission_limits limits;         /* 0: no bound */
    bool tcp;                               /* ICE-TCP too, at the same number where that is free */
    size_t tcp_connections, tcp_per_prefix; /* at once */
    int64_t connect_us;  /* a peer connection that isn't up by then is removed; 0: 30 s */
    size_t n_candidates; /* addresses only: the port is the one that was bound */
    struct sdp_local_candidate candidate[SDP_MAX_CANDIDATES];
    struct dtls_context *dtls; /* borrowed */
    /* Called on the worker's thread after it put a report into an empty or full ring: control is to
     * take soon. */
    void (*on_report)(void *arg);
    void *arg;
};

/* Binds and starts the thread. ERR_IO (port), ERR_NOMEM. */
int worker_start(struct worker **out, const struct worker_options *o);
int worker_port(const struct worker *w);
/* Hands over a request (as control_parse made it, allocated by malloc); the worker frees it.
 * ERR_LIMIT: its ring is full, the frame stays the caller's. */
int worker_request(struct worker *w, struct control_frame *frame);
/* The rooms as a hello frame, then everything that changes as events. ERR_LIMIT, ERR_NOMEM. */
int worker_ask_hello(struct worker *w);
/* The next report, or NULL. */
struct worker_report *worker_take(struct worker *w);
void worker_report_free(struct worker_report *r);
/* Whether reports were lost since the last call, because nobody took them in time: what control
 * knows is no longer how things are, until the next hello. */
bool worker_lost_reports(struct worker *w);
/* Says goodbye to all peers and ends the thread; what it has stays until worker_stop. For workers
 * that know each other: all are to halt before the first one goes. */
void worker_halt(struct worker *w);
/* The same, and frees everything. NULL is fine. */
void worker_stop(struct worker *w);

#endif
