#include "bench/client/source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/source_internal.h"
#include "lib/base/err.h"
#include "lib/proto/rtcp.h"

#define AUDIO_US         20000
#define SECOND_US        1000000
#define AUDIO_CLOCK      48000
#define VIDEO_CLOCK      90000
#define RESEND_GAP_US    20000
#define PACKET_BYTES_MIN 64
#define HEADERS_MAX      96 /* RTP, extensions, a MID of 32 characters, OSN */
#define FRAME_TIMES      6  /* the largest frame over the mean, see source_frame.c */

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t source_random(struct source *s)
{
    uint64_t z = s->random += 0x9e3779b97f4a7c15U;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

/* Times come from indices, so that nothing adds up over hours. */
int64_t source_audio_due(const struct source *s)
{
    return s->audio.on ? s->start_us + (int64_t)s->audio_index * AUDIO_US : INT64_MAX;
}

int64_t source_video_due(const struct source *s)
{
    if (!s->video.on)
        return INT64_MAX;
    return s->start_us + (int64_t)(s->frame_index * SECOND_US / s->config.fps);
}

static bool config_ok(const struct source_config *c, const struct media_track *video)
{
    if (!video || c->video_kbps == 0)
        return true;
    if (c->fps < 1 || c->fps > 240 || c->packet_bytes < PACKET_BYTES_MIN ||
        c->packet_bytes > MEDIA_MAX_PACKET - HEADERS_MAX)
        return false;
    uint64_t largest = (uint64_t)c->video_kbps * 1000 / 8 / c->fps * FRAME_TIMES;
    return largest / c->packet_bytes < SOURCE_CACHE;
}

/* Numbers start anywhere in the lower half, as browsers' do: SRTP's rollover counter could not be
 * told by somebody who misses the first packets just before a wrap. */
static void start_stream(struct source *s, struct source_stream *st, const struct media_track *t)
{
    if (t) {
        st->on = true;
        st->track = *t;
    }
    st->seq = (uint16_t)(source_random(s) & 0x7fff);
    st->rtx_seq = (uint16_t)(source_random(s) & 0x7fff);
    st->ts_base = (uint32_t)source_random(s);
}

int source_new(struct source **out, const struct source_config *c, const struct media_opus *opus,
               const struct media_track *audio, const struct media_track *video, int64_t start_us)
{
    if (!config_ok(c, video) || (c->audio && audio && !opus))
        return ERR_INVALID;
    struct source *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->config = *c;
    s->opus = opus;
    s->random = c->number;
    s->start_us = start_us;
    s->report_us = start_us + SECOND_US / 4 + (int64_t)(source_random(s) % SECOND_US);
    s->transport_seq = (uint16_t)source_random(s);
    start_stream(s, &s->audio, c->audio ? audio : NULL);
    start_stream(s, &s->video, c->video_kbps > 0 ? video : NULL);
    *out = s;
    return OK;
}

static void continue_stream(struct source_stream *st, const struct source_stream *before,
                            int64_t ticks)
{
    st->seq = before->seq;
    st->rtx_seq = before->rtx_seq;
    st->ts_base = before->ts_base + (uint32_t)ticks;
    st->packets = before->packets;
    st->octets = before->octets;
    st->acknowledged = before->acknowledged;
    st->rtx_acknowledged = before->rtx_acknowledged;
}

void source_continue(struct source *s, const struct source *before)
{
    int64_t us = s->start_us - before->start_us;

    continue_stream(&s->audio, &before->audio, us * AUDIO_CLOCK / SECOND_US);
    continue_stream(&s->video, &before->video, us * VIDEO_CLOCK / SECOND_US);
    s->transport_seq = before->transport_seq;
    s->counter = before->counter;
    s->picture = (uint16_t)(before->picture + before->frame_index);
    s->stats = before->stats;
}

void source_free(struct source *s)
{
    free(s);
}

static bool in_frame(const struct source *s)
{
    return s->frame.next < s->frame.packets;
}

int64_t source_deadline(const struct source *s)
{
    int64_t at = s->report_us, audio = source_audio_due(s);
    int64_t video = in_frame(s) ? s->frame.due_us : source_video_due(s);

    if (s->resend_n > 0)
        return s->start_us;
    if (audio < at)
        at = audio;
    return video < at ? video : at;
}

/* The oldest asked-for packet that is still in the cache; false when there is none. */
static bool resend_one(struct source *s, struct source_packet *out, uint8_t *room, int64_t now_us)
{
    while (s->resend_n > 0) {
        uint16_t seq = s->resend[s->resend_head];
        struct source_video *v = &s->cache[seq & (SOURCE_CACHE - 1)];
        s->resend_head = (s->resend_head + 1) % SOURCE_CACHE;
        s->resend_n--;
        if (v->seq != seq || !v->queued)
            continue;
        v->queued = false;
        v->resent_us = now_us;
        source_write_video(s, out, room, v, true, now_us);
        return true;
    }
    return false;
}

/* The next packet of the schedule when it is due. */
static bool due_one(struct source *s, struct source_packet *out, uint8_t *room, int64_t now_us)
{
    int64_t audio = source_audio_due(s);

    if (!in_frame(s) && source_video_due(s) <= now_us && source_video_due(s) <= audio)
        source_begin_frame(s);
    if (in_frame(s))
        source_write_video(s, out, room, source_next_of_frame(s), false, now_us);
    else if (audio <= now_us)
        source_write_audio(s, out, room, now_us);
    else
        return false;
    if (now_us - out->due_us > s->stats.late_max_us)
        s->stats.late_max_us = now_us - out->due_us;
    return true;
}

size_t source_poll(struct source *s, struct source_packet *out, size_t n, int64_t now_us)
{
    size_t k = 0;

    if (n > SOURCE_BATCH)
        n = SOURCE_BATCH;
    for (; k < n; k++) {
        if (!resend_one(s, &out[k], s->room[k], now_us) && !due_one(s, &out[k], s->room[k], now_us))
            break;
        s->stats.bytes += out[k].len;
    }
    return k;
}

void source_on_pli(struct source *s, int64_t now_us)
{
    (void)now_us; /* the next frame's time decides */
    s->key_wanted = true;
}

void source_on_nack(struct source *s, const uint16_t *seqs, size_t n, int64_t now_us)
{
    for (size_t i = 0; i < n; i++) {
        struct source_video *v = &s->cache[seqs[i] & (SOURCE_CACHE - 1)];
        if (!v->used || v->seq != seqs[i] || v->queued || s->resend_n == SOURCE_CACHE ||
            now_us - v->resent_us < RESEND_GAP_US)
            continue;
        v->queued = true;
        s->resend[(s->resend_head + s->resend_n++) % SOURCE_CACHE] = seqs[i];
    }
}

void source_acknowledged(struct source *s, uint32_t ssrc)
{
    if (s->audio.on && ssrc == s->audio.track.ssrc)
        s->audio.acknowledged = true;
    if (s->video.on && ssrc == s->video.track.ssrc)
        s->video.acknowledged = true;
    if (s->video.on && ssrc == s->video.track.rtx_ssrc)
        s->video.rtx_acknowledged = true;
}

static void report_stream(const struct source *s, const struct source_stream *st, uint32_t clock,
                          struct writer *w, int64_t now_us)
{
    struct rtcp_sender_info info = {
        .ntp = rtcp_ntp_from_wall(now_us),
        .rtp_ts = st->ts_base + (uint32_t)((now_us - s->start_us) * clock / SECOND_US),
        .packets = st->packets,
        .octets = st->octets,
    };
    char cname[32];
    int n = snprintf(cname, sizeof cname, "sotto-load-%" PRIu32, s->config.number);

    if (!st->on || st->packets == 0 || n < 0)
        return;
    rtcp_write_sr(w, st->track.ssrc, &info, NULL, 0);
    rtcp_write_sdes_cname(w, st->track.ssrc, cname);
}

size_t source_report(struct source *s, uint8_t *out, size_t cap, int64_t now_us)
{
    struct writer w;

    if (now_us < s->report_us)
        return 0;
    while (s->report_us <= now_us) /* of reports that are late only the newest is worth sending */
        s->report_us += SECOND_US;
    writer_init(&w, out, cap);
    report_stream(s, &s->audio, AUDIO_CLOCK, &w, now_us);
    report_stream(s, &s->video, VIDEO_CLOCK, &w, now_us);
    return w.bad ? 0 : w.len;
}

void source_stats(const struct source *s, struct source_stats *out)
{
    *out = s->stats;
}

void source_stats_reset(struct source *s)
{
    memset(&s->stats, 0, sizeof s->stats);
}
