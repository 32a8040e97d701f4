/* The one table of the call machine: a rule for every event in every state. docs/calls.md shows it;
 * tests/unit/signaling/core/call_table_test.c compares both. */
#include <stddef.h>
#include <string.h>

#include "signaling/core/call_private.h"

#define R(rule)                                                                                    \
    {                                                                                              \
#rule, call_rule_##rule                                                                    \
    }

/* clang-format off */
const struct call_rule call_rules[CALL_STATES][CALL_EVENTS] = {
    [CALL_NEW] = {
        [CALL_START] = R(start),
        [CALL_RESTORE] = R(restore),
        [CALL_DEVICE_RINGING] = R(early),
        [CALL_ACCEPT] = R(early),
        [CALL_ACCEPT_COMMITTED] = R(none),
        [CALL_ACCEPT_REFUSED] = R(none),
        [CALL_DECLINE] = R(early),
        [CALL_HANG_UP] = R(early),
        [CALL_INVITE] = R(early),
        [CALL_INVITED] = R(none),
        [CALL_JOIN] = R(hidden),
        [CALL_DESCRIPTION] = R(early),
        [CALL_CANDIDATE] = R(early),
        [CALL_FALLBACK] = R(early),
        [CALL_SFU_REQUEST] = R(hidden),
        [CALL_UPDATE] = R(early),
        [CALL_STATS] = R(early),
        [CALL_SOCKET_LOST] = R(none),
        [CALL_SOCKET_BACK] = R(none),
        [CALL_MEDIA_CONNECTED] = R(none),
        [CALL_SFU_PLACED] = R(none),
        [CALL_SFU_DOWN] = R(none),
        [CALL_SFU_UP] = R(none),
        [CALL_RING_TIMER] = R(none),
        [CALL_GRACE_TIMER] = R(none),
        [CALL_SFU_TIMER] = R(none),
    },
    [CALL_RINGING] = {
        [CALL_START] = R(none),
        [CALL_RESTORE] = R(none),
        [CALL_DEVICE_RINGING] = R(device_rings),
        [CALL_ACCEPT] = R(accept),
        [CALL_ACCEPT_COMMITTED] = R(accept_won),
        [CALL_ACCEPT_REFUSED] = R(accept_refused),
        [CALL_DECLINE] = R(decline),
        [CALL_HANG_UP] = R(hang_up),
        [CALL_INVITE] = R(invite),
        [CALL_INVITED] = R(invited),
        [CALL_JOIN] = R(join),
        [CALL_DESCRIPTION] = R(relay),
        [CALL_CANDIDATE] = R(relay),
        [CALL_FALLBACK] = R(fallback),
        [CALL_SFU_REQUEST] = R(sfu_request),
        [CALL_UPDATE] = R(update),
        [CALL_STATS] = R(stats),
        [CALL_SOCKET_LOST] = R(socket_lost),
        [CALL_SOCKET_BACK] = R(socket_back),
        [CALL_MEDIA_CONNECTED] = R(media),
        [CALL_SFU_PLACED] = R(sfu_placed),
        [CALL_SFU_DOWN] = R(sfu_down),
        [CALL_SFU_UP] = R(sfu_up),
        [CALL_RING_TIMER] = R(ring_timer),
        [CALL_GRACE_TIMER] = R(grace_timer),
        [CALL_SFU_TIMER] = R(sfu_timer),
    },
    [CALL_ACTIVE] = {
        [CALL_START] = R(none),
        [CALL_RESTORE] = R(none),
        [CALL_DEVICE_RINGING] = R(device_rings),
        [CALL_ACCEPT] = R(accept),
        [CALL_ACCEPT_COMMITTED] = R(accept_won),
        [CALL_ACCEPT_REFUSED] = R(accept_refused),
        [CALL_DECLINE] = R(decline),
        [CALL_HANG_UP] = R(hang_up),
        [CALL_INVITE] = R(invite),
        [CALL_INVITED] = R(invited),
        [CALL_JOIN] = R(join),
        [CALL_DESCRIPTION] = R(relay),
        [CALL_CANDIDATE] = R(relay),
        [CALL_FALLBACK] = R(fallback),
        [CALL_SFU_REQUEST] = R(sfu_request),
        [CALL_UPDATE] = R(update),
        [CALL_STATS] = R(stats),
        [CALL_SOCKET_LOST] = R(socket_lost),
        [CALL_SOCKET_BACK] = R(socket_back),
        [CALL_MEDIA_CONNECTED] = R(media),
        [CALL_SFU_PLACED] = R(sfu_placed),
        [CALL_SFU_DOWN] = R(sfu_down),
        [CALL_SFU_UP] = R(sfu_up),
        [CALL_RING_TIMER] = R(ring_timer),
        [CALL_GRACE_TIMER] = R(grace_timer),
        [CALL_SFU_TIMER] = R(sfu_timer),
    },
    [CALL_ENDED] = {
        [CALL_START] = R(none),
        [CALL_RESTORE] = R(none),
        [CALL_DEVICE_RINGING] = R(gone),
        [CALL_ACCEPT] = R(gone),
        [CALL_ACCEPT_COMMITTED] = R(gone),
        [CALL_ACCEPT_REFUSED] = R(gone),
        [CALL_DECLINE] = R(gone),
        [CALL_HANG_UP] = R(gone_hang_up),
        [CALL_INVITE] = R(gone),
        [CALL_INVITED] = R(gone),
        [CALL_JOIN] = R(gone_hidden),
        [CALL_DESCRIPTION] = R(gone),
        [CALL_CANDIDATE] = R(gone),
        [CALL_FALLBACK] = R(gone),
        [CALL_SFU_REQUEST] = R(gone_hidden),
        [CALL_UPDATE] = R(gone),
        [CALL_STATS] = R(gone),
        [CALL_SOCKET_LOST] = R(none),
        [CALL_SOCKET_BACK] = R(none),
        [CALL_MEDIA_CONNECTED] = R(none),
        [CALL_SFU_PLACED] = R(close_room),
        [CALL_SFU_DOWN] = R(none),
        [CALL_SFU_UP] = R(none),
        [CALL_RING_TIMER] = R(none),
        [CALL_GRACE_TIMER] = R(none),
        [CALL_SFU_TIMER] = R(none),
    },
};
/* clang-format on */

#undef R

const char *call_rule_name(enum call_state s, enum call_event_type e)
{
    return call_rules[s][e].name;
}
