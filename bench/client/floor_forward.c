#include "bench/client/floor_forward.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "lib/base/err.h"
#include "lib/proto/demux.h"
#include "lib/proto/rtp.h"
#include "sfu/shell/srtp_peer.h"

#define PORTS     65536
#define NO_PEER   UINT16_MAX
#define SLOT_SIZE (FLOOR_MTU + FLOOR_PAD_MAX)
#define ARENA     (FLOOR_POLL_MAX * FLOOR_TRAIN_MAX * (SLOT_SIZE / 2))

struct leg {
    uint16_t subscriber; /* index of peer */
    uint16_t seq_offset;
    uint32_t ts_offset, ssrc;
    struct srtp_stream rollover;
};

struct held {
    uint16_t len, header_len;
    uint8_t padding; /* bytes of it at the end */
    uint8_t data[SLOT_SIZE];
};

struct stream {
    struct stream *next;                  /* of the same publisher */
    struct stream *hold_prev, *hold_next; /* frames that wait for their end, oldest first */
    struct stream *ready_next;            /* frames to be polled, oldest first */
    uint32_t ssrc, ts;
    bool frames, is_ready;
    size_t n_legs, cap_legs, next_leg;
    struct leg *legs;
    int64_t since_us;
    size_t n;          /* packets of the frame */
    size_t train_len;  /* bytes of the whole train when encrypted */
    uint16_t segment;  /* of all but the last, encrypted */
    struct held *held; /* FLOOR_TRAIN_MAX of them, or 1 where there are no frames */
};

struct peer {
    char id[FLOOR_ID_MAX + 1];
    uint16_t port;          /* 0: unknown */
    struct srtp_peer *from; /* publishes */
    struct srtp_writer *to; /* subscribes */
    struct stream *streams;
};

struct floor_forward {
    struct floor_forward_config config;
    size_t key_len, salt_len, tag_len;
    struct peer *peers;
    size_t n_peers;
    struct stream *hold_first, *hold_last, *ready_first, *ready_last;
    struct floor_forward_stats stats;
    uint16_t peer_of_port[PORTS];
    uint8_t *arena;
};

int floor_forward_new(struct floor_forward **out, const struct floor_forward_config *c)
{
    if (srtp_profile_key_len(c->profile) == 0)
        return ERR_UNSUPPORTED;
    struct floor_forward *f = calloc(1, sizeof(*f));
    if (!f)
        return ERR_NOMEM;
    f->config = *c;
    f->key_len = srtp_profile_key_len(c->profile);
    f->salt_len = srtp_profile_salt_len(c->profile);
    f->tag_len = srtp_profile_tag_len(c->profile);
    f->peers = calloc(FLOOR_PEERS_MAX, sizeof(*f->peers));
    f->arena = malloc(ARENA);
    memset(f->peer_of_port, 0xff, sizeof(f->peer_of_port));
    if (!f->peers || !f->arena) {
        floor_forward_free(f);
        return ERR_NOMEM;
    }
    *out = f;
    return OK;
}

static struct peer *find(struct floor_forward *f, const char *id, size_t len)
{
    for (size_t i = 0; i < f->n_peers; i++)
        if (strlen(f->peers[i].id) == len && memcmp(f->peers[i].id, id, len) == 0)
            return &f->peers[i];
    return NULL;
}

/* The peer of this id, made if there is none; the place of one that left is used again. */
static int take(struct peer **out, struct floor_forward *f, const char *id)
{
    size_t len = strlen(id);
    if (len == 0 || len > FLOOR_ID_MAX)
        return ERR_INVALID;
    *out = find(f, id, len);
    if (*out)
        return OK;
    struct peer *p = find(f, "", 0);
    if (!p && f->n_peers == FLOOR_PEERS_MAX)
        return ERR_LIMIT;
    if (!p)
        p = &f->peers[f->n_peers++];
    memcpy(p->id, id, len + 1);
    *out = p;
    return OK;
}

int floor_forward_publisher(struct floor_forward *f, const char *id, const uint8_t *key,
                            size_t key_len)
{
    struct dtls_keys keys = {.profile = (enum dtls_srtp_profile)f->config.profile,
                             .key_len = f->key_len,
                             .salt_len = f->salt_len};
    struct peer *p;
    if (key_len != f->key_len + f->salt_len)
        return ERR_INVALID;
    int err = take(&p, f, id);
    if (err != OK || p->from)
        return err != OK ? err : ERR_CONFLICT;
    memcpy(keys.remote_key, key, f->key_len);
    memcpy(keys.remote_salt, key + f->key_len, f->salt_len);
    err = srtp_peer_new(&p->from, &keys);
    OPENSSL_cleanse(&keys, sizeof(keys));
    return err;
}

