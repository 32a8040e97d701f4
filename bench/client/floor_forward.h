/* The forwarding floor: the least that any SFU must do to a packet, and nothing else. No sockets,
 * no clock. What it does, exactly:
 *  - each SRTP packet of a publisher is authenticated and decrypted once (by srtp_reader);
 *  - the packets of one video frame (same SSRC and timestamp) are kept together until its marker
 *    or until hold_us have passed; all but the last are made equally long by RTP padding (RFC 3550
 *    section 5.1), at most FLOOR_PAD_MAX bytes each; audio is not held;
 *  - for each subscriber the frame is copied, sequence number, timestamp and SSRC are rewritten by
 *    constants of that subscriber (RFC 3550 section 5.1), and each packet is encrypted under the
 *    subscriber's key (sfu/core/srtp_writer.h). Header extensions, payload type and payload stay;
 *  - the result is one message a subscriber: a run of equal segments for UDP_SEGMENT, or single
 *    packets where segmenting is off.
 * It has no ICE, DTLS, RTCP, NACK, retransmission, congestion control, switching or statistics a
 * track: RTCP and unknown SSRCs are dropped. */
#ifndef SOTTO_BENCH_CLIENT_FLOOR_FORWARD_H
#define SOTTO_BENCH_CLIENT_FLOOR_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu/core/srtp_writer.h"

#define FLOOR_ID_MAX    48   /* characters of a peer's name */
#define FLOOR_MTU       1500 /* longest packet taken */
#define FLOOR_TRAIN_MAX 40   /* packets a train: the kernel takes 64, and 65,507 bytes */
#define FLOOR_PAD_MAX   64   /* bytes that a packet may grow by to fit its train */
#define FLOOR_PEERS_MAX 8192 /* publishers and subscribers */

struct floor_forward;

struct floor_forward_config {
    enum srtp_profile profile; /* of all peers */
    bool segment;              /* trains; else each packet by itself, held for nothing */
    int64_t hold_us;           /* for the rest of a frame; 0: until the next poll */
};

/* ERR_NOMEM, ERR_UNSUPPORTED (profile). */
int floor_forward_new(struct floor_forward **out, const struct floor_forward_config *c);
void floor_forward_free(struct floor_forward *f);

/* A key is the master key and salt behind it, as the profile wants them: ERR_INVALID for another
 * length. An id is 1..FLOOR_ID_MAX characters; one id may publish and subscribe. ERR_INVALID,
 * ERR_CONFLICT (has that role already), ERR_LIMIT, ERR_NOMEM. */
int floor_forward_publisher(struct floor_forward *f, const char *id, const uint8_t *key,
                            size_t key_len);
int floor_forward_subscriber(struct floor_forward *f, const char *id, const uint8_t *key,
                             size_t key_len);
/* A stream of a publisher; frames: its packets come in frames that end with a marker (video).
 * ERR_NOT_FOUND (publisher), ERR_CONFLICT (SSRC), ERR_NOMEM. */
int floor_forward_stream(struct floor_forward *f, const char *publisher, uint32_t ssrc,
                         bool frames);
/* The subscriber gets that stream from now on, by the SSRC `as`. ERR_NOT_FOUND (either id, the
 * stream), ERR_CONFLICT (has it already), ERR_NOMEM. */
int floor_forward_leg(struct floor_forward *f, const char *subscriber, const char *publisher,
                      uint32_t ssrc, uint32_t as);
/* Where the peer is: the source of what it publishes, the destination of what it gets (0: nowhere
 * yet). A port is the last's who was said to have it. ERR_NOT_FOUND. */
int floor_forward_port(struct floor_forward *f, const char *id, uint16_t port);
/* Streams and legs of the peer go; its id may be used anew. ERR_NOT_FOUND. */
int floor_forward_leave(struct floor_forward *f, const char *id);

/* One datagram from a port; it is decrypted in place. OK also where it is dropped; ERR_AGAIN: a
 * frame of that stream waits to be polled: poll until 0, then give the same datagram again. */
int floor_forward_input(struct floor_forward *f, uint16_t port, uint8_t *data, size_t len,
                        int64_t now_us);

struct floor_message {
    uint16_t port; /* of the subscriber */
    uint16_t packets;
    uint16_t segment; /* bytes of each but the last; 0: one packet */
    size_t len;
    const uint8_t *data; /* valid until the next poll */
};

#define FLOOR_POLL_MAX 64
/* Up to n (at most FLOOR_POLL_MAX) messages of frames that are ready; 0: none. Subscribers without
 * a known port are passed over (and their rollover counter rests). */
size_t floor_forward_poll(struct floor_forward *f, struct floor_message *out, size_t n,
                          int64_t now_us);
/* When a frame that is held becomes ready by itself; INT64_MAX: none is held. */
int64_t floor_forward_deadline(const struct floor_forward *f);

struct floor_forward_stats {
    uint64_t in, out; /* RTP packets taken from publishers, made for subscribers */
    uint64_t frames;  /* in trains of more than one packet */
    uint64_t padded;  /* bytes */
    uint64_t bad;     /* not RTP of a known stream with a right tag */
    uint64_t ignored; /* RTCP and STUN, dropped unread */
};
void floor_forward_stats(const struct floor_forward *f, struct floor_forward_stats *out);

#endif
