/* What sotto-load-transfer is made of: transfers by libcurl in an open or a closed loop. */
#ifndef SOTTO_BENCH_LOAD_TRANSFER_H
#define SOTTO_BENCH_LOAD_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/client/histogram.h"

#define TRANSFER_CLIENTS 1024
#define TRANSFER_QUEUE   65536 /* transfers that were due and not begun; more end the run */

struct transfer_options {
    const char *url, *prefix; /* borrowed */
    bool put;
    size_t bytes;
    int clients;
    int64_t files;
    double interval_us; /* between transfers; 0: closed loop */
    int64_t warmup_us, window_us;
};

/* Since the mark. bytes: of bodies as they pass, so that half a transfer counts by half. failed: no
 * answer, a status other than 2xx, or a wrong length; `why` tells the first. corrupt: bodies with a
 * byte that isn't what was put there. backlog: due and not begun, at its most. */
struct transfer_stats {
    uint64_t transfers, bytes, failed, corrupt, backlog, begun;
    char why[160]; /* safe inside a JSON string */
    struct histogram latency;
};

struct transfer;

/* ERR_NOMEM, ERR_IO (libcurl). Options are copied, their strings borrowed. */
int transfer_new(struct transfer **out, const struct transfer_options *o);
void transfer_free(struct transfer *t);
/* Goes on for so long. ERR_IO (libcurl), ERR_LIMIT (TRANSFER_QUEUE). */
int transfer_run(struct transfer *t, int64_t us);
/* Statistics begin anew. */
void transfer_mark(struct transfer *t);
const struct transfer_stats *transfer_stats(const struct transfer *t);

#endif
