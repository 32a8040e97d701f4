/* What the workers measured, on the control thread: the stats events that signald is told, and the
 * part of /metrics that isn't mere counting. Nothing here has a label a room or participant. */
#ifndef SOTTO_SFU_STATS_BOARD_H
#define SOTTO_SFU_STATS_BOARD_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "sfu/shell/worker_stats.h"

#define STATS_BOARD_MAX_WORKERS 64

struct stats_board;

/* NULL when out of memory. */
struct stats_board *stats_board_new(void);
void stats_board_free(struct stats_board *b); /* NULL is fine */

/* A part of a worker's round: the text of a stats event for signald (control.h), to be freed with
 * free(); NULL when out of memory. Rates are of the time since the last part that named the same
 * participant. */
char *stats_board_part(struct stats_board *b, size_t worker, const struct stats_part *part);
void stats_board_sample(struct stats_board *b, size_t worker, const struct stats_sample *s,
                        int64_t now_us);
/* CPU time that the worker's thread has used; each second or so. */
void stats_board_cpu(struct stats_board *b, size_t worker, int64_t cpu_us, int64_t now_us);
/* Forgets who hasn't been told of for a while; call each second or so. */
void stats_board_tick(struct stats_board *b, int64_t now_us);

/* Text for /metrics. ERR_TOO_LARGE, ERR_NOMEM. */
int stats_board_render(const struct stats_board *b, struct buf *out);

#endif
