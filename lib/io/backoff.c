#include "lib/io/backoff.h"

#include "lib/base/crypto.h"

int64_t backoff_delay_us(int failures, int64_t base_us, int64_t max_us, uint64_t random)
{
    int64_t bound = base_us;
    while (failures-- > 0 && bound < max_us)
        bound *= 2;
    if (bound > max_us)
        bound = max_us;
    return bound <= 0 ? 0 : (int64_t)(random % ((uint64_t)bound + 1));
}

int64_t backoff_next_us(int failures, int64_t base_us, int64_t max_us)
{
    uint64_t random;
    random_bytes(&random, sizeof(random));
    return backoff_delay_us(failures, base_us, max_us, random);
}
