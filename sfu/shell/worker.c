#include "sfu/shell/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/proto/demux.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/tcp_listener.h"
#include "sfu/shell/worker_order.h"
#include "sfu/shell/worker_private.h"
#include "sfu/shell/worker_relay.h"

#define FAST_US     10000
#define SLACK_US    5000 /* that it may be late: mostly a packet wakes the loop before */
#define SLOW_US     100000
#define RECV_ROUNDS 8 /* batches read before timers and control get their turn */
#define IN_RING     4096
#define OUT_RING    16384
#define DATA_RING   1024

/* ---- sending ---- */

static void flush_datagrams(struct worker *w)
{
    if (w->n_out > 0) {
        int sent = udp_send(w->udp, w->out_packet, (int)w->n_out);
        if (sent < 0 || (size_t)sent < w->n_out) {
            worker_count(w, SFU_DROP_SEND, (int64_t)w->n_out - (sent < 0 ? 0 : sent));
        }
        w->n_out = 0;
    }
}

static int send_trains(void *arg, const struct udp_message *m, int n)
{
    struct worker *w = arg;
    return w->tcp ? worker_tcp_messages(w, m, n) : udp_send_messages(w->udp, m, n);
}

static void note_trains(struct worker *w)
{
    bool on = udp_segments(w->udp) == UDP_SEGMENTS_ON;
    if (on != w->trains) {
        w->trains = on;
        out_queue_trains(w->queue, on);
    }
}

/* What a turn counted goes to the metrics. */
static void tell_counts(struct worker *w)
{
    struct out_counts c;
    out_queue_take_counts(w->queue, &c);
    w->count[SFU_FORWARDED_PACKETS] += (int64_t)c.packets;
    w->count[SFU_FORWARDED_BYTES] += (int64_t)c.bytes;
    w->count[SFU_DROP_SEND] += (int64_t)c.refused;
    w->count[SFU_DROP_TOO_LARGE] += (int64_t)c.too_large;
    for (int i = 0; i < SFU_METRICS; i++) {
        if (w->count[i]) {
            sfu_count((enum sfu_metric)i, w->count[i]);
            w->count[i] = 0;
        }
    }
}

/* Handshakes, checks and RTCP leave first: they are few, and others wait for them. */
static void flush(struct worker *w)
{
    flush_datagrams(w);
    out_queue_flush(w->queue, w->now_us);
    note_trains(w);
    tell_counts(w);
}

uint8_t *worker_out_begin(struct worker *w)
{
    if (w->n_out == WORKER_OUT) {
        flush_datagrams(w);
    }
    return w->out_data[w->n_out];
}

void worker_out_commit(struct worker *w, size_t len, const struct peer_path *to)
{
    struct udp_packet *p = &w->out_packet[w->n_out];
    if (to->tcp) {
        (void)tcp_conn_send(to->tcp, w->out_data[w->n_out], len, true, w->now_us);
        return;
    }
    p->data = w->out_data[w->n_out];
    p->len = len;
    p->peer = *to->addr;
    p->local = *to->local;
    w->n_out++;
}

void worker_out_to_peer(struct worker *w, size_t len, const struct peer_address *to)
{
    struct peer_path path = {.addr = &to->addr, .local = &to->local, .tcp = to->tcp};
    worker_out_commit(w, len, &path);
}

static void tell(struct worker *w, char *text, bool hello)
{
    if (!text) {
        return;
    }
    struct worker_report *r = malloc(sizeof *r);
    if (r) {
        *r = (struct worker_report){.text = text, .hello = hello};
    }
    if (!r || mailbox_put(w->out, r)) {
        atomic_store_explicit(&w->lost_reports, true, memory_order_relaxed);
        sfu_count(SFU_CONTROL_DROPPED, 1);
        free(text);
        free(r);
    }
    w->o.on_report(w->o.arg);
}

void worker_tell(struct worker *w, char *text)
{
    tell(w, text, false);
}

