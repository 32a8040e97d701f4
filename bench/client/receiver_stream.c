#include <stdlib.h>
#include <string.h>

#include "bench/client/receiver_internal.h"

#define TABLE_MIN   16
#define AUDIO_CLOCK 48000
#define VIDEO_CLOCK 90000

static size_t place(const struct receiver *r, uint32_t ssrc)
{
    size_t i = (size_t)(ssrc * 0x9e3779b1U >> 8) & (r->table_size - 1);

    while (r->table[i].stream && r->table[i].ssrc != ssrc)
        i = (i + 1) & (r->table_size - 1);
    return i;
}

struct stream *stream_find(const struct receiver *r, uint32_t ssrc)
{
    return r->table_size > 0 ? r->table[place(r, ssrc)].stream : NULL;
}

static void enter_all(struct receiver *r)
{
    memset(r->table, 0, r->table_size * sizeof *r->table);
    for (size_t i = 0; i < r->n_streams; i++)
        r->table[place(r, r->streams[i]->ssrc)] = (struct slot){r->streams[i]->ssrc, r->streams[i]};
}

/* Room for one more in the list and the table. */
static bool grow(struct receiver *r)
{
    if (r->n_streams < r->cap_streams)
        return true;
    size_t cap = r->cap_streams ? r->cap_streams * 2 : TABLE_MIN / 2;
    struct stream **streams = realloc(r->streams, cap * sizeof *streams);
    if (!streams)
        return false;
    r->streams = streams;
    struct slot *table = calloc(cap * 2, sizeof *table);
    if (!table)
        return false;
    free(r->table);
    r->table = table;
    r->table_size = cap * 2;
    r->cap_streams = cap;
    enter_all(r);
    return true;
}

void stream_free(struct stream *st)
{
    if (!st)
        return;
    free(st->nack);
    free(st->frames);
    free(st);
}

/* With all places taken, the one that was silent longest goes, if it was for long. */
static bool forget_idle(struct receiver *r, int64_t now_us)
{
    size_t oldest = 0;

    for (size_t i = 1; i < r->n_streams; i++)
        if (r->streams[i]->last_us < r->streams[oldest]->last_us)
            oldest = i;
    struct stream *st = r->streams[oldest];
    if (now_us - st->last_us < IDLE_US)
        return false;
    for (size_t i = 0; i < r->n_streams; i++)
        if (r->streams[i]->media == st)
            r->streams[i]->media = NULL;
    /* Its numbers settled long ago: receiver_poll looks at them every second. */
    r->streams[oldest] = r->streams[--r->n_streams];
    stream_free(st);
    enter_all(r);
    return true;
}

static struct stream *add(struct receiver *r, struct stream *st, int64_t now_us)
{
    bool room = r->n_streams < RECEIVER_MAX_STREAMS || forget_idle(r, now_us);

    if (!room || !grow(r)) {
        stream_free(st);
        return NULL;
    }
    r->streams[r->n_streams++] = st;
    r->table[place(r, st->ssrc)] = (struct slot){st->ssrc, st};
    r->stats.streams = (uint32_t)r->n_streams;
    return st;
}

static struct stream *make(struct receiver *r, const struct media_track *t, uint32_t ssrc, bool rtx)
{
    struct stream *st = calloc(1, sizeof *st);

    if (!st)
        return NULL;
    st->ssrc = ssrc;
    st->track = t;
    st->rtx = rtx;
    st->video = t->kind == MEDIA_VIDEO;
    st->random = ssrc ^ 0x9e3779b9U;
    rtp_stats_init(&st->stats, ssrc, st->video ? VIDEO_CLOCK : AUDIO_CLOCK);
    bool nack = !rtx && r->config.nack && t->nack, frames = st->video && r->config.decrypt_all;
    st->nack = nack ? calloc(1, sizeof *st->nack) : NULL;
    st->frames = !rtx && frames ? calloc(1, sizeof *st->frames) : NULL;
    if ((nack && !st->nack) || (!rtx && frames && !st->frames)) {
        stream_free(st);
        return NULL;
    }
    return st;
}

/* By the SSRC that SDP told; else by the MID in the packet; else the first that has the payload
 * type and no SSRC of its own, or at last any that has the payload type. */
