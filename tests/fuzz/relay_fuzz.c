/* The relay: whatever frames a link brings, in whatever order, the router stays sound and ends
 * empty. The input is frames, each behind a byte of length; a length of 0 lets 50 ms pass. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/relay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct id room = {"01890a5d-ac96-774b-bcce-b302099a8057"};

static void ignore(void *arg, uint32_t link, const struct relay_frame *f)
{
    uint8_t out[RELAY_MAX_FRAME];
    (void)arg;
    (void)link;
    if (relay_frame_write(f, out, sizeof out) < 0) {
        abort();
    }
}

/* Somebody to look at what comes, and somebody of our own to be announced. */
static void people(struct router *r)
{
    struct subscriber *s;
    struct publisher *p;
    struct sdp_publish sdp = {.n_tracks = 1};
    sdp.track[0] = (struct sdp_track){
        .kind = SDP_VIDEO, .sending = true, .pt = 96, .clock_rate = 90000, .nack = true, .ssrc = 7};
    if (router_subscribe(r, &room, 2, 2, 2, 1, 0, &s) ||
        router_publish(r, &room, 3, &sdp, 1, 0, &p)) {
        abort();
    }
    router_subscriber_ready(r, s, 0);
    router_publisher_ready(r, p, 0);
}

static void take_packet(struct router *r, struct relay *relay, const struct relay_frame *f,
                        int64_t now_us)
{
    struct packet *k = f->payload_len <= PACKET_CAP ? router_alloc(r) : NULL;
    size_t n;
    if (!k) {
        return;
    }
    memcpy(packet_data(k), f->payload, f->payload_len);
    k->len = (uint16_t)f->payload_len;
    k->arrival_us = now_us;
    bool good = rtp_parse(&k->header, packet_data(k), k->len) == OK;
    struct track *t = good ? relay_packet(relay, 0, f->track, f->layer, k) : NULL;
    if (t) {
        (void)router_track_packet(r, t, k, false, &n);
    }
    packet_unref(k);
}

static void take(struct router *r, struct relay *relay, const uint8_t *data, size_t len,
                 int64_t now_us)
{
    struct relay_frame f;
    struct packet *resend[RELAY_MAX_SEQS];
    size_t n;
    if (relay_frame_read(&f, data, len) != OK) {
        return;
    }
    if (f.type == RELAY_PACKET) {
        take_packet(r, relay, &f, now_us);
    } else {
        (void)relay_input(relay, 0, &f, now_us, now_us, resend, RELAY_MAX_SEQS, &n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct router_limits limits = {.max_rooms = 4, .pool_packets = 64, .cache_us = 1000000};
    struct router *r = router_new(&limits);
    struct relay *relay = relay_new(r);
    int64_t now_us = 1000000;
    people(r);
    relay_open(relay, 0);
    if (relay_join(relay, 0, &room, true)) {
        abort();
    }
    for (size_t at = 0; at < size;) {
        size_t len = data[at++];
        len = len < size - at ? len : size - at;
        if (len == 0) {
            now_us += 50000;
            relay_tick(relay, now_us, ignore, NULL);
            router_tick(r, now_us);
        }
        take(r, relay, data + at, len, now_us);
        at += len;
    }
    relay_free(relay, now_us);
    if (router_room(r, &room) == NULL || room_size(router_room(r, &room)) != 2) {
        abort(); /* what the link brought is gone, and nothing else */
    }
    router_free(r);
    return 0;
}
