/* One peer connection of a client on our UDP port: ICE-lite (RFC 8445), DTLS, SRTP keys. It belongs
 * to one worker, which finds it by the ufrag of a check or by the peer's address. */
#ifndef SOTTO_SFU_TRANSPORT_H
#define SOTTO_SFU_TRANSPORT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "lib/base/ids.h"
#include "lib/proto/control.h"
#include "lib/proto/sdp.h"
#include "sfu/core/admission.h"
#include "sfu/core/due_wheel.h"
#include "sfu/core/router.h"
#include "sfu/core/srtp_writer.h"
#include "sfu/shell/dtls.h"
#include "sfu/shell/out_queue.h"
#include "sfu/shell/rtcp_wait.h"
#include "sfu/shell/srtp_peer.h"

#define TRANSPORT_ADDRESSES 8 /* verified addresses kept a transport */
#define TRANSPORT_SILENT_US                                                                        \
    30000000                          /* consent: without a check or packet it is gone (RFC 7675)  \
                                       */
#define TRANSPORT_CONNECT_US 30000000 /* time for the answer, the checks and the handshake */
/* Where the selected address had no check for so long, any other that has one takes its place: a
 * client that nominated once and whose NAT gave it another port goes on checking each 5 s, without
 * nominating again (RFC 7675 section 5.1). */
#define TRANSPORT_STALE_US 7000000
/* A connected peer that was heard so lately keeps its address against the checks of others. */
#define TRANSPORT_HELD_US   2000000
#define TRANSPORT_UFRAG_LEN 8
#define TRANSPORT_PWD_LEN   32
#define TRANSPORT_ICE_EPOCHS                                                                       \
    2 /* credentials in force: after an ICE restart, the former ones too                           \
       */

struct transport;
struct transport_table;

/* The peer's address as a key of plain integers. */
struct peer_key {
    uint64_t high, low; /* of the IPv6 (or v4-mapped) address, as in memory */
    uint32_t port;      /* network order */
    uint32_t scope;
};

/* Where a packet came from. */
struct peer_path {
    const struct sockaddr_in6 *addr;
    const struct in6_addr *local; /* which address of ours it came to; all zeros: the bound one */
    struct tcp_conn *tcp;         /* by this connection; NULL: by UDP */
};

struct peer_address {
    struct peer_key key;
    struct sockaddr_in6 addr;
    struct in6_addr local; /* which address of ours it speaks with; all zeros: the bound one */
    bool routed;           /* what we send leaves from there by itself (peer_address_source) */
    int64_t routed_us;     /* when that was looked at; 0: never */
    struct tcp_conn *tcp;  /* NULL: UDP; else not in the table, but the connection's user */
    struct transport *transport; /* NULL: unused */
    int64_t checked_us;
    UT_hash_handle hh;
};

/* What a message that leaves for it must name as its source. */
static inline const struct in6_addr *peer_address_source(const struct peer_address *a)
{
    return a->routed ? &in6addr_any : &a->local;
}

struct ice_credentials {
    char ufrag[TRANSPORT_UFRAG_LEN + 1];
    char pwd[TRANSPORT_PWD_LEN + 1];
    struct transport *transport; /* NULL: unused */
    UT_hash_handle hh;
};

/* What packets need stands together at the top (see struct slot). */
struct transport {
    struct out_peer out; /* RTP that is to leave */
    struct srtp_writer *writer;
    struct srtp_peer *srtp;
    struct peer_address *selected; /* where we send; NULL before the first check */
    struct publisher *publisher;   /* one of the two, by `which` */
    struct subscriber *subscriber;
    int64_t heard_us;                /* last verified check or authenticated packet */
    struct rtcp_queue rtcp;          /* a subscriber's that waits */
    bool connected;                  /* keyed */
    bool lost;                       /* to be removed at the end of this turn */
    struct admission_bucket packets; /* of a publisher (admission_packet) */
    struct transport *prev, *next;
    struct transport *prev_publisher, *next_publisher; /* utlist of those that publish */

