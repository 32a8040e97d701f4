#include "lib/proto/sdp_subscribe.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

void sdp_slot_mid(char out[8], enum sdp_kind kind, size_t slot)
{
    snprintf(out, 8, "%c%u", kind == SDP_AUDIO ? 'a' : 'v', (unsigned)(slot % 10000));
}

/* ---- what every slot says ---- */

/* What a line of this extension costs in an answer (see `fits`). */
#define EXT_BYTES 85

static const struct rtp_ext_map audio_ext = {
    .id = {[RTP_EXT_AUDIO_LEVEL] = SDP_SLOT_EXT_AUDIO_LEVEL,
           [RTP_EXT_ABS_SEND_TIME] = SDP_SLOT_EXT_ABS_SEND_TIME,
           [RTP_EXT_TRANSPORT_CC] = SDP_SLOT_EXT_TRANSPORT_CC,
           [RTP_EXT_MID] = SDP_SLOT_EXT_MID,
           [RTP_EXT_ABS_CAPTURE_TIME] = SDP_SLOT_EXT_ABS_CAPTURE_TIME}};
static const struct rtp_ext_map video_ext = {
    .id = {[RTP_EXT_ABS_SEND_TIME] = SDP_SLOT_EXT_ABS_SEND_TIME,
           [RTP_EXT_TRANSPORT_CC] = SDP_SLOT_EXT_TRANSPORT_CC,
           [RTP_EXT_MID] = SDP_SLOT_EXT_MID,
           [RTP_EXT_VIDEO_ORIENTATION] = SDP_SLOT_EXT_VIDEO_ORIENTATION,
           [RTP_EXT_PLAYOUT_DELAY] = SDP_SLOT_EXT_PLAYOUT_DELAY,
           [RTP_EXT_DEPENDENCY_DESCRIPTOR] = SDP_SLOT_EXT_DEPENDENCY_DESCRIPTOR,
           [RTP_EXT_ABS_CAPTURE_TIME] = SDP_SLOT_EXT_ABS_CAPTURE_TIME}};

/* In the order that we would rather send them in. VP9 and AV1 without parameters are profile 0. */
static const struct format {
    enum codec codec;
    enum sdp_kind kind;
    uint8_t pt, rtx_pt;
    uint16_t cost; /* bytes of its lines in Chromium 156's answer, as JSON */
    const char *map;
    const char *fmtp; /* or NULL */
} formats[] = {
    {CODEC_OPUS, SDP_AUDIO, SDP_OPUS_PT, 0, 100, "opus/48000/2", "minptime=10;useinbandfec=1"},
    {CODEC_RED, SDP_AUDIO, SDP_RED_PT, 0, 55, "red/48000/2", "111/111"},
    {CODEC_VP8, SDP_VIDEO, SDP_VP8_PT, SDP_VP8_RTX_PT, 205, "VP8/90000", NULL},
    {CODEC_VP9, SDP_VIDEO, SDP_VP9_PT, SDP_VP9_RTX_PT, 230, "VP9/90000", NULL},
    {CODEC_H264, SDP_VIDEO, SDP_H264_PT, SDP_H264_RTX_PT, 295, "H264/90000",
     "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
    {CODEC_AV1, SDP_VIDEO, SDP_AV1_PT, SDP_AV1_RTX_PT, 250, "AV1/90000", NULL},
};
#define FORMATS (sizeof formats / sizeof formats[0])

/* What the slots of one offer say: all of one kind the same. */
struct shape {
    uint32_t codecs;
    struct rtp_ext_map audio, video;
    bool remb;
};

static bool is_offered(const struct format *f, uint32_t codecs, enum sdp_kind kind)
{
    return f->kind == kind && (codecs & SDP_CODEC(f->codec));
}

/* A client's answer travels in one frame of ENVELOPE_MAX_BYTES, and repeats what we offer at
 * greater length than we do. Measured on Chromium 156, whose answers are longest: 730 bytes an
 * audio slot with Opus alone and 600 a video slot without its codecs, escaped as JSON. */
static bool fits(const struct shape *shape, size_t n_audio, size_t n_video)
{
    size_t audio = 630, video = 605, budget = 64000;

    for (size_t i = 0; i < FORMATS; i++) {
        audio += is_offered(&formats[i], shape->codecs, SDP_AUDIO) ? formats[i].cost : 0;
        video += is_offered(&formats[i], shape->codecs, SDP_VIDEO) ? formats[i].cost : 0;
    }
    for (int kind = RTP_EXT_PLAYOUT_DELAY; kind <= RTP_EXT_ABS_CAPTURE_TIME; kind++) {
        audio += shape->audio.id[kind] ? EXT_BYTES : 0;
        video += shape->video.id[kind] ? EXT_BYTES : 0;
    }
    return 1000 + n_audio * audio + n_video * video <= budget;
}

/* Leaves out what is missed least, until the answer fits: times and delays that players can do
 * without, then the codecs that fewest senders use. VP8 stays, and so does the orientation, without
 * which phones would lie on their side. RED without the Opus inside it makes no sense. */
static void shape_of(struct shape *out, const struct sdp_slots *s)
{
    static const uint32_t drops[] = {0, SDP_CODEC(CODEC_AV1), SDP_CODEC(CODEC_VP9),
                                     SDP_CODEC(CODEC_H264) | SDP_CODEC(CODEC_RED)};
    uint32_t codecs = s->codecs ? s->codecs : SDP_BASIC_CODECS;

    *out = (struct shape){.codecs = codecs, .audio = audio_ext, .video = video_ext, .remb = true};
    if (!(codecs & SDP_CODEC(CODEC_OPUS))) {
        out->codecs &= ~SDP_CODEC(CODEC_RED);
    }
    for (size_t i = 0; i < sizeof drops / sizeof drops[0]; i++) {
        if (fits(out, s->n_audio, s->n_video)) {
            return;
        }
        out->codecs &= ~drops[i];
        out->audio.id[RTP_EXT_ABS_CAPTURE_TIME] = 0;
        out->video.id[RTP_EXT_ABS_CAPTURE_TIME] = 0;
        out->video.id[RTP_EXT_PLAYOUT_DELAY] = 0;
        if (i > 0) {
            out->video.id[RTP_EXT_DEPENDENCY_DESCRIPTOR] = 0;
        }
    }
    out->remb = fits(out, s->n_audio, s->n_video);
}

uint32_t sdp_slots_codecs(const struct sdp_slots *slots)
{
    struct shape shape;

    shape_of(&shape, slots);
    return shape.codecs;
}

uint8_t sdp_slot_pt(enum codec c)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (formats[i].codec == c) {
            return formats[i].pt;
        }
    }
    return 0;
}