int floor_forward_subscriber(struct floor_forward *f, const char *id, const uint8_t *key,
                             size_t key_len)
{
    struct peer *p;
    if (key_len != f->key_len + f->salt_len)
        return ERR_INVALID;
    int err = take(&p, f, id);
    if (err != OK || p->to)
        return err != OK ? err : ERR_CONFLICT;
    return srtp_writer_new(&p->to, f->config.profile, key, key + f->key_len);
}

static struct stream *stream_of(const struct peer *p, uint32_t ssrc)
{
    struct stream *s = p->streams;
    while (s && s->ssrc != ssrc)
        s = s->next;
    return s;
}

int floor_forward_stream(struct floor_forward *f, const char *publisher, uint32_t ssrc, bool frames)
{
    struct peer *p = find(f, publisher, strlen(publisher));
    if (!p || !p->from)
        return ERR_NOT_FOUND;
    if (stream_of(p, ssrc))
        return ERR_CONFLICT;
    struct stream *s = calloc(1, sizeof(*s));
    if (!s)
        return ERR_NOMEM;
    s->ssrc = ssrc;
    s->frames = frames && f->config.segment;
    s->held = calloc(s->frames ? FLOOR_TRAIN_MAX : 1, sizeof(*s->held));
    if (!s->held) {
        free(s);
        return ERR_NOMEM;
    }
    s->next = p->streams;
    p->streams = s;
    return OK;
}

int floor_forward_leg(struct floor_forward *f, const char *subscriber, const char *publisher,
                      uint32_t ssrc, uint32_t as)
{
    struct peer *to = find(f, subscriber, strlen(subscriber));
    struct peer *from = find(f, publisher, strlen(publisher));
    struct stream *s = from ? stream_of(from, ssrc) : NULL;
    if (!to || !to->to || !s)
        return ERR_NOT_FOUND;
    uint16_t index = (uint16_t)(to - f->peers);
    for (size_t i = 0; i < s->n_legs; i++)
        if (s->legs[i].subscriber == index)
            return ERR_CONFLICT;
    if (s->n_legs == s->cap_legs) {
        size_t cap = s->cap_legs ? 2 * s->cap_legs : 16;
        struct leg *more = realloc(s->legs, cap * sizeof(*more));
        if (!more)
            return ERR_NOMEM;
        s->legs = more;
        s->cap_legs = cap;
    }
    s->legs[s->n_legs++] = (struct leg){.subscriber = index,
                                        .ssrc = as,
                                        .seq_offset = (uint16_t)(as ^ as >> 16),
                                        .ts_offset = as * UINT32_C(2654435761)};
    return OK;
}

int floor_forward_port(struct floor_forward *f, const char *id, uint16_t port)
{
    struct peer *p = *id ? find(f, id, strlen(id)) : NULL;
    if (!p)
        return ERR_NOT_FOUND;
    uint16_t index = (uint16_t)(p - f->peers);
    uint16_t other = port ? f->peer_of_port[port] : NO_PEER;
    if (p->port)
        f->peer_of_port[p->port] = NO_PEER;
    if (other != NO_PEER)
        f->peers[other].port = 0;
    p->port = port;
    if (port)
        f->peer_of_port[port] = index;
    return OK;
}

/* ---- frames: filling, held, ready, none ---- */
static void hold(struct floor_forward *f, struct stream *s)
{
    s->hold_prev = f->hold_last;
    s->hold_next = NULL;
    if (f->hold_last)
        f->hold_last->hold_next = s;
    else
        f->hold_first = s;
    f->hold_last = s;
}

static void unhold(struct floor_forward *f, struct stream *s)
{
    if (s->hold_prev)
        s->hold_prev->hold_next = s->hold_next;
    else
        f->hold_first = s->hold_next;
    if (s->hold_next)
        s->hold_next->hold_prev = s->hold_prev;
    else
        f->hold_last = s->hold_prev;
}

/* Lengthens by RTP padding; there is room, and the count fits its byte (see fits). */
static void pad(struct floor_forward *f, struct held *h, size_t to)
{
    size_t more = to - h->len;
    if (more == 0)
        return;
    memset(h->data + h->len, 0, more);
    h->padding = (uint8_t)(h->padding + more);
    h->data[to - 1] = h->padding;
    h->data[0] |= 0x20;
    h->len = (uint16_t)to;
    f->stats.padded += more;
}

