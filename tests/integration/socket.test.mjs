// The socket's life: tickets, `connected`, missed events, `synced`, ack, replacement, revocation, bad frames, slow readers.
// SOTTO_URL (and SOTTO_TEST_CONNINFO) name a running server; without them a stack of its own is started.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import WebSocket from 'ws';
import { Socket, http, login, newUser, uniqueName } from '../lib/client.mjs';
import { startStack, until } from '../lib/stack.mjs';

const run = promisify(execFile);
let stack;

before(async () => {
    const url = process.env.SOTTO_URL;
    if (!url) {
        stack = await startStack();
        return;
    }
    const sql = (text) => run('psql', [process.env.SOTTO_TEST_CONNINFO, '-XtAF', '\t', '-c', text]);
    stack = { url, wsUrl: `${url.replace(/^http/, 'ws')}/v1/ws`, sql, down: () => {} };
});
after(() => stack.down());

const ticketOf = async (token) => (await http(stack, 'POST', '/v1/ws-ticket', { token })).body.token;
const ticketSocket = (ticket, query = '') => new Socket(`${stack.wsUrl}${query}`, ['sotto.v1', `ticket.${ticket}`]);
/** One durable event in the user's inbox, by making a group of his own. */
async function makeEvent(user, other) {
    const made = await http(stack, 'POST', '/v1/conversations', {
        token: user.token,
        body: { type: 'group', name: uniqueName('g'), memberIds: [other.userId] },
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return made.body.id;
}
const cursors = (socket) => socket.events.filter((e) => e.cursor !== undefined).map((e) => e.cursor);

test('connected says who I am, then synced', async () => {
    const user = await newUser(stack);
    const socket = ticketSocket(await ticketOf(user.token));
    const { data } = await socket.event('connected');
    assert.equal(data.userId, user.userId);
    assert.equal(data.deviceId, user.deviceId);
    assert.equal(data.login, user.username);
    assert.equal(data.heartbeatSeconds, 30);
    assert.match(data.sessionId, /^[0-9a-f-]{36}$/);
    assert.equal(typeof data.message, 'string');
    const synced = await socket.event('synced');
    assert.equal(synced.data.cursor, 0);
    await socket.close();
});

test('the ticket may come in the query', async () => {
    const user = await newUser(stack);
    const socket = new Socket(`${stack.wsUrl}?token=${await ticketOf(user.token)}`);
    await socket.event('connected');
    await socket.close();
});

test('three refusals: none, bad or expired, of another type', async () => {
    const user = await newUser(stack);
    const none = await new Socket(stack.wsUrl).closed;
    assert.equal(none.status, 401);
    assert.equal(JSON.parse(none.text).detail, 'Token required');
    for (const bad of ['x', 'a.b.c', `${(await ticketOf(user.token)).slice(0, -6)}AAAAAA`]) {
        const answer = await new Socket(`${stack.wsUrl}?token=${bad}`).closed;
        assert.equal(answer.status, 401);
        assert.equal(JSON.parse(answer.text).detail, 'Invalid or expired token');
    }
    const access = await new Socket(`${stack.wsUrl}?token=${user.token}`).closed;
    assert.equal(access.status, 401);
    assert.equal(JSON.parse(access.text).detail, 'Invalid token type');
});

test('a ticket opens one socket; the second is closed with 1008', async () => {
    const user = await newUser(stack);
    const ticket = await ticketOf(user.token);
    const first = ticketSocket(ticket);
    await first.event('connected');
    const second = await ticketSocket(ticket).closed;
    assert.equal(second.code, 1008);
    assert.equal(second.reason, 'Invalid or expired token');
    assert.equal((await first.request('ping')).ok, true);
    await first.close();
});

test('a ticket of a session that has ended opens nothing', async () => {
    const user = await newUser(stack);
    const ticket = await ticketOf(user.token);
    assert.ok((await http(stack, 'POST', '/v1/auth/logout', { token: user.token })).status < 300);
    const closed = await ticketSocket(ticket).closed;
    assert.ok(closed.status === 401 || closed.code === 1008, JSON.stringify(closed));
});

test('a foreign Origin is refused', async () => {
    const user = await newUser(stack);
    const ws = new WebSocket(stack.wsUrl, ['sotto.v1', `ticket.${await ticketOf(user.token)}`], { origin: 'https://evil.example' });
    const status = await new Promise((resolve) => {
        ws.on('unexpected-response', (_request, response) => resolve(response.statusCode));
        ws.on('open', () => resolve('open'));
        ws.on('error', () => resolve('error'));
    });
    assert.notEqual(status, 'open');
});

test('each frame gets one reply with its own id, text or number', async () => {
    const user = await newUser(stack);
    const socket = await Socket.open(stack, user.token);
    for (let i = 0; i < 20; i++) assert.deepEqual((await socket.request('ping')).data, {});
    socket.ws.send(JSON.stringify({ type: 'ping', id: 42 }));
    const reply = await socket.event('reply');
    assert.equal(reply.id, 42);
    assert.equal(reply.ok, true);
    assert.ok(!socket.has('reply'));
    await socket.close();
});

test('frames sent before connected are answered after it', async () => {
    const user = await newUser(stack);
    const ws = new WebSocket(stack.wsUrl, ['sotto.v1', `ticket.${await ticketOf(user.token)}`]);
    const seen = [];
    await new Promise((resolve, reject) => {
        ws.on('open', () => ['a', 'b', 'c'].forEach((id) => ws.send(JSON.stringify({ type: 'ping', id }))));
        ws.on('message', (data) => {
            const frame = JSON.parse(data);
            seen.push(frame.type === 'reply' ? frame.id : frame.type);
            if (seen.includes('c') && seen.includes('synced')) resolve();
        });
        ws.on('close', reject);
    });
    assert.deepEqual(seen.filter((s) => s !== 'synced'), ['connected', 'a', 'b', 'c']);
    ws.close();
});

test('an event reaches every device once, in order, with a cursor', async () => {
    const user = await newUser(stack);
    const other = await newUser(stack);
    const second = await login(stack, user.username, user.password, 'second');
    const sockets = [await Socket.open(stack, user.token), await Socket.open(stack, second.token)];
    await Promise.all(Array.from({ length: 20 }, () => makeEvent(user, other)));
    for (const socket of sockets) {
        await until('20 events', () => cursors(socket).length >= 20);
        assert.deepEqual(cursors(socket), Array.from({ length: 20 }, (_, i) => i + 1));
        await socket.close();
    }
});

test('no gap and no double while events are written during the connect', async () => {
    const user = await newUser(stack);
    const other = await newUser(stack);
    await stack.sql(`SELECT inbox_append('${user.userId}', NULL, 'conversation_updated', '{"n": 1}') FROM generate_series(1, 450)`);
    const writing = Promise.all(Array.from({ length: 10 }, () => makeEvent(user, other)));
    const socket = await Socket.open(stack, user.token, { since: 0 });
    await writing;
    await until('460 events', () => cursors(socket).length >= 460);
    assert.deepEqual(cursors(socket), Array.from({ length: 460 }, (_, i) => i + 1));
    const synced = await socket.event('synced');
    assert.ok(synced.data.cursor >= 450);
    await socket.close();
});

test('resume: what was acknowledged stays away, the rest comes again; since overrides', async () => {
    const user = await newUser(stack);
    const other = await newUser(stack);
    let socket = await Socket.open(stack, user.token);
    for (let i = 0; i < 5; i++) await makeEvent(user, other);
    await until('5 events', () => cursors(socket).length === 5);
    assert.equal((await socket.request('ack', { cursor: 3 })).ok, true);
    await socket.close();
    await until('the ack is written', async () => {
        const again = await Socket.open(stack, user.token);
        await again.event('synced');
        const got = cursors(again);
        await again.close();
        return got.length === 2 && got[0] === 4;
    });
    await makeEvent(user, other);
    socket = await Socket.open(stack, user.token, { since: 5 });
    assert.equal((await socket.event('synced')).data.cursor, 6);
    assert.deepEqual(cursors(socket), [6]);
    await socket.close();
    socket = await Socket.open(stack, user.token, { since: 999999 });
    assert.equal((await socket.event('synced')).data.cursor, 6);
    await makeEvent(user, other);
    await until('the next event', () => cursors(socket).includes(7));
    await socket.close();
});

test('events older than the retention are gone, and synced says so', async () => {
    const user = await newUser(stack);
    await stack.sql(`SELECT inbox_append('${user.userId}', NULL, 'conversation_updated', '{}') FROM generate_series(1, 5)`);
    await stack.sql(`UPDATE inbox SET created_at = now() - interval '40 days' WHERE user_id = '${user.userId}' AND cursor <= 3`);
    await stack.sql(`SELECT inbox_append('${user.userId}', NULL, 'conversation_updated', '{}', interval '-1 second')`);
    await stack.sql(`SELECT inbox_purge(interval '30 days', 5000)`);
    let socket = await Socket.open(stack, user.token, { since: 1 });
    assert.deepEqual((await socket.event('synced')).data, { cursor: 6, truncated: true });
    assert.deepEqual(cursors(socket), [4, 5]);
    await socket.close();
    socket = await Socket.open(stack, user.token, { since: 3 });
    assert.deepEqual((await socket.event('synced')).data, { cursor: 6 });
    await socket.close();
});

test('ack of nonsense is refused and does no harm', async () => {
    const user = await newUser(stack);
    const socket = await Socket.open(stack, user.token);
    for (const cursor of [-1, 1.5, 'x', null, {}, 1e300]) {
        const reply = await socket.request('ack', { cursor });
        assert.equal(reply.ok, false, JSON.stringify(cursor));
        assert.equal(reply.error.code, 'bad_request');
    }
    assert.equal((await socket.request('ack', { cursor: 9007199254740991 })).ok, true);
    await makeEvent(user, await newUser(stack));
    await until('an event after it', () => cursors(socket).length === 1);
    await socket.close();
});

test('GET /v1/sync gives the same events in pages', async () => {
    const user = await newUser(stack);
    const other = await newUser(stack);
    for (let i = 0; i < 5; i++) await makeEvent(user, other);
    const first = await http(stack, 'GET', '/v1/sync?since=0&limit=3', { token: user.token });
    assert.deepEqual(first.body.items.map((e) => e.cursor), [1, 2, 3]);
    assert.equal(first.body.nextCursor, 3);
    assert.equal(first.body.items[0].type, 'conversation_updated');
    assert.ok(first.body.items[0].data.conversation.id);
    const rest = await http(stack, 'GET', '/v1/sync?since=3', { token: user.token });
    assert.deepEqual(rest.body.items.map((e) => e.cursor), [4, 5]);
    assert.equal(rest.body.nextCursor, null);
    for (const query of ['since=-1', 'since=x', 'limit=0', 'limit=101', 'since=99999999999999999999']) {
        assert.equal((await http(stack, 'GET', `/v1/sync?${query}`, { token: user.token })).status, 400, query);
    }
    assert.equal((await http(stack, 'GET', '/v1/sync')).status, 401);
});

test('a second socket of a device replaces the first with 4009', async () => {
    const user = await newUser(stack);
    const other = await newUser(stack);
    const first = await Socket.open(stack, user.token);
    const second = await Socket.open(stack, user.token);
    assert.equal((await first.closed).code, 4009);
    await makeEvent(user, other);
    await until('the event on the new one', () => cursors(second).length === 1);
    await second.close();
});

test('logout closes the socket of that session with 4001 and says so; others stay', async () => {
    const user = await newUser(stack);
    const second = await login(stack, user.username, user.password, 'second');
    const a = await Socket.open(stack, user.token);
    const b = await Socket.open(stack, second.token);
    await http(stack, 'POST', '/v1/auth/logout', { token: user.token });
    assert.equal(typeof (await a.event('session_revoked')).data.reason, 'string');
    assert.equal((await a.closed).code, 4001);
    assert.equal((await b.request('ping')).ok, true);
    await http(stack, 'POST', '/v1/auth/logout-all', { token: second.token });
    assert.equal((await b.closed).code, 4001);
});

test('bad frames get bad_request with the id where it can be read; unknown types unknown_type', async () => {
    const user = await newUser(stack);
    const socket = await Socket.open(stack, user.token);
    const next = async (text) => {
        socket.ws.send(text);
        return socket.event('reply');
    };
    for (const text of ['', '{', '[]', '"x"', '{}', '{"type":1,"id":"q"}', '{"type":"ping","id":{}}', '{"type":"ping"}', '{"type":"ping","id":"a","data":[]}', '{"type":"ping","type":"ping","id":"a"}']) {
        const reply = await next(text);
        assert.equal(reply.ok, false, text);
        assert.equal(reply.error.code, 'bad_request', text);
    }
    const withId = await next('{"type":"ping","id":"mine","data":3}');
    assert.equal(withId.id, 'mine');
    const unknown = await socket.request('no_such_type');
    assert.equal(unknown.error.code, 'unknown_type');
    assert.equal((await socket.request('ping')).ok, true);
    await socket.close();
});

test('twenty protocol errors close with 4004', async () => {
    const user = await newUser(stack);
    const socket = await Socket.open(stack, user.token);
    for (let i = 0; i < 20; i++) socket.ws.send('not json');
    const closed = await socket.closed;
    assert.equal(closed.code, 4004);
    assert.equal(socket.events.filter((e) => e.type === 'reply').length, 20);
});

test('binary, oversized and broken UTF-8 frames end the socket, nothing else', async () => {
    const user = await newUser(stack);
    const other = await newUser(stack);
    const bystander = await Socket.open(stack, other.token);
    for (const [send, code] of [
        [(ws) => ws.send(Buffer.from([1, 2, 3])), 1003],
        [(ws) => ws.send(JSON.stringify({ type: 'ping', id: 'a', data: { x: 'y'.repeat(70000) } })), 1009],
        [(ws) => ws.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false }), 1007],
    ]) {
        const socket = await Socket.open(stack, user.token);
        send(socket.ws);
        assert.equal((await socket.closed).code, code);
    }
    assert.equal((await bystander.request('ping')).ok, true);
    await bystander.close();
});