void worker_tell_hello(struct worker *w, char *text)
{
    tell(w, text, true);
}

/* ---- receiving ---- */

void worker_receive(struct worker *w, const struct peer_path *from, uint8_t *data, size_t len)
{
    worker_count(w, SFU_RECEIVED_PACKETS, 1);
    worker_count(w, SFU_RECEIVED_BYTES, (int64_t)len);
    if (len == 0) {
        worker_count(w, SFU_DROP_TOO_LARGE, 1);
        return;
    }
    enum packet_kind kind = demux_packet(data, len);
    if (kind == PACKET_STUN) {
        worker_stun(w, from, data, len);
        return;
    }
    if (kind == PACKET_UNKNOWN) {
        worker_count(w, SFU_DROP_UNKNOWN_KIND, 1);
        return;
    }
    struct peer_address *a = transport_by_path(w->table, from);
    if (!a) {
        worker_count(w, SFU_DROP_UNKNOWN_ADDRESS, 1);
    } else if (kind == PACKET_DTLS) {
        worker_dtls(w, a->transport, data, len);
    } else if (!a->transport->connected) {
        worker_count(w, SFU_DROP_NO_KEYS, 1);
    } else if (kind == PACKET_RTP) {
        worker_rtp(w, a->transport, data, len);
    } else {
        worker_rtcp(w, a->transport, data, len);
    }
}

static void receive_some(struct worker *w, struct udp_packet *p, int n)
{
    worker_fetch(w, p, n);
    for (int i = 0; i < n; i++) {
        struct peer_path from = {.addr = &p[i].peer, .local = &p[i].local};
        worker_receive(w, &from, p[i].data, p[i].len);
    }
}

static int read_packets(struct worker *w)
{
    return w->joined ? udp_recv_joined(w->udp, w->in_packet, UDP_BATCH)
                     : udp_recv(w->udp, w->in_packet, UDP_BATCH);
}

static void receive_all(struct worker *w)
{
    int full = w->joined ? UDP_JOINED : UDP_BATCH;
    for (int round = 0; round < RECV_ROUNDS; round++) {
        int n = read_packets(w);
        for (int i = 0; i < n; i += WORKER_FETCH) {
            receive_some(w, w->in_packet + i, n - i < WORKER_FETCH ? n - i : WORKER_FETCH);
        }
        if (n < full) {
            return;
        }
    }
}

/* Requests may end slots and transports that packets wait for. */
static void take_requests(struct worker *w)
{
    struct control_frame *f;
    mailbox_clear(w->in);
    out_queue_flush_all(w->queue);
    while ((f = mailbox_take(w->in))) {
        worker_handle(w, f);
    }
}

/* ---- the loop ---- */

static void read_clocks(struct worker *w)
{
    w->now_us = clock_mono_us();
    w->wall_us = clock_wall_us();
}

/* CPU time of this thread. */
static int64_t thread_cpu_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0) {
        return 0;
    }
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What came and found the receive buffer full. */
static void count_drops(struct worker *w)
{
    uint64_t dropped = udp_dropped(w->udp);
    if (dropped > w->dropped) {
        worker_count(w, SFU_DROP_RECEIVE, (int64_t)(dropped - w->dropped));
        w->dropped = dropped;
    }
}

static void periodic(struct worker *w)
{
    if (w->now_us >= w->fast_us) {
        w->fast_us = w->now_us + FAST_US;
        worker_rtcp_due(w);
        worker_feedback(w);
        worker_stats(w);
    }
    if (w->now_us >= w->slow_us) {
        w->slow_us = w->now_us + SLOW_US;
        router_tick(w->router, w->now_us);
        worker_check_peers(w);
        worker_rates(w);
        worker_tcp_tick(w);
        worker_measure(w, thread_cpu_us());
        count_drops(w);
        sfu_gauge(SFU_ROOMS, (int64_t)router_room_count(w->router));
        sfu_gauge(SFU_TRANSPORTS, (int64_t)w->n_transports);
    }
}

