/* Our offers and answers against each other, against the SFU's and against those of Janus. */
#include "bench/client/sdp_client.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_publish.h"
#include "lib/proto/sdp_subscribe.h"

#define FINGERPRINT                                                                                \
    "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:"   \
    "1E:1F"

static struct buf offer, answer_text;
static struct sdp_client_agreed agreed;

static const struct sdp_client_local local = {
    .ufrag = "abcdefgh",
    .pwd = "0123456789012345678901",
    .cname = "me",
    .fingerprint = {1, 2, 3},
    .session_id = 77,
    .ssrc = 1000,
    .candidates = "a=candidate:1 1 udp 2122260223 127.0.0.1 4444 typ host\r\n",
    .audio = 1,
    .video = 1,
    .direction = SDP_SENDRECV};

static int begin(void **state)
{
    (void)state;
    buf_init(&offer, SDP_MAX_BYTES);
    buf_init(&answer_text, 4 * SDP_MAX_BYTES);
    memset(&agreed, 0, sizeof agreed);
    return 0;
}

static int end(void **state)
{
    (void)state;
    buf_free(&offer);
    buf_free(&answer_text);
    sdp_client_agreed_free(&agreed);
    return 0;
}

static int answer_it(const char *text, const struct sdp_client_local *l)
{
    return sdp_client_answer(&answer_text, &agreed, text, strlen(text), l);
}

/* A publisher's offer is one that the SFU answers, and its answer one that we read. */
static void test_publish_to_the_sfu(void **state)
{
    struct sdp_client_local l = local;
    struct sdp_publish p;
    struct sdp *s;
    struct sdp_local sfu = {.ice_ufrag = "sfuu",
                            .ice_pwd = "0123456789012345678901",
                            .fingerprint = {9, 9},
                            .n_candidates = 1,
                            .candidate = {{.address = "127.0.0.1", .port = 5000}},
                            .session_id = 1,
                            .session_version = 1,
                            .cname = "sfu"};
    (void)state;
    l.direction = SDP_SENDONLY;
    assert_int_equal(sdp_client_offer(&offer, &l), OK);
    assert_int_equal(sdp_parse(&s, buf_cstr(&offer), offer.len), OK);
    assert_int_equal(sdp_answer_publish(&answer_text, &p, s, &sfu), OK);
    sdp_free(s);
    assert_int_equal(p.n_tracks, 2);
    assert_int_equal(p.track[0].ssrc, 1000);
    assert_int_equal(p.track[1].ssrc, 1002);
    assert_int_equal(p.track[1].rtx_ssrc, 1003);
    assert_int_equal(sdp_client_read_answer(&agreed, buf_cstr(&answer_text), answer_text.len, &l),
                     OK);
    assert_true(agreed.remote_lite && agreed.dtls_client);
    assert_true(agreed.sends[MEDIA_AUDIO] && agreed.sends[MEDIA_VIDEO]);
    assert_int_equal(agreed.n_receive, 0);
    assert_int_equal(agreed.fingerprint[1], 9);
    assert_string_equal(agreed.ufrag, "sfuu");
    assert_int_equal(agreed.n_candidates, 1);
    assert_int_equal(ntohs(agreed.candidate[0].address.sin_port), 5000);
    const struct media_track *v = &agreed.send[MEDIA_VIDEO];
    assert_int_equal(v->pt, 96);
    assert_int_equal(v->rtx_pt, 97);
    assert_true(v->nack && v->pli && v->transport_cc);
    assert_int_equal(v->ext.id[RTP_EXT_MID], 4);
    assert_int_equal(agreed.send[MEDIA_AUDIO].ext.id[RTP_EXT_AUDIO_LEVEL], 1);
    assert_int_equal(v->ext.id[RTP_EXT_AUDIO_LEVEL], 0);
}

