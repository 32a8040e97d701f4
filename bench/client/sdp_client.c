#include "bench/client/sdp_client.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"

/* Chromium's numbers. */
enum { OPUS_PT = 111, VP8_PT = 96, VP8_RTX_PT = 97 };

static const struct rtp_ext_map our_ext[2] = {
    [MEDIA_AUDIO] = {.id = {[RTP_EXT_AUDIO_LEVEL] = 1,
                            [RTP_EXT_ABS_SEND_TIME] = 2,
                            [RTP_EXT_TRANSPORT_CC] = 3,
                            [RTP_EXT_MID] = 4}},
    [MEDIA_VIDEO] = {
        .id = {[RTP_EXT_ABS_SEND_TIME] = 2, [RTP_EXT_TRANSPORT_CC] = 3, [RTP_EXT_MID] = 4}}};

/* One m-line that we write. */
struct line {
    struct media_track track; /* SSRC 0: we don't send on it */
    enum sdp_direction direction;
    bool fir;
    bool transport; /* the first one, with the candidates */
};

void sdp_client_agreed_free(struct sdp_client_agreed *a)
{
    free(a->receive);
    a->receive = NULL;
    a->n_receive = 0;
}

static int put_session(struct buf *out, const struct sdp_client_local *local, const char *bundle)
{
    return buf_printf(out,
                      "v=0\r\no=- %llu 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
                      "a=group:BUNDLE%s\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS\r\n",
                      (unsigned long long)local->session_id, bundle);
}

static int put_transport(struct buf *out, const struct sdp_client_local *local, const char *setup,
                         bool candidates)
{
    char hex[3 * SDP_FINGERPRINT_LEN + 1];
    for (size_t i = 0; i < SDP_FINGERPRINT_LEN; i++)
        snprintf(hex + 3 * i, 4, "%02X:", local->fingerprint[i]);
    hex[3 * SDP_FINGERPRINT_LEN - 1] = 0;
    return buf_printf(out,
                      "%sa=ice-ufrag:%s\r\na=ice-pwd:%s\r\na=ice-options:trickle\r\n"
                      "a=fingerprint:sha-256 %s\r\na=setup:%s\r\n",
                      candidates && local->candidates ? local->candidates : "", local->ufrag,
                      local->pwd, hex, setup);
}

static int put_ext(struct buf *out, const struct rtp_ext_map *ext)
{
    int r = OK;
    for (int i = 0; i < RTP_EXT_KINDS && r >= 0; i++) {
        if (ext->id[i])
            r = buf_printf(out, "a=extmap:%u %s\r\n", ext->id[i],
                           rtp_ext_uri((enum rtp_ext_kind)i));
    }
    return r;
}

static int put_codec(struct buf *out, const struct line *l)
{
    const struct media_track *t = &l->track;
    unsigned pt = t->pt;
    int r = buf_printf(out, "a=rtpmap:%u %s\r\n", pt,
                       t->kind == MEDIA_AUDIO ? "opus/48000/2" : "VP8/90000");
    if (r >= 0 && t->transport_cc)
        r = buf_printf(out, "a=rtcp-fb:%u transport-cc\r\n", pt);
    if (r >= 0 && l->fir)
        r = buf_printf(out, "a=rtcp-fb:%u ccm fir\r\n", pt);
    if (r >= 0 && t->nack)
        r = buf_printf(out, "a=rtcp-fb:%u nack\r\n", pt);
    if (r >= 0 && t->pli)
        r = buf_printf(out, "a=rtcp-fb:%u nack pli\r\n", pt);
    if (r >= 0 && t->kind == MEDIA_AUDIO)
        r = buf_printf(out, "a=fmtp:%u minptime=10;useinbandfec=1\r\n", pt);
    if (r >= 0 && t->rtx_pt)
        r = buf_printf(out, "a=rtpmap:%u rtx/90000\r\na=fmtp:%u apt=%u\r\n", t->rtx_pt, t->rtx_pt,
                       pt);
    return r;
}

