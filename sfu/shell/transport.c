#include "sfu/shell/transport.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crypto.h"
#include "lib/base/err.h"
#include "sfu/shell/tcp_listener.h"

/* Each step along a chain of the table misses the cache, and every packet that comes in goes there:
 * uthash's own 32 buckets would hold chains of three for a hundred viewers. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS      1024U
#define HASH_INITIAL_NUM_BUCKETS_LOG2 10U

struct transport_table {
    struct peer_address *by_address;
    struct ice_credentials *by_ufrag;
};

struct transport_table *transport_table_new(void)
{
    return calloc(1, sizeof(struct transport_table));
}

void transport_table_free(struct transport_table *t)
{
    free(t);
}

/* ---- addresses ---- */

static struct peer_key key_of(const struct sockaddr_in6 *addr)
{
    struct peer_key k = {.port = addr->sin6_port, .scope = addr->sin6_scope_id};
    memcpy(&k.high, &addr->sin6_addr.s6_addr[0], 8);
    memcpy(&k.low, &addr->sin6_addr.s6_addr[8], 8);
    return k;
}

static unsigned hash_of(const struct peer_key *k)
{
    uint64_t z = k->low ^ (k->high * 0x9e3779b97f4a7c15u) ^ ((uint64_t)k->port << 16) ^ k->scope;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)(z ^ (z >> 31));
}

struct peer_address *transport_by_address(const struct transport_table *t,
                                          const struct sockaddr_in6 *addr)
{
    struct peer_key key = key_of(addr);
    unsigned hash = hash_of(&key);
    struct peer_address *found;
    HASH_FIND_BYHASHVALUE(hh, t->by_address, &key, sizeof key, hash, found);
    return found;
}

struct peer_address *transport_by_path(const struct transport_table *t,
                                       const struct peer_path *path)
{
    return path->tcp ? tcp_conn_user(path->tcp) : transport_by_address(t, path->addr);
}

/* A connection goes with its address. */
static void address_remove(struct transport_table *table, struct peer_address *a)
{
    struct transport *t = a->transport;
    if (!t) {
        return;
    }
    if (!a->tcp) {
        HASH_DEL(table->by_address, a);
    } else if (tcp_conn_user(a->tcp) == a) {
        tcp_conn_set_user(a->tcp, NULL);
        tcp_conn_drop(a->tcp);
    }
    a->transport = NULL;
    a->tcp = NULL;
    if (t->selected == a) {
        t->selected = NULL;
    }
    if (t->answers == a) {
        t->answers = NULL;
        t->answers_moved = true;
    }
}

/* An unused place, or that of the address longest without a check (never the selected one). */
static struct peer_address *address_place(struct transport_table *table, struct transport *t)
{
    struct peer_address *place = NULL;
    for (int i = 0; i < TRANSPORT_ADDRESSES; i++) {
        struct peer_address *a = &t->address[i];
        if (!a->transport) {
            return a;
        }
        if (a != t->selected && (!place || a->checked_us < place->checked_us)) {
            place = a;
        }
    }
    address_remove(table, place);
    return place;
}

static struct peer_address *address_add(struct transport_table *table, struct transport *t,
                                        const struct peer_path *path)
{
    struct peer_address *a = address_place(table, t);
    *a = (struct peer_address){
        .key = key_of(path->addr), .addr = *path->addr, .tcp = path->tcp, .transport = t};
    if (a->tcp) {
        tcp_conn_prove(a->tcp);
        tcp_conn_set_user(a->tcp, a);
        return a;
    }
    unsigned hash = hash_of(&a->key);
    HASH_ADD_BYHASHVALUE(hh, table->by_address, key, sizeof a->key, hash, a);
    return a;
}

/* The path speaks for another peer connection from now on. */
static void address_part(struct transport_table *table, struct peer_address *a)
{
    if (a->tcp) {
        tcp_conn_set_user(a->tcp, NULL);
    }
    address_remove(table, a);
}

void transport_note_flight(struct transport *t)
{
    if (!t->connected) {
        t->answers_moved |= t->answers && t->answers != t->selected;
        t->answers = t->selected;
    }
}

/* Whose address nobody else may have. */
static bool is_held(const struct peer_address *a, int64_t now_us)
{
    const struct transport *t = a->transport;
    return t->connected && !t->lost && t->selected == a && t->answers == a && !t->answers_moved &&
           now_us - t->heard_us < TRANSPORT_HELD_US;
}

/* Nobody forges the source of a TCP connection, and one may take from oneself. */
bool transport_may_have(const struct transport_table *table, const struct ice_credentials *c,
                        const struct peer_path *path, int64_t now_us)
{
    const struct transport *t = c->transport;
    const struct peer_address *a = path->tcp ? NULL : transport_by_address(table, path->addr);
    if (!a || a->transport == t) {
        return true;
    }
    const struct transport *other = a->transport;
    bool same = other->number == t->number && id_equal(&other->room, &t->room);
    return same || !is_held(a, now_us);
}

static void set_local(struct peer_address *a, const struct in6_addr *local)
{
    if (memcmp(&a->local, local, sizeof *local) != 0) {
        a->local = *local;
        a->routed = false;
        a->routed_us = 0;
    }
}

