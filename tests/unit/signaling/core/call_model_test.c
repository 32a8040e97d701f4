#include "tests/unit/signaling/core/call_model.h"

#include <inttypes.h>

#define WORLDS 20000
#define STEPS  60

static uint64_t next(struct model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

static int pick(struct model *m, int n)
{
    return (int)(next(m) % (uint64_t)n);
}

static int user_of(const struct id *id)
{
    unsigned u = 99, d = 0;
    assert_int_equal(sscanf(id->s, "00000000-0000-7000-8%3x-%12x", &u, &d), 2);
    return (int)u;
}

static int device_of(const struct id *id)
{
    unsigned u = 0, d = 0;
    if (id->s[0] != '\0') {
        assert_int_equal(sscanf(id->s, "00000000-0000-7000-8%3x-%12x", &u, &d), 2);
    }
    return (int)d;
}

/* ---- the database: as the SQL functions decide ---- */

static void db_accept(struct model *m, struct model_op *op)
{
    struct model_db *db = &m->db;
    int u = op->user;
    op->was_ringing = db->state[u] == PARTY_RINGING;
    if (db->status == DB_ENDED) {
        op->error = CALL_E_ENDED;
    } else if (db->state[u] == PARTY_JOINED) {
        op->error = db->device[u] == op->device ? CALL_OK : CALL_E_CONFLICT;
    } else if (!op->was_ringing && !(db->group && db->status == DB_ACTIVE)) {
        op->error = CALL_E_CONFLICT;
    } else if (pick(m, 40) == 0) {
        op->error = CALL_E_BUSY;
    } else {
        db->state[u] = PARTY_JOINED;
        db->device[u] = op->device;
        db->number[u] = db->number[u] != 0 ? db->number[u] : ++db->next_number;
        db->status = DB_ACTIVE;
        op->error = CALL_OK;
    }
    op->number = db->number[u];
}

static void db_party(struct model_db *db, const struct model_op *op)
{
    bool leaves = op->state == PARTY_LEFT || op->state == PARTY_FAILED;
    enum call_party_state from = leaves ? PARTY_JOINED : PARTY_RINGING;
    bool same = !leaves || db->device[op->user] == op->device;
    if (db->status != DB_ENDED && db->state[op->user] == from && same) {
        db->state[op->user] = op->state;
    }
}

static void db_end(struct model_db *db, const struct model_op *op)
{
    if (db->status == DB_ENDED) {
        return;
    }
    db->status = DB_ENDED;
    db->reason = op->reason;
    db->ends++;
    for (int u = 0; u < db->users; u++) {
        if (db->state[u] == PARTY_JOINED) {
            db->state[u] = PARTY_LEFT;
        } else if (db->state[u] == PARTY_RINGING) {
            db->state[u] = PARTY_MISSED;
        }
    }
}

/* Applies the oldest write. A few fail before, a few after they were committed. */
static void db_step(struct model *m)
{
    if (m->n_ops == 0) {
        return;
    }
    struct model_op op = m->ops[0];
    memmove(m->ops, m->ops + 1, (size_t)--m->n_ops * sizeof(op));
    if (op.type == CALL_WRITE_PARTY) {
        db_party(&m->db, &op);
    } else if (op.type == CALL_WRITE_END) {
        db_end(&m->db, &op);
    } else if (op.type == CALL_WRITE_ACCEPT) {
        int luck = pick(m, 50);
        if (luck > 0) {
            db_accept(m, &op);
            m->accepts_won += op.error == CALL_OK;
        }
        if (luck <= 1) {
            m->torn |= luck == 1 && op.error == CALL_OK;
            op.error = CALL_E_UNAVAILABLE;
        }
        m->answers[m->n_answers++] = op;
    }
}

/* ---- what the machine asks for ---- */

static void check_send(struct model *m, const struct call_effect *fx)
{
    int u = user_of(&fx->user_id);
    struct call_participant *p = call_party(m->c, &fx->user_id);
    assert_non_null(p); /* only to members */
    assert_true(u < m->db.users);
    if (fx->message == MSG_INCOMING_CALL) {
        assert_int_equal(p->state, PARTY_RINGING);
        assert_int_not_equal(m->c->state, CALL_ENDED); /* no ring after the end */
    }
    if (fx->message == MSG_CALL_DESCRIPTION || fx->message == MSG_ICE_CANDIDATE) {
        assert_int_equal(p->state, PARTY_JOINED);
        assert_true(id_equal(&p->device_id, &fx->device_id));
    }
}

static void answer(struct model *m, const struct call_effect *fx)
{
    assert_true(fx->request > 0 && fx->request < MODEL_REQUESTS);
    assert_int_equal(m->answered[fx->request]++, 0); /* once each */
}

static void push_op(struct model *m, const struct call_effect *fx)
{
    assert_true(m->n_ops < MODEL_QUEUE);
    assert_int_equal(m->ends_written, 0); /* the end is the last write */
    m->ops[m->n_ops++] = (struct model_op){.type = fx->type,
                                           .request = fx->request,
                                           .user = user_of(&fx->user_id),
                                           .device = device_of(&fx->device_id),
                                           .stay = fx->stay,
                                           .state = fx->party_state};
}

static void take_effect(struct model *m, const struct call_effect *fx)
{
    switch (fx->type) {
    case CALL_REPLY_OK:
    case CALL_REPLY_ERROR:
        answer(m, fx);
        break;
    case CALL_SFU_FORWARD:
        answer(m, fx);
        assert_int_equal(m->c->parties[fx->party].state, PARTY_JOINED);
        break;
    case CALL_SEND:
        check_send(m, fx);
        break;
    case CALL_HOLD:
        assert_int_equal(m->held[user_of(&fx->user_id)], 0);
        m->held[user_of(&fx->user_id)] = device_of(&fx->device_id);
        break;
    case CALL_RELEASE:
        assert_int_equal(m->held[user_of(&fx->user_id)], device_of(&fx->device_id));
        m->held[user_of(&fx->user_id)] = 0;
        break;
    case CALL_WRITE_ACCEPT:
    case CALL_WRITE_PARTY:
        push_op(m, fx);
        break;
    case CALL_WRITE_END:
        assert_int_equal(m->ends_written++, 0);
        m->ops[m->n_ops++] = (struct model_op){.type = CALL_WRITE_END, .reason = m->c->reason};
        break;
    default:
        break;
    }
}

/* Joined here is joined in the database, with that device: an accept is never made up. */
static void check_joined(const struct model *m)
{
    for (int i = 0; i < m->c->n_parties; i++) {
        const struct call_participant *p = &m->c->parties[i];
        if (p->state == PARTY_JOINED) {
            int u = user_of(&p->user_id);
            assert_int_equal(m->db.state[u], PARTY_JOINED);
            assert_int_equal(m->db.device[u], device_of(&p->device_id));
            assert_int_equal(m->held[u], device_of(&p->device_id));
        }
    }
    assert_int_equal(m->c->state == CALL_ENDED, m->ends_written == 1);
}

static void feed(struct model *m, const struct call_event *ev)
{
    struct call_effects fx = {0};
    call_step(m->c, ev, m->now_us, &fx);
    for (int i = 0; i < fx.n; i++) {
        take_effect(m, &fx.v[i]);
    }
    call_effects_free(&fx);
    check_joined(m);
}

static void tick(struct model *m)
{
    struct call_effects fx = {0};
    call_tick(m->c, m->now_us, &fx);
    for (int i = 0; i < fx.n; i++) {
        take_effect(m, &fx.v[i]);
    }
    call_effects_free(&fx);
    check_joined(m);
}

/* ---- the server ---- */

static struct call *new_call(const struct model *m)
{
    struct id id = stage_id(0xabc, 1);
    struct call *c = call_new(&id, &stage_limits);
    c->group = m->db.group;
    c->mode = m->db.group ? CALL_SFU : CALL_P2P;
    c->initiator_id = stage_id(0, 0);
    c->initiator_device = stage_id(0, 1);
    return c;
}

static int load_parties(const struct model *m, struct call_participant *p)
{
    for (int u = 0; u < m->db.users; u++) {
        p[u] = stage_party(u, m->db.state[u]);
        p[u].number = m->db.number[u];
        p[u].device_id = stage_id(u, m->db.device[u]);
        p[u].ring_deadline_us = m->now_us + 20 * SECOND;
    }
    return m->db.users;
}

/* Dies with everything under way; some of what was sent is committed all the same. */
static void crash(struct model *m)
{
    for (int n = pick(m, 3); n > 0; n--) {
        db_step(m);
    }
    m->n_ops = m->n_answers = m->n_net = 0;
    memset(m->held, 0, sizeof(m->held));
    call_free(m->c);
    m->c = new_call(m);
    m->crashes++;
    m->torn = false; /* what is loaded is what was committed */
    m->first_request = m->n_requests + 1;
    m->ends_written = 0;
    if (m->db.status == DB_ENDED) {
        m->c->state = CALL_ENDED; /* isn't loaded: nothing rings, nothing is written */
        m->ends_written = 1;
        return;
    }
    struct call_participant p[MODEL_USERS];
    struct call_event ev = {.type = CALL_RESTORE,
                            .restored_state =
                                m->db.status == DB_ACTIVE ? CALL_ACTIVE : CALL_RINGING,
                            .parties = p};
    ev.n_parties = load_parties(m, p);
    feed(m, &ev);
    memset(m->online, 0, sizeof(m->online));
}

static void start(struct model *m)
{
    struct call_participant p[MODEL_USERS];
    m->c = new_call(m);
    struct call_event ev = {.type = CALL_START,
                            .request = ++m->n_requests,
                            .user_id = stage_id(0, 0),
                            .device_id = stage_id(0, 1),
                            .online = true,
                            .sfu_available = true,
                            .payload = "offer",
                            .parties = p};
    ev.n_parties = load_parties(m, p);
    feed(m, &ev);
}

/* ---- what happens ---- */

static void deliver(struct model *m, const struct model_frame *f)
{
    if (m->n_requests + 1 >= MODEL_REQUESTS) {
        return;
    }
    struct call_event ev = {.type = f->type,
                            .request = ++m->n_requests,
                            .user_id = stage_id(f->user, 0),
                            .device_id = stage_id(f->user, f->device),
                            .set_audio = pick(m, 3) - 1,
                            .set_video = pick(m, 3) - 1,
                            .rtt_ms = -1,
                            .path = (enum call_path)pick(m, 4),
                            .sfu_available = pick(m, 4) > 0,
                            .payload = "x"};
    feed(m, &ev);
}

static void send_frame(struct model *m)
{
    static const enum call_event_type types[] = {
        CALL_ACCEPT,   CALL_ACCEPT,      CALL_ACCEPT, CALL_DEVICE_RINGING, CALL_DECLINE,
        CALL_HANG_UP,  CALL_JOIN,        CALL_JOIN,   CALL_DESCRIPTION,    CALL_CANDIDATE,
        CALL_FALLBACK, CALL_SFU_REQUEST, CALL_UPDATE, CALL_STATS,          CALL_CANDIDATE,
    };
    struct model_frame f = {.type = types[pick(m, sizeof(types) / sizeof(types[0]))],
                            .user = pick(m, MODEL_USERS),
                            .device = 1 + pick(m, MODEL_DEVICES)};
    for (int copies = pick(m, 8) == 0 ? 2 : 1; copies > 0 && m->n_net < MODEL_QUEUE; copies--) {
        m->net[m->n_net++] = f;
    }
}

static void take_frame(struct model *m)
{
    if (m->n_net == 0) {
        return;
    }
    int i = pick(m, m->n_net); /* in any order */
    struct model_frame f = m->net[i];
    m->net[i] = m->net[--m->n_net];
    if (pick(m, 10) > 0) {
        deliver(m, &f);
    }
}

static void take_answer(struct model *m)
{
    if (m->n_answers == 0) {
        return;
    }
    struct model_op op = m->answers[0];
    memmove(m->answers, m->answers + 1, (size_t)--m->n_answers * sizeof(op));
    bool won = op.error == CALL_OK;
    feed(m, &(struct call_event){.type = won ? CALL_ACCEPT_COMMITTED : CALL_ACCEPT_REFUSED,
                                 .request = op.request,
                                 .user_id = stage_id(op.user, 0),
                                 .device_id = stage_id(op.user, op.device),
                                 .online = m->online[op.user][op.device],
                                 .number = op.number,
                                 .stay = op.stay,
                                 .error = op.error});
}

static void move_socket(struct model *m)
{
    int u = pick(m, MODEL_USERS), d = 1 + pick(m, MODEL_DEVICES);
    m->online[u][d] = !m->online[u][d];
    feed(m, &(struct call_event){.type = m->online[u][d] ? CALL_SOCKET_BACK : CALL_SOCKET_LOST,
                                 .user_id = stage_id(u, 0),
                                 .device_id = stage_id(u, d)});
}

static void sfu_event(struct model *m)
{
    static const enum call_event_type types[] = {CALL_SFU_PLACED, CALL_SFU_DOWN, CALL_SFU_UP,
                                                 CALL_MEDIA_CONNECTED};
    feed(m, &(struct call_event){.type = types[pick(m, 4)],
                                 .kept = pick(m, 2) == 0,
                                 .connected = true,
                                 .number = pick(m, 5)});
}

static void one_thing(struct model *m)
{
    int what = pick(m, 100);
    if (what < 35) {
        send_frame(m);
    } else if (what < 60) {
        take_frame(m);
    } else if (what < 72) {
        db_step(m);
    } else if (what < 84) {
        take_answer(m);
    } else if (what < 91) {
        move_socket(m);
    } else if (what < 95) {
        sfu_event(m);
    } else if (what < 99) {
        m->now_us += (int64_t)pick(m, 20) * SECOND;
        tick(m);
    } else {
        crash(m);
    }
}

static void settle(struct model *m)
{
    for (int i = 0; i < 2000; i++) {
        while (m->n_ops > 0 || m->n_answers > 0) {
            db_step(m);
            take_answer(m);
        }
        if (m->c->state == CALL_ENDED) {
            return;
        }
        if (!m->torn) { /* nothing is under way: both know the same */
            for (int u = 0; u < m->db.users; u++) {
                struct id id = stage_id(u, 0);
                assert_int_equal(call_party(m->c, &id)->state, m->db.state[u]);
            }
        }
        for (int u = 0; u < m->db.users; u++) { /* everybody goes away for good */
            for (int d = 1; d <= MODEL_DEVICES; d++) {
                m->online[u][d] = false;
                feed(m, &(struct call_event){.type = CALL_SOCKET_LOST,
                                             .user_id = stage_id(u, 0),
                                             .device_id = stage_id(u, d)});
            }
        }
        assert_true(m->c->state == CALL_ENDED || call_deadline(m->c) < INT64_MAX);
        m->now_us += 10 * SECOND;
        tick(m);
    }
    fail_msg("a call without end");
}

void model_run(struct model *m, uint64_t seed, int steps)
{
    memset(m, 0, sizeof(*m));
    m->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    m->now_us = 1000 * SECOND;
    m->db.users = 2 + pick(m, MODEL_USERS - 2);
    m->db.group = m->db.users > 2 || pick(m, 4) == 0;
    m->db.state[0] = PARTY_JOINED;
    m->db.device[0] = m->db.number[0] = m->db.next_number = 1;
    for (int u = 1; u < m->db.users; u++) {
        int luck = pick(m, 12);
        m->db.state[u] = luck == 0 ? PARTY_BUSY : luck == 1 ? PARTY_UNREACHABLE : PARTY_RINGING;
    }
    m->online[0][1] = true;
    start(m);
    for (int i = 0; i < steps; i++) {
        one_thing(m);
    }
    settle(m);
    assert_int_equal(m->db.status, DB_ENDED);
    assert_int_equal(m->db.ends, 1); /* one record, ended once */
    assert_int_not_equal(m->db.reason, CALL_REASON_NONE);
    for (int u = 0; u < MODEL_USERS; u++) {
        assert_int_equal(m->held[u], 0);
    }
    for (uintptr_t r = m->first_request; r <= m->n_requests; r++) {
        assert_int_equal(r == 0 || m->answered[r] == 1, 1); /* nobody waits for ever */
    }
    call_free(m->c);
}

static void random_interleavings_have_one_outcome(void **state)
{
    (void)state;
    static struct model m;
    int by_reason[CALL_COMPLETED + 1] = {0}, accepts = 0, crashes = 0;
    for (uint64_t seed = 1; seed <= WORLDS; seed++) {
        model_run(&m, seed, STEPS);
        by_reason[m.db.reason]++;
        accepts += m.accepts_won;
        crashes += m.crashes;
    }
    /* The worlds are worth something: every way to end was taken, and crashes did happen. */
    for (int r = CALL_MISSED; r <= CALL_COMPLETED; r++) {
        if (by_reason[r] == 0) {
            fail_msg("no call ended as %s", call_reason_name((enum call_reason)r));
        }
    }
    assert_true(accepts > WORLDS / 10);
    assert_true(crashes > WORLDS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_interleavings_have_one_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
