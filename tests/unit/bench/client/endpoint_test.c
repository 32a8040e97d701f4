/* Endpoints with real sockets, against each other, through bad links, and against a real SFU worker
 * in the same process. */
#include "tests/unit/sfu/shell/peer_fixture.h"

#include <uv.h>

#include "bench/client/endpoint.h"

static struct loop *loop;
static struct endpoint_host *host;

/* What an endpoint told. */
struct told {
    struct endpoint *e;
    char *local;
    bool connected, failed;
    bool media[2];
    struct endpoint_connected c;
    char why[100];
};
static struct told ann, ben, cleo;

static void on_local(void *arg, struct endpoint *e, const char *type, const char *sdp)
{
    struct told *t = arg;
    (void)e;
    assert_true(strcmp(type, "offer") == 0 || strcmp(type, "answer") == 0);
    t->local = strdup(sdp);
}

static void on_connected(void *arg, struct endpoint *e, const struct endpoint_connected *c)
{
    struct told *t = arg;
    (void)e;
    t->connected = true;
    t->c = *c;
}

static void on_media(void *arg, struct endpoint *e, enum media_kind kind, int64_t us,
                     int64_t since_us)
{
    struct told *t = arg;
    (void)e;
    assert_true(us >= 0 && since_us >= us);
    assert_false(t->media[kind]); /* once */
    t->media[kind] = true;
}

static void on_failed(void *arg, struct endpoint *e, const char *why)
{
    struct told *t = arg;
    (void)e;
    assert_false(t->failed);
    t->failed = true;
    str_copy(t->why, sizeof t->why, why);
}

static const struct endpoint_handler handler = {
    .local = on_local, .connected = on_connected, .media = on_media, .failed = on_failed};

static int begin(void **state)
{
    (void)state;
    memset(&ann, 0, sizeof ann);
    memset(&ben, 0, sizeof ben);
    memset(&cleo, 0, sizeof cleo);
    loop = loop_new();
    assert_non_null(loop);
    assert_int_equal(endpoint_host_new(&host, loop), OK);
    return 0;
}

static int end(void **state)
{
    struct told *all[] = {&ann, &ben, &cleo};
    (void)state;
    for (int i = 0; i < 3; i++) {
        endpoint_free(all[i]->e);
        free(all[i]->local);
    }
    endpoint_host_free(host);
    loop_free(loop);
    return 0;
}

/* Turns the loop until the condition holds, or fails. */
#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        int64_t until_us = clock_mono_us() + WAIT_US;                                              \
        while (!(condition)) {                                                                     \
            if (clock_mono_us() > until_us)                                                        \
                fail_msg("in time: %s", #condition);                                               \
            uv_run(loop_uv(loop), UV_RUN_NOWAIT);                                                  \
            poll(NULL, 0, 1);                                                                      \
        }                                                                                          \
    } while (0)

static struct receiver_stats received(const struct told *t)
{
    struct receiver_stats s;
    (void)endpoint_receiver_stats(t->e, &s);
    return s;
}

static void make(struct told *t, const struct endpoint_options *o)
{
    assert_int_equal(endpoint_new(&t->e, host, o, &handler, t), OK);
}

static struct endpoint_options both_ways(uint32_t number)
{
    return (struct endpoint_options){
        .number = number, .audio = 1, .video = 1, .direction = SDP_SENDRECV};
}

static const struct source_config camera = {
    .video_kbps = 800, .fps = 30, .packet_bytes = 1000, .audio = true, .width = 640, .height = 360};

/* ann calls ben; links may be NULL. */
static void call(const struct endpoint_options *a, const struct endpoint_options *b,
                 const struct endpoint_link *link)
{
    make(&ann, a);
    make(&ben, b);
    assert_int_equal(endpoint_offer(ann.e), OK);
    UNTIL(ann.local || ann.failed);
    assert_int_equal(endpoint_answer(ben.e, ann.local, strlen(ann.local), NULL), OK);
    UNTIL(ben.local || ben.failed);
    assert_int_equal(endpoint_remote(ann.e, ben.local, strlen(ben.local), link), OK);
}

static void assert_clean(const struct told *t)
{
    struct receiver_stats s = received(t);
    assert_true(s.sampled > 0);
    assert_int_equal(s.sample_bad_tag, 0);
    assert_int_equal(s.sample_bad_payload, 0);
    assert_int_equal(s.lost, 0);
    assert_int_equal(endpoint_dropped(t->e), 0);
}