static int put_ssrcs(struct buf *out, const struct media_track *t, const char *cname)
{
    const char *kind = t->kind == MEDIA_AUDIO ? "audio" : "video";
    int r = OK;
    if (!t->ssrc)
        return OK;
    if (t->rtx_ssrc)
        r = buf_printf(out, "a=ssrc-group:FID %u %u\r\n", t->ssrc, t->rtx_ssrc);
    for (int i = 0; i < 2 && r >= 0; i++) {
        uint32_t ssrc = i ? t->rtx_ssrc : t->ssrc;
        if (ssrc)
            r = buf_printf(out, "a=ssrc:%u cname:%s\r\na=ssrc:%u msid:%s %s-%s\r\n", ssrc, cname,
                           ssrc, cname, kind, t->mid);
    }
    return r;
}

static int put_line(struct buf *out, const struct line *l, const struct sdp_client_local *local,
                    const char *setup)
{
    static const char *const directions[] = {"sendrecv", "sendonly", "recvonly", "inactive"};
    const struct media_track *t = &l->track;
    const char *kind = t->kind == MEDIA_AUDIO ? "audio" : "video";
    char rtx[8] = "";
    if (t->rtx_pt)
        snprintf(rtx, sizeof rtx, " %u", t->rtx_pt);
    int r = buf_printf(out,
                       "m=%s 9 UDP/TLS/RTP/SAVPF %u%s\r\nc=IN IP4 0.0.0.0\r\n"
                       "a=rtcp:9 IN IP4 0.0.0.0\r\n",
                       kind, t->pt, rtx);
    if (r >= 0)
        r = put_transport(out, local, setup, l->transport);
    if (r >= 0)
        r = buf_printf(out, "a=mid:%s\r\n", t->mid);
    if (r >= 0)
        r = put_ext(out, &t->ext);
    if (r >= 0)
        r = buf_printf(out, "a=%s\r\n", directions[l->direction]);
    if (r >= 0 && t->ssrc)
        r = buf_printf(out, "a=msid:%s %s-%s\r\n", local->cname, kind, t->mid);
    if (r >= 0)
        r = buf_append_str(out, "a=rtcp-mux\r\na=rtcp-rsize\r\n");
    if (r >= 0)
        r = put_codec(out, l);
    return r < 0 ? r : put_ssrcs(out, t, local->cname);
}

/* ---- offers ---- */

/* The m-line i of our offer. */
static void offered(struct line *l, const struct sdp_client_local *local, unsigned i)
{
    bool video = i >= local->audio;
    struct media_track *t = &l->track;
    memset(l, 0, sizeof *l);
    t->kind = video ? MEDIA_VIDEO : MEDIA_AUDIO;
    snprintf(t->mid, sizeof t->mid, "%u", i);
    t->pt = video ? VP8_PT : OPUS_PT;
    t->rtx_pt = video ? VP8_RTX_PT : 0;
    t->ext = our_ext[t->kind];
    t->nack = t->pli = l->fir = video;
    t->transport_cc = true;
    l->direction = local->direction;
    l->transport = i == 0;
    if (l->direction == SDP_SENDONLY || l->direction == SDP_SENDRECV) {
        t->ssrc = local->ssrc + 2 * i;
        t->rtx_ssrc = video ? t->ssrc + 1 : 0;
    }
}

int sdp_client_offer(struct buf *out, const struct sdp_client_local *local)
{
    unsigned n = local->audio + local->video;
    char bundle[8 * SDP_CLIENT_MAX_LINES + 1] = "";
    struct line l;
    if (n == 0 || local->audio > SDP_CLIENT_MAX_LINES || local->video > SDP_CLIENT_MAX_LINES)
        return ERR_INVALID;
    for (unsigned i = 0; i < n; i++)
        snprintf(bundle + strlen(bundle), sizeof bundle - strlen(bundle), " %u", i);
    int r = put_session(out, local, bundle);
    for (unsigned i = 0; i < n && r >= 0; i++) {
        offered(&l, local, i);
        r = put_line(out, &l, local, "actpass");
    }
    return r < 0 ? r : OK;
}

