/* The sending side of a participant as the SFU sees it: the tracks of one transport, whose SSRC is
 * whose, and the RTCP that goes back: NACK, PLI, transport-wide feedback, receiver reports. */
#ifndef SOTTO_SFU_CORE_PUBLISHER_H
#define SOTTO_SFU_CORE_PUBLISHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/proto/sdp_publish.h"
#include "sfu/core/track.h"
#include "sfu/core/twcc_recorder.h"

#define PUBLISHER_MAX_STREAMS 64 /* SSRCs known at a time; a new one takes the oldest's place */
#define PUBLISHER_REPORT_US   1000000
/* What those may send whose bandwidth only REMB bounds (draft-alvestrand-rmcat-remb): plenty. */
#define PUBLISHER_REMB_BPS 20000000
#define PUBLISHER_SOURCES  (SDP_MAX_TRACKS * TRACK_STREAMS) /* numbers that one takes */

struct room;

struct publisher_stream {
    uint32_t ssrc;
    bool rtx;
    uint8_t at; /* which of its track's streams */
    struct track *track;
};

struct publisher {
    uint32_t number; /* the participant's; the CSRC of every packet that comes from here */
    struct room *room;
    bool ready; /* the transport is up: tracks may be put into slots */
    size_t n_tracks;
    struct track *track[SDP_MAX_TRACKS];
    size_t n_streams, next_stream;
    struct publisher_stream stream[PUBLISHER_MAX_STREAMS];
    struct rtp_ext_map ext; /* one mapping over the BUNDLE (RFC 8843 section 9.2) */
    uint32_t ssrc;          /* ours, as sender of the feedback */
    struct twcc_recorder twcc;
    struct sr_clock clock;
    int64_t report_us; /* when the next receiver report is due, */
    int64_t remb_us;   /* and the next REMB */
    int64_t remb_bps;
    int64_t cache_us;
    void *user;                /* the shell's transport; NULL when it comes over a relay link */
    uint32_t link;             /* 1 + that link; 0: it has a transport here */
    struct publisher **holder; /* set to NULL when it is freed; or NULL */
};

/* source_base: sources base … base + PUBLISHER_SOURCES - 1 are this publisher's. random: 32 bits
 * for our SSRC. NULL when out of memory. */
struct publisher *publisher_new(struct room *room, uint32_t number, const struct sdp_publish *sdp,
                                uint32_t source_base, uint32_t random, int64_t cache_us);
/* Its tracks must feed nothing any more. NULL is fine. */
void publisher_free(struct publisher *p);

/* A new description of the same transport: tracks are matched by mid and kind, and those kept go on
 * where they are. Tracks that left, or whose stream changed, are put into gone[] for the caller to
 * detach and track_free; *n_gone tells how many. ERR_NOMEM: nothing changed. */
int publisher_update(struct publisher *p, const struct sdp_publish *sdp, uint32_t source_base,
                     struct track *gone[SDP_MAX_TRACKS], size_t *n_gone);

/* The track that a packet (header parsed) belongs to: by SSRC, else by its MID and RID extensions,
 * else by a payload type that one track alone has; k->stream tells which of its streams. A
 * retransmission is unwrapped in place (RFC 4588). Notes the transport-wide number. NULL: nobody's.
 */
enum publisher_packet {
    PUBLISHER_MEDIA,
    PUBLISHER_RETRANSMISSION, /* unwrapped */
    PUBLISHER_PROBE,          /* on the RTX stream, without content: nothing to forward */
};
struct track *publisher_find(struct publisher *p, struct packet *k, enum publisher_packet *what);

/* One decrypted RTCP compound from the publisher. ERR_INVALID, ERR_TRUNCATED: what came before the
 * broken part has been taken. */
int publisher_rtcp(struct publisher *p, const uint8_t *data, size_t len, int64_t now_us,
                   int64_t wall_us);

struct publisher_feedback {
    uint32_t nacked, plis; /* sequence numbers asked for, pictures asked for */
};
/* The RTCP that is due, at most cap bytes (1200 is right); returns its bytes, 0 when nothing is
 * due. Call until 0. What was asked for is added to *count. */
size_t publisher_poll(struct publisher *p, uint8_t *out, size_t cap, int64_t now_us,
                      struct publisher_feedback *count);

/* The track of that source that sends, or NULL. */
struct track *publisher_track(const struct publisher *p, enum sdp_source source);

#endif