/* The frame is whole (or won't be waited for any longer). */
static void make_ready(struct floor_forward *f, struct stream *s)
{
    size_t longest = 0;
    if (s->frames)
        unhold(f, s);
    for (size_t i = 0; i < s->n; i++)
        longest = s->held[i].len > longest ? s->held[i].len : longest;
    for (size_t i = 0; i + 1 < s->n; i++)
        pad(f, &s->held[i], longest);
    s->segment = s->n > 1 ? (uint16_t)(longest + f->tag_len) : 0;
    s->train_len = (s->n - 1) * (longest + f->tag_len) + s->held[s->n - 1].len + f->tag_len;
    f->stats.frames += s->n > 1;
    s->next_leg = 0;
    s->is_ready = true;
    s->ready_next = NULL;
    if (f->ready_last)
        f->ready_last->ready_next = s;
    else
        f->ready_first = s;
    f->ready_last = s;
}

static void unready_first(struct floor_forward *f)
{
    struct stream *s = f->ready_first;
    f->ready_first = s->ready_next;
    if (!f->ready_first)
        f->ready_last = NULL;
    s->is_ready = false;
    s->n = 0;
}

/* Whether a packet of this length may come behind those of the frame: nobody's padding may pass its
 * bound (the last is not padded, so a much shorter one may come, but nothing behind it), and the
 * train must fit a datagram and its place in the arena. */
static bool fits(const struct floor_forward *f, const struct stream *s, size_t len)
{
    size_t longest = len, shortest = SIZE_MAX;
    uint8_t padding = 0;
    for (size_t i = 0; i < s->n; i++) {
        longest = s->held[i].len > longest ? s->held[i].len : longest;
        shortest = s->held[i].len < shortest ? s->held[i].len : shortest;
        padding = s->held[i].padding > padding ? s->held[i].padding : padding;
    }
    return s->n < FLOOR_TRAIN_MAX && longest - shortest <= FLOOR_PAD_MAX &&
           padding + FLOOR_PAD_MAX <= UINT8_MAX &&
           (s->n + 1) * (longest + f->tag_len) <= ARENA / FLOOR_POLL_MAX;
}

static void append(struct floor_forward *f, struct stream *s, const struct rtp_header *h,
                   const uint8_t *data, size_t len, int64_t now_us)
{
    struct held *held = &s->held[s->n++];
    memcpy(held->data, data, len);
    held->len = (uint16_t)len;
    held->header_len = h->payload_off;
    held->padding = h->padding;
    s->ts = h->ts;
    if (s->frames && s->n == 1) {
        s->since_us = now_us;
        hold(f, s);
    }
    if (!s->frames || h->marker)
        make_ready(f, s);
}

/* The stream that an encrypted packet claims, or NULL. */
static struct stream *claimed(const struct floor_forward *f, const struct peer *p,
                              struct rtp_header *h, const uint8_t *data, size_t len)
{
    if (!p || !p->from || len > FLOOR_MTU || len < f->tag_len ||
        rtp_parse_encrypted(h, data, len) != OK)
        return NULL;
    return stream_of(p, h->ssrc);
}

int floor_forward_input(struct floor_forward *f, uint16_t port, uint8_t *data, size_t len,
                        int64_t now_us)
{
    struct rtp_header h;
    uint16_t index = f->peer_of_port[port];
    struct peer *p = index == NO_PEER ? NULL : &f->peers[index];
    enum packet_kind kind = demux_packet(data, len);
    struct stream *s = kind == PACKET_RTP ? claimed(f, p, &h, data, len) : NULL;
    if (!s) {
        bool expected = kind == PACKET_RTCP || kind == PACKET_STUN;
        f->stats.ignored += expected;
        f->stats.bad += !expected;
        return OK;
    }
    /* A new frame, or one that can't be joined: what is there goes first. */
    if (s->n > 0 && !s->is_ready && (s->ts != h.ts || !fits(f, s, len - f->tag_len)))
        make_ready(f, s);
    if (s->is_ready)
        return ERR_AGAIN;
    if (srtp_peer_unprotect_rtp(p->from, data, &len) != OK || rtp_parse(&h, data, len) != OK) {
        f->stats.bad++;
        return OK;
    }
    f->stats.in++;
    append(f, s, &h, data, len, now_us);
    return OK;
}