static const struct media_track *track_of(const struct receiver *r, const struct rtp_header *h,
                                          const uint8_t *packet)
{
    const struct media_track *open = NULL, *any = NULL;
    char mid[33];

    for (size_t i = 0; i < r->n_tracks; i++) {
        const struct media_track *t = &r->tracks[i];
        if (h->ssrc != 0 && (t->ssrc == h->ssrc || t->rtx_ssrc == h->ssrc))
            return t;
    }
    for (size_t i = 0; i < r->n_tracks; i++) {
        const struct media_track *t = &r->tracks[i];
        if (h->pt != t->pt && (h->pt != t->rtx_pt || t->rtx_pt == 0))
            continue;
        if (rtp_ext_text(h, packet, t->ext.id[RTP_EXT_MID], mid, sizeof mid) &&
            strcmp(mid, t->mid) == 0)
            return t;
        if (!open && t->ssrc == 0)
            open = t;
        if (!any)
            any = t;
    }
    return open ? open : any;
}

struct stream *stream_of(struct receiver *r, const struct rtp_header *h, const uint8_t *packet,
                         int64_t now_us)
{
    struct stream *st = stream_find(r, h->ssrc);

    if (st)
        return st;
    const struct media_track *t = track_of(r, h, packet);
    if (!t)
        return NULL;
    bool rtx = t->rtx_pt != 0 && h->pt == t->rtx_pt && t->kind == MEDIA_VIDEO;
    st = make(r, t, h->ssrc, rtx);
    if (!st)
        return NULL;
    st->last_us = now_us;
    if (rtx && t->rtx_ssrc == h->ssrc)
        st->media = stream_find(r, t->ssrc);
    st->keyframe_wanted = st->video && !rtx;
    st->keyframe_us = now_us + KEYFRAME_WAIT_US;
    if (r->report_us == INT64_MAX) /* not all endpoints in the same millisecond */
        r->report_us = now_us + REPORT_US / 2 + r->config.ssrc % REPORT_US;
    receiver_due_by(r, r->report_us);
    if (st->keyframe_wanted)
        receiver_due_by(r, st->keyframe_us);
    return add(r, st, now_us);
}

static bool misses(const struct stream *st, uint16_t osn)
{
    for (size_t i = 0; st->nack && i < st->nack->n; i++)
        if ((uint16_t)st->nack->missing[i].ext_seq == osn && st->nack->missing[i].tries > 0)
            return true;
    return false;
}

static bool taken(const struct receiver *r, const struct stream *media)
{
    for (size_t i = 0; i < r->n_streams; i++)
        if (r->streams[i]->media == media)
            return true;
    return false;
}

void stream_bind_rtx(struct receiver *r, struct stream *rtx, uint16_t osn)
{
    struct stream *found = NULL;

    if (rtx->track->rtx_ssrc == rtx->ssrc && rtx->track->ssrc != 0) {
        rtx->media = stream_find(r, rtx->track->ssrc);
        return;
    }
    for (size_t i = 0; i < r->n_streams; i++) {
        struct stream *st = r->streams[i];
        if (st->rtx || !st->video || st->track->rtx_pt != rtx->track->rtx_pt || !misses(st, osn) ||
            taken(r, st))
            continue;
        if (found)
            return;
        found = st;
    }
    rtx->media = found;
}

enum window_result stream_arrived(struct receiver *r, struct stream *st, int64_t seq,
                                  int64_t now_us)
{
    enum window_result result =
        window_input(&st->window, seq, now_us, &r->stats.expected, &r->stats.lost);

    if (!st->nack || result == WINDOW_DUPLICATE)
        return result;
    nack_received(st->nack, seq, now_us);
    if (st->nack->n > 0)
        receiver_due_by(r, now_us + NACK_FIRST_US);
    if (st->nack->keyframe_wanted)
        receiver_due_by(r, now_us);
    return result;
}

/* One in RECEIVER_SAMPLE on the mean, at distances from 1 to nearly twice that: an equal distance
 * would fall into step with frames that have a fixed number of packets, and always hit the same
 * place of them. */
bool stream_take_sample(struct stream *st)
{
    if (st->until_sample > 0) {
        st->until_sample--;
        return false;
    }
    st->random = st->random * 1664525U + 1013904223U;
    st->until_sample = (st->random >> 16) % (2 * RECEIVER_SAMPLE - 1);
    return true;
}
