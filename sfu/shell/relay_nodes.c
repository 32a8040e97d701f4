#include "sfu/shell/relay_nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/shell/relay_udp.h"
#include "sfu/shell/worker_order.h"

#define NODE_NAME 64 /* bytes, as [sfu] node takes */
#define NO_LINK   UINT32_MAX
#define MAX_PORT  65535

/* A room that a node shares. */
struct node_share {
    struct id room;
    char node[NODE_NAME + 1];
    size_t worker;
    uint32_t link; /* of that worker; NO_LINK: the node's address isn't known yet */
    bool branch;
    bool told;    /* the worker knows */
    bool ended;   /* and is to forget */
    bool doubted; /* signald has not spoken of it since it came back */
    struct node_share *prev, *next;
};

/* A worker's way to another node's worker. */
struct node_link {
    char address[CONTROL_MAX_ADDRESS + 1];
    int port;
    size_t shares; /* 0: free, once it is not told any more */
    bool told;
};

struct relay_nodes {
    size_t n;
    struct worker *worker[PLACEMENT_MAX_WORKERS];
    struct relay_udp *udp[PLACEMENT_MAX_WORKERS];
    struct placement *placement;
    struct node_link link[PLACEMENT_MAX_WORKERS][RELAY_UDP_PEERS];
    struct node_share *shares;
    int64_t doubt_us; /* when what is doubted ends; 0: nothing is */
};

/* ---- life ---- */

static int open_port(struct relay_nodes *r, struct worker *w, const struct relay_nodes_options *o)
{
    int port = o->port ? o->port + (int)r->n : 0;
    int err = relay_udp_open(&r->udp[r->n], o->address, port, o->secret, o->secret_len);
    if (err) {
        return err;
    }
    r->worker[r->n] = w;
    LOG_I("relay", "worker=%zu port=%d", r->n, relay_udp_port(r->udp[r->n]));
    return worker_give_nodes(w, r->udp[r->n++]);
}

int relay_nodes_new(struct relay_nodes **out, struct worker *const *worker, size_t n,
                    struct placement *placement, const struct relay_nodes_options *o)
{
    int err = OK;
    if (n > PLACEMENT_MAX_WORKERS || (o->port && (size_t)o->port + n - 1 > MAX_PORT)) {
        return ERR_INVALID;
    }
    struct relay_nodes *r = calloc(1, sizeof *r);
    if (!r) {
        return ERR_NOMEM;
    }
    r->placement = placement;
    while (!err && r->n < n) {
        err = open_port(r, worker[r->n], o);
    }
    *out = r; /* also when it failed: workers may have their ports already */
    return err;
}

void relay_nodes_free(struct relay_nodes *r)
{
    struct node_share *h, *tmp;
    if (!r) {
        return;
    }
    DL_FOREACH_SAFE(r->shares, h, tmp)
    {
        free(h);
    }
    for (size_t i = 0; i < r->n; i++) {
        relay_udp_close(r->udp[i]);
    }
    free(r);
}

/* ---- links ---- */

static struct node_link *link_of(struct relay_nodes *r, const struct node_share *h)
{
    return h->link == NO_LINK ? NULL : &r->link[h->worker][h->link];
}

static bool leads_to(const struct node_link *l, const char *address, int port)
{
    return l->shares > 0 && l->port == port && strcmp(l->address, address) == 0;
}

/* The one to that address, or a free one that is made so; NO_LINK: there is none. */
static uint32_t take_link(struct relay_nodes *r, size_t worker, const char *address, int port)
{
    uint32_t best = NO_LINK;
    for (uint32_t i = 0; i < RELAY_UDP_PEERS; i++) {
        struct node_link *l = &r->link[worker][i];
        if (leads_to(l, address, port)) {
            l->shares++;
            return i;
        }
        best = best == NO_LINK && l->shares == 0 && !l->told ? i : best;
    }
    if (best != NO_LINK) {
        struct node_link *l = &r->link[worker][best];
        *l = (struct node_link){.port = port, .shares = 1};
        snprintf(l->address, sizeof l->address, "%s", address);
    }
    return best;
}

static void drop_link(struct relay_nodes *r, size_t worker, uint32_t link)
{
    struct node_link *l = &r->link[worker][link];
    if (l->shares == 0 && l->told &&
        worker_unlink_node(r->worker[worker], WORKER_RELAY_NODES + link) == OK) {
        l->told = false;
    }
}

/* ---- shares ---- */

static struct node_share *find_share(const struct relay_nodes *r, const struct id *room,
                                     const char *node)
{
    struct node_share *h;
    DL_FOREACH(r->shares, h)
    {
        if (!h->ended && id_equal(&h->room, room) && (!node || strcmp(h->node, node) == 0)) {
            return h;
        }
    }
    return NULL;
}

