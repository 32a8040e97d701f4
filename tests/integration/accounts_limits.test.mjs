// The limits of accounts, on a server where they are small. SOTTO_TEST_LIMITS_URL names a running one with the settings below.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Socket } from '../lib/client.mjs';

const SETTINGS = {
    'auth.register_per_hour': '5',
    'auth.login_per_minute': '6',
    'auth.login_account_per_minute': '3',
    'auth.refresh_per_minute': '3',
    'auth.ticket_per_minute': '3',
    'auth.lookup_per_minute': '4',
    'auth.change_per_minute': '3',
    'http.address_requests_per_minute': '200', // more than the tests before the last one ask
};
const PASSWORD = 'correct horse battery';
let url = process.env.SOTTO_TEST_LIMITS_URL;
let stack = null;

before(async () => {
    if (url) return;
    const { startStack } = await import('../lib/stack.mjs');
    stack = await startStack(SETTINGS);
    url = stack.url;
});
after(async () => stack?.down());

async function call(method, path, { token, body } = {}) {
    const response = await fetch(url + path, {
        method,
        headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(body ? { 'content-type': 'application/json' } : {}) },
        body: body && JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : null };
}
/** Repeats until 429, and says how many went through. */
async function untilLimited(request) {
    for (let n = 0; n < 50; n++) {
        const answer = await request(n);
        if (answer.status === 429) {
            assert.equal(answer.body.code, 'rate_limited');
            assert.ok(Number(answer.headers.get('retry-after')) >= 1);
            return n;
        }
    }
    return Infinity;
}
const name = () => `l${randomBytes(6).toString('hex')}`;
const login = (username, password) => call('POST', '/v1/auth/login', { body: { username, password, device: { name: 'Test', platform: 'test' } } });

let user;
test('registrations of an address', async () => {
    const names = [];
    const n = await untilLimited(() => {
        names.push(name());
        return call('POST', '/v1/auth/register', { body: { email: `${names.at(-1)}@example.org`, username: names.at(-1), password: PASSWORD } });
    });
    assert.equal(n, 5);
    assert.equal((await call('POST', '/v1/auth/register', { body: {} })).status, 400); // a slip isn't counted, nor held up
    user = { username: names[0] };
});

test('tries at one account, whatever its spelling; then logins of an address', async () => {
    const answer = await login(user.username, PASSWORD);
    assert.equal(answer.status, 200);
    Object.assign(user, answer.body);
    const more = await untilLimited((n) => login(n % 2 ? user.username.toUpperCase() : user.username, 'wrong password'));
    assert.equal(more, 2);
    const address = await untilLimited(() => login(name(), PASSWORD));
    assert.equal(address, 2); // six in all, one of them refused for the account
});

test('tickets, lookups and changes of a user', async () => {
    const token = user.accessToken;
    assert.equal(await untilLimited(() => call('POST', '/v1/ws-ticket', { token })), 3);
    assert.equal(await untilLimited(() => call('GET', '/v1/users?username=nobody', { token })), 4);
    assert.equal(await untilLimited(() => call('PATCH', '/v1/users/me', { token, body: { statusText: 'x' } })), 3);
});

test('refreshes of an address', async () => {
    let { refreshToken } = user;
    const n = await untilLimited(async () => {
        const answer = await call('POST', '/v1/auth/refresh', { body: { refreshToken } });
        refreshToken = answer.body.refreshToken ?? refreshToken;
        return answer;
    });
    assert.equal(n, 3);
});

test('upgrades of an address, whatever their tickets', async () => {
    const upgrade = () => new Socket(`${url.replace('http', 'ws')}/v1/ws`, ['sotto.v1']).closed;
    let answer = await upgrade();
    assert.equal(answer.status, 401);
    for (let n = 0; n < 250 && answer.status === 401; n++) answer = await upgrade();
    assert.equal(answer.status, 429);
    assert.equal(JSON.parse(answer.text).code, 'rate_limited');
});
