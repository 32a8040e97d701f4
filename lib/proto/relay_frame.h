/* The relay link's frames: what two routers that share a room say to each other, whether they are
 * two workers of one sfud or two nodes. The sender of packets says which tracks it has (announce,
 * repeated each second; withdraw), how loud those are that nobody there listens to (levels), when
 * their clocks read what (report), and sends those that were asked for (packet). The receiver says
 * what it wants (demand, repeated each second), and what it missed (nack). All of it but packets is
 * state that is told again and again, so that a lost frame heals by itself; a packet that is lost
 * is asked for by its number.
 *
 * A frame is a version (4 bits), a type (4 bits) and a track (32 bits: the sender's number of it,
 * or the receiver's word about it), then what the type says; numbers are big endian. Bytes behind
 * what is known are for later versions and ignored, but for packets, where they are the payload. */
#ifndef SOTTO_PROTO_RELAY_FRAME_H
#define SOTTO_PROTO_RELAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"
#include "lib/proto/rtcp.h"
#include "lib/proto/rtp.h"

#define RELAY_MAX_FRAME    1600 /* bytes of one frame, its payload included */
#define RELAY_PACKET_HEAD  6    /* bytes in front of the RTP packet of a packet frame */
#define RELAY_MAX_SEQS     64
#define RELAY_MAX_LEVELS   64
#define RELAY_MAX_CODECS   8
#define RELAY_MAX_LAYERS   3 /* streams of simulcast */
#define RELAY_MAX_TEMPORAL 3

enum relay_frame_type {
    RELAY_ANNOUNCE = 1, /* room, participant, description */
    RELAY_WITHDRAW,     /* the track is no more */
    RELAY_DEMAND,       /* layers, keyframes */
    RELAY_NACK,         /* layer, seq[n_seqs] */
    RELAY_LEVELS,       /* level[n_levels]; track is 0 */
    RELAY_REPORT,       /* layer, info */
    RELAY_PACKET,       /* layer, payload: a decrypted RTP packet, as its publisher numbered it */
    RELAY_PING,         /* the link lives; track is 0 */
    RELAY_SOLICIT,      /* room: announce what you have of it now; track is 0 */
};
/* "announce", …; "" for what is none. Static storage. */
const char *relay_frame_name(enum relay_frame_type t);

struct relay_level {
    uint32_t track;
    uint8_t level;   /* the loudest since the last time, 0 (loudest) .. 127 */
    uint8_t packets; /* since then, at most 255 */
    bool voice;
};

/* A stream of a track: one of simulcast, in the order that its publisher offered, or the only one.
 * What is measured is told for those who don't get it and are to choose. */
struct relay_layer {
    bool live;                        /* packets come */
    uint16_t width, height;           /* 0: not known */
    uint32_t bps[RELAY_MAX_TEMPORAL]; /* of each temporal layer alone; 0: not known */
    uint8_t fps[RELAY_MAX_TEMPORAL];  /* of those up to it; 0: not known */
};

struct relay_codec {
    uint8_t codec; /* enum codec */
    uint8_t pt;
};

/* What the other side has to know of a track to treat it like one of its own. */
struct relay_description {
    bool video;
    bool nack;      /* packets can be asked for again */
    uint8_t source; /* enum sdp_source */
    uint32_t clock_rate;
    size_t n_codecs, n_layers;
    struct relay_codec codec[RELAY_MAX_CODECS]; /* that may come; the first one is the usual */
    struct relay_layer layer[RELAY_MAX_LAYERS];
    struct rtp_ext_map ext; /* kinds that this side doesn't know are left out in reading */
};

/* Whether they say the same; `measured`: bps and fps too. */
bool relay_description_same(const struct relay_description *a, const struct relay_description *b,
                            bool measured);

struct relay_frame {
    enum relay_frame_type type;
    uint32_t track;
    struct id room;
    uint32_t participant; /* 1..65535 */
    struct relay_description description;
    uint8_t layers;    /* that are wanted, a bit each; 0: nothing */
    uint8_t keyframes; /* wanted of these, a bit each */
    uint8_t layer;
    size_t n_seqs, n_levels;
    uint16_t seq[RELAY_MAX_SEQS];
    struct relay_level level[RELAY_MAX_LEVELS];
    struct rtcp_sender_info info;
    const uint8_t *payload; /* borrowed from what was read */
    size_t payload_len;
};

/* Reads one frame. ERR_TRUNCATED, ERR_TOO_LARGE, ERR_INVALID (a room that is no UUID, ranges),
 * ERR_UNSUPPORTED (another version, an unknown type: to be ignored). */
int relay_frame_read(struct relay_frame *f, const uint8_t *data, size_t len);
/* Writes one, at most cap bytes; returns its bytes or ERR_TOO_LARGE, ERR_INVALID. */
int relay_frame_write(const struct relay_frame *f, uint8_t *out, size_t cap);
/* Whether it is a packet frame with a whole head, and of which layer of which track: the quick way
 * to what comes most. The packet begins RELAY_PACKET_HEAD further. */
bool relay_frame_is_packet(const uint8_t *data, size_t len, uint32_t *track, uint8_t *layer);
/* The head of a packet frame, RELAY_PACKET_HEAD bytes. */
void relay_frame_write_packet_head(uint8_t out[RELAY_PACKET_HEAD], uint32_t track, uint8_t layer);

#endif
