#include "lib/proto/stun.h"

#include <string.h>

#include <stun/stunagent.h>
#include <stun/usages/ice.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/proto/demux.h"

#define TRANSACTION_OFF 8

/* What we understand of the comprehension-required range (below 0x8000). */
static const uint16_t known_attributes[] = {
    STUN_ATTRIBUTE_MAPPED_ADDRESS,
    STUN_ATTRIBUTE_USERNAME,
    STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
    STUN_ATTRIBUTE_ERROR_CODE,
    STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES,
    STUN_ATTRIBUTE_REALM,
    STUN_ATTRIBUTE_NONCE,
    STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
    STUN_ATTRIBUTE_PRIORITY,
    STUN_ATTRIBUTE_USE_CANDIDATE,
    0,
};

bool stun_is_request(const uint8_t *data, size_t len)
{
    return demux_packet(data, len) == PACKET_STUN && (data[0] & 1) == 0 && (data[1] & 0x10) == 0;
}

static bool is_binding_request(const uint8_t *data)
{
    return data[0] == 0 && data[1] == 1;
}

/* Finds an attribute before MESSAGE-INTEGRITY (RFC 8489 section 14.5: what follows it is to be
 * ignored), or that and FINGERPRINT themselves. NULL when absent; *bad when a length lies. */
static const uint8_t *find_attribute(const uint8_t *data, size_t len, uint16_t wanted,
                                     size_t *value_len, bool *bad)
{
    struct cursor c;
    bool after_integrity = false;

    cursor_init(&c, data, len);
    cursor_skip(&c, STUN_HEADER_LEN);
    while (cursor_left(&c) > 0) {
        uint16_t type = cursor_u16(&c);
        size_t n = cursor_u16(&c);
        const uint8_t *value = cursor_bytes(&c, n);
        cursor_skip(&c, (4 - n % 4) % 4);
        if (c.bad) {
            *bad = true;
            return NULL;
        }
        if (type == wanted && (!after_integrity || type == STUN_ATTRIBUTE_FINGERPRINT)) {
            *value_len = n;
            return value;
        }
        after_integrity |= type == STUN_ATTRIBUTE_MESSAGE_INTEGRITY;
    }
    return NULL;
}

static bool is_ice_char(uint8_t ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '+' || ch == '/';
}

static int copy_credential(char *out, const uint8_t *data, size_t len)
{
    if (len == 0 || len > ICE_MAX_CREDENTIAL) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < len; i++) {
        /* '-' and '_' are outside RFC 8839's ice-char, but clients are known to use them. */
        if (!is_ice_char(data[i]) && data[i] != '-' && data[i] != '_') {
            return ERR_INVALID;
        }
    }
    memcpy(out, data, len);
    out[len] = 0;
    return OK;
}

int ice_check_username(char *local_ufrag, char *remote_ufrag, const uint8_t *data, size_t len)
{
    bool bad = false;
    size_t n = 0;

    if (len < STUN_HEADER_LEN) {
        return ERR_TRUNCATED;
    }
    if (len > STUN_MAX_MESSAGE || demux_packet(data, len) != PACKET_STUN) {
        return ERR_INVALID;
    }
    if (!is_binding_request(data)) {
        return ERR_UNSUPPORTED;
    }
    const uint8_t *user = find_attribute(data, len, STUN_ATTRIBUTE_USERNAME, &n, &bad);
    if (bad) {
        return ERR_TRUNCATED;
    }
    if (!user) {
        return ERR_NOT_FOUND;
    }
    const uint8_t *colon = memchr(user, ':', n);
    if (!colon) {
        return ERR_INVALID;
    }
    size_t local_len = (size_t)(colon - user);
    int r = copy_credential(local_ufrag, user, local_len);
    return r < 0 ? r : copy_credential(remote_ufrag, colon + 1, n - local_len - 1);
}

static bool give_password(StunAgent *agent, StunMessage *message, uint8_t *username,
                          uint16_t username_len, uint8_t **password, size_t *password_len,
                          void *user_data)
{
    const char *pwd = user_data;

    (void)agent;
    (void)message;
    (void)username;
    (void)username_len;
    *password = (uint8_t *)(uintptr_t)pwd; /* libnice only reads it */
    *password_len = strlen(pwd);
    return true;
}

