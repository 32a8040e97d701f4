// Accounts over the wire: registration, login, rotation, tickets, devices, profiles, and every wrong way to ask.
// SOTTO_URL names a running server; without it a stack of its own is started.
import assert from 'node:assert/strict';
import { createPublicKey, randomBytes, randomUUID, verify } from 'node:crypto';
import { after, before, test } from 'node:test';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const PASSWORD = 'correct horse battery';
let url = process.env.SOTTO_URL;
let stack = null;

before(async () => {
    if (url) return;
    const { startStack } = await import('../lib/stack.mjs');
    stack = await startStack({
        'auth.login_account_per_minute': '100000',
        'auth.lookup_per_minute': '100000',
        'auth.change_per_minute': '100000',
        'auth.max_devices': '20',
    });
    url = stack.url;
});
after(async () => stack?.down());

async function call(method, path, { token, body, headers = {} } = {}) {
    const response = await fetch(url + path, {
        method,
        headers: {
            ...(token ? { authorization: `Bearer ${token}` } : {}),
            ...(body !== undefined ? { 'content-type': 'application/json' } : {}),
            ...headers,
        },
        body: body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
}
const post = (path, body, options = {}) => call('POST', path, { ...options, body });
const get = (path, token) => call('GET', path, { token });
const name = (prefix = 'u') => prefix + randomBytes(6).toString('hex');
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
const device = { name: 'Test', platform: 'test' };

async function register(username = name()) {
    const made = await post('/v1/auth/register', { email: `${username}@example.org`, username, password: PASSWORD, displayName: `Name ${username}` });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    return { username, email: `${username}@example.org`, id: made.body.user.id };
}
async function login(user, extra = {}) {
    const answer = await post('/v1/auth/login', { username: user.username, password: PASSWORD, device, ...extra });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
}
async function member() {
    const user = await register();
    return { ...user, ...(await login(user)) };
}
function assertProblem(answer, status, code, fields) {
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
    assert.equal(answer.body.status, status);
    if (code) assert.equal(answer.body.code, code);
    assert.equal(answer.body.type, `urn:sotto:error:${answer.body.code}`);
    assert.ok(answer.body.requestId);
    if (fields) assert.deepEqual([...new Set((answer.body.errors ?? []).map((e) => e.field))].sort(), [...fields].sort());
}

test('register answers the own profile', async () => {
    const username = name();
    const made = await post('/v1/auth/register', { email: `${username}@Example.org`, username: username.toUpperCase(), password: PASSWORD });
    assert.equal(made.status, 201);
    assert.match(made.body.user.id, UUID);
    assert.equal(made.body.user.username, username);
    assert.equal(made.body.user.displayName, username);
    assert.equal(made.body.user.email, `${username}@Example.org`);
    assert.equal(made.body.user.role, 'user');
    assert.match(made.body.user.createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal(JSON.stringify(made.body).includes('$2b$'), false);
});

test('a taken username is named, a taken address is not', async () => {
    const user = await register();
    const other = name();
    const byName = await post('/v1/auth/register', { email: `${other}@example.org`, username: user.username, password: PASSWORD });
    assertProblem(byName, 409, 'account_exists', ['username']);
    const byMail = await post('/v1/auth/register', { email: user.email.toUpperCase(), username: other, password: PASSWORD });
    assertProblem(byMail, 409, 'account_exists', []);
    assert.equal(byMail.body.detail, byName.body.detail);
});

test('ten registrations of one username at once make one account', async () => {
    const username = name();
    const answers = await Promise.all(
        Array.from({ length: 10 }, (_, i) => post('/v1/auth/register', { email: `${username}${i}@example.org`, username, password: PASSWORD })),
    );
    assert.deepEqual(answers.map((a) => a.status).sort(), [201, ...Array(9).fill(409)]);
});

test('register refuses bad fields and names them', async () => {
    const good = () => ({ email: `${name()}@example.org`, username: name(), password: PASSWORD });
    const cases = [
        [{}, ['email', 'username', 'password']],
        [{ ...good(), email: 'nobody' }, ['email']],
        [{ ...good(), email: 'a@b\r\nBcc: x@y' }, ['email']],
        [{ ...good(), email: ['a@b.c'] }, ['email']],
        [{ ...good(), username: 'ab' }, ['username']],
        [{ ...good(), username: 'a'.repeat(33) }, ['username']],
        [{ ...good(), username: 'no spaces' }, ['username']],
        [{ ...good(), username: 'аlice' }, ['username']], // a Cyrillic letter
        [{ ...good(), password: 'short' }, ['password']],
        [{ ...good(), password: 'x'.repeat(73) }, ['password']],
        [{ ...good(), password: 12345678 }, ['password']],
        [{ ...good(), displayName: '\u202Eevil' }, ['displayName']],
        [{ ...good(), displayName: 'a\nb' }, ['displayName']],
        [{ ...good(), displayName: '   ' }, ['displayName']],
        [{ ...good(), displayName: 'x'.repeat(81) }, ['displayName']],
    ];
    for (const [body, fields] of cases) assertProblem(await post('/v1/auth/register', body), 400, 'invalid_request', fields);
});

test('malformed bodies get the error of their kind', async () => {
    for (const body of ['', '{', '[]', 'null', '"x"', '{"email":"a","email":"b"}', '{"a":1}x', new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])]) {
        const answer = await call('POST', '/v1/auth/login', { body, headers: { 'content-type': 'application/json' } });
        assertProblem(answer, 400);
    }
    const typed = await call('POST', '/v1/auth/login', { body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    assertProblem(typed, 415);
    const large = await call('POST', '/v1/auth/login', { body: JSON.stringify({ username: 'x'.repeat(70000) }), headers: { 'content-type': 'application/json' } });
    assertProblem(large, 413);
});

test('an Idempotency-Key makes one account of two requests', async () => {
    const username = name();
    const body = { email: `${username}@example.org`, username, password: PASSWORD };
    const headers = { 'idempotency-key': randomUUID() };
    const first = await post('/v1/auth/register', body, { headers });
    const again = await post('/v1/auth/register', body, { headers });
    assert.equal(first.status, 201);
    assert.equal(again.status, 201);
    assert.deepEqual(again.body, first.body);
    assertProblem(await post('/v1/auth/register', { ...body, username: name() }, { headers }), 422, 'idempotency_key_reused');
});

test('login by username or address in any case, and the shape of its answer', async () => {
    const user = await register();
    const session = await login(user);
    assert.equal(session.expiresIn > 0, true);
    assert.match(session.refreshToken, /^[A-Za-z0-9_-]{43}$/);
    assert.match(session.deviceId, UUID);
    assert.equal(session.user.id, user.id);
    const c = claims(session.accessToken);
    assert.equal(c.sub, user.id);
    assert.equal(c.did, session.deviceId);
    assert.equal(c.login, user.username);
    assert.equal(c.role, 'user');
    assert.equal(c.exp - c.iat, session.expiresIn);
    assert.match(c.sid, UUID);
    assert.match(c.jti, UUID);
    assert.equal('type' in c, false);
    const byMail = await post('/v1/auth/login', { email: user.email.toUpperCase(), password: PASSWORD, device });
    assert.equal(byMail.status, 200);
    const mailAsName = await post('/v1/auth/login', { username: user.email, password: PASSWORD, device });
    assert.equal(mailAsName.status, 200);
    assert.equal(mailAsName.headers.get('cache-control'), 'no-store');
});

test('every wrong pair gets the same 401', async () => {
    const user = await register();
    const tries = [
        { username: user.username, password: 'wrong password' },
        { username: user.username, password: PASSWORD + 'x' },
        { username: user.username, password: 'x'.repeat(500) },
        { username: name(), password: PASSWORD },
        { email: `${name()}@example.org`, password: PASSWORD },
        { username: "' OR 1=1 --", password: PASSWORD },
        { username: '%', password: PASSWORD },
    ];
    const details = new Set();
    for (const body of tries) {
        const answer = await post('/v1/auth/login', { ...body, device });
        assertProblem(answer, 401, 'invalid_credentials');
        details.add(`${answer.body.title}|${answer.body.detail}`);
    }
    assert.equal(details.size, 1);
});

test('login refuses bad fields', async () => {
    const cases = [
        [{}, ['username', 'password', 'device']],
        [{ username: 'a', email: 'b@c', password: 'x', device }, ['username']],
        [{ username: 1, password: 'x', device }, ['username']],
        [{ username: 'abc', password: 'x' }, ['device']],
        [{ username: 'abc', password: 'x', device: 'phone' }, ['device']],
        [{ username: 'abc', password: 'x', device: {} }, ['name']],
        [{ username: 'abc', password: 'x', device: { name: 'a\u0007', platform: 'test' } }, ['name']],
        [{ username: 'abc', password: 'x', device: { name: 'a', platform: 'Te st' } }, ['platform']],
        [{ username: 'abc', password: 'x', device: { name: 'a', id: 'x' } }, ['id']],
    ];
    for (const [body, fields] of cases) assertProblem(await post('/v1/auth/login', body), 400, 'invalid_request', fields);
});

test('tokens verify with the published keys, which hold nothing private', async () => {
    const user = await member();
    const set = await get('/.well-known/jwks.json');
    assert.equal(set.status, 200);
    for (const key of set.body.keys) assert.deepEqual(Object.keys(key).sort(), ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
    const [header, payload, signature] = user.accessToken.split('.');
    const { kid, alg } = JSON.parse(Buffer.from(header, 'base64url'));
    assert.equal(alg, 'ES256');
    const key = createPublicKey({ key: set.body.keys.find((k) => k.kid === kid), format: 'jwk' });
    const good = verify('sha256', Buffer.from(`${header}.${payload}`), { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
    assert.equal(good, true);
});

test('no token, a broken one, or another kind of one is 401', async () => {
    const user = await member();
    const ticket = (await post('/v1/ws-ticket', {}, { token: user.accessToken })).body.token;
    const [header, payload, signature] = user.accessToken.split('.');
    const admin = Buffer.from(JSON.stringify({ ...claims(user.accessToken), role: 'admin' })).toString('base64url');
    const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
    const bad = [undefined, 'x', ticket, user.refreshToken, `${header}.${admin}.${signature}`, `${none}.${payload}.`, `${none}.${payload}.${signature}`, `${header}.${payload}.`, 'a'.repeat(3000)];
    for (const token of bad) assertProblem(await get('/v1/users/me', token), 401, 'unauthorized');
    assert.equal((await get('/v1/users/me', user.accessToken)).status, 200);
});

test('refresh gives a new pair of the same session', async () => {
    const user = await member();
    const next = await post('/v1/auth/refresh', { refreshToken: user.refreshToken });
    assert.equal(next.status, 200);
    assert.notEqual(next.body.refreshToken, user.refreshToken);
    assert.equal(next.body.deviceId, user.deviceId);
    assert.equal(claims(next.body.accessToken).sid, claims(user.accessToken).sid);
    assert.equal((await get('/v1/users/me', next.body.accessToken)).status, 200);
    const third = await post('/v1/auth/refresh', { refreshToken: next.body.refreshToken });
    assert.equal(third.status, 200);
});

test('a spent refresh token revokes its family, and no other', async () => {
    const user = await member();
    const elsewhere = await login(user);
    const next = (await post('/v1/auth/refresh', { refreshToken: user.refreshToken })).body;
    assertProblem(await post('/v1/auth/refresh', { refreshToken: user.refreshToken }), 401, 'invalid_refresh_token');
    assertProblem(await post('/v1/auth/refresh', { refreshToken: next.refreshToken }), 401, 'invalid_refresh_token');
    assertProblem(await get('/v1/users/me', next.accessToken), 401, 'unauthorized');
    assertProblem(await get('/v1/users/me', user.accessToken), 401, 'unauthorized');
    assert.equal((await get('/v1/users/me', elsewhere.accessToken)).status, 200);
    assert.equal((await post('/v1/auth/refresh', { refreshToken: elsewhere.refreshToken })).status, 200);
});

test('ten refreshes of one token at once: exactly one succeeds, and the family is revoked', async () => {
    const user = await member();
    const answers = await Promise.all(Array.from({ length: 10 }, () => post('/v1/auth/refresh', { refreshToken: user.refreshToken })));
    assert.deepEqual(answers.map((a) => a.status).sort(), [200, ...Array(9).fill(401)]);
    const won = answers.find((a) => a.status === 200).body;
    assertProblem(await post('/v1/auth/refresh', { refreshToken: won.refreshToken }), 401);
});

test('refresh refuses what is no token of ours', async () => {
    for (const refreshToken of ['x', 'A'.repeat(43), 'é'.repeat(20)]) assertProblem(await post('/v1/auth/refresh', { refreshToken }), 401, 'invalid_refresh_token');
    for (const body of [{}, { refreshToken: 1 }, { refreshToken: '' }, { refreshToken: 'A'.repeat(257) }, { refreshToken: null }]) {
        assertProblem(await post('/v1/auth/refresh', body), 400, 'invalid_request', ['refreshToken']);
    }
});

test('logout ends this session at once, and only this', async () => {
    const user = await member();
    const other = await login(user);
    assert.equal((await call('POST', '/v1/auth/logout', { token: user.accessToken })).status, 204);
    assertProblem(await get('/v1/users/me', user.accessToken), 401);
    assertProblem(await call('POST', '/v1/auth/logout', { token: user.accessToken }), 401);
    assertProblem(await post('/v1/auth/refresh', { refreshToken: user.refreshToken }), 401);
    assert.equal((await get('/v1/users/me', other.accessToken)).status, 200);
    const devices = (await get('/v1/devices', other.accessToken)).body.items;
    assert.deepEqual(devices.map((d) => d.id), [other.deviceId]);
});

test('logout-all ends every session', async () => {
    const user = await member();
    const sessions = [user, await login(user), await login(user)];
    assert.equal((await call('POST', '/v1/auth/logout-all', { token: sessions[1].accessToken })).status, 204);
    for (const s of sessions) {
        assertProblem(await get('/v1/users/me', s.accessToken), 401);
        assertProblem(await post('/v1/auth/refresh', { refreshToken: s.refreshToken }), 401);
    }
    assert.equal((await get('/v1/users/me', (await login(user)).accessToken)).status, 200);
});

test('a device can be named again at login; its earlier session ends', async () => {
    const user = await member();
    const again = await login(user, { device: { ...device, name: 'Renamed', id: user.deviceId } });
    assert.equal(again.deviceId, user.deviceId);
    assertProblem(await get('/v1/users/me', user.accessToken), 401);
    const devices = (await get('/v1/devices', again.accessToken)).body.items;
    assert.deepEqual(devices.map((d) => [d.id, d.name, d.current]), [[user.deviceId, 'Renamed', true]]);
});

test("another user's device id makes a new device", async () => {
    const [alice, bob] = [await member(), await member()];
    const session = await login(bob, { device: { ...device, id: alice.deviceId } });
    assert.notEqual(session.deviceId, alice.deviceId);
    assert.equal((await get('/v1/users/me', alice.accessToken)).status, 200);
});

test('devices: list, revoke, and not those of others', async () => {
    const [alice, bob] = [await member(), await member()];
    const phone = await login(alice, { device: { name: 'Phone', platform: 'android' } });
    const list = await get('/v1/devices', alice.accessToken);
    assert.equal(list.status, 200);
    assert.equal(list.body.nextCursor, null);
    assert.deepEqual(new Set(list.body.items.map((d) => d.id)), new Set([alice.deviceId, phone.deviceId]));
    assert.equal(list.body.items.find((d) => d.current).id, alice.deviceId);
    const revoke = (id, token) => call('DELETE', `/v1/devices/${id}`, { token });
    assertProblem(await revoke(phone.deviceId, bob.accessToken), 404);
    assertProblem(await revoke('nonsense', alice.accessToken), 404);
    assertProblem(await revoke(randomUUID(), alice.accessToken), 404);
    assert.equal((await get('/v1/users/me', phone.accessToken)).status, 200);
    assert.equal((await revoke(phone.deviceId, alice.accessToken)).status, 204);
    assertProblem(await get('/v1/users/me', phone.accessToken), 401);
    assertProblem(await post('/v1/auth/refresh', { refreshToken: phone.refreshToken }), 401);
    assertProblem(await revoke(phone.deviceId, alice.accessToken), 404);
});

test('past the bound of devices the longest unused one is signed out', async () => {
    const user = await member();
    let last = user;
    for (let i = 0; i < 20; i++) last = await login(user);
    assertProblem(await get('/v1/users/me', user.accessToken), 401);
    const devices = (await get('/v1/devices', last.accessToken)).body.items;
    assert.equal(devices.length, 20);
    assert.equal(devices[0].id, last.deviceId);
    assert.equal(devices.some((d) => d.id === user.deviceId), false);
});

test('a storm on one account ends in order: no fault, no session left but the last', async () => {
    const user = await member();
    let sessions = [user, await login(user), await login(user)];
    for (let round = 0; round < 3; round++) {
        const [a, b, c] = sessions;
        const again = (d) => post('/v1/auth/login', { username: user.username, password: PASSWORD, device: { ...device, id: d.deviceId } });
        const answers = await Promise.all([
            ...sessions.flatMap((s) => [post('/v1/auth/refresh', { refreshToken: s.refreshToken }), again(s), again(s)]),
            call('DELETE', `/v1/devices/${b.deviceId}`, { token: a.accessToken }),
            call('DELETE', `/v1/devices/${a.deviceId}`, { token: b.accessToken }),
            call('POST', '/v1/auth/logout', { token: c.accessToken }),
            call('POST', '/v1/auth/logout-all', { token: a.accessToken }),
            call('POST', '/v1/auth/logout-all', { token: b.accessToken }),
        ]);
        for (const { status, body } of answers) assert.ok([200, 204, 401, 404].includes(status), `${status} ${JSON.stringify(body)}`);
        sessions = [await login(user), await login(user), await login(user)];
    }
    assert.equal((await call('POST', '/v1/auth/logout-all', { token: sessions[0].accessToken })).status, 204);
    const last = await login(user);
    assert.deepEqual((await get('/v1/devices', last.accessToken)).body.items.map((d) => d.id), [last.deviceId]);
});

test('tickets by GET and POST', async () => {
    const user = await member();
    for (const method of ['GET', 'POST']) {
        const answer = await call(method, '/v1/ws-ticket', { token: user.accessToken });
        assert.equal(answer.status, 200);
        assert.equal(answer.body.success, true);
        assert.equal(answer.body.expiresIn, 10);
        const c = claims(answer.body.token);
        assert.equal(c.type, 'ws-connect');
        assert.equal(c.exp - c.iat, 10);
        assert.equal(c.sub, user.id);
        assert.equal(c.sid, claims(user.accessToken).sid);
    }
    assertProblem(await call('POST', '/v1/ws-ticket'), 401, 'unauthorized');
});

test('profiles: mine in full, of others only what is public', async () => {
    const [alice, bob] = [await member(), await member()];
    const me = await get('/v1/users/me', alice.accessToken);
    assert.equal(me.body.email, alice.email);
    const seen = await get(`/v1/users/${alice.id}`, bob.accessToken);
    assert.equal(seen.status, 200);
    assert.deepEqual(Object.keys(seen.body).filter((k) => k !== 'lastSeenAt').sort(), ['displayName', 'id', 'username']);
    assertProblem(await get(`/v1/users/${randomUUID()}`, bob.accessToken), 404);
    assertProblem(await get('/v1/users/%27%3B', bob.accessToken), 404);
});

test('my profile changes by PATCH, field by field', async () => {
    const user = await member();
    const patch = (body) => call('PATCH', '/v1/users/me', { token: user.accessToken, body });
    const avatar = randomUUID();
    let answer = await patch({ displayName: 'Zoë 👩🏽', statusText: 'away', avatarMediaId: avatar, showLastSeen: false, role: 'admin', id: randomUUID() });
    assert.equal(answer.status, 200);
    assert.equal(answer.body.displayName, 'Zoë 👩🏽');
    assert.equal(answer.body.statusText, 'away');
    assert.equal(answer.body.avatarMediaId, avatar);
    assert.equal(answer.body.showLastSeen, false);
    assert.equal(answer.body.role, 'user');
    assert.equal(answer.body.id, user.id);
    answer = await patch({ statusText: null, avatarMediaId: null });
    assert.equal('statusText' in answer.body, false);
    assert.equal('avatarMediaId' in answer.body, false);
    assert.equal(answer.body.displayName, 'Zoë 👩🏽');
    answer = await patch({ statusText: 'back' });
    assert.equal((await patch({ statusText: '' })).body.statusText, undefined);
    const cases = [
        [{ displayName: '' }, ['displayName']],
        [{ displayName: null }, ['displayName']],
        [{ statusText: 'x'.repeat(141) }, ['statusText']],
        [{ statusText: 5 }, ['statusText']],
        [{ avatarMediaId: 'x' }, ['avatarMediaId']],
        [{ showLastSeen: 'no' }, ['showLastSeen']],
    ];
    for (const [body, fields] of cases) assertProblem(await patch(body), 400, 'invalid_request', fields);
});

test('people are found by exact username or by the beginning of a name', async () => {
    const user = await member();
    const stem = name('find');
    const [one, two] = [await register(`${stem}.one`), await register(`${stem}_two`)];
    const find = (query) => get(`/v1/users?${new URLSearchParams(query)}`, user.accessToken);
    assert.deepEqual((await find({ username: one.username.toUpperCase() })).body, { items: [{ id: one.id, username: one.username, displayName: `Name ${one.username}` }], nextCursor: null });
    assert.deepEqual((await find({ username: stem })).body.items, []);
    assert.deepEqual(new Set((await find({ query: stem })).body.items.map((u) => u.id)), new Set([one.id, two.id]));
    assert.deepEqual((await find({ query: `NAME ${stem}_` })).body.items.map((u) => u.id), [two.id]);
    assert.deepEqual((await find({ query: `${stem}%` })).body.items, []);
    assert.deepEqual((await find({ query: user.username })).body.items, []); // not oneself
    for (const query of [{}, { query: 'a' }, { query: 'x'.repeat(400) }, { username: 'a'.repeat(33) }, { username: 'abc', query: 'abc' }]) assertProblem(await find(query), 400, 'invalid_request');
    assertProblem(await get('/v1/users?query=%ff%fe%fd', user.accessToken), 400);
    assertProblem(await get('/v1/users?query=abc'), 401);
});

test('unknown methods and paths', async () => {
    assertProblem(await call('DELETE', '/v1/auth/login'), 405);
    assertProblem(await get('/v1/auth/nothing'), 404);
});
