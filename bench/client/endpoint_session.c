/* From descriptions to keys: SDP, ICE, DTLS of one endpoint. */
#include <stdlib.h>
#include <string.h>

#include "bench/client/endpoint_private.h"
#include "lib/base/err.h"
#include "lib/base/ids.h"

void endpoint_fail(struct endpoint *e, const char *why)
{
    if (e->state == ENDPOINT_FAILED)
        return;
    e->state = ENDPOINT_FAILED;
    endpoint_unschedule(e);
    e->handler.failed(e->arg, e, why);
}

/* ---- connected ---- */

static const char *profile_name(enum dtls_srtp_profile p)
{
    switch (p) {
    case DTLS_AES128_CM_SHA1_80:
        return "AES_CM_128_HMAC_SHA1_80";
    case DTLS_AEAD_AES_128_GCM:
        return "AEAD_AES_128_GCM";
    case DTLS_AEAD_AES_256_GCM:
        return "AEAD_AES_256_GCM";
    }
    return "unknown";
}

static void connected(struct endpoint *e, const struct dtls_keys *keys, int64_t now_us)
{
    e->state = ENDPOINT_CONNECTED;
    e->connected_us = now_us;
    int r = endpoint_media_start(e, keys, now_us);
    if (r != OK) {
        endpoint_fail(e, r == ERR_INVALID ? "bad source" : "no SRTP");
        return;
    }
    struct endpoint_connected c = {.ms_us = now_us - e->answer_us,
                                   .ice_us = e->raw ? 0 : e->ice_us - e->answer_us,
                                   .dtls_us = e->raw ? 0 : now_us - e->ice_us,
                                   .profile = profile_name(keys->profile),
                                   .path = e->path};
    e->handler.connected(e->arg, e, &c);
}

static void wipe_keys(struct dtls_keys *k)
{
    explicit_bzero(k, sizeof *k);
}

/* ---- DTLS ---- */

static void send_dtls(void *arg, const uint8_t *data, size_t len)
{
    endpoint_transmit(arg, data, len);
}

/* The fingerprint is set only after the handshake: a failure then is told from a wrong one. */
static void look_at_dtls(struct endpoint *e, int64_t now_us)
{
    struct dtls_keys keys;
    if (dtls_state(e->dtls) == DTLS_UNVERIFIED) {
        dtls_set_fingerprint(e->dtls, e->agreed.fingerprint);
        if (dtls_state(e->dtls) == DTLS_FAILED) {
            endpoint_fail(e, "the certificate's fingerprint is not the description's");
            return;
        }
    }
    int64_t left = dtls_timeout_us(e->dtls);
    e->dtls_due_us = left < 0 ? INT64_MAX : now_us + left;
    switch (dtls_state(e->dtls)) {
    case DTLS_FAILED:
        endpoint_fail(e, "the DTLS handshake failed");
        break;
    case DTLS_CLOSED:
        endpoint_fail(e, "the other end closed");
        break;
    case DTLS_READY:
        if (e->state != ENDPOINT_CONNECTING)
            break;
        if (dtls_export_keys(e->dtls, &keys) == OK) {
            dtls_settle(e->dtls);
            connected(e, &keys, now_us);
        } else {
            endpoint_fail(e, "no SRTP profile was agreed");
        }
        wipe_keys(&keys);
        break;
    default:
        break;
    }
}

static struct dtls_context *context_of(struct endpoint *e)
{
    struct endpoint_host *h = e->host;
    struct dtls_context **c = &h->dtls[e->o.profile];
    if (!*c && dtls_context_new(c) == OK) {
        dtls_context_hurry(*c);
        if (e->o.profile != ENDPOINT_PROFILE_ANY)
            (void)dtls_context_only(*c, e->o.profile == ENDPOINT_PROFILE_GCM
                                            ? DTLS_AEAD_AES_128_GCM
                                            : DTLS_AES128_CM_SHA1_80);
    }
    return *c;
}

static void start_dtls(struct endpoint *e, int64_t now_us)
{
    if (e->dtls || e->state != ENDPOINT_CONNECTING)
        return;
    if (dtls_new(&e->dtls, context_of(e), e->agreed.dtls_client, send_dtls, e) != OK) {
        endpoint_fail(e, "out of memory");
        return;
    }
    look_at_dtls(e, now_us);
}

