/* Simulcast in a publisher's offer: RIDs (RFC 8851, 8853), or the older SSRC groups "SIM" with an
 * "FID" group for each layer's retransmissions (RFC 5576; Safari and munged Chromium offers). */
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

/* ---- SSRCs ---- */

/* The other SSRC of the FID group that begins with this one, or 0. */
static uint32_t fid_of(const struct sdp_media *m, uint32_t ssrc)
{
    for (size_t i = 0; i < m->n_groups; i++) {
        const struct sdp_ssrc_group *g = &m->group[i];
        if (strcmp(g->semantics, "FID") == 0 && g->n == 2 && g->ssrc[0] == ssrc) {
            return g->ssrc[1];
        }
    }
    return 0;
}

static const struct sdp_ssrc_group *group_of(const struct sdp_media *m, const char *semantics,
                                             size_t min)
{
    for (size_t i = 0; i < m->n_groups; i++) {
        if (strcmp(m->group[i].semantics, semantics) == 0 && m->group[i].n >= min) {
            return &m->group[i];
        }
    }
    return NULL;
}

/* The media SSRC of a single stream: the first one that something says of. */
static uint32_t first_ssrc(const struct sdp_media *m)
{
    const struct sdp_ssrc_group *g = group_of(m, "SIM", 1);

    if (!g) {
        g = group_of(m, "FID", 2);
    }
    if (g) {
        return g->ssrc[0];
    }
    return m->n_ssrcs > 0 ? m->ssrc[0].ssrc : 0;
}

static void read_sim(struct sdp_track *t, const struct sdp_media *m)
{
    const struct sdp_ssrc_group *g = group_of(m, "SIM", 2);

    for (size_t i = 0; g && i < g->n && t->n_layers < SDP_MAX_LAYERS; i++) {
        t->layer[t->n_layers++] =
            (struct sdp_layer){.ssrc = g->ssrc[i], .rtx_ssrc = fid_of(m, g->ssrc[i])};
    }
}

/* ---- RIDs ---- */

static bool rid_ok(const char *id)
{
    size_t n = strlen(id);
    return n > 0 && n < SDP_RID_LEN &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
}

/* Declared by a=rid for sending, and not yet taken. */
static bool may_take(const struct sdp_track *t, const struct sdp_media *m, const char *id)
{
    bool declared = false;

    for (size_t i = 0; i < m->n_rids; i++) {
        declared |= m->rid[i].send && strcmp(m->rid[i].id, id) == 0;
    }
    for (size_t i = 0; i < t->n_layers; i++) {
        declared &= strcmp(t->layer[i].rid, id) != 0;
    }
    return declared && rid_ok(id);
}

static void take_rid(struct sdp_track *t, const struct sdp_media *m, const char *text, size_t len)
{
    bool paused = len > 0 && text[0] == '~';
    char id[SDP_RID_LEN] = "";

    text += paused;
    len -= paused;
    if (len >= sizeof id || t->n_layers == SDP_MAX_LAYERS) {
        return;
    }
    memcpy(id, text, len);
    if (may_take(t, m, id)) {
        struct sdp_layer *l = &t->layer[t->n_layers++];
        *l = (struct sdp_layer){.paused = paused};
        str_copy(l->rid, sizeof l->rid, id);
        str_copy(t->rid[t->n_rids++], SDP_RID_LEN, id);
    }
}

/* RFC 8853 section 5.1: "send a;~b;c,d recv e": streams after semicolons, alternatives for one
 * stream after commas, of which the first counts; '~' begins one that is paused at first. */
static void read_rids(struct sdp_track *t, const struct sdp_media *m)
{
    const char *p = m->simulcast;

    while (*p) {
        bool send = strncmp(p, "send ", 5) == 0;
        p += strcspn(p, " ");
        p += strspn(p, " ");
        size_t list = strcspn(p, " ");
        for (const char *end = p + list; send && p < end; p += *p == ';') {
            size_t stream = strcspn(p, "; "), first = strcspn(p, ",; ");
            take_rid(t, m, p, first);
            p += stream;
        }
        p += send ? 0 : list;
        p += strspn(p, " ");
    }
}

void sdp_read_layers(struct sdp_track *t, const struct sdp_media *m, bool many)
{
    if (many && m->simulcast && t->ext.id[RTP_EXT_RID] != 0) {
        read_rids(t, m);
    }
    if (t->n_rids > 0) {
        return; /* their SSRCs are found by the RID extension */
    }
    if (many && t->kind == SDP_VIDEO) {
        read_sim(t, m);
    }
    t->ssrc = first_ssrc(m);
    t->rtx_ssrc = t->ssrc ? fid_of(m, t->ssrc) : 0;
}

/* A layer that begins paused is answered as such: without '~', Chromium takes the answer for a
 * request to begin it. The client may take it up at any time all the same. */
int sdp_put_layers(struct buf *out, const struct sdp_track *t)
{
    int r = OK;

    for (size_t i = 0; i < t->n_rids && r >= 0; i++) {
        r = buf_printf(out, "a=rid:%s recv\r\n", t->rid[i]);
    }
    for (size_t i = 0; i < t->n_rids && r >= 0; i++) {
        r = buf_printf(out, "%s%s%s", i ? ";" : "a=simulcast:recv ", t->layer[i].paused ? "~" : "",
                       t->rid[i]);
    }
    return r < 0 || t->n_rids == 0 ? r : buf_append_str(out, "\r\n");
}
