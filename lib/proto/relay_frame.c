#include "lib/proto/relay_frame.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

#define VERSION         1
#define MAX_PARTICIPANT 65535
#define MAX_LEVEL       127
#define UUID_BYTES      16

/* Bits of flags. */
#define FLAG_VIDEO 0x01
#define FLAG_NACK  0x02
#define FLAG_LIVE  0x01 /* of a layer */
#define FLAG_VOICE 0x80 /* beside a level */
#define MAX_PT     127
#define ALL_LAYERS ((1u << RELAY_MAX_LAYERS) - 1)

const char *relay_frame_name(enum relay_frame_type t)
{
    static const char *const names[] = {
        [RELAY_ANNOUNCE] = "announce", [RELAY_WITHDRAW] = "withdraw", [RELAY_DEMAND] = "demand",
        [RELAY_NACK] = "nack",         [RELAY_LEVELS] = "levels",     [RELAY_REPORT] = "report",
        [RELAY_PACKET] = "packet",     [RELAY_SOLICIT] = "solicit",   [RELAY_PING] = "ping"};
    bool known = t >= RELAY_ANNOUNCE && t <= RELAY_SOLICIT;
    return known ? names[t] : "";
}

/* ---- rooms: 16 bytes for the text of a UUID ---- */

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void write_room(struct writer *w, const struct id *room)
{
    uint8_t bytes[UUID_BYTES];
    size_t at = 0;
    for (size_t i = 0; i < UUID_BYTES; i++) {
        at += room->s[at] == '-';
        bytes[i] = (uint8_t)(digit(room->s[at]) << 4 | digit(room->s[at + 1]));
        at += 2;
    }
    writer_bytes(w, bytes, sizeof bytes);
}

static int read_room(struct cursor *c, struct id *room)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = cursor_bytes(c, UUID_BYTES);
    char text[ID_LEN + 1];
    size_t at = 0;
    if (!bytes) {
        return ERR_TRUNCATED;
    }
    for (size_t i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[at++] = '-';
        }
        text[at++] = digits[bytes[i] >> 4];
        text[at++] = digits[bytes[i] & 15];
    }
    text[at] = 0;
    return id_parse(room, text);
}

/* ---- announce ---- */

static void write_ext(struct writer *w, const struct rtp_ext_map *ext)
{
    uint8_t n = 0;
    for (int kind = 0; kind < RTP_EXT_KINDS; kind++) {
        n = (uint8_t)(n + (ext->id[kind] != 0));
    }
    writer_u8(w, n);
    for (int kind = 0; kind < RTP_EXT_KINDS; kind++) {
        if (ext->id[kind]) {
            writer_u8(w, (uint8_t)kind);
            writer_u8(w, ext->id[kind]);
        }
    }
}

static void read_ext(struct cursor *c, struct rtp_ext_map *ext)
{
    uint8_t n = cursor_u8(c);
    for (uint8_t i = 0; i < n && !c->bad; i++) {
        uint8_t kind = cursor_u8(c), id = cursor_u8(c);
        if (kind < RTP_EXT_KINDS) {
            ext->id[kind] = id;
        }
    }
}

static void write_codecs(struct writer *w, const struct relay_description *d)
{
    writer_u8(w, (uint8_t)d->n_codecs);
    for (size_t i = 0; i < d->n_codecs; i++) {
        writer_u8(w, d->codec[i].codec);
        writer_u8(w, d->codec[i].pt);
    }
}

static int read_codecs(struct cursor *c, struct relay_description *d)
{
    d->n_codecs = cursor_u8(c);
    if (d->n_codecs > RELAY_MAX_CODECS) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < d->n_codecs; i++) {
        d->codec[i].codec = cursor_u8(c);
        d->codec[i].pt = cursor_u8(c);
        if (d->codec[i].pt > MAX_PT) {
            return ERR_INVALID;
        }
    }
    return OK;
}

static void write_layers(struct writer *w, const struct relay_description *d)
{
    writer_u8(w, (uint8_t)d->n_layers);
    for (size_t i = 0; i < d->n_layers; i++) {
        const struct relay_layer *l = &d->layer[i];
        writer_u8(w, l->live ? FLAG_LIVE : 0);
        writer_u16(w, l->width);
        writer_u16(w, l->height);
        for (size_t tid = 0; tid < RELAY_MAX_TEMPORAL; tid++) {
            writer_u32(w, l->bps[tid]);
            writer_u8(w, l->fps[tid]);
        }
    }
}

static int read_layers(struct cursor *c, struct relay_description *d)
{
    d->n_layers = cursor_u8(c);
    if (d->n_layers > RELAY_MAX_LAYERS) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < d->n_layers; i++) {
        struct relay_layer *l = &d->layer[i];
        l->live = cursor_u8(c) & FLAG_LIVE;
        l->width = cursor_u16(c);
        l->height = cursor_u16(c);
        for (size_t tid = 0; tid < RELAY_MAX_TEMPORAL; tid++) {
            l->bps[tid] = cursor_u32(c);
            l->fps[tid] = cursor_u8(c);
        }
    }
    return OK;
}

