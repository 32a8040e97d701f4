/* The words of the wire contract. */
#include <stddef.h>
#include <string.h>

#include "signaling/core/call.h"

#define WORD(table, i)                                                                             \
    ((size_t)(i) < sizeof(table) / sizeof((table)[0]) && (table)[i] != NULL ? (table)[i]           \
                                                                            : "unknown")

static const char *const states[] = {"new", "ringing", "active", "ended"};

static const char *const events[CALL_EVENTS] = {
    [CALL_START] = "start",
    [CALL_RESTORE] = "restore",
    [CALL_DEVICE_RINGING] = "device_ringing",
    [CALL_ACCEPT] = "accept",
    [CALL_ACCEPT_COMMITTED] = "accept_committed",
    [CALL_ACCEPT_REFUSED] = "accept_refused",
    [CALL_DECLINE] = "decline",
    [CALL_HANG_UP] = "hang_up",
    [CALL_INVITE] = "invite",
    [CALL_INVITED] = "invited",
    [CALL_JOIN] = "join",
    [CALL_DESCRIPTION] = "description",
    [CALL_CANDIDATE] = "candidate",
    [CALL_FALLBACK] = "fallback",
    [CALL_SFU_REQUEST] = "sfu_request",
    [CALL_UPDATE] = "update",
    [CALL_STATS] = "stats",
    [CALL_SOCKET_LOST] = "socket_lost",
    [CALL_SOCKET_BACK] = "socket_back",
    [CALL_MEDIA_CONNECTED] = "media_connected",
    [CALL_SFU_PLACED] = "sfu_placed",
    [CALL_SFU_DOWN] = "sfu_down",
    [CALL_SFU_UP] = "sfu_up",
    [CALL_RING_TIMER] = "ring_timer",
    [CALL_GRACE_TIMER] = "grace_timer",
    [CALL_SFU_TIMER] = "sfu_timer",
};

static const char *const reasons[] = {"none",      "missed",      "declined", "busy",
                                      "cancelled", "unreachable", "failed",   "completed"};

static const char *const parties[] = {"ringing", "joined",      "declined", "busy",
                                      "missed",  "unreachable", "left",     "failed"};

static const char *const fallbacks[] = {"ice_failed", "timeout", "policy", "third_party",
                                        "sfu_restarted"};

static const char *const paths[] = {NULL, "p2p", "turn", "sfu"};

static const char *const messages[] = {
    "incoming_call",      "call_ringing",     "call_accepted",
    "call_description",   "ice_candidate",    "call_fallback",
    "participant_joined", "participant_left", "participant_updated"};

static const struct {
    const char *code, *text;
} errors[] = {
    [CALL_OK] = {"ok", ""},
    [CALL_E_BAD_REQUEST] = {"bad_request",
                            "There is more than one other participant: say to whom."},
    [CALL_E_FORBIDDEN] = {"forbidden", "You may not take part in this call."},
    [CALL_E_NOT_FOUND] = {"call_not_found", "There is no such call."},
    [CALL_E_ENDED] = {"call_ended", "The call has ended."},
    [CALL_E_NOT_PARTICIPANT] = {"not_participant", "That device hasn't joined the call."},
    [CALL_E_BUSY] = {"busy", "You are in another call."},
    [CALL_E_CONFLICT] = {"conflict", "The state of the call doesn't allow that now."},
    [CALL_E_RATE_LIMITED] = {"rate_limited", "Too many."},
    [CALL_E_UNAVAILABLE] = {"unavailable", "A part of the service is away. Try again."},
    [CALL_E_SFU_UNAVAILABLE] = {"sfu_unavailable", "No media server is available. Try again."},
    [CALL_E_TOO_LARGE] = {"too_large", "Too large."},
    [CALL_E_OVERLOADED] = {"overloaded",
                           "The media server can't take more at the moment. Try again later."},
};

const char *call_state_name(enum call_state s)
{
    return WORD(states, s);
}

const char *call_event_name(enum call_event_type e)
{
    return WORD(events, e);
}

const char *call_reason_name(enum call_reason r)
{
    return WORD(reasons, r);
}

const char *call_party_state_name(enum call_party_state s)
{
    return WORD(parties, s);
}

const char *call_mode_name(enum call_mode m)
{
    return m == CALL_SFU ? "sfu" : "p2p";
}

const char *call_path_name(enum call_path p)
{
    return p == CALL_PATH_NONE ? NULL : WORD(paths, p);
}

const char *call_fallback_name(enum call_fallback_reason r)
{
    return WORD(fallbacks, r);
}

const char *call_error_name(enum call_error e)
{
    return (size_t)e < sizeof(errors) / sizeof(errors[0]) ? errors[e].code : "unknown";
}

const char *call_error_text(enum call_error e)
{
    return (size_t)e < sizeof(errors) / sizeof(errors[0]) ? errors[e].text : "";
}

const char *call_message_name(enum call_message m)
{
    return WORD(messages, m);
}

enum call_party_state call_party_state_of(const char *word, enum call_party_state dflt)
{
    for (size_t i = 0; word != NULL && i < sizeof(parties) / sizeof(parties[0]); i++) {
        if (strcmp(parties[i], word) == 0) {
            return (enum call_party_state)i;
        }
    }
    return dflt;
}

enum call_path call_path_of(const char *word)
{
    for (size_t i = CALL_PATH_P2P; word != NULL && i <= CALL_PATH_SFU; i++) {
        if (strcmp(paths[i], word) == 0) {
            return (enum call_path)i;
        }
    }
    return CALL_PATH_NONE;
}
