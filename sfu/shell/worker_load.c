#include "sfu/shell/worker_load.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "lib/base/err.h"
#include "sfu/shell/worker_private.h"

int worker_ask_inventory(struct worker *w, int64_t mark)
{
    struct control_frame *f = calloc(1, sizeof *f);
    if (!f) {
        return ERR_NOMEM;
    }
    f->type = CONTROL_HELLO; /* one with an id is no hello: worker_handle knows */
    f->id = mark;
    int err = worker_request(w, f);
    if (err) {
        free(f);
    }
    return err;
}

int64_t worker_cpu_us(const struct worker *w)
{
    clockid_t clock;
    struct timespec t;
    if (pthread_getcpuclockid(w->thread, &clock) != 0 || clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int worker_pin(struct worker *w, int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return pthread_setaffinity_np(w->thread, sizeof set, &set) == 0 ? OK : ERR_IO;
}
