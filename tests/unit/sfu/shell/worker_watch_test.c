/* Watchers who offer (WHEP), against a real worker: their payload types, ids and mids; ICE
 * restarts, good ones and bad ones; leaving by one transport. */
#include "tests/unit/sfu/shell/peer_fixture.h"

#include "lib/proto/sdp.h"
#include "lib/proto/sdp_codec.h"

#define UFRAG "abcd"
#define PWD   "0123456789012345678901"
#define MID   "sound"

#define HEAD                                                                                       \
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE " MID "\r\n"                \
    "m=audio 9 UDP/TLS/RTP/SAVPF %d\r\nc=IN IP4 0.0.0.0\r\na=mid:" MID "\r\na=%s\r\n"              \
    "a=rtcp-mux\r\na=ice-ufrag:%s\r\na=ice-pwd:" PWD "\r\na=setup:actpass\r\n"                     \
    "a=rtpmap:%d opus/48000/2\r\na=ssrc:4242 cname:x\r\na=fingerprint:sha-256 %s\r\n"

#define PUBLISH_PT 111
#define WATCH_PT   97
#define MID_ID     9

static const char *offer(const struct peer *p, const char *direction, int pt, const char *ufrag)
{
    static char text[2048];
    char fingerprint[96];
    fingerprint_text(fingerprint, dtls_context_fingerprint(p->context));
    int n = snprintf(text, sizeof text, HEAD, pt, direction, ufrag, pt, fingerprint);
    if (strcmp(direction, "recvonly") == 0) {
        snprintf(text + n, sizeof text - (size_t)n,
                 "a=extmap:%d urn:ietf:params:rtp-hdrext:sdes:mid\r\n", MID_ID);
    }
    return text;
}

static const char *watch_offer(const struct peer *p, const char *ufrag)
{
    return offer(p, "recvonly", WATCH_PT, ufrag);
}

/* Sends the request and gives its reply, to be freed. */
static void ask(struct control_end *c, char *text, struct control_frame *reply)
{
    control_send(c, text);
    control_await(c, CONTROL_REPLY, reply);
}

static void refused(struct control_end *c, char *text, const char *code)
{
    struct control_frame f;
    ask(c, text, &f);
    assert_false(f.ok);
    assert_string_equal(f.error_code, code);
    control_free(&f);
}

static void granted(struct control_end *c, char *text)
{
    struct control_frame f;
    ask(c, text, &f);
    assert_true(f.ok);
    control_free(&f);
}

/* From the offer to the handshake. Gives the SSRC that the answer promises. */
static uint32_t come_up(struct control_end *c, struct peer *p, char *request,
                        enum control_which which)
{
    struct control_frame f;
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    char ssrc[32] = "0";
    ask(c, request, &f);
    assert_true(f.ok);
    peer_take_server(p, f.sdp, fingerprint);
    if (which == CONTROL_WHICH_SUBSCRIBE) {
        assert_non_null(strstr(f.sdp, "a=sendonly"));
        sdp_word(ssrc, sizeof ssrc, f.sdp, "a=ssrc:");
    }
    control_free(&f);
    assert_true(peer_check(p, UFRAG));
    assert_true(peer_handshake(p, fingerprint));
    control_await(c, CONTROL_CONNECTED, &f);
    assert_int_equal(f.which, which);
    control_free(&f);
    return (uint32_t)strtoul(ssrc, NULL, 10);
}

static void publisher(struct control_end *c, struct peer *p, uint32_t number)
{
    peer_open(p, worker_port(c->worker));
    char *text =
        control_make_publish(c->next_id++, ROOM, number, offer(p, "sendonly", PUBLISH_PT, UFRAG));
    come_up(c, p, text, CONTROL_WHICH_PUBLISH);
}

static uint32_t watcher(struct control_end *c, struct peer *p, uint32_t number)
{
    peer_open(p, worker_port(c->worker));
    char *text = control_make_watch(c->next_id++, ROOM, number, watch_offer(p, UFRAG));
    return come_up(c, p, text, CONTROL_WHICH_SUBSCRIBE);
}

