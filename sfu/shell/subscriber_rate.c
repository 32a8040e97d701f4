#include "sfu/shell/subscriber_rate.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"
#include "lib/proto/rtcp.h"
#include "sfu/shell/transport.h"

#define UNBOUNDED_BPS   1000000000
#define MARGIN          0.95 /* of the estimate is shared out */
#define AUDIO_HEADER    50   /* bytes that a sound packet has beside its payload, tag included */
#define RTX_BYTES       1100 /* that a retransmission is reckoned at */
#define USE_STEP_US     100000
#define USE_WEIGHT      0.2 /* of the newest step: half a second */
#define PROBED_US       1000000
#define PLAYOUT_UNIT_US 10000
/* The smallest layer of a source that hasn't been measured, alone or of several. */
#define LOWEST_BPS_ALONE 1000000
#define LOWEST_BPS       200000

/* ---- life ---- */

/* Lines of its own: what packets touch shall not be spread over more than it needs. */
static void *alloc_lines(size_t bytes)
{
    size_t whole = (bytes + FETCH_LINE - 1) / FETCH_LINE * FETCH_LINE;
    void *p = aligned_alloc(FETCH_LINE, whole);
    if (p) {
        memset(p, 0, whole);
    }
    return p;
}

static bool agreed_twcc(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->n_video; i++) {
        const struct slot *slot = subscriber_video(s, i);
        if (slot->accepted && slot->ext.id[RTP_EXT_TRANSPORT_CC]) {
            return true;
        }
    }
    return false;
}

static bool add_bwe(struct subscriber_rate *r, int64_t start_bps, int64_t now_us)
{
    struct bwe_config cfg = {.start_bps = start_bps, .max_bps = RATE_MAX_BPS};
    struct bwe *b = alloc_lines(sizeof *b);
    if (!b) {
        return false;
    }
    bwe_init(b, &cfg, now_us);
    r->pace.bwe = b;
    r->tick_us = now_us;
    return true;
}

int subscriber_rate_new(struct subscriber_rate **out, struct transport *t, struct subscriber *s,
                        int64_t now_us)
{
    struct subscriber_rate *r = alloc_lines(sizeof *r);
    if (!r) {
        return ERR_NOMEM;
    }
    r->subscriber = s;
    rate_trust_init(&r->trust, now_us);
    out_pace_init(&r->pace, t);
    r->twcc = agreed_twcc(s);
    if (r->twcc) {
        if (!add_bwe(r, 0, now_us)) {
            free(r);
            return ERR_NOMEM;
        }
        subscriber_stamped(s);
    }
    t->out.pace = &r->pace;
    *out = r;
    return OK;
}

void subscriber_rate_free(struct subscriber_rate *r)
{
    if (r) {
        r->pace.transport->out.pace = NULL;
        free(r->pace.bwe);
        free(r);
    }
}

struct subscriber_rate *subscriber_rate_of(const struct transport *t)
{
    return (struct subscriber_rate *)t->out.pace; /* its first member */
}

/* ---- the estimate ---- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool hears(const struct subscriber_rate *r)
{
    const struct bwe *b = r->pace.bwe;
    return b && (b->feedback_us != INT64_MIN || b->remb_bps >= 0);
}

/* When the first number left, and the first feedback came. */
static void note_beginnings(struct subscriber_rate *r, int64_t now_us)
{
    if (r->sent_us == 0 && r->pace.bwe && r->pace.bwe->history.next > 1) {
        r->sent_us = now_us;
    }
    if (r->heard_us == 0 && hears(r)) {
        r->heard_us = now_us;
    }
}

/* Agreed, and never a word: nothing is known of the link, as where nothing was agreed. */
static bool is_deaf(const struct subscriber_rate *r, int64_t now_us)
{
    return !hears(r) && (!r->pace.bwe || (r->sent_us != 0 && now_us - r->sent_us > RATE_DEAF_US));
}

/* Nothing is known of the link of who doesn't agree to feedback, until he says something. */
static bool is_starting(const struct subscriber_rate *r)
{
    return r->pace.bwe && r->twcc && r->trust.state == RATE_STARTING;
}

