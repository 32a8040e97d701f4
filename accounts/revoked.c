#include "accounts/revoked.h"

#include <stdlib.h>

#include "lib/base/err.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct entry {
    struct id session;
    int64_t until_us;
    UT_hash_handle hh;
};

struct revoked {
    struct entry *entries; /* uthash keeps insertion order, which here is the order of expiry */
    int64_t ttl_us;
};

struct revoked *revoked_new(int64_t ttl_us)
{
    struct revoked *r = calloc(1, sizeof *r);

    if (r) {
        r->ttl_us = ttl_us;
    }
    return r;
}

static void drop(struct revoked *r, struct entry *e)
{
    HASH_DEL(r->entries, e);
    free(e);
}

void revoked_free(struct revoked *r)
{
    if (!r) {
        return;
    }
    while (r->entries) {
        drop(r, r->entries);
    }
    free(r);
}

static void expire(struct revoked *r, int64_t now_us)
{
    while (r->entries && (r->entries->until_us <= now_us || HASH_COUNT(r->entries) > REVOKED_MAX)) {
        drop(r, r->entries);
    }
}

int revoked_add(struct revoked *r, const struct id *session, int64_t now_us)
{
    struct entry *e = NULL;

    HASH_FIND(hh, r->entries, session->s, ID_LEN, e);
    if (e) {
        drop(r, e);
    }
    e = calloc(1, sizeof *e);
    if (!e) {
        return ERR_NOMEM;
    }
    e->session = *session;
    e->until_us = now_us + r->ttl_us;
    HASH_ADD(hh, r->entries, session.s, ID_LEN, e);
    if (!e->hh.tbl) {
        free(e);
        return ERR_NOMEM;
    }
    expire(r, now_us);
    return OK;
}

bool revoked_has(struct revoked *r, const struct id *session, int64_t now_us)
{
    struct entry *e = NULL;

    expire(r, now_us);
    HASH_FIND(hh, r->entries, session->s, ID_LEN, e);
    return e != NULL;
}
