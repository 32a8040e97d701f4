/* The call machine: one struct call a call, changed only by call_step(), which is pure and total:
 * every event has one rule in every state (docs/calls.md shows the table; call_rule_name() tells
 * it). Time is an argument, nothing is read or sent here: what is to be done comes out as effects,
 * which the shell carries out in order.
 *
 * Two things decide together. The machine orders what happens on this node; the row in PostgreSQL
 * is the truth: an accept (or join) first becomes a CALL_WRITE_ACCEPT, and only its answer, fed
 * back as CALL_ACCEPT_COMMITTED or CALL_ACCEPT_REFUSED, makes a participant joined. Leaving and
 * ending never wait for the database. */
#ifndef SOTTO_SIGNALING_CORE_CALL_H
#define SOTTO_SIGNALING_CORE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/ids.h"

#define CALL_MAX_DEVICES        20      /* devices of one user that a call keeps track of */
#define CALL_MAX_CANDIDATES     300     /* a device between two of its descriptions */
#define CALL_MAX_EARLY          64      /* the caller's candidates kept until somebody accepts */
#define CALL_MAX_SDP            32768   /* bytes of one description */
#define CALL_MAX_CANDIDATE      2048    /* bytes of one candidate */
#define CALL_ACCEPT_PATIENCE_US 5000000 /* a ring that runs out waits this long for an accept */

enum call_state { CALL_NEW, CALL_RINGING, CALL_ACTIVE, CALL_ENDED, CALL_STATES };

/* How media goes now, and what the caller allowed. */
enum call_mode { CALL_P2P, CALL_SFU };
enum call_policy { CALL_POLICY_AUTO, CALL_POLICY_P2P, CALL_POLICY_SFU };
/* The farthest way media has taken; it never goes back to a nearer one. */
enum call_path { CALL_PATH_NONE, CALL_PATH_P2P, CALL_PATH_TURN, CALL_PATH_SFU };

/* Why a call ended: completed when it was answered and somebody hung up; failed when connections
 * were lost for longer than the grace. */
enum call_reason {
    CALL_REASON_NONE,
    CALL_MISSED,
    CALL_DECLINED,
    CALL_BUSY,
    CALL_CANCELLED,
    CALL_UNREACHABLE,
    CALL_FAILED,
    CALL_COMPLETED,
};

enum call_party_state {
    PARTY_RINGING,
    PARTY_JOINED,
    PARTY_DECLINED,
    PARTY_BUSY,
    PARTY_MISSED,
    PARTY_UNREACHABLE, /* has no device at all */
    PARTY_LEFT,
    PARTY_FAILED, /* lost for longer than the grace */
};

enum call_fallback_reason {
    FALLBACK_ICE_FAILED,
    FALLBACK_TIMEOUT,
    FALLBACK_POLICY,
    FALLBACK_THIRD_PARTY,
    FALLBACK_SFU_RESTARTED,
};

/* Error codes of replies, as the wire contract names them. */
enum call_error {
    CALL_OK,
    CALL_E_BAD_REQUEST,
    CALL_E_FORBIDDEN,
    CALL_E_NOT_FOUND,
    CALL_E_ENDED,
    CALL_E_NOT_PARTICIPANT,
    CALL_E_BUSY,
    CALL_E_CONFLICT,
    CALL_E_RATE_LIMITED,
    CALL_E_UNAVAILABLE,
    CALL_E_SFU_UNAVAILABLE,
    CALL_E_TOO_LARGE,
    CALL_E_OVERLOADED,
};

struct call_participant {
    struct id participant_id; /* a UUID a (call, user) */
    struct id user_id;
    char username[64];
    char display_name[257];
    enum call_party_state state;
    int number;           /* 1… since the first join, 0 before; kept over a rejoin */
    struct id device_id;  /* the joined device */
    struct id invited_by; /* a user, or "" : the initiator */
    bool online;          /* that device has a socket */
    bool media_connected;
    bool audio, video;       /* what it says that it sends */
    int accepts_pending;     /* CALL_WRITE_ACCEPTs without an answer yet */
    unsigned stay;           /* counts his leavings: an accept asked for before one is void after */
    unsigned left_stay;      /* `stay` since his row was last written as left */
    struct id row_device;    /* of a void accept that was committed: the row has to hear of it */
    struct id accept_device; /* that asked last for an accept without an answer yet */
    int64_t ring_deadline_us;  /* while ringing */
    int64_t grace_deadline_us; /* while joined and offline; else 0 */
    int candidates;            /* relayed since the device's last description */
    int n_devices;             /* that said that they ring */
    struct id devices[CALL_MAX_DEVICES];
};