static void send_sound(struct peer *p, struct srtp_stream *stream, uint16_t seq)
{
    uint8_t out[300] = {0};
    struct rtp_out o = {.pt = PUBLISH_PT, .seq = seq, .ts = seq * 960u, .ssrc = 4242};
    int n = rtp_out_write(&o, out, sizeof out);
    memset(out + n, (int)seq, 100);
    int len = srtp_writer_protect(p->writer, stream, out, (size_t)n + 100, (size_t)n, sizeof out);
    assert_true(len > 0);
    peer_send(p, out, (size_t)len);
}

/* The next decrypted RTP packet within a second. */
static void receive(struct peer *p, struct rtp_header *h, uint8_t *data, size_t cap)
{
    for (int i = 0; i < 50; i++) {
        size_t len = peer_receive(p, data, cap);
        if (len && demux_packet(data, len) == PACKET_RTP) {
            assert_int_equal(srtp_peer_unprotect_rtp(p->srtp, data, &len), OK);
            assert_int_equal(rtp_parse(h, data, len), OK);
            return;
        }
    }
    fail_msg("no packet came");
}

/* Packets first to first + n come out in the watcher's own terms. */
static void pass(struct peer *from, struct srtp_stream *stream, struct peer *to, uint16_t first,
                 int n, uint32_t ssrc)
{
    _Alignas(16) uint8_t data[2048];
    struct rtp_header h;
    for (int i = 0; i < n; i++) {
        size_t len = 0;
        send_sound(from, stream, (uint16_t)(first + i));
        receive(to, &h, data, sizeof data);
        assert_int_equal(h.pt, WATCH_PT);
        assert_int_equal(h.ssrc, ssrc);
        assert_int_equal(data[h.payload_off], (uint8_t)(first + i));
        const uint8_t *mid = rtp_ext_find(&h, data, MID_ID, &len);
        assert_non_null(mid);
        assert_int_equal(len, strlen(MID));
        assert_memory_equal(mid, MID, len);
    }
}

static void await_slots(struct control_end *c, uint32_t shown)
{
    struct control_frame f;
    control_await(c, CONTROL_SLOTS, &f);
    assert_int_equal(f.n_audio, 1);
    assert_string_equal(f.audio[0].mid, MID);
    assert_int_equal(f.audio[0].participant, shown);
    control_free(&f);
}

