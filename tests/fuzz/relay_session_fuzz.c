/* The session of a relay link: bytes of nobody who knows the secret bring no session, no frame, no
 * answer, and break none that there is. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "sfu/core/relay_session.h"

#define SECRET "a secret that both nodes know"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct relay_session *make(uint8_t seed)
{
    struct relay_session *s;
    uint8_t bytes[RELAY_SESSION_SEED];
    memset(bytes, seed, sizeof bytes);
    if (relay_session_new(&s, SECRET, strlen(SECRET), bytes)) {
        abort();
    }
    return s;
}

static void refuse(struct relay_session *s, const uint8_t *data, size_t size)
{
    uint8_t out[4096], answer[RELAY_SESSION_HELLO];
    size_t len;
    bool answers;
    int r = relay_session_input(s, data, size, 0, out, &len, answer, &answers);
    if (r >= 0 || answers) {
        abort();
    }
}

/* a's hello to b, and what they answer each other. */
static void connect(struct relay_session *a, struct relay_session *b)
{
    uint8_t d[RELAY_SESSION_HELLO], answer[RELAY_SESSION_HELLO], out[RELAY_SESSION_HELLO];
    size_t len;
    bool answers = relay_session_tick(a, 0, d);
    for (int i = 0; answers; i++) {
        (void)relay_session_input(i % 2 ? a : b, d, sizeof d, 0, out, &len, answer, &answers);
        memcpy(d, answer, sizeof d);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct relay_session *a, *b, *alone;
    uint8_t sealed[64], out[64], answer[RELAY_SESSION_HELLO];
    size_t len;
    bool answers;
    if (size > 4096) {
        return 0;
    }
    if (!a) {
        a = make(1);
        b = make(2);
        alone = make(3);
        connect(a, b);
    }
    refuse(alone, data, size);
    refuse(b, data, size);
    int n = relay_session_seal(a, (const uint8_t *)"frame", 5, sealed, sizeof sealed);
    if (n < 0 || relay_session_input(b, sealed, (size_t)n, 0, out, &len, answer, &answers) !=
                     RELAY_SESSION_FRAME) {
        abort();
    }
    return 0;
}
