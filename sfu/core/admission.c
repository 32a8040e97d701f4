#include "sfu/core/admission.h"

#include <string.h>

#include "lib/base/err.h"

#define NS_SECOND INT64_C(1000000000)

bool admission_take(struct admission_bucket *b, const struct admission_rate *rate, int64_t now_us)
{
    if (rate->per_second == 0) {
        return true;
    }
    int64_t now_ns = now_us * 1000, token_ns = NS_SECOND / rate->per_second;
    int64_t burst_ns = token_ns * (rate->burst ? rate->burst : 1);
    int64_t full_ns = b->full_ns > now_ns ? b->full_ns : now_ns;
    if (full_ns + token_ns > now_ns + burst_ns) {
        /* A clock that went back must not shut the bucket for long. */
        b->full_ns = full_ns > now_ns + burst_ns ? now_ns + burst_ns : full_ns;
        return false;
    }
    b->full_ns = full_ns + token_ns;
    return true;
}

void admission_limits_default(struct admission_limits *l)
{
    *l = (struct admission_limits){
        .most = {[ADMISSION_TRANSPORTS] = 4000,
                 [ADMISSION_TRACKS] = 16000,
                 [ADMISSION_CACHE_BYTES] = UINT64_C(512) << 20,
                 [ADMISSION_HANDSHAKES] = 500},
        .handshakes = {.per_second = 200, .burst = 400},
        .packets = {.per_second = 4000, .burst = 4000},
        .stun_prefix = {.per_second = 500, .burst = 1000},
        .stun_all = {.per_second = 20000, .burst = 20000},
        .busy_percent = 85,
    };
}

void admission_init(struct admission *a, const struct admission_limits *limits, uint64_t seed)
{
    memset(a, 0, sizeof *a);
    a->limits = *limits;
    a->seed = seed;
}

int admission_hold(struct admission *a, enum admission_resource which, uint64_t n)
{
    uint64_t most = a->limits.most[which];
    bool over = most != 0 && (a->held[which] > most || n > most - a->held[which]);
    if (over || n > UINT64_MAX - a->held[which]) {
        a->count[ADMISSION_REFUSED_RESOURCES]++;
        return ERR_LIMIT;
    }
    a->held[which] += n;
    return OK;
}

void admission_release(struct admission *a, enum admission_resource which, uint64_t n)
{
    a->held[which] -= n < a->held[which] ? n : a->held[which];
}

int admission_handshake(struct admission *a, int64_t now_us)
{
    uint64_t most = a->limits.most[ADMISSION_HANDSHAKES];
    bool full = most != 0 && a->held[ADMISSION_HANDSHAKES] >= most;
    if (full || !admission_take(&a->handshakes, &a->limits.handshakes, now_us)) {
        a->count[ADMISSION_REFUSED_HANDSHAKES]++;
        return ERR_LIMIT;
    }
    a->held[ADMISSION_HANDSHAKES]++;
    return OK;
}

int admission_join(struct admission *a)
{
    uint64_t most = a->limits.most[ADMISSION_TRANSPORTS];
    if (a->load.refusing) {
        a->count[ADMISSION_REFUSED_JOINS]++;
        return ERR_UNAVAILABLE;
    }
    return most != 0 && a->held[ADMISSION_TRANSPORTS] >= most ? ERR_LIMIT : OK;
}

/* ---- answers to strangers ---- */

/* The first 24 bits of an IPv4 address, 56 of an IPv6 one: what one customer of a provider has. */
uint64_t admission_prefix(const uint8_t *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint64_t key = 0;
    bool v4 = memcmp(address, mapped, sizeof mapped) == 0;
    const uint8_t *from = v4 ? address + 12 : address;
    for (int i = 0; i < (v4 ? 3 : 7); i++) {
        key = key << 8 | from[i];
    }
    return key | (v4 ? UINT64_C(1) << 62 : UINT64_C(1) << 63);
}

static size_t first_way(const struct admission *a, uint64_t key)
{
    uint64_t z = key ^ a->seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (size_t)((z ^ (z >> 31)) % (ADMISSION_PREFIXES / ADMISSION_WAYS)) * ADMISSION_WAYS;
}

static struct admission_prefix *find_prefix(struct admission *a, uint64_t key)
{
    struct admission_prefix *way = &a->prefix[first_way(a, key)], *oldest = way;
    for (int i = 0; i < ADMISSION_WAYS; i++) {
        if (way[i].key == key) {
            return &way[i];
        }
        if (oldest->key != 0 && (way[i].key == 0 || way[i].seen_us < oldest->seen_us)) {
            oldest = &way[i];
        }
    }
    a->count[ADMISSION_EVICTED_PREFIXES] += oldest->key != 0;
    *oldest = (struct admission_prefix){.key = key};
    return oldest;
}

int admission_stranger(struct admission *a, const uint8_t *address, size_t request_len,
                       size_t answer_len, int64_t now_us)
{
    if (answer_len > request_len) {
        a->count[ADMISSION_REFUSED_LARGER]++;
        return ERR_TOO_LARGE;
    }
    struct admission_prefix *p = find_prefix(a, admission_prefix(address));
    p->seen_us = now_us;
    if (!admission_take(&p->bucket, &a->limits.stun_prefix, now_us) ||
        !admission_take(&a->stun_all, &a->limits.stun_all, now_us)) {
        a->count[ADMISSION_REFUSED_STUN]++;
        return ERR_LIMIT;
    }
    return OK;
}