static void test_sound_in_the_watchers_terms(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    struct srtp_stream stream = {0};
    control_open(&c);
    publisher(&c, &ann, 1);
    uint32_t ssrc = watcher(&c, &ben, 2);
    await_slots(&c, 1);
    pass(&ann, &stream, &ben, 100, 20, ssrc);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

static void test_an_ice_restart(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben;
    struct control_frame f;
    struct srtp_stream stream = {0};
    uint8_t fingerprint[DTLS_FINGERPRINT_LEN];
    control_open(&c);
    publisher(&c, &ann, 1);
    uint32_t ssrc = watcher(&c, &ben, 2);
    await_slots(&c, 1);
    pass(&ann, &stream, &ben, 100, 3, ssrc);
    struct peer former = ben;
    ask(&c,
        control_make_restart(c.next_id++, ROOM, 2, CONTROL_WHICH_SUBSCRIBE,
                             watch_offer(&ben, "efgh")),
        &f);
    assert_true(f.ok);
    char again[32];
    sdp_word(again, sizeof again, f.sdp, "a=ssrc:");
    assert_int_equal(strtoul(again, NULL, 10), ssrc); /* slots stay what they are */
    peer_take_server(&ben, f.sdp, fingerprint);
    control_free(&f);
    assert_string_not_equal(ben.ufrag, former.ufrag);
    assert_true(peer_check(&former, UFRAG)); /* until the new pair is there */
    assert_true(peer_check(&ben, "efgh"));
    pass(&ann, &stream, &ben, 103, 20, ssrc);
    peer_shut(&ann);
    peer_shut(&ben);
    control_shut(&c);
}

/* However many are refused, the credentials in force stay in force. */
static void test_refused_restarts_cost_nothing(void **state)
{
    (void)state;
    static const enum control_which which[] = {CONTROL_WHICH_PUBLISH, CONTROL_WHICH_SUBSCRIBE};
    struct control_end c;
    struct peer ann, ben, stranger;
    struct srtp_stream stream = {0};
    control_open(&c);
    publisher(&c, &ann, 1);
    uint32_t ssrc = watcher(&c, &ben, 2);
    await_slots(&c, 1);
    peer_open(&stranger, worker_port(c.worker)); /* of another certificate */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++) {
            const char *sdp = i ? watch_offer(&stranger, "efgh")
                                : offer(&stranger, "sendonly", PUBLISH_PT, "efgh");
            uint32_t number = i + 1u;
            refused(&c, control_make_restart(c.next_id++, ROOM, number, which[i], sdp),
                    "bad_request");
            refused(&c, control_make_restart(c.next_id++, ROOM, number, which[i], "v=0\r\n"),
                    "bad_request");
            refused(&c, control_make_restart(c.next_id++, ROOM, number, which[i], NULL),
                    "bad_request");
        }
    }
    assert_true(peer_check(&ann, UFRAG));
    assert_true(peer_check(&ben, UFRAG));
    pass(&ann, &stream, &ben, 100, 5, ssrc);
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&stranger);
    control_shut(&c);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    control_open(&c);
    peer_open(&p, worker_port(c.worker));
    refused(&c, control_make_watch(c.next_id++, ROOM, 2, "v=0\r\n"), "bad_request");
    refused(&c, control_make_watch(c.next_id++, ROOM, 2, offer(&p, "sendonly", PUBLISH_PT, UFRAG)),
            "bad_request");
    refused(
        &c,
        control_make_restart(c.next_id++, ROOM, 2, CONTROL_WHICH_SUBSCRIBE, watch_offer(&p, UFRAG)),
        "not_participant");
    granted(&c, control_make_watch(c.next_id++, ROOM, 2, watch_offer(&p, UFRAG)));
    refused(&c, control_make_answer(c.next_id++, ROOM, 2, watch_offer(&p, UFRAG)), "conflict");
    granted(&c, control_make_subscribe(c.next_id++, ROOM, 2, 1, 0)); /* in its place */
    refused(
        &c,
        control_make_restart(c.next_id++, ROOM, 2, CONTROL_WHICH_SUBSCRIBE, watch_offer(&p, UFRAG)),
        "conflict");
    peer_shut(&p);
    control_shut(&c);
}

static void test_too_many(void **state)
{
    (void)state;
    struct control_end c;
    struct peer p;
    control_open(&c);
    peer_open(&p, worker_port(c.worker));
    for (uint32_t i = 1; i <= 8; i++) { /* as many as the fixture's worker takes */
        granted(&c, control_make_watch(c.next_id++, ROOM, i, watch_offer(&p, UFRAG)));
    }
    refused(&c, control_make_watch(c.next_id++, ROOM, 9, watch_offer(&p, UFRAG)), "overloaded");
    granted(&c, control_make_watch(c.next_id++, ROOM, 8, watch_offer(&p, UFRAG))); /* his own */
    peer_shut(&p);
    control_shut(&c);
}

/* DELETE of a WHEP session ends that one; what he publishes goes on. */
static void test_leaving_by_one_transport(void **state)
{
    (void)state;
    struct control_end c;
    struct peer ann, ben, cleo;
    struct srtp_stream stream = {0};
    control_open(&c);
    publisher(&c, &ann, 1);
    watcher(&c, &cleo, 1); /* ann herself */
    uint32_t ssrc = watcher(&c, &ben, 2);
    await_slots(&c, 1);
    granted(&c, control_make_leave_one(c.next_id++, ROOM, 1, CONTROL_WHICH_SUBSCRIBE));
    assert_false(peer_check(&cleo, UFRAG));
    assert_true(peer_check(&ann, UFRAG));
    pass(&ann, &stream, &ben, 100, 5, ssrc);
    granted(&c, control_make_leave_one(c.next_id++, ROOM, 1, CONTROL_WHICH_PUBLISH));
    assert_false(peer_check(&ann, UFRAG));
    assert_true(peer_check(&ben, UFRAG));
    peer_shut(&ann);
    peer_shut(&ben);
    peer_shut(&cleo);
    control_shut(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_in_the_watchers_terms),
        cmocka_unit_test(test_an_ice_restart),
        cmocka_unit_test(test_refused_restarts_cost_nothing),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_leaving_by_one_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
