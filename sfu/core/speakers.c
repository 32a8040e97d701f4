#include "sfu/core/speakers.h"

#include <stdlib.h>

#include "lib/base/err.h"

#define VOICE_LEVEL   65 /* quieter than -65 dBov is no voice, whatever the V bit says */
#define UNKNOWN_LEVEL 50 /* taken for a packet that tells no level */
#define DTX_BYTES     12 /* an Opus packet this short is comfort noise */
#define ONSET_PACKETS 3  /* voiced packets before one counts as speaking: a click is none */
#define ONSET_MAX     10
#define QUIET_US      300000 /* without a sound for this long, loudness decays */
#define DOMINANCE_DB  3      /* louder by more than this to take dominance over */
#define BAND_DB       3      /* a rank's loudness follows by so much only: less is no change */
#define SEATS         3      /* those ranked first, who are heard as a rule, */
#define SEATED_DB     6      /* count as so much louder than they are; the next one as half of it */
#define RISE          4      /* ticks that a score needs, about, to follow a louder voice */
#define FALL          16     /* and a quieter one: longer than the pauses between words */
#define SCALE         16     /* fractions of a dB kept */
#define FIRST_CAP     16     /* people that there is room for from the start */

struct entry {
    int loud;  /* (127 - level) * SCALE, fast attack, slower release */
    int score; /* slow average of loud, a tick a step */
    int held;  /* score without what moves less than the band */
    int key;   /* held, and more for whom is seated: who is ranked by loudness is ranked by it */
    uint8_t onset;
    bool voice_bit_used;
    bool active;
    int64_t active_since_us, last_voice_us, last_sound_us;
    int64_t louder_since_us; /* than the dominant one; 0: isn't */
    uint64_t joined;
};

struct speakers {
    size_t max, n;
    size_t cap; /* of the arrays; grown as people come, as most rooms are small */
    uint64_t joins;
    int64_t due_us;
    uint32_t dominant; /* participant, 0: nobody */
    uint32_t *ids;
    struct entry *entry;
    uint16_t *place; /* hash table of ids: index of the entry + 1, 0: free; linear probing */
    unsigned shift;  /* of a 32-bit hash to a place */
    uint16_t *rank;  /* indices, best first */
    bool reranked;   /* since speakers_reranked was asked last */
    size_t n_shown;
    uint32_t shown[SPEAKERS_MAX_RANKED]; /* what was told last */
};

/* ---- who is known ---- */

static unsigned table_shift(size_t max)
{
    unsigned bits = 4;
    while (((size_t)1 << bits) < 2 * max) { /* at most half full */
        bits++;
    }
    return 32 - bits;
}

static size_t table_mask(const struct speakers *s)
{
    return ((size_t)1 << (32 - s->shift)) - 1;
}

static size_t home(const struct speakers *s, uint32_t participant)
{
    return (participant * UINT32_C(2654435769)) >> s->shift;
}

/* Where the participant stands in the table, or the free place where he would. */
static size_t find_place(const struct speakers *s, uint32_t participant)
{
    size_t at = home(s, participant);

    while (s->place[at] != 0 && s->ids[s->place[at] - 1] != participant) {
        at = (at + 1) & table_mask(s);
    }
    return at;
}

/* The arrays with room for cap elements; what is in them stays. */
static bool lengthen(struct speakers *s, size_t cap)
{
    uint32_t *ids = realloc(s->ids, cap * sizeof *ids);
    s->ids = ids ? ids : s->ids;
    struct entry *entry = realloc(s->entry, cap * sizeof *entry);
    s->entry = entry ? entry : s->entry;
    uint16_t *rank = realloc(s->rank, cap * sizeof *rank);
    s->rank = rank ? rank : s->rank;
    return ids && entry && rank;
}

