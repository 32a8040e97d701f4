/* What a worker tells its control alone; on the worker's thread. */
#ifndef SOTTO_SFU_WORKER_EVENTS_H
#define SOTTO_SFU_WORKER_EVENTS_H

#include <stdint.h>

struct worker;

/* Answers worker_ask_inventory. */
void worker_tell_inventory(struct worker *w, int64_t mark);

#endif