/* As many slots as there may be. */
static void test_subscribe_to_the_sfu(void **state)
{
    struct sdp_slots slots = {.n_audio = SDP_MAX_AUDIO_SLOTS, .n_video = SDP_MAX_VIDEO_SLOTS};
    struct sdp_subscribe taken;
    struct sdp *s;
    struct sdp_local sfu = {
        .ice_ufrag = "sfuu", .ice_pwd = "0123456789012345678901", .session_id = 1, .cname = "sfu"};
    (void)state;
    for (size_t i = 0; i < SDP_MAX_VIDEO_SLOTS; i++)
        slots.video[i] = (struct sdp_slot){5000 + 2 * (uint32_t)i, 5001 + 2 * (uint32_t)i};
    for (size_t i = 0; i < SDP_MAX_AUDIO_SLOTS; i++)
        slots.audio[i].ssrc = 4000 + (uint32_t)i;
    assert_int_equal(sdp_offer_subscribe(&offer, &slots, &sfu), OK);
    assert_int_equal(answer_it(buf_cstr(&offer), &local), OK);
    assert_int_equal(agreed.n_receive, SDP_MAX_AUDIO_SLOTS + SDP_MAX_VIDEO_SLOTS);
    assert_false(agreed.sends[MEDIA_AUDIO] || agreed.sends[MEDIA_VIDEO]);
    const struct media_track *last = &agreed.receive[agreed.n_receive - 1];
    assert_int_equal(last->ssrc, 5126);
    assert_int_equal(last->rtx_ssrc, 5127);
    assert_string_equal(last->mid, "v63");
    assert_int_equal(sdp_parse(&s, buf_cstr(&answer_text), answer_text.len), OK);
    assert_int_equal(sdp_read_answer(&taken, s, &slots), OK);
    sdp_free(s);
    assert_true(taken.video[63].accepted && taken.video[63].rtx && taken.video[63].nack);
    assert_true(taken.audio[15].accepted);
    assert_string_equal(taken.remote.ice_ufrag, "abcdefgh");
}

static void test_a_call_between_two(void **state)
{
    struct sdp_client_local other = local;
    struct sdp_client_agreed back;
    (void)state;
    other.ssrc = 2000;
    other.ufrag = "otherone";
    assert_int_equal(sdp_client_offer(&offer, &local), OK);
    assert_int_equal(answer_it(buf_cstr(&offer), &other), OK);
    assert_true(agreed.dtls_client && !agreed.remote_lite);
    assert_true(agreed.sends[0] && agreed.sends[1]);
    assert_int_equal(agreed.n_receive, 2);
    assert_int_equal(agreed.receive[1].ssrc, 1002);
    assert_int_equal(agreed.receive[1].rtx_ssrc, 1003);
    assert_int_equal(agreed.send[1].ssrc, 2002);
    assert_int_equal(sdp_client_read_answer(&back, buf_cstr(&answer_text), answer_text.len, &local),
                     OK);
    assert_false(back.dtls_client);
    assert_int_equal(back.n_receive, 2);
    assert_int_equal(back.receive[1].ssrc, 2002);
    assert_int_equal(back.receive[1].rtx_ssrc, 2003);
    assert_string_equal(back.ufrag, "otherone");
    sdp_client_agreed_free(&back);
}

/* Shaped as Janus 1.1.2's VideoRoom offers several streams to a subscriber: a fingerprint of the
 * session, candidates in each m-line, its own payload types and extension ids, feedback that we
 * don't know, an m-line that is no more, data. */
