#include "sfu/core/room.h"

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/fetch.h"

#define HEARD_AT_ONCE 5 /* packets of 20 ms between two words of a relay link about a level */

/* ---- who is here ---- */

struct room *room_new(const struct id *id)
{
    struct room *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->id = *id;
    r->speakers = speakers_new((size_t)ROOM_MAX_PARTICIPANTS * 2);
    if (!r->speakers) {
        free(r);
        return NULL;
    }
    return r;
}

void room_free(struct room *r)
{
    struct participant *p, *tmp;
    if (!r) {
        return;
    }
    HASH_ITER(hh, r->participants, p, tmp)
    {
        subscriber_free(p->subscriber); /* first all feeds go, then what fed them */
        p->subscriber = NULL;
    }
    HASH_ITER(hh, r->participants, p, tmp)
    {
        HASH_DEL(r->participants, p);
        publisher_free(p->publisher);
        free(p);
    }
    speakers_free(r->speakers);
    free(r);
}

struct participant *room_find(const struct room *r, uint32_t number)
{
    struct participant *p;
    HASH_FIND(hh, r->participants, &number, sizeof number, p);
    return p;
}

size_t room_size(const struct room *r)
{
    return HASH_COUNT(r->participants);
}

struct participant *room_join(struct room *r, uint32_t number)
{
    struct participant *p = room_find(r, number);
    if (p || room_size(r) >= ROOM_MAX_PARTICIPANTS) {
        return p;
    }
    p = calloc(1, sizeof *p);
    if (p) {
        p->number = number;
        p->room = r;
        HASH_ADD(hh, r->participants, number, sizeof p->number, p);
    }
    return p;
}

void room_leave_if_idle(struct room *r, struct participant *p)
{
    if (!p->publisher && !p->subscriber) {
        speakers_remove(r->speakers, p->number);
        speakers_remove(r->speakers, p->number | ROOM_SCREEN);
        r->polled = r->polled == p ? NULL : r->polled;
        HASH_DEL(r->participants, p);
        free(p);
    }
}

/* ---- what a key stands for ---- */

static struct track *find_track(const struct room *r, uint32_t key, enum sdp_kind kind)
{
    const struct participant *p = key ? room_find(r, key & ~ROOM_SCREEN) : NULL;
    if (!p || !p->publisher || !p->publisher->ready) {
        return NULL;
    }
    bool screen = key & ROOM_SCREEN;
    if (kind == SDP_AUDIO) {
        return publisher_track(p->publisher,
                               screen ? SDP_SOURCE_SCREEN_AUDIO : SDP_SOURCE_MICROPHONE);
    }
    return publisher_track(p->publisher, screen ? SDP_SOURCE_SCREEN : SDP_SOURCE_CAMERA);
}

static bool is_own(uint32_t key, const struct subscriber *s)
{
    return (key & ~ROOM_SCREEN) == s->number;
}

static void fill_slot(struct room *r, struct slot *slot, uint32_t key, int64_t now_us)
{
    struct track *t = find_track(r, key, slot->kind);
    key = t ? key : 0;
    if (slot->key != key || slot->track != t) {
        slot->key = key;
        slot_set_track(slot, t, now_us);
        slot->subscriber->slots_changed = true;
    }
}

/* Slots whose occupant is gone count as empty. */
static void current_keys(struct room *r, const struct slot *slots, uint32_t n, uint32_t *keys)
{
    for (uint32_t i = 0; i < n; i++) {
        keys[i] = find_track(r, slots[i].key, slots[i].kind) ? slots[i].key : 0;
    }
}

/* ---- who is put where ---- */

static void assign_audio(struct room *r, struct subscriber *s, int64_t now_us)
{
    uint32_t keys[SDP_MAX_AUDIO_SLOTS];
    uint32_t ranked[SDP_MAX_AUDIO_SLOTS + 1];
    size_t n = speakers_rank(r->speakers, s->number, ranked, (size_t)s->n_audio + 1);
    size_t wanted = 0;
    for (size_t i = 0; i < n && wanted < s->n_audio; i++) {
        if (!is_own(ranked[i], s)) {
            ranked[wanted++] = ranked[i];
        }
    }
    current_keys(r, s->slot, s->n_audio, keys);
    speakers_assign(keys, s->n_audio, ranked, wanted);
    for (uint32_t i = 0; i < s->n_audio; i++) {
        fill_slot(r, subscriber_audio(s, i), keys[i], now_us);
    }
}

