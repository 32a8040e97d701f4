/* A lean TURN client over UDP (RFC 8656) with long-term credentials (RFC 8489 section 9.2), one
 * allocation with one peer on one channel. Pure: datagrams are arguments and results, the clock is
 * an argument. STUN messages are libnice's (stun/stunagent.h, stun/usages/turn.h). */
#ifndef SOTTO_BENCH_CLIENT_TURN_CLIENT_H
#define SOTTO_BENCH_CLIENT_TURN_CLIENT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define TURN_CHANNEL     0x4000 /* the one that every client binds (RFC 8656 section 12) */
#define TURN_CHANNEL_LEN 4      /* bytes of a ChannelData header */
#define TURN_MAX_MESSAGE 1024   /* bytes of a request */

enum turn_state {
    TURN_ALLOCATING,
    TURN_BINDING, /* allocated; the channel isn't bound yet */
    TURN_READY,
    TURN_CLOSING, /* the allocation is being given back */
    TURN_CLOSED,
    TURN_FAILED,
};

struct turn_client;

/* Copied. ERR_INVALID (empty or over 500 bytes), ERR_NOMEM. */
int turn_client_new(struct turn_client **out, const char *username, const char *password,
                    const struct sockaddr_in *peer);
void turn_client_free(struct turn_client *c);

/* One datagram from the server. The peer's bytes of a ChannelData message are borrowed from data
 * into *payload and their length is returned; 0: there were none. Whatever isn't an answer to the
 * request that is out, or has no right MESSAGE-INTEGRITY, is dropped. */
size_t turn_client_input(struct turn_client *c, const uint8_t *data, size_t len, int64_t now_us,
                         const uint8_t **payload);
/* The next request to send, as often as RFC 8489 section 6.2.1 repeats it; 0: none is due. cap:
 * TURN_MAX_MESSAGE. */
size_t turn_client_poll(struct turn_client *c, uint8_t *out, size_t cap, int64_t now_us);
/* When turn_client_poll has something; INT64_MAX: never. */
int64_t turn_client_deadline(const struct turn_client *c);
/* Gives the allocation back (Refresh with lifetime 0). */
void turn_client_close(struct turn_client *c, int64_t now_us);

enum turn_state turn_client_state(const struct turn_client *c);
/* In TURN_FAILED: the error code of the server's answer (RFC 8656 section 18), 408 when it didn't
 * answer; otherwise 0. */
int turn_client_error(const struct turn_client *c);
/* The relayed transport address; of TURN_READY. */
const struct sockaddr_in *turn_client_relayed(const struct turn_client *c);
/* The ChannelData header for a payload of len bytes (RFC 8656 section 12.4; no padding over UDP).
 */
void turn_channel_header(uint8_t header[TURN_CHANNEL_LEN], uint16_t len);

#endif
