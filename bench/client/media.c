#include "bench/client/media.h"

#include <math.h>
#include <string.h>

#include <opus.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/proto/vp8.h"

#define MAGIC        0x536f7474 /* "Sott" */
#define CHECKSUM_OFF 20
#define KEY_HEADER   10
#define INTER_HEADER 3

#define RATE          48000
#define FRAME_SAMPLES 960
#define BITRATE       32000
#define SILENCE       127

/* FNV-1a over words of eight bytes instead of bytes, turned so that high bits reach low ones too.
 * It is no secret: it tells a payload that was mixed up from one that is whole. */
static uint64_t mix(uint64_t h, const uint8_t *p, size_t len)
{
    uint64_t word;

    for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
        memcpy(&word, p, sizeof word);
        h = (h ^ word) * 0x100000001b3U;
        h = h << 29 | h >> 35;
    }
    for (; len > 0; p++, len--)
        h = (h ^ *p) * 0x100000001b3U;
    return h;
}

/* Over everything from the stamp on but the checksum's own four bytes. What is before may be
 * rewritten on the way (picture ids). */
static uint32_t checksum(const uint8_t *stamp, size_t len)
{
    uint64_t h = mix(0xcbf29ce484222325U ^ len, stamp, CHECKSUM_OFF);

    h = mix(h, stamp + MEDIA_STAMP_LEN, len - MEDIA_STAMP_LEN);
    h ^= h >> 32;
    return (uint32_t)h;
}

/* Bytes that differ from packet to packet, as compressed video's do. */
static void fill(uint8_t *p, size_t len, uint64_t x)
{
    for (size_t i = 0; i < len; i += sizeof x) {
        x = x * 6364136223846793005U + 1442695040888963407U;
        memcpy(p + i, &x, len - i < sizeof x ? len - i : sizeof x);
    }
}

void media_stamp_write(uint8_t *payload, size_t off, size_t len, const struct media_stamp *s)
{
    struct writer w;

    writer_init(&w, payload + off, MEDIA_STAMP_LEN);
    writer_u32(&w, MAGIC);
    writer_u32(&w, s->source);
    writer_u32(&w, s->counter);
    writer_u64(&w, (uint64_t)s->due_us);
    fill(payload + off + MEDIA_STAMP_LEN, len - off - MEDIA_STAMP_LEN,
         (uint64_t)s->source << 32 | s->counter);
    writer_u32(&w, checksum(payload + off, len - off));
}

int media_stamp_read(struct media_stamp *out, const uint8_t *payload, size_t len)
{
    struct vp8_descriptor d;
    struct cursor c;
    int r = vp8_parse(&d, payload, len);

    if (r < 0)
        return r;
    size_t off = d.size;
    if (d.frame_start)
        off += d.keyframe ? KEY_HEADER : INTER_HEADER;
    if (len < off + MEDIA_STAMP_LEN)
        return ERR_TRUNCATED;
    cursor_init(&c, payload + off, MEDIA_STAMP_LEN);
    uint32_t magic = cursor_u32(&c);
    struct media_stamp s = {.source = cursor_u32(&c)};
    s.counter = cursor_u32(&c);
    s.due_us = (int64_t)cursor_u64(&c);
    if (magic != MAGIC || cursor_u32(&c) != checksum(payload + off, len - off))
        return ERR_INVALID;
    *out = s;
    return OK;
}

/* One sample of something like a voice: a gliding fundamental with falling harmonics and syllables
 * four times a second, silent in every second's last 300 ms. Returns -1..1. */
static double voice(int sample)
{
    double t = (double)sample / RATE, second = fmod(t, 1.0), out = 0;

    if (second >= 0.7)
        return 0;
    double pitch = 130 + 25 * sin(2 * M_PI * 1.5 * t);
    for (int k = 1; k <= 12; k++)
        out += sin(2 * M_PI * pitch * k * t) / k;
    return 0.25 * out * fabs(sin(2 * M_PI * 2 * t));
}

/* RFC 6464: the frame's root mean square below full scale, in dB. */
static uint8_t level_of(const opus_int16 *pcm)
{
    double sum = 0;

    for (int i = 0; i < FRAME_SAMPLES; i++)
        sum += (double)pcm[i] * pcm[i];
    double rms = sqrt(sum / FRAME_SAMPLES) / 32768;
    double db = rms > 0 ? -20 * log10(rms) : SILENCE;
    return db > SILENCE ? SILENCE : (uint8_t)lround(db);
}

static int encode(OpusEncoder *e, struct media_opus *out)
{
    opus_int16 pcm[FRAME_SAMPLES];

    for (int i = 0; i < MEDIA_OPUS_PACKETS; i++) {
        struct media_opus_packet *p = &out->packet[i];
        for (int k = 0; k < FRAME_SAMPLES; k++)
            pcm[k] = (opus_int16)(32000 * voice(i * FRAME_SAMPLES + k));
        opus_int32 n = opus_encode(e, pcm, FRAME_SAMPLES, p->data, sizeof p->data);
        if (n <= 0)
            return ERR_IO;
        p->len = (uint16_t)n;
        p->level = level_of(pcm);
        p->voice = p->level < 60;
    }
    return OK;
}

int media_opus_make(struct media_opus *out)
{
    int error = OPUS_OK;
    OpusEncoder *e = opus_encoder_create(RATE, 1, OPUS_APPLICATION_VOIP, &error);

    if (!e)
        return error == OPUS_ALLOC_FAIL ? ERR_NOMEM : ERR_IO;
    memset(out, 0, sizeof *out);
    int r = ERR_IO;
    if (opus_encoder_ctl(e, OPUS_SET_BITRATE(BITRATE)) == OPUS_OK &&
        opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(1)) == OPUS_OK)
        r = encode(e, out);
    opus_encoder_destroy(e);
    return r;
}

bool media_opus_known(const struct media_opus *o, const uint8_t *payload, size_t len)
{
    for (size_t i = 0; i < MEDIA_OPUS_PACKETS; i++) {
        const struct media_opus_packet *p = &o->packet[i];
        if (p->len == len && memcmp(p->data, payload, len) == 0)
            return true;
    }
    return false;
}
