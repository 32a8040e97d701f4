/* SDP attributes: one function an attribute, found by name in a table. */
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

typedef int attr_fn(struct sdp *s, struct sdp_media *m, char *value);

static struct sdp_transport *transport(struct sdp *s, struct sdp_media *m)
{
    return m ? &m->transport : &s->transport;
}

static struct sdp_codec *find_codec(struct sdp_media *m, const char *pt_text, int *err)
{
    uint64_t pt;

    *err = ERR_INVALID;
    if (!sdp_number(pt_text, 127, &pt)) {
        return NULL;
    }
    *err = OK; /* of a payload type that isn't on the m-line: skipped */
    for (size_t i = 0; i < m->n_codecs; i++) {
        if (m->codec[i].pt == pt) {
            return &m->codec[i];
        }
    }
    return NULL;
}

static int attr_mid(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    m->mid = v;
    return *v ? OK : ERR_INVALID;
}

static int attr_sendrecv(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->direction = SDP_SENDRECV;
    return OK;
}

static int attr_sendonly(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->direction = SDP_SENDONLY;
    return OK;
}

static int attr_recvonly(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->direction = SDP_RECVONLY;
    return OK;
}

static int attr_inactive(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->direction = SDP_INACTIVE;
    return OK;
}

static int attr_rtcp_mux(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->rtcp_mux = true;
    return OK;
}

static int attr_rtcp_rsize(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->rtcp_rsize = true;
    return OK;
}

static int attr_bundle_only(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->bundle_only = true;
    return OK;
}

static int attr_end_of_candidates(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    (void)v;
    m->end_of_candidates = true;
    return OK;
}

static int attr_msid(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    if (!m->msid) { /* a track in several streams: the first one counts */
        m->msid = v;
    }
    return OK;
}

static int attr_content(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    m->content = v;
    return OK;
}

static int attr_simulcast(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)s;
    m->simulcast = v;
    return OK;
}

/* rtpmap:PT name/clock[/channels] */
static int attr_rtpmap(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    uint64_t clock, channels = 1;
    char *pt = sdp_word(&v), *name = sdp_word(&v);

    (void)s;
    if (!name) {
        return ERR_INVALID;
    }
    char *slash = strchr(name, '/');
    if (!slash || slash == name) {
        return ERR_INVALID;
    }
    *slash++ = 0;
    char *more = strchr(slash, '/');
    if (more) {
        *more++ = 0;
    }
    if (!sdp_number(slash, UINT32_MAX, &clock) || (more && !sdp_number(more, 255, &channels))) {
        return ERR_INVALID;
    }
    struct sdp_codec *c = find_codec(m, pt, &err);
    if (!c) {
        return err;
    }
    c->name = name;
    c->clock_rate = (uint32_t)clock;
    c->channels = (uint32_t)channels;
    return OK;
}

static int attr_fmtp(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    char *pt = sdp_word(&v);
    struct sdp_codec *c = pt ? find_codec(m, pt, &err) : NULL;

    (void)s;
    if (!pt) {
        return ERR_INVALID;
    }
    if (!c) {
        return err;
    }
    while (*v == ' ') {
        v++;
    }
    c->fmtp = v;
    return OK;
}

static int add_feedback(struct sdp_codec *c, const char *v)
{
    if (c->n_feedback < SDP_MAX_FEEDBACK) {
        c->feedback[c->n_feedback++] = v;
    }
    return OK;
}

static int attr_rtcp_fb(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    char *pt = sdp_word(&v);

    (void)s;
    while (*v == ' ') {
        v++;
    }
    if (!pt || *v == 0) {
        return ERR_INVALID;
    }
    if (strcmp(pt, "*") == 0) {
        for (size_t i = 0; i < m->n_codecs; i++) {
            add_feedback(&m->codec[i], v);
        }
        return OK;
    }
    struct sdp_codec *c = find_codec(m, pt, &err);
    return c ? add_feedback(c, v) : err;
}

static bool direction_of(const char *text, enum sdp_direction *d)
{
    static const char *const names[] = {"sendrecv", "sendonly", "recvonly", "inactive"};

    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            *d = (enum sdp_direction)i;
            return true;
        }
    }
    return false;
}

