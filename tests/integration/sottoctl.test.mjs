// sottoctl against the database of a running stack: what an operator types, and what it says to faults.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { http } from '../lib/client.mjs';
import { startStack } from '../lib/stack.mjs';

const run = promisify(execFile);
const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
let stack, dir, ids;

before(async () => {
    stack = await startStack();
    await stack.sql('CREATE DATABASE ctl');
    dir = mkdtempSync(join(tmpdir(), 'sotto-ctl-'));
    const owner = statSync(join(stack.dir, 'keys'));
    ids = process.getuid() === 0 ? { uid: owner.uid, gid: owner.gid } : {};
    cpSync(join(root, 'schema'), join(dir, 'schema'), { recursive: true });
    mkdirSync(join(dir, 'var'));
    writeFileSync(join(dir, 'var/sotto.ini'), `[postgres]\nconninfo = host=${stack.dir}/run dbname=ctl\n[auth]\nbcrypt_cost = 4\ndev_mode = yes\n`);
    chmodSync(dir, 0o755);
    if (ids.uid) for (const path of [dir, join(dir, 'var')]) chownSync(path, ids.uid, ids.gid);
});
after(async () => {
    await stack?.down();
    rmSync(dir, { recursive: true, force: true });
});

/** Runs sottoctl in `dir`, as the service's user; gives its exit code and all that it said. */
function ctl(args, { input = '', env = {}, config = 'var/sotto.ini' } = {}) {
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SOTTO_')));
    const child = spawn(`${stack.dir}/bin/sottoctl`, ['--config', config, ...args], { cwd: dir, env: { ...clean, ...env }, ...ids });
    let out = '', err = '';
    child.stdout.on('data', (data) => (out += data));
    child.stderr.on('data', (data) => (err += data));
    child.stdin.on('error', () => {}); // it may end without reading
    child.stdin.end(input);
    return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })));
}
const inDb = async (sql) => {
    const { stdout } = await run('psql', ['-h', join(stack.dir, 'run'), '-d', 'ctl', '-XtAc', sql], { cwd: '/', ...ids });
    return stdout.trim();
};
const migration = (name, sql) => writeFileSync(join(dir, 'schema', name), sql);

test('usage: exit codes 0, 1, 2', async () => {
    const help = await ctl(['--help']);
    assert.equal(help.code, 0);
    assert.match(help.out, /^usage: sottoctl/);
    assert.equal((await ctl([])).code, 2);
    const unknown = await ctl(['fly']);
    assert.equal(unknown.code, 2);
    assert.match(unknown.err, /unknown command: fly/);
    assert.equal((await ctl(['migrate', '--nix'])).code, 2);
    assert.equal((await ctl(['config', 'get', 'http.nix'])).code, 2);
    assert.equal((await ctl(['config', 'check'], { config: 'nowhere.ini' })).code, 1);
});