/* ---- what the other end says ---- */

static const struct sdp_codec *codec_in(const struct sdp_media *m)
{
    if (m->kind == SDP_AUDIO)
        return sdp_codec_by_name(m, "opus", 48000);
    return m->kind == SDP_VIDEO ? sdp_codec_by_name(m, "VP8", 90000) : NULL;
}

static bool in_bundle(const struct sdp *s, const char *mid)
{
    size_t len = strlen(mid);
    if (!s->bundle)
        return s->n_media == 1;
    for (const char *p = s->bundle; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, mid, n) == 0)
            return true;
        p += n;
        p += strspn(p, " ");
    }
    return false;
}

static bool acceptable(const struct sdp *s, const struct sdp_media *m)
{
    return (m->port != 0 || m->bundle_only) && strstr(m->protocol, "RTP/SAVPF") && m->rtcp_mux &&
           strlen(m->mid) < sizeof((struct media_track *)0)->mid && in_bundle(s, m->mid) &&
           codec_in(m);
}

/* What an m-line says in terms of a track: payload types, extensions that we know, feedback. */
static void read_track(struct media_track *t, const struct sdp_media *m)
{
    const struct sdp_codec *c = codec_in(m);
    memset(t, 0, sizeof *t);
    t->kind = m->kind == SDP_AUDIO ? MEDIA_AUDIO : MEDIA_VIDEO;
    str_copy(t->mid, sizeof t->mid, m->mid);
    t->pt = c->pt;
    sdp_ext_map(&t->ext, m);
    for (int i = 0; i < RTP_EXT_KINDS; i++) {
        if (!our_ext[t->kind].id[i])
            t->ext.id[i] = 0;
    }
    bool video = t->kind == MEDIA_VIDEO;
    t->nack = video && sdp_has_feedback(c, "nack");
    t->pli = video && sdp_has_feedback(c, "nack pli");
    t->transport_cc = sdp_has_feedback(c, "transport-cc") && t->ext.id[RTP_EXT_TRANSPORT_CC];
    const struct sdp_codec *rtx = video ? sdp_rtx_for(m, c->pt) : NULL;
    t->rtx_pt = rtx && t->nack ? rtx->pt : 0;
}

/* Their SSRCs as far as they are told. */
static void read_ssrcs(struct media_track *t, const struct sdp_media *m)
{
    t->ssrc = m->n_ssrcs > 0 ? m->ssrc[0].ssrc : 0;
    for (size_t i = 0; i < m->n_groups; i++) {
        const struct sdp_ssrc_group *g = &m->group[i];
        if (strcmp(g->semantics, "FID") == 0 && g->n == 2) {
            t->ssrc = g->ssrc[0];
            t->rtx_ssrc = t->rtx_pt ? g->ssrc[1] : 0;
            return;
        }
    }
}

static void read_candidates(struct sdp_client_agreed *a, const struct sdp_media *m)
{
    for (size_t i = 0; i < m->n_candidates && a->n_candidates < ICE_LEAN_PAIRS; i++) {
        const struct sdp_candidate *c = &m->candidate[i];
        struct ice_lean_candidate *out = &a->candidate[a->n_candidates];
        *out = (struct ice_lean_candidate){.priority = c->priority, .type = c->type[0]};
        out->address.sin_family = AF_INET;
        out->address.sin_port = htons(c->port);
        if (c->component == 1 && strcasecmp(c->transport, "udp") == 0 &&
            inet_pton(AF_INET, c->address, &out->address.sin_addr) == 1)
            a->n_candidates++;
    }
}