static void write_announce(struct writer *w, const struct relay_frame *f)
{
    const struct relay_description *d = &f->description;
    write_room(w, &f->room);
    writer_u16(w, (uint16_t)f->participant);
    writer_u8(w, (uint8_t)((d->video ? FLAG_VIDEO : 0) | (d->nack ? FLAG_NACK : 0)));
    writer_u8(w, d->source);
    writer_u32(w, d->clock_rate);
    write_codecs(w, d);
    write_layers(w, d);
    write_ext(w, &d->ext);
}

static int read_description(struct cursor *c, struct relay_description *d)
{
    uint8_t flags = cursor_u8(c);
    d->video = flags & FLAG_VIDEO;
    d->nack = flags & FLAG_NACK;
    d->source = cursor_u8(c);
    d->clock_rate = cursor_u32(c);
    int err = read_codecs(c, d);
    err = err ? err : read_layers(c, d);
    if (!err) {
        read_ext(c, &d->ext);
    }
    return err;
}

static int read_announce(struct cursor *c, struct relay_frame *f)
{
    const struct relay_description *d = &f->description;
    int err = read_room(c, &f->room);
    f->participant = err ? 0 : cursor_u16(c);
    err = err ? err : read_description(c, &f->description);
    if (err || c->bad) {
        return err ? err : ERR_TRUNCATED;
    }
    return f->participant && d->n_codecs && d->n_layers && d->clock_rate && f->track ? OK
                                                                                     : ERR_INVALID;
}

static bool same_layer(const struct relay_layer *a, const struct relay_layer *b, bool measured)
{
    bool same = a->width == b->width && a->height == b->height && a->live == b->live;
    return same && (!measured || (memcmp(a->bps, b->bps, sizeof a->bps) == 0 &&
                                  memcmp(a->fps, b->fps, sizeof a->fps) == 0));
}

bool relay_description_same(const struct relay_description *a, const struct relay_description *b,
                            bool measured)
{
    bool same = a->video == b->video && a->nack == b->nack && a->source == b->source &&
                a->clock_rate == b->clock_rate && a->n_codecs == b->n_codecs &&
                a->n_layers == b->n_layers && memcmp(&a->ext, &b->ext, sizeof a->ext) == 0;
    for (size_t i = 0; same && i < a->n_codecs; i++) {
        same = a->codec[i].codec == b->codec[i].codec && a->codec[i].pt == b->codec[i].pt;
    }
    for (size_t i = 0; same && i < a->n_layers; i++) {
        same = same_layer(&a->layer[i], &b->layer[i], measured);
    }
    return same;
}

/* ---- the small ones ---- */

static void write_demand(struct writer *w, const struct relay_frame *f)
{
    writer_u8(w, f->layers);
    writer_u8(w, f->keyframes);
}

static void read_demand(struct cursor *c, struct relay_frame *f)
{
    f->layers = cursor_u8(c) & ALL_LAYERS;
    f->keyframes = cursor_u8(c) & ALL_LAYERS;
}

static void write_nack(struct writer *w, const struct relay_frame *f)
{
    writer_u8(w, f->layer);
    writer_u8(w, (uint8_t)f->n_seqs);
    for (size_t i = 0; i < f->n_seqs; i++) {
        writer_u16(w, f->seq[i]);
    }
}

static int read_nack(struct cursor *c, struct relay_frame *f)
{
    f->layer = cursor_u8(c);
    f->n_seqs = cursor_u8(c);
    if (f->n_seqs > RELAY_MAX_SEQS || f->layer >= RELAY_MAX_LAYERS) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < f->n_seqs; i++) {
        f->seq[i] = cursor_u16(c);
    }
    return OK;
}

static void write_levels(struct writer *w, const struct relay_frame *f)
{
    writer_u8(w, (uint8_t)f->n_levels);
    for (size_t i = 0; i < f->n_levels; i++) {
        const struct relay_level *l = &f->level[i];
        writer_u32(w, l->track);
        writer_u8(w, (uint8_t)(l->level | (l->voice ? FLAG_VOICE : 0)));
        writer_u8(w, l->packets);
    }
}

static int read_levels(struct cursor *c, struct relay_frame *f)
{
    f->n_levels = cursor_u8(c);
    if (f->n_levels > RELAY_MAX_LEVELS) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < f->n_levels; i++) {
        struct relay_level *l = &f->level[i];
        l->track = cursor_u32(c);
        uint8_t level = cursor_u8(c);
        l->voice = level & FLAG_VOICE;
        l->level = level & MAX_LEVEL;
        l->packets = cursor_u8(c);
    }
    return OK;
}

static void write_report(struct writer *w, const struct relay_frame *f)
{
    const struct rtcp_sender_info *info = &f->info;
    writer_u8(w, f->layer);
    writer_u64(w, info->ntp);
    writer_u32(w, info->rtp_ts);
    writer_u32(w, info->packets);
    writer_u32(w, info->octets);
}

