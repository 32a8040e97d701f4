#include "lib/proto/twcc.h"

#include <string.h>

#include "lib/base/err.h"

#define TICK_US      250   /* unit of a receive delta */
#define REFERENCE_US 64000 /* unit of the reference time */
#define HEADER_BYTES 20    /* RTCP header, both SSRCs, base, count, reference, feedback count */
#define BODY_BYTES   16    /* of those behind the RTCP header */
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

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

/* Of a chunk's symbols those that count, where `left` do. */
static size_t chunk_symbols(uint16_t chunk, size_t left)
{
    size_t n = !(chunk & 0x8000) ? chunk & RUN_MAX : chunk & 0x4000 ? VECTOR_TWO : VECTOR_ONE;
    return n < left ? n : left;
}

static uint8_t symbol_of(uint16_t chunk, size_t k)
{
    if (!(chunk & 0x8000)) {
        return chunk >> 13 & 3;
    }
    return chunk & 0x4000 ? chunk >> (12 - 2 * k) & 3 : chunk >> (13 - k) & 1;
}

/* Among its first n symbols. */
static bool has_reserved(uint16_t chunk, size_t n)
{
    if (!(chunk & 0x8000)) {
        return n > 0 && symbol_of(chunk, 0) == RESERVED;
    }
    if (!(chunk & 0x4000)) {
        return false;
    }
    unsigned both = chunk & chunk >> 1 & 0x1555u; /* a bit a symbol */
    return both >> (VECTOR_TWO - n) * 2 != 0;
}

/* Where the deltas begin, having looked at every chunk. */
static int find_deltas(const uint8_t **deltas, const uint8_t *at, const uint8_t *end, size_t count)
{
    for (size_t i = 0; i < count; at += 2) {
        if (end - at < 2) {
            return ERR_TRUNCATED;
        }
        size_t n = chunk_symbols(get_u16(at), count - i);
        if (has_reserved(get_u16(at), n)) {
            return ERR_INVALID;
        }
        i += n;
    }
    *deltas = at;
    return OK;
}

static void read_head(struct twcc_feedback *fb, const uint8_t *p)
{
    fb->sender_ssrc = get_u32(p);
    fb->media_ssrc = get_u32(p + 4);
    fb->base_seq = get_u16(p + 8);
    fb->count = get_u16(p + 10);
    fb->reference_us = (int64_t)(get_u32(p + 12) >> 8) * REFERENCE_US;
    fb->feedback_count = p[15];
}

/* Arrivals, one after the other. */
struct arrivals {
    const uint8_t *delta, *end;
    int64_t at_us;
};

/* False: its delta isn't there. */
static bool next_arrival(struct arrivals *a, uint8_t symbol)
{
    if (symbol == NOT_RECEIVED) {
        return true;
    }
    if (a->end - a->delta < symbol) { /* the number of its bytes, too */
        return false;
    }
    int ticks = symbol == SMALL_DELTA ? *a->delta : (int16_t)get_u16(a->delta);
    a->at_us += (int64_t)ticks * TICK_US;
    a->delta += symbol;
    return true;
}

/* All chunks are there. Returns the number stored, ERR_TRUNCATED. */
static int read_statuses(struct twcc_status *out, size_t cap, const struct twcc_feedback *fb,
                         const uint8_t *chunks, struct arrivals *a)
{
    size_t stored = 0;
    for (size_t i = 0; i < fb->count; chunks += 2) {
        uint16_t chunk = get_u16(chunks);
        size_t n = chunk_symbols(chunk, fb->count - i);
        for (size_t k = 0; k < n; k++, i++) {
            uint8_t s = symbol_of(chunk, k);
            bool received = s != NOT_RECEIVED;
            if (!next_arrival(a, s)) {
                return ERR_TRUNCATED;
            }
            if (stored < cap) {
                out[stored++] = (struct twcc_status){(uint16_t)(fb->base_seq + i), received,
                                                     received ? a->at_us : 0};
            }
        }
    }
    return (int)stored;
}

int twcc_parse(struct twcc_feedback *fb, struct twcc_status *out, size_t cap,
               const struct rtcp_packet *p)
{
    if (p->type != RTCP_RTPFB || p->count != RTCP_FMT_TWCC) {
        return ERR_INVALID;
    }
    if (p->len < BODY_BYTES) {
        return ERR_TRUNCATED;
    }
    read_head(fb, p->body);
    if (fb->count == 0) {
        return ERR_INVALID;
    }
    struct arrivals a = {.end = p->body + p->len, .at_us = fb->reference_us};
    int err = find_deltas(&a.delta, p->body + BODY_BYTES, a.end, fb->count);
    return err ? err : read_statuses(out, cap, fb, p->body + BODY_BYTES, &a);
}
