/* Who speaks: levels of RFC 6464 smoothed a participant, the dominant speaker with hysteresis, and
 * the loudest N with as little change of slots as can be. Pure and bounded: one struct a room. */
#ifndef SOTTO_SFU_CORE_SPEAKERS_H
#define SOTTO_SFU_CORE_SPEAKERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPEAKERS_TICK_US    100000  /* between evaluations */
#define SPEAKERS_HOLD_US    2000000 /* a speaker stays one this long after his last voice */
#define SPEAKERS_SWITCH_US  600000  /* louder for this long before dominance changes */
#define SPEAKERS_SILENT     127
#define SPEAKERS_MAX_RANKED 16

struct speakers;

struct speaker {
    uint32_t participant;
    uint8_t level; /* smoothed, 0 (loudest) .. 127 */
};

/* For at most max participants. NULL when out of memory. */
struct speakers *speakers_new(size_t max);
void speakers_free(struct speakers *s);
/* ERR_LIMIT when full, ERR_NOMEM; adding twice is fine. */
int speakers_add(struct speakers *s, uint32_t participant);
void speakers_remove(struct speakers *s, uint32_t participant);
/* One audio packet's level; voice is the V bit (taken as true where a sender never sets it).
 * A stranger is ignored. Packets without the extension: level by speakers_input_unknown. */
void speakers_input(struct speakers *s, uint32_t participant, uint8_t level, bool voice,
                    int64_t now_us);
/* An audio packet without level: it counts as quiet speech unless it is DTX-sized. */
void speakers_input_unknown(struct speakers *s, uint32_t participant, size_t payload_len,
                            int64_t now_us);
int64_t speakers_deadline(const struct speakers *s);
/* Evaluates when due. True when the list of active speakers, or its order, changed. */
bool speakers_tick(struct speakers *s, int64_t now_us);
/* Whether the ranking changed since the last call, among those who may have slots. */
bool speakers_reranked(struct speakers *s);
/* Active speakers, dominant first, at most cap; returns how many. */
size_t speakers_active(const struct speakers *s, struct speaker *out, size_t cap);
/* Participants ranked for audio slots: active ones by loudness first (with hysteresis), then those
 * who spoke last; those never heard come last, in order of joining. `except` (0: nobody) is left
 * out. */
size_t speakers_rank(const struct speakers *s, uint32_t except, uint32_t *out, size_t cap);

/* Puts `wanted` (most wanted first, n_wanted of them) into n_slots slots of participants (0: empty)
 * with the fewest changes: who is already in a slot stays there, the others take the empty ones and
 * then those of the unwanted, who otherwise stay. gone(p) participants must have been set to 0
 * before. Returns the number of slots changed. */
size_t speakers_assign(uint32_t *slots, size_t n_slots, const uint32_t *wanted, size_t n_wanted);

#endif
