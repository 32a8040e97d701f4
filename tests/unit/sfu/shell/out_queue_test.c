/* What leaves: trains that a receiver (libsrtp2) reads as the packets that came, in their order. */
#include "tests/unit/sfu/core/room_fixture.h"

#include <srtp2/srtp.h>
#include <stdlib.h>

#include "lib/base/ids.h"
#include "sfu/shell/out_queue.h"
#include "sfu/shell/transport.h"

#define PEERS     3
#define DATAGRAMS 20000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0 /* the sanitizers bring their own malloc */
#else
#define COUNTED 1
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
static size_t allocations;
void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}
void *calloc(size_t n, size_t size)
{
    allocations++;
    return __libc_calloc(n, size);
}
#endif

struct datagram {
    uint16_t peer, message, len; /* peer: its index; message: which one it was part of */
    uint8_t data[1600];
};

static struct datagram sent[DATAGRAMS];
static size_t n_sent, n_messages, refuse;
static bool keep = true;

struct peer {
    struct transport t;
    struct subscriber *s;
    srtp_t receiver;
};

struct scene {
    struct router *r;
    struct publisher *p;
    struct out_queue *q;
    struct peer peer[PEERS];
    uint16_t audio_seq, video_seq;
    uint32_t ts;
};

/* Takes all but the last `refuse`. */
static int take(void *arg, const struct udp_message *m, int n)
{
    int all = 0;
    (void)arg;
    for (int i = 0; i < n; i++) {
        size_t step = m[i].segment ? m[i].segment : m[i].len;
        assert_true(m[i].len > 0 && m[i].len <= UDP_TRAIN_LEN);
        for (size_t at = 0; at < m[i].len; at += step, all++) {
            size_t len = m[i].len - at < step ? m[i].len - at : step;
            struct datagram *d = &sent[keep ? n_sent++ : 0];
            assert_true(n_sent < DATAGRAMS && len <= sizeof d->data);
            *d = (struct datagram){.peer = ntohs(m[i].peer->sin6_port),
                                   .message = (uint16_t)n_messages,
                                   .len = (uint16_t)len};
            memcpy(d->data, m[i].data + at, len);
        }
        n_messages++;
    }
    return all - (int)(refuse < (size_t)all ? refuse : (size_t)all);
}

static void open_peer(struct scene *s, size_t i, enum srtp_profile profile)
{
    struct peer *p = &s->peer[i];
    uint8_t key[64];
    srtp_policy_t policy;
    memset(&p->t, 0, sizeof p->t);
    memset(&policy, 0, sizeof policy);
    memset(key, (int)(i + 1), sizeof key);
    size_t key_len = srtp_profile_key_len(profile);
    assert_int_equal(srtp_writer_new(&p->t.writer, profile, key, key + key_len), OK);
    if (profile == SRTP_AES128_CM_SHA1_80) {
        srtp_crypto_policy_set_rtp_default(&policy.rtp);
        srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    } else {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    }
    policy.ssrc.type = ssrc_any_inbound;
    policy.key = key;
    policy.window_size = 1024;
    assert_int_equal(srtp_create(&p->receiver, &policy), srtp_err_status_ok);
    p->t.selected = &p->t.address[0];
    p->t.address[0].addr.sin6_port = htons((uint16_t)i);
    p->s = fixture_subscriber(s->r, 2 + (uint32_t)i, 2, 2);
    p->s->user = &p->t;
}

static struct scene *open_scene(enum srtp_profile profile)
{
    static struct scene s;
    s = (struct scene){.r = fixture_router(4096), .q = out_queue_new(take, NULL), .ts = 1};
    s.p = fixture_publisher(s.r, 1);
    for (size_t i = 0; i < PEERS; i++) {
        open_peer(&s, i, profile);
    }
    n_sent = n_messages = refuse = 0;
    keep = true;
    return &s;
}

static void close_scene(struct scene *s)
{
    out_queue_free(s->q);
    for (size_t i = 0; i < PEERS; i++) {
        srtp_dealloc(s->peer[i].receiver);
        srtp_writer_free(s->peer[i].t.writer);
    }
    router_free(s->r); /* aborts when a packet hasn't come home */
}

