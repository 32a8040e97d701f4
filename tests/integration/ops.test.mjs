// What an operator sees: readiness by part, metrics, configuration faults by line, start and stop twice.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Socket, http, newUser } from '../lib/client.mjs';
import { startStack, until } from '../lib/stack.mjs';

const run = promisify(execFile);
let stack;
before(async () => {
    stack = await startStack();
});
after(() => stack.down());

/** signald with a configuration of its own: what it says when it doesn't start. */
async function startWith(ini, env = {}) {
    const file = `${stack.dir}/faulty.ini`;
    writeFileSync(file, ini);
    try {
        const { stdout, stderr } = await run(`${stack.dir}/bin/signald`, ['--config', file], { timeout: 60_000, env: { ...process.env, ...env } });
        return { code: 0, text: stdout + stderr };
    } catch (error) {
        return { code: error.code, text: error.stdout + error.stderr };
    }
}

test('readyz names every part, and says 503 while the database is away', async () => {
    const ready = await http(stack, 'GET', '/readyz');
    assert.equal(ready.status, 200);
    assert.equal(ready.body.ready, true);
    for (const part of ['database', 'bus', 'sfu', 'turn']) assert.equal(ready.body.parts[part], true, part);
    await stack.stop('postgres');
    const away = await until('readyz notices', async () => {
        const answer = await http(stack, 'GET', '/readyz');
        return answer.status === 503 && answer;
    });
    assert.equal(away.body.parts.database, false);
    assert.equal(away.body.parts.sfu, true);
    assert.equal((await http(stack, 'GET', '/healthz')).status, 200);
    const refused = await http(stack, 'POST', '/v1/auth/login', { body: { username: 'nobody1', password: 'x'.repeat(10), device: { name: 't' } } });
    assert.equal(refused.status, 503);
    assert.ok(Number(refused.headers.get('retry-after')) > 0);
    await stack.start('postgres');
    await until('ready again', async () => (await http(stack, 'GET', '/readyz')).status === 200);
    await newUser(stack);
});

test('metrics show calls, sockets, database latency and forwarded packets; not on the public port', async () => {
    const user = await newUser(stack);
    const socket = await Socket.open(stack, user.token);
    const text = await (await fetch(stack.metricsUrl)).text();
    for (const name of ['sotto_calls\\{state="active"\\}', 'sotto_calls\\{state="ringing"\\}', 'sotto_ws_sockets', 'sotto_media_forwarded_packets_total', 'sotto_pg_query_seconds_bucket']) {
        assert.match(text, new RegExp(`^${name}`, 'm'), name);
    }
    assert.ok(Number(/^sotto_ws_sockets (\d+)/m.exec(text)[1]) >= 1);
    assert.match(await (await fetch(stack.sfuMetricsUrl)).text(), /^sotto_sfu_forwarded_packets_total \d+/m);
    assert.doesNotMatch(await (await fetch(`${stack.url}/metrics`)).text(), /sotto_/); // the app's page, as for any unknown path
    await socket.close();
});

test('a wrong key or value stops the start with the line and the reason', async () => {
    const unknown = await startWith('[http]\nplain_prot = 8080\n');
    assert.notEqual(unknown.code, 0);
    assert.match(unknown.text, /:2: .*plain_prot/);
    assert.match(unknown.text, /plain_port/); // the nearest key is named
    const wrong = await startWith('# comment\n[calls]\n\nring_timeout = soon\n');
    assert.match(wrong.text, /:4: .*ring_timeout/);
    const fromEnv = await startWith('[http]\n', { SOTTO_HTTP_TLS_PORT: 'many' });
    assert.match(fromEnv.text, /SOTTO_HTTP_TLS_PORT/);
    const noSuch = await startWith('[http]\n', { SOTTO_HTTP_TLS_PROT: '1' });
    assert.match(noSuch.text, /SOTTO_HTTP_TLS_PROT/);
});

test('up again is harmless: nothing restarts', async () => {
    const pids = () => ['signald', 'sfud', 'coturn', 'postgres'].map((p) => readFileSync(`${stack.dir}/run/${p}.pid`, 'utf8'));
    const before = pids();
    for (const part of ['postgres', 'coturn', 'signald', 'sfud']) await stack.start(part);
    assert.deepEqual(pids(), before);
});

test('HTTPS answers too, with our certificate, and secrets stay out of the logs', async () => {
    const { stdout } = await run('curl', ['-sS', '--cacert', `${stack.dir}/tls/cert.pem`, `${stack.tlsUrl}/healthz`, '-o', '/dev/null', '-w', '%{http_code}']);
    assert.equal(stdout, '200');
    const user = await newUser(stack);
    await Socket.open(stack, user.token).then((s) => s.close());
    for (const secret of [user.token, user.refreshToken, user.password]) {
        assert.ok(!stack.log('signald').includes(secret));
    }
    assert.ok(!/ticket\.ey|token=ey/.test(stack.log('signald')));
});
