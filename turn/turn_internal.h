#ifndef SOTTO_TURN_TURN_INTERNAL_H
#define SOTTO_TURN_TURN_INTERNAL_H

#include <stddef.h>

#include "lib/base/config.h"

/* Reads [turn] secret_file and checks that coturn's file can hold it. */
int turn_read_secret(char *out, size_t cap, const struct config *c, char *why, size_t why_cap);

#endif
