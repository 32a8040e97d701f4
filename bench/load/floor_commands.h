/* The floor's JSON lines (bench/load/floor.c says which). */
#ifndef SOTTO_BENCH_LOAD_FLOOR_COMMANDS_H
#define SOTTO_BENCH_LOAD_FLOOR_COMMANDS_H

#include "bench/client/floor_forward.h"
#include "bench/client/floor_net.h"

struct commands;

/* Both are borrowed. ERR_NOMEM. */
int commands_new(struct commands **out, struct floor_forward *f, struct floor_net *n);
void commands_free(struct commands *c);
/* Reads once (poll said that there is something), carries out whole lines and answers on stdout. A
 * line with a fault is answered by an error event. ERR_CLOSED at the end of input, ERR_IO. */
int commands_read(struct commands *c, int fd);

#endif
