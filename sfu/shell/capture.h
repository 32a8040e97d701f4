/* An admin's capture: what the publishers of one room send, decrypted from SRTP, in a file that
 * Wireshark reads. The payload is what is forwarded: end-to-end encrypted frames stay so.
 *
 * Each worker writes into a tap, a bounded ring, and never waits: what doesn't fit is counted and
 * left out. One thread writes all taps of a capture into the file, until the time or the bytes are
 * used up. */
#ifndef SOTTO_SFU_CAPTURE_H
#define SOTTO_SFU_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"

#define CAPTURE_MAX_SECONDS 300
#define CAPTURE_MIN_BYTES   4096
#define CAPTURE_MAX_BYTES   (1 << 30)
#define CAPTURE_PATH        512
#define CAPTURE_PORT        5004 /* UDP port that all packets go to in the file */
#define CAPTURE_PACKET      2048 /* longer ones are left out */

/* ---- a tap: one thread puts, the capture's thread takes ---- */

struct capture_tap;

/* With one reference. NULL when out of memory. */
struct capture_tap *capture_tap_new(const struct id *room);
struct capture_tap *capture_tap_ref(struct capture_tap *t); /* returns t */
void capture_tap_unref(struct capture_tap *t);              /* from any thread; NULL is fine */
const struct id *capture_tap_room(const struct capture_tap *t);
/* Nothing is taken any more: whoever puts may let go of it. */
bool capture_tap_closed(const struct capture_tap *t);
/* An RTP packet of a participant (1..65535), which came at wall_us. Copies; never waits. */
void capture_tap_put(struct capture_tap *t, int64_t wall_us, uint32_t participant,
                     const uint8_t *data, size_t len);

/* ---- a capture: control's thread ---- */

struct capture;

struct capture_options {
    const char *dir; /* must exist */
    struct id room;
    int64_t seconds;   /* 1..CAPTURE_MAX_SECONDS */
    int64_t max_bytes; /* of the file, CAPTURE_MIN_BYTES..CAPTURE_MAX_BYTES */
    size_t n_taps;
};

struct capture_counts {
    uint64_t packets, bytes, dropped;
};

/* Makes the file (mode 0600, never an existing one) and starts the thread. ERR_INVALID, ERR_IO,
 * ERR_NOMEM. */
int capture_start(struct capture **out, const struct capture_options *o, int64_t wall_us);
/* Borrowed; i < n_taps. */
struct capture_tap *capture_tap_at(const struct capture *c, size_t i);
const char *capture_path(const struct capture *c);
const struct id *capture_room(const struct capture *c);
/* It has ended, or the file could not be written. */
bool capture_done(const struct capture *c);
void capture_counts(const struct capture *c, struct capture_counts *out);
/* Ends it soon. */
void capture_stop(struct capture *c);
/* Ends it and waits for its thread: counts are final then. */
void capture_finish(struct capture *c);
/* Ends it, waits for its thread (some 20 ms at most, and the disk) and frees. NULL is fine. */
void capture_free(struct capture *c);

#endif