/* What is left for video. */
static int64_t budget_of(const struct subscriber_rate *r, int64_t now_us)
{
    if (is_deaf(r, now_us)) {
        return UNBOUNDED_BPS;
    }
    double left = (double)bwe_target_bps(r->pace.bwe) * MARGIN - r->use.audio_bps - r->use.rtx_bps;
    return left > 0 ? (int64_t)left : 0;
}

/* A link that has lately shown no end is filled faster: a train then waits for nothing. */
static int64_t pace_of(const struct subscriber_rate *r, int64_t now_us)
{
    const struct bwe *b = r->pace.bwe;
    int64_t bps = bwe_target_bps(b), seen_us = b->rate.narrow_us;
    bool narrow = b->loss.limit_bps < b->rate.bps ||
                  (seen_us != INT64_MIN && now_us - seen_us < RATE_NARROW_US);
    if (!rate_trusts(&r->trust)) {
        bps = larger(bps, larger(r->floor_bps, r->result.used_bps));
    }
    return narrow ? bps : bps * RATE_WIDE;
}

/* Retransmissions take a share: what is lost in a queue that is full isn't to fill it twice. */
static void bound_resends(struct subscriber_rate *r)
{
    double packets = (double)bwe_target_bps(r->pace.bwe) * RATE_RESEND_SHARE / (RTX_BYTES * 8);
    subscriber_bound_resends(r->subscriber, packets, packets * RATE_RESEND_BURST);
}

static void set_pace(struct subscriber_rate *r, int64_t now_us)
{
    if (is_deaf(r, now_us)) {
        pacer_set_target(&r->pace.pacer, 0);
        subscriber_bound_resends(r->subscriber, SUBSCRIBER_RESENDS_SECOND,
                                 SUBSCRIBER_RESENDS_BURST);
        return;
    }
    pacer_set_target(&r->pace.pacer, pace_of(r, now_us));
    bound_resends(r);
}

static void tick(struct subscriber_rate *r, int64_t now_us)
{
    if (r->pace.bwe && now_us >= r->tick_us) {
        r->tick_us = bwe_tick(r->pace.bwe, now_us);
        set_pace(r, now_us);
    }
}

/* ---- RTCP ---- */

static void prefetch(const void *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += FETCH_LINE) {
        fetch_write((const char *)from + at);
    }
}

void subscriber_rate_prefetch(const struct transport *t)
{
    const struct subscriber_rate *r = subscriber_rate_of(t);
    const struct bwe *b = r ? r->pace.bwe : NULL;
    if (b) {
        prefetch(b, FETCH_LINE);
        prefetch(&b->acked, sizeof *b - offsetof(struct bwe, acked));
        prefetch(&r->subscriber, FETCH_LINE);
    }
}

static bool take_twcc(struct subscriber_rate *r, const struct rtcp_packet *p,
                      struct twcc_status *statuses, int64_t now_us)
{
    struct twcc_feedback fb;
    int n = twcc_parse(&fb, statuses, RATE_STATUSES, p);
    if (n < 0) {
        return false;
    }
    if (r->pace.bwe && r->twcc) {
        bwe_on_feedback(r->pace.bwe, &fb, statuses, (size_t)n, now_us);
    }
    return true;
}

static bool take_remb(struct subscriber_rate *r, const struct rtcp_packet *p, int64_t now_us)
{
    struct rtcp_remb remb;
    int err = rtcp_parse_remb(&remb, p);
    if (err) {
        return err == ERR_NOT_FOUND; /* another application's */
    }
    int64_t bps = remb.bitrate < RATE_MAX_BPS ? (int64_t)remb.bitrate : RATE_MAX_BPS;
    if (r->pace.bwe || add_bwe(r, bps, now_us)) {
        bwe_on_remb(r->pace.bwe, remb.bitrate, now_us);
    }
    return true;
}

