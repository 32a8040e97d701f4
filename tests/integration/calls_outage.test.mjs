// PostgreSQL goes away in a call: the call goes on, is ended all the same, and its record is right when it is back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { stopwatch } from '../lib/machine.mjs';
import { startStack, until } from '../lib/stack.mjs';

let stack;
before(async () => {
    stack = await startStack({ 'calls.grace': '20s', 'calls.ring_timeout': '4s', 'postgres.query_timeout': '1s' });
});
after(() => stack.down());

test('a call outlives the database and its end is written later', async () => {
    const [a, b] = await Promise.all([newUser(stack), newUser(stack)]);
    let [x, y] = await Promise.all([Socket.open(stack, a.token), Socket.open(stack, b.token)]);
    const started = await x.request('call_start', { userId: b.userId });
    const { callId } = started.data;
    const t0 = Date.now();
    await y.event('incoming_call');
    assert.ok((await y.request('accept_call', { callId })).ok);
    await stack.kill('signald');
    await stack.sql(`UPDATE calls SET started_at = started_at - interval '90 s', answered_at = answered_at - interval '90 s' WHERE id = '${callId}'`);
    await stack.start('signald');
    [x, y] = await Promise.all([Socket.open(stack, a.token), Socket.open(stack, b.token)]);
    await stack.stop('postgres');

    assert.ok((await x.request('ice_candidate', { callId, candidate: null })).ok);
    assert.equal((await y.event('ice_candidate')).data.callId, callId);
    assert.ok((await x.request('call_stats', { callId, path: 'p2p', rttMs: 10 })).ok);
    const clock = stopwatch();
    assert.ok((await x.request('hang_up', { callId })).ok);
    const told = await y.event('call_ended', (d) => d.callId === callId);
    clock.within(1500, 'told');
    assert.equal(told.data.reason, 'completed');
    assert.equal(told.cursor, undefined, 'told directly, as the inbox is away');
    assert.ok(told.data.durationSeconds >= 90 && told.data.durationSeconds <= 91 + (Date.now() - t0) / 1000, `told ${told.data.durationSeconds} s`);
    const refused = await x.request('call_start', { userId: b.userId }, 8000);
    assert.equal(refused.error.code, 'unavailable');
    assert.ok(refused.error.retryAfterMs > 0);

    await stack.start('postgres');
    const row = await until('the record is written', async () => {
        const answer = await http(stack, 'GET', `/v1/calls/${callId}`, { token: a.token });
        return answer.status === 200 && answer.body.status === 'ended' && answer.body;
    }, 20_000);
    assert.equal(row.reason, 'completed');
    assert.equal(row.path, 'p2p');
    assert.ok(Math.abs(row.durationSeconds - told.data.durationSeconds) <= 1, 'the end is when it was, not when it could be written');
    assert.deepEqual(row.participants.map((p) => p.state), ['left', 'left']);
    assert.ok((await y.event('call_ended', (d) => d.callId === callId, 10_000)).cursor > 0, 'and by the inbox');
    await until('a new call', async () => (await x.request('call_start', { userId: b.userId })).ok, 10_000);
    await Promise.all([x.close(), y.close()]);
});

/** A direct conversation of two new users with a socket each. */
async function pair() {
    const [a, b] = await Promise.all([newUser(stack), newUser(stack)]);
    const [x, y] = await Promise.all([Socket.open(stack, a.token), Socket.open(stack, b.token)]);
    const made = await http(stack, 'POST', '/v1/conversations', {
        token: a.token,
        body: { type: 'direct', memberIds: [b.userId] },
    });
    return { a, b, x, y, conversationId: made.body.id };
}

