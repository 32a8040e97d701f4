/* Keyframe requests to one video source: those of all subscribers merged and throttled. */
#ifndef SOTTO_SFU_CORE_PLI_H
#define SOTTO_SFU_CORE_PLI_H

#include <stdbool.h>
#include <stdint.h>

#define PLI_MIN_INTERVAL_US 500000 /* between two requests for the same source */
#define PLI_RETRY_US        700000 /* asked again when no keyframe came; doubles up to 5 s */

/* Zero-initialise. */
struct pli {
    bool wanted; /* a keyframe is being waited for */
    bool sent_once;
    int64_t sent_us; /* when it was last asked for */
    int64_t due_us;  /* when to ask next, while wanted */
    int64_t retry_us;
    uint64_t sent, merged;
};

/* Somebody needs a keyframe. Poll afterwards. */
void pli_request(struct pli *p, int64_t now_us);
/* A keyframe arrived: nothing is wanted any more. */
void pli_keyframe(struct pli *p, int64_t now_us);
/* The source sends again after silence: what it was asked in vain is asked soon, if still wanted.
 */
void pli_wake(struct pli *p, int64_t now_us);
/* True when a PLI is to be sent now (and counts it as sent). */
bool pli_poll(struct pli *p, int64_t now_us);
int64_t pli_deadline(const struct pli *p); /* INT64_MAX when nothing is wanted */

#endif
