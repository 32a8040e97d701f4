#include "bench/client/ice_lean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "lib/proto/stun.h"

#define RTO_US     200000 /* of the first check; doubled with each that isn't answered */
#define RTO_MAX_US 1600000
#define PACE_US    50000 /* between the first checks of two pairs (RFC 8445 section 14.2) */

/* Of the peer-reflexive candidate that a check may make of us (RFC 8445 section 7.1.1). */
#define PRIORITY ((110u << 24) | (65535u << 8) | 255u)

void ice_lean_init(struct ice_lean *i)
{
    memset(i, 0, sizeof *i);
    random_token(i->ufrag, ICE_LEAN_UFRAG * 3 / 4);
    random_token(i->pwd, ICE_LEAN_PWD * 3 / 4);
    /* The url alphabet's '-' and '_' are no ice-chars (RFC 8839 section 5.4). */
    for (char *p = i->ufrag; *p; p++)
        *p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
    for (char *p = i->pwd; *p; p++)
        *p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
    random_bytes(&i->tie_breaker, sizeof i->tie_breaker);
    i->nominating = i->selected = -1;
}

void ice_lean_free(struct ice_lean *i)
{
    free(i->remote_ufrag);
    free(i->remote_pwd);
    i->remote_ufrag = i->remote_pwd = NULL;
}

static void fail(struct ice_lean *i, const char *why)
{
    i->state = ICE_LEAN_FAILED;
    i->why = why;
}

