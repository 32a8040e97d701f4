#include "bench/client/receiver.h"

#include <stdlib.h>
#include <string.h>

#include "bench/client/receiver_internal.h"
#include "lib/base/err.h"
#include "lib/proto/vp8.h"
#include "sfu/core/srtp_writer.h"

#define PADDING_BIT 0x20

void receiver_due_by(struct receiver *r, int64_t at_us)
{
    if (at_us < r->deadline_us)
        r->deadline_us = at_us;
}

static int copy_tracks(struct receiver *r, const struct media_track *tracks, size_t n)
{
    if (n == 0)
        return OK;
    r->tracks = calloc(n, sizeof *r->tracks);
    if (!r->tracks)
        return ERR_NOMEM;
    memcpy(r->tracks, tracks, n * sizeof *tracks);
    r->n_tracks = n;
    for (size_t i = 0; i < n && r->transport_id == 0; i++)
        r->transport_id = tracks[i].transport_cc ? tracks[i].ext.id[RTP_EXT_TRANSPORT_CC] : 0;
    if (!r->config.twcc || r->transport_id == 0)
        return OK;
    r->twcc = calloc(1, sizeof *r->twcc);
    if (!r->twcc)
        return ERR_NOMEM;
    twcc_recorder_init(r->twcc, r->config.ssrc);
    return OK;
}

int receiver_new(struct receiver **out, const struct receiver_config *c,
                 const struct media_opus *opus, const struct media_track *tracks, size_t n)
{
    struct receiver *r = calloc(1, sizeof *r);

    if (!r)
        return ERR_NOMEM;
    r->config = *c;
    r->opus = opus;
    r->deadline_us = r->report_us = INT64_MAX;
    if (copy_tracks(r, tracks, n) < 0) {
        receiver_free(r);
        return ERR_NOMEM;
    }
    *out = r;
    return OK;
}

void receiver_free(struct receiver *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_streams; i++)
        stream_free(r->streams[i]);
    free(r->streams);
    free(r->table);
    free(r->tracks);
    free(r->twcc);
    free(r);
}

static void note_transport(struct receiver *r, const struct rtp_header *h, const uint8_t *packet,
                           int64_t now_us)
{
    uint16_t seq;

    if (!r->twcc || !rtp_transport_seq(h, packet, r->transport_id, &seq))
        return;
    twcc_recorder_input(r->twcc, seq, now_us);
    r->last_ssrc = h->ssrc;
    receiver_due_by(r, twcc_recorder_deadline(r->twcc));
}

static void count(struct receiver *r, const struct stream *st, int64_t now_us)
{
    r->stats.media_packets++;
    if (st->video)
        r->stats.video_packets++;
    else
        r->stats.audio_packets++;
    int64_t *first = &r->stats.first_us[st->video ? MEDIA_VIDEO : MEDIA_AUDIO];
    if (*first == 0)
        *first = now_us;
}

/* True when the packet is to be decrypted: one that is new and a sample, or whose stream waits for
 * its keyframe, or that may be nothing but padding. */
static bool input_media(struct receiver *r, struct stream *st, const struct rtp_header *h,
                        const uint8_t *packet, int64_t now_us)
{
    int64_t seq = rtp_unwrap_seq(&st->unwrap, h->seq);
    enum window_result result = stream_arrived(r, st, seq, now_us);

    count(r, st, now_us);
    if (result == WINDOW_DUPLICATE) {
        r->stats.duplicates++;
        return false;
    }
    r->stats.late += result != WINDOW_NEW;
    rtp_stats_input(&st->stats, seq, h->ts, h->payload_len, now_us);
    bool sample = stream_take_sample(st);
    if (sample)
        st->measured = seq;
    /* Nothing but padding is no longer than its count byte can say, and the tag; a segment train's
     * packets have a byte of padding and would all be decrypted. */
    bool may_be_padding = (packet[0] & PADDING_BIT) && h->payload_len <= UINT8_MAX + SRTP_MAX_TAG;
    return sample || r->config.decrypt_all || st->keyframe_wanted || may_be_padding;
}

bool receiver_input(struct receiver *r, const uint8_t *packet, size_t len, int64_t now_us)
{
    struct rtp_header h;

    if (rtp_parse_encrypted(&h, packet, len) < 0)
        return false;
    r->stats.packets++;
    r->stats.bytes += len;
    note_transport(r, &h, packet, now_us);
    struct stream *st = stream_of(r, &h, packet, now_us);
    if (!st)
        return false;
    st->last_us = now_us;
    st->closed = false;
    if (!st->rtx)
        return input_media(r, st, &h, packet, now_us);
    r->stats.rtx_packets++;
    return true; /* which packet it repeats is encrypted */
}

