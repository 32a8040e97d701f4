/* A client in C: ICE checks, DTLS, SRTP over a socket (UDP, or TCP with the framing of RFC 4571),
 * against a real worker. */
#ifndef SOTTO_TEST_PEER_FIXTURE_H
#define SOTTO_TEST_PEER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"
#include "lib/io/tcp_frames.h"
#include "lib/proto/control.h"
#include "lib/proto/demux.h"
#include "lib/proto/rtcp.h"
#include "lib/proto/stun.h"
#include "sfu/core/srtp_writer.h"
#include "sfu/shell/dtls.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/srtp_peer.h"
#include "sfu/shell/worker.h"

#define WAIT_US 10000000 /* nothing here takes so long; it is where a test gives up */
#define ROOM    "01890a5d-ac96-774b-bcce-b302099a8057"

/* What sfud's control thread would be. */
struct control_end {
    struct worker *worker;
    struct dtls_context *dtls;
    int64_t next_id;
};

struct peer {
    int fd, family;
    bool tcp;
    struct tcp_frames frames; /* of TCP, and what was read of it: */
    uint8_t chunk[4096];
    const uint8_t *chunk_at;
    size_t chunk_len;
    struct sockaddr_in server;
    struct dtls_context *context;
    struct dtls *dtls;
    struct srtp_peer *srtp;
    struct srtp_writer *writer;
    char ufrag[64], pwd[64]; /* the server's */
    bool checked;
};

static inline void no_report(void *arg)
{
    (void)arg;
}

static inline void control_open_limited(struct control_end *c, const char *address,
                                        int64_t connect_us, const struct admission_limits *limits)
{
    struct worker_options o = {.node = "test",
                               .instance = ROOM,
                               .region = "here",
                               .address = address,
                               .connect_us = connect_us,
                               .buffer_bytes = 1 << 20,
                               .max_rooms = 4,
                               .max_transports = 8,
                               .pool_packets = 512,
                               .tcp = true,
                               .tcp_connections = 16,
                               .tcp_per_prefix = 16,
                               .cache_us = 1000000,
                               .n_candidates = 1,
                               .candidate = {{.address = "127.0.0.1"}},
                               .on_report = no_report};
    o.limits = *limits;
    assert_int_equal(dtls_context_new(&c->dtls), OK);
    o.dtls = c->dtls;
    c->next_id = 1;
    assert_int_equal(worker_start(&c->worker, &o), OK);
}

static inline void control_open_with(struct control_end *c, const char *address, int64_t connect_us)
{
    struct admission_limits none = {.busy_percent = 0};
    control_open_limited(c, address, connect_us, &none);
}

static inline void control_open(struct control_end *c)
{
    control_open_with(c, "127.0.0.1", 0);
}

static inline void control_shut(struct control_end *c)
{
    worker_stop(c->worker);
    dtls_context_free(c->dtls);
}

/* Sends the request (its text is freed). */
static inline void control_send(struct control_end *c, char *text)
{
    struct control_frame *f = calloc(1, sizeof *f);
    char why[100];
    assert_non_null(f);
    assert_int_equal(control_parse(f, text, strlen(text), why, sizeof why), OK);
    assert_int_equal(worker_request(c->worker, f), OK);
    free(text);
}

/* The next report of that type; those before are let go. Free with control_free. */
static inline void control_await(struct control_end *c, enum control_type type,
                                 struct control_frame *out)
{
    int64_t end_us = clock_mono_us() + WAIT_US;
    while (clock_mono_us() < end_us) {
        struct worker_report *r = worker_take(c->worker);
        if (!r) {
            poll(NULL, 0, 1);
            continue;
        }
        assert_int_equal(control_parse(out, r->text, strlen(r->text), NULL, 0), OK);
        worker_report_free(r);
        if (out->type == type) {
            return;
        }
        control_free(out);
    }
    fail_msg("no %s in time", control_type_name(type));
}

static inline void peer_send(void *arg, const uint8_t *data, size_t len)
{
    struct peer *p = arg;
    uint8_t framed[TCP_FRAME_HEADER + TCP_FRAME_MAX];
    if (!p->tcp) {
        (void)!send(p->fd, data, len, 0);
        return;
    }
    assert_true(len <= TCP_FRAME_MAX);
    tcp_frames_header(framed, len);
    memcpy(framed + TCP_FRAME_HEADER, data, len);
    (void)!send(p->fd, framed, TCP_FRAME_HEADER + len, MSG_NOSIGNAL);
}

