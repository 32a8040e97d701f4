/* ICE, DTLS and the lives of transports. */
#include <stddef.h>
#include <string.h>
#include <utlist.h>

#include "lib/base/log.h"
#include "lib/proto/stun.h"
#include "sfu/shell/sfu_metrics.h"
#include "sfu/shell/worker_private.h"

#include "lib/base/err.h"

/* ---- lives ---- */

#define LOOK_US  100000   /* between two looks at a peer that is not connected yet */
#define ROUTE_US 10000000 /* between two looks at the route to an address, at least */

static const char *which_name(enum control_which which)
{
    return which == CONTROL_WHICH_PUBLISH ? "publish" : "subscribe";
}

void worker_add(struct worker *w, struct transport *t)
{
    t->worker = w;
    if (!w->transports) { /* time stood still while there was nobody */
        w->fast_us = w->slow_us = w->now_us;
        w->stats.round_us = w->stats.sample_us = w->now_us;
    }
    DL_APPEND(w->transports, t);
    if (t->which == CONTROL_WHICH_PUBLISH) {
        DL_APPEND2(w->publishers, t, prev_publisher, next_publisher);
    }
    worker_look_at(w, t);
    w->n_transports++;
    (void)admission_hold(&w->admission, ADMISSION_TRANSPORTS, 1);
}

void worker_remove(struct worker *w, struct transport *t, bool tell)
{
    if (t->dtls) {
        dtls_close(t->dtls);
    }
    worker_rate_close(w, t);
    if (t->publisher) {
        router_unpublish(w->router, t->publisher, w->now_us);
    }
    if (t->subscriber) {
        router_unsubscribe(w->router, t->subscriber, w->now_us);
    }
    if (tell) {
        worker_tell(w, control_make_transport(false, t->room.s, t->number, t->which));
    }
    LOG_I("transport_removed", "room=%s participant=%u which=%s lost=%d", t->room.s, t->number,
          which_name(t->which), t->lost);
    DL_DELETE(w->transports, t);
    if (t->which == CONTROL_WHICH_PUBLISH) {
        DL_DELETE2(w->publishers, t, prev_publisher, next_publisher);
    }
    due_cancel(&w->due, &t->due);
    w->n_transports--;
    admission_release(&w->admission, ADMISSION_TRANSPORTS, 1);
    (void)worker_hold_tracks(w, t, 0);
    worker_end_handshake(w, t);
    transport_free(w->table, t);
}

static void lose(struct worker *w, struct transport *t)
{
    t->lost = true;
    w->any_lost = true;
}

void worker_sweep(struct worker *w)
{
    struct transport *t, *tmp;
    if (!w->any_lost) {
        return;
    }
    w->any_lost = false;
    DL_FOREACH_SAFE(w->transports, t, tmp)
    {
        if (t->lost) {
            worker_remove(w, t, true);
        }
    }
}

/* ---- DTLS ---- */

static void send_dtls(void *arg, const uint8_t *data, size_t len)
{
    struct transport *t = arg;
    struct worker *w = t->worker;
    if (t->selected && len <= WORKER_DATAGRAM) {
        transport_note_flight(t);
        memcpy(worker_out_begin(w), data, len);
        worker_out_to_peer(w, len, t->selected);
    }
}

static void progress(struct worker *w, struct transport *t)
{
    enum dtls_state state = dtls_state(t->dtls);
    if (state != DTLS_HANDSHAKE) {
        worker_end_handshake(w, t);
    }
    if (state == DTLS_READY && !t->connected) {
        if (!transport_take_keys(t)) {
            sfu_count(SFU_DTLS_FAILURES, 1);
            lose(w, t);
            return;
        }
        sfu_count(SFU_DTLS_HANDSHAKES, 1);
        LOG_I("transport_up", "room=%s participant=%u which=%s", t->room.s, t->number,
              which_name(t->which));
        worker_tell(w, control_make_transport(true, t->room.s, t->number, t->which));
        if (t->publisher) {
            router_publisher_ready(w->router, t->publisher, w->now_us);
        } else {
            router_subscriber_ready(w->router, t->subscriber, w->now_us);
        }
    } else if (state == DTLS_FAILED || state == DTLS_CLOSED) {
        sfu_count(SFU_DTLS_FAILURES, state == DTLS_FAILED);
        lose(w, t);
    }
}

