// Tickets at the socket, and what changes under a live session: suspension, a new password, expiry, key rotation.
// SOTTO_URL and SOTTO_TEST_CONNINFO name a running server and its database; without them a stack of its own is started.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';

const PASSWORD = 'correct horse battery';
let url = process.env.SOTTO_URL;
let stack = null;

before(async () => {
    if (url) return;
    const { startStack } = await import('../lib/stack.mjs');
    stack = await startStack({
        'auth.bcrypt_cost': '10', // slow enough to be measured
        'auth.login_account_per_minute': '100000',
        'auth.change_per_minute': '100000',
    });
    url = stack.url;
});
const sockets = new Set();
afterEach(() => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
});
after(async () => stack?.down());

async function sql(text) {
    if (stack) return stack.sql(text);
    const { stdout } = await promisify(execFile)('psql', [process.env.SOTTO_TEST_CONNINFO, '-XtAF', '\t', '-c', text]);
    return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
}
async function call(method, path, { token, body } = {}) {
    const response = await fetch(url + path, {
        method,
        headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(body ? { 'content-type': 'application/json' } : {}) },
        body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text ? JSON.parse(text) : null };
}
const login = (username) => call('POST', '/v1/auth/login', { body: { username, password: PASSWORD, device: { name: 'Test', platform: 'test' } } });
async function member() {
    const username = `s${randomBytes(6).toString('hex')}`;
    const made = await call('POST', '/v1/auth/register', { body: { email: `${username}@example.org`, username, password: PASSWORD } });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const answer = await login(username);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return { username, id: made.body.user.id, ...answer.body };
}
const ticketOf = async (user) => (await call('POST', '/v1/ws-ticket', { token: user.accessToken })).body.token;
const refresh = (refreshToken) => call('POST', '/v1/auth/refresh', { body: { refreshToken } });

/** Reads the frames a server sends: texts as they come, and the code of its close. */
class Frames {
    constructor(socket, head) {
        this.bytes = head;
        this.texts = [];
        this.closed = new Promise((resolve) => (this.onClose = resolve));
        this.first = new Promise((resolve) => (this.onText = resolve));
        socket.on('data', (chunk) => this.#take(chunk));
        socket.on('close', () => this.onClose(0));
        socket.on('error', () => {});
        sockets.add(socket);
        this.#take(Buffer.alloc(0));
    }
    #take(chunk) {
        this.bytes = Buffer.concat([this.bytes, chunk]);
        for (;;) {
            if (this.bytes.length < 2) return;
            let [length, at] = [this.bytes[1] & 127, 2];
            if (length === 126) {
                if (this.bytes.length < 4) return;
                [length, at] = [this.bytes.readUInt16BE(2), 4];
            }
            if (this.bytes.length < at + length) return;
            const payload = this.bytes.subarray(at, at + length);
            if ((this.bytes[0] & 15) === 8) this.onClose(payload.readUInt16BE(0));
            if ((this.bytes[0] & 15) === 1) {
                this.texts.push(JSON.parse(payload.toString()));
                this.onText(this.texts[0]);
            }
            this.bytes = this.bytes.subarray(at + length);
        }
    }
}

/** An upgrade by hand: {status, body} when refused, {frames} when not. */
function upgrade(path, headers = {}) {
    return new Promise((resolve, reject) => {
        const { hostname, port } = new URL(url);
        const req = request({
            hostname,
            port,
            path,
            headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': randomBytes(16).toString('base64'), ...headers },
        });
        req.on('upgrade', (_response, socket, head) => resolve({ frames: new Frames(socket, head) }));
        req.on('response', (response) => {
            let text = '';
            response.on('data', (chunk) => (text += chunk));
            response.on('end', () => resolve({ status: response.statusCode, text }));
        });
        req.on('error', reject);
        req.end();
    });
}