/* Another socket, from another port: the one before is the caller's. */
static inline void peer_connect(struct peer *p, int port, int family, bool tcp)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int on = 1;
    p->server.sin_family = AF_INET;
    p->server.sin_port = htons((uint16_t)port);
    p->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->family = family;
    p->tcp = tcp;
    p->chunk_len = 0;
    memset(&p->frames, 0, sizeof p->frames);
    p->fd = socket(family, tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
    assert_int_equal(family == AF_INET
                         ? connect(p->fd, (struct sockaddr *)&p->server, sizeof p->server)
                         : connect(p->fd, (struct sockaddr *)&six, sizeof six),
                     0);
    if (tcp) {
        (void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

static inline void peer_open_by(struct peer *p, int port, int family, bool tcp)
{
    memset(p, 0, sizeof *p);
    peer_connect(p, port, family, tcp);
    assert_int_equal(dtls_context_new(&p->context), OK);
}

static inline void peer_open(struct peer *p, int port)
{
    peer_open_by(p, port, AF_INET, false);
}

static inline void peer_shut(struct peer *p)
{
    dtls_free(p->dtls);
    srtp_peer_free(p->srtp);
    srtp_writer_free(p->writer);
    dtls_context_free(p->context);
    close(p->fd);
}

/* One packet of the stream, or 0 after 20 ms or when it was closed. */
static inline size_t peer_receive_framed(struct peer *p, uint8_t *data, size_t cap)
{
    struct pollfd f = {.fd = p->fd, .events = POLLIN};
    const uint8_t *frame;
    for (;;) {
        int n = tcp_frames_next(&p->frames, &p->chunk_at, &p->chunk_len, &frame);
        assert_true(n >= 0 && (size_t)n <= cap);
        if (n > 0) {
            memcpy(data, frame, (size_t)n);
            return (size_t)n;
        }
        ssize_t got = poll(&f, 1, 20) > 0 ? recv(p->fd, p->chunk, sizeof p->chunk, 0) : 0;
        if (got <= 0) {
            return 0;
        }
        p->chunk_at = p->chunk;
        p->chunk_len = (size_t)got;
    }
}

/* One datagram, or 0 after 20 ms. */
static inline size_t peer_receive(struct peer *p, uint8_t *data, size_t cap)
{
    struct pollfd f = {.fd = p->fd, .events = POLLIN};
    if (p->tcp) {
        return peer_receive_framed(p, data, cap);
    }
    if (poll(&f, 1, 20) <= 0) {
        return 0;
    }
    ssize_t n = recv(p->fd, data, cap, 0);
    return n > 0 ? (size_t)n : 0;
}

/* Finds `name` in an SDP and copies the word behind it. */
static inline void sdp_word(char *out, size_t cap, const char *sdp, const char *name)
{
    const char *at = strstr(sdp, name);
    assert_non_null(at);
    at += strlen(name);
    size_t n = strcspn(at, "\r\n ");
    assert_true(n < cap);
    memcpy(out, at, n);
    out[n] = 0;
}

static inline void fingerprint_text(char out[96], const uint8_t *fingerprint)
{
    for (int i = 0; i < 32; i++) {
        snprintf(out + 3 * i, 4, "%02X%s", fingerprint[i], i < 31 ? ":" : "");
    }
}

/* Reads the server's credentials and fingerprint out of its description. */
static inline void peer_take_server(struct peer *p, const char *sdp,
                                    uint8_t fingerprint[DTLS_FINGERPRINT_LEN])
{
    char text[128];
    sdp_word(p->ufrag, sizeof p->ufrag, sdp, "a=ice-ufrag:");
    sdp_word(p->pwd, sizeof p->pwd, sdp, "a=ice-pwd:");
    sdp_word(text, sizeof text, sdp, "a=fingerprint:sha-256 ");
    for (int i = 0; i < 32; i++) {
        fingerprint[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
    }
}

/* Sends a check and waits for nothing. */
static inline void peer_ask(struct peer *p, const char *own_ufrag, bool nominates,
                            uint8_t transaction[12])
{
    uint8_t out[512];
    char user[130];
    snprintf(user, sizeof user, "%s:%s", p->ufrag, own_ufrag);
    random_bytes(transaction, 12);
    int n = ice_check_build(out, sizeof out, transaction, user, p->pwd, 0x6e0001ff, nominates, 77);
    assert_true(n > 0);
    peer_send(p, out, (size_t)n);
}

/* A nominated check; true when it was answered well. */
static inline bool peer_check(struct peer *p, const char *own_ufrag)
{
    uint8_t transaction[12], in[2048];
    struct sockaddr_storage mapped;
    socklen_t mapped_len = sizeof mapped;
    int code;
    peer_ask(p, own_ufrag, true, transaction);
    for (int i = 0; i < 100; i++) {
        size_t len = peer_receive(p, in, sizeof in);
        if (len && demux_packet(in, len) == PACKET_STUN) {
            int err =
                ice_check_read_response(&mapped, &mapped_len, &code, in, len, transaction, p->pwd);
            assert_int_equal(err || mapped.ss_family == p->family, true);
            return err == OK;
        }
    }
    return false;
}

/* The handshake, as DTLS client or server, to the end. False when it failed. */
static inline bool peer_handshake_as(struct peer *p, const uint8_t *fingerprint, bool client)
{
    uint8_t in[2048];
    int64_t end_us = clock_mono_us() + WAIT_US;
    struct dtls_keys keys;
    assert_int_equal(dtls_new(&p->dtls, p->context, client, peer_send, p), OK);
    dtls_set_fingerprint(p->dtls, fingerprint);
    while (dtls_state(p->dtls) == DTLS_HANDSHAKE && clock_mono_us() < end_us) {
        size_t len = peer_receive(p, in, sizeof in);
        if (len && demux_packet(in, len) == PACKET_DTLS) {
            dtls_input(p->dtls, in, len);
        }
        dtls_timeout(p->dtls);
    }
    if (dtls_state(p->dtls) != DTLS_READY) {
        return false;
    }
    assert_int_equal(dtls_export_keys(p->dtls, &keys), OK);
    assert_int_equal(keys.profile, DTLS_AEAD_AES_128_GCM);
    assert_int_equal(srtp_peer_new(&p->srtp, &keys), OK);
    assert_int_equal(srtp_writer_new(&p->writer, (enum srtp_profile)keys.profile, keys.local_key,
                                     keys.local_salt),
                     OK);
    return true;
}

/* An offer or an answer of one Opus line, with this peer's fingerprint; valid until the next call.
 */
static inline char *peer_describe(const struct peer *p, const char *mid, const char *direction,
                                  const char *setup)
{
    static char text[2048];
    char fingerprint[96];
    fingerprint_text(fingerprint, dtls_context_fingerprint(p->context));
    snprintf(text, sizeof text,
             "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE %s\r\n"
             "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=%s\r\n"
             "a=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=setup:%s\r\n"
             "a=rtpmap:111 opus/48000/2\r\na=ssrc:4242 cname:x\r\n"
             "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=fingerprint:sha-256 %s\r\n",
             mid, mid, direction, setup, fingerprint);
    return text;
}

/* 100 bytes of `seq` as sound. */
static inline void peer_send_sound(struct peer *p, struct srtp_stream *stream, uint16_t seq)
{
    uint8_t out[300] = {0};
    struct rtp_out o = {.pt = 111, .seq = seq, .ts = seq * 960u, .ssrc = 4242};
    int n = rtp_out_write(&o, out, sizeof out);
    memset(out + n, (int)seq, 100);
    int len = srtp_writer_protect(p->writer, stream, out, (size_t)n + 100, (size_t)n, sizeof out);
    assert_true(len > 0);
    peer_send(p, out, (size_t)len);
}

/* The next decrypted RTP packet, if one comes before `tries` times 20 ms without a datagram. */
static inline bool peer_take_sound(struct peer *p, struct rtp_header *h, uint8_t *data, size_t cap,
                                   int tries)
{
    for (int i = 0; i < tries; i++) {
        size_t len = peer_receive(p, data, cap);
        if (len && demux_packet(data, len) == PACKET_RTP) {
            assert_int_equal(srtp_peer_unprotect_rtp(p->srtp, data, &len), OK);
            assert_int_equal(rtp_parse(h, data, len), OK);
            return true;
        }
    }
    return false;
}

/* The port in the description's candidate. */
static inline int peer_candidate_port(const char *sdp)
{
    const char *at = strstr(sdp, " 127.0.0.1 ");
    while (at && strncmp(at - 5, "IP4", 3) == 0) {
        at = strstr(at + 1, " 127.0.0.1 ");
    }
    assert_non_null(at);
    return (int)strtol(at + strlen(" 127.0.0.1 "), NULL, 10);
}

static inline void peer_aim(struct peer *p, int port)
{
    p->server.sin_port = htons((uint16_t)port);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&p->server, sizeof p->server), 0);
}

static inline bool peer_handshake(struct peer *p, const uint8_t *fingerprint)
{
    return peer_handshake_as(p, fingerprint, true);
}

#endif