static int read_report(struct cursor *c, struct relay_frame *f)
{
    struct rtcp_sender_info *info = &f->info;
    f->layer = cursor_u8(c);
    info->ntp = cursor_u64(c);
    info->rtp_ts = cursor_u32(c);
    info->packets = cursor_u32(c);
    info->octets = cursor_u32(c);
    return f->layer < RELAY_MAX_LAYERS ? OK : ERR_INVALID;
}

static int read_packet(struct cursor *c, struct relay_frame *f)
{
    f->layer = cursor_u8(c);
    f->payload_len = cursor_left(c);
    f->payload = cursor_bytes(c, f->payload_len);
    if (f->layer >= RELAY_MAX_LAYERS) {
        return ERR_INVALID;
    }
    return f->payload_len >= RTP_HEADER_MIN ? OK : ERR_TRUNCATED;
}

/* ---- frames ---- */

static int read_body(struct cursor *c, struct relay_frame *f)
{
    switch (f->type) {
    case RELAY_ANNOUNCE:
        return read_announce(c, f);
    case RELAY_DEMAND:
        read_demand(c, f);
        return OK;
    case RELAY_NACK:
        return read_nack(c, f);
    case RELAY_LEVELS:
        return read_levels(c, f);
    case RELAY_REPORT:
        return read_report(c, f);
    case RELAY_PACKET:
        return read_packet(c, f);
    case RELAY_SOLICIT:
        return read_room(c, &f->room);
    case RELAY_WITHDRAW:
    case RELAY_PING:
        return OK;
    }
    return ERR_UNSUPPORTED;
}

int relay_frame_read(struct relay_frame *f, const uint8_t *data, size_t len)
{
    struct cursor c;
    if (len > RELAY_MAX_FRAME) {
        return ERR_TOO_LARGE;
    }
    memset(f, 0, sizeof *f);
    cursor_init(&c, data, len);
    uint8_t first = cursor_u8(&c);
    f->track = cursor_u32(&c);
    if (c.bad) {
        return ERR_TRUNCATED;
    }
    if (first >> 4 != VERSION) {
        return ERR_UNSUPPORTED;
    }
    f->type = (enum relay_frame_type)(first & 15);
    int err = read_body(&c, f);
    return err ? err : c.bad ? ERR_TRUNCATED : OK;
}

static bool is_writable(const struct relay_frame *f)
{
    bool has_room = f->type == RELAY_ANNOUNCE || f->type == RELAY_SOLICIT;
    return f->type >= RELAY_ANNOUNCE && f->type <= RELAY_SOLICIT && f->n_seqs <= RELAY_MAX_SEQS &&
           f->n_levels <= RELAY_MAX_LEVELS && f->description.n_codecs <= RELAY_MAX_CODECS &&
           f->description.n_layers <= RELAY_MAX_LAYERS && (!has_room || id_is_valid(f->room.s)) &&
           f->participant <= MAX_PARTICIPANT;
}

int relay_frame_write(const struct relay_frame *f, uint8_t *out, size_t cap)
{
    struct writer w;
    if (!is_writable(f)) {
        return ERR_INVALID;
    }
    writer_init(&w, out, cap < RELAY_MAX_FRAME ? cap : RELAY_MAX_FRAME);
    writer_u8(&w, (uint8_t)(VERSION << 4 | (int)f->type));
    writer_u32(&w, f->track);
    if (f->type == RELAY_ANNOUNCE) {
        write_announce(&w, f);
    } else if (f->type == RELAY_DEMAND) {
        write_demand(&w, f);
    } else if (f->type == RELAY_NACK) {
        write_nack(&w, f);
    } else if (f->type == RELAY_LEVELS) {
        write_levels(&w, f);
    } else if (f->type == RELAY_REPORT) {
        write_report(&w, f);
    } else if (f->type == RELAY_PACKET) {
        writer_u8(&w, f->layer);
        writer_bytes(&w, f->payload, f->payload_len);
    } else if (f->type == RELAY_SOLICIT) {
        write_room(&w, &f->room);
    }
    return w.bad ? ERR_TOO_LARGE : (int)w.len;
}

void relay_frame_write_packet_head(uint8_t out[RELAY_PACKET_HEAD], uint32_t track, uint8_t layer)
{
    struct writer w;
    writer_init(&w, out, RELAY_PACKET_HEAD);
    writer_u8(&w, VERSION << 4 | RELAY_PACKET);
    writer_u32(&w, track);
    writer_u8(&w, layer);
}

bool relay_frame_is_packet(const uint8_t *data, size_t len, uint32_t *track, uint8_t *layer)
{
    struct cursor c;
    cursor_init(&c, data, len);
    bool is_packet = cursor_u8(&c) == (VERSION << 4 | RELAY_PACKET);
    *track = cursor_u32(&c);
    *layer = cursor_u8(&c);
    return is_packet && *layer < RELAY_MAX_LAYERS && len >= RELAY_PACKET_HEAD + RTP_HEADER_MIN;
}