/* ERR_NOMEM: all is as before. */
static int grow(struct speakers *s, size_t cap)
{
    unsigned shift = table_shift(cap);
    uint16_t *place = calloc((size_t)1 << (32 - shift), sizeof *place);
    if (!place || !lengthen(s, cap)) {
        free(place);
        return ERR_NOMEM;
    }
    free(s->place);
    s->place = place;
    s->shift = shift;
    s->cap = cap;
    for (size_t i = 0; i < s->n; i++) {
        s->place[find_place(s, s->ids[i])] = (uint16_t)(i + 1);
    }
    return OK;
}

struct speakers *speakers_new(size_t max)
{
    struct speakers *s = calloc(1, sizeof *s);

    if (!s) {
        return NULL;
    }
    s->max = max < UINT16_MAX ? max : UINT16_MAX - 1;
    if (grow(s, s->max < FIRST_CAP ? s->max : FIRST_CAP)) {
        speakers_free(s);
        return NULL;
    }
    return s;
}

void speakers_free(struct speakers *s)
{
    if (!s) {
        return;
    }
    free(s->ids);
    free(s->entry);
    free(s->rank);
    free(s->place);
    free(s);
}

static size_t find(const struct speakers *s, uint32_t participant)
{
    uint16_t place = s->place[find_place(s, participant)];
    return place ? (size_t)place - 1 : SIZE_MAX;
}

/* Frees a place; those behind it that would no longer be found move up. */
static void free_place(struct speakers *s, size_t gap)
{
    size_t mask = table_mask(s);

    for (size_t at = (gap + 1) & mask; s->place[at] != 0; at = (at + 1) & mask) {
        size_t from = home(s, s->ids[s->place[at] - 1]);
        if (((at - from) & mask) >= ((at - gap) & mask)) {
            s->place[gap] = s->place[at];
            gap = at;
        }
    }
    s->place[gap] = 0;
}

int speakers_add(struct speakers *s, uint32_t participant)
{
    size_t at = find_place(s, participant);

    if (s->place[at] != 0) {
        return OK;
    }
    if (s->n == s->max) {
        return ERR_LIMIT;
    }
    if (s->n == s->cap) {
        if (grow(s, 2 * s->cap < s->max ? 2 * s->cap : s->max)) {
            return ERR_NOMEM;
        }
        at = find_place(s, participant);
    }
    s->ids[s->n] = participant;
    s->entry[s->n] = (struct entry){.joined = ++s->joins};
    s->rank[s->n] = (uint16_t)s->n;
    s->n++;
    s->place[at] = (uint16_t)s->n;
    return OK;
}

/* The last entry takes the place of the one that goes. */
void speakers_remove(struct speakers *s, uint32_t participant)
{
    size_t at = find_place(s, participant), last, kept = 0;

    if (s->place[at] == 0) {
        return;
    }
    size_t i = (size_t)s->place[at] - 1;
    last = s->n - 1;
    for (size_t k = 0; k < s->n; k++) {
        size_t r = s->rank[k];
        if (r != i) {
            s->rank[kept++] = (uint16_t)(r == last ? i : r);
        }
    }
    free_place(s, at);
    if (i != last) {
        s->place[find_place(s, s->ids[last])] = (uint16_t)(i + 1);
    }
    s->ids[i] = s->ids[last];
    s->entry[i] = s->entry[last];
    s->n = last;
    if (s->dominant == participant) {
        s->dominant = 0;
    }
}

/* ---- what is heard ---- */

static void hear(struct speakers *s, size_t i, uint8_t level, bool voiced, int64_t now_us)
{
    struct entry *e = &s->entry[i];
    int loud = (SPEAKERS_SILENT - level) * SCALE;

    if (level < VOICE_LEVEL) { /* comfort noise, a packet in 400 ms, keeps nobody loud */
        e->last_sound_us = now_us;
    }
    e->loud += (loud - e->loud) / (loud > e->loud ? 4 : 16);
    if (!voiced) {
        e->onset = e->onset > 0 ? (uint8_t)(e->onset - 1) : 0;
        return;
    }
    if (e->onset < ONSET_MAX) {
        e->onset++;
    }
    if (e->onset >= ONSET_PACKETS) {
        e->last_voice_us = now_us;
    }
}

