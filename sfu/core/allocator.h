/* Shares a subscriber's bandwidth over his video slots. Everyone shown gets his lowest layer first,
 * in order of priority (a screen before cameras of the same priority); what is left buys upgrades
 * by value a bit, never beyond the height asked for. Going down is at once and pausing comes last;
 * going up needs headroom that lasts, so that an estimate's noise switches nothing. Pure: no
 * allocation, time is an argument. */
#ifndef SOTTO_SFU_CORE_ALLOCATOR_H
#define SOTTO_SFU_CORE_ALLOCATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ALLOCATOR_MAX_SLOTS 64
#define ALLOCATOR_SPATIAL   3 /* simulcast streams or spatial layers, smallest first */
#define ALLOCATOR_TEMPORAL  3
#define ALLOCATOR_SHED_ALL  16 /* of allocator_input.shed: all video is off */

/* An improvement is taken when the budget is worth HEADROOM percent of what it needs for LASTING_US
 * (25 % outlives a saw-tooth of 15 % and noise of ±10 %: 1.1 / 1.25 < 0.9); less of both when a
 * probe has just shown that the budget is real. */
#define ALLOCATOR_HEADROOM          125
#define ALLOCATOR_LASTING_US        2000000
#define ALLOCATOR_PROBED_HEADROOM   115
#define ALLOCATOR_PROBED_LASTING_US 250000
/* An improvement that had to be taken back within REGRET_US delays the next by 4 s, then 8, … */
#define ALLOCATOR_REGRET_US  20000000
#define ALLOCATOR_HOLD_US    2000000
#define ALLOCATOR_HOLD_STEPS 5

/* What a slot could be sent and what is wanted of it. Zero-initialise; all of it may change from
 * one run to the next. */
struct allocator_slot {
    uint32_t source;               /* who is in the slot: another number begins anew. 0: nobody */
    bool visible;                  /* false: nothing is wanted (not accepted, not looked at) */
    bool screen;                   /* clarity counts before motion */
    int32_t priority;              /* -100..100; ten more weigh double */
    uint32_t max_height;           /* asked for; 0: any */
    uint8_t n_spatial, n_temporal; /* layers there are; more than fit are not looked at */
    /* Bit (1 << temporal) a spatial layer: packets of it come now. */
    uint8_t live[ALLOCATOR_SPATIAL];
    uint16_t height[ALLOCATOR_SPATIAL]; /* 0: not known yet */
    uint8_t fps[ALLOCATOR_TEMPORAL];    /* nominal, of each temporal layer; 0: not known. A steady
                                           number: layers are valued by it */
    /* What it costs to send this layer with all that it depends on, measured; 0: not known yet, a
     * usual rate is taken. */
    uint32_t bps[ALLOCATOR_SPATIAL][ALLOCATOR_TEMPORAL];
};

struct allocator_input {
    int64_t budget_bps; /* for video: audio, retransmissions and the caller's margin taken off */
    bool probed;        /* a probe has just carried this much */
    uint8_t shed;       /* 0..ALLOCATOR_SHED_ALL: share of the slots to switch off, last first */
    size_t n_slots;     /* at most ALLOCATOR_MAX_SLOTS are looked at */
    const struct allocator_slot *slot;
};

enum allocator_state {
    ALLOCATOR_SENT,
    ALLOCATOR_OFF,       /* nobody, or not visible */
    ALLOCATOR_NO_LAYER,  /* the source sends nothing now */
    ALLOCATOR_BANDWIDTH, /* paused: the budget doesn't carry its lowest layer */
    ALLOCATOR_OVERLOAD,  /* paused: the worker sheds load */
};

struct allocator_choice {
    enum allocator_state state;
    uint8_t sid, tid; /* of ALLOCATOR_SENT */
    uint32_t bps;     /* what it costs; 0 unless sent */
};

struct allocator_result {
    bool changed; /* any choice (not only its cost) since the run before */
    int64_t used_bps;
    int64_t next_bps;   /* a budget at which something gets better, headroom included; 0: all have
                           what they want. Worth probing for */
    int64_t wanted_bps; /* the same for everything that is asked for */
    int64_t again_us;   /* run again then at the latest for an improvement that is waiting for its
                           time; INT64_MAX: none is */
};

/* What one slot had at the last run. */
struct allocator_was {
    struct allocator_choice choice;
    uint32_t source, max_height;
    int32_t priority;
    bool wanted, screen;
};

/* One a subscriber; zero-initialise. */
struct allocator {
    size_t n_slots;
    struct allocator_was was[ALLOCATOR_MAX_SLOTS];
    uint8_t shed;
    bool waiting; /* for better_since_us to last */
    int64_t better_since_us;
    int64_t improved_us; /* when more was last taken up on the budget's account; 0: never */
    int64_t hold_until_us;
    uint8_t regrets;
};

/* Decides anew; call when the budget, a wish or a source changes and each 100 ms. out has room for
 * n_slots. The same calls give the same choices. */
void allocator_run(struct allocator *a, const struct allocator_input *in, int64_t now_us,
                   struct allocator_choice *out, struct allocator_result *result);

#endif