static const char janus[] =
    "v=0\r\no=- 1795274640539825 1 IN IP4 192.0.2.2\r\ns=VideoRoom 8433\r\nt=0 0\r\n"
    "a=group:BUNDLE 0 1 3\r\na=ice-options:trickle\r\na=fingerprint:sha-256 " FINGERPRINT "\r\n"
    "a=extmap-allow-mixed\r\na=msid-semantic: WMS *\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 109\r\nc=IN IP4 192.0.2.2\r\na=sendonly\r\na=mid:0\r\n"
    "a=rtcp-mux\r\na=ice-ufrag:ODMI\r\na=ice-pwd:Yjlxzk0IdkoZK8p1CuTuQN\r\n"
    "a=ice-options:trickle\r\na=setup:actpass\r\na=rtpmap:109 opus/48000/2\r\n"
    "a=rtcp-fb:109 transport-cc\r\na=extmap:3 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n"
    "a=extmap:9 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=fmtp:109 useinbandfec=1\r\n"
    "a=msid:janus janus0\r\na=ssrc:552965292 cname:janus\r\n"
    "a=candidate:1 1 udp 2015363327 192.0.2.2 32517 typ host\r\n"
    "a=candidate:2 1 tcp 1015363327 192.0.2.2 9 typ host tcptype active\r\n"
    "a=candidate:3 1 udp 2015363326 fd00::2 32517 typ host\r\na=end-of-candidates\r\n"
    "m=video 9 UDP/TLS/RTP/SAVPF 100 101\r\nc=IN IP4 192.0.2.2\r\na=sendonly\r\na=mid:1\r\n"
    "a=rtcp-mux\r\na=ice-ufrag:ODMI\r\na=ice-pwd:Yjlxzk0IdkoZK8p1CuTuQN\r\na=setup:actpass\r\n"
    "a=rtpmap:100 VP8/90000\r\na=rtcp-fb:100 ccm fir\r\na=rtcp-fb:100 nack\r\n"
    "a=rtcp-fb:100 nack pli\r\na=rtcp-fb:100 goog-remb\r\na=rtcp-fb:100 transport-cc\r\n"
    "a=extmap:7 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=extmap:12 urn:3gpp:video-orientation\r\na=rtpmap:101 rtx/90000\r\na=fmtp:101 apt=100\r\n"
    "a=ssrc-group:FID 136165290 3184276905\r\na=msid:janus janus1\r\n"
    "a=ssrc:136165290 cname:janus\r\na=ssrc:3184276905 cname:janus\r\n"
    "m=video 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 192.0.2.2\r\na=inactive\r\na=mid:2\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 192.0.2.2\r\na=sendrecv\r\n"
    "a=mid:3\r\na=sctp-port:5000\r\na=ice-ufrag:ODMI\r\na=ice-pwd:Yjlxzk0IdkoZK8p1CuTuQN\r\n"
    "a=setup:actpass\r\n";

static void test_an_offer_of_janus(void **state)
{
    struct sdp *s;
    (void)state;
    assert_int_equal(answer_it(janus, &local), OK);
    assert_int_equal(agreed.n_receive, 2);
    const struct media_track *audio = &agreed.receive[0], *video = &agreed.receive[1];
    assert_int_equal(audio->pt, 109);
    assert_int_equal(audio->ssrc, 552965292);
    assert_int_equal(audio->ext.id[RTP_EXT_AUDIO_LEVEL], 3);
    assert_int_equal(audio->ext.id[RTP_EXT_MID], 9);
    assert_false(audio->transport_cc); /* feedback, but no numbers to give it on */
    assert_int_equal(video->pt, 100);
    assert_int_equal(video->rtx_pt, 101);
    assert_int_equal(video->ssrc, 136165290);
    assert_int_equal(video->rtx_ssrc, 3184276905);
    assert_int_equal(video->ext.id[RTP_EXT_TRANSPORT_CC], 7);
    assert_int_equal(video->ext.id[RTP_EXT_VIDEO_ORIENTATION], 0);
    assert_true(video->transport_cc && video->nack && video->pli);
    assert_int_equal(agreed.n_candidates, 1); /* UDP and IPv4 */
    assert_int_equal(agreed.fingerprint[31], 0x1f);
    assert_false(agreed.remote_lite);

    assert_int_equal(sdp_parse(&s, buf_cstr(&answer_text), answer_text.len), OK);
    assert_int_equal(s->n_media, 4);
    assert_string_equal(s->bundle, "0 1");
    assert_int_equal(s->media[0].direction, SDP_RECVONLY);
    assert_int_equal(s->media[1].codec[0].pt, 100);
    assert_true(sdp_rtx_for(&s->media[1], 100) != NULL);
    assert_int_equal(s->media[2].port, 0);
    assert_int_equal(s->media[3].port, 0);
    assert_int_equal(sdp_setup_of(s, &s->media[0]), SDP_SETUP_ACTIVE);
    assert_int_equal(s->media[0].n_candidates, 1);
    sdp_free(s);
}

/* The offer with one text in the place of another. */
static int answer_changed(const char *from, const char *to)
{
    static char text[8192];
    const char *at = strstr(janus, from);
    assert_non_null(at);
    size_t n = 0;
    const char *rest = janus;
    while ((at = strstr(rest, from))) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s%s", (int)(at - rest), rest, to);
        rest = at + strlen(from);
    }
    snprintf(text + n, sizeof text - n, "%s", rest);
    int r = answer_it(text, &local);
    if (r == OK)
        sdp_client_agreed_free(&agreed);
    else
        assert_int_equal(answer_text.len, 0);
    return r;
}

