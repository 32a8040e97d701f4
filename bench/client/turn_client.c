#include "bench/client/turn_client.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <stun/stunagent.h>
#include <stun/usages/turn.h>

#include "lib/base/err.h"

#define SECOND      INT64_C(1000000)
#define RTO_US      (SECOND / 2)
#define TRIES       7  /* Rc */
#define LAST_WAIT   16 /* Rm, in RTO */
#define TEXT_MAX    500
#define RETRIES_MAX 3              /* answers with a new nonce to one request */
#define REBIND_US   (240 * SECOND) /* before the permission's 300 s are over */

#define CODE_UNAUTHORIZED 401
#define CODE_TIMEOUT      408
#define CODE_STALE_NONCE  438

enum request { NONE, ALLOCATE, BIND, REFRESH, RELEASE };

struct turn_client {
    enum turn_state state;
    int error;
    StunAgent agent;
    uint8_t *username, *password;
    struct sockaddr_in peer, relayed;
    enum request request; /* that is out */
    int tries, retries;
    int64_t next_us; /* of the request: when it is sent again, or given up */
    int64_t refresh_us, rebind_us;
    size_t out_len;
    uint8_t out[TURN_MAX_MESSAGE];
    StunMessage challenge; /* the last 401 or 438: realm and nonce */
    bool challenged;
    uint8_t challenge_data[TURN_MAX_MESSAGE];
};

int turn_client_new(struct turn_client **out, const char *username, const char *password,
                    const struct sockaddr_in *peer)
{
    size_t user_len = strlen(username), password_len = strlen(password);
    if (user_len == 0 || user_len > TEXT_MAX || password_len == 0 || password_len > TEXT_MAX)
        return ERR_INVALID;
    struct turn_client *c = calloc(1, sizeof(*c));
    if (!c)
        return ERR_NOMEM;
    c->username = (uint8_t *)strdup(username);
    c->password = (uint8_t *)strdup(password);
    if (!c->username || !c->password) {
        turn_client_free(c);
        return ERR_NOMEM;
    }
    c->peer = *peer;
    c->refresh_us = c->rebind_us = INT64_MAX;
    stun_agent_init(&c->agent, STUN_ALL_KNOWN_ATTRIBUTES, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_LONG_TERM_CREDENTIALS);
    *out = c;
    return OK;
}

void turn_client_free(struct turn_client *c)
{
    if (!c)
        return;
    free(c->username);
    free(c->password);
    free(c);
}

static void fail(struct turn_client *c, int code)
{
    c->state = TURN_FAILED;
    c->error = code;
    c->request = NONE;
    c->refresh_us = c->rebind_us = INT64_MAX;
}

/* ---- requests ---- */
static size_t text_len(const uint8_t *text)
{
    return strlen((const char *)text);
}

static size_t make_allocate(struct turn_client *c, StunMessage *m)
{
    bool know = c->challenged;
    return stun_usage_turn_create(
        &c->agent, m, c->out, sizeof(c->out), know ? &c->challenge : NULL,
        STUN_USAGE_TURN_REQUEST_PORT_NORMAL, -1, -1, c->username, know ? text_len(c->username) : 0,
        c->password, know ? text_len(c->password) : 0, STUN_USAGE_TURN_COMPATIBILITY_RFC5766);
}

static bool append(StunMessage *m, StunAttribute type, const void *data, size_t len)
{
    return data && stun_message_append_bytes(m, type, data, len) == STUN_MESSAGE_RETURN_SUCCESS;
}

/* Who we are, as the challenge wants it, and the MESSAGE-INTEGRITY of it all. */
static size_t sign(struct turn_client *c, StunMessage *m)
{
    uint16_t realm_len, nonce_len;
    const void *realm = stun_message_find(&c->challenge, STUN_ATTRIBUTE_REALM, &realm_len);
    const void *nonce = stun_message_find(&c->challenge, STUN_ATTRIBUTE_NONCE, &nonce_len);
    bool ok = append(m, STUN_ATTRIBUTE_USERNAME, c->username, text_len(c->username)) &&
              append(m, STUN_ATTRIBUTE_REALM, realm, realm_len) &&
              append(m, STUN_ATTRIBUTE_NONCE, nonce, nonce_len);
    return ok ? stun_agent_finish_message(&c->agent, m, c->password, text_len(c->password)) : 0;
}

/* RFC 8656 section 12.1; libnice's library has no call for it. */
static size_t make_bind(struct turn_client *c, StunMessage *m)
{
    struct sockaddr_storage peer = {0};
    memcpy(&peer, &c->peer, sizeof(c->peer));
    bool ok = stun_agent_init_request(&c->agent, m, c->out, sizeof(c->out), STUN_CHANNELBIND) &&
              stun_message_append32(m, STUN_ATTRIBUTE_CHANNEL_NUMBER,
                                    (uint32_t)TURN_CHANNEL << 16) == STUN_MESSAGE_RETURN_SUCCESS &&
              stun_message_append_xor_addr(m, STUN_ATTRIBUTE_XOR_PEER_ADDRESS, &peer,
                                           sizeof(c->peer)) == STUN_MESSAGE_RETURN_SUCCESS;
    return ok ? sign(c, m) : 0;
}

