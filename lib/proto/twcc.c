#include "lib/proto/twcc.h"

#include <string.h>

#include "lib/base/err.h"

#define TICK_US      250   /* unit of a receive delta */
#define REFERENCE_US 64000 /* unit of the reference time */
#define HEADER_BYTES 20    /* RTCP header, both SSRCs, base, count, reference, feedback count */
#define VECTOR_ONE   14    /* symbols of a vector chunk with 1 bit each */
#define VECTOR_TWO   7     /* with 2 bits each */
#define RUN_MAX      0x1fff

enum symbol { NOT_RECEIVED, SMALL_DELTA, LARGE_DELTA, RESERVED };

struct plan {
    size_t n; /* statuses that fit */
    size_t delta_bytes;
    uint8_t symbol[TWCC_MAX_PACKETS];
    int16_t delta[TWCC_MAX_PACKETS];
};

/* Floor division, for times before the reference too. */
static int64_t ticks_between(int64_t from_us, int64_t to_us)
{
    int64_t d = to_us - from_us;
    return d >= 0 ? (d + TICK_US / 2) / TICK_US : -((-d + TICK_US / 2) / TICK_US);
}

static void make_plan(struct plan *p, size_t cap, int64_t reference_us, const int64_t *arrival_us,
                      size_t n)
{
    int64_t last_us = reference_us;

    p->n = 0;
    p->delta_bytes = 0;
    for (size_t i = 0; i < n; i++) {
        size_t bytes = 0;
        int64_t d = 0;
        enum symbol s = NOT_RECEIVED;
        if (arrival_us[i] != TWCC_LOST) {
            d = ticks_between(last_us, arrival_us[i]);
            if (d < INT16_MIN || d > INT16_MAX) {
                return;
            }
            s = d >= 0 && d <= 255 ? SMALL_DELTA : LARGE_DELTA;
            bytes = s;
        }
        size_t chunks = 2 * ((i + 1) / VECTOR_TWO + 1); /* the most that put_chunks may take */
        if (HEADER_BYTES + chunks + p->delta_bytes + bytes + 3 > cap) {
            return;
        }
        p->symbol[i] = (uint8_t)s;
        p->delta[i] = (int16_t)d;
        p->delta_bytes += bytes;
        p->n = i + 1;
        last_us += d * TICK_US; /* from what the reader will reckon, so errors don't add up */
    }
}

static size_t run_length(const struct plan *p, size_t i)
{
    size_t k = i + 1;

    while (k < p->n && p->symbol[k] == p->symbol[i] && k - i < RUN_MAX) {
        k++;
    }
    return k - i;
}

static size_t put_vector(struct writer *w, const struct plan *p, size_t i)
{
    bool two_bits = false;

    for (size_t k = i; k < p->n && k < i + VECTOR_ONE; k++) {
        two_bits |= p->symbol[k] == LARGE_DELTA;
    }
    size_t room = two_bits ? VECTOR_TWO : VECTOR_ONE;
    unsigned bits = two_bits ? 2 : 1;
    uint32_t chunk = two_bits ? 0xc000 : 0x8000;
    size_t n = p->n - i < room ? p->n - i : room;
    for (size_t k = 0; k < n; k++) {
        chunk |= (uint32_t)p->symbol[i + k] << (14 - bits * (k + 1));
    }
    writer_u16(w, (uint16_t)chunk);
    return n;
}

static void put_chunks(struct writer *w, const struct plan *p)
{
    for (size_t i = 0; i < p->n;) {
        size_t run = run_length(p, i);
        bool worth = run >= VECTOR_ONE || i + run == p->n ||
                     (run >= VECTOR_TWO && p->symbol[i] == LARGE_DELTA);
        if (worth) {
            writer_u16(w, (uint16_t)((unsigned)p->symbol[i] << 13 | run));
            i += run;
        } else {
            i += put_vector(w, p, i);
        }
    }
}

static void put_deltas(struct writer *w, const struct plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->symbol[i] == SMALL_DELTA) {
            writer_u8(w, (uint8_t)p->delta[i]);
        } else if (p->symbol[i] == LARGE_DELTA) {
            writer_u16(w, (uint16_t)p->delta[i]);
        }
    }
}

