/* Bounds of a worker (sfu/core/admission.h): who may come in, and what is shed when there is more
 * work than time. */
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "sfu/shell/worker_private.h"

/* An answer has a header, XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489). */
#define STUN_ANSWER_V4 (20 + 12 + 24 + 8)
#define STUN_ANSWER_V6 (20 + 24 + 24 + 8)

int worker_join(struct worker *w)
{
    return admission_join(&w->admission) == OK ? OK : ERR_LIMIT;
}

int worker_hold_tracks(struct worker *w, struct transport *t, size_t n)
{
    if (n > t->held_tracks) {
        int err = admission_hold(&w->admission, ADMISSION_TRACKS, n - t->held_tracks);
        if (err) {
            return err;
        }
    } else {
        admission_release(&w->admission, ADMISSION_TRACKS, t->held_tracks - n);
    }
    t->held_tracks = n;
    return OK;
}

bool worker_begin_handshake(struct worker *w, struct transport *t)
{
    if (!t->handshaking) {
        t->handshaking = admission_handshake(&w->admission, w->now_us) == OK;
    }
    return t->handshaking;
}

void worker_end_handshake(struct worker *w, struct transport *t)
{
    if (t->handshaking) {
        admission_release(&w->admission, ADMISSION_HANDSHAKES, 1);
        t->handshaking = false;
    }
}

bool worker_stranger(struct worker *w, const struct sockaddr_in6 *from, size_t len)
{
    size_t answer = IN6_IS_ADDR_V4MAPPED(&from->sin6_addr) ? STUN_ANSWER_V4 : STUN_ANSWER_V6;
    return admission_stranger(&w->admission, from->sin6_addr.s6_addr, len, answer, w->now_us) == OK;
}

/* What was refused since the last time. */
static void tell_refusals(struct worker *w)
{
    static const enum sfu_metric metric[ADMISSION_COUNTS] = {
        [ADMISSION_DROPPED_PACKETS] = SFU_DROP_RATE,
        [ADMISSION_REFUSED_HANDSHAKES] = SFU_REFUSED_HANDSHAKES,
        [ADMISSION_REFUSED_RESOURCES] = SFU_REFUSED_RESOURCES,
        [ADMISSION_REFUSED_JOINS] = SFU_REFUSED_JOINS,
        [ADMISSION_REFUSED_STUN] = SFU_REFUSED_STUN,
        [ADMISSION_REFUSED_LARGER] = SFU_REFUSED_LARGER,
        [ADMISSION_EVICTED_PREFIXES] = SFU_EVICTED_PREFIXES,
    };
    for (int i = 0; i < ADMISSION_COUNTS; i++) {
        if (w->admission.count[i]) {
            worker_count(w, metric[i], (int64_t)w->admission.count[i]);
            w->admission.count[i] = 0;
        }
    }
}

void worker_measure(struct worker *w, int64_t cpu_us)
{
    int64_t busy_us = admission_work(cpu_us - w->cpu_us, w->waited_us, w->now_us - w->measured_us);
    w->cpu_us = cpu_us;
    w->measured_us = w->now_us;
    w->waited_us = 0;
    if (admission_busy(&w->admission, busy_us, w->now_us)) {
        w->shed = admission_shed(&w->admission);
        LOG_I("load", "level=%d shed=%u busy_percent=%d", (int)admission_level(&w->admission),
              w->shed, (int)(w->admission.load.busy * 100));
    }
    sfu_gauge(SFU_SHED, w->shed);
    tell_refusals(w);
}