/* The transport, by the first m-line that was taken. */
static int read_transport(struct sdp_client_agreed *a, const struct sdp *s,
                          const struct sdp_media *m)
{
    const char *ufrag = sdp_ice_ufrag(s, m), *pwd = sdp_ice_pwd(s, m);
    if (!ufrag || !pwd || strlen(ufrag) < 4 || strlen(pwd) < 22 ||
        str_copy(a->ufrag, sizeof a->ufrag, ufrag) < 0 || str_copy(a->pwd, sizeof a->pwd, pwd) < 0)
        return ERR_INVALID;
    a->remote_lite = s->ice_lite;
    for (size_t i = 0; i < s->n_media && a->n_candidates == 0; i++)
        read_candidates(a, &s->media[i]);
    int r = sdp_fingerprint_sha256(a->fingerprint, s, m);
    return r == ERR_NOT_FOUND ? ERR_UNSUPPORTED : r;
}

/* Takes note of one agreed m-line. */
static void agree(struct sdp_client_agreed *a, const struct media_track *track, uint32_t our_ssrc,
                  const struct sdp_media *theirs, bool sends, bool receives)
{
    if (sends && !a->sends[track->kind]) {
        struct media_track *t = &a->send[track->kind];
        *t = *track;
        t->ssrc = our_ssrc;
        t->rtx_ssrc = t->rtx_pt ? our_ssrc + 1 : 0;
        a->sends[track->kind] = true;
    }
    if (receives) {
        struct media_track *t = &a->receive[a->n_receive++];
        *t = *track;
        read_ssrcs(t, theirs);
    }
}

/* ---- answers ---- */

/* Our direction, RFC 3264 section 6.1. `may`: there is no other m-line of the kind that we send on.
 */
static enum sdp_direction answer_direction(enum sdp_direction theirs, enum sdp_direction ours,
                                           bool may)
{
    bool they_send = theirs == SDP_SENDRECV || theirs == SDP_SENDONLY;
    bool they_receive = theirs == SDP_SENDRECV || theirs == SDP_RECVONLY;
    bool send = may && they_receive && (ours == SDP_SENDRECV || ours == SDP_SENDONLY);
    bool receive = they_send && (ours == SDP_SENDRECV || ours == SDP_RECVONLY);
    if (send)
        return receive ? SDP_SENDRECV : SDP_SENDONLY;
    return receive ? SDP_RECVONLY : SDP_INACTIVE;
}

static int put_answer_line(struct buf *out, struct sdp_client_agreed *a, const struct sdp *offer,
                           size_t i, const struct sdp_client_local *local, bool first)
{
    const struct sdp_media *m = &offer->media[i];
    if (!acceptable(offer, m)) {
        int r = buf_printf(out, "m=%s 0 %s %s\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\n", m->kind_text,
                           m->protocol, m->formats);
        return r < 0 || !*m->mid ? r : buf_printf(out, "a=mid:%s\r\n", m->mid);
    }
    struct line l = {.transport = first};
    read_track(&l.track, m);
    l.fir = l.track.kind == MEDIA_VIDEO && sdp_has_feedback(codec_in(m), "ccm fir");
    l.direction = answer_direction(m->direction, local->direction, !a->sends[l.track.kind]);
    bool sends = l.direction == SDP_SENDRECV || l.direction == SDP_SENDONLY;
    uint32_t ssrc = local->ssrc + 2 * (uint32_t)i;
    agree(a, &l.track, ssrc, m, sends, l.direction == SDP_SENDRECV || l.direction == SDP_RECVONLY);
    l.track.ssrc = sends ? ssrc : 0;
    l.track.rtx_ssrc = sends && l.track.rtx_pt ? ssrc + 1 : 0;
    return put_line(out, &l, local, a->dtls_client ? "active" : "passive");
}

