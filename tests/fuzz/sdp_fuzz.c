/* SDP: parse, write, parse again; answer it as a publisher's offer; read it as a subscriber's
 * answer. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdp_publish.h"
#include "lib/proto/sdp_subscribe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sdp_local local = {
    .ice_ufrag = "srvU",
    .ice_pwd = "srvpwdsrvpwdsrvpwdsrvpwd",
    .n_candidates = 1,
    .candidate = {{"192.0.2.1", 7000, false}},
    .session_id = 1,
    .cname = "sotto",
    .simulcast = true,
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sdp *s = NULL;
    struct sdp_publish publish;
    struct sdp_subscribe subscribe;
    struct sdp_slots slots = {.n_audio = 3, .n_video = 9};
    struct buf out;

    if (sdp_parse(&s, (const char *)data, size) != OK) {
        return 0;
    }
    buf_init(&out, 0);
    if (sdp_write(&out, s) == OK) {
        must_parse(&out);
    }
    buf_clear(&out);
    if (sdp_answer_publish(&out, &publish, s, &local) == OK) {
        must_parse(&out);
    }
    (void)sdp_read_answer(&subscribe, s, &slots);
    slots = (struct sdp_slots){.n_audio = 1};
    (void)sdp_read_answer(&subscribe, s, &slots);
    buf_free(&out);
    sdp_free(s);
    return 0;
}
