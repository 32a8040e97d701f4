/* The SRTP reader against libsrtp2 on both sides: libsrtp2 sends, and what it would have said and
 * given of each packet that comes (late, twice, cut, with a bit turned) is what the reader does.
 * SOTTO_SRTP_PACKETS is how many of a profile are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <srtp2/srtp.h>

#include "lib/base/err.h"
#include "lib/proto/rtp.h"
#include "sfu/core/srtp_reader.h"

#define PACKETS 100000
#define LEAST   30000
#define CAP     1600
#define LATE    60   /* packets that one may be overtaken by */
#define KEPT    3000 /* packets sent before that may come again */
#define SENDERS 5

static uint64_t rng_state = 0x9e3779b97f4a7c15u;

static uint32_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32);
}

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rng();
    }
}

static long packets(void)
{
    const char *asked = getenv("SOTTO_SRTP_PACKETS");
    long n = asked ? strtol(asked, NULL, 10) : PACKETS;
    return n < LEAST ? LEAST : n;
}

struct ends {
    srtp_t sender, theirs;
    struct srtp_reader *ours;
    long opened, conflict, auth, invalid;
};

struct sent {
    size_t len;
    uint8_t data[CAP];
};

static srtp_t session(enum srtp_profile profile, uint8_t *key_and_salt, srtp_ssrc_type_t type)
{
    srtp_policy_t policy;
    srtp_t s = NULL;
    memset(&policy, 0, sizeof policy);
    if (profile == SRTP_AES128_CM_SHA1_80) {
        srtp_crypto_policy_set_rtp_default(&policy.rtp);
        srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
    } else if (profile == SRTP_AEAD_AES_128_GCM) {
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
    } else {
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
        srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
    }
    policy.ssrc.type = type;
    policy.key = key_and_salt;
    policy.window_size = SRTP_READER_WINDOW;
    policy.allow_repeat_tx = 1;
    assert_int_equal(srtp_create(&s, &policy), srtp_err_status_ok);
    return s;
}

static struct ends open_ends_of(enum srtp_profile profile, uint8_t key[64])
{
    struct ends e = {0};
    fill(key, 64);
    e.sender = session(profile, key, ssrc_any_outbound);
    e.theirs = session(profile, key, ssrc_any_inbound);
    assert_int_equal(srtp_reader_new(&e.ours, profile, key, key + srtp_profile_key_len(profile)),
                     OK);
    return e;
}

static struct ends open_ends(enum srtp_profile profile)
{
    uint8_t key[64];
    return open_ends_of(profile, key);
}

static void close_ends(struct ends *e)
{
    srtp_dealloc(e->sender);
    srtp_dealloc(e->theirs);
    srtp_reader_free(e->ours);
}

/* Of random shape: CSRCs, one- or two-byte extension, payload or none. */
static size_t random_packet(uint8_t *p, uint16_t seq, uint32_t ssrc)
{
    uint8_t ext_data[40];
    struct rtp_out o = {.pt = 96, .seq = seq, .ts = rng(), .ssrc = ssrc, .marker = rng() & 1};
    fill(ext_data, sizeof ext_data);
    o.n_csrc = (uint8_t)(rng() % 4 == 0 ? rng() % 16 : 0);
    for (size_t i = 0; i < o.n_csrc; i++) {
        o.csrc[i] = rng();
    }
    o.n_ext = (uint8_t)(rng() % 4);
    for (size_t i = 0; i < o.n_ext; i++) {
        o.ext[i] =
            (struct rtp_out_ext){(uint8_t)(1 + rng() % 14), (uint8_t)(1 + rng() % 20), ext_data};
    }
    size_t payload = rng() % 8 == 0 ? rng() % 3 : rng() % 1200;
    int n = rtp_out_write(&o, p, CAP);
    assert_true(n >= 12);
    fill(p + n, payload);
    return (size_t)n + payload;
}