/* ---- out ---- */

/* Copies, rewrites and encrypts the stream's frame for one leg at dst; its length. */
static size_t write_leg(struct floor_forward *f, const struct stream *s, struct leg *l,
                        uint8_t *dst, size_t cap)
{
    struct srtp_writer *w = f->peers[l->subscriber].to;
    size_t at = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct held *h = &s->held[i];
        uint8_t *packet = dst + at;
        memcpy(packet, h->data, h->len);
        rtp_set_seq(packet, (uint16_t)((h->data[2] << 8 | h->data[3]) + l->seq_offset));
        rtp_set_ts(packet, s->ts + l->ts_offset);
        rtp_set_ssrc(packet, l->ssrc);
        int n = srtp_writer_protect(w, &l->rollover, packet, h->len, h->header_len, cap - at);
        if (n < 0)
            return 0;
        at += (size_t)n;
    }
    f->stats.out += s->n;
    return at;
}

size_t floor_forward_poll(struct floor_forward *f, struct floor_message *out, size_t n,
                          int64_t now_us)
{
    size_t made = 0, at = 0;
    n = n > FLOOR_POLL_MAX ? FLOOR_POLL_MAX : n;
    while (f->hold_first && f->hold_first->since_us + f->config.hold_us <= now_us)
        make_ready(f, f->hold_first);
    while (made < n && f->ready_first) {
        struct stream *s = f->ready_first;
        if (s->next_leg == s->n_legs) {
            unready_first(f);
            continue;
        }
        struct leg *l = &s->legs[s->next_leg++];
        uint16_t port = f->peers[l->subscriber].port;
        if (!port)
            continue;
        size_t len = write_leg(f, s, l, f->arena + at, s->train_len);
        if (len == 0)
            continue;
        out[made++] = (struct floor_message){.port = port,
                                             .packets = (uint16_t)s->n,
                                             .segment = s->segment,
                                             .len = len,
                                             .data = f->arena + at};
        at += len;
    }
    return made;
}

int64_t floor_forward_deadline(const struct floor_forward *f)
{
    return f->hold_first ? f->hold_first->since_us + f->config.hold_us : INT64_MAX;
}

/* ---- leaving ---- */
static void remove_ready(struct floor_forward *f, struct stream *s)
{
    struct stream *first = f->ready_first;
    f->ready_first = f->ready_last = NULL;
    while (first) {
        struct stream *next = first->ready_next;
        first->ready_next = NULL;
        if (first != s) {
            if (f->ready_last)
                f->ready_last->ready_next = first;
            else
                f->ready_first = first;
            f->ready_last = first;
        }
        first = next;
    }
}

static void free_stream(struct floor_forward *f, struct stream *s)
{
    if (s->is_ready)
        remove_ready(f, s);
    else if (s->frames && s->n > 0)
        unhold(f, s);
    free(s->legs);
    free(s->held);
    free(s);
}

static void free_peer(struct floor_forward *f, struct peer *p)
{
    while (p->streams) {
        struct stream *s = p->streams;
        p->streams = s->next;
        free_stream(f, s);
    }
    srtp_peer_free(p->from);
    srtp_writer_free(p->to);
    if (p->port)
        f->peer_of_port[p->port] = NO_PEER;
    memset(p, 0, sizeof(*p));
}

static void remove_legs(struct stream *s, uint16_t subscriber)
{
    for (size_t i = 0; i < s->n_legs; i++) {
        if (s->legs[i].subscriber != subscriber)
            continue;
        memmove(&s->legs[i], &s->legs[i + 1], (s->n_legs - i - 1) * sizeof(*s->legs));
        s->n_legs--;
        if (s->next_leg > i)
            s->next_leg--;
        return;
    }
}

int floor_forward_leave(struct floor_forward *f, const char *id)
{
    struct peer *p = *id ? find(f, id, strlen(id)) : NULL;
    if (!p)
        return ERR_NOT_FOUND;
    for (size_t i = 0; i < f->n_peers; i++)
        for (struct stream *s = f->peers[i].streams; s; s = s->next)
            remove_legs(s, (uint16_t)(p - f->peers));
    free_peer(f, p);
    return OK;
}

void floor_forward_free(struct floor_forward *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_peers; i++)
        free_peer(f, &f->peers[i]);
    free(f->peers);
    free(f->arena);
    free(f);
}

void floor_forward_stats(const struct floor_forward *f, struct floor_forward_stats *out)
{
    *out = f->stats;
}
