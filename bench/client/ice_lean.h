/* The connectivity checks of one endpoint that is no ICE-lite server (RFC 8445 section 7), without
 * gathering: our one socket is the host candidate. We check, answer, and nominate the first pair
 * that works (or take the one that the other end nominates), towards a lite end too, as a browser
 * does: who nominates two at once can't know which of them a lite end sends to. Consent (RFC 7675)
 * afterwards. Pure: datagrams and the clock are arguments; IPv4 only. */
#ifndef SOTTO_BENCH_CLIENT_ICE_LEAN_H
#define SOTTO_BENCH_CLIENT_ICE_LEAN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ICE_LEAN_PAIRS      8   /* remote candidates regarded, with those learnt from checks */
#define ICE_LEAN_MAX_OUT    512 /* bytes of any message made here */
#define ICE_LEAN_UFRAG      8   /* characters of ours */
#define ICE_LEAN_PWD        24
#define ICE_LEAN_GIVE_UP_US 15000000 /* checks unanswered for so long: failed */
#define ICE_LEAN_CONSENT_US 5000000
#define ICE_LEAN_LOST_US    30000000 /* no consent for so long: failed (RFC 7675 section 5.1) */

enum ice_lean_state { ICE_LEAN_NEW, ICE_LEAN_CHECKING, ICE_LEAN_CONNECTED, ICE_LEAN_FAILED };

struct ice_lean_candidate {
    struct sockaddr_in address;
    uint32_t priority;
    char type; /* 'h'ost, 's'rflx, 'p'rflx, 'r'elay */
};

struct ice_lean_pair {
    struct ice_lean_candidate remote;
    uint8_t transaction[12];
    bool waiting;   /* a check is unanswered */
    bool valid;     /* a check was answered well */
    bool nominated; /* by them, before it was valid */
    int tries;
    int64_t next_us; /* when to check (again) */
};

struct ice_lean {
    enum ice_lean_state state;
    const char *why; /* of ICE_LEAN_FAILED; static storage */
    bool controlling, remote_lite;
    uint64_t tie_breaker;
    char ufrag[ICE_LEAN_UFRAG + 1], pwd[ICE_LEAN_PWD + 1];
    char *remote_ufrag, *remote_pwd;
    size_t n;
    struct ice_lean_pair pair[ICE_LEAN_PAIRS];
    int nominating; /* the pair that we nominate; -1: none yet */
    int selected;   /* -1: none */
    int64_t started_us, consent_us;
};

/* Makes our credentials. Before ice_lean_remote checks from the other end are answered. */
void ice_lean_init(struct ice_lean *i);
void ice_lean_free(struct ice_lean *i);
/* What the other end's description says; checks begin. controlling: our role (RFC 8445
 * section 6.1.1; always true towards a lite end). ERR_NOMEM, ERR_INVALID (no candidate, credentials
 * too long). */
int ice_lean_remote(struct ice_lean *i, const char *ufrag, const char *pwd, bool remote_lite,
                    bool controlling, const struct ice_lean_candidate *candidates, size_t n,
                    int64_t now_us);
/* Our address is another one: what is in use, or being tried, is checked at once. */
void ice_lean_moved(struct ice_lean *i, int64_t now_us);
/* When ice_lean_poll has something; INT64_MAX: never. */
int64_t ice_lean_deadline(const struct ice_lean *i);
/* One check to send to *to, 0: none. Call until 0; the state may change. */
size_t ice_lean_poll(struct ice_lean *i, uint8_t out[ICE_LEAN_MAX_OUT], struct sockaddr_in *to,
                     int64_t now_us);
/* A STUN message that came. Returns the bytes of an answer to send to `from`, 0: none. */
size_t ice_lean_input(struct ice_lean *i, const uint8_t *data, size_t len,
                      const struct sockaddr_in *from, uint8_t out[ICE_LEAN_MAX_OUT],
                      int64_t now_us);
/* The pair in use, in ICE_LEAN_CONNECTED. */
const struct ice_lean_candidate *ice_lean_selected(const struct ice_lean *i);

#endif