void endpoint_dtls(struct endpoint *e, const uint8_t *data, size_t len,
                   const struct sockaddr_in *from, int64_t now_us)
{
    if (e->state != ENDPOINT_CONNECTED)
        e->host->setup_us = now_us;
    if (!e->dtls && e->described && !e->agreed.dtls_client && e->state == ENDPOINT_CONNECTING) {
        if (!e->has_peer && from) { /* they nominated and began before we heard of it */
            e->peer = *from;
            e->has_peer = true;
        }
        if (e->ice_us == 0)
            e->ice_us = now_us;
        start_dtls(e, now_us);
    }
    if (!e->dtls || e->state == ENDPOINT_FAILED)
        return;
    dtls_input(e->dtls, data, len);
    look_at_dtls(e, now_us);
}

/* ---- ICE ---- */

static void on_pair(struct endpoint *e, const char *path, int64_t now_us)
{
    e->path = path;
    if (e->ice_us == 0)
        e->ice_us = now_us;
    start_dtls(e, now_us);
}

static void look_at_ice(struct endpoint *e, int64_t now_us)
{
    if (e->ice.state == ICE_LEAN_FAILED) {
        endpoint_fail(e, e->ice.why);
        return;
    }
    if (e->ice.state == ICE_LEAN_CONNECTED && e->restart == ENDPOINT_RESTART_CHECKING)
        endpoint_restarted(e, now_us);
    if (e->ice.state != ICE_LEAN_CONNECTED || e->is_connected_socket)
        return;
    const struct ice_lean_candidate *c = ice_lean_selected(&e->ice);
    e->peer = c->address;
    e->has_peer = true;
    endpoint_socket_connect(e);
    on_pair(e,
            e->agreed.remote_lite ? "lite"
            : c->type == 's'      ? "srflx"
            : c->type == 'r'      ? "relay"
                                  : "host",
            now_us);
}

void endpoint_stun(struct endpoint *e, const uint8_t *data, size_t len,
                   const struct sockaddr_in *from, int64_t now_us)
{
    uint8_t out[ICE_LEAN_MAX_OUT];
    if (e->raw || e->nice || e->state == ENDPOINT_FAILED)
        return;
    if (e->is_connected_socket)
        from = &e->peer;
    else if (e->relay && from->sin_port != htons((uint16_t)impair_relay_port(e->relay)))
        return;
    if (e->state != ENDPOINT_CONNECTED)
        e->host->setup_us = now_us;
    size_t n = ice_lean_input(&e->ice, data, len, from, out, now_us);
    if (n > 0)
        endpoint_transmit_to(e, out, n, from);
    look_at_ice(e, now_us);
}

int64_t endpoint_session_deadline(const struct endpoint *e)
{
    int64_t due = e->raw || e->nice ? INT64_MAX : ice_lean_deadline(&e->ice);
    return e->dtls && e->dtls_due_us < due ? e->dtls_due_us : due;
}

void endpoint_session_poll(struct endpoint *e, int64_t now_us)
{
    uint8_t out[ICE_LEAN_MAX_OUT];
    struct sockaddr_in to;
    size_t n;
    if (e->state == ENDPOINT_FAILED)
        return;
    if (!e->raw && !e->nice && ice_lean_deadline(&e->ice) <= now_us) {
        while ((n = ice_lean_poll(&e->ice, out, &to, now_us)) > 0)
            endpoint_transmit_to(e, out, n, &to);
        look_at_ice(e, now_us);
    }
    if (e->dtls && e->dtls_due_us <= now_us && e->state == ENDPOINT_CONNECTING) {
        dtls_timeout(e->dtls);
        look_at_dtls(e, now_us);
    }
}

/* ---- descriptions ---- */

int endpoint_local(struct endpoint *e, struct sdp_client_local *out, const char *ufrag,
                   const char *pwd, const char *candidates)
{
    struct dtls_context *c = context_of(e);
    if (!c)
        return ERR_NOMEM;
    *out = (struct sdp_client_local){.ufrag = ufrag,
                                     .pwd = pwd,
                                     .cname = e->cname,
                                     .session_id = e->session_id,
                                     .ssrc = e->ssrc,
                                     .candidates = candidates,
                                     .audio = e->o.audio,
                                     .video = e->o.video,
                                     .direction = e->o.direction};
    memcpy(out->fingerprint, dtls_context_fingerprint(c), sizeof out->fingerprint);
    return OK;
}

