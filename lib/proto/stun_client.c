/* The controlling end's side of a connectivity check, for probes and tests. */
#include <string.h>

#include <stun/stunagent.h>
#include <stun/usages/ice.h>

#include "lib/base/err.h"
#include "lib/proto/demux.h"
#include "lib/proto/stun.h"

static const uint16_t known_attributes[] = {
    STUN_ATTRIBUTE_USERNAME,
    STUN_ATTRIBUTE_MESSAGE_INTEGRITY,
    STUN_ATTRIBUTE_ERROR_CODE,
    STUN_ATTRIBUTE_UNKNOWN_ATTRIBUTES,
    STUN_ATTRIBUTE_PRIORITY,
    STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS,
    STUN_ATTRIBUTE_USE_CANDIDATE,
    STUN_ATTRIBUTE_MAPPED_ADDRESS,
    0,
};

static void agent_init(StunAgent *agent)
{
    stun_agent_init(agent, known_attributes, STUN_COMPATIBILITY_RFC5389,
                    STUN_AGENT_USAGE_SHORT_TERM_CREDENTIALS | STUN_AGENT_USAGE_USE_FINGERPRINT);
}

int ice_check_build(uint8_t *out, size_t cap, const uint8_t transaction[12], const char *username,
                    const char *pwd, uint32_t priority, bool use_candidate, uint64_t tie_breaker)
{
    return ice_check_build_as(true, out, cap, transaction, username, pwd, priority, use_candidate,
                              tie_breaker);
}

int ice_check_build_as(bool controlling, uint8_t *out, size_t cap, const uint8_t transaction[12],
                       const char *username, const char *pwd, uint32_t priority, bool use_candidate,
                       uint64_t tie_breaker)
{
    StunAgent agent;
    StunMessage msg;

    agent_init(&agent);
    if (!stun_agent_init_request(&agent, &msg, out, cap, STUN_BINDING)) {
        return ERR_TOO_LARGE;
    }
    memcpy(out + 8, transaction, 12);
    bool ok = !use_candidate || stun_message_append_flag(&msg, STUN_ATTRIBUTE_USE_CANDIDATE) ==
                                    STUN_MESSAGE_RETURN_SUCCESS;
    ok = ok && stun_message_append32(&msg, STUN_ATTRIBUTE_PRIORITY, priority) ==
                   STUN_MESSAGE_RETURN_SUCCESS;
    ok = ok && stun_message_append64(&msg,
                                     controlling ? STUN_ATTRIBUTE_ICE_CONTROLLING
                                                 : STUN_ATTRIBUTE_ICE_CONTROLLED,
                                     tie_breaker) == STUN_MESSAGE_RETURN_SUCCESS;
    ok = ok && stun_message_append_bytes(&msg, STUN_ATTRIBUTE_USERNAME, username,
                                         strlen(username)) == STUN_MESSAGE_RETURN_SUCCESS;
    size_t n = ok ? stun_agent_finish_message(&agent, &msg, (const uint8_t *)pwd, strlen(pwd)) : 0;
    return n > 0 ? (int)n : ERR_TOO_LARGE;
}

/* libnice matches answers with the requests that its agent sent; ours was built elsewhere. */
static void remember_transaction(StunAgent *agent, const uint8_t transaction[12], const char *pwd)
{
    static const uint8_t cookie[4] = {0x21, 0x12, 0xa4, 0x42};
    StunAgentSavedIds *id = &agent->sent_ids[0];

    memcpy(id->id, cookie, 4);
    memcpy(id->id + 4, transaction, 12);
    id->method = STUN_BINDING;
    id->key = (uint8_t *)(uintptr_t)pwd;
    id->key_len = strlen(pwd);
    id->valid = TRUE;
}

int ice_check_read_response(struct sockaddr_storage *mapped, socklen_t *mapped_len, int *code,
                            const uint8_t *data, size_t len, const uint8_t transaction[12],
                            const char *pwd)
{
    StunAgent agent;
    StunMessage msg;

    if (demux_packet(data, len) != PACKET_STUN || memcmp(data + 8, transaction, 12) != 0) {
        return ERR_INVALID;
    }
    memset(&msg, 0, sizeof msg);
    agent_init(&agent);
    remember_transaction(&agent, transaction, pwd);
    StunValidationStatus s = stun_agent_validate(&agent, &msg, data, len, NULL, NULL);
    if (s == STUN_VALIDATION_UNAUTHORIZED || s == STUN_VALIDATION_UNAUTHORIZED_BAD_REQUEST) {
        return ERR_AUTH;
    }
    if (s != STUN_VALIDATION_SUCCESS) {
        return ERR_INVALID;
    }
    if (stun_message_get_class(&msg) == STUN_ERROR) {
        return stun_message_find_error(&msg, code) == STUN_MESSAGE_RETURN_SUCCESS ? ERR_STATE
                                                                                  : ERR_INVALID;
    }
    if (stun_message_get_class(&msg) != STUN_RESPONSE ||
        stun_message_find_xor_addr(&msg, STUN_ATTRIBUTE_XOR_MAPPED_ADDRESS, mapped, mapped_len) !=
            STUN_MESSAGE_RETURN_SUCCESS) {
        return ERR_INVALID;
    }
    return OK;
}