const waitingCreates = async () =>
    Number((await stack.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%call_create%'"))[0][0]);

/** Locks the conversation until release() is called. */
function lock(conversationId) {
    const mark = `lock ${conversationId}`;
    const done = stack
        .sql(`BEGIN; SELECT 1 FROM conversations WHERE id = '${conversationId}' FOR UPDATE; SELECT pg_sleep(60) /* ${mark} */`)
        .catch(() => {});
    const backends = `FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%${mark}%' AND wait_event = 'PgSleep'`;
    return {
        held: until('the lock is held', async () => Number((await stack.sql(`SELECT count(*) ${backends}`))[0][0]) === 1),
        async release() {
            await stack.sql(`SELECT pg_terminate_backend(pid) ${backends}`);
            await done;
        },
    };
}

test('a call that was made after its starter was told of a timeout does not stay open', async () => {
    const [first, second] = [await pair(), await pair()];
    const locks = [lock(first.conversationId), lock(second.conversationId)];
    await Promise.all(locks.map((l) => l.held));
    // The first holds up the lane until the server gives it up; the second's time runs out behind it, and then it is made.
    const held = first.x.request('call_start', { conversationId: first.conversationId }, 10_000);
    await until('the first waits', async () => (await waitingCreates()) === 1);
    const late = await second.x.request('call_start', { conversationId: second.conversationId }, 10_000);
    assert.equal(late.error.code, 'unavailable');
    await locks[1].release();
    assert.equal((await held).error.code, 'unavailable');
    const mine = `FROM calls WHERE conversation_id = '${second.conversationId}'`;
    await until('it was made', async () => (await stack.sql(`SELECT 1 ${mine}`)).length === 1);
    await until('and is over', async () => (await stack.sql(`SELECT 1 ${mine} AND status = 'ended' AND reason = 'failed'`)).length === 1);
    const again = await second.x.request('call_start', { conversationId: second.conversationId });
    assert.ok(again.ok, JSON.stringify(again));
    await second.y.event('incoming_call', (d) => d.callId === again.data.callId);
    await locks[0].release();
    await Promise.all([first.x, first.y, second.x, second.y].map((s) => s.close()));
});

test('an open call that nobody here knows of is over when somebody calls', async () => {
    const { a, x, y, conversationId } = await pair();
    await stack.sql(`SELECT call_create(uuid_v7(), '${a.userId}', '${a.deviceId}', '${conversationId}', NULL, 'audio', 'auto', 60000000, 64)`);
    await until('a new call', async () => (await x.request('call_start', { conversationId })).ok);
    await y.event('incoming_call');
    await Promise.all([x.close(), y.close()]);
});

for (const skew of ['1 hour', '-1 hour']) {
    test(`a database whose clock is off by ${skew} does not change how long it rings`, async () => {
        const { x, y, conversationId } = await pair();
        await stack.sql(`CREATE FUNCTION skew() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.ring_expires_at := NEW.ring_expires_at + interval '${skew}'; RETURN NEW; END $$;
            CREATE TRIGGER skew BEFORE INSERT ON call_participants FOR EACH ROW EXECUTE FUNCTION skew()`);
        try {
            const clock = stopwatch();
            const { callId } = (await x.request('call_start', { conversationId })).data;
            const ended = await y.event('call_ended', (d) => d.callId === callId, 10_000);
            assert.equal(ended.data.reason, 'missed');
            assert.ok(clock.ms() > 3500, `rang ${clock.ms()} ms`);
            clock.within(8000, 'it rang out');
        } finally {
            await stack.sql('DROP FUNCTION skew() CASCADE');
        }
        await Promise.all([x.close(), y.close()]);
    });
}

test('a server that starts knows the devices that connected before it had read its calls', async () => {
    const { a, b, x, conversationId } = await pair();
    const { callId } = (await x.request('call_start', { conversationId })).data;
    await stack.kill('signald');
    await stack.sql(`UPDATE call_participants SET ring_expires_at = now() + interval '1 minute' WHERE call_id = '${callId}' AND state = 'ringing'`);
    const held = stack.sql('BEGIN; LOCK TABLE calls; SELECT pg_sleep(60) /* no calls */').catch(() => {});
    const holder = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%no calls%' AND wait_event = 'PgSleep'";
    await until('the table is locked', async () => Number((await stack.sql(`SELECT count(*) ${holder}`))[0][0]) === 1);
    const up = stack.start('signald').catch(() => {}); // isn't ready before it has its calls
    const phone = await until('a socket', () => Socket.open(stack, b.token).catch(() => null));
    const caller = await Socket.open(stack, a.token);
    await stack.sql(`SELECT pg_terminate_backend(pid) ${holder}`);
    await held;
    const incoming = await phone.event('incoming_call', (d) => d.callId === callId, 8000);
    assert.equal(incoming.data.from.userId, a.userId);
    const accepted = await phone.request('accept_call', { callId });
    assert.equal(accepted.data.participants.find((p) => p.userId === a.userId).state, 'joined', 'not waited for');
    await caller.event('call_accepted', (d) => d.callId === callId);
    await up;
    await Promise.all([caller, phone].map((s) => s.close()));
});

test('who comes back after an outage is not thrown out by what was left to write', async () => {
    const people = await Promise.all([0, 1, 2].map(() => newUser(stack)));
    const [x, y, z] = await Promise.all(people.map((p) => Socket.open(stack, p.token)));
    const made = await http(stack, 'POST', '/v1/conversations', {
        token: people[0].token,
        body: { type: 'group', name: 'three', memberIds: people.slice(1).map((p) => p.userId) },
    });
    const started = await until('a call', async () => {
        const reply = await x.request('call_start', { conversationId: made.body.id });
        return reply.ok && reply;
    });
    const { callId } = started.data;
    for (const s of [y, z]) {
        await s.event('incoming_call', (d) => d.callId === callId);
        assert.ok((await s.request('accept_call', { callId })).ok);
    }
    await stack.stop('postgres');
    assert.ok((await y.request('hang_up', { callId })).ok);
    // Long enough that the writes are looked at seldom when the database is back.
    const refusals = await Promise.all([1, 2, 3].map(() => y.request('call_join', { callId }, 8000)));
    for (const reply of refusals) assert.equal(reply.error.code, 'unavailable');
    await stack.start('postgres');
    await until('y is back', async () => (await y.request('call_join', { callId }, 8000)).ok, 20_000, 10);
    const unwritten = async () => Number(/^sotto_call_writes_waiting (\d+)$/m.exec(await (await fetch(stack.metricsUrl)).text())[1]);
    await until('all is sent', async () => (await unwritten()) === 0);
    await x.request('call_invite', { callId, userIds: [people[0].userId] }); // changes nothing, and is answered behind it
    const row = await stack.sql(`SELECT state FROM call_participants WHERE call_id = '${callId}' AND user_id = '${people[1].userId}'`);
    assert.deepEqual(row, [['joined']]);
    await Promise.all([x, y, z].map((s) => s.close()));
});