static void queue(struct scene *s, struct packet *k, int64_t due_us)
{
    size_t n;
    struct track *t;
    const struct forward *f = router_packet(s->r, s->p, k, &n, &t);
    for (size_t i = 0; i < n; i++) {
        out_queue_add(s->q, f[i].slot->subscriber->user, f[i].slot, k, &f[i].to, false, due_us);
    }
    packet_unref(k);
}

static void queue_audio(struct scene *s)
{
    s->audio_seq++;
    queue(s, fixture_audio(s->r, 1, s->audio_seq, 20, START_US + s->audio_seq * INT64_C(20000)), 0);
}

/* A video packet of so many bytes of payload, all of them its length's low byte. */
static void queue_video(struct scene *s, size_t payload, bool first, bool marker, int64_t due_us)
{
    uint8_t data[1500];
    memset(data, (int)(payload & 0xff), sizeof data);
    data[0] = first ? 0x10 : 0x00; /* S; no picture id */
    data[1] = 0x00;                /* P clear: a keyframe's */
    struct rtp_out o = {.pt = VIDEO_PT,
                        .marker = marker,
                        .seq = ++s->video_seq,
                        .ts = s->ts,
                        .ssrc = VIDEO_SSRC(1)};
    s->ts += marker ? 3000 : 0;
    queue(s, fixture_parsed(s->r, &o, data, payload, START_US + (int64_t)s->ts * 11), due_us);
}

/* Opens the next datagram of the peer from *at on; its payload's length, -1 when there is none. */
static int receive(struct scene *s, size_t peer, size_t *at, struct rtp_header *h, uint8_t *plain)
{
    for (; *at < n_sent; (*at)++) {
        if (sent[*at].peer != peer) {
            continue;
        }
        int n = sent[*at].len;
        memcpy(plain, sent[*at].data, (size_t)n);
        assert_int_equal(srtp_unprotect(s->peer[peer].receiver, plain, &n), srtp_err_status_ok);
        assert_int_equal(rtp_parse(h, plain, (size_t)n), OK);
        (*at)++;
        return h->payload_len;
    }
    return -1;
}

static void expect_video(struct scene *s, size_t peer, size_t *at, const size_t *payload, size_t n)
{
    struct rtp_header h;
    _Alignas(16) uint8_t plain[1600];
    uint16_t seq = 0;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(receive(s, peer, at, &h, plain), payload[i]);
        assert_int_equal(h.ssrc, subscriber_video(s->peer[peer].s, 0)->ssrc);
        assert_int_equal(plain[h.payload_off + payload[i] - 1], payload[i] & 0xff);
        assert_true(i == 0 || h.seq == (uint16_t)(seq + 1));
        assert_int_equal(rtp_csrc(&h, plain, 0), 1);
        seq = h.seq;
    }
}

static void frame_as_one_train(enum srtp_profile profile)
{
    static const size_t payload[] = {1100, 1101, 1100, 1101, 1101, 640};
    struct scene *s = open_scene(profile);
    struct out_counts c;
    for (size_t i = 0; i < 6; i++) {
        queue_video(s, payload[i], i == 0, i == 5, 0);
    }
    out_queue_flush(s->q, START_US);
    assert_int_equal(n_messages, PEERS);
    assert_int_equal(n_sent, 6 * PEERS);
    for (size_t p = 0; p < PEERS; p++) {
        size_t at = 0;
        expect_video(s, p, &at, payload, 6);
    }
    out_queue_take_counts(s->q, &c);
    assert_int_equal(c.packets, 6 * PEERS);
    assert_int_equal(c.messages, PEERS);
    assert_int_equal(c.padding, 2 * PEERS);
    assert_int_equal(c.refused + c.too_large, 0);
    assert_int_equal(out_queue_due(s->q), INT64_MAX);
    close_scene(s);
}

static void a_frame_is_one_train(void **state)
{
    (void)state;
    frame_as_one_train(SRTP_AEAD_AES_128_GCM);
    frame_as_one_train(SRTP_AES128_CM_SHA1_80);
}