uint8_t sdp_slot_rtx_pt(enum codec c)
{
    for (size_t i = 0; i < FORMATS; i++) {
        if (formats[i].codec == c) {
            return formats[i].rtx_pt;
        }
    }
    return 0;
}

/* ---- the offer ---- */

static int put_formats(struct buf *out, const struct shape *shape, enum sdp_kind kind)
{
    int r = buf_printf(out, "m=%s 9 UDP/TLS/RTP/SAVPF", kind == SDP_VIDEO ? "video" : "audio");

    for (size_t i = 0; i < FORMATS && r >= 0; i++) {
        const struct format *f = &formats[i];
        if (is_offered(f, shape->codecs, kind)) {
            r = f->rtx_pt ? buf_printf(out, " %u %u", f->pt, f->rtx_pt)
                          : buf_printf(out, " %u", f->pt);
        }
    }
    return r < 0 ? r : buf_append_str(out, "\r\nc=IN IP4 0.0.0.0\r\n");
}

/* RFC 4585 section 4.2: "*" stands for all payload types, so that eighty slots stay short. */
static int put_feedback(struct buf *out, const struct shape *shape, enum sdp_kind kind)
{
    int r = buf_append_str(out, "a=rtcp-fb:* transport-cc\r\n");

    if (r < 0 || kind == SDP_AUDIO) {
        return r;
    }
    return buf_printf(out, "%sa=rtcp-fb:* ccm fir\r\na=rtcp-fb:* nack\r\na=rtcp-fb:* nack pli\r\n",
                      shape->remb ? "a=rtcp-fb:* goog-remb\r\n" : "");
}

static int put_codecs(struct buf *out, const struct shape *shape, enum sdp_kind kind)
{
    int r = OK;

    for (size_t i = 0; i < FORMATS && r >= 0; i++) {
        const struct format *f = &formats[i];
        if (!is_offered(f, shape->codecs, kind)) {
            continue;
        }
        r = buf_printf(out, "a=rtpmap:%u %s\r\n", f->pt, f->map);
        if (r >= 0 && f->fmtp) {
            r = buf_printf(out, "a=fmtp:%u %s\r\n", f->pt, f->fmtp);
        }
        if (r >= 0 && f->rtx_pt) {
            r = buf_printf(out, "a=rtpmap:%u rtx/90000\r\na=fmtp:%u apt=%u\r\n", f->rtx_pt,
                           f->rtx_pt, f->pt);
        }
    }
    return r < 0 ? r : put_feedback(out, shape, kind);
}

