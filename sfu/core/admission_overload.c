/* The overload state machine of admission.h: sheds a sixteenth of the video each half second while
 * the worker is too busy, takes it back slowly, and slower still where that was too early. */
#include "sfu/core/admission.h"

#define SMOOTH_US      1000000 /* time constant of the busy share */
#define BUSY_BAND      0.2 /* so far below busy_percent it is taken back; between them it stays */
#define SHED_STEP_US   500000
#define RESTORE_US     2000000  /* the shortest wait before a step is taken back */
#define RESTORE_MAX_US 60000000 /* the longest */
#define TOO_EARLY_US   10000000 /* shedding again within this: it was */
#define REFUSE_STEPS   4        /* so much shed and still too busy: nobody joins any more */

/* Exponential smoothing over samples of any length: those longer than the constant count whole. */
static void smooth(struct admission_load *l, double busy, int64_t elapsed_us)
{
    double share = elapsed_us < SMOOTH_US ? (double)elapsed_us / SMOOTH_US : 1;
    l->busy += (busy - l->busy) * share;
}

static void shed_more(struct admission_load *l, int64_t now_us)
{
    bool too_early = l->restored_us != 0 && now_us - l->restored_us < TOO_EARLY_US;
    if (too_early) {
        int64_t longer = l->restore_us * 2;
        l->restore_us = longer < RESTORE_MAX_US ? longer : RESTORE_MAX_US;
    }
    l->restored_us = 0;
    l->refusing |= l->shed >= REFUSE_STEPS;
    l->shed += l->shed < ADMISSION_SHED_ALL;
    l->step_us = now_us;
}

static void take_back(struct admission_load *l, int64_t now_us)
{
    l->shed--;
    l->refusing &= l->shed > 0;
    l->step_us = now_us;
    l->restored_us = now_us;
}

static void step(struct admission_load *l, double most, int64_t now_us)
{
    int64_t waited_us = now_us - l->step_us;
    if (l->restore_us < RESTORE_US || (l->shed == 0 && waited_us >= RESTORE_MAX_US)) {
        l->restore_us = RESTORE_US;
    }
    if (l->busy >= most && waited_us >= SHED_STEP_US) {
        shed_more(l, now_us);
    } else if (l->busy < most - BUSY_BAND && l->shed > 0 && waited_us >= l->restore_us) {
        take_back(l, now_us);
    }
}

int64_t admission_work(int64_t cpu_us, int64_t waited_us, int64_t elapsed_us)
{
    int64_t cpu = cpu_us > 0 ? cpu_us : 0, waited = waited_us > 0 ? waited_us : 0;
    if (elapsed_us <= 0 || cpu == 0) {
        return 0;
    }
    return (int64_t)((double)elapsed_us * (double)cpu / (double)(cpu + waited));
}

bool admission_busy(struct admission *a, int64_t busy_us, int64_t now_us)
{
    struct admission_load *l = &a->load;
    uint8_t shed = l->shed;
    bool refusing = l->refusing;
    int64_t elapsed_us = now_us - l->since_us;
    bool first = l->since_us == 0;
    if (a->limits.busy_percent == 0 || (!first && elapsed_us <= 0)) {
        return false;
    }
    l->since_us = now_us;
    if (first) {
        l->step_us = now_us;
        return false;
    }
    double busy = busy_us <= 0 ? 0 : (double)busy_us / (double)elapsed_us;
    smooth(l, busy < 1 ? busy : 1, elapsed_us);
    step(l, a->limits.busy_percent / 100.0, now_us);
    return shed != l->shed || refusing != l->refusing;
}

enum admission_level admission_level(const struct admission *a)
{
    if (a->load.refusing) {
        return ADMISSION_REFUSING;
    }
    return a->load.shed ? ADMISSION_SHEDDING : ADMISSION_NORMAL;
}

uint8_t admission_shed(const struct admission *a)
{
    return a->load.shed;
}
