#include "sfu/shell/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define RING_BYTES  (1u << 20) /* of a tap: about a second of a busy room; a power of two */
#define POLL_NS     10000000
#define PCAP_HEADER 24
#define PCAP_RECORD 16
#define IP_HEADER   20
#define UDP_HEADER  8
#define IN_FRONT    (PCAP_RECORD + IP_HEADER + UDP_HEADER)

/* ---- taps ---- */

/* In front of each packet in the ring; all in steps of 8 bytes. */
struct record {
    int64_t wall_us;
    uint32_t participant;
    uint32_t len;
};

struct capture_tap {
    struct id room;
    _Atomic unsigned refs;
    _Atomic bool closed;
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic size_t head; /* next byte to be taken; the capture's */
    _Alignas(64) _Atomic size_t tail; /* next free byte; the worker's */
    uint8_t ring[RING_BYTES];
};

struct capture_tap *capture_tap_new(const struct id *room)
{
    struct capture_tap *t = aligned_alloc(64, (sizeof *t + 63) / 64 * 64);
    if (t) {
        t->room = *room;
        atomic_init(&t->refs, 1);
        atomic_init(&t->closed, false);
        atomic_init(&t->dropped, 0);
        atomic_init(&t->head, 0);
        atomic_init(&t->tail, 0);
    }
    return t;
}

struct capture_tap *capture_tap_ref(struct capture_tap *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void capture_tap_unref(struct capture_tap *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        free(t);
    }
}

const struct id *capture_tap_room(const struct capture_tap *t)
{
    return &t->room;
}

bool capture_tap_closed(const struct capture_tap *t)
{
    return atomic_load_explicit(&t->closed, memory_order_acquire);
}

static void ring_write(struct capture_tap *t, size_t at, const void *data, size_t n)
{
    size_t i = at % RING_BYTES, first = RING_BYTES - i < n ? RING_BYTES - i : n;
    memcpy(t->ring + i, data, first);
    memcpy(t->ring, (const uint8_t *)data + first, n - first);
}

static void ring_read(const struct capture_tap *t, size_t at, void *out, size_t n)
{
    size_t i = at % RING_BYTES, first = RING_BYTES - i < n ? RING_BYTES - i : n;
    memcpy(out, t->ring + i, first);
    memcpy((uint8_t *)out + first, t->ring, n - first);
}

static size_t stride(size_t len)
{
    return sizeof(struct record) + (len + 7) / 8 * 8;
}

void capture_tap_put(struct capture_tap *t, int64_t wall_us, uint32_t participant,
                     const uint8_t *data, size_t len)
{
    struct record r = {.wall_us = wall_us, .participant = participant, .len = (uint32_t)len};
    size_t tail = atomic_load_explicit(&t->tail, memory_order_relaxed);
    size_t head = atomic_load_explicit(&t->head, memory_order_acquire);
    if (capture_tap_closed(t)) {
        return;
    }
    if (len > CAPTURE_PACKET || RING_BYTES - (tail - head) < stride(len)) {
        atomic_fetch_add_explicit(&t->dropped, 1, memory_order_relaxed);
        return;
    }
    ring_write(t, tail, &r, sizeof r);
    ring_write(t, tail + sizeof r, data, len);
    atomic_store_explicit(&t->tail, tail + stride(len), memory_order_release);
}

/* The next packet into data; false when there is none. */
static bool tap_take(struct capture_tap *t, struct record *r, uint8_t *data)
{
    size_t head = atomic_load_explicit(&t->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&t->tail, memory_order_acquire)) {
        return false;
    }
    ring_read(t, head, r, sizeof *r);
    ring_read(t, head + sizeof *r, data, r->len);
    atomic_store_explicit(&t->head, head + stride(r->len), memory_order_release);
    return true;
}

/* ---- the file: classic pcap with raw IP (LINKTYPE_RAW) ---- */

struct capture {
    struct id room;
    char path[CAPTURE_PATH];
    int fd;
    int64_t end_us, max_bytes;
    pthread_t thread;
    bool running; /* the thread was started and not yet joined */
    _Atomic bool stopping, done;
    _Atomic uint64_t packets, bytes;
    size_t n_taps;
    struct capture_tap **tap;
    size_t used; /* of the block that is written next */
    uint8_t block[64 * 1024];
};

