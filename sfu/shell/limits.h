/* The bounds of a worker as the configuration has them. */
#ifndef SOTTO_SFU_LIMITS_H
#define SOTTO_SFU_LIMITS_H

#include "lib/base/config.h"
#include "sfu/shell/worker.h"

/* Fills limits, tcp and tcp_…. */
void limits_read(struct worker_options *o, const struct config *c);

#endif