static void test_offers_that_cannot_be_answered(void **state)
{
    (void)state;
    assert_int_equal(answer_changed("a=fingerprint:sha-256 ", "a=x:"), ERR_UNSUPPORTED);
    assert_int_equal(answer_changed("a=fingerprint:sha-256 00", "a=fingerprint:sha-256 0G"),
                     ERR_INVALID);
    assert_int_equal(answer_changed("a=ice-ufrag:ODMI\r\n", ""), ERR_INVALID);
    assert_int_equal(answer_changed("a=ice-pwd:Yjlxzk0IdkoZK8p1CuTuQN", "a=ice-pwd:short"),
                     ERR_INVALID);
    assert_int_equal(answer_changed("a=setup:actpass\r\n", ""), ERR_INVALID);
    assert_int_equal(answer_changed("RTP/SAVPF", "RTP/AVP"), ERR_UNSUPPORTED);
    assert_int_equal(answer_changed("a=rtcp-mux\r\n", ""), ERR_UNSUPPORTED);
    assert_int_equal(answer_changed("BUNDLE 0 1 3", "BUNDLE 7"), ERR_UNSUPPORTED);
    assert_int_equal(answer_it("", &local), ERR_INVALID);
    assert_int_equal(answer_it("v=0\r\n", &local), ERR_INVALID);
}

static void test_active_offers_are_answered_passive(void **state)
{
    (void)state;
    assert_int_equal(answer_changed("a=setup:actpass", "a=setup:active"), OK);
    assert_non_null(strstr(buf_cstr(&answer_text), "a=setup:passive"));
    assert_null(strstr(buf_cstr(&answer_text), "a=setup:active"));
}

static void test_cut_anywhere(void **state)
{
    struct buf out;
    (void)state;
    buf_init(&out, SDP_MAX_BYTES);
    for (size_t n = 0; n < sizeof janus - 1; n++) {
        buf_clear(&out);
        if (sdp_client_answer(&out, &agreed, janus, n, &local) == OK)
            sdp_client_agreed_free(&agreed);
        if (sdp_client_read_answer(&agreed, janus, n, &local) == OK)
            sdp_client_agreed_free(&agreed);
    }
    buf_free(&out);
}

static void test_answers_that_are_none(void **state)
{
    struct sdp_client_local l = local;
    char text[8192];
    (void)state;
    assert_int_equal(sdp_client_offer(&offer, &local), OK);
    const char *o = buf_cstr(&offer);
    assert_int_equal(sdp_client_read_answer(&agreed, o, offer.len, &local),
                     ERR_INVALID); /* actpass */
    assert_int_equal(answer_it(o, &local), OK);
    sdp_client_agreed_free(&agreed);
    l.video = 2; /* one m-line is missing */
    assert_int_equal(sdp_client_read_answer(&agreed, buf_cstr(&answer_text), answer_text.len, &l),
                     ERR_INVALID);
    l.video = 0;
    l.audio = 2; /* the second is video */
    assert_int_equal(sdp_client_read_answer(&agreed, buf_cstr(&answer_text), answer_text.len, &l),
                     ERR_INVALID);
    snprintf(text, sizeof text, "%s", buf_cstr(&answer_text));
    memcpy(strstr(text, "a=mid:1"), "a=mid:7", 7); /* not in the BUNDLE: rejected */
    assert_int_equal(sdp_client_read_answer(&agreed, text, strlen(text), &local), OK);
    assert_true(agreed.sends[MEDIA_AUDIO] && !agreed.sends[MEDIA_VIDEO]);
}

static void test_offers_have_bounds(void **state)
{
    struct sdp_client_local l = local;
    (void)state;
    l.audio = l.video = 0;
    assert_int_equal(sdp_client_offer(&offer, &l), ERR_INVALID);
    l.audio = SDP_CLIENT_MAX_LINES + 1;
    assert_int_equal(sdp_client_offer(&offer, &l), ERR_INVALID);
    l.audio = l.video = SDP_CLIENT_MAX_LINES;
    assert_int_equal(sdp_client_offer(&offer, &l), OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_publish_to_the_sfu),
        TEST(test_subscribe_to_the_sfu),
        TEST(test_a_call_between_two),
        TEST(test_an_offer_of_janus),
        TEST(test_offers_that_cannot_be_answered),
        TEST(test_active_offers_are_answered_passive),
        TEST(test_cut_anywhere),
        TEST(test_answers_that_are_none),
        TEST(test_offers_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