/* extmap:ID[/direction] URI [attributes] */
static int attr_extmap(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    uint64_t id;
    char *id_text = sdp_word(&v), *uri = sdp_word(&v);
    enum sdp_direction d = SDP_SENDRECV;

    (void)s;
    if (!uri) {
        return ERR_INVALID;
    }
    char *slash = strchr(id_text, '/');
    if (slash) {
        *slash++ = 0;
    }
    if (slash && !direction_of(slash, &d)) {
        return ERR_INVALID;
    }
    if (!sdp_number(id_text, 65535, &id) || id == 0) {
        return ERR_INVALID;
    }
    if (id > 255) { /* 4096..4351 are provisional ids of RFC 8285 section 7; nothing we take */
        return id >= 4096 && id <= 4351 ? OK : ERR_INVALID;
    }
    struct sdp_extmap *e = sdp_grow((void **)&m->ext, &m->n_ext, sizeof *e, SDP_MAX_EXT, &err);
    if (!e) {
        return err;
    }
    e->id = (uint8_t)id;
    e->direction = d;
    e->uri = uri;
    return OK;
}

static struct sdp_ssrc *ssrc_entry(struct sdp_media *m, uint32_t ssrc, int *err)
{
    for (size_t i = 0; i < m->n_ssrcs; i++) {
        if (m->ssrc[i].ssrc == ssrc) {
            return &m->ssrc[i];
        }
    }
    struct sdp_ssrc *e = sdp_grow((void **)&m->ssrc, &m->n_ssrcs, sizeof *e, SDP_MAX_SSRCS, err);
    if (e) {
        e->ssrc = ssrc;
    }
    return e;
}

static int attr_ssrc(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    uint64_t ssrc;
    char *number = sdp_word(&v);

    (void)s;
    if (!sdp_number(number, UINT32_MAX, &ssrc)) {
        return ERR_INVALID;
    }
    struct sdp_ssrc *e = ssrc_entry(m, (uint32_t)ssrc, &err);
    if (!e) {
        return err;
    }
    while (*v == ' ') {
        v++;
    }
    if (strncmp(v, "cname:", 6) == 0) {
        e->cname = v + 6;
    } else if (strncmp(v, "msid:", 5) == 0) {
        e->msid = v + 5;
    }
    return OK;
}

static int attr_ssrc_group(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    uint64_t ssrc;
    char *semantics = sdp_word(&v);

    (void)s;
    if (!semantics) {
        return ERR_INVALID;
    }
    struct sdp_ssrc_group *g =
        sdp_grow((void **)&m->group, &m->n_groups, sizeof *g, SDP_MAX_GROUPS, &err);
    if (!g) {
        return err;
    }
    g->semantics = semantics;
    for (char *w = sdp_word(&v); w; w = sdp_word(&v)) {
        if (!sdp_number(w, UINT32_MAX, &ssrc)) {
            return ERR_INVALID;
        }
        if (g->n == sizeof g->ssrc / sizeof g->ssrc[0]) {
            return ERR_TOO_LARGE;
        }
        g->ssrc[g->n++] = (uint32_t)ssrc;
    }
    return g->n > 0 ? OK : ERR_INVALID;
}

/* rid:ID send|recv [parameters] (RFC 8851) */
static int attr_rid(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    char *id = sdp_word(&v), *direction = sdp_word(&v);

    (void)s;
    if (!direction || (strcmp(direction, "send") != 0 && strcmp(direction, "recv") != 0)) {
        return ERR_INVALID;
    }
    struct sdp_rid *r = sdp_grow((void **)&m->rid, &m->n_rids, sizeof *r, SDP_MAX_RIDS, &err);
    if (!r) {
        return err;
    }
    r->id = id;
    r->send = direction[0] == 's';
    r->params = *v ? v : NULL;
    return OK;
}

/* candidate:foundation component transport priority address port typ type [name value]… */
static int attr_candidate(struct sdp *s, struct sdp_media *m, char *v)
{
    int err;
    uint64_t component, priority, port;
    char *w[8];

    (void)s;
    for (size_t i = 0; i < 8; i++) {
        if (!(w[i] = sdp_word(&v))) {
            return ERR_INVALID;
        }
    }
    if (!sdp_number(w[1], 256, &component) || !sdp_number(w[3], UINT32_MAX, &priority) ||
        !sdp_number(w[5], 65535, &port) || strcmp(w[6], "typ") != 0) {
        return ERR_INVALID;
    }
    struct sdp_candidate *c =
        sdp_grow((void **)&m->candidate, &m->n_candidates, sizeof *c, SDP_MAX_CANDIDATES, &err);
    if (!c) {
        return err;
    }
    *c = (struct sdp_candidate){.foundation = w[0],
                                .component = (uint32_t)component,
                                .transport = w[2],
                                .priority = (uint32_t)priority,
                                .address = w[4],
                                .port = (uint16_t)port,
                                .type = w[7]};
    for (char *name = sdp_word(&v); name; name = sdp_word(&v)) {
        char *value = sdp_word(&v);
        if (value && strcmp(name, "tcptype") == 0) {
            c->tcp_type = value;
        }
    }
    return OK;
}