int endpoint_give_offer(struct endpoint *e, const char *ufrag, const char *pwd,
                        const char *candidates)
{
    struct sdp_client_local local;
    struct buf out;
    buf_init(&out, SDP_MAX_BYTES);
    int r = endpoint_local(e, &local, ufrag, pwd, candidates);
    if (r == OK)
        r = sdp_client_offer(&out, &local);
    if (r == OK)
        e->handler.local(e->arg, e, "offer", buf_cstr(&out));
    buf_free(&out);
    return r;
}

int endpoint_give_answer(struct endpoint *e, struct sdp_client_agreed *agreed, const char *sdp,
                         size_t len, const char *ufrag, const char *pwd, const char *candidates)
{
    struct sdp_client_local local;
    struct buf out;
    buf_init(&out, 4 * SDP_MAX_BYTES);
    int r = endpoint_local(e, &local, ufrag, pwd, candidates);
    if (r == OK)
        r = sdp_client_answer(&out, agreed, sdp, len, &local);
    if (r == OK)
        e->handler.local(e->arg, e, "answer", buf_cstr(&out));
    buf_free(&out);
    return r;
}

/* The relay stands in the place of the other end's first candidate. A full agent checks our address
 * past it, too: what doesn't come by the relay isn't answered. */
static int put_link(struct endpoint *e, const struct endpoint_link *link)
{
    struct sdp_client_agreed *a = &e->agreed;
    if (!link || !link->on || a->n_candidates == 0)
        return OK;
    const struct sockaddr_in *to = &a->candidate[0].address;
    struct sockaddr_in6 server = {.sin6_family = AF_INET6, .sin6_port = to->sin_port};
    server.sin6_addr.s6_addr[10] = server.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&server.sin6_addr.s6_addr[12], &to->sin_addr, 4);
    int r = impair_relay_new(&e->relay, e->host->loop, &server, &link->up, &link->down);
    if (r != OK)
        return r;
    e->host->has_links = true;
    e->ice.n = 0; /* nor anybody who checked us from elsewhere */
    a->n_candidates = 1;
    a->candidate[0].address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a->candidate[0].address.sin_port = htons((uint16_t)impair_relay_port(e->relay));
    return OK;
}

/* Both descriptions are there. */
static int begin(struct endpoint *e, const char *sdp, size_t len, const struct endpoint_link *link)
{
    struct sdp_client_agreed *a = &e->agreed;
    int64_t now = clock_mono_us();
    e->described = true;
    e->answer_us = e->host->setup_us = now;
    e->state = ENDPOINT_CONNECTING;
    if (e->nice)
        return nice_peer_remote(e->nice, a->ufrag, a->pwd, sdp, len);
    int r = put_link(e, link);
    if (r == OK)
        r = ice_lean_remote(&e->ice, a->ufrag, a->pwd, a->remote_lite, e->offerer, a->candidate,
                            a->n_candidates, now);
    if (r != OK)
        return r;
    endpoint_session_poll(e, now);
    endpoint_schedule(e, now);
    return OK;
}

int endpoint_offer(struct endpoint *e)
{
    char candidates[ENDPOINT_CANDIDATES];
    if (e->state != ENDPOINT_NEW || e->offerer || e->described || e->pending_offer)
        return ERR_STATE;
    e->offerer = true;
    if (e->o.nice)
        return endpoint_nice_start(e);
    endpoint_candidates(e, candidates, sizeof candidates);
    return endpoint_give_offer(e, e->ice.ufrag, e->ice.pwd, candidates);
}

int endpoint_answer(struct endpoint *e, const char *sdp, size_t len,
                    const struct endpoint_link *link)
{
    char candidates[ENDPOINT_CANDIDATES];
    if (e->state != ENDPOINT_NEW || e->offerer || e->described || e->pending_offer)
        return ERR_STATE;
    if (e->o.nice && link && link->on)
        return ERR_UNSUPPORTED;
    if (e->o.nice) {
        e->pending_offer = strndup(sdp, len);
        return e->pending_offer ? endpoint_nice_start(e) : ERR_NOMEM;
    }
    endpoint_candidates(e, candidates, sizeof candidates);
    int r = endpoint_give_answer(e, &e->agreed, sdp, len, e->ice.ufrag, e->ice.pwd, candidates);
    return r == OK ? begin(e, sdp, len, link) : r;
}

