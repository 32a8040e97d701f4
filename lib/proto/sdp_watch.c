#include "lib/proto/sdp_watch.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_internal.h"

/* ---- the offer ---- */

/* Of each codec the first format: a sender needs one. */
static void read_codecs(struct sdp_watch_slot *s, const struct sdp_agreed *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct sdp_agreed *a = &all[i];
        if (s->pt[a->codec] != 0) {
            continue;
        }
        s->agreed[s->n_agreed++] = *a;
        s->pt[a->codec] = a->pt;
        s->rtx_pt[a->codec] = a->rtx_pt;
        s->nack |= a->nack;
        s->pli |= a->pli;
        s->fir |= a->fir;
        s->remb |= a->remb;
    }
}

/* False when there is nothing that we could send it. */
static bool read_slot(struct sdp_watch_slot *s, const struct sdp *offer, size_t line,
                      uint32_t codecs)
{
    const struct sdp_media *m = &offer->media[line];
    bool receives = m->direction == SDP_RECVONLY || m->direction == SDP_SENDRECV;
    struct sdp_agreed all[SDP_MAX_AGREED];

    if (!receives || !sdp_answerable(offer, m)) {
        return false;
    }
    size_t n = sdp_agree(all, m, codecs, CODEC_NONE);
    if (n == 0) {
        return false;
    }
    memset(s, 0, sizeof *s);
    read_codecs(s, all, n);
    str_copy(s->mid, sizeof s->mid, m->mid);
    s->line = line;
    sdp_offered_ext(&s->ext, offer, m, false);
    s->ext.id[RTP_EXT_RID] = 0; /* one layer at a time, chosen here: of no use to a watcher */
    s->ext.id[RTP_EXT_REPAIRED_RID] = 0;
    s->transport_cc = sdp_settle_transport_cc(&s->ext, s->agreed, s->n_agreed);
    return true;
}

/* Where the next slot of a kind goes; NULL when there are enough. */
static struct sdp_watch_slot *next_slot(struct sdp_watch *w, enum sdp_kind kind, size_t max_audio,
                                        size_t max_video)
{
    if (kind == SDP_AUDIO && w->n_audio < max_audio && w->n_audio < SDP_MAX_AUDIO_SLOTS) {
        return &w->audio[w->n_audio];
    }
    if (kind == SDP_VIDEO && w->n_video < max_video && w->n_video < SDP_MAX_VIDEO_SLOTS) {
        return &w->video[w->n_video];
    }
    return NULL;
}

int sdp_read_watch(struct sdp_watch *out, const struct sdp *offer, uint32_t codecs,
                   size_t max_audio, size_t max_video)
{
    const struct sdp_media *first = NULL;

    memset(out, 0, sizeof *out);
    out->extmap_allow_mixed = offer->extmap_allow_mixed;
    out->rtcp_rsize = true;
    for (size_t i = 0; i < offer->n_media; i++) {
        const struct sdp_media *m = &offer->media[i];
        struct sdp_watch_slot *s = next_slot(out, m->kind, max_audio, max_video);
        if (!s || !read_slot(s, offer, i, codecs)) {
            continue;
        }
        if (sdp_media_by_mid(offer, m->mid) != m) {
            return ERR_INVALID; /* two m-lines of one name */
        }
        out->n_audio += m->kind == SDP_AUDIO;
        out->n_video += m->kind == SDP_VIDEO;
        out->rtcp_rsize &= m->rtcp_rsize;
        first = first ? first : m;
    }
    if (!first) {
        return offer->n_media > 1 && !offer->bundle ? ERR_INVALID : ERR_UNSUPPORTED;
    }
    return sdp_answer_transport(&out->remote, offer, first);
}

/* ---- the answer ---- */

/* The slot of an m-line with its place among those of its kind, or NULL. */
static const struct sdp_watch_slot *slot_of(const struct sdp_watch *w, const struct sdp *offer,
                                            size_t line, size_t *index)
{
    bool audio = offer->media[line].kind == SDP_AUDIO;
    const struct sdp_watch_slot *s = audio ? w->audio : w->video;
    size_t n = audio ? w->n_audio : w->n_video;

    for (size_t i = 0; i < n; i++) {
        if (s[i].line == line) {
            *index = i;
            return &s[i];
        }
    }
    return NULL;
}

static int put_stream(struct buf *out, enum sdp_kind kind, size_t index,
                      const struct sdp_slot *slot, bool rtx, const char *cname)
{
    unsigned n = (unsigned)index;
    int r = buf_printf(out, "a=msid:sotto-%u sotto-%c%u-track\r\n", n,
                       kind == SDP_AUDIO ? 'a' : 'v', n);

    if (r >= 0 && rtx) {
        r = buf_printf(out, "a=ssrc-group:FID %u %u\r\n", slot->ssrc, slot->rtx_ssrc);
    }
    if (r >= 0) {
        r = buf_printf(out, "a=ssrc:%u cname:%s\r\n", slot->ssrc, cname);
    }
    if (r >= 0 && rtx) {
        r = buf_printf(out, "a=ssrc:%u cname:%s\r\n", slot->rtx_ssrc, cname);
    }
    return r;
}

static int put_slot(struct buf *out, const struct sdp_watch *w, const struct sdp_watch_slot *s,
                    size_t index, const struct sdp *offer, const struct sdp_slots *slots,
                    const struct sdp_local *local, bool first)
{
    const struct sdp_media *m = &offer->media[s->line];
    struct sdp_line l = {.m = m,
                         .agreed = s->agreed,
                         .n_agreed = s->n_agreed,
                         .ext = s->ext,
                         .direction = "sendonly",
                         .dtls_active = w->remote.dtls_active,
                         .first = first};
    bool rtx = false;
    int r = sdp_put_line(out, &l, local);

    for (size_t i = 0; i < s->n_agreed; i++) {
        rtx |= s->agreed[i].rtx_pt != 0;
    }
    return r < 0 ? r
                 : put_stream(out, m->kind, index,
                              m->kind == SDP_AUDIO ? &slots->audio[index] : &slots->video[index],
                              rtx, local->cname);
}

static int put_session(struct buf *out, const struct sdp_watch *w, const struct sdp *offer,
                       const struct sdp_local *local)
{
    struct buf bundle;
    size_t index;
    int r = OK;

    buf_init(&bundle, (size_t)SDP_MAX_MEDIA * (SDP_MID_LEN + 1));
    for (size_t i = 0; i < offer->n_media && r >= 0 && offer->bundle; i++) {
        const struct sdp_watch_slot *s = slot_of(w, offer, i, &index);
        r = s ? buf_printf(&bundle, " %s", s->mid) : OK;
    }
    if (r >= 0) {
        r = sdp_put_session(out, local, buf_cstr(&bundle), offer->extmap_allow_mixed);
    }
    buf_free(&bundle);
    return r;
}

int sdp_answer_watch(struct buf *out, const struct sdp_watch *w, const struct sdp *offer,
                     const struct sdp_slots *slots, const struct sdp_local *local)
{
    size_t before = out->len, index = 0;
    bool first = true;

    if (slots->n_audio < w->n_audio || slots->n_video < w->n_video) {
        return ERR_INVALID;
    }
    int r = put_session(out, w, offer, local);
    for (size_t i = 0; i < offer->n_media && r >= 0; i++) {
        const struct sdp_watch_slot *s = slot_of(w, offer, i, &index);
        r = s ? put_slot(out, w, s, index, offer, slots, local, first)
              : sdp_put_rejected(out, &offer->media[i]);
        first = first && !s;
    }
    if (r < 0) {
        out->len = before;
    }
    return r < 0 ? r : OK;
}
