/* The JSON lines of sotto-load-turn (bench/load/turn.c says which). */
#ifndef SOTTO_BENCH_LOAD_TURN_COMMANDS_H
#define SOTTO_BENCH_LOAD_TURN_COMMANDS_H

#include "bench/client/line_reader.h"
#include "bench/load/turn_streams.h"

struct turn_load {
    struct streams streams;
    double mark_cpu_s;
    struct line_reader lines;
};

/* A line_fn; arg: the struct turn_load. Answers on stdout. */
void turn_on_line(void *arg, const char *line, size_t len);

#endif