static size_t add_wanted(const struct room *r, const struct subscriber *s, uint32_t screen,
                         bool live, uint32_t *wanted, size_t n)
{
    const struct participant *p;
    for (p = r->participants; p && n < s->n_video; p = p->hh.next) {
        const struct track *t = find_track(r, p->number | screen, SDP_VIDEO);
        if (t && t->live == live && p->number != s->number) {
            wanted[n++] = p->number | screen;
        }
    }
    return n;
}

static void assign_video(struct room *r, struct subscriber *s, int64_t now_us)
{
    uint32_t keys[SDP_MAX_VIDEO_SLOTS];
    uint32_t wanted[SDP_MAX_VIDEO_SLOTS];
    size_t n = 0;
    for (int dark = 0; dark < 2; dark++) { /* screens are what a meeting looks at */
        n = add_wanted(r, s, ROOM_SCREEN, !dark, wanted, n);
        n = add_wanted(r, s, 0, !dark, wanted, n);
    }
    current_keys(r, s->slot + s->n_audio, s->n_video, keys);
    speakers_assign(keys, s->n_video, wanted, n);
    for (uint32_t i = 0; i < s->n_video; i++) {
        fill_slot(r, subscriber_video(s, i), keys[i], now_us);
    }
}

static void assign_view(struct room *r, struct subscriber *s, int64_t now_us)
{
    for (uint32_t i = 0; i < s->n_video; i++) {
        struct slot *slot = subscriber_video(s, i);
        uint32_t key = slot->wish.participant;
        if (slot->wish.source == SDP_SOURCE_SCREEN) {
            key |= ROOM_SCREEN;
        }
        bool shown = slot->wish.participant && !is_own(key, s);
        fill_slot(r, slot, shown ? key : 0, now_us);
    }
}

void room_assign_one(struct room *r, struct subscriber *s, int64_t now_us)
{
    if (!s->ready) {
        return;
    }
    assign_audio(r, s, now_us);
    if (s->viewed) {
        assign_view(r, s, now_us);
    } else {
        assign_video(r, s, now_us);
    }
}

/* Those who can be heard are those who send sound. */
static void sync_speakers(struct room *r, const struct participant *p)
{
    for (int screen = 0; screen < 2; screen++) {
        uint32_t key = p->number | (screen ? ROOM_SCREEN : 0);
        if (find_track(r, key, SDP_AUDIO)) {
            speakers_add(r->speakers, key);
        } else {
            speakers_remove(r->speakers, key);
        }
    }
}

void room_assign(struct room *r, int64_t now_us)
{
    struct participant *p, *tmp;
    HASH_ITER(hh, r->participants, p, tmp)
    {
        sync_speakers(r, p);
    }
    HASH_ITER(hh, r->participants, p, tmp)
    {
        if (p->subscriber) {
            room_assign_one(r, p->subscriber, now_us);
        }
    }
}

void room_detach(struct room *r, struct track *const *tracks, size_t n, int64_t now_us)
{
    (void)r;
    for (size_t i = 0; i < n; i++) {
        while (tracks[i]->n_feeds > 0) {
            struct slot *slot = tracks[i]->feeds[tracks[i]->n_feeds - 1];
            slot->key = 0;
            slot->subscriber->slots_changed = true;
            slot_set_track(slot, NULL, now_us);
        }
    }
}

/* Without an allocator the heights asked for decide about layers; sizes may be others by now. */
static void fit_slots(struct subscriber *s, int64_t now_us)
{
    for (uint32_t i = 0; i < s->n_video && !s->decided; i++) {
        slot_fit(subscriber_video(s, i), now_us);
    }
}

static bool view_fits(const struct subscriber *s, const struct room_view *view, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (view[i].slot >= s->n_video) {
            return false;
        }
    }
    return true;
}