int twcc_build(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint32_t media_ssrc,
               uint16_t base_seq, uint8_t feedback_count, const int64_t *arrival_us, size_t n,
               size_t *covered)
{
    struct plan p;
    struct writer w;

    size_t first = 0;
    while (first < n && arrival_us[first] == TWCC_LOST) {
        first++;
    }
    if (n > TWCC_MAX_PACKETS || first == n || arrival_us[first] < 0) {
        return ERR_INVALID;
    }
    int64_t reference = arrival_us[first] / REFERENCE_US;
    make_plan(&p, cap, reference * REFERENCE_US, arrival_us, n);
    if (p.n == 0) {
        return ERR_TOO_LARGE;
    }
    writer_init(&w, out, cap);
    writer_u8(&w, 0x80 | RTCP_FMT_TWCC);
    writer_u8(&w, RTCP_RTPFB);
    writer_u16(&w, 0); /* the length, below */
    writer_u32(&w, sender_ssrc);
    writer_u32(&w, media_ssrc);
    writer_u16(&w, base_seq);
    writer_u16(&w, (uint16_t)p.n);
    writer_u24(&w, (uint32_t)reference & 0xffffff);
    writer_u8(&w, feedback_count);
    put_chunks(&w, &p);
    put_deltas(&w, &p);
    size_t pad = (4 - w.len % 4) % 4; /* RFC 3550 padding, its count in the last byte */
    if (pad > 0) {
        out[0] |= 0x20;
    }
    for (size_t i = 1; i <= pad; i++) {
        writer_u8(&w, i == pad ? (uint8_t)pad : 0);
    }
    if (w.bad) {
        return ERR_TOO_LARGE;
    }
    out[2] = (uint8_t)((w.len / 4 - 1) >> 8);
    out[3] = (uint8_t)(w.len / 4 - 1);
    *covered = p.n;
    return (int)w.len;
}

/* Walks packet chunks symbol by symbol. */
struct chunk_reader {
    struct cursor *c;
    uint16_t chunk;
    size_t at, len; /* within the chunk */
};

static uint8_t next_symbol(struct chunk_reader *r)
{
    while (r->at == r->len && !r->c->bad) {
        r->chunk = cursor_u16(r->c);
        r->at = 0;
        if (!(r->chunk & 0x8000)) {
            r->len = r->chunk & RUN_MAX;
        } else {
            r->len = r->chunk & 0x4000 ? VECTOR_TWO : VECTOR_ONE;
        }
    }
    size_t k = r->at++;
    if (!(r->chunk & 0x8000)) {
        return r->chunk >> 13 & 3;
    }
    if (r->chunk & 0x4000) {
        return r->chunk >> (12 - 2 * k) & 3;
    }
    return r->chunk >> (13 - k) & 1;
}

/* Where the deltas begin, having looked at every chunk. */
static int find_deltas(struct cursor *deltas, const struct cursor *chunks, size_t count)
{
    *deltas = *chunks;
    struct chunk_reader r = {.c = deltas};
    for (size_t i = 0; i < count; i++) {
        uint8_t s = next_symbol(&r);
        if (deltas->bad) {
            return ERR_TRUNCATED;
        }
        if (s == RESERVED) {
            return ERR_INVALID;
        }
    }
    return OK;
}

static void read_head(struct twcc_feedback *fb, struct cursor *c)
{
    fb->sender_ssrc = cursor_u32(c);
    fb->media_ssrc = cursor_u32(c);
    fb->base_seq = cursor_u16(c);
    fb->count = cursor_u16(c);
    fb->reference_us = (int64_t)cursor_u24(c) * REFERENCE_US;
    fb->feedback_count = cursor_u8(c);
}

int twcc_parse(struct twcc_feedback *fb, struct twcc_status *out, size_t cap,
               const struct rtcp_packet *p)
{
    struct cursor chunks, deltas;
    size_t stored = 0;

    if (p->type != RTCP_RTPFB || p->count != RTCP_FMT_TWCC) {
        return ERR_INVALID;
    }
    cursor_init(&chunks, p->body, p->len);
    read_head(fb, &chunks);
    if (chunks.bad) {
        return ERR_TRUNCATED;
    }
    if (fb->count == 0) {
        return ERR_INVALID;
    }
    int r = find_deltas(&deltas, &chunks, fb->count);
    if (r < 0) {
        return r;
    }
    struct chunk_reader symbols = {.c = &chunks};
    int64_t at_us = fb->reference_us;
    for (size_t i = 0; i < fb->count; i++) {
        uint8_t s = next_symbol(&symbols);
        if (s == SMALL_DELTA) {
            at_us += (int64_t)cursor_u8(&deltas) * TICK_US;
        } else if (s == LARGE_DELTA) {
            at_us += (int64_t)(int16_t)cursor_u16(&deltas) * TICK_US;
        }
        if (deltas.bad) {
            return ERR_TRUNCATED;
        }
        if (stored < cap) {
            out[stored++] = (struct twcc_status){(uint16_t)(fb->base_seq + i), s != NOT_RECEIVED,
                                                 s != NOT_RECEIVED ? at_us : 0};
        }
    }
    return (int)stored;
}
