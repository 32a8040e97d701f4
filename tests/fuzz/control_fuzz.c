/* Control frames of the link between signald and sfud. */
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/proto/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct control_frame f;
    struct id room;
    uint32_t who[8];
    char why[96];

    if (control_parse(&f, (const char *)data, size, why, sizeof why) != OK) {
        if (f.root) {
            abort();
        }
        return 0;
    }
    if (f.n_video > CONTROL_MAX_SLOTS || f.n_audio > CONTROL_MAX_AUDIO_SLOTS ||
        f.participant > CONTROL_MAX_PARTICIPANT) {
        abort();
    }
    for (size_t i = 0; i < f.n_rooms; i++) {
        if (control_room_at(&f, i, &room, who, 8) < 0) {
            abort();
        }
    }
    control_free(&f);
    return 0;
}
