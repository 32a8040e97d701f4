#include "bench/client/endpoint_private.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"

/* ---- what they share ---- */

static void find_address(struct endpoint_host *h)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *i = all; i && !*h->address; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || i->ifa_flags & IFF_LOOPBACK ||
            !(i->ifa_flags & IFF_UP))
            continue;
        const struct sockaddr_in *a = (const struct sockaddr_in *)(const void *)i->ifa_addr;
        inet_ntop(AF_INET, &a->sin_addr, h->address, sizeof h->address);
    }
    freeifaddrs(all);
}

int endpoint_host_new(struct endpoint_host **out, struct loop *loop)
{
    struct endpoint_host *h = calloc(1, sizeof *h);
    if (!h)
        return ERR_NOMEM;
    h->loop = loop;
    h->timer_fd = -1;
    for (int i = 0; i < ENDPOINT_BATCH; i++) {
        h->in_iov[i] = (struct iovec){.iov_base = h->in_data[i], .iov_len = UDP_MTU};
        h->in[i].msg_hdr = (struct msghdr){.msg_iov = &h->in_iov[i], .msg_iovlen = 1};
    }
    h->in_used = ENDPOINT_BATCH; /* none is ready yet */
    find_address(h);
    int r = media_opus_make(&h->opus);
    if (r == OK)
        r = endpoint_timer_open(h);
    if (r != OK) {
        endpoint_host_free(h);
        return r;
    }
    *out = h;
    return OK;
}

void endpoint_host_free(struct endpoint_host *h)
{
    if (!h)
        return;
    for (int i = 0; i < 3; i++)
        dtls_context_free(h->dtls[i]);
    nice_hub_free(h->nice);
    endpoint_timer_close(h); /* frees the rest */
}

void endpoint_host_stats(const struct endpoint_host *h, struct endpoint_host_stats *out)
{
    *out = h->stats;
}

void endpoint_host_stats_reset(struct endpoint_host *h)
{
    memset(&h->stats, 0, sizeof h->stats);
}

void endpoint_candidates(const struct endpoint *e, char *out, size_t cap)
{
    int n = snprintf(out, cap, "a=candidate:1 1 udp 2122260223 127.0.0.1 %d typ host\r\n", e->port);
    if (*e->host->address && n > 0 && (size_t)n < cap)
        snprintf(out + n, cap - (size_t)n, "a=candidate:2 1 udp 2122194687 %s %d typ host\r\n",
                 e->host->address, e->port);
}

/* ---- one of them ---- */

/* SSRCs are even so that a retransmission's is one more, and not 0 with 160 m-lines to come. */
static void name_it(struct endpoint *e)
{
    random_bytes(&e->ssrc, sizeof e->ssrc);
    e->ssrc = (e->ssrc & 0x7ffffffe) | 0x1000;
    random_bytes(&e->session_id, sizeof e->session_id);
    e->session_id >>= 1;
    random_token(e->cname, 12);
}

int endpoint_new(struct endpoint **out, struct endpoint_host *host,
                 const struct endpoint_options *o, const struct endpoint_handler *handler,
                 void *arg)
{
    struct endpoint *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->host = host;
    e->o = *o;
    e->handler = *handler;
    e->arg = arg;
    e->fd = -1;
    e->dtls_due_us = INT64_MAX;
    e->receiver_config = (struct receiver_config){.nack = true, .twcc = true};
    name_it(e);
    ice_lean_init(&e->ice);
    int r = o->nice ? OK : endpoint_socket_open(e);
    if (r != OK) {
        endpoint_free(e);
        return r;
    }
    *out = e;
    return OK;
}

void endpoint_free(struct endpoint *e)
{
    if (!e)
        return;
    if (e->dtls)
        dtls_close(e->dtls);
    if (e->nice)
        nice_peer_free(e->nice);
    e->nice = NULL;
    endpoint_unschedule(e);
    endpoint_media_free(e);
    dtls_free(e->dtls);
    impair_relay_free(e->relay);
    ice_lean_free(&e->ice);
    ice_lean_free(&e->next);
    sdp_client_agreed_free(&e->agreed);
    free(e->pending_offer);
    endpoint_socket_close(e); /* frees the rest */
}

enum endpoint_state endpoint_state(const struct endpoint *e)
{
    return e->state;
}

int endpoint_port(const struct endpoint *e)
{
    return e->port;
}

bool endpoint_source_stats(const struct endpoint *e, struct source_stats *out)
{
    memset(out, 0, sizeof *out);
    if (e->source)
        source_stats(e->source, out);
    return e->source != NULL;
}

bool endpoint_receiver_stats(const struct endpoint *e, struct receiver_stats *out)
{
    memset(out, 0, sizeof *out);
    if (e->receiver)
        receiver_stats(e->receiver, out);
    return e->receiver != NULL;
}

const struct histogram *endpoint_latency(const struct endpoint *e)
{
    return e->receiver ? receiver_latency(e->receiver) : NULL;
}

uint64_t endpoint_dropped(const struct endpoint *e)
{
    uint64_t now = endpoint_socket_dropped(e);
    return now > e->dropped_before ? now - e->dropped_before : 0;
}

bool endpoint_link_stats(const struct endpoint *e, struct impair_stats *up,
                         struct impair_stats *down)
{
    memset(up, 0, sizeof *up);
    memset(down, 0, sizeof *down);
    if (e->relay)
        impair_relay_stats(e->relay, up, down);
    return e->relay != NULL;
}

void endpoint_stats_reset(struct endpoint *e)
{
    if (e->source)
        source_stats_reset(e->source);
    if (e->receiver)
        receiver_stats_reset(e->receiver);
    e->dropped_before = endpoint_socket_dropped(e);
}
