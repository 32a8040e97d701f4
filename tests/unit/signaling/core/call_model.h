/* A world for the model test of calls: a database that decides as schema/040_calls.sql does, a
 * network that duplicates, drops and reorders, a server that crashes, and checks of everything that
 * the call machine asks for. */
#ifndef SOTTO_TESTS_CALL_MODEL_H
#define SOTTO_TESTS_CALL_MODEL_H

#include "tests/unit/signaling/core/call_fixture.h"

#define MODEL_USERS    5 /* the last one is a stranger */
#define MODEL_DEVICES  3
#define MODEL_QUEUE    512
#define MODEL_REQUESTS 4096

enum model_status { DB_RINGING, DB_ACTIVE, DB_ENDED };

struct model_db {
    enum model_status status;
    enum call_reason reason;
    bool group;
    int users;
    enum call_party_state state[MODEL_USERS];
    int device[MODEL_USERS], number[MODEL_USERS];
    int next_number, ends;
};

/* A write on its way to the database, or its answer on the way back. */
struct model_op {
    enum call_effect_type type;
    uintptr_t request;
    int user, device, number;
    unsigned stay;
    bool was_ringing;
    enum call_party_state state;
    enum call_reason reason;
    enum call_error error; /* of the answer */
};

struct model_frame {
    enum call_event_type type;
    int user, device;
};

struct model {
    uint64_t random;
    struct call *c; /* NULL while the server is down */
    int64_t now_us;
    struct model_db db;
    struct model_op ops[MODEL_QUEUE], answers[MODEL_QUEUE];
    int n_ops, n_answers;
    struct model_frame net[MODEL_QUEUE];
    int n_net;
    bool online[MODEL_USERS][MODEL_DEVICES + 1];
    int held[MODEL_USERS]; /* device, 0: none */
    uintptr_t n_requests;
    unsigned char answered[MODEL_REQUESTS];
    uintptr_t first_request; /* of this run of the server */
    int ends_written;        /* by this run */
    bool torn;               /* an accept was committed and its answer lost */
    int accepts_won, crashes;
};

/* A world from a seed: 1 to 3 callees. Runs `steps` random things, then lets everything settle and
 * checks that the call ended, in the machine and in the record. */
void model_run(struct model *m, uint64_t seed, int steps);

#endif