static void send_packet(struct ends *e, struct sent *to, uint16_t seq, uint32_t ssrc)
{
    int n = (int)random_packet(to->data, seq, ssrc);
    assert_int_equal(srtp_protect(e->sender, to->data, &n), srtp_err_status_ok);
    to->len = (size_t)n;
}

static int verdict(srtp_err_status_t status)
{
    switch (status) {
    case srtp_err_status_ok:
        return OK;
    case srtp_err_status_auth_fail:
        return ERR_AUTH;
    case srtp_err_status_replay_fail:
    case srtp_err_status_replay_old:
        return ERR_CONFLICT;
    default:
        return ERR_INVALID;
    }
}

/* To both; they must say and give the same. */
static int arrive(struct ends *e, const uint8_t *data, size_t len)
{
    static _Alignas(16) uint8_t theirs[CAP];
    uint8_t *ours = malloc(len ? len : 1); /* a read behind it shows */
    size_t n = len;
    int m = (int)len;
    assert_non_null(ours);
    memcpy(ours, data, len);
    memcpy(theirs, data, len);
    int expected = verdict(srtp_unprotect(e->theirs, theirs, &m));
    int got = srtp_reader_open(e->ours, ours, &n);
    assert_int_equal(got, expected);
    assert_int_equal(n, got ? len : (size_t)m);
    if (got == OK) {
        assert_memory_equal(ours, theirs, n);
    }
    e->opened += got == OK;
    e->conflict += got == ERR_CONFLICT;
    e->auth += got == ERR_AUTH;
    e->invalid += got == ERR_INVALID;
    free(ours);
    return got;
}

/* With a bit turned, cut, or longer: never taken. */
static void arrive_spoilt(struct ends *e, const struct sent *s)
{
    struct sent bad = *s;
    switch (rng() % 4) {
    case 0:
        bad.len = rng() % s->len;
        break;
    case 1:
        bad.len = s->len + 1 + rng() % (CAP - s->len);
        memset(bad.data + s->len, 0, bad.len - s->len);
        break;
    default: { /* the header is short and has the most to say */
        size_t at = rng() % 2 ? rng() % s->len : rng() % 16;
        bad.data[at] ^= (uint8_t)(1 << rng() % 8);
    }
    }
    assert_true(arrive(e, bad.data, bad.len) < 0);
}

/* The next number: one of some is lost before it comes here, and now and then many are. */
static uint16_t next_seq(uint16_t seq)
{
    uint16_t step = 1;
    if (rng() % 16 == 0) {
        step = (uint16_t)(1 + rng() % 50);
    } else if (rng() % 2000 == 0) {
        step = (uint16_t)(1 + rng() % 30000);
    }
    return (uint16_t)(seq + step);
}

static void deliver(struct ends *e, const struct sent *s)
{
    if (rng() % 3 == 0) {
        arrive_spoilt(e, s);
    }
    if (rng() % 20 == 0) {
        return; /* lost */
    }
    arrive(e, s->data, s->len);
    if (rng() % 8 == 0) {
        arrive(e, s->data, s->len);
    }
}

