/* What the files of a worker share; everything here belongs to the worker's thread. */
#ifndef SOTTO_SFU_WORKER_PRIVATE_H
#define SOTTO_SFU_WORKER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/io/udp.h"
#include "sfu/core/router.h"
#include "sfu/shell/capture.h"
#include "sfu/shell/mailbox.h"
#include "sfu/shell/out_queue.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/subscriber_rate.h"
#include "sfu/shell/transport.h"
#include "sfu/shell/worker.h"
#include "sfu/shell/worker_stats.h"

#define WORKER_OUT      128  /* datagrams that aren't RTP, collected before they are sent */
#define WORKER_DATAGRAM 1600 /* room for one of them, SRTP tag included */
#define WORKER_CNAME    "sotto"
#define WORKER_RESENDS  64   /* retransmissions handled at a time */
#define WORKER_FETCH    8    /* packets whose transports are fetched together */
#define WORKER_RTCP     1200 /* bytes of one RTCP compound that we send, before SRTP */

struct tcp_conn;
struct tcp_listener;

struct worker {
    struct worker_options o;
    pthread_t thread;
    _Atomic bool stopping;
    _Atomic bool lost_reports;
    struct udp *udp;
    struct tcp_listener *tcp; /* NULL: UDP only */
    int epoll;
    struct mailbox *in;   /* control_frame */
    struct mailbox *out;  /* worker_report */
    struct mailbox *data; /* worker_data */

    struct router *router;
    struct transport_table *table;
    struct transport *transports; /* utlist */
    struct transport *publishers; /* utlist of those that publish */
    size_t n_transports;
    int64_t now_us, wall_us;  /* of this turn */
    int64_t fast_us, slow_us; /* when the periodic work is due */
    struct stats_round stats;
    struct capture_tap *tap; /* an admin's, or NULL */
    struct due_wheel due;    /* of transports */
    struct due_wheel rates;  /* of those of subscribers, for worker_rates */
    uint8_t rates_shed;      /* that those went by */
    bool any_lost;
    struct admission admission;
    uint8_t shed;               /* 0..ADMISSION_SHED_ALL: of the video, for allocator_input.shed */
    int64_t measured_us;        /* when admission was told last how busy the loop is, */
    int64_t cpu_us;             /* the thread's CPU time then, and */
    int64_t waited_us;          /* how long it has waited since */
    uint64_t dropped;           /* of udp_dropped, told so far */
    bool halted;                /* the thread has ended */
    struct worker_relay *relay; /* NULL as long as no room is shared (worker_relay.h) */
    bool coarse;                /* the kernel waits by the millisecond */

    struct out_queue *queue;    /* RTP that leaves */
    struct rtcp_wait *waits;    /* feedback of subscribers that isn't urgent */
    bool trains;                /* the kernel takes them */
    bool joined;                /* datagrams may come joined (UDP_GRO) */
    int64_t count[SFU_METRICS]; /* of this turn, not yet in the metrics */

    struct twcc_status statuses[RATE_STATUSES]; /* of the feedback at hand */
    size_t n_out;
    struct udp_packet out_packet[WORKER_OUT];
    uint8_t out_data[WORKER_OUT][WORKER_DATAGRAM];
    struct udp_packet in_packet[UDP_BATCH];
    _Alignas(16) uint8_t in_data[UDP_BATCH][UDP_MTU];
};

/* Counts without an atomic; told to the metrics once a turn. */
static inline void worker_count(struct worker *w, enum sfu_metric m, int64_t n)
{
    w->count[m] += n;
}

/* ---- worker.c ---- */

/* WORKER_DATAGRAM bytes to be filled, then committed with their length, their receiver and which
 * address of ours they leave from. */
uint8_t *worker_out_begin(struct worker *w);
void worker_out_commit(struct worker *w, size_t len, const struct peer_path *to);
void worker_out_to_peer(struct worker *w, size_t len, const struct peer_address *to);
/* A packet from there, which is the callee's to change. */
void worker_receive(struct worker *w, const struct peer_path *from, uint8_t *data, size_t len);
/* Hands a control frame (malloc'd text, taken over; NULL is ignored) to control. */
void worker_tell(struct worker *w, char *text);
void worker_tell_hello(struct worker *w, char *text);

/* ---- worker_tcp.c: ICE-TCP ---- */

/* Opens the port, if it is wanted. ERR_IO. */
int worker_tcp_open(struct worker *w);
/* What the queue sends: by UDP, or by the connection of the peer (a message's address is that of a
 * struct peer_address). Returns how many datagrams were taken, as udp_send_messages. */