/* The worst of its streams. */
static void take_reports(struct subscriber_rate *r, const struct rtcp_packet *p, int64_t now_us)
{
    struct rtcp_rr rr;
    uint8_t worst = 0;
    if (rtcp_parse_rr(&rr, p) || rr.n_reports == 0) {
        return;
    }
    for (size_t i = 0; i < rr.n_reports; i++) {
        worst = rr.report[i].fraction_lost > worst ? rr.report[i].fraction_lost : worst;
    }
    bwe_on_rr_loss(r->pace.bwe, worst, now_us);
}

static bool take(struct subscriber_rate *r, const struct rtcp_packet *p,
                 struct twcc_status *statuses, int64_t now_us)
{
    if (p->type == RTCP_RTPFB && p->count == RTCP_FMT_TWCC) {
        return take_twcc(r, p, statuses, now_us);
    }
    if (p->type == RTCP_PSFB && p->count == RTCP_FMT_AFB) {
        return take_remb(r, p, now_us);
    }
    if (p->type == RTCP_RR && r->pace.bwe && !r->twcc) {
        take_reports(r, p, now_us);
    }
    return true;
}

/* What is being sent doesn't fit any more, or a probe has shown room. */
static bool is_urgent(const struct subscriber_rate *r, int64_t now_us)
{
    if (!r->pace.bwe || is_starting(r)) {
        return false;
    }
    bool more = r->pace.bwe->probe.succeeded != r->probes && r->result.next_bps > 0;
    return more || budget_of(r, now_us) < r->result.used_bps;
}

/* Nothing is to be decided by the feedback that comes next. */
static void note_calm(struct subscriber_rate *r, int64_t now_us)
{
    r->pace.transport->rtcp.open = r->twcc && r->trust.state <= RATE_PATIENT &&
                                   r->result.next_bps == 0 && out_pace_held(&r->pace) == 0 &&
                                   bwe_is_calm(r->pace.bwe, now_us);
}

bool subscriber_rate_rtcp(struct subscriber_rate *r, const uint8_t *data, size_t len,
                          struct twcc_status *statuses, int64_t now_us, bool *bad)
{
    struct rtcp_iter it;
    struct rtcp_packet p;
    int more;
    int64_t before = r->pace.bwe ? bwe_target_bps(r->pace.bwe) : 0;
    rtcp_iter_init(&it, data, len);
    while ((more = rtcp_next(&it, &p)) == 1) {
        *bad |= !take(r, &p, statuses, now_us);
    }
    *bad |= more < 0;
    tick(r, now_us);
    note_calm(r, now_us);
    if (!r->pace.bwe || bwe_target_bps(r->pace.bwe) == before) {
        return false;
    }
    set_pace(r, now_us);
    return is_urgent(r, now_us);
}

/* ---- shares ---- */

/* Audio and retransmissions since the last look, smoothed. */
static void measure(struct subscriber_rate *r, int64_t now_us)
{
    const struct subscriber *s = r->subscriber;
    struct rate_use *u = &r->use;
    int64_t passed_us = now_us - u->at_us;
    uint64_t audio = 0, resent = 0;
    if (u->at_us != 0 && passed_us < USE_STEP_US / 2) {
        return;
    }
    for (uint32_t i = 0; i < s->n_audio; i++) {
        const struct slot *slot = subscriber_audio(s, i);
        audio += slot->octets + (uint64_t)slot->packets * AUDIO_HEADER;
    }
    for (uint32_t i = 0; i < s->n_video; i++) {
        resent += subscriber_video(s, i)->resent;
    }
    if (u->at_us != 0) {
        double steps = 8e6 / (double)passed_us;
        /* Octets wrap after 4 GiB of one slot: that step counts as none. */
        double audio_bps = audio >= u->audio_bytes ? (double)(audio - u->audio_bytes) * steps : 0;
        double rtx_bps = (double)(resent - u->resent) * RTX_BYTES * steps;
        u->audio_bps += USE_WEIGHT * (audio_bps - u->audio_bps);
        u->rtx_bps += USE_WEIGHT * (rtx_bps - u->rtx_bps);
    }
    *u = (struct rate_use){now_us, audio, resent, u->audio_bps, u->rtx_bps};
}

