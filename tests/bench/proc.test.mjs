import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TICKS, cpuOf, cpuOfTree, freePort, rssOf, runs, start, treeOf, until, useLogDir, waitPort } from '../../bench/lib/proc.mjs';

const dir = mkdtempSync(join(tmpdir(), 'sotto-test-'));
useLogDir(dir);
after(() => rmSync(dir, { recursive: true }));
const LIB = new URL('../../bench/lib/proc.mjs', import.meta.url).href;
const gone = (pid) => !runs(pid);

/** A process that burns CPU until it used so many seconds, tells what it measured itself, and stays; at SIGUSR2 it tells that again. */
const BURN = (s) => `const t0 = process.cpuUsage(); const used = () => { const u = process.cpuUsage(t0); return (u.user + u.system) / 1e6; };
    const tell = () => { const { user, system } = process.cpuUsage(); console.log('USED', (user + system) / 1e6); };
    process.on('SIGUSR2', tell); while (used() < ${s}); tell(); setInterval(() => {}, 1e6);`;
/** What it told, the n-th time. */
const used = (p, n = 0) => until('it tells what it has burnt', () => [...p.log().matchAll(/USED ([\d.]+)\n/g)][n]?.[1]);

test('the CPU of a busy process is right within ticks', async () => {
    const p = start({ name: 'burn', cmd: process.execPath, args: ['-e', BURN(0.5)] });
    const before = Number(await used(p));
    const read = cpuOf(p.pid);
    process.kill(p.pid, 'SIGUSR2');
    const after = Number(await used(p, 1));
    assert.ok(before > 0.5 && read >= before - 2 / TICKS && read <= after + 2 / TICKS, `it says ${before}, then ${after}; between them /proc says ${read}`);
    await p.stop();
    assert.equal(cpuOf(p.pid), 0);
});

test('threads, children alive and children reaped count', async () => {
    const script = `const { spawn, spawnSync } = require('node:child_process');
        spawnSync(process.execPath, ['-e', 'const t = Date.now(); while (process.cpuUsage().user < 3e5);']);
        const c = spawn(process.execPath, ['-e', ${JSON.stringify(BURN(0.3))}], { stdio: 'inherit' });`;
    const p = start({ name: 'family', cmd: process.execPath, args: ['-e', script] });
    const child = Number(await used(p));
    const tree = treeOf(p.pid);
    assert.equal(tree.length, 2);
    assert.ok(cpuOf(p.pid) >= 0.3, 'the reaped child counts for its parent');
    assert.ok(cpuOfTree(p.pid) >= 0.3 + child - 2 / TICKS, 'the living child counts in the tree');
    assert.ok(rssOf(tree) > rssOf(p.pid) && rssOf(p.pid) > 1e6);
    await p.stop();
    assert.ok(tree.every(gone), 'its child ends with it');
});

test('a name with blanks and parentheses does not confuse the reading of /proc', async () => {
    const p = start({ name: 'odd', cmd: process.execPath, args: ['-e', `process.title = 'a) R 1 (b'; ${BURN(0.1)}`] });
    await used(p);
    assert.ok(cpuOf(p.pid) >= 0.1);
    await p.stop();
});

test('it runs where it is put, logs, and takes an environment', async () => {
    const p = start({ name: 'where', cmd: 'sh', args: ['-c', 'grep Cpus_allowed_list /proc/self/status; echo "$WORD" >&2'], cpus: '0', env: { WORD: 'seen' } });
    assert.deepEqual(await p.exited, { code: 0, signal: null });
    assert.match(p.log(), /Cpus_allowed_list:\s+0\n/);
    assert.match(p.log(), /seen/);
    assert.equal(p.running, false);
    await p.stop(); // stopping what ended already is nothing
});

test('what ignores SIGTERM is killed', async () => {
    const p = start({ name: 'deaf', cmd: 'sh', args: ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.1; done'] });
    await until('it is ready', () => p.log().includes('ready'));
    await p.stop('SIGTERM', 200);
    assert.ok(gone(p.pid));
    assert.equal((await p.exited).signal, 'SIGKILL');
});

test('a missing program is told with what to do', () => {
    assert.throws(() => start({ name: 'x', cmd: 'no-such-program' }), /no-such-program \(x\) is not installed: run deploy\/packages --bench/);
});

test('waiting for a port ends when its process did', async () => {
    const port = await freePort();
    const p = start({ name: 'dies', cmd: 'sh', args: ['-c', 'echo "bad configuration"; exit 3'] });
    await assert.rejects(waitPort(port, { process: p, ms: 5000 }), /dies ended before it listened: bad configuration/);
    const server = createServer().listen(port, '127.0.0.1');
    await waitPort(port);
    server.close();
});

test('ports are free for TCP and UDP, and given out once', async () => {
    const ports = await freePort(20);
    assert.equal(new Set(ports).size, 20);
    await Promise.all(ports.map((port) => new Promise((resolve, reject) => {
        const socket = createSocket('udp4').once('error', reject);
        socket.bind(port, '127.0.0.1', () => socket.close(resolve));
    })));
});

/** A node that starts a child, a daemon that leaves its group, tells their pids, and ends as `end` says when it is told to. */
function parent(end) {
    const script = `const { start } = await import(${JSON.stringify(LIB)});
        const a = start({ name: 'a', cmd: 'sleep', args: ['600'], log: ${JSON.stringify(join(dir, 'a'))} });
        const d = start({ name: 'd', cmd: 'sh', args: ['-c', 'setsid sleep 600 & echo $!; wait'], pipe: true, log: ${JSON.stringify(join(dir, 'd'))} });
        d.child.stdout.once('data', (pid) => { console.log('PIDS', a.pid, d.pid, Number(pid)); process.stdin.once('data', () => { ${end} }); });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    let text = '';
    child.stdout.on('data', (chunk) => (text += chunk));
    // Each is told when it is what it shall be: no longer the shell, or the program that arranges for its end.
    const pids = until('the parent tells', () => {
        const all = /PIDS (.*)\n/.exec(text)?.[1].split(' ').map(Number);
        return all && programOf(all[0]).endsWith('sleep') && programOf(all[2]).endsWith('sleep') && all;
    });
    return { child, pids };
}
const programOf = (pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0];

test('children end with a parent that ends, in order or by an error, and daemons that left the group, too', async () => {
    for (const end of ['process.exit(0);', 'throw new Error("nobody catches it");']) {
        const { child, pids } = parent(end);
        const all = await pids;
        child.stdin.write('now\n');
        await until(`${end}: all are gone`, () => all.every(gone), 5000);
    }
});

test('children end with a parent that is killed', async () => {
    const { child, pids } = parent('setInterval(() => {}, 1e6);');
    const [a, d, daemon] = await pids;
    child.kill('SIGKILL');
    await until('they are gone', () => gone(a) && gone(d), 5000);
    process.kill(daemon, 'SIGKILL'); // the kernel's net holds who didn't leave; this one did
});
