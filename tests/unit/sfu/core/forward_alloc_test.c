/* Nothing on a packet's way through the router allocates: malloc and its kin are counted. */
#include "tests/unit/sfu/core/room_fixture.h"

#include <stdlib.h>

#include "lib/proto/rtcp.h"
#include "sfu/core/srtp_writer.h"

#define SUBSCRIBERS 20
#define PACKETS     5000

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTED 0 /* the sanitizers bring their own malloc */
#else
#define COUNTED 1
#endif

static size_t allocations;

#if COUNTED
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
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
void *realloc(void *p, size_t n)
{
    allocations++;
    return __libc_realloc(p, n);
}
#endif

static struct srtp_writer *make_writer(void)
{
    static const uint8_t key[16] = {1}, salt[14] = {2};
    struct srtp_writer *w;
    assert_int_equal(srtp_writer_new(&w, SRTP_AEAD_AES_128_GCM, key, salt), OK);
    return w;
}

/* All that is done to a packet between its decryption and the system call. */
static size_t forward_one(struct router *r, struct publisher *p, struct srtp_writer *w,
                          struct packet *k)
{
    static uint8_t out[1600];
    size_t n, header_len;
    struct track *t;
    const struct forward *f = router_packet(r, p, k, &n, &t);
    for (size_t i = 0; i < n; i++) {
        int len = slot_written(f[i].slot, k, &f[i].to, false, out, sizeof out, &header_len);
        assert_true(srtp_writer_protect(w, &f[i].slot->stream, out, (size_t)len, header_len,
                                        sizeof out) > len);
    }
    packet_unref(k);
    return n;
}

static void ask_again(struct subscriber *s, uint16_t seq, int64_t now_us)
{
    static uint8_t out[1600];
    uint8_t rtcp[64];
    struct writer w;
    struct resend again[4];
    struct subscriber_requests count = {0};
    size_t header_len;
    bool bad;
    writer_init(&w, rtcp, sizeof rtcp);
    rtcp_write_nack(&w, 1, subscriber_video(s, 0)->ssrc, &seq, 1);
    size_t n = subscriber_rtcp(s, rtcp, w.len, now_us, now_us, again, 4, &count, &bad);
    for (size_t i = 0; i < n; i++) {
        slot_written(again[i].slot, again[i].packet, &again[i].to, true, out, sizeof out,
                     &header_len);
    }
}

static void test_forwarding_allocates_nothing(void **state)
{
    (void)state;
    struct router *r = fixture_router(2048);
    struct publisher *p = fixture_publisher(r, 1);
    struct subscriber *s = NULL;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        s = fixture_subscriber(r, 2 + i, 3, 4);
    }
    struct srtp_writer *w = make_writer();
    uint8_t out[1500];
    struct publisher_feedback count = {0};
    size_t forwarded = 0;
    int64_t now_us = START_US;
    forward_one(r, p, w, fixture_audio(r, 1, 0, 20, now_us)); /* OpenSSL warms up */
    forward_one(r, p, w, fixture_video(r, 1, 0, true, now_us));

    size_t before = allocations;
    for (int i = 1; i < PACKETS; i++) {
        now_us += 4000;
        forwarded += forward_one(r, p, w, fixture_audio(r, 1, (uint16_t)i, 20, now_us));
        if (i % 50 != 49) { /* some are lost */
            forwarded += forward_one(r, p, w, fixture_video(r, 1, (uint16_t)i, false, now_us));
        }
        ask_again(s, subscriber_video(s, 0)->rewriter.out_highest & 0xffff, now_us);
        while (publisher_poll(p, out, sizeof out, now_us, &count) > 0) {
        }
        while (subscriber_poll(s, out, 1200, "cname", now_us, now_us) > 0) {
        }
        router_tick(r, now_us);
    }
    size_t after = allocations;
    assert_true(forwarded > (size_t)PACKETS * SUBSCRIBERS);
    assert_true(count.nacked > 0);
    assert_true(subscriber_video(s, 0)->resent > 0);
    assert_int_equal(after - before, 0);
    srtp_writer_free(w);
    router_free(r);
}

static void test_the_count_counts(void **state)
{
    (void)state;
    size_t before = allocations;
    void *volatile p = malloc(10);
    free(p);
    assert_int_equal(allocations - before, COUNTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_count_counts),
        cmocka_unit_test(test_forwarding_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
