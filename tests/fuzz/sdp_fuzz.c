/* SDP: parse, write, parse again; answer it as a publisher's and as a watcher's offer; read it as a
 * subscriber's answer. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_publish.h"
#include "lib/proto/sdp_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sdp_local local = {
    .ice_ufrag = "srvU",
    .ice_pwd = "srvpwdsrvpwdsrvpwdsrvpwd",
    .n_candidates = 1,
    .candidate = {{"192.0.2.1", 7000, false}},
    .session_id = 1,
    .cname = "sotto",
    .simulcast = true,
    .codecs = SDP_ALL_CODECS,
};

/* What we write we must be able to read. */
static void must_parse(struct buf *text)
{
    struct sdp *again = NULL;
    if (text->len <= SDP_MAX_BYTES && sdp_parse(&again, buf_cstr(text), text->len) != OK) {
        abort();
    }
    sdp_free(again);
}

static void publish(const struct sdp *s, struct buf *out)
{
    struct sdp_publish p;
    struct sdp_local basic = local;

    buf_clear(out);
    if (sdp_answer_publish(out, &p, s, &local) == OK) {
        must_parse(out);
    }
    basic.codecs = 0;
    basic.prefer = CODEC_VP8;
    basic.simulcast = false;
    buf_clear(out);
    (void)sdp_answer_publish(out, &p, s, &basic);
}

static void watch(const struct sdp *s, struct buf *out)
{
    static struct sdp_watch w;
    static struct sdp_slots slots = {.n_audio = SDP_MAX_AUDIO_SLOTS,
                                     .n_video = SDP_MAX_VIDEO_SLOTS};

    buf_clear(out);
    if (sdp_read_watch(&w, s, SDP_ALL_CODECS, SDP_MAX_AUDIO_SLOTS, SDP_MAX_VIDEO_SLOTS) == OK) {
        if (sdp_answer_watch(out, &w, s, &slots, &local) != OK) {
            abort(); /* nothing in an offer that was read can stand in the way */
        }
        must_parse(out);
    }
}

static void read_answer(const struct sdp *s, size_t n_audio, size_t n_video, uint32_t codecs)
{
    static struct sdp_subscribe r;
    struct sdp_slots slots = {.n_audio = n_audio, .n_video = n_video, .codecs = codecs};

    (void)sdp_read_answer(&r, s, &slots);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sdp *s = NULL;
    struct buf out;

    if (sdp_parse(&s, (const char *)data, size) != OK) {
        return 0;
    }
    buf_init(&out, 0);
    if (sdp_write(&out, s) == OK) {
        must_parse(&out);
    }
    publish(s, &out);
    watch(s, &out);
    read_answer(s, 3, 9, 0);
    read_answer(s, 2, 3, SDP_ALL_CODECS);
    read_answer(s, 1, 0, SDP_ALL_CODECS);
    buf_free(&out);
    sdp_free(s);
    return 0;
}
