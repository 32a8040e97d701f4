/* Bounds of one worker: what it takes on (transports, tracks, cache), at what rates (handshakes,
 * packets of a publisher, answers to strangers), and what it gives up first when it has more work
 * than time. Whoever is inside keeps his audio: nothing here touches it. Fixed memory, nothing is
 * allocated; time is an argument. */
#ifndef SOTTO_SFU_CORE_ADMISSION_H
#define SOTTO_SFU_CORE_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- rates ---- */

/* `per_second` on average, at most `burst` at once. per_second 0: no bound. */
struct admission_rate {
    uint32_t per_second, burst;
};

/* A token bucket as the time at which it will be full again (GCRA): eight bytes. Zero-initialise:
 * full. */
struct admission_bucket {
    int64_t full_ns;
};

/* Takes one token. False when there is none; then nothing is taken. */
bool admission_take(struct admission_bucket *b, const struct admission_rate *rate, int64_t now_us);

/* ---- what a worker holds ---- */

enum admission_resource {
    ADMISSION_TRANSPORTS,
    ADMISSION_TRACKS,
    ADMISSION_CACHE_BYTES,
    ADMISSION_HANDSHAKES, /* begun and not yet finished or given up */
    ADMISSION_RESOURCES
};

struct admission_limits {
    uint64_t most[ADMISSION_RESOURCES]; /* 0: no bound */
    struct admission_rate handshakes;   /* DTLS, begun */
    struct admission_rate packets;      /* RTP of one publisher */
    struct admission_rate stun_prefix;  /* answers to addresses not verified yet, of one prefix */
    struct admission_rate stun_all;     /* of all of them */
    uint32_t busy_percent; /* of its time a worker may work before it sheds; 0: it never does */
};
/* Limits that suit a worker on one core: what an office behind one address needs passes. */
void admission_limits_default(struct admission_limits *l);

/* ---- answers to strangers ---- */

#define ADMISSION_PREFIXES 2048 /* remembered; a multiple of the ways */
#define ADMISSION_WAYS     4 /* where one prefix may stand; the one quiet for longest gives way */

struct admission_prefix {
    uint64_t key; /* 0: free */
    struct admission_bucket bucket;
    int64_t seen_us;
};

/* The network that an address belongs to, as 64 bits that no other has: /24 of IPv4 (16 bytes,
 * mapped), /56 of IPv6. Never 0. */
uint64_t admission_prefix(const uint8_t *address);

/* ---- overload ---- */

#define ADMISSION_SHED_ALL 16 /* steps; as allocator_input.shed */

enum admission_level {
    ADMISSION_NORMAL,
    ADMISSION_SHEDDING, /* video slots of the lowest priority are off */
    ADMISSION_REFUSING, /* that was not enough: nobody joins either */
};

struct admission_load {
    double busy;      /* smoothed share of time that the worker works, 0..1 */
    int64_t since_us; /* of the sample before; 0: none */
    uint8_t shed;     /* 0..ADMISSION_SHED_ALL */
    bool refusing;
    int64_t step_us;     /* when shed changed last */
    int64_t restore_us;  /* how long a step down must wait */
    int64_t restored_us; /* when one was last made; 0: never */
};

/* ---- all of it ---- */

enum admission_count {
    ADMISSION_DROPPED_PACKETS, /* over a publisher's rate */
    ADMISSION_REFUSED_HANDSHAKES,
    ADMISSION_REFUSED_RESOURCES, /* a transport, track or cache over its bound */
    ADMISSION_REFUSED_JOINS,     /* for overload */
    ADMISSION_REFUSED_STUN,      /* over a rate */
    ADMISSION_REFUSED_LARGER,    /* the answer would have been larger than the question */
    ADMISSION_EVICTED_PREFIXES,
    ADMISSION_COUNTS
};

struct admission {
    struct admission_limits limits;
    uint64_t held[ADMISSION_RESOURCES];
    uint64_t count[ADMISSION_COUNTS];
    struct admission_bucket handshakes, stun_all;
    struct admission_load load;
    uint64_t seed;
    struct admission_prefix prefix[ADMISSION_PREFIXES];
};

/* About 50 KiB; one a worker. seed: random, so that nobody can choose addresses that meet. */
void admission_init(struct admission *a, const struct admission_limits *limits, uint64_t seed);

/* Takes n of a resource. ERR_LIMIT when it would pass its bound; then nothing is taken. */
int admission_hold(struct admission *a, enum admission_resource which, uint64_t n);
/* Gives n back; never goes below nothing. */
void admission_release(struct admission *a, enum admission_resource which, uint64_t n);

/* A handshake begins: OK (held as one of ADMISSION_HANDSHAKES until admission_release), or
 * ERR_LIMIT: drop the packet, the client tries again. */
int admission_handshake(struct admission *a, int64_t now_us);

/* A packet of a publisher, who keeps the bucket. False: drop it (it is counted). */
static inline bool admission_packet(struct admission *a, struct admission_bucket *publisher,
                                    int64_t now_us)
{
    bool ok = admission_take(publisher, &a->limits.packets, now_us);
    a->count[ADMISSION_DROPPED_PACKETS] += !ok;
    return ok;
}

/* May a message of `answer_len` bytes go to an address that isn't verified, which sent
 * `request_len`? address: 16 bytes, IPv4 mapped (::ffff:a.b.c.d); counted by /24 and /56. OK;
 * ERR_TOO_LARGE: it would amplify (RFC 5389 section 16, RFC 9000 section 8 has the idea);
 * ERR_LIMIT: too many. Verified addresses need no leave. */
int admission_stranger(struct admission *a, const uint8_t *address, size_t request_len,
                       size_t answer_len, int64_t now_us);

/* How much of elapsed_us counts as work, when the thread had the CPU for cpu_us of it and waited
 * for events for waited_us. The rest it was kept from both: others had the core, or a quota was
 * used up. That is neither work nor leisure, so it is shared out as the time that was its own: a
 * host that others load makes nobody shed, one that gives us too little time to ever wait does. */
int64_t admission_work(int64_t cpu_us, int64_t waited_us, int64_t elapsed_us);
/* One sample: busy_us of the time until now_us was work (admission_work). Call it each 100 ms or
 * so. Returns true when the level or the share to shed changed. */
bool admission_busy(struct admission *a, int64_t busy_us, int64_t now_us);
enum admission_level admission_level(const struct admission *a);
/* 0..ADMISSION_SHED_ALL: the share of video slots to switch off, for allocator_input.shed. */
uint8_t admission_shed(const struct admission *a);
/* May somebody join (a new transport)? OK; ERR_LIMIT (transports); ERR_UNAVAILABLE: `overloaded`.
 * Who is inside already isn't asked: his ICE restart or second connection is no join. */
int admission_join(struct admission *a);

#endif
