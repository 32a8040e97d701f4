#include "sfu/shell/worker_order.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/shell/debug_dump.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/worker_private.h"
#include "sfu/shell/worker_relay.h"

#define ORDER_ID (-1)

/* ---- control's side ---- */

/* Takes the order over, whatever happens. NULL: it could not be made. */
static int give(struct worker *w, const struct worker_order *order)
{
    struct worker_order *o = malloc(sizeof *o);
    if (!o) {
        return ERR_NOMEM;
    }
    *o = *order;
    o->frame.type = CONTROL_HELLO;
    o->frame.id = ORDER_ID;
    int err = worker_request(w, &o->frame);
    if (err) {
        free(o);
    }
    return err;
}

int worker_ask_inventory(struct worker *w, int64_t mark)
{
    struct worker_order order = {.type = WORKER_ORDER_INVENTORY, .mark = mark};
    return give(w, &order);
}

int worker_link(struct worker *w, uint32_t link, const struct worker_relay_way *way)
{
    struct worker_order order = {.type = WORKER_ORDER_LINK, .link = link, .way = *way};
    return give(w, &order);
}

int worker_give_nodes(struct worker *w, struct relay_udp *udp)
{
    struct worker_order order = {.type = WORKER_ORDER_NODES, .udp = udp};
    return give(w, &order);
}

int worker_link_node(struct worker *w, uint32_t link, const char *address, int port)
{
    struct worker_order order = {.type = WORKER_ORDER_NODE, .link = link, .port = port};
    snprintf(order.address, sizeof order.address, "%s", address);
    return give(w, &order);
}

int worker_unlink_node(struct worker *w, uint32_t link)
{
    struct worker_order order = {.type = WORKER_ORDER_UNNODE, .link = link};
    return give(w, &order);
}

int worker_share(struct worker *w, uint32_t link, const struct id *room, bool branch)
{
    struct worker_order order = {.type = WORKER_ORDER_SHARE, .link = link, .branch = branch};
    order.frame.room = *room;
    return give(w, &order);
}

int worker_unshare(struct worker *w, uint32_t link, const struct id *room)
{
    struct worker_order order = {.type = WORKER_ORDER_UNSHARE, .link = link};
    order.frame.room = *room;
    return give(w, &order);
}

int worker_ask_dump(struct worker *w, int64_t mark, const struct id *room, size_t from)
{
    struct worker_order order = {.type = WORKER_ORDER_DUMP, .mark = mark, .from = from};
    order.frame.room = *room;
    return give(w, &order);
}

int worker_capture(struct worker *w, struct capture_tap *tap)
{
    struct worker_order order = {.type = WORKER_ORDER_CAPTURE, .tap = capture_tap_ref(tap)};
    int err = give(w, &order);
    if (err) {
        capture_tap_unref(tap);
    }
    return err;
}

int64_t worker_cpu_us(const struct worker *w)
{
    clockid_t clock;
    struct timespec t;
    if (pthread_getcpuclockid(w->thread, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int worker_pin(struct worker *w, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return pthread_setaffinity_np(w->thread, sizeof set, &set) == 0 ? OK : ERR_IO;
}

/* ---- the worker's side ---- */

const struct worker_order *worker_order_of(const struct control_frame *f)
{
    bool is_order = f->type == CONTROL_HELLO && f->id == ORDER_ID;
    return is_order ? (const struct worker_order *)(const void *)f : NULL;
}

void worker_order_drop(const struct worker_order *order)
{
    if (order->type == WORKER_ORDER_CAPTURE) {
        capture_tap_unref(order->tap);
    }
}

static struct worker_inventory *take_stock(const struct worker *w, int64_t mark)
{
    const struct transport *t;
    struct worker_inventory *inventory =
        malloc(sizeof *inventory + w->n_transports * sizeof inventory->entry[0]);
    if (!inventory) {
        return NULL;
    }
    inventory->mark = mark;
    inventory->n = 0;
    DL_FOREACH(w->transports, t)
    {
        inventory->entry[inventory->n++] =
            (struct worker_inventory_entry){.room = t->room, .participant = t->number};
    }
    return inventory;
}

static void tell_inventory(struct worker *w, int64_t mark)
{
    struct worker_inventory *inventory = take_stock(w, mark);
    struct worker_report *r = malloc(sizeof *r);
    if (!inventory || !r) {
        free(inventory);
        free(r);
        return; /* control asks again */
    }
    *r = (struct worker_report){.inventory = inventory, .is_inventory = true};
    if (mailbox_put(w->out, r)) {
        sfu_count(SFU_CONTROL_DROPPED, 1);
        worker_report_free(r);
    }
    w->o.on_report(w->o.arg);
}

void worker_obey(struct worker *w, const struct worker_order *order)
{
    int err = OK;
    switch (order->type) {
    case WORKER_ORDER_INVENTORY:
        tell_inventory(w, order->mark);
        break;
    case WORKER_ORDER_LINK:
        err = worker_relay_link(w, order->link, &order->way);
        break;
    case WORKER_ORDER_NODES:
        err = worker_relay_nodes(w, order->udp);
        break;
    case WORKER_ORDER_NODE:
        err = worker_relay_node(w, order->link, order->address, order->port);
        break;
    case WORKER_ORDER_UNNODE:
        worker_relay_unnode(w, order->link);
        break;
    case WORKER_ORDER_SHARE:
        err = worker_relay_share(w, order->link, &order->frame.room, order->branch);
        break;
    case WORKER_ORDER_UNSHARE:
        worker_relay_unshare(w, order->link, &order->frame.room);
        break;
    case WORKER_ORDER_DUMP:
        debug_dump(w, order->mark, &order->frame.room, order->from);
        break;
    case WORKER_ORDER_CAPTURE:
        capture_tap_unref(w->tap);
        w->tap = order->tap;
        break;
    }
    if (err) {
        LOG_W("order_failed", "type=%d error=%s", order->type, err_name(err));
    }
}
