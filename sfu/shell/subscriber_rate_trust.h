/* Is an estimate to be believed that carries less than everybody's smallest picture? It may be low
 * because the link is narrow, or because it had no time or no reason to grow, or because jitter and
 * loss keep it low. Pure. */
#ifndef SOTTO_SFU_SUBSCRIBER_RATE_TRUST_H
#define SOTTO_SFU_SUBSCRIBER_RATE_TRUST_H

#include <stdbool.h>
#include <stdint.h>

/* How long an estimate starts, from the first feedback or from somebody new to be shown. */
#define RATE_START_US 1200000
/* No sign of congestion for so long: somebody new may be shown whatever the estimate. */
#define RATE_CALM_US 10000000
/* How long it must seem so, to be shown. */
#define RATE_SINK_US 500000
/* How long it rests, the first time and at most; the next rest is twice as long, unless the link
 * bore the smallest pictures for RATE_BORNE_US meanwhile. */
#define RATE_REST_US     4000000
#define RATE_REST_MAX_US 64000000
#define RATE_BORNE_US    16000000

enum rate_trust_state {
    RATE_STARTING, /* no: it is new. The smallest pictures are sent, and as fast as they come */
    RATE_PATIENT,  /* no: nothing shows that the link doesn't carry them. They are sent */
    RATE_SINKING,  /* no, but it seems to be shown. A stall of the radio looks alike, and is over
                      soon */
    RATE_RESTING,  /* yes: the link was shown not to carry them. What the estimate doesn't carry is
                      paused; tried again after a while */
};

struct rate_trust {
    enum rate_trust_state state;
    int64_t since_us; /* of the state; of a start that hasn't heard anything: the last look */
    int64_t rest_us;  /* of the last rest; 0: none, or it is forgotten */
};

/* What was seen at a look. */
struct rate_evidence {
    bool heard;     /* feedback comes */
    bool fresh;     /* somebody is to be shown who wasn't, or who sent nothing */
    bool congested; /* an overuse since the last look, or loss that bounds the estimate */
    bool calm;      /* no congestion in the last RATE_CALM_US */
    bool drowned;   /* a queue stands, or much is lost, and less arrives than the smallest pictures
                       take */
    bool told;      /* that is so: the receiver says it in so many words */
};

void rate_trust_init(struct rate_trust *t, int64_t now_us);
/* Each look, every 100 ms or so. */
void rate_trust_look(struct rate_trust *t, const struct rate_evidence *e, int64_t now_us);

static inline bool rate_trusts(const struct rate_trust *t)
{
    return t->state == RATE_RESTING;
}

#endif
