/* SDP fragments of PATCH: reading them, and an offer rewritten by one. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/sdpfrag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char other[] = "a=ice-ufrag:wxyz\na=ice-pwd:0123456789abcdefghijkl";
static const char offer[] =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:abcd\r\n"
    "a=ice-pwd:0123456789abcdefghijkl\r\na=candidate:1 1 udp 1 ::1 9 typ host\r\n"
    "a=rtpmap:111 opus/48000/2\r\n";

/* What a fragment that was taken makes of an offer is a description with its credentials. */
static void restart(const struct sdpfrag *f)
{
    struct buf made;
    struct sdp *s;
    buf_init(&made, 0);
    if (sdpfrag_restart_offer(&made, offer, f) != OK ||
        sdp_parse(&s, buf_cstr(&made), made.len) != OK) {
        abort();
    }
    if (strcmp(sdp_ice_ufrag(s, &s->media[0]), f->ufrag) != 0 ||
        strcmp(sdp_ice_pwd(s, &s->media[0]), f->pwd) != 0 || s->media[0].n_candidates != 0) {
        abort();
    }
    buf_free(&made);
    sdp_free(s);
}

/* Any text as the offer, and as the answer that a fragment is written from. */
static void rewrite(const uint8_t *data, size_t size)
{
    struct sdpfrag f, again;
    struct buf made;
    struct sdp *s;
    char *text = malloc(size + 1);
    if (!text) {
        return;
    }
    memcpy(text, data, size);
    text[size] = 0;
    buf_init(&made, 0);
    if (sdpfrag_parse(&f, other, strlen(other)) == OK) {
        (void)sdpfrag_restart_offer(&made, text, &f);
    }
    buf_clear(&made);
    if (sdp_parse(&s, text, size) == OK) {
        if (sdpfrag_write(&made, s) == OK) {
            (void)sdpfrag_parse(&again, buf_cstr(&made), made.len);
        }
        sdp_free(s);
    }
    buf_free(&made);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sdpfrag f;
    rewrite(data, size);
    if (sdpfrag_parse(&f, (const char *)data, size) != OK) {
        return 0;
    }
    if (f.n_media > SDPFRAG_MAX_MEDIA || f.n_candidates > SDPFRAG_MAX_CANDIDATES ||
        !f.ufrag[0] != !f.pwd[0]) {
        abort();
    }
    if (f.ufrag[0]) {
        restart(&f);
    }
    return 0;
}