    void *worker; /* what dtls_send_fn's caller hands on */
    enum control_which which;
    bool watches; /* a subscriber's who offered himself (WHEP) */
    struct id room;
    uint32_t number;
    uint64_t session_id, session_version;

    struct ice_credentials credentials[TRANSPORT_ICE_EPOCHS];
    unsigned epoch;               /* credentials[epoch % 2] are the current ones */
    unsigned selected_epoch;      /* in which `selected` was nominated */
    struct peer_address *answers; /* where the flights of our handshake went, */
    bool answers_moved;           /* unless they went to several */
    struct peer_address address[TRANSPORT_ADDRESSES];
    int64_t created_us;
    struct due_entry due;      /* when worker_check_peers is to look at it, */
    struct due_entry rate_due; /* and worker_rates */
    bool handshaking;          /* held as one of ADMISSION_HANDSHAKES */
    uint64_t held_tracks;      /* of ADMISSION_TRACKS */

    bool has_remote;
    struct sdp_remote remote;
    struct dtls *dtls; /* NULL before a check and, as server, before the first flight */
};

/* ---- the table ---- */

struct transport_table *transport_table_new(void);
void transport_table_free(struct transport_table *t); /* must be empty */
/* The transport a verified address belongs to, or NULL. Integers only: called for each packet. */
struct peer_address *transport_by_address(const struct transport_table *t,
                                          const struct sockaddr_in6 *addr);
/* The credentials with this ufrag, or NULL. */
struct ice_credentials *transport_by_ufrag(const struct transport_table *t, const char *ufrag);

/* ---- a transport ---- */

/* With fresh credentials in the table. NULL when out of memory. */
struct transport *transport_new(struct transport_table *table, enum control_which which,
                                const struct id *room, uint32_t number, int64_t now_us);
/* Out of the table, keys wiped. Publisher or subscriber must have been ended before. */
void transport_free(struct transport_table *table, struct transport *t);
const struct ice_credentials *transport_local(const struct transport *t);
/* New credentials for an ICE restart; those before stay good until the next one. */
void transport_restart(struct transport_table *table, struct transport *t);
/* Whether a verified check under these credentials may have the path. Not one whose address another
 * participant speaks by: one who is connected, was heard there a moment ago, and has shown in his
 * handshake that he reads what is sent there. A check shows nothing of the kind, and whoever is in
 * the room can make one and forge its source: he would cut others' media, or, if it were enough to
 * have come first, keep them out. Once nobody is heard there, the next check gets the address. */
bool transport_may_have(const struct transport_table *table, const struct ice_credentials *c,
                        const struct peer_path *path, int64_t now_us);
/* A flight of the handshake leaves for the selected address. */
void transport_note_flight(struct transport *t);
/* A check that came by this path under these credentials of t's was verified: the address belongs
 * to t from now on, and the pair is how we send when it was nominated or nothing was before. After
 * an ICE restart the former credentials nominate only until the new ones have (RFC 8445 section 9).
 * An address that another transport had is this one's now: see transport_may_have. */
void transport_checked(struct transport_table *table, struct ice_credentials *c,
                       const struct peer_path *path, bool nominated, int64_t now_us);
/* The verified address that a packet came from, or NULL. */
struct peer_address *transport_by_path(const struct transport_table *t,
                                       const struct peer_path *path);
/* The connection of a TCP address has ended: what leaves goes to the address that was checked last,
 * if there is another. */
void transport_lost_address(struct transport_table *table, struct peer_address *a);
/* What the peer's SDP said. */
void transport_set_remote(struct transport *t, const struct sdp_remote *remote);
/* Takes the keys when DTLS is ready and was not before. True when the transport became connected.
 */
bool transport_take_keys(struct transport *t);

#endif
