/* A parsed SDP as text again. */
#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

static const char *const directions[] = {"sendrecv", "sendonly", "recvonly", "inactive"};

static int put_transport(struct buf *out, const struct sdp_transport *t)
{
    static const char *const setups[] = {"", "actpass", "active", "passive"};
    int r = OK;

    if (t->ice_ufrag) {
        r = buf_printf(out, "a=ice-ufrag:%s\r\n", t->ice_ufrag);
    }
    if (r >= 0 && t->ice_pwd) {
        r = buf_printf(out, "a=ice-pwd:%s\r\n", t->ice_pwd);
    }
    for (size_t i = 0; i < t->n_fingerprints && r >= 0; i++) {
        r = buf_printf(out, "a=fingerprint:%s %s\r\n", t->fingerprint[i].hash,
                       t->fingerprint[i].value);
    }
    if (r >= 0 && t->setup != SDP_SETUP_NONE) {
        r = buf_printf(out, "a=setup:%s\r\n", setups[t->setup]);
    }
    return r;
}

static int put_codecs(struct buf *out, const struct sdp_media *m)
{
    int r = OK;

    for (size_t i = 0; i < m->n_codecs && r >= 0; i++) {
        const struct sdp_codec *c = &m->codec[i];
        if (*c->name && c->channels != 1) {
            r = buf_printf(out, "a=rtpmap:%u %s/%u/%u\r\n", c->pt, c->name, c->clock_rate,
                           c->channels);
        } else if (*c->name) {
            r = buf_printf(out, "a=rtpmap:%u %s/%u\r\n", c->pt, c->name, c->clock_rate);
        }
        for (size_t k = 0; k < c->n_feedback && r >= 0; k++) {
            r = buf_printf(out, "a=rtcp-fb:%u %s\r\n", c->pt, c->feedback[k]);
        }
        if (r >= 0 && c->fmtp) {
            r = buf_printf(out, "a=fmtp:%u %s\r\n", c->pt, c->fmtp);
        }
    }
    for (size_t i = 0; i < m->n_ext && r >= 0; i++) {
        const struct sdp_extmap *e = &m->ext[i];
        bool both = e->direction == SDP_SENDRECV;
        r = buf_printf(out, "a=extmap:%u%s%s %s\r\n", e->id, both ? "" : "/",
                       both ? "" : directions[e->direction], e->uri);
    }
    return r;
}

static int put_streams(struct buf *out, const struct sdp_media *m)
{
    int r = OK;

    for (size_t i = 0; i < m->n_groups && r >= 0; i++) {
        const struct sdp_ssrc_group *g = &m->group[i];
        r = buf_printf(out, "a=ssrc-group:%s", g->semantics);
        for (size_t k = 0; k < g->n && r >= 0; k++) {
            r = buf_printf(out, " %u", g->ssrc[k]);
        }
        if (r >= 0) {
            r = buf_append_str(out, "\r\n");
        }
    }
    for (size_t i = 0; i < m->n_ssrcs && r >= 0; i++) {
        const struct sdp_ssrc *e = &m->ssrc[i];
        if (e->cname) {
            r = buf_printf(out, "a=ssrc:%u cname:%s\r\n", e->ssrc, e->cname);
        }
        if (r >= 0 && e->msid) {
            r = buf_printf(out, "a=ssrc:%u msid:%s\r\n", e->ssrc, e->msid);
        }
        if (r >= 0 && !e->cname && !e->msid) {
            r = buf_printf(out, "a=ssrc:%u\r\n", e->ssrc);
        }
    }
    for (size_t i = 0; i < m->n_rids && r >= 0; i++) {
        r = buf_printf(out, "a=rid:%s %s%s%s\r\n", m->rid[i].id, m->rid[i].send ? "send" : "recv",
                       m->rid[i].params ? " " : "", m->rid[i].params ? m->rid[i].params : "");
    }
    if (r >= 0 && m->simulcast) {
        r = buf_printf(out, "a=simulcast:%s\r\n", m->simulcast);
    }
    return r;
}

static int put_candidates(struct buf *out, const struct sdp_media *m)
{
    int r = OK;

    for (size_t i = 0; i < m->n_candidates && r >= 0; i++) {
        const struct sdp_candidate *c = &m->candidate[i];
        r = buf_printf(out, "a=candidate:%s %u %s %u %s %u typ %s%s%s\r\n", c->foundation,
                       c->component, c->transport, c->priority, c->address, c->port, c->type,
                       c->tcp_type ? " tcptype " : "", c->tcp_type ? c->tcp_type : "");
    }
    if (r >= 0 && m->end_of_candidates) {
        r = buf_append_str(out, "a=end-of-candidates\r\n");
    }
    return r;
}

static int put_flag(struct buf *out, bool flag, const char *name)
{
    return flag ? buf_printf(out, "a=%s\r\n", name) : OK;
}

static int put_text(struct buf *out, const char *name, const char *value)
{
    return value && *value ? buf_printf(out, "a=%s:%s\r\n", name, value) : OK;
}

static int put_media(struct buf *out, const struct sdp_media *m)
{
    int r = buf_printf(out, "m=%s %u %s %s\r\nc=IN IP4 0.0.0.0\r\n", m->kind_text, m->port,
                       m->protocol, m->formats);
    if (r >= 0) {
        r = put_transport(out, &m->transport);
    }
    if (r >= 0) {
        r = put_text(out, "mid", m->mid);
    }
    if (r >= 0) {
        r = put_flag(out, true, directions[m->direction]);
    }
    if (r >= 0) {
        r = put_text(out, "msid", m->msid);
    }
    if (r >= 0) {
        r = put_text(out, "content", m->content);
    }
    if (r >= 0) {
        r = put_flag(out, m->bundle_only, "bundle-only");
    }
    if (r >= 0) {
        r = put_flag(out, m->rtcp_mux, "rtcp-mux");
    }
    if (r >= 0) {
        r = put_flag(out, m->rtcp_rsize, "rtcp-rsize");
    }
    if (r >= 0) {
        r = put_codecs(out, m);
    }
    if (r >= 0) {
        r = put_streams(out, m);
    }
    return r < 0 ? r : put_candidates(out, m);
}

int sdp_write(struct buf *out, const struct sdp *s)
{
    int r = buf_printf(out, "v=0\r\no=- %llu %llu IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
                       (unsigned long long)s->session_id, (unsigned long long)s->session_version);
    if (r >= 0 && s->bundle) {
        r = buf_printf(out, "a=group:BUNDLE%s%s\r\n", *s->bundle ? " " : "", s->bundle);
    }
    if (r >= 0) {
        r = put_flag(out, s->ice_lite, "ice-lite");
    }
    if (r >= 0) {
        r = put_flag(out, s->trickle, "ice-options:trickle");
    }
    if (r >= 0) {
        r = put_flag(out, s->extmap_allow_mixed, "extmap-allow-mixed");
    }
    if (r >= 0) {
        r = put_transport(out, &s->transport);
    }
    for (size_t i = 0; i < s->n_media && r >= 0; i++) {
        r = put_media(out, &s->media[i]);
    }
    return r < 0 ? r : OK;
}
