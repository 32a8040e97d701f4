/* What a DTLS 1.2 association still has to do once SRTP has its keys (RFC 5764 section 4.2): repeat
 * our last flight when the peer's Finished comes again, because ours was lost (RFC 6347 section
 * 4.2.4), understand alerts, and say close_notify. That takes one key and some 200 bytes (400 with
 * what dtls.c keeps), where OpenSSL's association takes 70 KiB. Of
 * TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 only (RFC 5289), which is what clients of ours agree to;
 * with another suite OpenSSL's is kept. Who asks for another handshake is not heard: there is no
 * renegotiation here, and a new association is a new transport. */
#ifndef SOTTO_SFU_DTLS_AFTER_H
#define SOTTO_SFU_DTLS_AFTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#define DTLS_AFTER_FLIGHT   256 /* bytes; ChangeCipherSpec and Finished are 75 */
#define DTLS_AFTER_PARTS    4
#define DTLS_AFTER_FAREWELL 64 /* a close_notify is 39 */
/* So often is the flight repeated at most. A peer that asks each second gives up before; one who
 * plays a recorded Finished back from a forged address has so many packets sent there, ever. */
#define DTLS_AFTER_REPEATS 32
#define DTLS_AFTER_RECORDS 4 /* of a datagram are decrypted; one is all that a peer has to say */

/* Datagrams as they went out. */
struct dtls_flight {
    bool too_large; /* for this: incomplete */
    size_t n, len;
    size_t part[DTLS_AFTER_PARTS]; /* their lengths */
    uint8_t bytes[DTLS_AFTER_FLIGHT];
};
void dtls_flight_clear(struct dtls_flight *f);
void dtls_flight_add(struct dtls_flight *f, const uint8_t *data, size_t len);

struct dtls_after;

enum dtls_after_event {
    DTLS_AFTER_NOTHING,
    DTLS_AFTER_REPEAT, /* the peer wants our last flight again */
    DTLS_AFTER_CLOSED, /* close_notify, or an alert that is fatal */
};

/* Whether the association agreed to the one suite that is known here. */
bool dtls_after_supports(const SSL *ssl);
/* From a finished association: its read keys, and both parts copied. flight: what we sent last (of
 * a client: nothing, no peer waits for it). farewell: one datagram, our close_notify, made by
 * OpenSSL and not sent yet. ERR_UNSUPPORTED (suite, or a part too large), ERR_NOMEM. */
int dtls_after_new(struct dtls_after **out, SSL *ssl, bool client, const struct dtls_flight *flight,
                   const struct dtls_flight *farewell);
/* Wipes the key. NULL is fine. */
void dtls_after_free(struct dtls_after *a);
/* One datagram from the peer. What isn't authentic says nothing. */
enum dtls_after_event dtls_after_input(struct dtls_after *a, const uint8_t *data, size_t len);
/* The i-th datagram of the last flight; its length, 0 when there are no more. Borrowed. */
size_t dtls_after_flight(const struct dtls_after *a, size_t i, const uint8_t **data);
size_t dtls_after_farewell(const struct dtls_after *a, const uint8_t **data);

#endif