int room_view(struct room *r, struct subscriber *s, const struct room_view *view, size_t n,
              int64_t now_us)
{
    if (!view_fits(s, view, n)) {
        return ERR_INVALID;
    }
    s->viewed = n > 0;
    for (uint32_t i = 0; i < s->n_video; i++) {
        subscriber_video(s, i)->wish = (struct slot_wish){0};
    }
    for (size_t i = 0; i < n; i++) {
        subscriber_video(s, view[i].slot)->wish = view[i].wish;
    }
    s->slots_changed = true; /* the client gets an answer to its view, even when all stays */
    room_assign_one(r, s, now_us);
    fit_slots(s, now_us);
    return OK;
}

/* ---- time ---- */

/* Also fetches the subscribers, whose turn is next: since the last tick they have left the cache.
 */
static bool tick_tracks(struct room *r, int64_t now_us)
{
    bool changed = false;
    for (struct participant *p = r->participants; p; p = p->hh.next) {
        fetch_read(p->hh.next);
        fetch_read(p->subscriber);
        for (size_t i = 0; p->publisher && i < p->publisher->n_tracks; i++) {
            struct track *t = p->publisher->track[i];
            if (track_tick(t, now_us) && t->sdp.kind == SDP_VIDEO) {
                r->reassign = true;
                for (uint32_t at = 0; at < t->n_feeds; at++) {
                    t->feeds[at]->subscriber->slots_changed = true;
                    changed = true;
                }
            }
        }
    }
    return changed;
}

static bool tick_subscribers(struct room *r, int64_t now_us)
{
    bool changed = false;
    for (struct participant *p = r->participants; p; p = p->hh.next) {
        if (p->subscriber && p->subscriber->ready) {
            fit_slots(p->subscriber, now_us);
            changed |= p->subscriber->slots_changed;
        }
    }
    return changed;
}

bool room_tick(struct room *r, int64_t now_us)
{
    bool changed = tick_tracks(r, now_us), told = speakers_tick(r->speakers, now_us);
    changed |= tick_subscribers(r, now_us);
    r->speakers_changed |= told;
    if (r->reassign) {
        r->reassign = false;
        room_assign(r, now_us);
        changed = true;
    }
    if (speakers_reranked(r->speakers) || told) {
        struct participant *p, *tmp;
        changed = true;
        HASH_ITER(hh, r->participants, p, tmp)
        {
            if (p->subscriber && p->subscriber->ready) {
                assign_audio(r, p->subscriber, now_us);
            }
        }
    }
    return changed || r->speakers_changed;
}

static uint32_t speaker_key(const struct track *t)
{
    uint32_t screen = t->sdp.source == SDP_SOURCE_SCREEN_AUDIO ? ROOM_SCREEN : 0;
    return t->publisher->number | screen;
}

static void note_heard(struct track_heard *h, uint8_t level, bool voice, uint8_t packets)
{
    if (h->packets == 0 || level < h->level) {
        h->level = level;
    }
    h->voice = voice || (h->packets && h->voice);
    h->packets = (uint8_t)(h->packets > UINT8_MAX - packets ? UINT8_MAX : h->packets + packets);
}

void room_hear(struct room *r, struct track *t, struct packet *k)
{
    uint8_t level;
    bool voice;
    uint8_t id = t->publisher->ext.id[RTP_EXT_AUDIO_LEVEL];
    if (rtp_audio_level(&k->header, packet_data(k), id, &level, &voice)) {
        speakers_input(r->speakers, speaker_key(t), level, voice, k->arrival_us);
        note_heard(&t->heard, level, voice, 1);
    } else {
        speakers_input_unknown(r->speakers, speaker_key(t), k->header.payload_len, k->arrival_us);
    }
}

void room_hear_level(struct room *r, struct track *t, uint8_t level, bool voice, uint8_t packets,
                     int64_t now_us)
{
    uint8_t n = packets < HEARD_AT_ONCE ? packets : HEARD_AT_ONCE;
    for (uint8_t i = 0; i < n; i++) {
        speakers_input(r->speakers, speaker_key(t), level, voice, now_us);
    }
    note_heard(&t->heard, level, voice, packets);
}
