/* What a peer who is in the room may send that is no good: bounded, counted, and a pair beside him
 * hears every packet meanwhile. */
#include "tests/unit/sfu/shell/paths_fixture.h"

#define ROUNDS 20
#define STORM  50 /* bad packets a round */

/* ann and ben talk; mallory publishes and subscribes too. */
struct scene {
    struct control_end c;
    struct peer ann, ben, talks, listens;
    struct flow flow;
    struct srtp_stream stream; /* mallory's */
    uint32_t heard;            /* the SSRC of his slot */
    uint16_t seq;
};

static void open_scene(struct scene *s)
{
    memset(s, 0, sizeof *s);
    control_open_with(&s->c, "127.0.0.1", 0);
    connect_publisher(&s->c, &s->ann, 1, &udp4);
    connect_subscriber(&s->c, &s->ben, 2, &udp4);
    flow_pass(&s->flow, &s->ann, &s->ben, 30);
    connect_publisher(&s->c, &s->talks, 3, &udp4);
    connect_subscriber(&s->c, &s->listens, 4, &udp4);
    flow_pass(&s->flow, &s->ann, &s->ben, 3);
}

static void close_scene(struct scene *s)
{
    flow_pass(&s->flow, &s->ann, &s->ben, 10);
    peer_shut(&s->ann);
    peer_shut(&s->ben);
    peer_shut(&s->talks);
    peer_shut(&s->listens);
    control_shut(&s->c);
}

typedef void (*bad_fn)(struct scene *s, int i);

/* The storm, and between its gusts the pair's sound. */
static void storm(bad_fn bad, enum sfu_metric counted)
{
    struct scene s;
    open_scene(&s);
    int64_t before = counted < SFU_METRICS ? sfu_metric_value(counted) : 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < STORM; i++) {
            bad(&s, round * STORM + i);
        }
        flow_pass(&s.flow, &s.ann, &s.ben, 2);
    }
    if (counted < SFU_METRICS) {
        await_metric(counted, before + ROUNDS * STORM / 2); /* the kernel may lose some */
    }
    close_scene(&s);
}

/* ---- RTP ---- */

/* Encrypts what is there as he does, and sends it. */
static void send_rtp(struct scene *s, uint8_t *out, size_t header_len, size_t len, size_t cap)
{
    out[2] = (uint8_t)(s->seq >> 8);
    out[3] = (uint8_t)s->seq++;
    int n = srtp_writer_protect(s->talks.writer, &s->stream, out, len, header_len, cap);
    assert_true(n > 0);
    peer_send(&s->talks, out, (size_t)n);
}

static void start_rtp(uint8_t *out, size_t cap, uint8_t first)
{
    static const uint8_t head[12] = {0x80, 111, 0, 0, 0, 0, 0, 1, 0, 0, 4242 >> 8, 4242 & 255};
    memset(out, 0, cap);
    memcpy(out, head, sizeof head);
    out[0] |= first;
}

static void bad_replay(struct scene *s, int i)
{
    static uint8_t one[300];
    static size_t len;
    if (i == 0) {
        start_rtp(one, sizeof one, 0);
        int n = srtp_writer_protect(s->talks.writer, &s->stream, one, 112, 12, sizeof one);
        assert_true(n > 0);
        len = (size_t)n;
    }
    peer_send(&s->talks, one, len);
}

static void test_replays(void **state)
{
    (void)state;
    storm(bad_replay, SFU_DROP_SRTP_REPLAY);
}

static void bad_key(struct scene *s, int i)
{
    uint8_t out[300];
    (void)s;
    start_rtp(out, sizeof out, 0);
    out[3] = (uint8_t)i;
    random_bytes(out + 12, 150);
    peer_send(&s->talks, out, 162);
}

static void test_another_key(void **state)
{
    (void)state;
    storm(bad_key, SFU_DROP_SRTP_AUTH);
}

/* Padding that is longer than the packet, well encrypted (RFC 3550 section 5.1). */
static void bad_padding(struct scene *s, int i)
{
    uint8_t out[300];
    start_rtp(out, sizeof out, 0x20);
    out[12 + 49] = (uint8_t)(51 + i % 200);
    send_rtp(s, out, 12, 62, sizeof out);
}

static void test_padding_that_lies(void **state)
{
    (void)state;
    storm(bad_padding, SFU_DROP_MALFORMED);
}

/* A header that claims more sources, or a longer extension, than there are bytes. */
static void bad_header(struct scene *s, int i)
{
    uint8_t out[100];
    start_rtp(out, sizeof out, i % 2 ? 0x0f : 0x10);
    memset(out + 12, 0xff, 30);
    peer_send(&s->talks, out, (size_t)(13 + i % 30));
}

static void test_headers_that_lie(void **state)
{
    (void)state;
    storm(bad_header, SFU_METRICS);
}