static int put_ssrcs(struct buf *out, const struct sdp_slot *slot, bool video, const char *cname)
{
    int r = OK;

    if (video) {
        r = buf_printf(out, "a=ssrc-group:FID %u %u\r\n", slot->ssrc, slot->rtx_ssrc);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=ssrc:%u cname:%s\r\n", slot->ssrc, cname);
    }
    if (r >= 0 && video) {
        r = buf_printf(out, "a=ssrc:%u cname:%s\r\n", slot->rtx_ssrc, cname);
    }
    return r;
}

static int put_slot(struct buf *out, enum sdp_kind kind, size_t i, const struct sdp_slots *slots,
                    const struct shape *shape, const struct sdp_local *local)
{
    bool video = kind == SDP_VIDEO, first = i == 0 && (!video || slots->n_audio == 0);
    char mid[8];
    int r = put_formats(out, shape, kind);

    sdp_slot_mid(mid, kind, i);
    if (r >= 0 && first) {
        r = sdp_put_candidates(out, local);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=mid:%s\r\n", mid);
    }
    if (r >= 0) {
        r = sdp_put_ext(out, video ? &shape->video : &shape->audio);
    }
    if (r >= 0) {
        r = buf_printf(out,
                       "a=sendonly\r\na=msid:sotto-%s sotto-%s-track\r\na=rtcp-mux\r\n"
                       "a=rtcp-rsize\r\n",
                       mid, mid);
    }
    if (r >= 0) {
        r = put_codecs(out, shape, kind);
    }
    return r < 0 ? r
                 : put_ssrcs(out, video ? &slots->video[i] : &slots->audio[i], video, local->cname);
}

static int put_offer(struct buf *out, const struct sdp_slots *s, const struct sdp_local *local)
{
    struct shape shape;
    struct buf bundle;
    char mid[8];
    size_t n = s->n_audio + s->n_video;
    int r = OK;

    shape_of(&shape, s);
    buf_init(&bundle, 8 * n);
    for (size_t i = 0; i < n && r >= 0; i++) {
        bool audio = i < s->n_audio;
        sdp_slot_mid(mid, audio ? SDP_AUDIO : SDP_VIDEO, audio ? i : i - s->n_audio);
        r = buf_printf(&bundle, " %s", mid);
    }
    if (r >= 0) {
        r = sdp_put_session(out, local, buf_cstr(&bundle), true);
    }
    if (r >= 0) {
        r = sdp_put_transport(out, local, "actpass");
    }
    buf_free(&bundle);
    for (size_t i = 0; i < s->n_audio && r >= 0; i++) {
        r = put_slot(out, SDP_AUDIO, i, s, &shape, local);
    }
    for (size_t i = 0; i < s->n_video && r >= 0; i++) {
        r = put_slot(out, SDP_VIDEO, i, s, &shape, local);
    }
    return r;
}

static bool counts_ok(const struct sdp_slots *s)
{
    return s->n_audio <= SDP_MAX_AUDIO_SLOTS && s->n_video <= SDP_MAX_VIDEO_SLOTS &&
           s->n_audio + s->n_video > 0;
}

/* An m-line needs a payload type. */
static bool codecs_ok(const struct sdp_slots *s)
{
    uint32_t codecs = sdp_slots_codecs(s);

    return (s->n_audio == 0 || codecs & SDP_CODEC(CODEC_OPUS)) &&
           (s->n_video == 0 || codecs & SDP_VIDEO_CODECS);
}

int sdp_offer_subscribe(struct buf *out, const struct sdp_slots *slots,
                        const struct sdp_local *local)
{
    size_t before = out->len;

    if (!counts_ok(slots) || !codecs_ok(slots)) {
        return ERR_INVALID;
    }
    int r = put_offer(out, slots, local);
    if (r < 0) {
        out->len = before;
    }
    return r < 0 ? r : OK;
}

/* ---- the answer ---- */

/* Our extensions as far as the answer took them; one under another id is an error. */
static int read_ext(struct rtp_ext_map *out, const struct rtp_ext_map *ours,
                    const struct sdp_media *m)
{
    sdp_ext_map(out, m);
    for (int i = 0; i < RTP_EXT_KINDS; i++) {
        if (out->id[i] != 0 && ours->id[i] != 0 && out->id[i] != ours->id[i]) {
            return ERR_INVALID;
        }
        if (ours->id[i] == 0) {
            out->id[i] = 0;
        }
    }
    return OK;
}

