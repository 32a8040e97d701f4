// Conversations: one direct one per pair whoever asks, groups, lists, and nothing about those one isn't in.
// SOTTO_URL names a running server; without it a stack of its own is started.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { startStack } from '../lib/stack.mjs';

let stack;
before(async () => {
    const url = process.env.SOTTO_URL;
    stack = url ? { url, wsUrl: `${url.replace(/^http/, 'ws')}/v1/ws`, down: () => {} } : await startStack();
});
after(() => stack.down());

const post = (user, body, headers) => http(stack, 'POST', '/v1/conversations', { token: user.token, body, headers });
const direct = (user, other) => post(user, { type: 'direct', memberIds: [other.userId] });

test('a direct conversation: 201 with its shape, then 200 with the same id from either side', async () => {
    const [a, b] = [await newUser(stack), await newUser(stack)];
    const made = await direct(a, b);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    assert.equal(made.body.type, 'direct');
    assert.equal(made.body.encryption, 'e2ee');
    assert.equal(made.body.lastSeq, 0);
    assert.equal(made.body.unread, 0);
    assert.deepEqual(made.body.members.map((m) => m.userId).sort(), [a.userId, b.userId].sort());
    for (const m of made.body.members) assert.deepEqual([m.role, typeof m.username, typeof m.displayName], ['member', 'string', 'string']);
    for (const again of [await direct(a, b), await direct(b, a)]) {
        assert.equal(again.status, 200);
        assert.equal(again.body.id, made.body.id);
    }
});

test('both sides asking at once make one', async () => {
    const [a, b] = [await newUser(stack), await newUser(stack)];
    const answers = await Promise.all(Array.from({ length: 16 }, (_, i) => (i % 2 ? direct(a, b) : direct(b, a))));
    assert.equal(new Set(answers.map((x) => x.body.id)).size, 1);
    assert.deepEqual(answers.map((x) => x.status).sort(), [...Array(15).fill(200), 201]);
});

test('a group: owner and members, name, told to every device', async () => {
    const [a, b, c] = [await newUser(stack), await newUser(stack), await newUser(stack)];
    const socket = await Socket.open(stack, b.token);
    const made = await post(a, { type: 'group', name: 'Die Übung ✓', memberIds: [b.userId, c.userId, b.userId] });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    assert.equal(made.body.name, 'Die Übung ✓');
    assert.deepEqual(Object.fromEntries(made.body.members.map((m) => [m.userId, m.role])), { [a.userId]: 'owner', [b.userId]: 'member', [c.userId]: 'member' });
    const told = await socket.event('conversation_updated');
    assert.equal(told.data.conversation.id, made.body.id);
    assert.equal(typeof told.cursor, 'number');
    await socket.close();
});

test('the list is mine, newest first, in pages', async () => {
    const [a, b, stranger] = [await newUser(stack), await newUser(stack), await newUser(stack)];
    const ids = [];
    for (let i = 0; i < 5; i++) ids.unshift((await post(a, { type: 'group', name: `g${i}`, memberIds: [b.userId] })).body.id);
    const seen = [];
    let cursor = '';
    do {
        const page = await http(stack, 'GET', `/v1/conversations?limit=2${cursor}`, { token: a.token });
        assert.equal(page.status, 200);
        seen.push(...page.body.items.map((c) => c.id));
        cursor = page.body.nextCursor ? `&cursor=${encodeURIComponent(page.body.nextCursor)}` : null;
    } while (cursor);
    assert.deepEqual(seen, ids);
    assert.deepEqual((await http(stack, 'GET', '/v1/conversations', { token: stranger.token })).body, { items: [], nextCursor: null });
});

test('one I am not in is no different from one that does not exist', async () => {
    const [a, b, stranger] = [await newUser(stack), await newUser(stack), await newUser(stack)];
    const { id } = (await direct(a, b)).body;
    assert.equal((await http(stack, 'GET', `/v1/conversations/${id}`, { token: b.token })).body.id, id);
    const strip = ({ body, status }) => ({ status, ...body, requestId: undefined });
    const foreign = strip(await http(stack, 'GET', `/v1/conversations/${id}`, { token: stranger.token }));
    const absent = strip(await http(stack, 'GET', `/v1/conversations/${randomUUID()}`, { token: stranger.token }));
    assert.equal(foreign.status, 404);
    assert.deepEqual(foreign, absent);
    assert.equal((await http(stack, 'GET', '/v1/conversations/nonsense', { token: a.token })).status, 404);
    assert.equal((await http(stack, 'GET', `/v1/conversations/${id}`)).status, 401);
});

test('bad input names its field; unknown users are 404', async () => {
    const [a, b] = [await newUser(stack), await newUser(stack)];
    const ids = [b.userId];
    for (const [body, field] of [
        [{}, 'type'],
        [{ type: 'direct' }, 'memberIds'],
        [{ type: 'direct', memberIds: [] }, 'memberIds'],
        [{ type: 'direct', memberIds: 'x' }, 'memberIds'],
        [{ type: 'direct', memberIds: ['x'] }, 'memberIds'],
        [{ type: 'direct', memberIds: [a.userId] }, 'memberIds'],
        [{ type: 'direct', memberIds: [b.userId, randomUUID()] }, 'memberIds'],
        [{ type: 'direct', memberIds: ids, name: 'x' }, 'name'],
        [{ type: 'room', memberIds: ids }, 'type'],
        [{ type: 'group', memberIds: ids, name: '' }, 'name'],
        [{ type: 'group', memberIds: ids, name: 'x'.repeat(81) }, 'name'],
        [{ type: 'group', memberIds: ids, name: 3 }, 'name'],
        [{ type: 'group', memberIds: ids, encryption: 'none' }, 'encryption'],
        [{ type: 'group', memberIds: Array.from({ length: 64 }, () => randomUUID()) }, 'memberIds'],
    ]) {
        const answer = await post(a, body);
        assert.equal(answer.status, 400, JSON.stringify(body));
        assert.equal(answer.body.code, 'invalid_request');
        assert.ok(answer.body.errors.some((e) => e.field === field), JSON.stringify([body, answer.body.errors]));
    }
    assert.equal((await post(a, { type: 'group', memberIds: ids, name: 'ü'.repeat(80) })).status, 201);
    for (const type of ['direct', 'group']) {
        const answer = await post(a, { type, memberIds: [randomUUID()] });
        assert.equal(answer.status, 404);
        assert.equal(answer.body.code, 'user_not_found');
    }
    for (const query of ['limit=0', 'limit=101', 'limit=x', 'cursor=x', 'cursor=1_2']) {
        assert.equal((await http(stack, 'GET', `/v1/conversations?${query}`, { token: a.token })).status, 400, query);
    }
});

test('a repeated Idempotency-Key makes one group', async () => {
    const [a, b] = [await newUser(stack), await newUser(stack)];
    const headers = { 'idempotency-key': randomUUID() };
    const body = { type: 'group', name: 'once', memberIds: [b.userId] };
    const first = await post(a, body, headers);
    const second = await post(a, body, headers);
    assert.equal(second.status, 201);
    assert.equal(second.body.id, first.body.id);
    assert.equal((await post(a, { ...body, name: 'other' }, headers)).status, 422);
    assert.equal((await http(stack, 'GET', '/v1/conversations', { token: a.token })).body.items.length, 1);
});