static void prove_audio(struct receiver *r, const struct rtp_header *h, const uint8_t *packet)
{
    r->stats.sampled++;
    if (!r->opus || !media_opus_known(r->opus, packet + h->payload_off, h->payload_len))
        r->stats.sample_bad_payload++;
}

static void keyframe_came(struct stream *st, int64_t seq)
{
    st->keyframe_wanted = false;
    if (st->nack) {
        nack_keyframe(st->nack, seq);
        st->nack->keyframe_wanted = false;
    }
}

/* Latencies of repaired packets count as often as those of others: not each one because each one is
 * decrypted. */
static void prove_video(struct receiver *r, struct stream *st, const struct rtp_header *h,
                        const uint8_t *packet, int64_t seq, bool measure, int64_t now_us)
{
    const uint8_t *payload = packet + h->payload_off;
    struct vp8_descriptor d;
    struct media_stamp stamp;

    r->stats.sampled++;
    if (vp8_parse(&d, payload, h->payload_len) < 0 ||
        media_stamp_read(&stamp, payload, h->payload_len) < 0) {
        r->stats.sample_bad_payload++;
        return;
    }
    if (d.keyframe)
        keyframe_came(st, seq);
    if (measure)
        histogram_add(&r->latency, now_us - stamp.due_us);
    struct frame_packet p = {.picture = d.picture_id,
                             .bits = d.picture_bits,
                             .first = d.frame_start,
                             .last = h->marker,
                             .seq = seq,
                             .due_us = stamp.due_us,
                             .now_us = now_us};
    if (st->frames)
        frames_input(st->frames, &p, &r->stats.frames, &r->stats.frames_broken);
}

static void measure_round_trip(struct receiver *r, const struct stream *st, int64_t seq,
                               int64_t now_us)
{
    if (r->probe_us == 0 || r->probe_ssrc != st->ssrc || r->probe_seq != seq)
        return;
    int64_t took = now_us - r->probe_us;
    r->probe_us = 0;
    r->rtt_us = r->rtt_us == 0 ? took : (7 * r->rtt_us + took) / 8;
}

static void sample_rtx(struct receiver *r, struct stream *rtx, struct rtp_header *h,
                       uint8_t *packet, size_t len, int64_t now_us)
{
    if (h->payload_len < 2) { /* a probe of padding only */
        r->stats.rtx_packets--;
        r->stats.probes++;
        return;
    }
    if (!rtx->media)
        stream_bind_rtx(r, rtx,
                        (uint16_t)(packet[h->payload_off] << 8 | packet[h->payload_off + 1]));
    struct stream *st = rtx->media;
    if (!st || !st->unwrap.started || rtp_rtx_unwrap(h, packet, &len, st->ssrc, st->track->pt) < 0)
        return;
    int64_t seq = rtp_unwrap_peek(&st->unwrap, h->seq);
    if (seq > st->window.highest) /* repeats what didn't come a first time yet: no gap to close */
        rtp_unwrap_seq(&st->unwrap, h->seq);
    enum window_result result = stream_arrived(r, st, seq, now_us);
    r->stats.duplicates += result == WINDOW_DUPLICATE;
    if (result == WINDOW_DUPLICATE || result == WINDOW_TOO_LATE)
        return;
    r->stats.repaired++;
    measure_round_trip(r, st, seq, now_us);
    prove_video(r, st, h, packet + 2, seq, stream_take_sample(rtx) || r->config.decrypt_all,
                now_us);
}

void receiver_sample(struct receiver *r, uint8_t *packet, size_t len, int64_t now_us)
{
    struct rtp_header h;

    if (len == 0) {
        r->stats.sample_bad_tag++;
        return;
    }
    if (rtp_parse(&h, packet, len) < 0)
        return;
    struct stream *st = stream_find(r, h.ssrc);
    if (!st)
        return;
    if (st->rtx) {
        sample_rtx(r, st, &h, packet, len, now_us);
        return;
    }
    if (h.payload_len == 0) { /* padding only: a number, but no media */
        r->stats.media_packets--;
        *(st->video ? &r->stats.video_packets : &r->stats.audio_packets) -= 1;
    } else if (st->video) {
        int64_t seq = rtp_unwrap_peek(&st->unwrap, h.seq);
        prove_video(r, st, &h, packet, seq, seq == st->measured || r->config.decrypt_all, now_us);
    } else {
        prove_audio(r, &h, packet);
    }
}

void receiver_stats(const struct receiver *r, struct receiver_stats *out)
{
    *out = r->stats;
}

const struct histogram *receiver_latency(const struct receiver *r)
{
    return &r->latency;
}

void receiver_stats_reset(struct receiver *r)
{
    struct receiver_stats fresh = {.streams = r->stats.streams};

    memcpy(fresh.first_us, r->stats.first_us, sizeof fresh.first_us);
    r->stats = fresh;
    memset(&r->latency, 0, sizeof r->latency);
}