/* Sums of what clients report by call_stats, for the record. */
struct call_quality {
    int64_t samples;
    int64_t rtt_samples, rtt_ms_sum;
    int64_t loss_samples;
    double loss_percent_sum;
};

struct call_limits {
    int64_t ring_timeout_us;
    int64_t grace_us;
    int64_t sfu_wait_us; /* for a lost SFU to return, before another is asked */
    int max_participants;
};

/* What the caller sent before anybody had accepted. */
struct call_early {
    char *payload;
    bool description;
};

struct call {
    struct id id, conversation_id, initiator_id;
    struct id initiator_device;
    enum call_state state;
    enum call_reason reason; /* once ended */
    bool group;              /* more than two, or was once */
    bool video;
    enum call_mode mode;
    enum call_policy policy;
    enum call_path path;
    struct call_quality quality;
    bool sfu_placed, sfu_away;
    int64_t sfu_deadline_us;              /* while away; else 0 */
    int64_t started_at_us, expires_at_us; /* wall clock, as the record has it */
    struct call_limits limits;
    char *offer; /* the caller's description, while it rings; owned */
    struct call_early early[CALL_MAX_EARLY];
    int n_early;
    struct call_participant *parties;
    int n_parties, cap_parties;
};

enum call_event_type {
    CALL_START,   /* the row is committed: request, parties, media, policy, payload (offer) */
    CALL_RESTORE, /* loaded after a start of the server: parties, restored_state,
                     connected (an SFU had the room) */
    CALL_DEVICE_RINGING,   /* from a device */
    CALL_ACCEPT,           /* from a device; media_video */
    CALL_ACCEPT_COMMITTED, /* who; number, online, payload as given with the accept */
    CALL_ACCEPT_REFUSED,   /* who; error */
    CALL_DECLINE,
    CALL_HANG_UP,
    CALL_INVITE,  /* sfu_available */
    CALL_INVITED, /* the rows are committed: parties (those that are new or ring again) */
    CALL_JOIN,
    CALL_DESCRIPTION, /* payload, to (may be empty) */
    CALL_CANDIDATE,
    CALL_FALLBACK, /* fallback, sfu_available */
    CALL_SFU_REQUEST,
    CALL_UPDATE,          /* set_audio, set_video */
    CALL_STATS,           /* path, rtt_ms, loss_percent */
    CALL_SOCKET_LOST,     /* who */
    CALL_SOCKET_BACK,     /* who; device "": whichever of a ringing user's are there */
    CALL_MEDIA_CONNECTED, /* number, connected */
    CALL_SFU_PLACED,
    CALL_SFU_DOWN,
    CALL_SFU_UP, /* kept: the room is still there */
    CALL_RING_TIMER,
    CALL_GRACE_TIMER,
    CALL_SFU_TIMER,
    CALL_EVENTS,
};

/* One input. Pointers are borrowed for the step. `request` is the shell's token for the frame or
 * HTTP request that waits for an answer; it comes back in exactly one reply or write effect (a
 * write gives it back with its answer), or is 0 where nobody waits. */
struct call_event {
    enum call_event_type type;
    uintptr_t request;
    struct id user_id, device_id;
    bool online;              /* START, ACCEPT_COMMITTED: the device has a socket */
    bool sfu_available;       /* START, INVITE, INVITED, FALLBACK */
    bool video;               /* START, ACCEPT: media is video */
    bool kept, connected;     /* SFU_UP; MEDIA_CONNECTED */
    int set_audio, set_video; /* UPDATE: 1, 0, or -1 for unchanged */
    int number;
    unsigned stay; /* ACCEPT_COMMITTED: as CALL_WRITE_ACCEPT had it */
    int rtt_ms;    /* STATS, -1: not told */
    double loss_percent;
    enum call_path path;
    enum call_policy policy;
    enum call_state restored_state;
    enum call_fallback_reason fallback;
    enum call_error error;
    struct id to_user, to_device;           /* DESCRIPTION, CANDIDATE; "" when absent */
    const char *payload;                    /* JSON text, opaque here */
    const struct call_participant *parties; /* START, RESTORE, INVITED */
    int n_parties;
};