/* What could not be told now, because a ring is full, is told at the next review. */
static void tell(struct relay_nodes *r, struct node_share *h)
{
    struct worker *w = r->worker[h->worker];
    struct node_link *l = link_of(r, h);
    uint32_t link = WORKER_RELAY_NODES + h->link;
    if (!l || h->told) {
        return;
    }
    l->told = l->told || worker_link_node(w, link, l->address, l->port) == OK;
    h->told = l->told && worker_share(w, link, &h->room, h->branch) == OK;
}

static void end(struct relay_nodes *r, struct node_share *h)
{
    struct node_link *l = link_of(r, h);
    h->ended = true;
    if (h->told &&
        worker_unshare(r->worker[h->worker], WORKER_RELAY_NODES + h->link, &h->room) != OK) {
        return;
    }
    if (l) {
        l->shares--;
        drop_link(r, h->worker, h->link);
    }
    DL_DELETE(r->shares, h);
    free(h);
}

static void release_if_unshared(struct relay_nodes *r, const struct id *room)
{
    if (!find_share(r, room, NULL)) {
        placement_release(r->placement, room);
    }
}

static bool is_same(struct relay_nodes *r, const struct node_share *h,
                    const struct control_frame *f, size_t worker)
{
    const struct node_link *l = link_of(r, h);
    bool leads = f->port ? l && leads_to(l, f->address, (int)f->port) : !l;
    return h->worker == worker && h->branch == f->branch && leads;
}

static int add_share(struct relay_nodes *r, const struct control_frame *f, size_t worker)
{
    struct node_share *h = calloc(1, sizeof *h);
    if (!h) {
        return ERR_NOMEM;
    }
    *h = (struct node_share){.room = f->room, .worker = worker, .branch = f->branch};
    snprintf(h->node, sizeof h->node, "%s", f->node);
    h->link = f->port ? take_link(r, worker, f->address, (int)f->port) : NO_LINK;
    if (f->port && h->link == NO_LINK) {
        free(h);
        return ERR_LIMIT;
    }
    DL_APPEND(r->shares, h);
    LOG_I("room_shared_with", "room=%s node=%s branch=%d worker=%zu", h->room.s, log_quote(h->node),
          h->branch, worker);
    tell(r, h);
    return OK;
}

int relay_nodes_share(struct relay_nodes *r, const struct control_frame *f, int *port)
{
    size_t worker = 0;
    if (strlen(f->node) > NODE_NAME ||
        (f->port && !relay_udp_is_address(f->address, (int)f->port))) {
        return ERR_INVALID;
    }
    int err = placement_hold(r->placement, &f->room, &worker);
    if (err) {
        return err;
    }
    struct node_share *h = find_share(r, &f->room, f->node);
    if (h && is_same(r, h, f, worker)) {
        h->doubted = false;
    } else {
        if (h) {
            end(r, h);
        }
        err = add_share(r, f, worker);
    }
    if (err) {
        release_if_unshared(r, &f->room);
    }
    *port = relay_udp_port(r->udp[worker]);
    return err;
}

void relay_nodes_unshare(struct relay_nodes *r, const struct id *room, const char *node)
{
    struct node_share *h = find_share(r, room, node);
    if (h) {
        end(r, h);
        release_if_unshared(r, room);
    }
}

void relay_nodes_close(struct relay_nodes *r, const struct id *room)
{
    struct node_share *h, *tmp;
    DL_FOREACH_SAFE(r->shares, h, tmp)
    {
        if (id_equal(&h->room, room)) {
            end(r, h);
        }
    }
    placement_release(r->placement, room);
}

/* ---- time ---- */

void relay_nodes_doubt(struct relay_nodes *r, int64_t now_us)
{
    struct node_share *h;
    DL_FOREACH(r->shares, h)
    {
        h->doubted = true;
    }
    r->doubt_us = r->shares ? now_us + RELAY_NODES_DOUBT_US : 0;
}

static void end_doubted(struct relay_nodes *r)
{
    struct node_share *h, *tmp;
    r->doubt_us = 0;
    DL_FOREACH_SAFE(r->shares, h, tmp)
    {
        if (h->doubted && !h->ended) {
            struct id room = h->room; /* the share ends first */
            end(r, h);
            release_if_unshared(r, &room);
        }
    }
}

void relay_nodes_review(struct relay_nodes *r, int64_t now_us)
{
    struct node_share *h, *tmp;
    if (r->doubt_us && now_us >= r->doubt_us) {
        end_doubted(r);
    }
    DL_FOREACH_SAFE(r->shares, h, tmp)
    {
        if (h->ended) {
            end(r, h);
        } else {
            tell(r, h);
        }
    }
    for (size_t i = 0; i < r->n; i++) {
        for (uint32_t k = 0; k < RELAY_UDP_PEERS; k++) {
            drop_link(r, i, k);
        }
    }
}
