/* The configuration of the coturn that we start (`sottoctl turn config`). */
#ifndef SOTTO_TURN_COTURN_CONF_H
#define SOTTO_TURN_COTURN_CONF_H

#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/config.h"

/* Pure. coturn's file for these values of [turn] (and the certificate of [http]): long-term
 * credentials by shared secret alone, quotas, fingerprints, no command line, no multicast, and,
 * unless allow_private_peers, no peers in loopback, private, link-local, shared or otherwise
 * special ranges of IPv4 and IPv6 (RFC 6890, RFC 8155 section 8 on relays as a way into the
 * server's network). The secret goes into the file: it's to be readable by coturn alone. */
int coturn_conf_write(struct buf *out, const struct config *c, const char *secret);

/* Reads the secret, then writes. On failure `why` says the reason in one line. */
int turn_write_coturn_conf(struct buf *out, const struct config *c, char *why, size_t why_cap);

#endif
