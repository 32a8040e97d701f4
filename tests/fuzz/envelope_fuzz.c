/* The envelope of client frames. */
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct envelope e;

    if (envelope_parse(&e, (const char *)data, size) != OK) {
        if (e.root) {
            abort();
        }
        return 0;
    }
    if (!cJSON_IsObject(e.data) || e.type[0] == 0) {
        abort();
    }
    envelope_free(&e);
    return 0;
}