int worker_tcp_messages(struct worker *w, const struct udp_message *m, int n);
/* Closes those whose time is over, counts; each 100 ms. */
void worker_tcp_tick(struct worker *w);
/* There are connections, and time may end them. */
bool worker_tcp_waits(const struct worker *w);

/* ---- worker_peers.c: ICE, DTLS, lives of transports ---- */

/* A packet that came by that path. */
void worker_stun(struct worker *w, const struct peer_path *path, const uint8_t *data, size_t len);
void worker_dtls(struct worker *w, struct transport *t, const uint8_t *data, size_t len);
/* After the remote description was set: starts or finishes what waited for it. */
void worker_peer_ready(struct worker *w, struct transport *t);
/* Adds to the list; counts. */
void worker_add(struct worker *w, struct transport *t);
/* Ends the publisher or subscriber and frees the transport; `tell`: with a disconnected event. */
void worker_remove(struct worker *w, struct transport *t, bool tell);
/* DTLS timers, consent and sender reports of those whose time has come; each 100 ms. */
void worker_check_peers(struct worker *w);
/* Something changed by which the transport's time may come sooner: it is looked at with the next
 * 100 ms. */
void worker_look_at(struct worker *w, struct transport *t);
/* Removes what was marked lost. */
void worker_sweep(struct worker *w);

/* ---- worker_admission.c: bounds ---- */

/* May somebody join? ERR_LIMIT: `overloaded`. Not asked where a transport takes another's place. */
int worker_join(struct worker *w);
/* The transport has so many tracks from now on. ERR_LIMIT: it keeps what it had. */
int worker_hold_tracks(struct worker *w, struct transport *t, size_t n);
bool worker_begin_handshake(struct worker *w, struct transport *t);
/* It is done, failed or given up; more than once is fine. */
void worker_end_handshake(struct worker *w, struct transport *t);
/* May a check from an address that isn't known yet be looked at and answered? */
bool worker_stranger(struct worker *w, const struct sockaddr_in6 *from, size_t len);
/* How busy the loop was; each 100 ms. cpu_us: the CPU time that its thread has had so far. */
void worker_measure(struct worker *w, int64_t cpu_us);

/* ---- worker_media.c: SRTP in and out ---- */

void worker_rtp(struct worker *w, struct transport *t, uint8_t *data, size_t len);
/* What router_packet or router_track_packet said of a packet: to these slots, and over the relay
 * links that want it. */
void worker_forward(struct worker *w, struct track *track, struct packet *k,
                    const struct forward *f, size_t n);
void worker_rtcp(struct worker *w, struct transport *t, uint8_t *data, size_t len);
/* These packets, at most WORKER_FETCH, will be handed to worker_receive next. */
void worker_fetch(const struct worker *w, const struct udp_packet *p, int n);
/* Opens what has waited long enough; each 10 ms. */
void worker_rtcp_due(struct worker *w);
/* Opens a subscriber's feedback that waits, if any does, as if that were done when it came. True:
 * slots should be looked at now. */
bool worker_rtcp_open(struct worker *w, struct transport *t);
/* Feedback of publishers; each 10 ms. */
void worker_feedback(struct worker *w);
/* Sender reports of a subscriber, if they are due. */
void worker_report(struct worker *w, struct transport *t);

/* ---- worker_rates.c: what subscribers may be sent ---- */

/* Each 100 ms: estimates, layers and pauses of the subscribers whose time has come. */
void worker_rates(struct worker *w);
/* Something changed by which a subscriber may get other layers: he is looked at with the next 100
 * ms. */
void worker_rate_look(struct worker *w, struct transport *t);
/* A subscriber's decrypted RTCP, as far as it tells of his link. False: some of it was malformed.
 */
bool worker_rate_rtcp(struct worker *w, struct transport *t, const uint8_t *data, size_t len);
/* His feedback has waited for long enough. */
void worker_rate_waited(struct worker *w, struct transport *t);
/* Before the transport goes: nothing waits for it any more. */
void worker_rate_close(struct worker *w, struct transport *t);

/* A packet as it came, decrypted, goes to an admin's capture of its room. */
static inline void worker_tap_packet(struct worker *w, const struct transport *t, struct packet *k)
{
    if (w->tap && id_equal(&t->room, capture_tap_room(w->tap))) {
        capture_tap_put(w->tap, w->wall_us, t->number, packet_data(k), k->len);
    }
}

/* ---- worker_requests.c ---- */

/* Carries out one request and replies; frees it. */
void worker_handle(struct worker *w, struct control_frame *f);

/* ---- worker_events.c ---- */

/* What the router has to tell. */
void worker_events(struct worker *w);
/* Hello, then the state of everything as events. */
void worker_hello(struct worker *w);

#endif