enum call_effect_type {
    /* Answers */
    CALL_REPLY_OK,
    CALL_REPLY_ERROR,
    /* Events to devices: `message` tells which; to device_id of user_id, or to all of the user's
     * devices where device_id is empty. */
    CALL_SEND,
    /* Keep (or no more) what is sent to this device while it has no socket. */
    CALL_HOLD,
    CALL_RELEASE,
    /* Rows */
    CALL_WRITE_ACCEPT, /* compare-and-set; feeds ACCEPT_COMMITTED or ACCEPT_REFUSED. Commits
                          call_handled_elsewhere to the user's other devices with it. */
    CALL_WRITE_PARTY,  /* party's state; a decline commits call_handled_elsewhere likewise */
    CALL_WRITE_DEVICE, /* device_id of user_id rings */
    CALL_WRITE_INVITE, /* feeds INVITED, or answers the request with the error */
    CALL_WRITE_MODE,   /* mode and path */
    CALL_WRITE_END,    /* reason, path, quality; commits call_ended to every participant. Until it
                          is written it is tried again. Once a call, as the last write. */
    /* The SFU */
    CALL_SFU_FORWARD, /* the request may go to the SFU as this party */
    CALL_SFU_LEAVE,
    CALL_SFU_CLOSE,
    CALL_SFU_REPLACE, /* find another node; feeds SFU_UP (not kept) when there is one */
};

enum call_message {
    MSG_INCOMING_CALL,
    MSG_CALL_RINGING,
    MSG_CALL_ACCEPTED,
    MSG_CALL_DESCRIPTION,
    MSG_ICE_CANDIDATE,
    MSG_CALL_FALLBACK,
    MSG_PARTICIPANT_JOINED,
    MSG_PARTICIPANT_LEFT,
    MSG_PARTICIPANT_UPDATED,
};

/* Texts are borrowed from the call or the event: good until the next step of this call. */
struct call_effect {
    enum call_effect_type type;
    uintptr_t request;
    enum call_event_type asked; /* REPLY_*: what is answered */
    enum call_error error;
    enum call_message message;
    struct id user_id, device_id; /* to whom, or who */
    struct id from_device;        /* CALL_RINGING, CALL_ACCEPTED, relays: whose device */
    int party;                    /* index of whom it is about, -1 */
    enum call_fallback_reason fallback;
    enum call_party_state party_state; /* WRITE_PARTY */
    unsigned stay;                     /* WRITE_ACCEPT */
    bool video;                        /* WRITE_ACCEPT, CALL_ACCEPTED */
    const char *payload;
};

/* Grows as needed; the caller frees it once at its end, and clears `n` between steps. */
struct call_effects {
    struct call_effect *v;
    int n, cap;
};
void call_effects_free(struct call_effects *fx);

/* A call in CALL_NEW, without participants. Aborts when out of memory, as the JSON builders do.
 * Before START or RESTORE the shell sets what no event carries: conversation_id, initiator_id,
 * initiator_device, group, and the times of the record. */
struct call *call_new(const struct id *id, const struct call_limits *limits);
void call_free(struct call *c);

/* Carries out the rule of (c->state, ev->type); appends to fx. now_us: a clock that never goes
 * back. Never fails: input that breaks a rule is answered by an effect or has none. */
void call_step(struct call *c, const struct call_event *ev, int64_t now_us,
               struct call_effects *fx);

/* The earliest time at which call_tick has something to do; INT64_MAX when there is none. */
int64_t call_deadline(const struct call *c);
/* Feeds the timers that are due (ring, grace, SFU) to call_step. */
void call_tick(struct call *c, int64_t now_us, struct call_effects *fx);

/* The participant of this user, or NULL. Borrowed until the next step. */
struct call_participant *call_party(const struct call *c, const struct id *user_id);
struct call_participant *call_party_numbered(const struct call *c, int number);
int call_count(const struct call *c, enum call_party_state s);

/* The table, for the docs and their test: the rule's name ("accept_ring"). Static storage. */
const char *call_rule_name(enum call_state s, enum call_event_type e);

/* Words of the wire contract; static storage. */
const char *call_state_name(enum call_state s);
const char *call_event_name(enum call_event_type e);
const char *call_reason_name(enum call_reason r);
const char *call_party_state_name(enum call_party_state s);
const char *call_mode_name(enum call_mode m);
const char *call_path_name(enum call_path p); /* NULL for CALL_PATH_NONE */
const char *call_fallback_name(enum call_fallback_reason r);
const char *call_error_name(enum call_error e);
const char *call_error_text(enum call_error e); /* a sentence for people */
const char *call_message_name(enum call_message m);
/* The other way round; a word that isn't one gives the given default. */
enum call_party_state call_party_state_of(const char *word, enum call_party_state dflt);
enum call_path call_path_of(const char *word);

#endif