test('the three refusals at the socket', async () => {
    const user = await member();
    const ticket = await ticketOf(user);
    const [header, payload] = ticket.split('.');
    const cases = [
        ['/v1/ws', 'Token required'],
        ['/v1/ws?token=', 'Token required'],
        ['/v1/ws?token=nonsense', 'Invalid or expired token'],
        [`/v1/ws?token=${header}.${payload}.${'A'.repeat(86)}`, 'Invalid or expired token'],
        [`/v1/ws?token=${user.accessToken}`, 'Invalid token type'],
    ];
    for (const [path, why] of cases) {
        const answer = await upgrade(path);
        assert.equal(answer.status, 401, path);
        assert.ok(answer.text.includes(why), `${path}: ${answer.text}`);
    }
});

test('a ticket opens one socket, once, by query or by subprotocol', async () => {
    const user = await member();
    for (const subprotocol of [false, true]) {
        const ticket = await ticketOf(user);
        const [path, headers] = subprotocol ? ['/v1/ws', { 'sec-websocket-protocol': `sotto.v1, ticket.${ticket}` }] : [`/v1/ws?token=${ticket}`, {}];
        const first = await upgrade(path, headers);
        assert.equal((await first.frames.first).type, 'connected');
        const second = await upgrade(path, headers);
        if (second.frames) {
            assert.ok([1008, 4001].includes(await second.frames.closed));
            assert.deepEqual(second.frames.texts.filter((t) => t.type === 'connected'), []);
        } else {
            assert.equal(second.status, 401);
        }
    }
});

test('of ten sockets with one ticket exactly one is let in', async () => {
    const ticket = await ticketOf(await member());
    const answers = await Promise.all(Array.from({ length: 10 }, () => upgrade(`/v1/ws?token=${ticket}`)));
    const outcomes = await Promise.all(
        answers.map(({ frames }) => (frames ? Promise.race([frames.first.then((t) => t.type), frames.closed.then(() => 'refused')]) : 'refused')),
    );
    assert.deepEqual(outcomes.sort(), ['connected', ...Array(9).fill('refused')]);
});

test('a ticket of a session that ended in between opens nothing', async () => {
    const user = await member();
    const ticket = await ticketOf(user);
    assert.equal((await call('POST', '/v1/auth/logout', { token: user.accessToken })).status, 204);
    const answer = await upgrade(`/v1/ws?token=${ticket}`);
    assert.equal(answer.status, 401);
    assert.ok(answer.text.includes('Invalid or expired token'));
});

test('a ticket of a session that another node ended opens nothing', async () => {
    const user = await member();
    const ticket = await ticketOf(user);
    await sql(`SELECT account_logout_all('${user.id}')`);
    const { frames } = await upgrade(`/v1/ws?token=${ticket}`);
    assert.ok([1008, 4001].includes(await frames.closed));
    assert.deepEqual(frames.texts.filter((t) => t.type === 'connected'), []);
});

test('refresh tokens are kept as hashes, passwords as bcrypt', async () => {
    const user = await member();
    const hash = createHash('sha256').update(user.refreshToken).digest('hex');
    assert.deepEqual(await sql(`SELECT count(*) FROM refresh_tokens WHERE hash = '\\x${hash}'`), [['1']]);
    const [[password]] = await sql(`SELECT password_hash FROM users WHERE id = '${user.id}'`);
    assert.match(password, /^\$2b\$\d\d\$.{53}$/);
});

test('a refresh token past its time is refused, and the sweep ends its session', async () => {
    const user = await member();
    await sql(`UPDATE refresh_tokens t SET expires_at = now() - interval '1 second' FROM sessions s WHERE s.id = t.session_id AND s.user_id = '${user.id}'`);
    assert.equal((await refresh(user.refreshToken)).status, 401);
    await sql('SELECT account_sweep()');
    assert.deepEqual(await sql(`SELECT revoked_reason FROM sessions WHERE user_id = '${user.id}'`), [['expired']]);
    assert.deepEqual(await sql(`SELECT count(*) FROM devices WHERE user_id = '${user.id}' AND revoked_at IS NULL`), [['0']]);
});