/* The smallest picture of a slot in all its smoothness. */
static int64_t lowest_bps(const struct allocator_slot *s)
{
    for (uint8_t sid = 0; sid < s->n_spatial && sid < ALLOCATOR_SPATIAL; sid++) {
        if (s->live[sid]) {
            uint8_t tid = s->n_temporal > 0 ? (uint8_t)(s->n_temporal - 1) : 0;
            uint32_t bps = s->bps[sid][tid < ALLOCATOR_TEMPORAL ? tid : 0];
            return bps ? bps : s->n_spatial > 1 ? LOWEST_BPS : LOWEST_BPS_ALONE;
        }
    }
    return 0;
}

static int64_t floor_of(const struct allocator_slot *slots, size_t n)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += slots[i].source && slots[i].visible ? lowest_bps(&slots[i]) : 0;
    }
    return sum + sum / 20; /* rates vary from one look to the next */
}

/* More goes into the link than it carries, and what arrives of it is less than everybody's smallest
 * picture takes: a queue stands, or much is lost. An estimate below what is being sent shows no
 * such thing (jitter and loss of a radio link keep it low), nor does a queue that larger pictures
 * made. */
static bool is_drowned(const struct subscriber_rate *r)
{
    const struct bwe *b = r->pace.bwe;
    if (!b || b->feedback_us == INT64_MIN) {
        return false;
    }
    bool full = bwe_delay_queue_ms(&b->delay) > RATE_DROWN_MS || b->loss.average > RATE_DROWN_LOSS;
    return full && b->acked.bps < (double)r->floor_bps + r->use.audio_bps;
}

/* What a receiver without transport-wide feedback says is all there is. */
static bool is_told(const struct subscriber_rate *r)
{
    const struct bwe *b = r->pace.bwe;
    return b && b->feedback_us == INT64_MIN && b->remb_bps >= 0 && r->floor_bps > r->budget_bps;
}

static void look(struct subscriber_rate *r, bool fresh, int64_t now_us)
{
    const struct bwe *b = r->pace.bwe;
    struct rate_evidence e = {
        .heard = r->heard_us != 0, .fresh = fresh, .drowned = is_drowned(r), .told = is_told(r)};
    if (b) {
        bool limited = b->loss.limit_bps < b->rate.bps;
        int64_t fell_us = b->rate.decreased_us;
        e.congested = b->stats.overuses > r->overuses || limited;
        e.calm = !limited && (fell_us == INT64_MIN || now_us - fell_us >= RATE_CALM_US);
        r->overuses = b->stats.overuses;
    }
    rate_trust_look(&r->trust, &e, now_us);
}

/* The budget, or what everybody's smallest picture takes where the estimate isn't believed. */
static int64_t grant(const struct subscriber_rate *r)
{
    return rate_trusts(&r->trust) ? r->budget_bps : larger(r->budget_bps, r->floor_bps);
}

/* What probes are to look for: all that is asked for and, where the estimate carries less, what is
 * being sent and everybody's smallest picture. */
static void tell_wanted(struct subscriber_rate *r, int64_t now_us)
{
    int64_t bps = r->result.wanted_bps, least = larger(r->result.used_bps, r->floor_bps);
    bps = least > r->budget_bps ? larger(bps, least) : bps;
    if (bps > 0) {
        bps = (int64_t)(((double)bps + r->use.audio_bps + r->use.rtx_bps) / MARGIN);
    }
    bwe_set_wanted(r->pace.bwe, bps, now_us);
    if (bps > bwe_target_bps(r->pace.bwe)) { /* a probe may be due earlier than it was */
        r->tick_us = now_us;
    }
}

/* Somebody is to be shown who wasn't, or who sent nothing. */
static bool is_new(const struct allocator_slot *s, const struct allocator_was *was)
{
    bool silent = was->choice.state == ALLOCATOR_OFF || was->choice.state == ALLOCATOR_NO_LAYER;
    return s->visible && s->source && lowest_bps(s) > 0 && (silent || was->source != s->source);
}

