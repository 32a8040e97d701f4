/* A node of the pool and how nodes compare; the pure part of sfu_link.c. */
#ifndef SOTTO_SIGNALING_SHELL_SFU_LINK_INTERNAL_H
#define SOTTO_SIGNALING_SHELL_SFU_LINK_INTERNAL_H

#include <uthash.h>

#include "lib/base/ids.h"
#include "lib/io/link.h"
#include "signaling/shell/sfu_link.h"

#define SFU_NODE_NAME 64

struct sfu_node {
    char name[SFU_NODE_NAME];
    char instance[ID_LEN + 1];
    struct link *link;
    int64_t rooms, transports; /* as it reported last */
    int64_t forwarded;         /* packets since its start, -1 before the first report */
    int64_t placed;            /* requests that add transports sent since that report */
    UT_hash_handle hh;
};

/* Takes over a load report ({rooms, transports, …}; what is missing or no number counts as 0) and
 * forgets what was placed before it. NULL is none. */
void sfu_node_load(struct sfu_node *n, const cJSON *load);
/* How many packets the node forwarded between its report before and this one (forwardedPackets). */
int64_t sfu_node_forwarded(struct sfu_node *n, const cJSON *load);
/* Something was sent that adds a transport. */
void sfu_node_placed(struct sfu_node *n);
/* a is to be preferred over b. A strict order. */
bool sfu_node_less(const struct sfu_node *a, const struct sfu_node *b);
/* An SFU's error code as one of ours: room_not_found and the like → ERR_NOT_FOUND, bad_request and
 * bad_sdp → ERR_INVALID, full → ERR_LIMIT, anything else → ERR_IO. */
int sfu_code_to_err(const char *code);

/* The link is gone, or another one has taken its node's name. */
void sfu_link_down(struct sfu_pool *p, struct link *k);

#endif
