// Real coturn, our configuration: credentials that expire and name nobody; UDP, TCP and TLS; refused without them.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { http, newUser } from '../lib/client.mjs';
import { startStack } from '../lib/stack.mjs';
import { allocateByTls } from '../lib/turn.mjs';

const run = promisify(execFile);
let stack, user, ice, echo;

before(async () => {
    stack = await startStack();
    user = await newUser(stack);
    ice = (await http(stack, 'GET', '/v1/ice-servers', { token: user.token })).body;
    // coturn's own echo server, the peer behind the relay
    echo = spawn('turnutils_peer', ['-L', address('turn:', 'udp').host, '-p', String(stack.base + 8)], { stdio: 'ignore' });
});
after(async () => {
    echo.kill();
    await stack.down();
});

const turnServer = () => ice.iceServers.find((s) => s.username);
const address = (prefix, transport) => {
    const url = turnServer().urls.find((u) => u.startsWith(prefix) && u.includes(`transport=${transport}`));
    const [, host, port] = /^turns?:([^:?]+):(\d+)/.exec(url);
    return { host, port };
};

/**
 * Ten messages through a relay to the echo server and back, by coturn's own client; resolves with what it printed.
 * `-c`: no second (RTCP) connection, which over TLS hangs in the client itself.
 */
async function relay({ host, port }, flags, { username, credential } = turnServer()) {
    const args = [...flags, '-c', '-e', host, '-r', String(stack.base + 8), '-n', '10', '-m', '1', '-u', username, '-w', credential, '-p', port, host];
    try {
        const { stdout, stderr } = await run('turnutils_uclient', args, { timeout: 120_000 });
        return stdout + stderr;
    } catch (error) {
        return `${error.stdout ?? ''}${error.stderr ?? ''}\nfailed: ${error.message}`;
    }
}
const lostNothing = /tot_send_msgs=10, tot_recv_msgs=10|Total lost packets 0 \(0\.0+%\)/;

test('the list has STUN and TURN over UDP, TCP and TLS, and an end', () => {
    const urls = ice.iceServers.flatMap((s) => s.urls);
    assert.ok(urls.some((u) => u.startsWith('stun:')));
    assert.ok(urls.some((u) => /^turn:.*transport=udp$/.test(u)));
    assert.ok(urls.some((u) => /^turn:.*transport=tcp$/.test(u)));
    assert.ok(urls.some((u) => /^turns:/.test(u)));
    assert.ok(Date.parse(ice.expiresAt) > Date.now());
});

test('the name is an expiry and a pseudonym, never an id', () => {
    const { username } = turnServer();
    const [expiry, pseudonym] = username.split(':');
    assert.ok(Math.abs(Number(expiry) * 1000 - Date.parse(ice.expiresAt)) < 2000);
    assert.ok(pseudonym.length >= 8);
    assert.ok(!username.includes(user.userId) && !username.includes(user.deviceId) && !username.includes(user.username));
});

test('coturn relays over UDP and TCP with the credentials', async () => {
    for (const [flags, server] of [
        [[], address('turn:', 'udp')],
        [['-t'], address('turn:', 'tcp')],
    ]) {
        const said = await relay(server, flags);
        assert.match(said, lostNothing, `${flags}: ${said.slice(-600)}`);
    }
});

test('coturn allocates over TLS with the credentials, and not with others', async () => {
    const { username, credential } = turnServer();
    const granted = await allocateByTls(address('turns:', 'tcp'), username, credential);
    assert.equal(granted.ok, true, JSON.stringify(granted));
    assert.match(granted.protocol, /^TLSv1\.[23]$/);
    const refused = await allocateByTls(address('turns:', 'tcp'), username, `${credential.slice(0, -4)}AAA=`);
    assert.deepEqual([refused.ok, refused.code], [false, 401]);
});

test('a wrong credential and one that has run out are refused', async () => {
    const { username, credential } = turnServer();
    const wrong = await relay(address('turn:', 'udp'), [], { username, credential: `${credential.slice(0, -4)}AAA=` });
    assert.doesNotMatch(wrong, lostNothing);
    const old = `${Math.floor(Date.now() / 1000) - 10}:${username.split(':')[1]}`;
    const expired = await relay(address('turn:', 'udp'), [], { username: old, credential });
    assert.doesNotMatch(expired, lostNothing);
});

test('outside dev, private and loopback peers are denied by the configuration', async () => {
    const { stdout } = await run(`${stack.dir}/bin/sottoctl`, ['--config', `${stack.dir}/sotto.ini`, 'turn', 'config'], {
        env: { ...process.env, SOTTO_TURN_ALLOW_PRIVATE_PEERS: 'no' },
    });
    for (const range of ['127.0.0.0-127.255.255.255', '10.0.0.0-10.255.255.255', '192.168.0.0-192.168.255.255']) {
        assert.ok(stdout.includes(`denied-peer-ip=${range}`), range);
    }
    assert.ok(stdout.includes('use-auth-secret'));
    assert.ok(/^user-quota=\d+/m.test(stdout) && /^total-quota=\d+/m.test(stdout));
});