static void without_trains_each_goes_by_itself(void **state)
{
    static const size_t payload[] = {1100, 1101, 1100};
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    struct out_counts c;
    (void)state;
    out_queue_trains(s->q, false);
    for (size_t i = 0; i < 3; i++) {
        queue_video(s, payload[i], i == 0, i == 2, START_US + 1000); /* and nothing is held */
    }
    assert_int_equal(out_queue_due(s->q), 0);
    out_queue_flush(s->q, START_US);
    assert_int_equal(n_messages, 3 * PEERS);
    size_t at = 0;
    expect_video(s, 1, &at, payload, 3);
    out_queue_take_counts(s->q, &c);
    assert_int_equal(c.padding, 0);
    close_scene(s);
}

/* What is held leaves when its time comes, or with what isn't, in the order in which it came. */
static void a_held_frame_waits_for_its_time(void **state)
{
    static const size_t payload[] = {900, 901, 900};
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    struct rtp_header h;
    _Alignas(16) uint8_t plain[1600];
    size_t at = 0;
    (void)state;
    queue_video(s, payload[0], true, false, START_US + 1000);
    queue_video(s, payload[1], false, false, START_US + 1000);
    assert_int_equal(out_queue_due(s->q), START_US + 1000);
    out_queue_flush(s->q, START_US + 999);
    assert_int_equal(n_sent, 0);
    out_queue_flush(s->q, START_US + 1000);
    assert_int_equal(n_messages, PEERS);
    expect_video(s, 0, &at, payload, 2);

    queue_video(s, payload[2], false, false, START_US + 9000);
    queue_audio(s); /* is never held */
    assert_int_equal(out_queue_due(s->q), 0);
    out_queue_flush(s->q, START_US + 2000);
    assert_int_equal(n_messages, 2 * PEERS); /* sound is the short end of the train */
    expect_video(s, 0, &at, payload + 2, 1);
    assert_int_equal(receive(s, 0, &at, &h, plain), 40);
    assert_int_equal(h.ssrc, subscriber_audio(s->peer[0].s, 0)->ssrc);
    assert_int_equal(h.padding, 0);
    close_scene(s);
}

/* Over a rollover of the number, with packets of any size, all that came is read. */
static void everything_is_read_across_the_rollover(void **state)
{
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    struct rtp_header h;
    _Alignas(16) uint8_t plain[1600];
    uint32_t random = 99;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t payload[8], n = 1 + (size_t)round % 8, at = 0;
        n_sent = 0;
        for (size_t i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            payload[i] = 20 + (random >> 16) % 1300;
            queue_video(s, payload[i], i == 0, i + 1 == n, 0);
        }
        out_queue_flush(s->q, START_US);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(receive(s, 2, &at, &h, plain), payload[i]);
        }
    }
    assert_in_range(subscriber_video(s->peer[2].s, 0)->stream.roc, 1, 2);
    close_scene(s);
}

static void a_forgotten_transport_gets_nothing(void **state)
{
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    (void)state;
    queue_video(s, 800, true, false, START_US + 1000); /* held */
    out_queue_forget(s->q, &s->peer[0].t);
    queue_audio(s); /* ready; and peer 0 anew */
    out_queue_forget(s->q, &s->peer[1].t);
    out_queue_flush_all(s->q);
    for (size_t i = 0; i < n_sent; i++) {
        assert_int_not_equal(sent[i].peer, 1);
    }
    assert_int_equal(n_sent, 1 + 2); /* peer 0: sound; peer 2: both */
    queue_video(s, 800, false, true,
                START_US + 5000); /* left behind: out_queue_free gives it back */
    close_scene(s);
}

/* Nowhere to send: numbers pass the writer all the same. */
static void without_an_address_numbers_go_on(void **state)
{
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    struct out_counts c;
    (void)state;
    s->peer[0].t.selected = NULL;
    queue_video(s, 800, true, true, 0);
    queue_video(s, 800, true, true, 0);
    out_queue_flush_all(s->q);
    out_queue_take_counts(s->q, &c);
    assert_int_equal(c.refused, 2);
    assert_int_equal(n_sent, 2 * (PEERS - 1));
    struct slot *slot = subscriber_video(s->peer[0].s, 0);
    assert_int_equal(slot->stream.seq, (uint16_t)slot->rewriter.out_highest);
    close_scene(s);
}

