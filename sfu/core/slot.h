/* One outgoing stream of a subscriber: an m-line with one SSRC for its whole life, fed by one track
 * at a time. Writes packets as they leave: our SSRC, numbers, payload type and extensions, the
 * publisher's number as CSRC. */
#ifndef SOTTO_SFU_CORE_SLOT_H
#define SOTTO_SFU_CORE_SLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/fetch.h"
#include "lib/proto/sdp_subscribe.h"
#include "sfu/core/allocator.h"
#include "sfu/core/rewriter.h"
#include "sfu/core/srtp_writer.h"
#include "sfu/core/track.h"

#define SLOT_HEADER 600 /* bytes that a header may have, an RTX packet's OSN included */
#define SLOT_OSN    2   /* the original number in front of an RTX payload (RFC 4588 section 4) */

struct subscriber;

/* What the viewer asked for (sfu_view). */
struct slot_wish {
    uint32_t participant; /* 0: nobody */
    enum sdp_source source;
    uint32_t max_height; /* 0: any */
    int32_t priority;
};

/* Why a slot sends nothing, or that it does. */
enum slot_reason {
    SLOT_SENT,
    SLOT_EMPTY,     /* nobody is in it */
    SLOT_REFUSED,   /* the viewer's answer has no place for it */
    SLOT_SILENT,    /* the source sends nothing */
    SLOT_CODEC,     /* the source sends a codec that the viewer didn't agree to */
    SLOT_BANDWIDTH, /* the allocator: it doesn't fit */
    SLOT_OVERLOAD,  /* the allocator: the worker sheds load */
    SLOT_UNWANTED,  /* the allocator: not looked at */
};
/* "sent", "empty", … Static storage. */
const char *slot_reason_name(enum slot_reason r);

/* What each packet needs stands together at the top, on lines of its own: between two frames of a
 * hundred viewers all of this has left the cache, and each line costs more to fetch than what is
 * done with it. The first line is for mapping and writing, the second for writing only, what the
 * rewriter begins for mapping only (slot_prefetch, slot_prefetch_write). */
struct slot {
    _Alignas(FETCH_LINE) struct subscriber *subscriber;
    void *user;               /* the subscriber's, since the track was put in */
    struct track *track;      /* NULL: nobody */
    uint64_t packets, octets; /* sent, for sender reports */
    uint32_t ssrc;
    uint8_t kind;     /* enum sdp_kind */
    bool accepted;    /* by the answer */
    bool plain;       /* packets in order need no layer selector (layers_take_all) */
    bool paused;      /* by the allocator: nothing is sent */
    bool stamped;     /* headers have room for slot_stamp (subscriber_stamped) */
    bool rtx;         /* of any codec */
    bool unwraps_red; /* RED goes out as the Opus in it */
    uint8_t codec;    /* of the newest packet of its track */
    uint8_t mid_len;
    uint8_t playout; /* of video: the least delay that its viewer is to play it with, in 10 ms; 0:
                        what the source says */
    uint8_t pt[CODECS]; /* by enum codec; 0: not agreed */

    _Alignas(FETCH_LINE) uint8_t rtx_pt[CODECS];
    struct rtp_ext_map ext; /* what may be written; 0: not agreed */
    char mid[SDP_MID_LEN];
    struct srtp_stream stream; /* rollover state, for the shell's writer */

    _Alignas(FETCH_LINE) struct rewriter rewriter; /* its past comes with the first track, and goes
                                                     with the slot */
    int64_t last_us;                               /* newest packet sent; 0: none */
    uint32_t last_ts;                              /* its timestamp, */
    uint32_t last_source;                          /* and its stream, as the rewriter knows it */

    struct layers layers; /* of video; it and what follows not for each packet */
    uint32_t feed;        /* its place in track->feeds */
    uint32_t index;       /* among the slots of its kind */
    uint32_t rtx_ssrc;
    struct srtp_stream rtx_stream;
    uint16_t rtx_seq;
    uint8_t told_sid; /* the spatial layer that its size was told of */
    struct slot_wish wish;
    enum allocator_state state; /* why it is paused, if it is */
    uint32_t key;               /* who is in it, as the room's ranking knows him; 0: nobody */
    uint8_t fraction_lost;      /* of the last receiver report */
    int64_t rtt_us;             /* -1: not known */
    uint64_t resent;
    struct counters counters; /* read by slot_counters, which fills in the rest */
};

/* random: 64 bits for the first sequence numbers and timestamp. */
void slot_init(struct slot *s, struct subscriber *sub, enum sdp_kind kind, uint32_t index,
               uint32_t ssrc, uint32_t rtx_ssrc, uint64_t random);