void speakers_input(struct speakers *s, uint32_t participant, uint8_t level, bool voice,
                    int64_t now_us)
{
    size_t i = find(s, participant);

    if (i == SIZE_MAX) {
        return;
    }
    if (level > SPEAKERS_SILENT) {
        level = SPEAKERS_SILENT;
    }
    s->entry[i].voice_bit_used |= voice;
    bool voiced = (voice || !s->entry[i].voice_bit_used) && level < VOICE_LEVEL;
    hear(s, i, level, voiced, now_us);
}

void speakers_input_unknown(struct speakers *s, uint32_t participant, size_t payload_len,
                            int64_t now_us)
{
    size_t i = find(s, participant);

    if (i == SIZE_MAX) {
        return;
    }
    bool speech = payload_len > DTX_BYTES;
    hear(s, i, speech ? UNKNOWN_LEVEL : SPEAKERS_SILENT, speech, now_us);
}

int64_t speakers_deadline(const struct speakers *s)
{
    return s->n > 0 ? s->due_us : INT64_MAX;
}

static int follow(int held, int score)
{
    int band = BAND_DB * SCALE;
    if (score > held + band) {
        return score - band;
    }
    return score < held - band ? score + band : held;
}

static void update(struct entry *e, int64_t now_us)
{
    if (now_us - e->last_sound_us > QUIET_US) {
        e->loud -= e->loud / 4;
        e->onset = 0;
    }
    e->score += (e->loud - e->score) / (e->loud > e->score ? RISE : FALL);
    e->held = follow(e->held, e->score);
    bool active = e->last_voice_us != 0 && now_us - e->last_voice_us < SPEAKERS_HOLD_US;
    if (active && !e->active) {
        e->active_since_us = now_us;
    }
    e->active = active;
}

/* The dominant speaker stays until he falls silent or another is louder for long enough. */
static void update_dominant(struct speakers *s, int64_t now_us)
{
    size_t d = s->dominant ? find(s, s->dominant) : SIZE_MAX, best = SIZE_MAX;

    if (d != SIZE_MAX && !s->entry[d].active) {
        d = SIZE_MAX;
    }
    for (size_t i = 0; i < s->n; i++) {
        struct entry *e = &s->entry[i];
        bool louder = e->active && i != d && d != SIZE_MAX &&
                      e->score > s->entry[d].score + DOMINANCE_DB * SCALE;
        if (!louder) {
            e->louder_since_us = 0;
        } else if (e->louder_since_us == 0) {
            e->louder_since_us = now_us;
        }
        bool may =
            d == SIZE_MAX ? e->active : louder && now_us - e->louder_since_us >= SPEAKERS_SWITCH_US;
        if (may && (best == SIZE_MAX || e->score > s->entry[best].score)) {
            best = i;
        }
    }
    if (best != SIZE_MAX) {
        s->dominant = s->ids[best];
        for (size_t i = 0; i < s->n; i++) {
            s->entry[i].louder_since_us = 0;
        }
    } else if (d == SIZE_MAX) {
        s->dominant = 0;
    }
}

/* Whether b is to be moved before a, who stands before him now. The order is one of numbers that
 * don't depend on the other, so that nobody stays behind a row of those each a little quieter. */
static bool before(const struct entry *b, const struct entry *a)
{
    if (a->active != b->active) {
        return b->active;
    }
    if (b->active) {
        return b->key > a->key;
    }
    if (a->last_voice_us != b->last_voice_us) {
        return b->last_voice_us > a->last_voice_us;
    }
    return b->joined < a->joined;
}

static void update_keys(struct speakers *s)
{
    for (size_t k = 0; k < s->n; k++) {
        struct entry *e = &s->entry[s->rank[k]];
        int bonus = k < SEATS ? SEATED_DB : k == SEATS ? SEATED_DB / 2 : 0;
        e->key = e->held + bonus * SCALE;
    }
}