static void check_profile(enum srtp_profile profile)
{
    static struct sent pending[LATE], kept[KEPT];
    struct ends e = open_ends(profile);
    uint32_t ssrc[SENDERS];
    uint16_t seq[SENDERS];
    memset(kept, 0, sizeof kept);
    for (int i = 0; i < SENDERS; i++) {
        struct sent first;
        ssrc[i] = rng();
        seq[i] = (uint16_t)(65535 - rng() % 4);
        send_packet(&e, &first, seq[i], ssrc[i]);
        arrive_spoilt(&e, &first);
        assert_int_equal(arrive(&e, first.data, first.len), OK);
    }
    for (int i = 0; i < LATE; i++) {
        seq[0] = next_seq(seq[0]);
        send_packet(&e, &pending[i], seq[0], ssrc[0]);
    }
    long n = packets();
    for (long i = 0; i < n; i++) {
        struct sent *p = &pending[rng() % LATE], *old = &kept[rng() % KEPT];
        deliver(&e, p);
        kept[i % KEPT] = *p;
        if (old->len && rng() % 8 == 0) {
            arrive(&e, old->data, old->len);
        }
        int k = (int)(rng() % 8 < 4 ? 0 : rng() % SENDERS);
        seq[k] = next_seq(seq[k]);
        send_packet(&e, p, seq[k], ssrc[k]);
    }
    assert_true(e.opened > n * 3 / 4 && e.conflict > n / 10 && e.auth > n / 10);
    assert_true(e.invalid > n / 1000);
    print_message("%ld opened, %ld replayed or old, %ld forged, %ld no packets: as libsrtp2\n",
                  e.opened, e.conflict, e.auth, e.invalid);
    close_ends(&e);
}

static void cm_equals_libsrtp(void **state)
{
    (void)state;
    check_profile(SRTP_AES128_CM_SHA1_80);
}

static void gcm128_equals_libsrtp(void **state)
{
    (void)state;
    check_profile(SRTP_AEAD_AES_128_GCM);
}

static void gcm256_equals_libsrtp(void **state)
{
    (void)state;
    check_profile(SRTP_AEAD_AES_256_GCM);
}

static const enum srtp_profile profiles[] = {SRTP_AES128_CM_SHA1_80, SRTP_AEAD_AES_128_GCM,
                                             SRTP_AEAD_AES_256_GCM};

/* Streams that begin around the end of the numbers, in any order of their first packets. */
static void streams_begin_anywhere(void **state)
{
    static struct sent s[8];
    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        struct ends e = open_ends(profiles[i % 3]);
        uint16_t first = (uint16_t)(i % 2 ? 65536 - 8 + rng() % 8 : 32768 - 8 + rng() % 8);
        for (size_t k = 0; k < 8; k++) {
            send_packet(&e, &s[k], (uint16_t)(first + k), i);
        }
        for (size_t k = 0; k < 8; k++) {
            const struct sent *p = &s[rng() % 8];
            arrive(&e, p->data, p->len);
        }
        close_ends(&e);
    }
}

/* At that index, whatever was sent before: libsrtp2 won't send one again that is old. */
static void send_index(struct srtp_writer *w, struct sent *to, uint32_t index)
{
    struct srtp_stream at = {.started = true, .seq = (uint16_t)index, .roc = index >> 16};
    struct rtp_out o = {.pt = 96, .seq = (uint16_t)index, .ssrc = 7};
    int n = rtp_out_write(&o, to->data, CAP);
    assert_true(n >= 12);
    fill(to->data + n, 30);
    n = srtp_writer_protect(w, &at, to->data, (size_t)n + 30, (size_t)n, CAP);
    assert_true(n > 42);
    to->len = (size_t)n;
}

/* Both ends of the window, and how far away a number may lie before its rollover is guessed wrong.
 */
