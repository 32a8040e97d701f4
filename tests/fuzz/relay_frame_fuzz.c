/* Relay frames: whatever is read, written and read again is the same. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/relay_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct relay_frame a, b;
    uint8_t first[RELAY_MAX_FRAME], second[RELAY_MAX_FRAME];
    if (relay_frame_read(&a, data, size) != OK) {
        return 0;
    }
    if (a.payload_len > size || (a.payload && a.payload < data)) {
        abort();
    }
    int n = relay_frame_write(&a, first, sizeof first);
    if (n < 0 || relay_frame_read(&b, first, (size_t)n) != OK) {
        abort();
    }
    int m = relay_frame_write(&b, second, sizeof second);
    if (m != n || memcmp(first, second, (size_t)n) != 0 || a.type != b.type || a.track != b.track ||
        a.payload_len != b.payload_len ||
        !relay_description_same(&a.description, &b.description, true)) {
        abort();
    }
    return 0;
}
