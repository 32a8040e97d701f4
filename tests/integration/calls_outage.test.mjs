// PostgreSQL goes away in a call: the call goes on, is ended all the same, and its record is right when it is back.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { startStack, until } from '../lib/stack.mjs';

let stack;
before(async () => {
    stack = await startStack({ 'calls.grace': '20s', 'postgres.query_timeout': '1s' });
});
after(() => stack.down());

test('a call outlives the database and its end is written later', async () => {
    const [a, b] = await Promise.all([newUser(stack), newUser(stack)]);
    const [x, y] = await Promise.all([Socket.open(stack, a.token), Socket.open(stack, b.token)]);
    const started = await x.request('call_start', { userId: b.userId });
    const { callId } = started.data;
    await y.event('incoming_call');
    assert.ok((await y.request('accept_call', { callId })).ok);
    await stack.stop('postgres');

    assert.ok((await x.request('ice_candidate', { callId, candidate: null })).ok);
    assert.equal((await y.event('ice_candidate')).data.callId, callId);
    assert.ok((await x.request('call_stats', { callId, path: 'p2p', rttMs: 10 })).ok);
    const t0 = Date.now();
    assert.ok((await x.request('hang_up', { callId })).ok);
    const told = await y.event('call_ended', (d) => d.callId === callId);
    assert.ok(Date.now() - t0 < 1500, `told after ${Date.now() - t0} ms`);
    assert.equal(told.data.reason, 'completed');
    assert.equal(told.cursor, undefined, 'told directly, as the inbox is away');
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
    assert.deepEqual(row.participants.map((p) => p.state), ['left', 'left']);
    assert.ok((await y.event('call_ended', (d) => d.callId === callId, 10_000)).cursor > 0, 'and by the inbox');
    await until('a new call', async () => (await x.request('call_start', { userId: b.userId })).ok, 10_000);
    await Promise.all([x.close(), y.close()]);
});