/* Hundreds of extensions in one packet, of one byte or none each (RFC 8285), in both forms. */
static void bad_extensions(struct scene *s, int i)
{
    uint8_t out[1400];
    const size_t words = 255;
    bool one_byte = i % 2 == 0;
    start_rtp(out, sizeof out, 0x10);
    out[12] = one_byte ? 0xbe : 0x10;
    out[13] = one_byte ? 0xde : 0x00;
    out[14] = 0;
    out[15] = (uint8_t)words;
    for (size_t k = 0; k + 1 < words * 4; k += 2) {
        out[16 + k] = (uint8_t)(one_byte ? (k / 2 % 14 + 1) << 4 : k / 2 % 255 + 1);
        out[17 + k] = one_byte ? 0x7f : 0;
    }
    send_rtp(s, out, 16 + words * 4, 16 + words * 4 + 20, sizeof out);
}

static void test_extension_bombs(void **state)
{
    (void)state;
    storm(bad_extensions, SFU_METRICS);
}

/* ---- RTCP ---- */

static void send_rtcp(struct peer *p, const uint8_t *data, size_t len)
{
    uint8_t out[1500 + SRTP_PEER_OVERHEAD];
    assert_true(len <= 1500);
    memcpy(out, data, len);
    assert_int_equal(srtp_peer_protect_rtcp(p->srtp, out, &len), OK);
    peer_send(p, out, len);
}

static void put32(uint8_t *out, uint32_t v)
{
    out[0] = (uint8_t)(v >> 24);
    out[1] = (uint8_t)(v >> 16);
    out[2] = (uint8_t)(v >> 8);
    out[3] = (uint8_t)v;
}

/* A packet of feedback (RFC 4585 section 6.1) of so many words behind the two SSRCs. */
static size_t start_feedback(uint8_t *out, uint8_t type, uint8_t format, uint32_t media,
                             size_t words)
{
    memset(out, 0, 12 + words * 4);
    out[0] = 0x80 | format;
    out[1] = type;
    out[2] = (uint8_t)((2 + words) >> 8);
    out[3] = (uint8_t)(2 + words);
    put32(out + 4, 1);
    put32(out + 8, media);
    return 12 + words * 4;
}

static uint32_t heard(struct scene *s)
{
    _Alignas(16) uint8_t data[2048];
    struct rtp_header h;
    if (!s->heard) {
        assert_true(peer_take_sound(&s->listens, &h, data, sizeof data, 50));
        s->heard = h.ssrc;
    }
    return s->heard;
}

/* Every number there is, again and again. Sound has no RTX: nothing is sent for it (that of video
 * is bounded by SUBSCRIBER_RESENDS_SECOND: tests/unit/sfu/core). */
static void bad_nacks(struct scene *s, int i)
{
    uint8_t out[1500];
    size_t len = start_feedback(out, 205, 1, heard(s), 300);
    for (size_t k = 0; k < 300; k++) {
        put32(out + 12 + k * 4, ((uint32_t)(i * 300) + (uint32_t)k * 17) << 16 | 0xffff);
    }
    send_rtcp(&s->listens, out, len);
}

static void test_nack_storms(void **state)
{
    (void)state;
    int64_t sent = sfu_metric_value(SFU_RTX_SENT);
    storm(bad_nacks, SFU_METRICS);
    assert_int_equal(sfu_metric_value(SFU_RTX_SENT), sent);
}

static void bad_plis(struct scene *s, int i)
{
    uint8_t out[1500];
    size_t len = 0;
    (void)i;
    while (len + 12 <= 1200) {
        len += start_feedback(out + len, 206, 1, heard(s), 0);
    }
    send_rtcp(&s->listens, out, len);
}

static void test_pli_storms(void **state)
{
    (void)state;
    int64_t sent = sfu_metric_value(SFU_PLIS_SENT);
    storm(bad_plis, SFU_METRICS);
    assert_true(sfu_metric_value(SFU_PLIS_SENT) - sent < 100);
}

/* Feedback on 65,535 packets in one chunk, with and without bytes for their times
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1). */
static void bad_twcc(struct scene *s, int i)
{
    uint8_t out[1500];
    size_t words = i % 3 == 0 ? 3 : 300, len = start_feedback(out, 205, 15, heard(s), words);
    put32(out + 12, (uint32_t)i << 16 | 0xffff); /* base, count */
    put32(out + 16, 0x7fffff00u | (uint8_t)i);   /* time, number */
    for (size_t k = 20; k < len; k += 2) {       /* run length, small delta, 8191 each */
        out[k] = i % 2 ? 0x3f : 0xff;
        out[k + 1] = 0xff;
    }
    send_rtcp(&s->listens, out, len);
    send_rtcp(&s->talks, out, len);
}

static void test_twcc_with_absurd_counts(void **state)
{
    (void)state;
    storm(bad_twcc, SFU_METRICS);
}