static bool any_new(const struct subscriber_rate *r, const struct allocator_slot *slots, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_new(&slots[i], &r->allocator.was[i])) {
            return true;
        }
    }
    return false;
}

static void note_probes(struct subscriber_rate *r, int64_t now_us)
{
    if (r->pace.bwe && r->pace.bwe->probe.succeeded != r->probes) {
        r->probes = r->pace.bwe->probe.succeeded;
        r->probed_us = now_us;
    }
}

/* Where packets are lost and sent again, pictures are to be played so late that what was lost can
 * still come: a viewer's own buffer doesn't know the round trip. 10 ms: nothing is asked for any
 * more. */
static void hold_playout(struct subscriber_rate *r, int64_t now_us)
{
    const struct bwe *b = r->pace.bwe;
    uint8_t hold = r->playout;
    bool queued = b->rate.narrow_us != INT64_MIN && now_us - b->rate.narrow_us < RATE_QUEUED_US;
    if (b->loss.average > RATE_LOSSY && r->use.rtx_bps > 0 && !queued) {
        int64_t us = b->rtt_us + RATE_RESENT_US;
        us = us < RATE_PLAYOUT_US ? us : RATE_PLAYOUT_US;
        r->lossy_us = now_us;
        hold = (uint8_t)larger(hold, us / PLAYOUT_UNIT_US);
    } else if (hold > 1 && now_us - r->lossy_us >= RATE_LOSSY_US) {
        hold = 1;
    }
    for (uint32_t i = 0; hold != r->playout && i < r->subscriber->n_video; i++) {
        subscriber_video(r->subscriber, i)->playout = hold;
    }
    r->playout = hold;
}

void subscriber_rate_run(struct subscriber_rate *r, uint8_t shed, int64_t now_us)
{
    struct allocator_slot slots[ALLOCATOR_MAX_SLOTS];
    struct allocator_choice choice[ALLOCATOR_MAX_SLOTS];
    note_beginnings(r, now_us);
    note_probes(r, now_us);
    measure(r, now_us);
    size_t n = subscriber_layers(r->subscriber, slots, now_us);
    r->budget_bps = budget_of(r, now_us);
    r->floor_bps = floor_of(slots, n);
    look(r, any_new(r, slots, n), now_us);
    struct allocator_input in = {.budget_bps = grant(r),
                                 .probed = r->probed_us && now_us - r->probed_us < PROBED_US,
                                 .shed = shed,
                                 .n_slots = n,
                                 .slot = slots};
    allocator_run(&r->allocator, &in, now_us, choice, &r->result);
    subscriber_apply(r->subscriber, choice, now_us);
    if (r->pace.bwe) {
        hold_playout(r, now_us);
        tell_wanted(r, now_us);
        tick(r, now_us);
    }
    set_pace(r, now_us);
    note_calm(r, now_us);
}

/* ---- statistics ---- */

void subscriber_rate_stats(const struct subscriber_rate *r, struct subscriber_rate_stats *out)
{
    const struct bwe *b = r->pace.bwe;
    *out = (struct subscriber_rate_stats){.estimated = hears(r),
                                          .budget_bps = r->budget_bps,
                                          .used_bps = r->result.used_bps,
                                          .wanted_bps = r->result.wanted_bps,
                                          .held = r->pace.held,
                                          .held_now = out_pace_held(&r->pace)};
    if (b) {
        out->target_bps = bwe_target_bps(b);
        out->acked_bps = b->acked.bps > 0 ? (int64_t)b->acked.bps : 0;
        out->rtt_us = b->rtt_us;
        out->loss = b->loss.average;
        out->probes = b->probe.succeeded;
        out->overuses = b->stats.overuses;
        out->feedbacks = b->stats.feedbacks;
    }
    for (size_t i = 0; i < r->allocator.n_slots; i++) {
        enum allocator_state state = r->allocator.was[i].choice.state;
        out->paused_bandwidth += state == ALLOCATOR_BANDWIDTH;
        out->paused_overload += state == ALLOCATOR_OVERLOAD;
    }
}
