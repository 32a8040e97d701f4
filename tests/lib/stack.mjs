// A whole Sotto for tests: real PostgreSQL, coturn, signald and sfud in a folder of its own, on ports of its own.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, chmodSync, rmSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PATIENCE } from './machine.mjs';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url).pathname;

/** True when nothing listens on the port. */
const isFree = (port) =>
    new Promise((resolve) => {
        const server = createServer();
        server.once('error', () => resolve(false));
        server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });

/** Ports that this process has begun to use: nobody else takes them for free before its servers listen. */
const claims = new Map();
const CLAIM = 299;
function claim(base) {
    return new Promise((resolve) => {
        const server = createServer().once('error', () => resolve(false));
        server.listen(base + CLAIM, '127.0.0.1', () => {
            claims.set(base, server.unref());
            resolve(true);
        });
    });
}
function unclaim(base) {
    claims.get(base)?.close();
    claims.delete(base);
}

/** The first of 300 ports in a row of which the servers' own and those of sfud's first workers are free (the rest is for coturn's relays). */
async function freePortBase() {
    const first = Math.floor(Math.random() * 26); // so that two stacks that start at once don't race for one place
    for (let i = 0; i < 26; i++) {
        const base = 21000 + ((first + i) % 26) * 300;
        if (!(await claim(base))) continue;
        const free = await Promise.all(Array.from({ length: 14 }, (_, i) => isFree(base + i)));
        if (free.every(Boolean)) return base;
        unclaim(base);
    }
    throw new Error('no free ports between 21000 and 28800');
}

/** Folders of stacks that run. Their servers are sessions of their own: who is told to end takes them along. */
const up = new Set();
for (const [signal, code] of [['SIGTERM', 143], ['SIGINT', 130]]) {
    process.once(signal, () => {
        for (const dir of up) {
            // By itself: node's runner kills us at once.
            const script = process.env.SOTTO_TEST_KEEP ? '"$0" --var "$1" down' : '"$0" --var "$1" down; rm -rf "$1"';
            spawn('bash', ['-c', script, join(root, 'deploy/stack'), dir], { detached: true, stdio: 'ignore' });
        }
        process.exit(code);
    });
}

/**
 * Starts a stack. `settings` are sotto.ini keys ("calls.ring_timeout": "3s").
 * SOTTO_TEST_BUILD names the build folder to take the servers from.
 */
export async function startStack(settings = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-test-'));
    chmodSync(dir, 0o755);
    const base = await freePortBase();
    const defaults = {
        'auth.dev_mode': 'yes',
        'auth.bcrypt_cost': '4',
        'auth.register_per_hour': '100000',
        'auth.login_per_minute': '100000',
        'auth.login_account_per_minute': '100000',
        'auth.lookup_per_minute': '100000',
        'auth.change_per_minute': '100000',
        'auth.refresh_per_minute': '100000',
        'auth.ticket_per_minute': '100000',
        'http.user_requests_per_minute': '100000',
        'http.address_requests_per_minute': '100000',
        'calls.start_per_minute': '100000',
        'log.level': 'debug',
    };
    const set = Object.entries({ ...defaults, ...settings }).flatMap(([k, v]) => ['--set', `${k}=${v}`]);
    const command = (env, ...args) =>
        run(join(root, 'deploy/stack'), ['--var', dir, '--port-base', String(base), ...set, ...args], {
            env: { ...process.env, ...env, ASAN_OPTIONS: 'detect_leaks=1:abort_on_error=0', UBSAN_OPTIONS: 'print_stacktrace=1' },
            timeout: 240_000,
        });
    const stack = (...args) => command({}, ...args);
    up.add(dir);
    try {
        await stack('up');
    } catch (error) {
        await stack('down').catch(() => {});
        up.delete(dir);
        unclaim(base);
        throw new Error(`the stack did not start:\n${error.stdout}\n${error.stderr}`);
    }
    const log = (part) => readFileSync(join(dir, 'log', `${part}.log`), 'utf8');
    return {
        dir,
        base,
        url: `http://127.0.0.1:${base + 1}`,
        tlsUrl: `https://127.0.0.1:${base}`,
        wsUrl: `ws://127.0.0.1:${base + 1}/v1/ws`,
        metricsUrl: `http://127.0.0.1:${base + 2}/metrics`,
        sfuMetricsUrl: `http://127.0.0.1:${base + 5}/metrics`,
        conninfo: `host=${dir}/run dbname=sotto`,
        log,
        /** `env` is added to the part's environment. */
        start: (part, env = {}) => command(env, 'start', part),
        stop: (part) => stack('stop', part),
        kill: (part) => stack('kill', part),
        /** One SQL statement, as the service user, by psql; rows as arrays of texts. */
        async sql(text) {
            const psql = ['psql', '-h', join(dir, 'run'), '-d', 'sotto', '-XtAF', '\t', '-c', text];
            const user = process.getuid() === 0 ? ['setpriv', '--reuid', 'sotto', '--clear-groups', '--regid', 'sotto'] : [];
            const [program, ...args] = [...user, ...psql];
            const { stdout } = await run(program, args, { cwd: '/' });
            return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
        },
        /** Stops everything; fails when a sanitizer said anything in a log. */
        async down() {
            await stack('down');
            up.delete(dir);
            unclaim(base);
            const faults = ['signald', 'sfud']
                .map((part) => [part, /(ERROR: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer)[^]*/.exec(log(part))])
                .filter(([, match]) => match);
            if (faults.length > 0) {
                throw new Error(faults.map(([part, match]) => `${part}: ${match[0].slice(0, 4000)}`).join('\n'));
            }
            if (!process.env.SOTTO_TEST_KEEP) rmSync(dir, { recursive: true, force: true });
        },
    };
}

/**
 * Polls until `probe` gives something truthy, and returns it; fails with what was awaited. `ms` is what it may take on a machine of its
 * own: it is waited for a few times as long (PATIENCE).
 */
export async function until(what, probe, ms = 10_000, everyMs = 50) {
    const end = Date.now() + ms * PATIENCE;
    for (;;) {
        const value = await probe();
        if (value) return value;
        if (Date.now() > end) throw new Error(`waited ${ms * PATIENCE} ms in vain: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
}
