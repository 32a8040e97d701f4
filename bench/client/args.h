/* Command lines of the load programs: `--name value` pairs, nothing else. */
#ifndef SOTTO_BENCH_CLIENT_ARGS_H
#define SOTTO_BENCH_CLIENT_ARGS_H

#include <stdint.h>

/* Every argument is a name of the NULL-ended list with a value behind it. ERR_INVALID: an unknown
 * name, or one without a value; the fault is told on stderr together with the names. */
int args_check(int argc, char **argv, const char *const *names);
/* The value of `name` ("--port"), or dflt. Borrowed from argv. */
const char *args_text(int argc, char **argv, const char *name, const char *dflt);
/* The value as a decimal number into *out (dflt when absent). ERR_INVALID, told on stderr: not a
 * number or outside min..max. */
int args_int(int64_t *out, int argc, char **argv, const char *name, int64_t dflt, int64_t min,
             int64_t max);

#endif