static bool same_address(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static int pair_of(const struct ice_lean *i, const struct sockaddr_in *address)
{
    for (size_t k = 0; k < i->n; k++) {
        if (same_address(&i->pair[k].remote.address, address))
            return (int)k;
    }
    return -1;
}

static int add_pair(struct ice_lean *i, const struct ice_lean_candidate *c, int64_t next_us)
{
    int k = pair_of(i, &c->address);
    if (k >= 0 || i->n == ICE_LEAN_PAIRS)
        return k;
    i->pair[i->n] = (struct ice_lean_pair){.remote = *c, .next_us = next_us};
    random_bytes(i->pair[i->n].transaction, sizeof i->pair[i->n].transaction);
    return (int)i->n++;
}

int ice_lean_remote(struct ice_lean *i, const char *ufrag, const char *pwd, bool remote_lite,
                    bool controlling, const struct ice_lean_candidate *candidates, size_t n,
                    int64_t now_us)
{
    if (n == 0 || strlen(ufrag) > ICE_MAX_CREDENTIAL || strlen(pwd) > ICE_MAX_CREDENTIAL)
        return ERR_INVALID;
    ice_lean_free(i);
    i->remote_ufrag = strdup(ufrag);
    i->remote_pwd = strdup(pwd);
    if (!i->remote_ufrag || !i->remote_pwd)
        return ERR_NOMEM;
    i->remote_lite = remote_lite;
    i->controlling = controlling || remote_lite;
    i->state = ICE_LEAN_CHECKING;
    i->started_us = now_us;
    /* Those who checked us before their description came are waiting: first. */
    for (size_t k = 0; k < i->n; k++)
        i->pair[k].next_us = now_us;
    for (size_t k = 0; k < n; k++)
        add_pair(i, &candidates[k], now_us + (int64_t)k * PACE_US);
    return OK;
}

void ice_lean_moved(struct ice_lean *i, int64_t now_us)
{
    for (size_t k = 0; k < i->n; k++) {
        bool in_use = i->state == ICE_LEAN_CONNECTED && (int)k == i->selected;
        bool tried = i->state == ICE_LEAN_CHECKING && i->pair[k].next_us != INT64_MAX;
        if (in_use || tried)
            i->pair[k].next_us = now_us;
    }
}

int64_t ice_lean_deadline(const struct ice_lean *i)
{
    if (i->state == ICE_LEAN_CONNECTED)
        return i->pair[i->selected].next_us;
    if (i->state != ICE_LEAN_CHECKING)
        return INT64_MAX;
    int64_t next = i->started_us + ICE_LEAN_GIVE_UP_US;
    for (size_t k = 0; k < i->n; k++) {
        if (i->pair[k].next_us < next)
            next = i->pair[k].next_us;
    }
    return next;
}

static int64_t backoff_of(int tries)
{
    int64_t us = RTO_US << (tries < 4 ? tries : 3);
    return us < RTO_MAX_US ? us : RTO_MAX_US;
}

static size_t build_check(struct ice_lean *i, int k, uint8_t *out)
{
    struct ice_lean_pair *p = &i->pair[k];
    char user[2 * ICE_MAX_CREDENTIAL + 2];
    snprintf(user, sizeof user, "%s:%s", i->remote_ufrag, i->ufrag);
    bool nominate = i->controlling && (i->nominating == k || i->selected == k);
    int n = ice_check_build_as(i->controlling, out, ICE_LEAN_MAX_OUT, p->transaction, user,
                               i->remote_pwd, PRIORITY, nominate, i->tie_breaker);
    return n > 0 ? (size_t)n : 0;
}

/* The next check of a pair: the same transaction again, or a new one for consent. */
static size_t check_pair(struct ice_lean *i, int k, uint8_t *out, struct sockaddr_in *to,
                         int64_t now_us)
{
    struct ice_lean_pair *p = &i->pair[k];
    if (i->state == ICE_LEAN_CONNECTED) {
        random_bytes(p->transaction, sizeof p->transaction);
        p->next_us = now_us + ICE_LEAN_CONSENT_US;
    } else {
        p->next_us = now_us + backoff_of(p->tries++);
    }
    p->waiting = true;
    *to = p->remote.address;
    return build_check(i, k, out);
}

size_t ice_lean_poll(struct ice_lean *i, uint8_t out[ICE_LEAN_MAX_OUT], struct sockaddr_in *to,
                     int64_t now_us)
{
    if (i->state == ICE_LEAN_CONNECTED) {
        if (now_us - i->consent_us > ICE_LEAN_LOST_US) {
            fail(i, "ICE consent lost");
            return 0;
        }
        bool due = i->pair[i->selected].next_us <= now_us;
        return due ? check_pair(i, i->selected, out, to, now_us) : 0;
    }
    if (i->state != ICE_LEAN_CHECKING)
        return 0;
    if (now_us - i->started_us >= ICE_LEAN_GIVE_UP_US) {
        fail(i, "no ICE check was answered");
        return 0;
    }
    for (size_t k = 0; k < i->n; k++) {
        if (i->pair[k].next_us <= now_us)
            return check_pair(i, (int)k, out, to, now_us);
    }
    return 0;
}

static void select_pair(struct ice_lean *i, int k, int64_t now_us)
{
    i->selected = k;
    i->state = ICE_LEAN_CONNECTED;
    i->consent_us = now_us;
    i->pair[k].next_us = now_us + ICE_LEAN_CONSENT_US;
}

/* A check of pair k was answered well. */
static void succeeded(struct ice_lean *i, int k, int64_t now_us)
{
    struct ice_lean_pair *p = &i->pair[k];
    p->waiting = false;
    p->valid = true;
    i->consent_us = now_us;
    if (i->state != ICE_LEAN_CHECKING)
        return;
    bool chosen = i->controlling ? i->nominating == k : p->nominated;
    if (chosen) {
        select_pair(i, k, now_us);
        return;
    }
    p->next_us = INT64_MAX;
    if (i->controlling && i->nominating < 0) { /* the pair once more */
        i->nominating = k;
        random_bytes(p->transaction, sizeof p->transaction);
        p->tries = 0;
        p->next_us = now_us;
    }
}

/* RFC 8445 section 7.2.5.1: the other end has our role; every pair is checked anew. */
static void switch_role(struct ice_lean *i, int64_t now_us)
{
    i->controlling = !i->controlling;
    i->nominating = -1;
    for (size_t k = 0; k < i->n; k++) {
        random_bytes(i->pair[k].transaction, sizeof i->pair[k].transaction);
        i->pair[k].next_us = now_us;
        i->pair[k].valid = false;
    }
}

static void on_answer(struct ice_lean *i, const uint8_t *data, size_t len, int64_t now_us)
{
    struct sockaddr_storage mapped;
    for (size_t k = 0; k < i->n && i->remote_pwd; k++) {
        socklen_t mapped_len = sizeof mapped;
        int code = 0;
        if (!i->pair[k].waiting || memcmp(data + 8, i->pair[k].transaction, 12) != 0)
            continue;
        int r = ice_check_read_response(&mapped, &mapped_len, &code, data, len,
                                        i->pair[k].transaction, i->remote_pwd);
        if (r == OK)
            succeeded(i, (int)k, now_us);
        else if (r == ERR_STATE && code == 487 && i->state == ICE_LEAN_CHECKING && !i->remote_lite)
            switch_role(i, now_us);
        return;
    }
}

/* RFC 8445 section 7.3.1.1: true when they are to give way; else our role changes if it must. */
static bool wins_conflict(struct ice_lean *i, const struct ice_check *c, int64_t now_us)
{
    if (!i->remote_ufrag || i->state != ICE_LEAN_CHECKING || c->tie_breaker == 0 ||
        c->controlling != i->controlling)
        return false;
    if ((i->tie_breaker >= c->tie_breaker) == i->controlling)
        return true;
    switch_role(i, now_us);
    return false;
}

/* A triggered check (RFC 8445 section 7.3.1.4), and what their nomination makes of the pair. */
static void on_their_check(struct ice_lean *i, const struct ice_check *c,
                           const struct sockaddr_in *from, int64_t now_us)
{
    struct ice_lean_candidate learnt = {.address = *from, .priority = c->priority, .type = 'p'};
    int k = add_pair(i, &learnt, now_us);
    if (k < 0)
        return;
    struct ice_lean_pair *p = &i->pair[k];
    if (c->use_candidate && c->controlling)
        p->nominated = true;
    if (i->state != ICE_LEAN_CHECKING)
        return;
    if (!i->controlling && p->nominated && p->valid)
        select_pair(i, k, now_us);
    else if (!p->valid && p->tries == 0)
        p->next_us = now_us;
}

size_t ice_lean_input(struct ice_lean *i, const uint8_t *data, size_t len,
                      const struct sockaddr_in *from, uint8_t out[ICE_LEAN_MAX_OUT], int64_t now_us)
{
    struct ice_check check;
    if (len < STUN_HEADER_LEN)
        return 0;
    if (!stun_is_request(data, len)) {
        on_answer(i, data, len, now_us);
        return 0;
    }
    int r = ice_check_verify(&check, data, len, i->ufrag, i->pwd), n = 0;
    if (r == ERR_UNSUPPORTED)
        n = ice_check_error(out, ICE_LEAN_MAX_OUT, data, len, i->pwd, 420);
    if (r == OK && wins_conflict(i, &check, now_us)) {
        n = ice_check_error(out, ICE_LEAN_MAX_OUT, data, len, i->pwd, 487);
    } else if (r == OK) {
        n = ice_check_success(out, ICE_LEAN_MAX_OUT, data, len, i->pwd,
                              (const struct sockaddr *)from, sizeof *from);
        on_their_check(i, &check, from, now_us);
    }
    return n > 0 ? (size_t)n : 0;
}

const struct ice_lean_candidate *ice_lean_selected(const struct ice_lean *i)
{
    return i->selected < 0 ? NULL : &i->pair[i->selected].remote;
}