/* RFC 8656 section 8.1. stun_usage_turn_create_refresh leaves LIFETIME out, so that it can't give
 * an allocation back. */
static size_t make_refresh(struct turn_client *c, StunMessage *m, bool release)
{
    bool ok = stun_agent_init_request(&c->agent, m, c->out, sizeof(c->out), STUN_REFRESH) &&
              (!release ||
               stun_message_append32(m, STUN_ATTRIBUTE_LIFETIME, 0) == STUN_MESSAGE_RETURN_SUCCESS);
    return ok ? sign(c, m) : 0;
}

static void forget(struct turn_client *c)
{
    StunTransactionId id;
    if (c->request == NONE)
        return;
    memcpy(id, c->out + 4, sizeof(id));
    stun_agent_forget_transaction(&c->agent, id);
    c->request = NONE;
}

/* Makes the request and lets it be polled at once. */
static void begin(struct turn_client *c, enum request request, int64_t now_us)
{
    StunMessage m;
    c->out_len = 0;
    if (request == ALLOCATE)
        c->out_len = make_allocate(c, &m);
    else if (request == BIND)
        c->out_len = make_bind(c, &m);
    else if (request != NONE)
        c->out_len = make_refresh(c, &m, request == RELEASE);
    c->request = request;
    c->tries = 0;
    c->next_us = now_us;
    if (c->out_len == 0)
        fail(c, CODE_UNAUTHORIZED); /* no realm or nonce to answer with */
}

static void begin_next(struct turn_client *c, int64_t now_us)
{
    c->retries = 0;
    if (c->state == TURN_ALLOCATING)
        begin(c, ALLOCATE, now_us);
    else if (c->state == TURN_BINDING)
        begin(c, BIND, now_us);
    else if (c->state == TURN_CLOSING)
        begin(c, RELEASE, now_us);
    else if (c->state == TURN_READY && now_us >= c->rebind_us)
        begin(c, BIND, now_us);
    else if (c->state == TURN_READY && now_us >= c->refresh_us)
        begin(c, REFRESH, now_us);
}

size_t turn_client_poll(struct turn_client *c, uint8_t *out, size_t cap, int64_t now_us)
{
    if (c->request == NONE)
        begin_next(c, now_us);
    if (c->request == NONE || now_us < c->next_us || cap < c->out_len)
        return 0;
    if (c->tries == TRIES) {
        forget(c);
        if (c->state == TURN_CLOSING)
            c->state = TURN_CLOSED;
        else
            fail(c, CODE_TIMEOUT);
        return 0;
    }
    int64_t wait = c->tries + 1 == TRIES ? LAST_WAIT * RTO_US : RTO_US << c->tries;
    c->tries++;
    c->next_us = now_us + wait;
    memcpy(out, c->out, c->out_len);
    return c->out_len;
}

int64_t turn_client_deadline(const struct turn_client *c)
{
    if (c->request != NONE)
        return c->next_us;
    if (c->state == TURN_ALLOCATING || c->state == TURN_BINDING || c->state == TURN_CLOSING)
        return INT64_MIN; /* at once */
    return c->refresh_us < c->rebind_us ? c->refresh_us : c->rebind_us;
}

void turn_client_close(struct turn_client *c, int64_t now_us)
{
    if (c->state == TURN_CLOSED || c->state == TURN_FAILED || c->state == TURN_CLOSING)
        return;
    bool allocated = c->state != TURN_ALLOCATING;
    forget(c);
    c->refresh_us = c->rebind_us = INT64_MAX;
    c->state = allocated ? TURN_CLOSING : TURN_CLOSED;
    if (allocated)
        begin_next(c, now_us);
}

/* ---- answers ---- */

/* A 401 or 438 tells realm and nonce; the request goes again with them (RFC 8489 section 9.2.5). */
static void on_challenge(struct turn_client *c, const uint8_t *data, size_t len, int64_t now_us,
                         int code)
{
    enum request request = c->request;
    c->request = NONE;
    bool again = code == CODE_STALE_NONCE || !c->challenged;
    if (!again || ++c->retries > RETRIES_MAX || len > sizeof(c->challenge_data)) {
        fail(c, code);
        return;
    }
    memcpy(c->challenge_data, data, len);
    c->challenge = (StunMessage){
        .agent = &c->agent, .buffer = c->challenge_data, .buffer_len = sizeof(c->challenge_data)};
    c->challenged = true;
    begin(c, request, now_us);
}

static void on_error(struct turn_client *c, const StunMessage *m, const uint8_t *data, size_t len,
                     int64_t now_us)
{
    int code = 0;
    if (stun_message_find_error(m, &code) != STUN_MESSAGE_RETURN_SUCCESS)
        code = 500;
    if (code == CODE_UNAUTHORIZED || code == CODE_STALE_NONCE) {
        on_challenge(c, data, len, now_us, code);
        return;
    }
    bool closing = c->state == TURN_CLOSING;
    c->request = NONE;
    if (closing)
        c->state = TURN_CLOSED;
    else
        fail(c, code);
}

