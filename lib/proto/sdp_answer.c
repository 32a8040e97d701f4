/* What our answers to publishers and to watchers have in common. */
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

/* ---- what is offered ---- */

bool sdp_answerable(const struct sdp *offer, const struct sdp_media *m)
{
    size_t n = strlen(m->mid);
    bool bundled = offer->bundle ? sdp_in_bundle(offer->bundle, m->mid) : offer->n_media == 1;

    return (m->port != 0 || m->bundle_only) && strstr(m->protocol, "RTP/SAVPF") && m->rtcp_mux &&
           n > 0 && n < SDP_MID_LEN && bundled;
}

/* RFC 8843 section 7.1.3: the m-line that the BUNDLE's list begins with has the transport's
 * attributes; those that are bundle-only need none of their own. */
static const struct sdp_media *carrier(const struct sdp *offer, const struct sdp_media *m)
{
    char mid[SDP_MID_LEN] = "";
    size_t n = offer->bundle ? strcspn(offer->bundle, " ") : 0;

    if (sdp_ice_ufrag(offer, m) || !m->bundle_only || n == 0 || n >= sizeof mid) {
        return m;
    }
    memcpy(mid, offer->bundle, n);
    const struct sdp_media *tagged = sdp_media_by_mid(offer, mid);
    return tagged ? tagged : m;
}

int sdp_answer_transport(struct sdp_remote *out, const struct sdp *offer,
                         const struct sdp_media *first)
{
    const struct sdp_media *m = carrier(offer, first);
    enum sdp_setup setup = sdp_setup_of(offer, m);

    if (setup == SDP_SETUP_NONE) {
        return ERR_INVALID;
    }
    out->dtls_active = setup == SDP_SETUP_PASSIVE;
    return sdp_read_remote(out, offer, m);
}

/* What the house forwards or uses, by kind of media. */
static bool is_wanted(enum rtp_ext_kind kind, enum sdp_kind media)
{
    switch (kind) {
    case RTP_EXT_AUDIO_LEVEL:
        return media == SDP_AUDIO;
    case RTP_EXT_RID:
    case RTP_EXT_REPAIRED_RID:
    case RTP_EXT_VIDEO_ORIENTATION:
    case RTP_EXT_PLAYOUT_DELAY:
    case RTP_EXT_DEPENDENCY_DESCRIPTOR:
    case RTP_EXT_VIDEO_LAYERS:
        return media == SDP_VIDEO;
    default:
        return true;
    }
}

/* The kind of an extension that m offers and that we would take, or -1. */
static int offered_kind(const struct sdp_media *m, const struct sdp_extmap *e, bool they_send)
{
    enum sdp_direction other_way = they_send ? SDP_RECVONLY : SDP_SENDONLY;
    int kind = rtp_ext_kind_of(e->uri);
    bool passes = e->direction != SDP_INACTIVE && e->direction != other_way;

    return kind >= 0 && passes && is_wanted((enum rtp_ext_kind)kind, m->kind) ? kind : -1;
}

/* One of these two m-lines has to do without its extension, as both use one id. A receiver can do
 * without levels best; else the line that comes first has it. */
static bool gives_way(int kind, int other, bool other_is_before, bool they_send)
{
    if (!they_send && (kind == RTP_EXT_AUDIO_LEVEL) != (other == RTP_EXT_AUDIO_LEVEL)) {
        return kind == RTP_EXT_AUDIO_LEVEL;
    }
    return other_is_before;
}

/* RFC 9143 section 12: an id means the same on all m-lines of a BUNDLE. aiortc 1.4 offers levels
 * and times by one, and ends for good when it then reads a level as a time. */
static bool is_taken(const struct sdp *offer, const struct sdp_media *m, const struct sdp_extmap *e,
                     int kind, bool they_send)
{
    for (const struct sdp_media *o = offer->media; o < offer->media + offer->n_media; o++) {
        for (size_t k = 0; k < o->n_ext && (offer->bundle || o == m); k++) {
            const struct sdp_extmap *x = &o->ext[k];
            bool differs = x->id == e->id && strcmp(x->uri, e->uri) != 0;
            int other = differs ? offered_kind(o, x, they_send) : -1;
            bool is_before = o == m ? x < e : o < m;
            if (other >= 0 && other != kind && gives_way(kind, other, is_before, they_send)) {
                return true;
            }
        }
    }
    return false;
}