/* Reports and estimates that can't be, from both sides. */
static void bad_reports(struct scene *s, int i)
{
    uint8_t out[1500];
    size_t len = start_feedback(out, i % 2 ? 206 : 205, 15, 0, 200);
    random_bytes(out + 8, len - 8);
    memcpy(out + 12, "REMB", 4);
    out[16] = 255;
    send_rtcp(&s->listens, out, len);
    out[0] = (uint8_t)(0x80 | (i % 32));
    out[1] = (uint8_t)(200 + i % 8);
    send_rtcp(&s->talks, out, len);
}

static void test_reports_that_cannot_be(void **state)
{
    (void)state;
    storm(bad_reports, SFU_METRICS);
}

/* ---- DTLS and ICE ---- */

/* Fragments of messages that never end, of all numbers and lengths (RFC 6347 section 4.2.3). */
static void bad_fragments(struct scene *s, int i)
{
    static struct peer p;
    static const struct scene *of;
    uint8_t out[13 + 12 + 100] = {22, 0xfe, 0xfd}, fingerprint[DTLS_FINGERPRINT_LEN];
    if (of != s || i == 0) {
        if (of) {
            peer_shut(&p);
        }
        of = s;
        offer(&s->c, &p, 9, &udp4, fingerprint);
        assert_true(peer_check(&p, "abcd"));
    }
    out[10] = (uint8_t)i;
    out[12] = 112;
    out[13] = 1;
    out[14] = (uint8_t)(i % 3); /* up to 128 KiB */
    out[15] = 0xff;
    out[18] = (uint8_t)(i % 5); /* message number */
    out[20] = (uint8_t)(i >> 4);
    out[24] = 100;
    peer_send(&p, out, sizeof out);
    if (i == ROUNDS * STORM - 1) {
        peer_shut(&p);
        of = NULL;
    }
}

static void test_fragments_that_never_end(void **state)
{
    (void)state;
    storm(bad_fragments, SFU_METRICS);
}

/* Good checks of ever new ports: so many addresses are kept a transport, and no more. */
static void bad_addresses(struct scene *s, int i)
{
    uint8_t transaction[12];
    struct peer p = s->talks;
    if (i % STORM == 0) {
        peer_connect(&p, ntohs(s->talks.server.sin_port), AF_INET, false);
        peer_ask(&p, "abcd", i % 2 == 0, transaction);
        close(p.fd);
    }
}

static void test_addresses_without_end(void **state)
{
    (void)state;
    storm(bad_addresses, SFU_METRICS);
}

/* Checks of his own from the address of another: he can forge its source. */
static void bad_origin(struct scene *s, int i)
{
    uint8_t transaction[12];
    struct peer p = i % 2 ? s->talks : s->listens;
    p.fd = s->ann.fd;
    peer_ask(&p, "abcd", true, transaction);
}

static void test_nobody_takes_anothers_address(void **state)
{
    (void)state;
    int64_t before = sfu_metric_value(SFU_REFUSED_ADDRESS);
    storm(bad_origin, SFU_METRICS);
    await_metric(SFU_REFUSED_ADDRESS, before + ROUNDS); /* of strangers not all are looked at */
}

/* No answer is longer than its question, whatever the name and the family. */
static void test_no_answer_is_larger(void **state)
{
    (void)state;
    static const struct way *const ways[] = {&udp4, &tcp4, &udp6, &tcp6};
    for (size_t i = 0; i < (has_ipv6() ? 4 : 2); i++) {
        struct control_end c;
        struct peer p;
        uint8_t fingerprint[DTLS_FINGERPRINT_LEN], out[512], in[2048], transaction[12] = {1};
        char user[130];
        size_t len = 0;
        control_open_with(&c, "", 0);
        offer(&c, &p, 1, ways[i], fingerprint);
        snprintf(user, sizeof user, "%s:a", p.ufrag);
        int n = ice_check_build(out, sizeof out, transaction, user, p.pwd, 1, true, 1);
        assert_true(n > 0);
        peer_send(&p, out, (size_t)n);
        for (int k = 0; k < 100 && len == 0; k++) {
            len = peer_receive(&p, in, sizeof in);
        }
        assert_in_range(len, 20, n);
        peer_shut(&p);
        control_shut(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replays),
        cmocka_unit_test(test_another_key),
        cmocka_unit_test(test_padding_that_lies),
        cmocka_unit_test(test_headers_that_lie),
        cmocka_unit_test(test_extension_bombs),
        cmocka_unit_test(test_nack_storms),
        cmocka_unit_test(test_pli_storms),
        cmocka_unit_test(test_twcc_with_absurd_counts),
        cmocka_unit_test(test_reports_that_cannot_be),
        cmocka_unit_test(test_fragments_that_never_end),
        cmocka_unit_test(test_addresses_without_end),
        cmocka_unit_test(test_nobody_takes_anothers_address),
        cmocka_unit_test(test_no_answer_is_larger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