test('a flood of frames is closed with 4003', async () => {
    const user = await newUser(stack);
    const socket = await Socket.open(stack, user.token);
    // Once more, should it have taken them so slowly that it was none.
    const flood = () => Array.from({ length: 400 }, (_, i) => socket.ws.readyState === 1 && socket.ws.send(JSON.stringify({ type: 'ping', id: `f${i}` })));
    const again = setInterval(flood, 2000);
    flood();
    const { code } = await socket.closed;
    clearInterval(again);
    assert.equal(code, 4003);
});

test('one slow reader gets resync_required and loses nothing; the other device goes on', async () => {
    const user = await newUser(stack);
    const other = await newUser(stack);
    const second = await login(stack, user.username, user.password, 'second');
    const slow = await Socket.open(stack, user.token);
    const fast = await Socket.open(stack, second.token);
    await slow.event('synced');
    await fast.event('synced');
    slow.ws.pause();
    const total = 300;
    for (let i = 0; i < total; i += 10) {
        await stack.sql(
            `SELECT inbox_append('${user.userId}', NULL, 'conversation_updated', jsonb_build_object('pad', repeat('x', 60000))) FROM generate_series(1, 10)`,
        );
        await makeEvent(user, other); // its answer announces them all
        await until('the fast one has them', () => cursors(fast).length === i + 10 + i / 10 + 1);
    }
    const last = total + total / 10;
    slow.ws.resume();
    const resync = await slow.event('resync_required');
    const pushed = cursors(slow);
    assert.deepEqual(pushed, Array.from({ length: resync.data.cursor }, (_, i) => i + 1));
    assert.ok(resync.data.cursor < last, 'the queue never filled');
    let since = resync.data.cursor;
    for (;;) {
        const page = (await http(stack, 'GET', `/v1/sync?since=${since}&limit=100`, { token: user.token })).body;
        for (const item of page.items) assert.equal(item.cursor, ++since);
        if (page.nextCursor === null) break;
    }
    assert.equal(since, last);
    assert.equal((await slow.request('ack', { cursor: since })).ok, true);
    await slow.event('synced');
    await makeEvent(user, other);
    await until('pushes go on', () => cursors(slow).includes(last + 1));
    assert.equal(cursors(slow).filter((c) => c > resync.data.cursor).length, 1);
    await slow.close();
    await fast.close();
});
