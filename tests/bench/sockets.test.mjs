// sotto-load-ws against a real signald and its database, twenty sockets in each mode; and what it says to bad commands.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WebSocketServer } from 'ws';
import * as floor from '../../bench/lib/call_floor.mjs';
import { LoadWs } from '../../bench/lib/load_ws.mjs';
import { cpuOf, until } from '../../bench/lib/proc.mjs';
import * as signald from '../../bench/lib/signald.mjs';

const root = new URL('../../', import.meta.url).pathname;
const N = 20;
const PASSWORD = 'correct horse battery';
let ctx;
let stack;
let users;

before(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-test-'));
    chmodSync(dir, 0o755);
    const undo = [];
    ctx = { dir, build: process.env.SOTTO_TEST_BUILD ?? join(root, 'build'), cpus: {}, defer: (fn) => undo.push(fn), undo };
    stack = await signald.start(ctx, { settings: { 'auth.dev_mode': 'yes', 'auth.bcrypt_cost': 4 } });
    users = await stack.seed(N);
});

after(async () => {
    for (const fn of ctx?.undo.reverse() ?? []) await fn();
    if (ctx) rmSync(ctx.dir, { recursive: true, force: true });
});

const rows = (list = users) => list.map((user) => [stack.ticket(user), stack.access(user), user.id]);
const open = (mode, accounts = rows(), more = {}) =>
    LoadWs.start(ctx, { mode, kind: 'sotto', url: stack.servers[0].wsUrl, http: stack.servers[0].url, accounts, ...more });
const sockets = async () => Number(/^sotto_\w*sockets\S*\s+(\d+)/m.exec(await (await fetch(stack.servers[0].metricsUrl)).text())?.[1]);

test('idle: sockets are open, and pings are answered', async () => {
    const load = await open('idle');
    const opened = await load.opened();
    assert.equal(opened.open, N);
    assert.equal(opened.failed, 0);
    assert.equal(await sockets(), N, 'the server counts as many');
    await load.mark();
    load.send({ op: 'ping', per_second: 200 });
    const stats = await until('pings', async () => {
        const it = await load.stats();
        return it.latency.ping.count > 50 && it;
    });
    assert.ok(stats.latency.ping.p50 > 0);
    assert.equal(stats.pings_lost, 0);
    const last = await load.stop();
    assert.equal(last.open, N);
    assert.ok(cpuOf(stack.pids()) > 0);
});

test('a ticket is good once: a second use is refused and counted', async () => {
    const accounts = rows(users.slice(0, 4));
    const first = await open('idle', accounts);
    assert.equal((await first.opened()).open, 4);
    const second = await open('idle', [...accounts.slice(0, 2), ['not-a-ticket', '', '']]);
    const opened = await second.opened();
    assert.equal(opened.open, 0);
    assert.equal(opened.failed, 3);
    await second.stop();
    await first.stop();
});

for (const sdk of [false, true]) {
    test(`storm${sdk ? ' with the SDK\'s jitter' : ''}: everyone is cut off and comes back by a new ticket`, async () => {
        const load = await open('storm');
        await load.opened();
        load.send({ op: 'storm', by: 'client', sdk });
        await load.next('back');
        const { storm, open: ready } = await load.stop();
        assert.equal(ready, N);
        assert.deepEqual([storm.lost, storm.back, storm.time.count], [N, N, N]);
        assert.ok(storm.tries >= N);
        assert.ok(storm.half_ms > 0 && storm.half_ms <= storm.most_ms && storm.most_ms <= storm.all_ms);
    });
}

test('storm: a server that is killed and starts anew gets everyone back', async () => {
    const load = await open('storm');
    await load.opened();
    load.send({ op: 'storm', by: 'server' });
    await load.next('storming');
    await stack.servers[0].process.kill();
    await stack.servers[0].start();
    await load.next('back');
    const { storm, open: ready } = await load.stop();
    assert.equal(ready, N);
    assert.equal(storm.back, N);
});

/** A server that lets everybody in; the tickets of `held` wait in `tickets` until the test gives them. */
async function fakeServer({ held }) {
    const fake = { synced: [], tickets: new Map() };
    const server = createServer((request, response) => {
        const user = request.headers.authorization.slice('Bearer '.length);
        const grant = () => response.setHeader('content-type', 'application/json').end(JSON.stringify({ token: user }));
        if (user === held) fake.tickets.set(user, grant);
        else grant();
    });
    const sockets = new WebSocketServer({ server, handleProtocols: () => 'sotto.v1' });
    sockets.on('connection', (socket, request) => {
        socket.on('error', () => {}); // resets are what a storm is
        fake.synced.push({ user: /ticket\.(\w+)/.exec(request.headers['sec-websocket-protocol'])[1], socket });
        socket.send(JSON.stringify({ type: 'synced', data: { cursor: 1 } }));
    });
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    fake.url = `127.0.0.1:${server.address().port}`;
    fake.close = () => { sockets.clients.forEach((it) => it.terminate()); server.close(); server.closeAllConnections?.(); };
    return fake;
}