static void talk(void)
{
    assert_int_equal(endpoint_send(ann.e, &camera), OK);
    assert_int_equal(endpoint_send(ben.e, &camera), OK);
    UNTIL(ann.media[0] && ann.media[1] && ben.media[0] && ben.media[1]);
    UNTIL(received(&ann).video_packets > 150 && received(&ben).video_packets > 150);
    assert_clean(&ann);
    assert_clean(&ben);
    assert_true(endpoint_latency(ann.e)->count > 0);
    assert_true(histogram_quantile(endpoint_latency(ann.e), 0.5) < 1000000);
    assert_true(received(&ann).feedbacks > 0);
}

static void test_a_call(void **state)
{
    struct endpoint_options a = both_ways(1), b = both_ways(2);
    struct source_stats s;
    (void)state;
    call(&a, &b, NULL);
    UNTIL(ann.connected && ben.connected);
    assert_string_equal(ann.c.profile, "AEAD_AES_128_GCM");
    assert_string_equal(ann.c.path, "host");
    assert_true(ann.c.ice_us >= 0 && ann.c.dtls_us > 0);
    assert_int_equal(ann.c.ice_us + ann.c.dtls_us, ann.c.ms_us);
    talk();
    assert_true(endpoint_source_stats(ann.e, &s));
    assert_true(s.video_packets >= 150 && s.audio_packets > 10);
    endpoint_stats_reset(ann.e);
    assert_int_equal(received(&ann).packets, 0);
}

static void test_a_call_by_the_other_suite(void **state)
{
    struct endpoint_options a = both_ways(1), b = both_ways(2);
    (void)state;
    b.profile = ENDPOINT_PROFILE_CM; /* as DTLS client it offers nothing else */
    call(&a, &b, NULL);
    UNTIL(ann.connected && ben.connected);
    assert_string_equal(ann.c.profile, "AES_CM_128_HMAC_SHA1_80");
    talk();
}

static void test_suites_that_do_not_meet(void **state)
{
    struct endpoint_options a = both_ways(1), b = both_ways(2);
    (void)state;
    a.profile = ENDPOINT_PROFILE_GCM;
    b.profile = ENDPOINT_PROFILE_CM;
    call(&a, &b, NULL);
    UNTIL(ann.failed || ben.failed);
    assert_false(ann.connected || ben.connected);
}

static void test_a_call_by_libnice(void **state)
{
    struct endpoint_options a = both_ways(1), b = both_ways(2);
    (void)state;
    a.nice = b.nice = true;
    call(&a, &b, NULL);
    UNTIL(ann.connected && ben.connected);
    talk();
}

static void test_libnice_and_ours(void **state)
{
    struct endpoint_options a = both_ways(1), b = both_ways(2);
    (void)state;
    b.nice = true;
    call(&a, &b, NULL);
    UNTIL(ann.connected && ben.connected);
    talk();
}

/* What is lost is asked for and comes again: in the end nothing is missing but by the books. */
static void test_a_lossy_link(void **state)
{
    struct endpoint_options a = both_ways(1), b = both_ways(2);
    struct endpoint_link link = {
        .on = true, .up = {.loss = 0.05, .delay_us = 5000, .seed = 3}, .down = {.delay_us = 5000}};
    struct impair_stats up, down;
    (void)state;
    call(&a, &b, &link);
    UNTIL(ann.connected && ben.connected);
    assert_int_equal(endpoint_send(ann.e, &camera), OK);
    UNTIL(received(&ben).video_packets > 400);
    assert_true(endpoint_link_stats(ann.e, &up, &down));
    assert_true(up.lost > 5);
    assert_true(down.in > 0 && down.lost == 0);
    struct receiver_stats s = received(&ben);
    assert_true(s.nacks > 0);
    assert_true(s.rtx_packets > 5);
    assert_int_equal(s.sample_bad_tag + s.sample_bad_payload, 0);
    assert_true(s.lost < up.lost / 2); /* sound isn't asked for again */
    assert_false(endpoint_link_stats(ben.e, &up, &down));
}

/* An answer with one text in the place of another. */
static void remote_changed(const char *name, size_t off)
{
    char *at = strstr(ben.local, name);
    assert_non_null(at);
    at += strlen(name) + off;
    *at = *at == 'A' ? 'B' : 'A';
    assert_int_equal(endpoint_remote(ann.e, ben.local, strlen(ben.local), NULL), OK);
}

static void offer_and_answer(void)
{
    struct endpoint_options o = both_ways(1);
    make(&ann, &o);
    make(&ben, &o);
    assert_int_equal(endpoint_offer(ann.e), OK);
    assert_int_equal(endpoint_answer(ben.e, ann.local, strlen(ann.local), NULL), OK);
}

static void test_another_fingerprint(void **state)
{
    (void)state;
    offer_and_answer();
    remote_changed("a=fingerprint:sha-256 ", 94);
    UNTIL(ann.failed);
    assert_non_null(strstr(ann.why, "fingerprint"));
    assert_false(ann.connected);
    assert_int_equal(endpoint_state(ann.e), ENDPOINT_FAILED);
}

