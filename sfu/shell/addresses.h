/* This host's addresses, as ICE host candidates. */
#ifndef SOTTO_SFU_ADDRESSES_H
#define SOTTO_SFU_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#define ADDRESS_TEXT 46 /* INET6_ADDRSTRLEN */

/* Writes the addresses of interfaces that are up, IPv4 first, at most cap: no link-local ones, and
 * loopback only where asked for (127.0.0.1 alone, and last). Returns their number, or ERR_IO. */
int host_addresses(char (*out)[ADDRESS_TEXT], size_t cap, bool loopback);

#endif
