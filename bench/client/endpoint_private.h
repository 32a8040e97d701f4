/* Shared by the files of endpoint alone. */
#ifndef SOTTO_BENCH_CLIENT_ENDPOINT_PRIVATE_H
#define SOTTO_BENCH_CLIENT_ENDPOINT_PRIVATE_H

#include "bench/client/endpoint.h"

#include <sys/socket.h>
#include <uv.h>

#include "bench/client/relay.h"
#include "bench/client/sdp_client.h"
#include "bench/client/srtp_gcm.h"
#include "lib/io/udp.h"
#include "sfu/core/srtp_writer.h"
#include "sfu/shell/srtp_peer.h"

#define ENDPOINT_BATCH      32    /* datagrams a recvmmsg; a frame is 7, a keyframe about 40 */
#define ENDPOINT_ROUNDS     8     /* recvmmsg a wake-up, so that one endpoint can't keep the loop */
#define ENDPOINT_FRAME      32    /* packets a sendmmsg */
#define ENDPOINT_TICK_US    5000  /* what isn't a source's is rounded up to it */
#define ENDPOINT_CALM_US    20000 /* the same while nobody connects and no link is bad */
#define ENDPOINT_PAUSE_US   8000  /* before the loop looks again at sockets that get media */
#define ENDPOINT_BRISK_US   1000  /* the same while somebody is connecting */
#define ENDPOINT_SETUP_US   300000    /* how long that counts after its last datagram */
#define ENDPOINT_BUFFER     (1 << 20) /* SO_RCVBUF: 2 s of a camera */
#define ENDPOINT_CANDIDATES 512       /* bytes of our candidates' lines */
#define ENDPOINT_STREAMS    3         /* SSRCs that we send: audio, video, RTX */

struct endpoint_host {
    struct loop *loop;
    struct media_opus opus;
    struct dtls_context *dtls[3]; /* by endpoint_profile; made when first wanted */
    struct nice_hub *nice;        /* likewise */
    struct endpoint_host_stats stats;
    char address[16]; /* of the host, IPv4, not loopback; "" when it has none */
    /* The heap of endpoints by due_us. */
    struct endpoint **heap;
    size_t n_heap, heap_cap;
    int timer_fd;
    int64_t armed_us; /* what the timerfd is set to; INT64_MAX: off */
    int handles;      /* of libuv, open */
    uv_poll_t timer;
    uv_prepare_t pause;
    bool media_came;  /* RTP since the last pause */
    int64_t setup_us; /* the last that was heard of an endpoint on its way to be connected */
    bool calm;        /* nobody connects, no link is bad: media and its reports are all there is */
    bool has_links;   /* relays of ours, whose packets don't wait */
    /* Receive buffers, used by one endpoint at a time. */
    struct mmsghdr in[ENDPOINT_BATCH];
    struct iovec in_iov[ENDPOINT_BATCH];
    struct sockaddr_in in_from[ENDPOINT_BATCH];
    union {
        struct cmsghdr align;
        uint8_t room[CMSG_SPACE(sizeof(struct timespec))];
    } in_control[ENDPOINT_BATCH];
    int in_used; /* headers that the last call wrote to */
    bool in_named;
    _Alignas(16) uint8_t in_data[ENDPOINT_BATCH][UDP_MTU];
};

struct endpoint {
    uv_poll_t poll; /* first: the pointer that uv_close gives back to be freed */
    struct endpoint_host *host;
    struct endpoint_handler handler;
    void *arg;
    struct endpoint_options o;
    enum endpoint_state state;
    int fd, port; /* -1, 0: none (nice) */
    bool poll_open, described, offerer, raw;
    /* The other end: connect()ed once a pair is selected. */
    struct sockaddr_in peer;
    bool has_peer, is_connected_socket;

    struct ice_lean ice;
    /* An ICE restart: its credentials, until the other end's description makes them those of ice.
     */
    struct ice_lean next;
    enum { ENDPOINT_RESTART_NONE, ENDPOINT_RESTART_OFFERED, ENDPOINT_RESTART_CHECKING } restart;
    int64_t restart_us;
    struct nice_peer *nice;
    char *pending_offer; /* to be answered when candidates are gathered */
    struct impair_relay *relay;
    struct sdp_client_agreed agreed;
    struct dtls *dtls;
    int64_t dtls_due_us;
    struct srtp_gcm *gcm;   /* with AEAD profiles; else */
    struct srtp_peer *srtp; /* as the server has it */
    struct srtp_writer *writer;
    size_t tag_len;
    struct {
        uint32_t ssrc;
        struct srtp_stream stream;
    } out[ENDPOINT_STREAMS];
    uint32_t ssrc; /* of RTCP and of the first m-line */
    uint64_t session_id;
    char cname[17];