static int attr_ice_ufrag(struct sdp *s, struct sdp_media *m, char *v)
{
    transport(s, m)->ice_ufrag = v;
    return *v ? OK : ERR_INVALID;
}

static int attr_ice_pwd(struct sdp *s, struct sdp_media *m, char *v)
{
    transport(s, m)->ice_pwd = v;
    return *v ? OK : ERR_INVALID;
}

static int attr_fingerprint(struct sdp *s, struct sdp_media *m, char *v)
{
    struct sdp_transport *t = transport(s, m);
    char *hash = sdp_word(&v), *value = sdp_word(&v);

    if (!value) {
        return ERR_INVALID;
    }
    if (t->n_fingerprints == sizeof t->fingerprint / sizeof t->fingerprint[0]) {
        return ERR_TOO_LARGE;
    }
    for (char *p = hash; *p; p++) {
        if (*p >= 'A' && *p <= 'Z') {
            *p = (char)(*p + 'a' - 'A');
        }
    }
    t->fingerprint[t->n_fingerprints++] = (struct sdp_fingerprint){hash, value};
    return OK;
}

static int attr_setup(struct sdp *s, struct sdp_media *m, char *v)
{
    struct sdp_transport *t = transport(s, m);

    if (strcmp(v, "actpass") == 0) {
        t->setup = SDP_SETUP_ACTPASS;
    } else if (strcmp(v, "active") == 0) {
        t->setup = SDP_SETUP_ACTIVE;
    } else if (strcmp(v, "passive") == 0) {
        t->setup = SDP_SETUP_PASSIVE;
    } else if (strcmp(v, "holdconn") != 0) {
        return ERR_INVALID;
    }
    return OK;
}

static int attr_group(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)m;
    if (strncmp(v, "BUNDLE", 6) == 0 && (v[6] == ' ' || v[6] == 0) && !s->bundle) {
        s->bundle = v[6] ? v + 7 : v + 6;
    }
    return OK;
}

static int attr_ice_lite(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)m;
    (void)v;
    s->ice_lite = true;
    return OK;
}

static int attr_extmap_allow_mixed(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)m;
    (void)v;
    s->extmap_allow_mixed = true;
    return OK;
}

/* RFC 8839 section 5.6 separates by spaces; libdatachannel writes "ice2,trickle". */
static int attr_ice_options(struct sdp *s, struct sdp_media *m, char *v)
{
    (void)m;
    for (char *p = v; *p; p++) {
        *p = *p == ',' ? ' ' : *p;
    }
    for (char *w = sdp_word(&v); w; w = sdp_word(&v)) {
        s->trickle |= strcmp(w, "trickle") == 0;
    }
    return OK;
}

enum level { SESSION = 1, MEDIA = 2, BOTH = 3 };

static const struct {
    const char *name;
    enum level level; /* elsewhere the attribute is skipped */
    attr_fn *fn;
} table[] = {
    {"bundle-only", MEDIA, attr_bundle_only},
    {"candidate", MEDIA, attr_candidate},
    {"content", MEDIA, attr_content},
    {"end-of-candidates", MEDIA, attr_end_of_candidates},
    {"extmap", MEDIA, attr_extmap},
    {"extmap-allow-mixed", BOTH, attr_extmap_allow_mixed},
    {"fingerprint", BOTH, attr_fingerprint},
    {"fmtp", MEDIA, attr_fmtp},
    {"group", SESSION, attr_group},
    {"ice-lite", SESSION, attr_ice_lite},
    {"ice-options", BOTH, attr_ice_options},
    {"ice-pwd", BOTH, attr_ice_pwd},
    {"ice-ufrag", BOTH, attr_ice_ufrag},
    {"inactive", MEDIA, attr_inactive},
    {"mid", MEDIA, attr_mid},
    {"msid", MEDIA, attr_msid},
    {"recvonly", MEDIA, attr_recvonly},
    {"rid", MEDIA, attr_rid},
    {"rtcp-fb", MEDIA, attr_rtcp_fb},
    {"rtcp-mux", MEDIA, attr_rtcp_mux},
    {"rtcp-rsize", MEDIA, attr_rtcp_rsize},
    {"rtpmap", MEDIA, attr_rtpmap},
    {"sendonly", MEDIA, attr_sendonly},
    {"sendrecv", MEDIA, attr_sendrecv},
    {"setup", BOTH, attr_setup},
    {"simulcast", MEDIA, attr_simulcast},
    {"ssrc", MEDIA, attr_ssrc},
    {"ssrc-group", MEDIA, attr_ssrc_group},
};

int sdp_attribute(struct sdp *s, struct sdp_media *m, const char *name, char *value)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return table[i].level & (m ? MEDIA : SESSION) ? table[i].fn(s, m, value) : OK;
        }
    }
    return OK;
}