/* Without transports, connections and shared rooms there is nothing that time could change:
 * INT64_MAX. */
static int64_t wait_us(const struct worker *w, int64_t now_us)
{
    int64_t due = worker_relay_due(w), queued = out_queue_due(w->queue);
    if (w->transports || worker_tcp_waits(w)) {
        due = due < queued ? due : queued;
        due = due < w->fast_us + SLACK_US ? due : w->fast_us + SLACK_US;
    }
    if (due == INT64_MAX) {
        return due;
    }
    return due > now_us ? due - now_us : 0;
}

/* To the microsecond, where the kernel can (Linux 5.11); else to the next millisecond. */
static int wait_events(struct worker *w, int64_t now_us, struct epoll_event *events, int n)
{
    int64_t us = wait_us(w, now_us);
    if (us == INT64_MAX || us == 0 || w->coarse) {
        return epoll_wait(w->epoll, events, n, us == INT64_MAX ? -1 : (int)((us + 999) / 1000));
    }
    struct timespec t = {us / 1000000, us % 1000000 * 1000};
    int got = epoll_pwait2(w->epoll, events, n, &t, NULL);
    if (got < 0 && (errno == ENOSYS || errno == EPERM)) {
        w->coarse = true;
        return 0;
    }
    return got;
}

static void turn(struct worker *w)
{
    struct epoll_event events[5];
    int64_t before_us = clock_mono_us();
    int n = wait_events(w, before_us, events, 5);
    read_clocks(w);
    w->waited_us += w->now_us - before_us;
    for (int i = 0; i < n; i++) {
        if (events[i].data.fd == mailbox_fd(w->in)) {
            take_requests(w);
        } else if (w->tcp && events[i].data.fd == tcp_listener_fd(w->tcp)) {
            tcp_listener_turn(w->tcp, w->now_us);
        } else if (!worker_relay_event(w, events[i].data.fd)) {
            receive_all(w);
        }
    }
    periodic(w);
    worker_sweep(w);
    worker_events(w);
    if (!w->transports) {
        worker_tcp_tick(w);
    }
    flush(w);
    if (!w->transports) {
        sfu_gauge(SFU_ROOMS, (int64_t)router_room_count(w->router));
        sfu_gauge(SFU_TRANSPORTS, 0);
        worker_stats_idle(w);
    }
}

static void *run(void *arg)
{
    struct worker *w = arg;
    while (!atomic_load_explicit(&w->stopping, memory_order_acquire)) {
        turn(w);
    }
    read_clocks(w);
    while (w->transports) {
        worker_remove(w, w->transports, false);
    }
    flush(w);
    return NULL;
}

/* ---- control's side ---- */

static int watch(int epoll, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? OK : ERR_IO;
}

/* Every address by UDP, and behind those every address by TCP, as far as there is room. */
static void offer_addresses(struct worker *w)
{
    struct sdp_local_candidate *c = w->o.candidate;
    size_t n = w->o.n_candidates;
    for (size_t i = 0; i < n; i++) {
        c[i].port = (uint16_t)udp_port(w->udp);
        if (w->tcp && w->o.n_candidates < SDP_MAX_CANDIDATES) {
            c[w->o.n_candidates++] = (struct sdp_local_candidate){
                .address = c[i].address, .port = (uint16_t)tcp_listener_port(w->tcp), .tcp = true};
        }
    }
}

static void setup_admission(struct worker *w)
{
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    w->o.limits.most[ADMISSION_TRANSPORTS] = w->o.max_transports;
    admission_init(&w->admission, &w->o.limits, seed);
    w->measured_us = clock_mono_us();
}