    struct source *source;
    bool wants_source;
    struct source_config source_config;
    struct receiver *receiver;
    struct receiver_config receiver_config;

    int64_t answer_us, ice_us, connected_us;
    unsigned media_pending;  /* bit a media_kind: not a packet of it yet */
    uint64_t kind_pts[2][2]; /* bits of payload types, by media_kind */
    const char *path;

    size_t heap_at; /* index + 1; 0: not in the heap */
    int64_t due_us;
    uint64_t dropped_before; /* of the socket, at the last reset */
};

/* ---- endpoint_timer.c ---- */
int endpoint_timer_open(struct endpoint_host *h);
void endpoint_timer_close(struct endpoint_host *h);
/* Puts the endpoint's next due time into the heap, by what its parts say. */
void endpoint_schedule(struct endpoint *e, int64_t now_us);
void endpoint_unschedule(struct endpoint *e);

/* ---- endpoint.c ---- */
/* Our host candidates as a=candidate lines: 127.0.0.1 and the host's own address. */
void endpoint_candidates(const struct endpoint *e, char *out, size_t cap);

/* ---- endpoint_udp.c ---- */
int endpoint_socket_open(struct endpoint *e);
void endpoint_socket_close(struct endpoint *e); /* frees the endpoint's memory in the end */
/* Another port, and all else as before; ERR_IO leaves the socket as it is. */
int endpoint_socket_renew(struct endpoint *e);
/* From here on the socket hears and sends to e->peer only. */
void endpoint_socket_connect(struct endpoint *e);
void endpoint_transmit(struct endpoint *e, const uint8_t *data, size_t len);
void endpoint_transmit_to(struct endpoint *e, const uint8_t *data, size_t len,
                          const struct sockaddr_in *to);
void endpoint_transmit_batch(struct endpoint *e, struct iovec *iov, size_t n);
uint64_t endpoint_socket_dropped(const struct endpoint *e);

/* ---- endpoint_session.c ---- */
int endpoint_nice_start(struct endpoint *e);
int endpoint_local(struct endpoint *e, struct sdp_client_local *out, const char *ufrag,
                   const char *pwd, const char *candidates);
int endpoint_give_offer(struct endpoint *e, const char *ufrag, const char *pwd,
                        const char *candidates);
int endpoint_give_answer(struct endpoint *e, struct sdp_client_agreed *agreed, const char *sdp,
                         size_t len, const char *ufrag, const char *pwd, const char *candidates);
void endpoint_fail(struct endpoint *e, const char *why);
void endpoint_stun(struct endpoint *e, const uint8_t *data, size_t len,
                   const struct sockaddr_in *from, int64_t now_us);
void endpoint_dtls(struct endpoint *e, const uint8_t *data, size_t len,
                   const struct sockaddr_in *from, int64_t now_us);
/* What is due of ICE and DTLS, and when there will be more. */
void endpoint_session_poll(struct endpoint *e, int64_t now_us);
int64_t endpoint_session_deadline(const struct endpoint *e);

/* ---- endpoint_again.c ---- */
/* The answer to the offer of an ICE restart. */
int endpoint_restart_remote(struct endpoint *e, const char *sdp, size_t len);
/* The checks with the new credentials came through. */
void endpoint_restarted(struct endpoint *e, int64_t now_us);

/* ---- endpoint_media.c ---- */
int endpoint_media_start(struct endpoint *e, const struct dtls_keys *keys, int64_t now_us);
void endpoint_media_free(struct endpoint *e);
void endpoint_rtp(struct endpoint *e, uint8_t *data, size_t len, int64_t now_us);
void endpoint_rtcp(struct endpoint *e, uint8_t *data, size_t len, int64_t now_us);
void endpoint_media_poll(struct endpoint *e, int64_t now_us);
/* One datagram of whatever kind. What it means for media is judged by when it arrived. */
void endpoint_datagram(struct endpoint *e, uint8_t *data, size_t len,
                       const struct sockaddr_in *from, int64_t now_us, int64_t arrived_us);

#endif