static int write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return ERR_IO;
        }
        data += n;
        len -= (size_t)n;
    }
    return OK;
}

static int flush(struct capture *c)
{
    int err = write_all(c->fd, c->block, c->used);
    c->used = 0;
    return err;
}

static uint16_t ip_checksum(const uint8_t *h)
{
    uint32_t sum = 0;
    for (int i = 0; i < IP_HEADER; i += 2) {
        sum += (uint32_t)h[i] << 8 | h[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~(sum + (sum >> 16));
}

/* Made up: who sends is in the address, 10.0.x.y for participant x × 256 + y. */
static void put_ip_udp(struct writer *w, uint32_t participant, size_t len)
{
    uint8_t *ip = w->data + w->len;
    writer_u16(w, 0x4500);
    writer_u16(w, (uint16_t)(IP_HEADER + UDP_HEADER + len));
    writer_u32(w, 0x00004000); /* don't fragment */
    writer_u16(w, 64 << 8 | 17);
    writer_u16(w, 0); /* the checksum's place */
    writer_u32(w, 0x0a000000u | (participant & 0xffff));
    writer_u32(w, 0x0aff0001u);
    uint16_t sum = ip_checksum(ip);
    ip[10] = (uint8_t)(sum >> 8);
    ip[11] = (uint8_t)sum;
    writer_u16(w, CAPTURE_PORT);
    writer_u16(w, CAPTURE_PORT);
    writer_u16(w, (uint16_t)(UDP_HEADER + len));
    writer_u16(w, 0); /* no checksum (RFC 768) */
}

/* A record's numbers are in the byte order that the magic number of the file tells, the network's
 * here. */
static void put_head(struct capture *c, const struct record *r)
{
    struct writer w;
    uint32_t len = IP_HEADER + UDP_HEADER + r->len;
    writer_init(&w, c->block + c->used, IN_FRONT);
    writer_u32(&w, (uint32_t)(r->wall_us / 1000000));
    writer_u32(&w, (uint32_t)(r->wall_us % 1000000));
    writer_u32(&w, len);
    writer_u32(&w, len);
    put_ip_udp(&w, r->participant, r->len);
    c->used += IN_FRONT;
}

static void put_file_header(struct capture *c)
{
    struct writer w;
    writer_init(&w, c->block, PCAP_HEADER);
    writer_u32(&w, 0xa1b2c3d4);
    writer_u16(&w, 2);
    writer_u16(&w, 4);
    writer_u32(&w, 0);
    writer_u32(&w, 0);
    writer_u32(&w, 65535);
    writer_u32(&w, 101); /* LINKTYPE_RAW */
    c->used = PCAP_HEADER;
    atomic_store_explicit(&c->bytes, PCAP_HEADER, memory_order_relaxed);
}

/* ---- the thread ---- */

/* ERR_LIMIT: the file is as large as it may be. */
static int write_packet(struct capture *c, const struct record *r, const uint8_t *data)
{
    uint64_t bytes = atomic_load_explicit(&c->bytes, memory_order_relaxed) + IN_FRONT + r->len;
    int err = OK;
    if (bytes > (uint64_t)c->max_bytes) {
        return ERR_LIMIT;
    }
    if (c->used + IN_FRONT + r->len > sizeof c->block) {
        err = flush(c);
    }
    put_head(c, r);
    memcpy(c->block + c->used, data, r->len);
    c->used += r->len;
    atomic_store_explicit(&c->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->packets, 1, memory_order_relaxed);
    return err;
}

static int drain(struct capture *c)
{
    struct record r;
    uint8_t data[CAPTURE_PACKET];
    for (size_t i = 0; i < c->n_taps; i++) {
        while (tap_take(c->tap[i], &r, data)) {
            int err = write_packet(c, &r, data);
            if (err) {
                return err;
            }
        }
    }
    return flush(c);
}

static void close_taps(struct capture *c)
{
    for (size_t i = 0; i < c->n_taps; i++) {
        atomic_store_explicit(&c->tap[i]->closed, true, memory_order_release);
    }
}

static void *run(void *arg)
{
    struct capture *c = arg;
    const struct timespec pause = {.tv_nsec = POLL_NS};
    int err = OK;
    while (!err && clock_mono_us() < c->end_us &&
           !atomic_load_explicit(&c->stopping, memory_order_acquire)) {
        nanosleep(&pause, NULL);
        err = drain(c);
    }
    close_taps(c);
    if (err != ERR_IO) {
        (void)flush(c);
    }
    close(c->fd);
    atomic_store_explicit(&c->done, true, memory_order_release);
    return NULL;
}

/* ---- control's side ---- */

static int open_file(struct capture *c, const char *dir, int64_t wall_us)
{
    char when[32] = "";
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm)) {
        (void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    }
    int n = snprintf(c->path, sizeof c->path, "%s/%s-%s.pcap", dir, c->room.s, when);
    if (n < 0 || (size_t)n >= sizeof c->path) {
        return ERR_INVALID;
    }
    c->fd = open(c->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return c->fd < 0 ? ERR_IO : OK;
}

static int make_taps(struct capture *c, size_t n)
{
    c->tap = calloc(n, sizeof *c->tap);
    while (c->tap && c->n_taps < n) {
        c->tap[c->n_taps] = capture_tap_new(&c->room);
        if (!c->tap[c->n_taps]) {
            return ERR_NOMEM;
        }
        c->n_taps++;
    }
    return c->tap ? OK : ERR_NOMEM;
}

static bool is_sane(const struct capture_options *o)
{
    return o->dir && o->dir[0] && o->seconds >= 1 && o->seconds <= CAPTURE_MAX_SECONDS &&
           o->max_bytes >= CAPTURE_MIN_BYTES && o->max_bytes <= CAPTURE_MAX_BYTES &&
           o->n_taps > 0 && id_is_valid(o->room.s);
}

int capture_start(struct capture **out, const struct capture_options *o, int64_t wall_us)
{
    struct capture *c = is_sane(o) ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        return is_sane(o) ? ERR_NOMEM : ERR_INVALID;
    }
    c->room = o->room;
    c->fd = -1;
    c->max_bytes = o->max_bytes;
    c->end_us = clock_mono_us() + o->seconds * 1000000;
    int err = make_taps(c, o->n_taps);
    err = err ? err : open_file(c, o->dir, wall_us);
    if (!err) {
        put_file_header(c);
        err = pthread_create(&c->thread, NULL, run, c) == 0 ? OK : ERR_NOMEM;
        c->running = !err;
    }
    if (err) {
        capture_free(c);
        return err;
    }
    *out = c;
    return OK;
}

struct capture_tap *capture_tap_at(const struct capture *c, size_t i)
{
    return c->tap[i];
}

const char *capture_path(const struct capture *c)
{
    return c->path;
}

const struct id *capture_room(const struct capture *c)
{
    return &c->room;
}

bool capture_done(const struct capture *c)
{
    return atomic_load_explicit(&c->done, memory_order_acquire);
}

void capture_counts(const struct capture *c, struct capture_counts *out)
{
    *out =
        (struct capture_counts){.packets = atomic_load_explicit(&c->packets, memory_order_relaxed),
                                .bytes = atomic_load_explicit(&c->bytes, memory_order_relaxed)};
    for (size_t i = 0; i < c->n_taps; i++) {
        out->dropped += atomic_load_explicit(&c->tap[i]->dropped, memory_order_relaxed);
    }
}

void capture_stop(struct capture *c)
{
    atomic_store_explicit(&c->stopping, true, memory_order_release);
}

void capture_finish(struct capture *c)
{
    if (c->running) {
        capture_stop(c);
        pthread_join(c->thread, NULL);
        c->running = false;
        c->fd = -1; /* which the thread has closed */
    }
}

void capture_free(struct capture *c)
{
    if (!c) {
        return;
    }
    capture_finish(c);
    if (c->fd >= 0) {
        close(c->fd);
        (void)unlink(c->path);
    }
    for (size_t i = 0; i < c->n_taps; i++) {
        capture_tap_unref(c->tap[i]);
    }
    free(c->tap);
    free(c);
}
