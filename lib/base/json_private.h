/* Shared by the files of json alone. */
#ifndef SOTTO_BASE_JSON_PRIVATE_H
#define SOTTO_BASE_JSON_PRIVATE_H

#include "lib/base/json.h"

/* OK when the bytes are exactly one JSON text (RFC 8259) nested no deeper than JSON_MAX_DEPTH and
 * without an escaped NUL or half a surrogate pair; ERR_INVALID. One pass, no allocation. */
int json_scan(const char *data, size_t n);

#endif