/* H.264 under our payload type must still be the format that we offered (RFC 6184 section 8.2.2:
 * only the level may differ). Clients repeat it; one that names another couldn't decode ours. */
static bool is_ours(const struct format *f, const struct sdp_codec *c)
{
    struct sdp_h264 ours, theirs;

    if (codec_of(c->name) != f->codec) {
        return false;
    }
    return f->codec != CODEC_H264 ||
           (sdp_h264_parse(&ours, f->fmtp) == OK && sdp_h264_parse(&theirs, c->fmtp) == OK &&
            sdp_h264_same(&ours, &theirs));
}

static void read_codec(struct sdp_subscribed_slot *slot, const struct sdp_media *m,
                       const struct format *f, const struct sdp_codec *c)
{
    const struct sdp_codec *rtx = f->rtx_pt ? sdp_rtx_for(m, f->pt) : NULL;

    slot->accepted = true;
    slot->codecs |= SDP_CODEC(f->codec);
    slot->nack |= sdp_has_feedback(c, "nack");
    slot->pli |= sdp_has_feedback(c, "nack pli");
    slot->fir |= sdp_has_feedback(c, "ccm fir");
    slot->remb |= sdp_has_feedback(c, "goog-remb");
    slot->transport_cc |= sdp_has_feedback(c, "transport-cc");
    if (rtx && rtx->pt == f->rtx_pt) {
        slot->rtx = true;
        slot->rtx_codecs |= SDP_CODEC(f->codec);
    }
}

static int read_slot(struct sdp_subscribed_slot *slot, const struct sdp *answer,
                     const struct sdp_media *m, enum sdp_kind kind, const struct shape *shape)
{
    bool receives = m->direction == SDP_RECVONLY || m->direction == SDP_SENDRECV;

    if (m->kind != kind) {
        return ERR_INVALID;
    }
    if (m->port == 0 || !receives) {
        return OK;
    }
    for (size_t i = 0; i < FORMATS; i++) {
        const struct sdp_codec *c = sdp_codec_by_pt(m, formats[i].pt);
        if (c && is_offered(&formats[i], shape->codecs, kind) && is_ours(&formats[i], c)) {
            read_codec(slot, m, &formats[i], c);
        }
    }
    if (!slot->accepted) {
        return OK;
    }
    if (!m->rtcp_mux || (answer->n_media > 1 && !sdp_in_bundle(answer->bundle, m->mid))) {
        return ERR_INVALID;
    }
    return read_ext(&slot->ext, kind == SDP_VIDEO ? &shape->video : &shape->audio, m);
}

/* The role and the rest of the transport, of the first m-line that isn't rejected. */
static int read_transport(struct sdp_subscribe *out, const struct sdp *answer)
{
    for (size_t i = 0; i < answer->n_media; i++) {
        const struct sdp_media *m = &answer->media[i];
        if (m->port == 0) {
            continue;
        }
        enum sdp_setup setup = sdp_setup_of(answer, m);
        if (setup != SDP_SETUP_ACTIVE && setup != SDP_SETUP_PASSIVE) {
            return ERR_INVALID;
        }
        out->remote.dtls_active = setup == SDP_SETUP_PASSIVE;
        return sdp_read_remote(&out->remote, answer, m);
    }
    return ERR_INVALID;
}

int sdp_read_answer(struct sdp_subscribe *out, const struct sdp *answer,
                    const struct sdp_slots *slots)
{
    struct shape shape;

    memset(out, 0, sizeof *out);
    if (!counts_ok(slots) || answer->n_media != slots->n_audio + slots->n_video) {
        return ERR_INVALID;
    }
    shape_of(&shape, slots);
    out->extmap_allow_mixed = answer->extmap_allow_mixed;
    int r = read_transport(out, answer);
    for (size_t i = 0; i < answer->n_media && r >= 0; i++) {
        bool audio = i < slots->n_audio;
        size_t k = audio ? i : i - slots->n_audio;
        enum sdp_kind kind = audio ? SDP_AUDIO : SDP_VIDEO;
        char mid[8];
        sdp_slot_mid(mid, kind, k);
        if (strcmp(answer->media[i].mid, mid) != 0) {
            return ERR_INVALID;
        }
        r = read_slot(audio ? &out->audio[k] : &out->video[k], answer, &answer->media[i], kind,
                      &shape);
    }
    return r;
}