/* Only ever for a transport whose address passed a check. */
static bool start_dtls(struct transport *t, bool client)
{
    struct worker *w = t->worker;
    if (!worker_begin_handshake(w, t)) {
        return false; /* the next flight or check tries again */
    }
    if (dtls_new(&t->dtls, w->o.dtls, client, send_dtls, t)) {
        return false;
    }
    if (t->has_remote) {
        dtls_set_fingerprint(t->dtls, t->remote.fingerprint);
    }
    return true;
}

void worker_dtls(struct worker *w, struct transport *t, const uint8_t *data, size_t len)
{
    if (t->lost || (!t->dtls && !start_dtls(t, false))) {
        return;
    }
    dtls_input(t->dtls, data, len);
    progress(w, t);
}

void worker_peer_ready(struct worker *w, struct transport *t)
{
    if (t->dtls) {
        progress(w, t);
    } else if (t->has_remote && t->remote.dtls_active && t->selected && start_dtls(t, true)) {
        progress(w, t);
    }
}

/* ---- ICE ---- */

/* An IPv4 peer is told its IPv4 address, not the mapped form that our socket shows it in. */
static socklen_t plain_address(struct sockaddr_storage *out, const struct sockaddr_in6 *from)
{
    memset(out, 0, sizeof *out);
    if (!IN6_IS_ADDR_V4MAPPED(&from->sin6_addr)) {
        memcpy(out, from, sizeof *from);
        return sizeof *from;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = from->sin6_port};
    memcpy(&v4.sin_addr, &from->sin6_addr.s6_addr[12], 4);
    memcpy(out, &v4, sizeof v4);
    return sizeof v4;
}

static void answer_check(struct worker *w, const struct ice_credentials *c, int verdict,
                         const struct peer_path *path, const uint8_t *data, size_t len)
{
    uint8_t *out = worker_out_begin(w);
    int n;
    if (verdict == ERR_UNSUPPORTED) {
        n = ice_check_error(out, STUN_MAX_RESPONSE, data, len, c->pwd, 420);
    } else {
        struct sockaddr_storage plain;
        socklen_t plain_len = plain_address(&plain, path->addr);
        n = ice_check_success(out, STUN_MAX_RESPONSE, data, len, c->pwd,
                              (const struct sockaddr *)&plain, plain_len);
    }
    if (n > 0 && (size_t)n > len) { /* whoever the sender is: nobody's answers amplify */
        worker_count(w, SFU_REFUSED_LARGER, 1);
    } else if (n > 0) {
        worker_out_commit(w, (size_t)n, path);
    }
}

/* The credentials that a request claims, or NULL. */
static struct ice_credentials *claimed(struct worker *w, const uint8_t *data, size_t len)
{
    char local[ICE_MAX_CREDENTIAL + 1], remote[ICE_MAX_CREDENTIAL + 1];
    int err = ice_check_username(local, remote, data, len);
    struct ice_credentials *c = err ? NULL : transport_by_ufrag(w->table, local);
    if (err) {
        worker_count(w, SFU_STUN_MALFORMED, 1);
    } else if (!c) {
        worker_count(w, SFU_STUN_AUTH_FAILURES, 1);
    }
    return c;
}

/* Whether a check may be looked at: those of addresses that we know always. */
static bool is_welcome(struct worker *w, const struct transport *t, const struct peer_path *path,
                       size_t len)
{
    const struct peer_address *a = transport_by_path(w->table, path);
    return (a && a->transport == t) || worker_stranger(w, path->addr, len);
}

/* OK, or ERR_UNSUPPORTED where the check is genuine but wants what we don't know; the others want
 * no answer, not even he who wants an address of somebody else's: it would tell that media will
 * come. */