test('storm: who comes back twice is not taken for two', async (t) => {
    const fake = await fakeServer({ held: 'ben' });
    t.after(() => fake.close());
    const load = await LoadWs.start(ctx, { mode: 'storm', kind: 'sotto', url: `ws://${fake.url}/`, http: `http://${fake.url}`, accounts: ['ann', 'ben'].map((it) => [it, it, it]) });
    const books = async () => {
        load.send({ op: 'stats' });
        return (await load.next('stats')).storm;
    };
    const annIsBack = (times) => until(`ann is back ${times} times`, async () => fake.synced.filter((it) => it.user === 'ann').length === times + 1 && (await books()).time.count === times);
    await load.opened();
    load.send({ op: 'storm', by: 'client' });
    await annIsBack(1);
    fake.synced.at(-1).socket.terminate();
    await annIsBack(2);
    const before = await books();
    assert.deepEqual([before.lost, before.back, before.lost_again, before.all_ms], [2, 1, 1, 0]);
    fake.tickets.get('ben')();
    await load.next('back');
    const { storm } = await load.stop();
    assert.deepEqual([storm.lost, storm.back, storm.lost_again, storm.time.count], [2, 2, 1, 3]);
});

test('churn: each call rings, is accepted, ends, and is in the database', async () => {
    await stack.db.sql('TRUNCATE calls CASCADE');
    const load = await open('churn');
    await load.opened();
    load.send({ op: 'calls', rate: 20, seconds: 1 });
    const { calls } = await load.next('called');
    assert.equal(calls.started, 20);
    assert.deepEqual([calls.rang, calls.accepted, calls.ended, calls.lost, calls.refused], [20, 20, 20, 0, 0]);
    assert.deepEqual([calls.ring.count, calls.accept.count, calls.whole.count], [20, 20, 20]);
    assert.ok(calls.whole.p50 >= calls.ring.p50);
    assert.deepEqual(await stack.db.sql('SELECT status, reason, count(*) FROM calls GROUP BY 1, 2'), [['ended', 'completed', '20']]);
    await load.stop();
});

test('churn: pairs take turns, so that nobody calls again before all the others have', async (t) => {
    const load = await open('churn');
    await load.opened();
    const [pairs, rate] = [N / 2, 15];
    let calls, order;
    // A call that lasts longer than until the next one's turn may be overtaken, here and in the database: a run without one is looked at.
    for (let tries = 0; tries < 5; tries++) {
        await stack.db.sql('TRUNCATE calls CASCADE');
        load.send({ op: 'calls', rate, seconds: 2 });
        ({ calls } = await load.next('called'));
        assert.ok(calls.ended >= 3 * pairs, 'two seconds at 15 a second are 30 calls, or 31');
        order = (await stack.db.sql('SELECT initiator_id FROM calls ORDER BY started_at, id')).map(([id]) => id);
        if (calls.whole.max < 1e6 / rate) break;
    }
    await load.stop();
    assert.equal(new Set(order).size, pairs, 'every pair has called');
    if (calls.whole.max >= 1e6 / rate) return t.diagnostic(`not looked at: a call took ${calls.whole.max} us each time`);
    for (let round = 0; round < 3; round++) {
        const called = order.slice(round * pairs, (round + 1) * pairs);
        assert.deepEqual([...called].sort(), [...order.slice(0, pairs)].sort(), `round ${round + 1}: each pair once`);
        assert.equal(new Set(called).size, pairs);
    }
});

test('login: answers are counted by their status, and connections are kept', async () => {
    const answer = await fetch(`${stack.servers[0].url}/v1/auth/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email: 'login@example.org', username: 'login', password: PASSWORD, displayName: 'login' }),
    });
    assert.equal(answer.status, 201);
    const load = await open('login', [['login', PASSWORD], ['login', 'wrong password']], { lanes: 2 });
    load.send({ op: 'logins', rate: 20, seconds: 1 });
    const { logins } = await load.next('logged');
    await load.stop();
    assert.equal(logins.asked, 20);
    assert.deepEqual(logins.statuses, { 200: 10, 401: 10 });
    assert.equal(logins.time.count, 10);
    assert.ok(logins.connections <= 2, `${logins.connections} connections`);
});

test('bad commands are told and change nothing', async () => {
    const load = await open('idle', rows(users.slice(0, 1)));
    await load.opened();
    load.process.child.stdin.write('garbage\n[]\n\n');
    load.send({ op: 'nothing' });
    assert.equal((await load.stats()).open, 1);
    assert.deepEqual(load.errors, ['a line that is no JSON object', 'a line that is no JSON object', 'unknown op']);
    await load.stop();
});

test('bad configurations end it with the reason', async () => {
    await assert.rejects(open('nothing'), /configuration: invalid/);
    await assert.rejects(open('idle', rows(users.slice(0, 1)), { count: 2 }), /configuration: truncated/);
    await assert.rejects(open('idle', rows(users.slice(0, 1)), { url: 'nowhere' }), /configuration: invalid/);
    await assert.rejects(open('idle', rows(users.slice(0, 1)), { count: 20000 }), /configuration: invalid/);
});

test('the floor of a call makes the same rows', async () => {
    const own = { ...ctx, cpus: { server: '0', generator: '0' } };
    const it = await floor.run(own, { pairs: 8, seconds: 1, rate: 20 });
    assert.ok(it.calls > 0);
    assert.equal(it.failed, 0);
    assert.ok(it.ended >= it.calls);
    assert.ok(it.database_cpu_s >= 0);
});