/* Frees what it holds; it must have no track. */
void slot_end(struct slot *s);
/* Puts the track (NULL: nobody) into the slot and takes the one before out; asks for a keyframe.
 * Out of memory the slot stays empty, and it may be tried again. */
void slot_set_track(struct slot *s, struct track *t, int64_t now_us);
/* It will be given a packet soon. picture: which begins one. */
static inline void slot_prefetch(const struct slot *s, bool picture)
{
    fetch_write(s);
    fetch_write(&s->rewriter);
    fetch_write((const char *)&s->rewriter + FETCH_LINE);
    if (picture) {
        fetch_write(&s->counters.n[COUNTER_FRAMES]);
        fetch_write(&s->counters.frame_us);
    }
}
/* Its packets will be written soon. */
static inline void slot_prefetch_write(const struct slot *s)
{
    fetch_read(s);
    fetch_write(s->rtx_pt);
}

/* The track's streams are others than before: begins anew with its next keyframe. */
void slot_restart(struct slot *s);
/* What is to be sent from now on; asks for the keyframe that it takes. */
void slot_aim(struct slot *s, const struct layers_target *target, int64_t now_us);
/* Aims at what fits its wish's height, as long as no allocator decides. */
void slot_fit(struct slot *s, int64_t now_us);
/* Its viewer needs a keyframe. */
void slot_request_keyframe(struct slot *s, int64_t now_us);

/* Maps a packet of its track, which is to be forwarded. False when it isn't to be sent (no keyframe
 * yet, not this layer, no place, not this codec). */
bool slot_map(struct slot *s, const struct packet *k, const struct track_packet *p,
              struct rewritten *to);
/* Maps one that went out under `seq` for its retransmission. False: there is none. */
bool slot_map_again(struct slot *s, const struct packet *k, uint16_t seq, struct rewritten *to);

/* What a viewer is told of a slot (and everybody who asks). */
struct slot_told {
    bool paused; /* of video: no picture comes */
    enum slot_reason reason;
    uint16_t width, height; /* of the layer that is sent; 0: not known */
    int8_t stream, sid;     /* which that is; -1: none */
};
void slot_tell(const struct slot *s, struct slot_told *out);
/* It has a track and waits for a keyframe of it. */
static inline bool slot_waits(const struct slot *s)
{
    return s->kind == SDP_VIDEO && s->track && s->layers.current < 0 && !s->layers.target.paused;
}
/* Everything counted of it. */
void slot_counters(const struct slot *s, struct counters *out);

/* The header as it leaves, at dst; rtx: of a retransmission (RFC 4588) on the slot's RTX stream,
 * with the OSN that belongs to the payload behind it; each call takes a number of that stream.
 * Returns its bytes (OSN included) or ERR_TOO_LARGE (cap; SLOT_HEADER is right). The track may have
 * left the slot meanwhile. */
int slot_write_header(struct slot *s, struct packet *k, const struct rewritten *to, bool rtx,
                      uint8_t *dst, size_t cap);
/* The same for a packet of the slot's that slot_repeats says is like one before it, whose header of
 * `len` bytes is at `before`, not stamped yet. */
void slot_repeat_header(const struct rewritten *to, const uint8_t *before, size_t len,
                        uint8_t *dst);
/* Only marker, number and timestamp tell the header of k from that of the packet before it, where
 * neither is a retransmission: most packets of a frame. */
static inline bool slot_repeats(const struct packet *before, const struct packet *k)
{
    return before->codec == k->codec && before->csrc == k->csrc && before->n_passed == 0 &&
           k->n_passed == 0;
}
/* Writes the transport-wide number and abs-send-time (rtp_abs_send_time) into a header that this
 * slot has written while `stamped`, as far as the answer agreed to them: they always stand first,
 * so this costs next to nothing. Call it last of all, when the order and the moment of sending are
 * known. */
void slot_stamp(const struct slot *s, uint8_t *header, uint16_t transport_seq,
                uint32_t abs_send_time);
/* A probe: a packet without payload on the slot's RTX stream, with so many bytes of padding (1 to
 * 255, RFC 3550 section 5.1); needs s->rtx. Returns its length and *header_len; ERR_STATE (no RTX,
 * or nothing was sent yet), ERR_TOO_LARGE. Stamped and encrypted like a retransmission
 * (rtx_stream). */
int slot_write_padding(struct slot *s, uint8_t padding, uint8_t *dst, size_t cap,
                       size_t *header_len);
/* Bytes of the payload as this slot's receiver is to see it, */
static inline size_t slot_payload_len(const struct slot *s, const struct packet *k)
{
    size_t off = s->unwraps_red && k->codec == CODEC_RED ? k->red_off : 0;
    return k->header.payload_len - off;
}
/* and those, at dst. */
void slot_write_payload(const struct slot *s, struct packet *k, const struct rewritten *to,
                        uint8_t *dst);

#endif
