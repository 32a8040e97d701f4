#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/sdpfrag.h"

#define PWD_A "P2uYro0UCOQ4zxjKXaWCBui1"
#define PWD_B "vw5LmwG4y/e6dPP/zAP9Gp5k"
#define HOST  "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\n"
#define AUDIO "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
#define CREDS "a=ice-ufrag:EsAw\r\na=ice-pwd:" PWD_A "\r\n"

static struct sdpfrag f;

static int parse(const char *text)
{
    return sdpfrag_parse(&f, text, strlen(text));
}

/* The example of RFC 9725 section 4.3.2. */
static void trickle(void **state)
{
    (void)state;
    assert_int_equal(
        parse(CREDS AUDIO HOST
              "a=candidate:3471623853 1 udp 2122194687 198.51.100.1 61765 typ host generation 0 "
              "ufrag EsAw network-id 2\r\n"
              "a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\n"
              "a=end-of-candidates\r\n"),
        OK);
    assert_string_equal(f.ufrag, "EsAw");
    assert_string_equal(f.pwd, PWD_A);
    assert_int_equal(f.n_media, 1);
    assert_string_equal(f.mid[0], "0");
    assert_int_equal(f.n_candidates, 3);
    assert_true(f.end_of_candidates);
}

static void other_shapes(void **state)
{
    (void)state;
    assert_int_equal(parse("a=ice-ufrag:ysXw\na=ice-pwd:" PWD_B), OK); /* LF, no end */
    assert_int_equal(f.n_media, 0);
    /* credentials a media line, the same in each */
    assert_int_equal(parse(AUDIO CREDS "m=video 9 RTP/AVP 0\r\na=mid:1\r\n" CREDS HOST "\r\n"), OK);
    assert_int_equal(f.n_media, 2);
    assert_string_equal(f.mid[1], "1");
    assert_false(f.end_of_candidates);
    assert_int_equal(parse("a=group:BUNDLE 0\r\na=ice-options:trickle\r\n" AUDIO HOST), OK);
    assert_string_equal(f.ufrag, "");
    assert_int_equal(parse("a=end-of-candidates\r\n"), OK);
    assert_int_equal(f.n_candidates, 0);
}

static void refuses(void **state)
{
    static const char *const bad[] = {
        "",
        "\r\n",
        "hello",
        "A=ice-ufrag:EsAw\r\n",
        AUDIO, /* says nothing */
        "a=ice-ufrag:EsAw\r\n",
        "a=ice-pwd:" PWD_A "\r\n",
        "a=ice-ufrag:EsA\r\na=ice-pwd:" PWD_A "\r\n",
        "a=ice-ufrag:EsAw\r\na=ice-pwd:short\r\n",
        "a=ice-ufrag:Es w\r\na=ice-pwd:" PWD_A "\r\n",
        "a=ice-ufrag:EsAw\x01\r\na=ice-pwd:" PWD_A "\r\n",
        CREDS "a=ice-ufrag:other\r\n",
        CREDS AUDIO "a=ice-pwd:" PWD_B "\r\n",
        HOST, /* of no m-line */
        "a=mid:0\r\n" CREDS,
        "m=audio 9 RTP/AVP\r\n" CREDS,
        AUDIO "a=mid:1\r\n" CREDS, /* a second mid */
        AUDIO "a=candidate:1 1 udp 1 192.0.2.1 9 type host\r\n",
        AUDIO "a=candidate:1 1 udp 1 192.0.2.1 65536 typ host\r\n",
        AUDIO "a=candidate:1 0 udp 1 192.0.2.1 9 typ host\r\n",
        AUDIO "a=candidate:1 1 udp 99999999999999999999999 192.0.2.1 9 typ host\r\n",
        AUDIO "a=candidate:1 1 udp 1 192.0.2.1 9 typ\r\n",
        AUDIO "a=candidate:1 1 udp 1  192.0.2.1 9 typ host\r\n",
        AUDIO "a=candidate:\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i]) != ERR_INVALID) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    assert_int_equal(sdpfrag_parse(&f, "a=ice-ufrag:Es\0w\r\n", 18), ERR_INVALID);
}

static void bounds(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 0);
    for (int i = 0; i <= SDPFRAG_MAX_MEDIA; i++) {
        assert_int_equal(buf_append_str(&b, "m=audio 9 RTP/AVP 0\n"), OK);
    }
    assert_int_equal(parse(buf_cstr(&b)), ERR_TOO_LARGE);
    buf_clear(&b);
    buf_append_str(&b, "m=audio 9 RTP/AVP 0\n");
    for (int i = 0; i <= SDPFRAG_MAX_CANDIDATES; i++) {
        buf_append_str(&b, "a=candidate:1 1 u 1 ::1 9 typ host\n");
    }
    assert_int_equal(parse(buf_cstr(&b)), ERR_TOO_LARGE);
    buf_clear(&b);
    buf_append_str(&b, CREDS "a=x:");
    while (b.len <= SDPFRAG_MAX_BYTES) {
        buf_append_str(&b, "y");
    }
    assert_int_equal(parse(buf_cstr(&b)), ERR_TOO_LARGE);
    buf_clear(&b);
    buf_append_str(&b, "a=ice-pwd:" PWD_A "\na=ice-ufrag:");
    for (int i = 0; i <= SDPFRAG_MAX_CREDENTIAL; i++) {
        buf_append_str(&b, "u");
    }
    assert_int_equal(parse(buf_cstr(&b)), ERR_INVALID);
    assert_int_equal(sdpfrag_parse(&f, buf_cstr(&b), b.len - 1), OK);
    buf_free(&b);
}