static void refresh_after(struct turn_client *c, uint32_t lifetime_s, int64_t now_us)
{
    c->refresh_us = now_us + (int64_t)lifetime_s * SECOND / 2;
}

static void on_allocated(struct turn_client *c, StunMessage *m, int64_t now_us)
{
    struct sockaddr_storage relayed = {0}, mapped = {0}, other = {0};
    socklen_t relayed_len = sizeof(relayed), mapped_len = sizeof(mapped), other_len = sizeof(other);
    uint32_t bandwidth, lifetime = 600;
    StunUsageTurnReturn r =
        stun_usage_turn_process(m, &relayed, &relayed_len, &mapped, &mapped_len, &other, &other_len,
                                &bandwidth, &lifetime, STUN_USAGE_TURN_COMPATIBILITY_RFC5766);
    bool ok =
        (r == STUN_USAGE_TURN_RETURN_RELAY_SUCCESS || r == STUN_USAGE_TURN_RETURN_MAPPED_SUCCESS) &&
        relayed.ss_family == AF_INET;
    if (!ok) {
        fail(c, 500);
        return;
    }
    memcpy(&c->relayed, &relayed, sizeof(c->relayed));
    refresh_after(c, lifetime, now_us);
    c->state = TURN_BINDING;
    begin_next(c, now_us);
}

static void on_success(struct turn_client *c, StunMessage *m, int64_t now_us)
{
    enum request request = c->request;
    uint32_t lifetime = 600;
    c->request = NONE;
    switch (request) {
    case ALLOCATE:
        on_allocated(c, m, now_us);
        break;
    case BIND:
        c->state = TURN_READY;
        c->rebind_us = now_us + REBIND_US;
        break;
    case REFRESH:
        stun_usage_turn_refresh_process(m, &lifetime, STUN_USAGE_TURN_COMPATIBILITY_RFC5766);
        refresh_after(c, lifetime, now_us);
        break;
    case RELEASE:
        c->state = TURN_CLOSED;
        break;
    case NONE:
        break;
    }
}

/* Whether a message of a whole length and a known transaction can be an answer to what is out. */
static bool answers(const struct turn_client *c, const uint8_t *data, size_t len)
{
    static const uint8_t cookie[4] = {0x21, 0x12, 0xa4, 0x42};
    return c->request != NONE && c->tries > 0 && len >= 20 && len <= TURN_MAX_MESSAGE &&
           memcmp(data + 4, cookie, 4) == 0 && memcmp(data + 8, c->out + 8, 12) == 0;
}

static void on_stun(struct turn_client *c, const uint8_t *data, size_t len, int64_t now_us)
{
    StunMessage m;
    uint8_t copy[TURN_MAX_MESSAGE]; /* libnice writes into what it reads */
    StunAgent before;
    if (!answers(c, data, len))
        return;
    memcpy(copy, data, len);
    before = c->agent; /* a forged answer must not use the transaction up */
    StunValidationStatus status = stun_agent_validate(&c->agent, &m, copy, len, NULL, NULL);
    bool right =
        status == STUN_VALIDATION_SUCCESS &&
        stun_message_get_method(&m) ==
            (StunMethod)((c->out[0] & 0x3e) << 6 | (c->out[1] & 0xe0) >> 1 | (c->out[1] & 0x0f));
    StunClass class = right ? stun_message_get_class(&m) : STUN_REQUEST;
    bool whole = class == STUN_RESPONSE && c->challenged &&
                 stun_message_has_attribute(&m, STUN_ATTRIBUTE_MESSAGE_INTEGRITY);
    if (whole)
        on_success(c, &m, now_us);
    else if (class == STUN_ERROR)
        on_error(c, &m, copy, len, now_us);
    else
        c->agent = before;
}

size_t turn_client_input(struct turn_client *c, const uint8_t *data, size_t len, int64_t now_us,
                         const uint8_t **payload)
{
    if (len < TURN_CHANNEL_LEN)
        return 0;
    if (data[0] != TURN_CHANNEL >> 8 || data[1] != (TURN_CHANNEL & 0xff)) {
        if (data[0] < 4)
            on_stun(c, data, len, now_us);
        return 0;
    }
    size_t n = (size_t)data[2] << 8 | data[3];
    if (c->state != TURN_READY || n > len - TURN_CHANNEL_LEN)
        return 0;
    *payload = data + TURN_CHANNEL_LEN;
    return n;
}

enum turn_state turn_client_state(const struct turn_client *c)
{
    return c->state;
}

int turn_client_error(const struct turn_client *c)
{
    return c->error;
}

const struct sockaddr_in *turn_client_relayed(const struct turn_client *c)
{
    return &c->relayed;
}

void turn_channel_header(uint8_t header[TURN_CHANNEL_LEN], uint16_t len)
{
    header[0] = TURN_CHANNEL >> 8;
    header[1] = TURN_CHANNEL & 0xff;
    header[2] = (uint8_t)(len >> 8);
    header[3] = (uint8_t)len;
}
