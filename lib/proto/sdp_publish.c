#include "lib/proto/sdp_publish.h"

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

const struct sdp_agreed *sdp_track_codec(const struct sdp_track *t, uint8_t pt, bool *rtx)
{
    for (size_t i = 0; i < t->n_codecs; i++) {
        const struct sdp_agreed *a = &t->codec[i];
        if (a->pt == pt || (a->rtx_pt != 0 && a->rtx_pt == pt)) {
            *rtx = a->pt != pt;
            return a;
        }
    }
    return NULL;
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

/* The fields of the first codec, for those who take one only. */
static void read_main(struct sdp_track *t)
{
    const struct sdp_agreed *a = sdp_agreed_main(t->codec, t->n_codecs);

    t->pt = a->pt;
    t->rtx_pt = a->rtx_pt;
    t->clock_rate = t->kind == SDP_AUDIO ? 48000 : 90000;
    t->nack = a->nack;
    t->pli = a->pli;
    t->fir = a->fir;
    t->remb = a->remb;
}

/* False when there is no codec of ours. */
static bool read_track(struct sdp_track *t, const struct sdp_publish *p, const struct sdp *offer,
                       const struct sdp_media *m, const struct sdp_local *local)
{
    memset(t, 0, sizeof *t);
    t->n_codecs = sdp_agree(t->codec, m, local->codecs, local->prefer);
    if (t->n_codecs == 0) {
        return false;
    }
    t->kind = m->kind;
    t->source = source_of(p, m);
    str_copy(t->mid, sizeof t->mid, m->mid);
    t->sending = m->direction == SDP_SENDONLY || m->direction == SDP_SENDRECV;
    read_main(t);
    sdp_offered_ext(&t->ext, offer, m, true);
    t->transport_cc = sdp_settle_transport_cc(&t->ext, t->codec, t->n_codecs);
    sdp_read_layers(t, m, local->simulcast);
    return true;
}

static int put_track(struct buf *out, const struct sdp_track *t, const struct sdp_media *m,
                     const struct sdp_local *local, bool dtls_active, bool first)
{
    struct sdp_line l = {.m = m,
                         .agreed = t->codec,
                         .n_agreed = t->n_codecs,
                         .ext = t->ext,
                         .direction = t->sending ? "recvonly" : "inactive",
                         .dtls_active = dtls_active,
                         .first = first};
    int r = sdp_put_line(out, &l, local);

    return r < 0 ? r : sdp_put_layers(out, t);
}

/* Picks the m-lines; index[i] is the track of m-line i, or -1. The first one carries the transport.
 */
static int choose(struct sdp_publish *p, const struct sdp *offer, const struct sdp_local *local,
                  int *index)
{
    const struct sdp_media *first = NULL;

    p->n_tracks = 0;
    p->rtcp_rsize = true;
    for (size_t i = 0; i < offer->n_media; i++) {
        const struct sdp_media *m = &offer->media[i];
        index[i] = -1;
        if (p->n_tracks == SDP_MAX_TRACKS || !sdp_answerable(offer, m) ||
            !read_track(&p->track[p->n_tracks], p, offer, m, local)) {
            continue;
        }
        if (sdp_media_by_mid(offer, m->mid) != m) {
            return ERR_INVALID; /* two m-lines of one name */
        }
        index[i] = (int)p->n_tracks++;
        p->rtcp_rsize &= m->rtcp_rsize;
        if (!first) {
            first = m;
        }
    }
    if (!first) {
        return offer->n_media > 1 && !offer->bundle ? ERR_INVALID : ERR_UNSUPPORTED;
    }
    return sdp_answer_transport(&p->remote, offer, first);
}

static int put_answer(struct buf *out, const struct sdp_publish *p, const struct sdp *offer,
                      const struct sdp_local *local, const int *index)
{
    struct buf bundle;
    bool first = true;
    int r = OK;

    buf_init(&bundle, (size_t)SDP_MAX_TRACKS * (SDP_MID_LEN + 1));
    for (size_t i = 0; i < p->n_tracks && r >= 0 && offer->bundle; i++) {
        r = buf_printf(&bundle, " %s", p->track[i].mid);
    }
    if (r >= 0) {
        r = sdp_put_session(out, local, buf_cstr(&bundle), offer->extmap_allow_mixed);
    }
    for (size_t i = 0; i < offer->n_media && r >= 0; i++) {
        const struct sdp_media *m = &offer->media[i];
        if (index[i] < 0) {
            r = sdp_put_rejected(out, m);
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
    int r = choose(p, offer, local, index);
    if (r >= 0) {
        r = put_answer(out, p, offer, local, index);
    }
    if (r < 0) {
        out->len = before;
    }
    return r < 0 ? r : OK;
}