void sdp_offered_ext(struct rtp_ext_map *out, const struct sdp *offer, const struct sdp_media *m,
                     bool they_send)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < m->n_ext; i++) {
        const struct sdp_extmap *e = &m->ext[i];
        int kind = offered_kind(m, e, they_send);
        if (kind >= 0 && out->id[kind] == 0 && !is_taken(offer, m, e, kind, they_send)) {
            out->id[kind] = e->id;
        }
    }
}

bool sdp_settle_transport_cc(struct rtp_ext_map *ext, const struct sdp_agreed *agreed, size_t n)
{
    bool feedback = false;

    for (size_t i = 0; i < n; i++) {
        feedback |= agreed[i].transport_cc;
    }
    if (!feedback) {
        ext->id[RTP_EXT_TRANSPORT_CC] = 0;
    }
    return ext->id[RTP_EXT_TRANSPORT_CC] != 0;
}

/* ---- what is answered ---- */

static int put_opus(struct buf *out, const struct sdp_codec *c)
{
    bool stereo =
        sdp_fmtp_int(c->fmtp, "stereo", 0) == 1 || sdp_fmtp_int(c->fmtp, "sprop-stereo", 0) == 1;
    bool dtx = sdp_fmtp_int(c->fmtp, "usedtx", 0) == 1;

    return buf_printf(out, "a=fmtp:%u minptime=10;useinbandfec=1%s%s\r\n", c->pt,
                      stereo ? ";stereo=1" : "", dtx ? ";usedtx=1" : "");
}

/* RFC 6184 section 8.2.2: mode and profile as offered; the level is the offered one, which is never
 * above what may be answered. */
static int put_h264(struct buf *out, const struct sdp_codec *c)
{
    struct sdp_h264 f;
    int r = sdp_h264_parse(&f, c->fmtp);

    return r < 0 ? r
                 : buf_printf(out, "a=fmtp:%u %spacketization-mode=%u;profile-level-id=%06x\r\n",
                              c->pt, f.level_asymmetry ? "level-asymmetry-allowed=1;" : "",
                              f.packetization_mode, f.profile_level_id);
}

/* AV1 RTP specification section 7.2: the parameters as they were offered, where they were. */
static int put_av1(struct buf *out, const struct sdp_codec *c)
{
    static const char *const names[] = {"level-idx", "profile", "tier"};
    const char *lead = NULL;
    int r = OK;

    for (size_t i = 0; i < 3 && r >= 0; i++) {
        int64_t v = sdp_fmtp_int(c->fmtp, names[i], -1);
        if (v >= 0 && v <= 31) {
            r = lead ? OK : buf_printf(out, "a=fmtp:%u ", c->pt);
            if (r >= 0) {
                r = buf_printf(out, "%s%s=%d", lead ? lead : "", names[i], (int)v);
            }
            lead = ";";
        }
    }
    return r < 0 || !lead ? r : buf_append_str(out, "\r\n");
}

static int put_format(struct buf *out, enum codec codec, const struct sdp_codec *c)
{
    switch (codec) {
    case CODEC_OPUS:
        return put_opus(out, c);
    case CODEC_RED:
        return buf_printf(out, "a=fmtp:%u %s\r\n", c->pt, c->fmtp);
    case CODEC_VP9:
        return sdp_fmtp_int(c->fmtp, "profile-id", -1) < 0
                   ? OK
                   : buf_printf(out, "a=fmtp:%u profile-id=%d\r\n", c->pt,
                                (int)sdp_fmtp_int(c->fmtp, "profile-id", 0));
    case CODEC_H264:
        return put_h264(out, c);
    case CODEC_AV1:
        return put_av1(out, c);
    default:
        return OK;
    }
}