static int judge(struct worker *w, struct ice_check *check, const struct ice_credentials *c,
                 const struct peer_path *path, const uint8_t *data, size_t len)
{
    int verdict = ice_check_verify(check, data, len, c->ufrag, c->pwd);
    if (verdict != OK && verdict != ERR_UNSUPPORTED) {
        worker_count(w, verdict == ERR_AUTH ? SFU_STUN_AUTH_FAILURES : SFU_STUN_MALFORMED, 1);
    } else if (!transport_may_have(w->table, c, path, w->now_us)) {
        worker_count(w, SFU_REFUSED_ADDRESS, 1);
        verdict = ERR_CONFLICT;
    } else {
        worker_count(w, SFU_STUN_REQUESTS, 1);
    }
    return verdict;
}

/* Routes may change, which is looked at again with later checks. */
static void note_route(struct worker *w, const struct peer_path *path)
{
    struct peer_address *a = path->tcp ? NULL : transport_by_address(w->table, path->addr);
    if (a && (a->routed_us == 0 || w->now_us - a->routed_us >= ROUTE_US)) {
        a->routed = udp_is_source(w->udp, &a->addr, &a->local);
        a->routed_us = w->now_us;
    }
}

void worker_stun(struct worker *w, const struct peer_path *path, const uint8_t *data, size_t len)
{
    if (!stun_is_request(data, len)) {
        return; /* indications keep a NAT open and want no answer (RFC 8445 section 11) */
    }
    struct ice_credentials *c = claimed(w, data, len);
    if (!c || c->transport->lost || !is_welcome(w, c->transport, path, len)) {
        return;
    }
    struct ice_check check;
    int verdict = judge(w, &check, c, path, data, len);
    if (verdict == OK || verdict == ERR_UNSUPPORTED) {
        answer_check(w, c, verdict, path, data, len);
    }
    if (verdict == OK) {
        transport_checked(w->table, c, path, check.use_candidate, w->now_us);
        note_route(w, path);
        worker_peer_ready(w, c->transport);
    }
}

/* ---- time ---- */

static bool has_tracks(const struct subscriber *s)
{
    for (uint32_t i = 0; i < s->n_audio + s->n_video; i++) {
        if (s->slot[i].track) {
            return true;
        }
    }
    return false;
}

/* When the transport is to be looked at again. Who is connected and has nothing to report comes
 * once in half a minute. */
static int64_t next_look_us(const struct worker *w, const struct transport *t)
{
    if (!t->connected) {
        return w->now_us + LOOK_US; /* DTLS timers, which change with each flight */
    }
    int64_t due_us = t->heard_us + TRANSPORT_SILENT_US + 1;
    if (t->subscriber && has_tracks(t->subscriber) && t->subscriber->report_us < due_us) {
        due_us = t->subscriber->report_us;
    }
    return due_us;
}

static void check_peer(struct worker *w, struct transport *t)
{
    /* Once both are finished no flight waits for another (RFC 6347 section 4.2.4). */
    if (!t->connected && t->dtls && dtls_timeout_us(t->dtls) == 0) {
        dtls_timeout(t->dtls);
        progress(w, t);
    }
    bool silent = w->now_us - t->heard_us > TRANSPORT_SILENT_US;
    bool stuck = !t->connected && w->now_us - t->created_us > w->o.connect_us;
    if (!t->lost && (silent || stuck)) {
        sfu_count(silent ? SFU_CONSENT_EXPIRED : SFU_DTLS_FAILURES, 1);
        lose(w, t);
    }
    worker_report(w, t);
}

void worker_look_at(struct worker *w, struct transport *t)
{
    due_set(&w->due, &t->due, w->now_us);
}

void worker_check_peers(struct worker *w)
{
    struct due_entry *e;
    while ((e = due_take(&w->due, w->now_us))) {
        struct transport *t =
            (struct transport *)(void *)((char *)e - offsetof(struct transport, due));
        check_peer(w, t);
        if (!t->lost) {
            due_set(&w->due, e, next_look_us(w, t));
        }
    }
}