static void agent_init(StunAgent *agent)
{
    stun_agent_init(agent, known_attributes, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
}

/* Lengths, attributes and the username, before libnice sees the message. */
static int check_shape(struct ice_check *out, const uint8_t *data, size_t len,
                       const char *local_ufrag)
{
    char ufrag[ICE_MAX_CREDENTIAL + 1];
    bool bad = false;
    size_t n = 0;
    int r = ice_check_username(ufrag, out->remote_ufrag, data, len);

    if (r == ERR_NOT_FOUND || r == ERR_UNSUPPORTED) {
        return ERR_INVALID;
    }
    if (r < 0) {
        return r;
    }
    if (strcmp(ufrag, local_ufrag) != 0) {
        return ERR_AUTH;
    }
    if (!find_attribute(data, len, STUN_ATTRIBUTE_MESSAGE_INTEGRITY, &n, &bad) || n != 20) {
        return bad ? ERR_TRUNCATED : ERR_INVALID;
    }
    if (!find_attribute(data, len, STUN_ATTRIBUTE_FINGERPRINT, &n, &bad) || n != 4) {
        return bad ? ERR_TRUNCATED : ERR_INVALID; /* RFC 8445 section 7.1: a check has one */
    }
    return OK;
}

static int verdict(StunValidationStatus status)
{
    switch (status) {
    case STUN_VALIDATION_SUCCESS:
        return OK;
    case STUN_VALIDATION_UNKNOWN_REQUEST_ATTRIBUTE:
        return ERR_UNSUPPORTED;
    case STUN_VALIDATION_UNAUTHORIZED:
        return ERR_AUTH;
    default:
        return ERR_INVALID;
    }
}

int ice_check_verify(struct ice_check *out, const uint8_t *data, size_t len,
                     const char *local_ufrag, const char *local_pwd)
{
    StunAgent agent;
    StunMessage msg;

    memset(out, 0, sizeof *out);
    memset(&msg, 0, sizeof msg);
    int r = check_shape(out, data, len, local_ufrag);
    if (r < 0) {
        return r;
    }
    agent_init(&agent);
    r = verdict(
        stun_agent_validate(&agent, &msg, data, len, give_password, (void *)(uintptr_t)local_pwd));
    if (r < 0 && r != ERR_UNSUPPORTED) {
        return r;
    }
    out->priority = stun_usage_ice_conncheck_priority(&msg);
    out->use_candidate = stun_usage_ice_conncheck_use_candidate(&msg);
    if (stun_message_find64(&msg, STUN_ATTRIBUTE_ICE_CONTROLLING, &out->tie_breaker) ==
        STUN_MESSAGE_RETURN_SUCCESS) {
        out->controlling = true;
    } else if (stun_message_find64(&msg, STUN_ATTRIBUTE_ICE_CONTROLLED, &out->tie_breaker) !=
               STUN_MESSAGE_RETURN_SUCCESS) {
        out->tie_breaker = 0;
    }
    return r;
}

/* The verified request as libnice's struct, with the key that its answer is signed by. */
static void borrow_request(StunMessage *msg, StunAgent *agent, const uint8_t *request, size_t len,
                           const char *pwd)
{
    memset(msg, 0, sizeof *msg);
    msg->agent = agent;
    msg->buffer = (uint8_t *)(uintptr_t)request;
    msg->buffer_len = len;
    msg->key = (uint8_t *)(uintptr_t)pwd;
    msg->key_len = strlen(pwd);
}

static int finish(StunAgent *agent, StunMessage *msg)
{
    size_t n = stun_agent_finish_message(agent, msg, NULL, 0);
    return n > 0 ? (int)n : ERR_TOO_LARGE;
}

int ice_check_success(uint8_t *out, size_t cap, const uint8_t *request, size_t len,
                      const char *local_pwd, const struct sockaddr *from, socklen_t from_len)
{
    StunAgent agent;
    StunMessage req, msg;
    struct sockaddr_storage addr;

    if (!stun_is_request(request, len) || from_len > sizeof addr) {
        return ERR_INVALID;
    }
    memset(&addr, 0, sizeof addr);
    memcpy(&addr, from, from_len);
    agent_init(&agent);
    borrow_request(&req, &agent, request, len, local_pwd);
    if (!stun_agent_init_response(&agent, &msg, out, cap, &req)) {
        return ERR_TOO_LARGE;
    }
    StunMessageReturn r =
        stun_message_append_xor_addr(&msg, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, &addr, from_len);
    if (r == STUN_MESSAGE_RETURN_NOT_ENOUGH_SPACE) {
        return ERR_TOO_LARGE;
    }
    return r == STUN_MESSAGE_RETURN_SUCCESS ? finish(&agent, &msg) : ERR_INVALID;
}

int ice_check_error(uint8_t *out, size_t cap, const uint8_t *request, size_t len,
                    const char *local_pwd, int code)
{
    StunAgent agent;
    StunMessage req, msg;

    if (!stun_is_request(request, len) || code < 300 || code > 699) {
        return ERR_INVALID;
    }
    agent_init(&agent);
    borrow_request(&req, &agent, request, len, local_pwd);
    if (code == STUN_ERROR_UNKNOWN_ATTRIBUTE) {
        size_t n = stun_agent_build_unknown_attributes_error(&agent, &msg, out, cap, &req);
        return n > 0 ? (int)n : ERR_TOO_LARGE;
    }
    if (!stun_agent_init_error(&agent, &msg, out, cap, &req, (StunError)code)) {
        return ERR_TOO_LARGE;
    }
    return finish(&agent, &msg);
}
