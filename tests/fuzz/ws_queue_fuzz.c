/* The send queue under any order of pushes, pops and resumes: bounds hold, counts agree, and no
 * durable frame comes out after one that was lost without the reader being told. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/io/ws_queue.h"

enum { FRAMES = 8, BYTES = 100, HEADROOM = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ws_queue *q = ws_queue_new(FRAMES, BYTES, HEADROOM);
    char text[300];
    size_t frames = 0;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; q && i + 1 < size; i += 2) {
        int op = data[i] % 5, lost = 0, rc;
        size_t len;
        if (op < 3) {
            bool before = ws_queue_overflowed(q);
            rc = ws_queue_push(q, (enum ws_class)op, text, data[i + 1], &lost);
            if (rc != OK && rc != ERR_LIMIT && rc != ERR_WRONG_STATE)
                abort();
            if (rc == OK && before && op != WS_CONTROL)
                abort(); /* a frame behind a gap */
            if ((rc == ERR_WRONG_STATE) != (!before && ws_queue_overflowed(q)))
                abort(); /* an overflow is told, once */
            frames += rc == OK;
            frames -= (size_t)(lost - (rc != OK));
        } else if (op == 3) {
            unsigned char *p = ws_queue_peek(q, &len);
            if ((p != NULL) != (frames > 0))
                abort();
            if (p)
                memset(p - HEADROOM, 0, HEADROOM + len);
            ws_queue_pop(q);
            frames -= p != NULL;
        } else {
            ws_queue_resume(q);
        }
        if (ws_queue_frames(q) != frames || frames > 2 * FRAMES || ws_queue_bytes(q) > 2 * BYTES)
            abort();
    }
    ws_queue_free(q);
    return 0;
}