static void every_truncation(void **state)
{
    static const char text[] = CREDS AUDIO HOST "a=end-of-candidates\r\n";
    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, text, n);
        int err = sdpfrag_parse(&f, copy, n);
        assert_true(err == OK || err == ERR_INVALID);
        free(copy);
    }
}

static void answers_a_restart(void **state)
{
    static const char answer[] =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\na=group:BUNDLE a\r\n"
        "m=audio 7000 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\n" CREDS
        "a=candidate:1 1 udp 2130706431 192.0.2.7 7000 typ host\r\n"
        "a=candidate:2 1 tcp 99 192.0.2.7 7001 typ host tcptype passive\r\n"
        "a=end-of-candidates\r\na=rtpmap:111 opus/48000/2\r\n";
    struct sdp *s;
    struct buf b;
    (void)state;
    buf_init(&b, 0);
    assert_int_equal(sdp_parse(&s, answer, strlen(answer)), OK);
    assert_int_equal(sdpfrag_write(&b, s), OK);
    assert_string_equal(buf_cstr(&b),
                        "a=ice-lite\r\n" CREDS "m=audio 9 RTP/AVP 0\r\na=mid:a\r\n"
                        "a=candidate:1 1 udp 2130706431 192.0.2.7 7000 typ host\r\n"
                        "a=candidate:2 1 tcp 99 192.0.2.7 7001 typ host tcptype passive\r\n"
                        "a=end-of-candidates\r\n");
    assert_int_equal(parse(buf_cstr(&b)), OK);
    assert_int_equal(f.n_candidates, 2);
    buf_free(&b);
    sdp_free(s);
    static const char empty[] = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";
    assert_int_equal(sdp_parse(&s, empty, strlen(empty)), OK);
    assert_int_equal(sdpfrag_write(&b, s), ERR_INVALID);
    sdp_free(s);
}

/* What a rejected m-line lacks: the credentials stand in the next one. */
static void answers_by_the_first_line_in_use(void **state)
{
    static const char answer[] =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 1\r\n"
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
        "m=video 7000 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n" CREDS
        "a=candidate:1 1 udp 2130706431 192.0.2.7 7000 typ host\r\na=rtpmap:96 VP8/90000\r\n";
    static const char refused[] =
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" CREDS
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n";
    struct sdp *s;
    struct buf b;
    (void)state;
    buf_init(&b, 0);
    assert_int_equal(sdp_parse(&s, answer, strlen(answer)), OK);
    assert_int_equal(sdpfrag_write(&b, s), OK);
    assert_string_equal(buf_cstr(&b),
                        CREDS "m=video 9 RTP/AVP 0\r\na=mid:1\r\n"
                              "a=candidate:1 1 udp 2130706431 192.0.2.7 7000 typ host\r\n"
                              "a=end-of-candidates\r\n");
    sdp_free(s);
    assert_int_equal(sdp_parse(&s, refused, strlen(refused)), OK);
    assert_int_equal(sdpfrag_write(&b, s), ERR_INVALID);
    sdp_free(s);
    buf_free(&b);
}

static void offers_anew(void **state)
{
    static const char offer[] = "v=0\r\na=ice-ufrag:old1\na=ice-pwd:0123456789abcdefghijkl\r\n"
                                "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" HOST
                                "a=ice-ufrag:old1\r\na=ice-pwd:0123456789abcdefghijkl\r\n"
                                "a=end-of-candidates\r\na=setup:actpass";
    struct buf b;
    (void)state;
    buf_init(&b, 0);
    assert_int_equal(parse("a=ice-ufrag:EsAw\r\na=ice-pwd:" PWD_B "\r\n"), OK);
    assert_int_equal(sdpfrag_restart_offer(&b, offer, &f), OK);
    assert_string_equal(buf_cstr(&b), "v=0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:" PWD_B "\r\n"
                                      "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
                                      "a=ice-ufrag:EsAw\r\na=ice-pwd:" PWD_B "\r\n"
                                      "a=setup:actpass\r\n");
    buf_clear(&b);
    assert_int_equal(sdpfrag_restart_offer(&b, "v=0\r\n", &f), ERR_INVALID);
    assert_int_equal(parse("a=end-of-candidates\r\n"), OK);
    buf_clear(&b);
    assert_int_equal(sdpfrag_restart_offer(&b, offer, &f), ERR_INVALID);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trickle),
        cmocka_unit_test(other_shapes),
        cmocka_unit_test(refuses),
        cmocka_unit_test(bounds),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(answers_a_restart),
        cmocka_unit_test(answers_by_the_first_line_in_use),
        cmocka_unit_test(offers_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