static int put_feedback(struct buf *out, const struct sdp_agreed *a, bool transport_cc)
{
    const struct {
        bool agreed;
        const char *name;
    } feedback[] = {{a->remb, "goog-remb"},
                    {a->transport_cc && transport_cc, "transport-cc"},
                    {a->fir, "ccm fir"},
                    {a->nack, "nack"},
                    {a->pli, "nack pli"}};
    int r = OK;

    for (size_t i = 0; i < sizeof feedback / sizeof feedback[0] && r >= 0; i++) {
        if (feedback[i].agreed) {
            r = buf_printf(out, "a=rtcp-fb:%u %s\r\n", a->pt, feedback[i].name);
        }
    }
    return r;
}

static int put_agreed(struct buf *out, const struct sdp_line *l, const struct sdp_agreed *a)
{
    const struct sdp_codec *c = sdp_codec_by_pt(l->m, a->pt);
    char channels[16] = "";

    if (!c) {
        return ERR_INVALID; /* agreed upon with another offer */
    }
    if (c->channels > 1) {
        snprintf(channels, sizeof channels, "/%u", c->channels);
    }
    int r = buf_printf(out, "a=rtpmap:%u %s/%u%s\r\n", a->pt, c->name, c->clock_rate, channels);
    if (r >= 0) {
        r = put_feedback(out, a, l->ext.id[RTP_EXT_TRANSPORT_CC] != 0);
    }
    if (r >= 0) {
        r = put_format(out, a->codec, c);
    }
    if (r >= 0 && a->rtx_pt) {
        r = buf_printf(out, "a=rtpmap:%u rtx/%u\r\na=fmtp:%u apt=%u\r\n", a->rtx_pt, c->clock_rate,
                       a->rtx_pt, a->pt);
    }
    return r;
}

static int put_formats(struct buf *out, const struct sdp_line *l)
{
    int r = buf_printf(out, "m=%s 9 %s", l->m->kind_text, l->m->protocol);

    for (size_t i = 0; i < l->n_agreed && r >= 0; i++) {
        const struct sdp_agreed *a = &l->agreed[i];
        r = buf_printf(out, " %u", a->pt);
        if (r >= 0 && a->rtx_pt) {
            r = buf_printf(out, " %u", a->rtx_pt);
        }
    }
    return r < 0 ? r : buf_append_str(out, "\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n");
}

/* RFC 8285 section 5: an extension that was offered one way is answered the other way. */
static int put_ext(struct buf *out, const struct sdp_line *l)
{
    int r = OK;

    for (size_t i = 0; i < l->m->n_ext && r >= 0; i++) {
        const struct sdp_extmap *e = &l->m->ext[i];
        int kind = rtp_ext_kind_of(e->uri);
        if (kind >= 0 && l->ext.id[kind] == e->id) {
            r = buf_printf(out, "a=extmap:%u%s %s\r\n", e->id,
                           e->direction == SDP_SENDONLY   ? "/recvonly"
                           : e->direction == SDP_RECVONLY ? "/sendonly"
                                                          : "",
                           e->uri);
        }
    }
    return r;
}

int sdp_put_line(struct buf *out, const struct sdp_line *l, const struct sdp_local *local)
{
    int r = put_formats(out, l);

    if (r >= 0) {
        r = sdp_put_transport(out, local, l->dtls_active ? "active" : "passive");
    }
    if (r >= 0 && l->first) {
        r = sdp_put_candidates(out, local);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=mid:%s\r\n", l->m->mid);
    }
    if (r >= 0) {
        r = put_ext(out, l);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=%s\r\na=rtcp-mux\r\n%s", l->direction,
                       l->m->rtcp_rsize ? "a=rtcp-rsize\r\n" : "");
    }
    for (size_t i = 0; i < l->n_agreed && r >= 0; i++) {
        r = put_agreed(out, l, &l->agreed[i]);
    }
    return r;
}

int sdp_put_rejected(struct buf *out, const struct sdp_media *m)
{
    int r = buf_printf(out, "m=%s 0 %s %s\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n", m->kind_text,
                       m->protocol, m->formats);
    return r < 0 || !*m->mid ? r : buf_printf(out, "a=mid:%s\r\n", m->mid);
}
