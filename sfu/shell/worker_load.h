/* What control asks of a worker beside signald's requests: what it has, and what it costs. */
#ifndef SOTTO_SFU_WORKER_LOAD_H
#define SOTTO_SFU_WORKER_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "sfu/shell/worker.h"

struct worker_inventory_entry {
    struct id room;
    uint32_t participant; /* who has a transport here */
};

struct worker_inventory {
    int64_t mark; /* of the question */
    size_t n;
    struct worker_inventory_entry entry[];
};

/* Asks for a report with .inventory; mark (positive) comes back in it. ERR_LIMIT, ERR_NOMEM. */
int worker_ask_inventory(struct worker *w, int64_t mark);
/* CPU time that the worker's thread has used. */
int64_t worker_cpu_us(const struct worker *w);
/* Binds its thread to that CPU. ERR_IO. */
int worker_pin(struct worker *w, int cpu);

#endif
