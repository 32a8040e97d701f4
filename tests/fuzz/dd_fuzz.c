/* Dependency descriptors in sequence on one state: each is a length byte and its bytes. A refused
 * one must leave the state as it was; one that was read must come out of dd_write as it was, but
 * for what was asked. */
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/proto/dd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void expect_bounds(const struct dd_state *st, const struct dd_frame *f, size_t len)
{
    expect(st->known && st->structure.n_templates >= 1 && st->structure.n_templates <= 64);
    expect(st->structure.n_targets >= 1 && st->structure.n_targets <= DD_MAX_TARGETS);
    expect(st->structure.n_chains <= st->structure.n_targets);
    expect(st->structure.n_spatial <= DD_MAX_SPATIAL);
    expect(st->structure.n_temporal <= DD_MAX_TEMPORAL);
    for (size_t i = 0; st->structure.n_chains && i < st->structure.n_targets; i++) {
        expect(st->structure.target_chain[i] < st->structure.n_chains);
    }
    expect(f->n_targets == st->structure.n_targets && f->n_chains == st->structure.n_chains);
    expect(f->sid < DD_MAX_SPATIAL && f->tid < DD_MAX_TEMPORAL && f->n_fdiffs <= DD_MAX_FDIFFS);
    expect(f->bits >= 24 && f->bits <= len * 8);
    expect(f->targets_bit >= 29 && (uint16_t)f->frame_id == f->frame_number);
    expect(f->active_targets <= UINT32_MAX >> (32 - f->n_targets));
    expect(st->active_targets <= UINT32_MAX >> (32 - st->structure.n_targets));
    for (size_t i = 0; i < f->n_fdiffs; i++) {
        expect(f->fdiff[i] >= 1 && f->fdiff[i] <= 4096);
    }
}

/* Rewrites a copy and reads it by the state that the original was read by. */
static void rewrite(const struct dd_state *before, const struct dd_frame *f, const uint8_t *data,
                    size_t len)
{
    struct dd_rewrite how = {.set_targets = true, .targets = 0x5a5a5a5a};
    struct dd_state st = *before;
    struct dd_frame g, want = *f;
    uint8_t out[DD_MAX_SIZE];

    how.targets &= UINT32_MAX >> (32 - f->n_targets);
    int n = dd_write(f, &how, data, len, out, sizeof out);
    if (n == ERR_TOO_LARGE) {
        return;
    }
    expect(n >= 4 && (size_t)n <= len + 5);
    expect(dd_parse(&st, &g, out, (size_t)n) == OK);
    want.active_targets = how.targets;
    want.targets_present = true;
    want.bits = g.bits;
    expect(memcmp(&g, &want, sizeof g) == 0);
    how = (struct dd_rewrite){.add_frame = data[0], .add_template = data[1]};
    expect(dd_write(f, &how, data, len, out, sizeof out) == (f->bits + 7) / 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct dd_state st, before;
    struct dd_frame f, zero;

    memset(&st, 0, sizeof st);
    memset(&zero, 0, sizeof zero);
    while (size > 1) {
        size_t len = data[0] < size - 1 ? data[0] : size - 1;
        uint8_t *copy = malloc(len ? len : 1);
        if (!copy) {
            return 0;
        }
        memcpy(copy, data + 1, len);
        memcpy(&before, &st, sizeof st);
        memset(&f, 0, sizeof f);
        if (dd_parse(&st, &f, copy, len) == OK) {
            expect_bounds(&st, &f, len);
            rewrite(&before, &f, copy, len);
        } else {
            expect(memcmp(&st, &before, sizeof st) == 0);
            expect(memcmp(&f, &zero, sizeof f) == 0);
        }
        free(copy);
        data += 1 + len;
        size -= 1 + len;
    }
    return 0;
}