/* Insertion sort of an order that is nearly right already. */
static void update_rank(struct speakers *s)
{
    update_keys(s);
    for (size_t i = 1; i < s->n; i++) {
        uint16_t r = s->rank[i];
        size_t k = i;
        for (; k > 0 && before(&s->entry[r], &s->entry[s->rank[k - 1]]); k--) {
            s->rank[k] = s->rank[k - 1];
        }
        s->rank[k] = r;
        s->reranked |= k < i && k <= SPEAKERS_MAX_RANKED; /* one more: the viewer isn't counted */
    }
}

bool speakers_reranked(struct speakers *s)
{
    bool was = s->reranked;

    s->reranked = false;
    return was;
}

/* Dominant first, then by when they began, which doesn't flutter. */
static size_t list_active(const struct speakers *s, size_t *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        const struct entry *e = &s->entry[i];
        if (!e->active || s->ids[i] == s->dominant) {
            continue;
        }
        size_t k = n < cap ? n++ : cap;
        for (; k > 0 && e->active_since_us < s->entry[out[k - 1]].active_since_us; k--) {
            if (k < cap) {
                out[k] = out[k - 1];
            }
        }
        if (k < cap) {
            out[k] = i;
        }
    }
    size_t d = s->dominant ? find(s, s->dominant) : SIZE_MAX;
    if (d == SIZE_MAX || cap == 0) {
        return n;
    }
    if (n == cap) {
        n--;
    }
    for (size_t k = n; k > 0; k--) {
        out[k] = out[k - 1];
    }
    out[0] = d;
    return n + 1;
}

bool speakers_tick(struct speakers *s, int64_t now_us)
{
    size_t list[SPEAKERS_MAX_RANKED];
    bool changed;

    if (now_us < s->due_us) {
        return false;
    }
    s->due_us = now_us + SPEAKERS_TICK_US;
    for (size_t i = 0; i < s->n; i++) {
        update(&s->entry[i], now_us);
    }
    update_dominant(s, now_us);
    update_rank(s);
    size_t n = list_active(s, list, SPEAKERS_MAX_RANKED);
    changed = n != s->n_shown;
    for (size_t i = 0; i < n; i++) {
        changed |= s->shown[i] != s->ids[list[i]];
        s->shown[i] = s->ids[list[i]];
    }
    s->n_shown = n;
    return changed;
}

size_t speakers_active(const struct speakers *s, struct speaker *out, size_t cap)
{
    size_t list[SPEAKERS_MAX_RANKED];
    size_t n = list_active(s, list, cap < SPEAKERS_MAX_RANKED ? cap : SPEAKERS_MAX_RANKED);

    for (size_t i = 0; i < n; i++) {
        int level = SPEAKERS_SILENT - s->entry[list[i]].loud / SCALE;
        out[i] = (struct speaker){s->ids[list[i]], (uint8_t)level};
    }
    return n;
}

size_t speakers_rank(const struct speakers *s, uint32_t except, uint32_t *out, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n && n < cap; i++) {
        uint32_t id = s->ids[s->rank[i]];
        if (id != except) {
            out[n++] = id;
        }
    }
    return n;
}

static bool contains(const uint32_t *list, size_t n, uint32_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == id) {
            return true;
        }
    }
    return false;
}

/* An empty slot, or else one of somebody unwanted; n when there is none. */
static size_t free_slot(const uint32_t *slots, size_t n, const uint32_t *wanted, size_t n_wanted)
{
    for (size_t i = 0; i < n; i++) {
        if (slots[i] == 0) {
            return i;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!contains(wanted, n_wanted, slots[i])) {
            return i;
        }
    }
    return n;
}

size_t speakers_assign(uint32_t *slots, size_t n_slots, const uint32_t *wanted, size_t n_wanted)
{
    size_t changed = 0, n = n_wanted < n_slots ? n_wanted : n_slots;

    for (size_t i = 0; i < n; i++) {
        if (contains(slots, n_slots, wanted[i])) {
            continue;
        }
        size_t at = free_slot(slots, n_slots, wanted, n);
        if (at == n_slots) {
            break;
        }
        slots[at] = wanted[i];
        changed++;
    }
    return changed;
}