void transport_checked(struct transport_table *table, struct ice_credentials *c,
                       const struct peer_path *path, bool nominated, int64_t now_us)
{
    struct transport *t = c->transport;
    struct peer_address *a = transport_by_path(table, path);
    bool current = c == transport_local(t);
    if (a && a->transport != t) {
        address_part(table, a);
        a = NULL;
    }
    if (!a) {
        a = address_add(table, t, path);
    }
    bool stale = t->selected && now_us - t->selected->checked_us > TRANSPORT_STALE_US;
    a->checked_us = now_us;
    t->heard_us = now_us;
    nominated = nominated && (current || !t->selected || t->selected_epoch != t->epoch);
    nominated = nominated || !t->selected || stale;
    if (nominated || a != t->selected) {
        set_local(a, path->local);
    }
    if (nominated) {
        t->selected = a;
        t->selected_epoch = current ? t->epoch : t->selected_epoch;
    }
}

void transport_lost_address(struct transport_table *table, struct peer_address *a)
{
    struct transport *t = a->transport;
    struct peer_address *latest = NULL;
    address_remove(table, a);
    for (int i = 0; i < TRANSPORT_ADDRESSES; i++) {
        struct peer_address *other = &t->address[i];
        if (other->transport && (!latest || other->checked_us > latest->checked_us)) {
            latest = other;
        }
    }
    t->selected = t->selected ? t->selected : latest;
}

/* ---- credentials ---- */

struct ice_credentials *transport_by_ufrag(const struct transport_table *t, const char *ufrag)
{
    struct ice_credentials *found;
    HASH_FIND_STR(t->by_ufrag, ufrag, found);
    return found;
}

static void credentials_remove(struct transport_table *table, struct ice_credentials *c)
{
    if (c->transport) {
        HASH_DEL(table->by_ufrag, c);
        OPENSSL_cleanse(c, sizeof *c);
    }
}

static void credentials_make(struct transport_table *table, struct transport *t,
                             struct ice_credentials *c)
{
    credentials_remove(table, c);
    *c = (struct ice_credentials){.transport = t};
    do { /* 6 and 24 random bytes; base64url's '-' and '_' are no ice-chars, '+' and '/' are */
        random_token(c->ufrag, (size_t)TRANSPORT_UFRAG_LEN / 4 * 3);
        for (char *s = c->ufrag; *s; s++) {
            *s = *s == '-' ? '+' : *s == '_' ? '/' : *s;
        }
    } while (transport_by_ufrag(table, c->ufrag));
    random_token(c->pwd, (size_t)TRANSPORT_PWD_LEN / 4 * 3);
    for (char *s = c->pwd; *s; s++) {
        *s = *s == '-' ? '+' : *s == '_' ? '/' : *s;
    }
    HASH_ADD_STR(table->by_ufrag, ufrag, c);
}

const struct ice_credentials *transport_local(const struct transport *t)
{
    return &t->credentials[t->epoch % TRANSPORT_ICE_EPOCHS];
}

void transport_restart(struct transport_table *table, struct transport *t)
{
    t->epoch++;
    credentials_make(table, t, &t->credentials[t->epoch % TRANSPORT_ICE_EPOCHS]);
}

/* ---- life ---- */

struct transport *transport_new(struct transport_table *table, enum control_which which,
                                const struct id *room, uint32_t number, int64_t now_us)
{
    struct transport *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->which = which;
    t->room = *room;
    t->number = number;
    t->created_us = t->heard_us = now_us;
    random_bytes(&t->session_id, sizeof t->session_id);
    t->session_id = (t->session_id >> 2) | 1;
    credentials_make(table, t, &t->credentials[0]);
    return t;
}

void transport_free(struct transport_table *table, struct transport *t)
{
    if (!t) {
        return;
    }
    for (int i = 0; i < TRANSPORT_ADDRESSES; i++) {
        address_remove(table, &t->address[i]);
    }
    for (int i = 0; i < TRANSPORT_ICE_EPOCHS; i++) {
        credentials_remove(table, &t->credentials[i]);
    }
    dtls_free(t->dtls);
    srtp_peer_free(t->srtp);
    srtp_writer_free(t->writer);
    OPENSSL_cleanse(t, sizeof *t);
    free(t);
}

void transport_set_remote(struct transport *t, const struct sdp_remote *remote)
{
    t->remote = *remote;
    t->has_remote = true;
    if (t->dtls) {
        dtls_set_fingerprint(t->dtls, remote->fingerprint);
    }
}

bool transport_take_keys(struct transport *t)
{
    struct dtls_keys keys;
    if (t->connected || !t->dtls || dtls_state(t->dtls) != DTLS_READY ||
        dtls_export_keys(t->dtls, &keys)) {
        return false;
    }
    int err = srtp_peer_new(&t->srtp, &keys);
    if (!err) {
        err = srtp_writer_new(&t->writer, (enum srtp_profile)keys.profile, keys.local_key,
                              keys.local_salt);
    }
    OPENSSL_cleanse(&keys, sizeof keys);
    dtls_settle(t->dtls);
    t->connected = err == OK;
    return t->connected;
}
