/* Probing: a short cluster of packets at a rate above the estimate, and what its feedback proves
 * (draft-ietf-rmcat-gcc-02 has none; after libwebrtc's probe controller). Media that is sent
 * meanwhile is part of the cluster; the rest is padding that the caller makes. */
#ifndef SOTTO_SFU_CORE_PROBE_H
#define SOTTO_SFU_CORE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu/core/send_history.h"

#define PROBE_CLUSTERS 2 /* remembered: one that is sent while another's feedback is on its way */
#define PROBE_PACKETS  5 /* at least, in a cluster */

struct probe_cluster {
    uint8_t id;   /* 0: none */
    bool sending; /* more is to be sent */
    bool judged;
    double target_bps;
    int64_t started_us;
    int64_t began_us; /* when its first packet left */
    uint32_t want_bytes;
    uint32_t sent_bytes, sent_packets;
    /* of what feedback told */
    uint32_t got_bytes, got_packets, lost_packets;
    int64_t first_sent_us, last_sent_us, first_arrived_us, last_arrived_us;
    int64_t last_began_us; /* when the first that left at last_sent_us came */
    uint32_t last_bytes;   /* that left at last_sent_us */
    uint32_t first_bytes;  /* of the packet that came first */
};

struct probe {
    struct probe_cluster cluster[PROBE_CLUSTERS];
    uint8_t last_id;
    bool initial_done;
    double then_bps;          /* the second initial probe, 0: none */
    double explored_bps;      /* the last want that was probed for */
    bool full;                /* the last result filled the link without finding much more */
    bool hurry;               /* there is reason to think that the link got better */
    bool retried;             /* a cluster without an answer was sent again: once is enough */
    int64_t last_us;          /* when the last cluster began */
    uint64_t sent, succeeded; /* clusters, for the metrics */
};

/* What to send now. packet_bytes is the size to make padding packets of. */
struct probe_want {
    size_t bytes; /* 0: nothing now */
    size_t packet_bytes;
    int64_t again_us; /* when to ask next; INT64_MAX: nothing is being probed */
};

struct probe_state {
    double estimate_bps;
    double wanted_bps; /* what the allocator would send if it could */
    double max_bps;
    bool filling;   /* nearly all of the estimate is used: it can grow by itself */
    bool congested; /* overuse, loss-limited or just decreased: not now */
};

struct probe_result {
    double bps; /* that came through */
    double target_bps;
    bool gained;    /* far more than was known: set by who uses it */
    bool saturated; /* the link was full: bps is its capacity, less a margin */
};

void probe_init(struct probe *p);
/* Starts a cluster when there is reason to; gives up on those that nobody answers. */
void probe_tick(struct probe *p, const struct probe_state *s, int64_t now_us);
/* The cluster that a packet sent now belongs to, 0: none; counts it. */
uint8_t probe_on_sent(struct probe *p, size_t bytes, int64_t now_us);
/* The padding that the cluster lacks by now. */
struct probe_want probe_wants(const struct probe *p, int64_t now_us);
/* A status with a cluster. */
void probe_input(struct probe *p, const struct sent_news *news, int64_t arrived_us);
/* One result when there is any. */
bool probe_poll(struct probe *p, int64_t now_us, struct probe_result *out);
/* The result was used: probes further when the link wasn't full and more is wanted. */
void probe_go_on(struct probe *p, const struct probe_result *r, const struct probe_state *s,
                 int64_t now_us);
/* The link seems to have become better: probes as soon as nothing speaks against it. */
void probe_hurry(struct probe *p);
/* A cluster is being sent, or its feedback is awaited. */
bool probe_busy(const struct probe *p);
/* When probe_tick has work; INT64_MAX: only a change of its state brings any. */
int64_t probe_deadline(const struct probe *p, const struct probe_state *s);

#endif
