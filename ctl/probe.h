/* What the doctor asks of the network: does a port answer, and what. */
#ifndef SOTTO_CTL_PROBE_H
#define SOTTO_CTL_PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"

/* Waits two seconds at most for each step. An address that means "all" ("0.0.0.0", "::", "") is
 * asked at loopback. */

/* Somebody accepts TCP connections there. */
bool probe_tcp(const char *address, int port);
/* GET path over plain HTTP/1.1: the status, or 0 when no answer came. body gets what fits. */
int probe_http(const char *address, int port, const char *path, char *body, size_t cap);
/* The same with the internal key, whole: body is appended to. 0 also when it is cut short, or
 * longer than body's bound. */
int probe_get(const char *address, int port, const char *path, const char *key, struct buf *body);
/* A STUN server answers a Binding request over UDP (RFC 8489 section 5). */
bool probe_stun(const char *address, int port);

#endif
