#include "sfu/core/train.h"

/* What the train is while it grows: of its packets but the last, which needs no padding. */
struct front {
    size_t n, sum, longest, shortest;
};

static void move_in(struct front *f, size_t len)
{
    f->n++;
    f->sum += len;
    f->longest = len > f->longest ? len : f->longest;
    f->shortest = len < f->shortest ? len : f->shortest;
}

/* Whether the front may have a last packet of this length behind it. Packets as long as the last
 * at least: a longer last one makes all before it longer. */
static int may_follow(const struct front *f, size_t last, size_t tag)
{
    size_t to = last > f->longest ? last : f->longest;
    size_t padding = f->n * to - f->sum;
    return f->n < TRAIN_PACKETS && to - f->shortest <= TRAIN_PAD &&
           padding * TRAIN_COST <= f->sum + last && f->n * (to + tag) + last + tag <= TRAIN_BYTES;
}

void train_plan(struct train *out, const uint16_t *len, size_t n, size_t tag)
{
    struct front front = {.shortest = SIZE_MAX};
    size_t count = 1, to = len[0], last = len[0];
    while (count < n && count < TRAIN_PACKETS) {
        struct front longer = front;
        move_in(&longer, last);
        if (!may_follow(&longer, len[count], tag)) {
            break;
        }
        front = longer;
        last = len[count++];
        to = last > front.longest ? last : front.longest;
    }
    out->packets = count;
    out->segment = count > 1 ? to + tag : 0;
    out->bytes = (count - 1) * (to + tag) + last + tag;
}
