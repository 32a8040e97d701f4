#include "sfu/core/pli.h"

#define RETRY_MAX_US 5000000

static int64_t soonest(const struct pli *p, int64_t now_us)
{
    int64_t allowed_us = p->sent_us + PLI_MIN_INTERVAL_US;
    return p->sent_once && allowed_us > now_us ? allowed_us : now_us;
}

void pli_request(struct pli *p, int64_t now_us)
{
    if (p->wanted) {
        p->merged++;
        return;
    }
    p->wanted = true;
    p->retry_us = PLI_RETRY_US;
    p->due_us = soonest(p, now_us);
}

void pli_wake(struct pli *p, int64_t now_us)
{
    int64_t due_us = soonest(p, now_us);
    if (p->wanted && due_us < p->due_us) {
        p->due_us = due_us;
        p->retry_us = PLI_RETRY_US;
    }
}

void pli_keyframe(struct pli *p, int64_t now_us)
{
    (void)now_us;
    p->wanted = false;
}

bool pli_poll(struct pli *p, int64_t now_us)
{
    if (!p->wanted || now_us < p->due_us) {
        return false;
    }
    p->sent_once = true;
    p->sent_us = now_us;
    p->sent++;
    p->due_us = now_us + p->retry_us;
    p->retry_us = p->retry_us * 2 < RETRY_MAX_US ? p->retry_us * 2 : RETRY_MAX_US;
    return true;
}

int64_t pli_deadline(const struct pli *p)
{
    return p->wanted ? p->due_us : INT64_MAX;
}
