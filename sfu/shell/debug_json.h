/* The admin's dumps as JSON. Control's thread. */
#ifndef SOTTO_SFU_DEBUG_JSON_H
#define SOTTO_SFU_DEBUG_JSON_H

#include "lib/base/json.h"
#include "sfu/shell/debug_dump.h"

#define DEBUG_MAX_ROOMS 4096 /* entries of a list */
#define DEBUG_MAX_SLOTS 8192 /* of one answer, over all workers: bounds its text to some 4 MiB */

/* Adds a worker's rooms to the list; false when it is full. */
bool debug_json_rooms(cJSON *list, size_t worker, const struct rooms_dump *d);
/* A worker's part of a room. full_addresses: else IPv4 is told as its /24, IPv6 as its /56. */
cJSON *debug_json_room(size_t worker, const struct room_dump *d, bool full_addresses);
/* "192.0.2.7:5000" or "192.0.2.0/24" for a v4-mapped or IPv6 address; cap 80 is right. */
void debug_address(char *out, size_t cap, const struct sockaddr_in6 *addr, bool full);

#endif