static int put_bundle(struct buf *out, const struct sdp *offer,
                      const struct sdp_client_local *local)
{
    struct buf bundle;
    int r = OK;
    buf_init(&bundle, 8192);
    for (size_t i = 0; i < offer->n_media && r >= 0; i++) {
        if (acceptable(offer, &offer->media[i]))
            r = buf_printf(&bundle, " %s", offer->media[i].mid);
    }
    if (r >= 0)
        r = put_session(out, local, buf_cstr(&bundle));
    buf_free(&bundle);
    return r;
}

static const struct sdp_media *first_acceptable(const struct sdp *s)
{
    for (size_t i = 0; i < s->n_media; i++) {
        if (acceptable(s, &s->media[i]))
            return &s->media[i];
    }
    return NULL;
}

static int make_room(struct sdp_client_agreed *a, const struct sdp *s)
{
    memset(a, 0, sizeof *a);
    a->receive = calloc(s->n_media ? s->n_media : 1, sizeof *a->receive);
    return a->receive ? OK : ERR_NOMEM;
}

static int answer(struct buf *out, struct sdp_client_agreed *a, const struct sdp *offer,
                  const struct sdp_client_local *local)
{
    const struct sdp_media *first = first_acceptable(offer);
    if (!first)
        return ERR_UNSUPPORTED;
    enum sdp_setup setup = sdp_setup_of(offer, first);
    if (setup == SDP_SETUP_NONE)
        return ERR_INVALID;
    a->dtls_client = setup != SDP_SETUP_ACTIVE;
    int r = read_transport(a, offer, first);
    if (r == OK)
        r = put_bundle(out, offer, local);
    for (size_t i = 0; i < offer->n_media && r >= 0; i++)
        r = put_answer_line(out, a, offer, i, local, &offer->media[i] == first);
    return r < 0 ? r : OK;
}

int sdp_client_answer(struct buf *out, struct sdp_client_agreed *a, const char *offer, size_t len,
                      const struct sdp_client_local *local)
{
    struct sdp *s = NULL;
    size_t before = out->len;
    int r = sdp_parse(&s, offer, len);
    if (r == OK)
        r = make_room(a, s);
    if (r == OK) {
        r = answer(out, a, s, local);
        if (r < 0) {
            out->len = before;
            sdp_client_agreed_free(a);
        }
    }
    sdp_free(s);
    return r;
}

static int read_answer(struct sdp_client_agreed *a, const struct sdp *s,
                       const struct sdp_client_local *local)
{
    const struct sdp_media *first = first_acceptable(s);
    if (s->n_media != local->audio + local->video)
        return ERR_INVALID;
    if (!first)
        return ERR_UNSUPPORTED;
    enum sdp_setup setup = sdp_setup_of(s, first);
    if (setup != SDP_SETUP_ACTIVE && setup != SDP_SETUP_PASSIVE)
        return ERR_INVALID;
    a->dtls_client = setup == SDP_SETUP_PASSIVE;
    for (unsigned i = 0; i < s->n_media; i++) {
        const struct sdp_media *m = &s->media[i];
        struct media_track track;
        struct line ours;
        offered(&ours, local, i);
        if (!acceptable(s, m))
            continue;
        read_track(&track, m);
        if (track.kind != ours.track.kind || strcmp(track.mid, ours.track.mid) != 0)
            return ERR_INVALID;
        enum sdp_direction d = answer_direction(m->direction, local->direction, true);
        agree(a, &track, ours.track.ssrc, m, d == SDP_SENDRECV || d == SDP_SENDONLY,
              d == SDP_SENDRECV || d == SDP_RECVONLY);
    }
    return read_transport(a, s, first);
}

int sdp_client_read_answer(struct sdp_client_agreed *a, const char *text, size_t len,
                           const struct sdp_client_local *local)
{
    struct sdp *s = NULL;
    int r = sdp_parse(&s, text, len);
    if (r == OK)
        r = make_room(a, s);
    if (r == OK) {
        r = read_answer(a, s, local);
        if (r < 0)
            sdp_client_agreed_free(a);
    }
    sdp_free(s);
    return r;
}