/* ben's checks are answered; ann's, with the wrong password, never are. */
static void test_another_password(void **state)
{
    (void)state;
    offer_and_answer();
    remote_changed("a=ice-pwd:", 3);
    for (int64_t end_us = clock_mono_us() + 1000000; clock_mono_us() < end_us;) {
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
        poll(NULL, 0, 1);
    }
    assert_false(ann.connected || ben.connected);
    assert_int_equal(endpoint_state(ann.e), ENDPOINT_CONNECTING);
}

static void test_each_step_once(void **state)
{
    struct endpoint_options o = both_ways(1);
    (void)state;
    offer_and_answer();
    assert_int_equal(endpoint_offer(ann.e), ERR_STATE);
    assert_int_equal(endpoint_answer(ann.e, ben.local, strlen(ben.local), NULL), ERR_STATE);
    assert_int_equal(endpoint_remote(ben.e, ann.local, strlen(ann.local), NULL), ERR_STATE);
    assert_int_equal(endpoint_remote(ann.e, "nonsense", 8, NULL), ERR_INVALID);
    assert_int_equal(endpoint_remote(ann.e, ben.local, strlen(ben.local), NULL), OK);
    assert_int_equal(endpoint_remote(ann.e, ben.local, strlen(ben.local), NULL), ERR_STATE);
    make(&cleo, &o);
    assert_int_equal(endpoint_answer(cleo.e, "v=0\r\n", 5, NULL), ERR_INVALID);
    assert_int_equal(endpoint_port(ann.e) > 0, 1);
}

/* When one end goes the other hears of it. */
static void test_the_other_end_closes(void **state)
{
    struct endpoint_options a = both_ways(1), b = both_ways(2);
    (void)state;
    call(&a, &b, NULL);
    UNTIL(ann.connected && ben.connected);
    endpoint_free(ben.e);
    ben.e = NULL;
    UNTIL(ann.failed);
    assert_string_equal(ann.why, "the other end closed");
}

/* ---- raw ---- */

static void raw_keys(struct dtls_keys *k, bool first, enum dtls_srtp_profile profile)
{
    memset(k, 0, sizeof *k);
    k->profile = profile;
    k->key_len = 16;
    k->salt_len = profile == DTLS_AES128_CM_SHA1_80 ? 14 : 12;
    memset(k->local_key, first ? 1 : 2, 16);
    memset(k->remote_key, first ? 2 : 1, 16);
    memset(k->local_salt, first ? 3 : 4, 14);
    memset(k->remote_salt, first ? 4 : 3, 14);
}

static void start_raw(struct told *t, const struct told *other, bool first,
                      enum dtls_srtp_profile profile)
{
    struct media_track tracks[2] = {
        {.kind = MEDIA_AUDIO, .ssrc = 10, .pt = 111},
        {.kind = MEDIA_VIDEO, .ssrc = 20, .pt = 96, .rtx_ssrc = 21, .rtx_pt = 97, .nack = true}};
    struct endpoint_raw raw = {.audio = &tracks[0],
                               .video = &tracks[1],
                               .receive = tracks,
                               .n_receive = 2,
                               .remote = {.sin_family = AF_INET}};
    raw.remote.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    raw.remote.sin_port = htons((uint16_t)endpoint_port(other->e));
    raw_keys(&raw.keys, first, profile);
    assert_int_equal(endpoint_start_raw(t->e, &raw), OK);
    assert_true(t->connected);
}

static void raw_call(enum dtls_srtp_profile a, enum dtls_srtp_profile b)
{
    struct endpoint_options o = {.number = 1};
    make(&ann, &o);
    make(&ben, &o);
    start_raw(&ann, &ben, true, a);
    start_raw(&ben, &ann, false, b);
    assert_int_equal(endpoint_send(ann.e, &camera), OK);
    UNTIL(received(&ben).video_packets > 150);
}

static void test_raw(void **state)
{
    (void)state;
    raw_call(DTLS_AEAD_AES_128_GCM, DTLS_AEAD_AES_128_GCM);
    assert_clean(&ben);
    assert_int_equal(received(&ben).streams, 2);
}

static void test_a_source_that_cannot_be_leaves_the_one_that_is(void **state)
{
    struct source_config huge = camera;
    (void)state;
    raw_call(DTLS_AEAD_AES_128_GCM, DTLS_AEAD_AES_128_GCM);
    huge.video_kbps = 1000000;
    huge.fps = 1;
    assert_int_equal(endpoint_send(ann.e, &huge), ERR_INVALID);
    uint64_t before = received(&ben).video_packets;
    UNTIL(received(&ben).video_packets > before + 100);
    assert_clean(&ben);
}

