#include "accounts/password.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/metrics.h"

#define HASH_LEN 64

METRIC_GAUGE_DEF(jobs_gauge, "sotto_password_jobs", NULL, "bcrypt jobs queued or running");
METRIC_COUNTER_DEF(jobs_refused, "sotto_password_jobs_refused_total", NULL,
                   "requests refused because too many bcrypt jobs were under way");

struct passwords {
    struct loop *loop;
    int cost, max_jobs, jobs;
    bool closed;          /* freed with the last job */
    char dummy[HASH_LEN]; /* what unknown accounts are verified against */
};

struct job {
    struct passwords *owner;
    char password[PASSWORD_MAX + 1];
    char hash[HASH_LEN]; /* to verify against, or the result */
    bool verify;
    bool hopeless; /* no such account, or no password this long: never OK */
    int err;
    password_hashed_fn hashed;
    password_verified_fn verified;
    void *arg;
};

struct passwords *passwords_new(struct loop *l, int cost, int max_jobs)
{
    struct passwords *p = calloc(1, sizeof *p);
    char secret[44];

    if (!p) {
        return NULL;
    }
    p->loop = l;
    p->cost = cost;
    p->max_jobs = max_jobs;
    random_token(secret, 32);
    if (bcrypt_hash(p->dummy, secret, cost)) {
        free(p);
        return NULL;
    }
    metric_register(&jobs_gauge);
    metric_register(&jobs_refused);
    return p;
}

void passwords_free(struct passwords *p)
{
    if (!p) {
        return;
    }
    p->closed = true;
    if (!p->jobs) {
        free(p);
    }
}

bool passwords_busy(const struct passwords *p)
{
    return p->jobs >= p->max_jobs;
}

static void work(void *arg)
{
    struct job *j = arg;

    if (j->verify) {
        j->err = bcrypt_verify(j->password, j->hash);
        if (j->hopeless) {
            j->err = ERR_AUTH;
        }
    } else {
        j->err = bcrypt_hash(j->hash, j->password, j->owner->cost);
    }
    explicit_bzero(j->password, sizeof j->password);
}

static void job_free(struct job *j)
{
    explicit_bzero(j, sizeof *j);
    free(j);
}

static void done(void *arg)
{
    struct job *j = arg;
    struct passwords *p = j->owner;

    metric_set(&jobs_gauge, --p->jobs);
    if (p->closed) {
        j->err = ERR_CLOSED;
    } else if (j->verify && j->err) {
        j->err = ERR_AUTH;
    }
    if (j->verify) {
        j->verified(j->arg, j->err);
    } else {
        j->hashed(j->arg, j->err, j->err ? NULL : j->hash);
    }
    job_free(j);
    if (p->closed && !p->jobs) {
        free(p);
    }
}

static int submit(struct job *j)
{
    struct passwords *p = j->owner;
    int err = passwords_busy(p) ? ERR_LIMIT : loop_work(p->loop, work, done, j);

    if (err) {
        metric_add(&jobs_refused, 1);
        job_free(j);
        return err;
    }
    metric_set(&jobs_gauge, ++p->jobs);
    return OK;
}

static struct job *job_new(struct passwords *p, const char *password, void *arg)
{
    struct job *j = calloc(1, sizeof *j);

    if (j) {
        j->owner = p;
        j->arg = arg;
        /* one too long keeps its first bytes, for the time it takes, and is hopeless */
        j->hopeless = strlen(password) > PASSWORD_MAX;
        memcpy(j->password, password, strnlen(password, PASSWORD_MAX));
    }
    return j;
}

int password_hash(struct passwords *p, const char *password, password_hashed_fn fn, void *arg)
{
    struct job *j;

    if (strlen(password) > PASSWORD_MAX) {
        return ERR_INVALID;
    }
    j = job_new(p, password, arg);
    if (!j) {
        return ERR_NOMEM;
    }
    j->hashed = fn;
    return submit(j);
}

int password_verify(struct passwords *p, const char *password, const char *hash,
                    password_verified_fn fn, void *arg)
{
    struct job *j = job_new(p, password, arg);

    if (!j) {
        return ERR_NOMEM;
    }
    j->verify = true;
    j->verified = fn;
    if (!hash || str_copy(j->hash, sizeof j->hash, hash)) {
        j->hopeless = true;
        memcpy(j->hash, p->dummy, sizeof j->hash);
    }
    return submit(j);
}