test('config: the template is good, values show where they come from, passwords do not show', async () => {
    const template = await ctl(['config', 'init']);
    writeFileSync(join(dir, 'template.ini'), template.out);
    const check = await ctl(['config', 'check'], { config: 'template.ini', env: { SOTTO_POSTGRES_CONNINFO: 'password=hunter2 dbname=x' } });
    assert.deepEqual([check.code, check.out], [0, 'template.ini is good\n']);
    const unset = await ctl(['config', 'check'], { config: 'template.ini' });
    assert.equal(unset.code, 1);
    assert.match(unset.err, /set conninfo in \[postgres\]/);
    const print = await ctl(['config', 'print'], { config: 'template.ini', env: { SOTTO_POSTGRES_CONNINFO: 'password=hunter2 dbname=x', SOTTO_HTTP_TLS_PORT: '1234' } });
    assert.match(print.out, /^tls_port = 1234 # environment SOTTO_HTTP_TLS_PORT$/m);
    assert.match(print.out, /^plain_port = 8080 # template\.ini:\d+$/m);
    assert.match(print.out, /^conninfo = password=\*\*\* dbname=x #/m);
    assert.ok(!print.out.includes('hunter2'));
    assert.equal((await ctl(['config', 'get', 'log.level'])).out, 'info\n');
    const clash = await ctl(['config', 'check'], { env: { SOTTO_HTTP_PLAIN_PORT: '8443' } });
    assert.match(clash.err, /http\.tls_port \(default\) and http\.plain_port .* are both 8443/);
});

test('migrate: once each, two at once, and again', async () => {
    const names = readdirSync(join(dir, 'schema')).filter((name) => name.endsWith('.sql'));
    const both = await Promise.all([ctl(['migrate']), ctl(['migrate'])]);
    for (const one of both) assert.equal(one.code, 0, one.err);
    for (const name of names) {
        assert.equal((both[0].out + both[1].out).split(`applied ${name} `).length, 2, `${name} is applied by one of them`);
    }
    assert.equal(await inDb('SELECT count(*) FROM schema_migrations'), String(names.length));
    assert.match((await ctl(['migrate'])).out, /database is up to date \(0 to apply/);
});

test('migrate: a faulty file says its line and leaves nothing', async () => {
    migration('990_bad.sql', '-- ä\nCREATE TABLE half (i int);\nSELECT nix FROM half;\n');
    const bad = await ctl(['migrate']);
    assert.equal(bad.code, 1);
    assert.match(bad.err, /schema\/990_bad\.sql:3: column "nix" does not exist/);
    assert.equal(await inDb("SELECT to_regclass('half') IS NULL"), 't');
    migration('990_bad.sql', 'CREATE TABLE half (i int);\n  commit;\n');
    assert.match((await ctl(['migrate'])).err, /must not COMMIT/);
    assert.equal(await inDb("SELECT to_regclass('half') IS NULL"), 't');
    rmSync(join(dir, 'schema/990_bad.sql'));
});

test('migrate: changed, missing, misnamed and doubled files are refused', async () => {
    migration('991_one.sql', 'CREATE TABLE one (i int);\n');
    assert.equal((await ctl(['migrate'])).code, 0);
    migration('991_one.sql', 'CREATE TABLE one (i bigint);\n');
    assert.match((await ctl(['migrate'])).err, /991_one\.sql was changed after it was applied/);
    rmSync(join(dir, 'schema/991_one.sql'));
    assert.match((await ctl(['migrate'])).err, /the database has 991_one\.sql, which schema lacks/);
    migration('991_one.sql', 'CREATE TABLE one (i int);\n');
    migration('991_two.sql', '');
    assert.match((await ctl(['migrate'])).err, /991_one\.sql and 991_two\.sql have one number/);
    rmSync(join(dir, 'schema/991_two.sql'));
    migration('new.sql', '');
    assert.match((await ctl(['migrate'])).err, /new\.sql: a migration is called NNN_subject\.sql/);
    rmSync(join(dir, 'schema/new.sql'));
    assert.equal((await ctl(['migrate'])).code, 0);
    assert.match((await ctl(['migrate', '--dir', 'var'])).err, /var holds no migrations/);
});

test('secrets and keys: made once, 0600, and a rotated key sorts last', async () => {
    assert.equal((await ctl(['secrets', 'init'])).code, 0);
    const secret = () => readFileSync(join(dir, 'var/secrets/turn_secret'), 'utf8');
    const first = secret();
    assert.match(first, /^[\w-]{43}\n$/);
    assert.equal((await ctl(['secrets', 'init'])).code, 0);
    assert.equal(secret(), first);
    assert.equal(statSync(join(dir, 'var/secrets/turn_secret')).mode & 0o777, 0o600);

    assert.match((await ctl(['keys', 'init'])).out, /^made /);
    assert.match((await ctl(['keys', 'init'])).out, /is there and signs/);
    for (let i = 0; i < 3; i++) assert.equal((await ctl(['keys', 'rotate'])).code, 0);
    const listed = (await ctl(['keys', 'list'])).out.trim().split('\n');
    assert.equal(listed.length, 4);
    assert.deepEqual(listed.map((line) => line.split(/ +/)[1]), ['verifies', 'verifies', 'verifies', 'signs']);
    for (const name of readdirSync(join(dir, 'var/keys'))) {
        assert.match(name, /^\d{8}-[0-9a-f]{4}\.pem$/);
        assert.equal(statSync(join(dir, 'var/keys', name)).mode & 0o777, 0o600);
    }
});

test('user add: an account that can log in; again is harmless; faults are said', async () => {
    const alice = ['user', 'add', '--username', 'ctl.alice', '--email', 'Ctl.Alice@example.org', '--display-name', 'Alice Ä', '--password-stdin'];
    const input = 'correct horse battery\n';
    assert.match((await ctl(alice, { input })).out, /^added ctl\.alice/);
    assert.match((await ctl(alice, { input: 'another password\n' })).out, /is there already; left as it is/);
    assert.equal(await inDb('SELECT count(*) FROM users'), '1');
    const other = (name, email, password = input) => ctl(['user', 'add', '--username', name, '--email', email, '--password-stdin'], { input: password });
    assert.match((await other('ctl.alice', 'b@example.org')).err, /ctl\.alice is taken, with another e-mail/);
    assert.match((await other('ctl.bob', 'ctl.alice@EXAMPLE.org')).err, /belongs to another account/);
    for (const [name, email, password] of [
        ['Bob', 'b@example.org'],
        ['b', 'b@example.org'],
        ['ctl.bob', 'nowhere'],
        ['ctl.bob', 'b@example.org', 'short\n'],
        ['ctl.bob', 'b@example.org', `${'x'.repeat(73)}\n`],
        ['ctl.bob', 'b@example.org', ''],
    ]) {
        const said = await other(name, email, password);
        assert.equal(said.code, 2, said.out);
        assert.ok(!said.err.includes(password?.trim() || '\0'), 'a password is never shown');
    }
    assert.equal(await inDb('SELECT count(*) FROM users'), '1');

    // In the stack's own database the account is good for a login.
    const real = await ctl(alice, { input, env: { SOTTO_POSTGRES_CONNINFO: `host=${stack.dir}/run dbname=sotto` } });
    assert.equal(real.code, 0, real.err);
    const login = await http(stack, 'POST', '/v1/auth/login', { body: { username: 'ctl.alice', password: input.trim(), device: { name: 't', platform: 'web' } } });
    assert.equal(login.status, 200);
    assert.equal(login.body.user.displayName, 'Alice Ä');
});

test('doctor: all well on a running stack; each fault with what to do', async () => {
    const config = `${stack.dir}/sotto.ini`;
    // the web app may not be built where tests run
    const well = await ctl(['doctor', '--dir', `${stack.dir}/schema`], { config, env: { SOTTO_HTTP_WEB_ROOT: '' } });
    assert.equal(well.code, 0, well.out);
    assert.match(well.out, /all well\n$/);
    assert.ok(!well.out.includes('✗'));
    const ill = await ctl(['doctor'], { env: { SOTTO_POSTGRES_CONNINFO: 'host=/nowhere dbname=x', SOTTO_AUTH_KEY_DIR: 'none', SOTTO_TURN_LISTEN_PORT: '1' } });
    assert.equal(ill.code, 1);
    assert.match(ill.out, /✗ the database can't be reached\n {4}→ start PostgreSQL/);
    assert.match(ill.out, /✗ .*none holds no ES256 key.*\n {4}→ sottoctl keys init/);
    assert.match(ill.out, /✗ coturn doesn't answer STUN at port 1\n/);
    chmodSync(join(dir, 'var/secrets/turn_secret'), 0o644);
    assert.match((await ctl(['doctor'])).out, /turn_secret is open to every user/);
    assert.equal((await ctl(['turn', 'config'])).code, 1);
});
