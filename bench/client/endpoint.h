/* One WebRTC endpoint of the load client: a UDP socket, lean ICE (or libnice's agent), DTLS-SRTP, a
 * source, a receiver. Thousands live on one loop: they share a certificate, the receive buffers,
 * the Opus packets and one timer (a timerfd: microseconds, where libuv's timers are whole
 * milliseconds). What isn't a source's is rounded up to a tick, so that many are served in one
 * turn: 20 ms, or 5 ms while anybody connects or a link is bad. While media comes, sockets are
 * looked at every 8 ms (1 ms then) or when something is due to be sent. Latencies and
 * feedback don't contain that: they are by the kernel's time of arrival, or a server's estimator
 * would take the client's own turns for a queue of its link. Nothing is allocated a packet. A
 * sender with its receiver of two streams takes about 71 KiB; OpenSSL's association, which was as
 * much again, goes with the handshake. Own thread only. */
#ifndef SOTTO_BENCH_CLIENT_ENDPOINT_H
#define SOTTO_BENCH_CLIENT_ENDPOINT_H

#include <netinet/in.h>

#include "bench/client/impair.h"
#include "bench/client/nice_agent.h"
#include "bench/client/receiver.h"
#include "bench/client/source.h"
#include "lib/io/loop.h"
#include "lib/proto/sdp.h"
#include "sfu/shell/dtls.h"

struct endpoint_host; /* what all endpoints of a loop share */
struct endpoint;

/* ERR_NOMEM, ERR_IO. */
int endpoint_host_new(struct endpoint_host **out, struct loop *loop);
/* After the last endpoint is freed and before the loop is. */
void endpoint_host_free(struct endpoint_host *h);
struct endpoint_host_stats {
    uint64_t recv_calls, send_calls;
    uint64_t refused; /* datagrams that the kernel did not take */
};
void endpoint_host_stats(const struct endpoint_host *h, struct endpoint_host_stats *out);
void endpoint_host_stats_reset(struct endpoint_host *h);

/* Profiles offered (as client) or taken (as server) in DTLS-SRTP. */
enum endpoint_profile { ENDPOINT_PROFILE_ANY, ENDPOINT_PROFILE_GCM, ENDPOINT_PROFILE_CM };

struct endpoint_link {
    bool on;
    struct impair_config up, down; /* up: from us to the other end */
};

struct endpoint_options {
    uint32_t number;              /* into the stamps of what it sends */
    unsigned audio, video;        /* m-lines of an offer */
    enum sdp_direction direction; /* of an offer; in an answer what we are ready for at most */
    enum endpoint_profile profile;
    bool nice; /* libnice's full agent instead of the lean checks */
    struct nice_agent_options agent;
};

struct endpoint_connected {
    int64_t ms_us;       /* since the other end's description was given */
    int64_t ice_us;      /* of that, until a pair was selected */
    int64_t dtls_us;     /* from there on */
    const char *profile; /* "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", … */
    const char *path;    /* "lite", "host", "srflx", "relay" */
};

/* None of them may free the endpoint. */
struct endpoint_handler {
    /* The local description, from within endpoint_offer or endpoint_answer, or, with nice, when its
     * candidates are gathered. Borrowed for the call. */
    void (*local)(void *arg, struct endpoint *e, const char *type, const char *sdp);
    void (*connected)(void *arg, struct endpoint *e, const struct endpoint_connected *c);
    /* The first packet of a kind; microseconds since connected, and since the description. */
    void (*media)(void *arg, struct endpoint *e, enum media_kind kind, int64_t us,
                  int64_t since_us);
    void (*failed)(void *arg, struct endpoint *e, const char *why); /* once; it sends no more */
    /* May be NULL. An ICE restart is through, so many microseconds after both descriptions. */
    void (*restarted)(void *arg, struct endpoint *e, int64_t us);
};

/* ERR_NOMEM, ERR_IO (no socket), ERR_UNSUPPORTED. */
int endpoint_new(struct endpoint **out, struct endpoint_host *host,
                 const struct endpoint_options *o, const struct endpoint_handler *handler,
                 void *arg);
void endpoint_free(struct endpoint *e);

/* Each at most once an endpoint: ERR_STATE otherwise. Errors of sdp_client.h. link may be NULL; it
 * is for the lean ones (ERR_UNSUPPORTED). */
int endpoint_offer(struct endpoint *e);
int endpoint_answer(struct endpoint *e, const char *sdp, size_t len,
                    const struct endpoint_link *link);
int endpoint_remote(struct endpoint *e, const char *sdp, size_t len,
                    const struct endpoint_link *link);

/* No ICE, no DTLS: keys as given, the address learnt by the other end from a datagram (an empty
 * STUN binding indication) that is sent at once. Connected from the start. Tracks are copied; audio
 * and video (what we send) may be NULL. ERR_INVALID, ERR_IO, ERR_NOMEM. */
struct endpoint_raw {
    struct sockaddr_in remote;
    struct dtls_keys keys;
    const struct media_track *audio, *video, *receive;
    size_t n_receive;
};
int endpoint_start_raw(struct endpoint *e, const struct endpoint_raw *raw);

/* A connected lean endpoint at a lite server goes on from another port, as a phone that changes its
 * network does: what was under way to the former one is lost; the server learns the new one by a
 * connectivity check, which is the first datagram from there, and media follows at once. ERR_STATE
 * (not connected), ERR_UNSUPPORTED (another kind), ERR_IO. */
int endpoint_move(struct endpoint *e);
/* An ICE restart (RFC 8445 section 9) of such an endpoint: a description with new credentials by
 * `local`. offer: the server's (of an endpoint that answered once), else NULL, and endpoint_remote
 * is to be given its answer. Media goes on meanwhile. ERR_STATE also while one is under way. */
int endpoint_restart(struct endpoint *e, const char *offer, size_t len);

/* Sends from when it is connected (at once, if it is). Again: from a new beginning; ERR_INVALID (as
 * source_new) leaves what is being sent. */
int endpoint_send(struct endpoint *e, const struct source_config *c);
/* How it receives; the stream's books begin anew if it is connected. Defaults: NACK and feedback
 * where agreed. */
int endpoint_receive(struct endpoint *e, bool nack, bool twcc, bool decrypt_all);

enum endpoint_state { ENDPOINT_NEW, ENDPOINT_CONNECTING, ENDPOINT_CONNECTED, ENDPOINT_FAILED };
enum endpoint_state endpoint_state(const struct endpoint *e);
int endpoint_port(const struct endpoint *e); /* 0 with nice */
/* False where it has no source or receiver (yet); out is then zeros. */
bool endpoint_source_stats(const struct endpoint *e, struct source_stats *out);
bool endpoint_receiver_stats(const struct endpoint *e, struct receiver_stats *out);
/* NULL: no receiver. */
const struct histogram *endpoint_latency(const struct endpoint *e);
/* Datagrams that found its receive buffer full, since the last reset. */
uint64_t endpoint_dropped(const struct endpoint *e);
/* False where there is no link. */
bool endpoint_link_stats(const struct endpoint *e, struct impair_stats *up,
                         struct impair_stats *down);
/* Counters start anew, but for those of its link. */
void endpoint_stats_reset(struct endpoint *e);

#endif
