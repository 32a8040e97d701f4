#include "lib/proto/sdp_subscribe.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

void sdp_slot_mid(char out[8], enum sdp_kind kind, size_t slot)
{
    snprintf(out, 8, "%c%u", kind == SDP_AUDIO ? 'a' : 'v', (unsigned)(slot % 10000));
}

static const struct rtp_ext_map audio_ext = {
    .id = {[RTP_EXT_AUDIO_LEVEL] = SDP_SLOT_EXT_AUDIO_LEVEL,
           [RTP_EXT_ABS_SEND_TIME] = SDP_SLOT_EXT_ABS_SEND_TIME,
           [RTP_EXT_TRANSPORT_CC] = SDP_SLOT_EXT_TRANSPORT_CC,
           [RTP_EXT_MID] = SDP_SLOT_EXT_MID}};
static const struct rtp_ext_map video_ext = {
    .id = {[RTP_EXT_ABS_SEND_TIME] = SDP_SLOT_EXT_ABS_SEND_TIME,
           [RTP_EXT_TRANSPORT_CC] = SDP_SLOT_EXT_TRANSPORT_CC,
           [RTP_EXT_MID] = SDP_SLOT_EXT_MID}};

static int put_audio_codec(struct buf *out)
{
    return buf_printf(out,
                      "a=rtpmap:%d opus/48000/2\r\na=fmtp:%d minptime=10;useinbandfec=1\r\n"
                      "a=rtcp-fb:%d transport-cc\r\n",
                      SDP_OPUS_PT, SDP_OPUS_PT, SDP_OPUS_PT);
}

static int put_video_codec(struct buf *out)
{
    return buf_printf(out,
                      "a=rtpmap:%d VP8/90000\r\na=rtcp-fb:%d transport-cc\r\n"
                      "a=rtcp-fb:%d ccm fir\r\na=rtcp-fb:%d nack\r\na=rtcp-fb:%d nack pli\r\n"
                      "a=rtpmap:%d rtx/90000\r\na=fmtp:%d apt=%d\r\n",
                      SDP_VP8_PT, SDP_VP8_PT, SDP_VP8_PT, SDP_VP8_PT, SDP_VP8_PT, SDP_VP8_RTX_PT,
                      SDP_VP8_RTX_PT, SDP_VP8_PT);
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

static int put_slot(struct buf *out, enum sdp_kind kind, size_t i, const struct sdp_slot *slot,
                    const struct sdp_local *local, bool first)
{
    bool video = kind == SDP_VIDEO;
    char mid[8], formats[16];

    sdp_slot_mid(mid, kind, i);
    if (video) {
        snprintf(formats, sizeof formats, "%d %d", SDP_VP8_PT, SDP_VP8_RTX_PT);
    } else {
        snprintf(formats, sizeof formats, "%d", SDP_OPUS_PT);
    }
    int r = buf_printf(out, "m=%s 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\n",
                       video ? "video" : "audio", formats);
    if (r >= 0) {
        r = sdp_put_transport(out, local, "actpass", first);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=mid:%s\r\n", mid);
    }
    if (r >= 0) {
        r = sdp_put_ext(out, video ? &video_ext : &audio_ext);
    }
    if (r >= 0) {
        r = buf_printf(out,
                       "a=sendonly\r\na=msid:sotto-%s sotto-%s-track\r\na=rtcp-mux\r\n"
                       "a=rtcp-rsize\r\n",
                       mid, mid);
    }
    if (r >= 0) {
        r = video ? put_video_codec(out) : put_audio_codec(out);
    }
    return r < 0 ? r : put_ssrcs(out, slot, video, local->cname);
}

static int put_offer(struct buf *out, const struct sdp_slots *s, const struct sdp_local *local)
{
    struct buf bundle;
    char mid[8];
    size_t n = s->n_audio + s->n_video;
    int r = OK;

    buf_init(&bundle, 8 * n);
    for (size_t i = 0; i < n && r >= 0; i++) {
        bool audio = i < s->n_audio;
        sdp_slot_mid(mid, audio ? SDP_AUDIO : SDP_VIDEO, audio ? i : i - s->n_audio);
        r = buf_printf(&bundle, " %s", mid);
    }
    if (r >= 0) {
        r = sdp_put_session(out, local, buf_cstr(&bundle), true);
    }
    buf_free(&bundle);
    for (size_t i = 0; i < s->n_audio && r >= 0; i++) {
        r = put_slot(out, SDP_AUDIO, i, &s->audio[i], local, i == 0);
    }
    for (size_t i = 0; i < s->n_video && r >= 0; i++) {
        r = put_slot(out, SDP_VIDEO, i, &s->video[i], local, i == 0 && s->n_audio == 0);
    }
    return r;
}

static bool counts_ok(const struct sdp_slots *s)
{
    return s->n_audio <= SDP_MAX_AUDIO_SLOTS && s->n_video <= SDP_MAX_VIDEO_SLOTS &&
           s->n_audio + s->n_video > 0;
}

int sdp_offer_subscribe(struct buf *out, const struct sdp_slots *slots,
                        const struct sdp_local *local)
{
    size_t before = out->len;

    if (!counts_ok(slots)) {
        return ERR_INVALID;
    }
    int r = put_offer(out, slots, local);
    if (r < 0) {
        out->len = before;
    }
    return r < 0 ? r : OK;
}

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

static int read_slot(struct sdp_subscribed_slot *slot, const struct sdp *answer,
                     const struct sdp_media *m, enum sdp_kind kind)
{
    bool video = kind == SDP_VIDEO;
    uint8_t pt = video ? SDP_VP8_PT : SDP_OPUS_PT;
    const struct sdp_codec *c = sdp_codec_by_pt(m, pt);

    if (m->kind != kind) {
        return ERR_INVALID;
    }
    bool receives = m->direction == SDP_RECVONLY || m->direction == SDP_SENDRECV;
    if (m->port == 0 || !receives || !c) {
        return OK;
    }
    if (!m->rtcp_mux || (answer->n_media > 1 && !sdp_in_bundle(answer->bundle, m->mid))) {
        return ERR_INVALID;
    }
    slot->accepted = true;
    slot->nack = sdp_has_feedback(c, "nack");
    slot->transport_cc = sdp_has_feedback(c, "transport-cc");
    const struct sdp_codec *rtx = sdp_rtx_for(m, pt);
    slot->rtx = video && rtx && rtx->pt == SDP_VP8_RTX_PT;
    return read_ext(&slot->ext, video ? &video_ext : &audio_ext, m);
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
    memset(out, 0, sizeof *out);
    if (!counts_ok(slots) || answer->n_media != slots->n_audio + slots->n_video) {
        return ERR_INVALID;
    }
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
        r = read_slot(audio ? &out->audio[k] : &out->video[k], answer, &answer->media[i], kind);
    }
    return r;
}
