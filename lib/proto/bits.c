#include "lib/proto/bits.h"

void bits_init(struct bits *b, const uint8_t *data, size_t len)
{
    *b = (struct bits){.data = data, .len = len * 8};
}

uint32_t bits_read(struct bits *b, unsigned n)
{
    uint64_t v = 0;

    if (b->bad || b->len - b->pos < n) {
        b->bad = true;
        return 0;
    }
    for (unsigned left = n; left;) {
        unsigned here = 8 - b->pos % 8, take = left < here ? left : here;
        unsigned byte = b->data[b->pos / 8] & ((1u << here) - 1);
        v = v << take | byte >> (here - take);
        b->pos += take;
        left -= take;
    }
    return (uint32_t)v;
}

bool bits_flag(struct bits *b)
{
    return bits_read(b, 1);
}

void bits_skip(struct bits *b, size_t n)
{
    if (b->bad || b->len - b->pos < n) {
        b->bad = true;
        return;
    }
    b->pos += n;
}

uint32_t bits_read_ns(struct bits *b, uint32_t n)
{
    unsigned w = 32 - (unsigned)__builtin_clz(n);
    uint32_t m = (uint32_t)((1ull << w) - n), v = bits_read(b, w - 1);

    return v < m ? v : (v << 1) - m + bits_read(b, 1);
}

uint32_t bits_read_ue(struct bits *b)
{
    unsigned zeros = 0;

    while (!b->bad && !bits_flag(b)) {
        if (++zeros > 31) {
            b->bad = true;
        }
    }
    return b->bad ? 0 : (uint32_t)((1ull << zeros) - 1 + bits_read(b, zeros));
}

int32_t bits_read_se(struct bits *b)
{
    uint32_t v = bits_read_ue(b);

    return v & 1 ? (int32_t)(v / 2 + 1) : -(int32_t)(v / 2);
}
