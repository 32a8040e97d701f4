#include "lib/proto/sdp_publish.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

static const char *const source_names[] = {"camera", "microphone", "screen", "screenAudio"};

const char *sdp_source_name(enum sdp_source s)
{
    return (unsigned)s < 4 ? source_names[s] : "";
}

int sdp_source_of(const char *name)
{
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, source_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static const struct sdp_codec *wanted_codec(const struct sdp_media *m)
{
    if (m->kind == SDP_AUDIO) {
        return sdp_codec_by_name(m, "opus", 48000);
    }
    return m->kind == SDP_VIDEO ? sdp_codec_by_name(m, "VP8", 90000) : NULL;
}

static bool mid_ok(const char *mid)
{
    size_t n = strlen(mid);
    return n > 0 && n < SDP_MID_LEN;
}

/* An m-line that can be forwarded: secured RTP in the BUNDLE, on one port with its RTCP, with a
 * codec of ours. */
static bool acceptable(const struct sdp *offer, const struct sdp_media *m)
{
    return (m->port != 0 || m->bundle_only) && strstr(m->protocol, "RTP/SAVPF") && m->rtcp_mux &&
           mid_ok(m->mid) && sdp_in_bundle(offer->bundle, m->mid) && wanted_codec(m);
}

static void read_ext(struct sdp_track *t, const struct sdp_media *m)
{
    struct rtp_ext_map all;
    static const enum rtp_ext_kind both[] = {RTP_EXT_MID, RTP_EXT_ABS_SEND_TIME,
                                             RTP_EXT_TRANSPORT_CC};
    static const enum rtp_ext_kind video[] = {RTP_EXT_RID, RTP_EXT_REPAIRED_RID};

    sdp_ext_map(&all, m);
    for (size_t i = 0; i < 3; i++) {
        t->ext.id[both[i]] = all.id[both[i]];
    }
    for (size_t i = 0; i < 2 && t->kind == SDP_VIDEO; i++) {
        t->ext.id[video[i]] = all.id[video[i]];
    }
    if (t->kind == SDP_AUDIO) {
        t->ext.id[RTP_EXT_AUDIO_LEVEL] = all.id[RTP_EXT_AUDIO_LEVEL];
    }
}

/* The media SSRC and its retransmission's, from FID groups and the order of a=ssrc lines. */
static void read_ssrcs(struct sdp_track *t, const struct sdp_media *m)
{
    for (size_t i = 0; i < m->n_groups; i++) {
        const struct sdp_ssrc_group *g = &m->group[i];
        if (strcmp(g->semantics, "FID") == 0 && g->n == 2) {
            t->ssrc = g->ssrc[0];
            t->rtx_ssrc = g->ssrc[1];
            return;
        }
    }
    if (m->n_ssrcs > 0) {
        t->ssrc = m->ssrc[0].ssrc;
    }
}

static bool rid_ok(const char *id)
{
    size_t n = strlen(id);
    return n > 0 && n < SDP_RID_LEN &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

static void read_rids(struct sdp_track *t, const struct sdp_media *m)
{
    if (!m->simulcast || t->ext.id[RTP_EXT_RID] == 0) {
        return;
    }
    for (size_t i = 0; i < m->n_rids && t->n_rids < SDP_MAX_LAYERS; i++) {
        if (m->rid[i].send && rid_ok(m->rid[i].id)) {
            str_copy(t->rid[t->n_rids++], SDP_RID_LEN, m->rid[i].id);
        }
    }
}

static bool has_source(const struct sdp_publish *p, enum sdp_source s)
{
    for (size_t i = 0; i < p->n_tracks; i++) {
        if (p->track[i].source == s) {
            return true;
        }
    }
    return false;
}

static enum sdp_source source_of(const struct sdp_publish *p, const struct sdp_media *m)
{
    bool slides = m->content && strcmp(m->content, "slides") == 0;

    if (m->kind == SDP_AUDIO) {
        return slides || has_source(p, SDP_SOURCE_MICROPHONE) ? SDP_SOURCE_SCREEN_AUDIO
                                                              : SDP_SOURCE_MICROPHONE;
    }
    return slides || has_source(p, SDP_SOURCE_CAMERA) ? SDP_SOURCE_SCREEN : SDP_SOURCE_CAMERA;
}

static void read_track(struct sdp_track *t, const struct sdp_publish *p, const struct sdp_media *m,
                       bool simulcast)
{
    const struct sdp_codec *c = wanted_codec(m);

    memset(t, 0, sizeof *t);
    t->kind = m->kind;
    t->source = source_of(p, m);
    str_copy(t->mid, sizeof t->mid, m->mid);
    t->sending = m->direction == SDP_SENDONLY || m->direction == SDP_SENDRECV;
    t->pt = c->pt;
    t->clock_rate = c->clock_rate;
    t->nack = sdp_has_feedback(c, "nack");
    t->pli = sdp_has_feedback(c, "nack pli");
    read_ext(t, m);
    t->transport_cc = sdp_has_feedback(c, "transport-cc") && t->ext.id[RTP_EXT_TRANSPORT_CC];
    if (!t->transport_cc) {
        t->ext.id[RTP_EXT_TRANSPORT_CC] = 0;
    }
    const struct sdp_codec *rtx = sdp_rtx_for(m, c->pt);
    if (rtx && t->nack && t->kind == SDP_VIDEO) {
        t->rtx_pt = rtx->pt;
    }
    if (simulcast) {
        read_rids(t, m);
    }
    if (t->n_rids == 0) {
        read_ssrcs(t, m);
    }
}

static int put_codec(struct buf *out, const struct sdp_track *t, const struct sdp_codec *c)
{
    static const char *const feedback[] = {"transport-cc", "ccm fir", "nack", "nack pli"};
    int r;

    if (t->kind == SDP_AUDIO) {
        r = buf_printf(out, "a=rtpmap:%u opus/48000/2\r\na=fmtp:%u minptime=10;useinbandfec=1\r\n",
                       t->pt, t->pt);
    } else {
        r = buf_printf(out, "a=rtpmap:%u VP8/90000\r\n", t->pt);
    }
    for (size_t i = t->transport_cc ? 0 : 1; i < 4 && r >= 0; i++) {
        if (sdp_has_feedback(c, feedback[i])) {
            r = buf_printf(out, "a=rtcp-fb:%u %s\r\n", t->pt, feedback[i]);
        }
    }
    if (r >= 0 && t->rtx_pt) {
        r = buf_printf(out, "a=rtpmap:%u rtx/90000\r\na=fmtp:%u apt=%u\r\n", t->rtx_pt, t->rtx_pt,
                       t->pt);
    }
    return r;
}

static int put_rids(struct buf *out, const struct sdp_track *t)
{
    int r = OK;

    for (size_t i = 0; i < t->n_rids && r >= 0; i++) {
        r = buf_printf(out, "a=rid:%s recv\r\n", t->rid[i]);
    }
    for (size_t i = 0; i < t->n_rids && r >= 0; i++) {
        r = buf_printf(out, "%s%s", i ? ";" : "a=simulcast:recv ", t->rid[i]);
    }
    return r < 0 || t->n_rids == 0 ? r : buf_append_str(out, "\r\n");
}

static int put_track(struct buf *out, const struct sdp_track *t, const struct sdp_media *m,
                     const struct sdp_local *local, bool dtls_active, bool first)
{
    char rtx[8] = "";

    if (t->rtx_pt) {
        snprintf(rtx, sizeof rtx, " %u", t->rtx_pt);
    }
    int r = buf_printf(out, "m=%s 9 %s %u%s\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n",
                       m->kind_text, m->protocol, t->pt, rtx);
    if (r >= 0) {
        r = sdp_put_transport(out, local, dtls_active ? "active" : "passive", first);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=mid:%s\r\n", t->mid);
    }
    if (r >= 0) {
        r = sdp_put_ext(out, &t->ext);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=%s\r\na=rtcp-mux\r\n%s", t->sending ? "recvonly" : "inactive",
                       m->rtcp_rsize ? "a=rtcp-rsize\r\n" : "");
    }
    if (r >= 0) {
        r = put_codec(out, t, wanted_codec(m));
    }
    return r < 0 ? r : put_rids(out, t);
}

static int put_rejected(struct buf *out, const struct sdp_media *m)
{
    int r = buf_printf(out, "m=%s 0 %s %s\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n", m->kind_text,
                       m->protocol, m->formats);
    return r < 0 || !*m->mid ? r : buf_printf(out, "a=mid:%s\r\n", m->mid);
}

/* Picks the m-lines; index[i] is the track of m-line i, or -1. The first one carries the transport.
 */
static int choose(struct sdp_publish *p, const struct sdp *offer, bool simulcast, int *index)
{
    const struct sdp_media *first = NULL;

    p->n_tracks = 0;
    for (size_t i = 0; i < offer->n_media; i++) {
        const struct sdp_media *m = &offer->media[i];
        index[i] = -1;
        if (p->n_tracks == SDP_MAX_TRACKS || !acceptable(offer, m)) {
            continue;
        }
        if (sdp_media_by_mid(offer, m->mid) != m) {
            return ERR_INVALID; /* two m-lines of one name */
        }
        read_track(&p->track[p->n_tracks], p, m, simulcast);
        index[i] = (int)p->n_tracks++;
        if (!first) {
            first = m;
        }
    }
    if (!first) {
        return offer->n_media > 0 && !offer->bundle ? ERR_INVALID : ERR_UNSUPPORTED;
    }
    enum sdp_setup setup = sdp_setup_of(offer, first);
    if (setup == SDP_SETUP_NONE) {
        return ERR_INVALID;
    }
    p->remote.dtls_active = setup == SDP_SETUP_PASSIVE;
    return sdp_read_remote(&p->remote, offer, first);
}

static int put_answer(struct buf *out, const struct sdp_publish *p, const struct sdp *offer,
                      const struct sdp_local *local, const int *index)
{
    struct buf bundle;
    bool first = true;
    int r = OK;

    buf_init(&bundle, (size_t)SDP_MAX_TRACKS * (SDP_MID_LEN + 1));
    for (size_t i = 0; i < p->n_tracks && r >= 0; i++) {
        r = buf_printf(&bundle, " %s", p->track[i].mid);
    }
    if (r >= 0) {
        r = sdp_put_session(out, local, buf_cstr(&bundle), offer->extmap_allow_mixed);
    }
    for (size_t i = 0; i < offer->n_media && r >= 0; i++) {
        const struct sdp_media *m = &offer->media[i];
        if (index[i] < 0) {
            r = put_rejected(out, m);
            continue;
        }
        r = put_track(out, &p->track[index[i]], m, local, p->remote.dtls_active, first);
        first = false;
    }
    buf_free(&bundle);
    return r;
}

int sdp_answer_publish(struct buf *out, struct sdp_publish *p, const struct sdp *offer,
                       const struct sdp_local *local)
{
    int index[SDP_MAX_MEDIA];
    size_t before = out->len;

    memset(p, 0, sizeof *p);
    int r = choose(p, offer, local->simulcast, index);
    if (r >= 0) {
        r = put_answer(out, p, offer, local, index);
    }
    if (r < 0) {
        out->len = before;
    }
    return r < 0 ? r : OK;
}