static void test_raw_by_the_other_suite(void **state)
{
    (void)state;
    raw_call(DTLS_AES128_CM_SHA1_80, DTLS_AES128_CM_SHA1_80);
    assert_clean(&ben);
}

/* Samples are what finds a server that forwards wrong bytes. */
static void test_wrong_keys_are_found(void **state)
{
    (void)state;
    raw_call(DTLS_AEAD_AES_128_GCM, DTLS_AES128_CM_SHA1_80);
    struct receiver_stats s = received(&ben);
    assert_true(s.sample_bad_tag > 0);
    assert_int_equal(s.sampled, 0); /* those that proved good */
}

/* ---- an SFU ---- */

static void publish(struct control_end *c, struct told *t, const struct endpoint_link *link)
{
    struct endpoint_options o = {.number = 1, .audio = 1, .video = 1, .direction = SDP_SENDONLY};
    struct control_frame f;
    make(t, &o);
    assert_int_equal(endpoint_offer(t->e), OK);
    control_send(c, control_make_publish(c->next_id++, ROOM, 1, t->local));
    control_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    assert_int_equal(endpoint_remote(t->e, f.sdp, strlen(f.sdp), link), OK);
    control_free(&f);
    assert_int_equal(endpoint_send(t->e, &camera), OK);
    UNTIL(t->connected);
    assert_string_equal(t->c.path, "lite");
}

static void subscribe(struct control_end *c, struct told *t, uint32_t number,
                      const struct endpoint_link *link)
{
    struct endpoint_options o = {.number = number, .direction = SDP_SENDRECV};
    struct control_frame f;
    make(t, &o);
    control_send(c, control_make_subscribe(c->next_id++, ROOM, number, 2, 3));
    control_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    assert_int_equal(endpoint_answer(t->e, f.sdp, strlen(f.sdp), link), OK);
    control_free(&f);
    control_send(c, control_make_answer(c->next_id++, ROOM, number, t->local));
    control_await(c, CONTROL_REPLY, &f);
    assert_true(f.ok);
    control_free(&f);
    UNTIL(t->connected);
}

static void test_through_an_sfu(void **state)
{
    struct control_end c;
    (void)state;
    control_open(&c);
    publish(&c, &ann, NULL);
    subscribe(&c, &ben, 2, NULL);
    subscribe(&c, &cleo, 3, NULL);
    UNTIL(ben.media[0] && ben.media[1] && cleo.media[0] && cleo.media[1]);
    UNTIL(received(&ben).video_packets > 200 && received(&cleo).video_packets > 200);
    assert_clean(&ben);
    assert_clean(&cleo);
    control_shut(&c);
}

/* Both ways are bad: the publisher repairs towards the SFU, the SFU towards the subscriber. */
static void test_through_an_sfu_by_bad_links(void **state)
{
    struct endpoint_link up = {.on = true, .up = {.loss = 0.03, .seed = 5}, .down = {.seed = 6}};
    struct endpoint_link down = {.on = true, .up = {.seed = 7}, .down = {.loss = 0.03, .seed = 8}};
    struct impair_stats lost_up, lost_down, none;
    struct control_end c;
    (void)state;
    control_open(&c);
    publish(&c, &ann, &up);
    subscribe(&c, &ben, 2, &down);
    assert_int_equal(endpoint_receive(ben.e, true, true, true), OK);
    UNTIL(received(&ben).video_packets > 500);
    assert_true(endpoint_link_stats(ann.e, &lost_up, &none));
    assert_true(endpoint_link_stats(ben.e, &none, &lost_down));
    struct receiver_stats s = received(&ben);
    struct source_stats sent;
    assert_true(endpoint_source_stats(ann.e, &sent));
    assert_true(lost_up.lost > 3 && lost_down.lost > 3);
    assert_true(sent.rtx_packets > 0 && s.rtx_packets > 0);
    assert_int_equal(s.sample_bad_tag + s.sample_bad_payload, 0);
    assert_true(s.frames > 20 && s.frames_broken * 10 < s.frames);
    control_shut(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_call),
        TEST(test_a_call_by_the_other_suite),
        TEST(test_suites_that_do_not_meet),
        TEST(test_a_call_by_libnice),
        TEST(test_libnice_and_ours),
        TEST(test_a_lossy_link),
        TEST(test_another_fingerprint),
        TEST(test_another_password),
        TEST(test_each_step_once),
        TEST(test_the_other_end_closes),
        TEST(test_raw),
        TEST(test_a_source_that_cannot_be_leaves_the_one_that_is),
        TEST(test_raw_by_the_other_suite),
        TEST(test_wrong_keys_are_found),
        TEST(test_through_an_sfu),
        TEST(test_through_an_sfu_by_bad_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