int endpoint_remote(struct endpoint *e, const char *sdp, size_t len,
                    const struct endpoint_link *link)
{
    struct sdp_client_local local;
    if (e->restart == ENDPOINT_RESTART_OFFERED)
        return endpoint_restart_remote(e, sdp, len);
    if (e->state != ENDPOINT_NEW || !e->offerer || e->described)
        return ERR_STATE;
    if (e->o.nice && link && link->on)
        return ERR_UNSUPPORTED;
    int r = endpoint_local(e, &local, "", "", NULL);
    if (r == OK)
        r = sdp_client_read_answer(&e->agreed, sdp, len, &local);
    return r == OK ? begin(e, sdp, len, link) : r;
}

/* ---- libnice's agent instead of the lean checks ---- */

static void nice_local(void *arg, const char *ufrag, const char *pwd, const char *candidates)
{
    struct endpoint *e = arg;
    int r;
    if (e->pending_offer) {
        size_t len = strlen(e->pending_offer);
        r = endpoint_give_answer(e, &e->agreed, e->pending_offer, len, ufrag, pwd, candidates);
        if (r == OK)
            r = begin(e, e->pending_offer, len, NULL);
    } else {
        r = endpoint_give_offer(e, ufrag, pwd, candidates);
    }
    if (r != OK)
        endpoint_fail(e, "the description can't be answered");
}

static void nice_connected(void *arg, const char *path)
{
    struct endpoint *e = arg;
    int64_t now = clock_mono_us();
    on_pair(e, e->agreed.remote_lite ? "lite" : path, now);
    endpoint_schedule(e, now);
}

static void nice_failed(void *arg, const char *why)
{
    endpoint_fail(arg, why);
}

static void nice_datagram(void *arg, uint8_t *data, size_t len, int64_t arrived_us)
{
    struct endpoint *e = arg;
    int64_t now = clock_mono_us();
    endpoint_datagram(e, data, len, NULL, now, arrived_us);
    endpoint_schedule(e, now);
}

int endpoint_nice_start(struct endpoint *e)
{
    static const struct nice_peer_handler handler = {.local = nice_local,
                                                     .connected = nice_connected,
                                                     .failed = nice_failed,
                                                     .datagram = nice_datagram};
    struct endpoint_host *h = e->host;
    int r = h->nice ? OK : nice_hub_new(&h->nice, h->loop);
    /* A lite end never controls (RFC 8445 section 6.1.1); libnice wants its role before it gathers.
     */
    e->o.agent.controlling =
        e->offerer || (e->pending_offer && strstr(e->pending_offer, "a=ice-lite"));
    return r == OK ? nice_peer_new(&e->nice, h->nice, &e->o.agent, &handler, e) : r;
}

/* ---- raw ---- */

static int take_tracks(struct endpoint *e, const struct endpoint_raw *raw)
{
    struct sdp_client_agreed *a = &e->agreed;
    a->receive = calloc(raw->n_receive ? raw->n_receive : 1, sizeof *a->receive);
    if (!a->receive)
        return ERR_NOMEM;
    if (raw->n_receive)
        memcpy(a->receive, raw->receive, raw->n_receive * sizeof *a->receive);
    a->n_receive = raw->n_receive;
    a->sends[MEDIA_AUDIO] = raw->audio != NULL;
    a->sends[MEDIA_VIDEO] = raw->video != NULL;
    if (raw->audio)
        a->send[MEDIA_AUDIO] = *raw->audio;
    if (raw->video)
        a->send[MEDIA_VIDEO] = *raw->video;
    return OK;
}

int endpoint_start_raw(struct endpoint *e, const struct endpoint_raw *raw)
{
    /* RFC 8489 section 5: a binding indication with no attribute. */
    static const uint8_t hello[20] = {0x00, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    if (e->state != ENDPOINT_NEW || e->offerer || e->described || e->o.nice)
        return ERR_STATE;
    int r = take_tracks(e, raw);
    if (r != OK)
        return r;
    e->raw = e->described = e->has_peer = true;
    e->peer = raw->remote;
    e->path = "host";
    endpoint_socket_connect(e);
    int64_t now = clock_mono_us();
    e->answer_us = e->ice_us = now;
    endpoint_transmit(e, hello, sizeof hello);
    connected(e, &raw->keys, now);
    endpoint_schedule(e, now);
    return OK;
}
