/* What control asks of a worker of its own accord, not for signald: what it has, and with whom it
 * shares rooms. Orders go through the same ring as requests, and are never answered by a frame. */
#ifndef SOTTO_SFU_WORKER_ORDER_H
#define SOTTO_SFU_WORKER_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu/shell/capture.h"
#include "sfu/shell/worker.h"
#include "sfu/shell/worker_relay.h"

enum worker_order_type {
    WORKER_ORDER_INVENTORY, /* mark */
    WORKER_ORDER_LINK,      /* link, way */
    WORKER_ORDER_NODES,     /* udp */
    WORKER_ORDER_NODE,      /* link, address, port */
    WORKER_ORDER_UNNODE,    /* link */
    WORKER_ORDER_SHARE,     /* frame.room, link, branch */
    WORKER_ORDER_UNSHARE,   /* frame.room, link */
    WORKER_ORDER_DUMP,      /* mark, frame.room, from */
    WORKER_ORDER_CAPTURE,   /* tap */
};

struct worker_order {
    struct control_frame
        frame; /* first: of type hello with an id, which no request of signald is */
    enum worker_order_type type;
    int64_t mark;
    uint32_t link;
    struct worker_relay_way way; /* borrowed; its parts must outlive the worker */
    struct relay_udp *udp;       /* likewise */
    char address[CONTROL_MAX_ADDRESS + 1];
    int port;
    bool branch; /* the room's home is at the other end */
    size_t from;
    struct capture_tap *tap; /* a reference of the worker's */
};

struct worker_inventory_entry {
    struct id room;
    uint32_t participant; /* who has a transport here */
};

struct worker_inventory {
    int64_t mark; /* of the question */
    size_t n;
    struct worker_inventory_entry entry[];
};

/* ---- control's side; all: ERR_LIMIT (the ring is full), ERR_NOMEM ---- */

/* Asks for a report with .inventory; mark comes back in it. */
int worker_ask_inventory(struct worker *w, int64_t mark);
/* The worker reads way->in and writes way->out. Once a link. */
int worker_link(struct worker *w, uint32_t link, const struct worker_relay_way *way);
/* The worker takes over the port of its relay to other nodes, but for closing it. Once. */
int worker_give_nodes(struct worker *w, struct relay_udp *udp);
/* The link leads to the node at that address (numbers, at most CONTROL_MAX_ADDRESS bytes). */
int worker_link_node(struct worker *w, uint32_t link, const char *address, int port);
int worker_unlink_node(struct worker *w, uint32_t link);
/* The room is shared over that link from now on; branch: its home is at the other end. */
int worker_share(struct worker *w, uint32_t link, const struct id *room, bool branch);
int worker_unshare(struct worker *w, uint32_t link, const struct id *room);

/* Asks for the state of a room ("": of all, in short), participants from that place on; it comes by
 * worker_take_data with mark as its ticket (debug_dump.h). */
int worker_ask_dump(struct worker *w, int64_t mark, const struct id *room, size_t from);
/* RTP of the tap's room goes to it from now on, in place of the tap before; the worker takes a
 * reference of its own. */
int worker_capture(struct worker *w, struct capture_tap *tap);

/* CPU time that the worker's thread has used. */
int64_t worker_cpu_us(const struct worker *w);
/* Binds its thread to that CPU. ERR_IO. */
int worker_pin(struct worker *w, int cpu);

/* ---- the worker's side ---- */

/* The order that a frame is, or NULL. */
const struct worker_order *worker_order_of(const struct control_frame *f);
/* It is not carried out: what it holds is let go. */
void worker_order_drop(const struct worker_order *order);
/* Carries it out. */
void worker_obey(struct worker *w, const struct worker_order *order);

#endif
