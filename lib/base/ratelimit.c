#include "lib/base/ratelimit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"

/* A failed uthash allocation leaves the element out instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define KEY_MAX 128
/* uthash's hash has no seed. Twelve secret bytes before each key fill its whole first round, so
 * that nobody can choose keys (usernames, addresses) that fall into one bucket. */
#define SEED_LEN 12

struct entry {
    int64_t start_us; /* of the present window */
    int64_t now_hits, before_hits;
    UT_hash_handle hh;
    size_t key_len;
    char key[]; /* seed, then the caller's key */
};

struct ratelimit {
    int64_t limit, window_us;
    size_t max_keys;
    struct entry *entries; /* uthash keeps insertion order: the first is the stalest */
    char seed[SEED_LEN];
};

struct ratelimit *ratelimit_new(int64_t limit, int64_t window_us, size_t max_keys)
{
    struct ratelimit *r = calloc(1, sizeof *r);

    if (!r) {
        return NULL;
    }
    r->window_us = window_us > 0 ? window_us : 1;
    /* hits times window must stay in 64 bits, the weighted sum of two windows included */
    int64_t most = INT64_MAX / 4 / r->window_us;
    r->limit = limit < 0 ? 0 : limit < most ? limit : most;
    r->max_keys = max_keys ? max_keys : 1;
    random_bytes(r->seed, sizeof r->seed);
    return r;
}

static void drop(struct ratelimit *r, struct entry *e)
{
    HASH_DEL(r->entries, e);
    free(e);
}

void ratelimit_free(struct ratelimit *r)
{
    if (!r) {
        return;
    }
    while (r->entries) {
        drop(r, r->entries);
    }
    free(r);
}

/* Moves the windows on to the one that holds now_us. A clock that went back counts as standing. */
static void advance(const struct ratelimit *r, struct entry *e, int64_t now_us)
{
    int64_t passed = (now_us - e->start_us) / r->window_us;

    if (now_us < e->start_us || passed == 0) {
        return;
    }
    e->before_hits = passed == 1 ? e->now_hits : 0;
    e->now_hits = 0;
    e->start_us += passed * r->window_us;
}

static bool add(struct ratelimit *r, struct entry *e)
{
    HASH_ADD_KEYPTR(hh, r->entries, e->key, e->key_len, e);
    if (!e->hh.tbl) { /* out of memory */
        free(e);
        return false;
    }
    return true;
}

static struct entry *insert(struct ratelimit *r, const char *key, size_t len, int64_t now_us)
{
    while (HASH_COUNT(r->entries) >= r->max_keys) {
        drop(r, r->entries);
    }
    struct entry *e = calloc(1, sizeof *e + len);
    if (!e) {
        return NULL;
    }
    e->start_us = now_us;
    e->key_len = len;
    memcpy(e->key, key, len);
    return add(r, e) ? e : NULL;
}

/* The key's entry, made if need be, now the freshest. NULL when out of memory. */
static struct entry *touch(struct ratelimit *r, const char *name, int64_t now_us)
{
    char key[SEED_LEN + KEY_MAX];
    size_t len = SEED_LEN + strnlen(name, KEY_MAX);
    struct entry *e;

    memcpy(key, r->seed, SEED_LEN);
    memcpy(key + SEED_LEN, name, len - SEED_LEN);
    HASH_FIND(hh, r->entries, key, len, e);
    /* Two of those whose windows are both over, a hit: memory shrinks again after a storm. */
    for (int i = 0; i < 2; i++) {
        struct entry *oldest = r->entries;
        if (oldest && oldest != e && now_us - oldest->start_us >= 2 * r->window_us) {
            drop(r, oldest);
        }
    }
    if (!e) {
        return insert(r, key, len, now_us);
    }
    if (r->entries->hh.tbl->tail != &e->hh) {
        HASH_DEL(r->entries, e);
        if (!add(r, e)) {
            return NULL;
        }
    }
    advance(r, e, now_us);
    return e;
}

/* The time from the window's start at which `hits`, weighted by what is left of the window, have
 * shrunk to `room`. */
static int64_t shrunk_us(const struct ratelimit *r, int64_t hits, int64_t room)
{
    if (hits <= room) {
        return 0;
    }
    return r->window_us - room * r->window_us / hits;
}

static int64_t until_room_us(const struct ratelimit *r, const struct entry *e, int64_t into_us)
{
    if (e->now_hits < r->limit) {
        int64_t at = shrunk_us(r, e->before_hits, r->limit - 1 - e->now_hits);
        return at > into_us ? at - into_us : 0;
    }
    return r->window_us - into_us + shrunk_us(r, e->now_hits, r->limit - 1);
}

int ratelimit_hit(struct ratelimit *r, const char *key, int64_t now_us,
                  struct ratelimit_result *out)
{
    struct ratelimit_result none = {.limit = r->limit, .remaining = INT64_MAX};
    struct entry *e = r->limit ? touch(r, key, now_us) : NULL;

    if (!e) { /* unlimited, or no memory to count in: a limiter that fails lets pass */
        if (out) {
            *out = none;
        }
        return OK;
    }
    int64_t into_us = now_us > e->start_us ? now_us - e->start_us : 0;
    int64_t room = r->limit * r->window_us - e->before_hits * (r->window_us - into_us) -
                   e->now_hits * r->window_us;
    bool allowed = room >= r->window_us;
    if (allowed) {
        e->now_hits++; /* refused hits don't count, or an impatient client would stay out for ever
                        */
        room -= r->window_us;
    }
    if (out) {
        out->limit = r->limit;
        out->remaining = room > 0 ? room / r->window_us : 0;
        out->reset_us = until_room_us(r, e, into_us);
    }
    return allowed ? OK : ERR_LIMIT;
}