test('a suspended account is out everywhere, unseen, and comes back', async () => {
    const [user, other] = [await member(), await member()];
    await sql(`SELECT account_suspend('${user.id}', true)`);
    assert.equal((await login(user.username)).status, 401);
    assert.equal((await refresh(user.refreshToken)).status, 401);
    assert.equal((await call('GET', `/v1/users/${user.id}`, { token: other.accessToken })).status, 404);
    assert.deepEqual((await call('GET', `/v1/users?username=${user.username}`, { token: other.accessToken })).body.items, []);
    await sql(`SELECT account_suspend('${user.id}', false)`);
    assert.equal((await login(user.username)).status, 200);
});

test('last seen shows only while its owner lets it', async () => {
    const [user, other] = [await member(), await member()];
    const seen = async () => (await call('GET', `/v1/users/${user.id}`, { token: other.accessToken })).body.lastSeenAt;
    await sql(`UPDATE users SET last_seen_at = '2026-01-02T03:04:05.678Z' WHERE id = '${user.id}'`);
    assert.equal(await seen(), '2026-01-02T03:04:05.678Z');
    await call('PATCH', '/v1/users/me', { token: user.accessToken, body: { showLastSeen: false } });
    assert.equal(await seen(), undefined);
});

test('an unknown account takes as long to refuse as a known one', async (t) => {
    const user = await member();
    const [[cost]] = await sql(`SELECT substr(password_hash, 5, 2) FROM users WHERE id = '${user.id}'`);
    if (Number(cost) < 10) return t.skip('the server hashes too fast to tell');
    const refuse = async (username) => {
        const start = performance.now();
        const answer = await call('POST', '/v1/auth/login', { body: { username, password: 'wrong password', device: { name: 'Test' } } });
        assert.equal(answer.status, 401);
        return performance.now() - start;
    };
    // In turns, and the fastest of each, so that what else the machine does hits both alike.
    let [known, unknown] = [Infinity, Infinity];
    for (let i = 0; i < 10; i++) {
        known = Math.min(known, await refuse(user.username));
        unknown = Math.min(unknown, await refuse(`x${user.username}`));
    }
    assert.ok(unknown > known * 0.5 && known > unknown * 0.5, `known ${known} ms, unknown ${unknown} ms`);
});

test('a token of a session that was ended is refused after a restart too', async (t) => {
    if (!stack) return t.skip('not our server to restart');
    const [user, other] = [await member(), await member()];
    assert.equal((await call('POST', '/v1/auth/logout', { token: user.accessToken })).status, 204);
    assert.equal((await call('GET', '/v1/users/me', { token: user.accessToken })).status, 401);
    await stack.kill('signald');
    await stack.start('signald');
    assert.equal((await call('GET', '/v1/users/me', { token: user.accessToken })).status, 401);
    assert.equal((await call('GET', '/v1/users/me', { token: other.accessToken })).status, 200);
});

test('a server that stops in the middle of a login leaves nothing behind', async (t) => {
    if (!stack) return t.skip('not our server to stop');
    const user = await member();
    const held = stack.sql('BEGIN; LOCK TABLE users; SELECT pg_sleep(60) /* no users */').catch(() => {});
    const holder = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%/* no users */%' AND wait_event = 'PgSleep'";
    const count = async (from) => Number((await stack.sql(`SELECT count(*) ${from}`))[0][0]);
    const { until } = await import('../lib/stack.mjs');
    await until('the table is locked', async () => (await count(holder)) === 1);
    const answer = login(user.username).catch(() => null);
    await until('the login waits', async () => (await count("FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%account_find_login%'")) === 1);
    await stack.stop('signald'); // under a sanitizer, down() sees what was left
    await stack.sql(`SELECT pg_terminate_backend(pid) ${holder}`);
    await Promise.all([held, answer]);
    await stack.start('signald');
});