static int setup(struct worker *w)
{
    const struct worker_options *o = &w->o;
    struct router_limits limits = {
        .max_rooms = o->max_rooms, .pool_packets = o->pool_packets, .cache_us = o->cache_us};
    w->router = router_new(&limits);
    w->table = transport_table_new();
    w->queue = out_queue_new(send_trains, w);
    w->waits = rtcp_wait_new();
    w->trains = true;
    setup_admission(w);
    if (!w->router || !w->table || !w->queue || !w->waits) {
        return ERR_NOMEM;
    }
    int err = mailbox_new(&w->in, IN_RING);
    err = err ? err : mailbox_new(&w->out, OUT_RING);
    err = err ? err : mailbox_new(&w->data, DATA_RING);
    err = err ? err : udp_open(&w->udp, o->address, o->port, o->buffer_bytes);
    if (err) {
        return err;
    }
    err = worker_tcp_open(w);
    if (err) {
        return err;
    }
    w->joined = udp_gro(w->udp) == OK;
    for (int i = 0; i < UDP_BATCH; i++) {
        w->in_packet[i].data = w->in_data[i];
    }
    offer_addresses(w);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (w->epoll < 0 || watch(w->epoll, udp_fd(w->udp)) || watch(w->epoll, mailbox_fd(w->in)) ||
        (w->tcp && watch(w->epoll, tcp_listener_fd(w->tcp)))) {
        return ERR_IO;
    }
    return OK;
}

static void teardown(struct worker *w)
{
    struct control_frame *f;
    struct worker_report *r;
    while (w->in && (f = mailbox_take(w->in))) {
        if (worker_order_of(f)) {
            worker_order_drop(worker_order_of(f));
        }
        control_free(f);
        free(f);
    }
    while (w->out && (r = mailbox_take(w->out))) {
        worker_report_free(r);
    }
    worker_stats_end(w);
    mailbox_free(w->in);
    mailbox_free(w->out);
    if (w->epoll >= 0) {
        close(w->epoll);
    }
    if (w->udp) {
        udp_close(w->udp);
    }
    tcp_listener_close(w->tcp);
    out_queue_free(w->queue);
    rtcp_wait_free(w->waits);
    worker_relay_free(w);
    router_free(w->router);
    transport_table_free(w->table);
    free(w);
}

int worker_start(struct worker **out, const struct worker_options *o)
{
    struct worker *w = aligned_alloc(64, (sizeof *w + 63) / 64 * 64);
    if (!w) {
        return ERR_NOMEM;
    }
    memset(w, 0, sizeof *w);
    w->o = *o;
    if (w->o.connect_us <= 0) {
        w->o.connect_us = TRANSPORT_CONNECT_US;
    }
    w->epoll = -1;
    int err = setup(w);
    if (!err && pthread_create(&w->thread, NULL, run, w) != 0) {
        err = ERR_NOMEM;
    }
    if (err) {
        teardown(w);
        return err;
    }
    *out = w;
    return OK;
}

int worker_port(const struct worker *w)
{
    return udp_port(w->udp);
}

int worker_request(struct worker *w, struct control_frame *frame)
{
    return mailbox_put(w->in, frame);
}

int worker_ask_hello(struct worker *w)
{
    struct control_frame *f = calloc(1, sizeof *f);
    if (!f) {
        return ERR_NOMEM;
    }
    f->type = CONTROL_HELLO;
    int err = mailbox_put(w->in, f);
    if (err) {
        free(f);
    }
    return err;
}

struct worker_report *worker_take(struct worker *w)
{
    return mailbox_take(w->out);
}

void worker_report_free(struct worker_report *r)
{
    if (r) {
        free(r->text);
        free(r);
    }
}

bool worker_lost_reports(struct worker *w)
{
    return atomic_exchange_explicit(&w->lost_reports, false, memory_order_relaxed);
}

void worker_halt(struct worker *w)
{
    if (!w->halted) {
        atomic_store_explicit(&w->stopping, true, memory_order_release);
        mailbox_wake(w->in);
        pthread_join(w->thread, NULL);
        w->halted = true;
    }
}

void worker_stop(struct worker *w)
{
    if (w) {
        worker_halt(w);
        teardown(w);
    }
}