static void what_the_kernel_refuses_is_counted(void **state)
{
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    struct out_counts c;
    (void)state;
    refuse = 2;
    queue_video(s, 800, true, true, 0);
    out_queue_flush_all(s->q);
    out_queue_take_counts(s->q, &c);
    assert_int_equal(c.packets, PEERS - 2);
    assert_int_equal(c.refused, 2);
    close_scene(s);
}

/* More than it holds: it flushes by itself; nothing is lost, nothing is allocated. */
static void a_full_queue_flushes_itself(void **state)
{
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    struct out_counts c;
    (void)state;
    keep = false;
    queue_audio(s);
    queue_video(s, 800, true, true, 0);
    out_queue_flush_all(s->q); /* OpenSSL warms up */
    out_queue_take_counts(s->q, &c);
#if COUNTED
    size_t before = allocations;
#endif
    for (int i = 0; i < 3500; i++) {
        queue_audio(s);
        if (i % 4 == 0) {
            queue_video(s, (size_t)(400 + i % 700), true, i % 8 == 0, START_US * 2);
        }
    }
    out_queue_flush_all(s->q);
#if COUNTED
    assert_int_equal(allocations - before, 0);
#endif
    out_queue_take_counts(s->q, &c);
    assert_int_equal(c.packets, (3500 + 875) * PEERS);
    assert_int_equal(c.refused + c.too_large, 0);
    close_scene(s);
}

/* From arrival to the kernel, of each packet that is sent the first time: a train's first counts
 * for all in it. */
static void transit_times_are_recorded(void **state)
{
    struct scene *s = open_scene(SRTP_AEAD_AES_128_GCM);
    const struct histogram *h = out_queue_transit(s->q);
    uint8_t data[800] = {0x10, 0};
    struct rtp_out o = {.pt = VIDEO_PT, .ts = 1, .ssrc = VIDEO_SSRC(1)};
    struct track *t;
    size_t n;
    (void)state;
    for (o.seq = 1; o.seq <= 4; o.seq++) { /* the first of them is 20 ms old, the others 5 ms */
        int64_t age_us = o.seq == 1 ? 20000 : 5000;
        queue(s, fixture_parsed(s->r, &o, data, sizeof data, clock_mono_us() - age_us), 0);
        data[0] = 0;
    }
    out_queue_flush_all(s->q);
    assert_int_equal(h->count, 4 * PEERS);
    assert_true(h->max >= 20000 && h->max < 20000 + 10000000);
    assert_int_equal(histogram_below(h, 16384), 0);

    struct packet *k = fixture_parsed(s->r, &o, data, sizeof data, clock_mono_us() - 900000);
    const struct forward *f = router_packet(s->r, s->p, k, &n, &t);
    assert_int_equal(n, PEERS);
    for (size_t i = 0; i < n; i++) {
        out_queue_add(s->q, f[i].slot->subscriber->user, f[i].slot, k, &f[i].to, true, 0);
    }
    packet_unref(k);
    out_queue_flush_all(s->q);
    assert_int_equal(n_sent, 5 * PEERS);
    assert_int_equal(h->count, 4 * PEERS);
    close_scene(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_one_train),
        cmocka_unit_test(without_trains_each_goes_by_itself),
        cmocka_unit_test(a_held_frame_waits_for_its_time),
        cmocka_unit_test(everything_is_read_across_the_rollover),
        cmocka_unit_test(a_forgotten_transport_gets_nothing),
        cmocka_unit_test(without_an_address_numbers_go_on),
        cmocka_unit_test(what_the_kernel_refuses_is_counted),
        cmocka_unit_test(a_full_queue_flushes_itself),
        cmocka_unit_test(transit_times_are_recorded),
    };
    if (srtp_init() != srtp_err_status_ok) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