static void the_window_ends_where_libsrtps_does(void **state)
{
    static const struct {
        uint32_t index;
        int verdict;
    } order[] = {{2000, OK},
                 {977, OK},
                 {976, ERR_CONFLICT},
                 {2001, OK},
                 {977, ERR_CONFLICT},
                 {978, OK},
                 {978, ERR_CONFLICT},
                 {3025, OK},
                 {2001, ERR_CONFLICT},
                 {2002, OK},
                 {4049, OK}, /* by a whole window */
                 {3025, ERR_CONFLICT},
                 {3026, OK},
                 {4049, ERR_CONFLICT},
                 {4049 + 32768, OK},
                 {4049, ERR_CONFLICT},
                 {36817 - 1023, OK},
                 {36817 - 1024, ERR_CONFLICT},
                 {65535, OK},
                 {65538, OK}, /* rolled over */
                 {65535, ERR_CONFLICT},
                 {65000, OK},
                 {65538 - 1024, ERR_CONFLICT},
                 {65538 - 1023, OK},
                 {65537, OK},
                 {65538 + 32768, OK},
                 {65535, ERR_AUTH}, /* taken for 131071 */
                 {65536, ERR_AUTH}, /* for 131072 */
                 {65538, ERR_CONFLICT},
                 {131072, OK},
                 {65536, ERR_CONFLICT}, /* for 131072 again */
                 {131071, OK},
                 {3 * 65536, ERR_CONFLICT},
                 {3 * 65536 + 1, ERR_AUTH}};
    (void)state;
    for (size_t p = 0; p < 3; p++) {
        uint8_t key[64];
        struct srtp_writer *w;
        struct ends e = open_ends_of(profiles[p], key);
        assert_int_equal(
            srtp_writer_new(&w, profiles[p], key, key + srtp_profile_key_len(profiles[p])), OK);
        for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
            struct sent s;
            send_index(w, &s, order[i].index);
            assert_int_equal(arrive(&e, s.data, s.len), order[i].verdict);
        }
        srtp_writer_free(w);
        close_ends(&e);
    }
}

/* Every bit of a packet, and every length less than its own. */
static void all_of_it_is_proved(void **state)
{
    (void)state;
    for (size_t p = 0; p < 3; p++) {
        struct ends e = open_ends(profiles[p]);
        struct sent s, bad;
        send_packet(&e, &s, 65535, 7);
        for (size_t bit = 0; bit < 8 * s.len; bit++) {
            bad = s;
            bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_true(arrive(&e, bad.data, bad.len) < 0);
        }
        for (size_t len = 0; len < s.len; len++) {
            assert_true(arrive(&e, s.data, len) < 0);
        }
        assert_int_equal(arrive(&e, s.data, s.len), OK);
        close_ends(&e);
    }
}

static void streams_are_bounded(void **state)
{
    struct ends e = open_ends(SRTP_AEAD_AES_128_GCM);
    struct sent s;
    size_t n;
    (void)state;
    for (uint32_t i = 0; i < SRTP_READER_MAX_STREAMS; i++) {
        send_packet(&e, &s, 5, 1000 + i);
        assert_int_equal(arrive(&e, s.data, s.len), OK);
    }
    send_packet(&e, &s, 5, 1);
    n = s.len;
    assert_int_equal(srtp_reader_open(e.ours, s.data, &n), ERR_LIMIT);
    send_packet(&e, &s, 6, 1000); /* those that are known go on */
    assert_int_equal(arrive(&e, s.data, s.len), OK);
    close_ends(&e);
}

static void other_profiles_and_lengths_are_refused(void **state)
{
    static uint8_t key[64], long_one[65536] = {0x80};
    struct srtp_reader *r = NULL;
    size_t n = sizeof long_one;
    (void)state;
    assert_int_equal(srtp_reader_new(&r, (enum srtp_profile)2, key, key), ERR_UNSUPPORTED);
    assert_null(r);
    assert_int_equal(srtp_reader_new(&r, SRTP_AEAD_AES_128_GCM, key, key), OK);
    assert_int_equal(srtp_reader_open(r, long_one, &n), ERR_INVALID);
    n = 65535;
    assert_int_equal(srtp_reader_open(r, long_one, &n), ERR_AUTH);
    srtp_reader_free(r);
    srtp_reader_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cm_equals_libsrtp),
        cmocka_unit_test(gcm128_equals_libsrtp),
        cmocka_unit_test(gcm256_equals_libsrtp),
        cmocka_unit_test(streams_begin_anywhere),
        cmocka_unit_test(the_window_ends_where_libsrtps_does),
        cmocka_unit_test(all_of_it_is_proved),
        cmocka_unit_test(streams_are_bounded),
        cmocka_unit_test(other_profiles_and_lengths_are_refused),
    };
    if (srtp_init() != srtp_err_status_ok) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
