import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LoadWs } from '../lib/load_ws.mjs';
import { BenchError, cpuOf, rssOf } from '../lib/proc.mjs';
import { cpuClock, generatorOf } from '../lib/signal_load.mjs';
import * as signald from '../lib/signald.mjs';

const exec = promisify(execFile);
const PASSWORD = 'correct horse battery';

/** One account made by the server itself, with the cost that it is configured for; the others get its hash. */
async function accounts(stack, count) {
    const answer = await fetch(`${stack.servers[0].url}/v1/auth/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ email: 'first@example.org', username: 'first', password: PASSWORD, displayName: 'first' }),
    });
    if (answer.status !== 201) throw new BenchError(`register: ${answer.status} ${await answer.text()}`);
    const [[hash]] = await stack.db.sql(`SELECT password_hash FROM users WHERE username = 'first'`);
    const users = await stack.seed(count, { hash });
    return { hash, rows: users.map((user) => [user.username, PASSWORD]) };
}

async function measureOurs(ctx) {
    const { users, rate, seconds, cost } = ctx.params;
    const easy = cost < 12 ? { 'auth.dev_mode': 'yes' } : {};
    const stack = await signald.start(ctx, { settings: { 'auth.bcrypt_cost': cost, ...easy } });
    const { hash, rows } = await accounts(stack, users);
    const load = await LoadWs.start(ctx, { mode: 'login', kind: 'sotto', url: stack.servers[0].wsUrl, http: stack.servers[0].url, lanes: 16, accounts: rows });
    const cpu = cpuClock({ pids: stack.pids, databasePids: stack.db.pids });
    ctx.step(`${rate} logins a second for ${seconds} s`);
    load.send({ op: 'logins', rate, seconds });
    const result = await load.next('logged', (seconds + 60) * 1000);
    const used = cpu();
    const rss = stack.rss();
    await load.stop();
    const sample = sampleOf(result, used, rss);
    if (!hash.startsWith(`$2b$${String(cost).padStart(2, '0')}$`)) return { ...sample, valid: false, why: `the hash is ${hash.slice(0, 7)}, not of cost ${cost}` };
    return sample;
}

function sampleOf(result, used, rss) {
    const { logins, window_s } = result;
    const a = (seconds) => (seconds * 1e3) / logins.good;
    return {
        figures: {
            cpu_ms_per_login: a(used.server + used.database),
            server_cpu_ms_per_login: a(used.server),
            database_cpu_ms_per_login: a(used.database),
            login_p50_ms: logins.time.p50 / 1000,
            login_p99_ms: logins.time.p99 / 1000,
        },
        units: logins.good,
        window_s,
        server: { cpu_s: used.server, database_cpu_s: used.database, rss_bytes: rss, cores_busy: (used.server + used.database) / window_s },
        generator: generatorOf([result]),
        latency_us: { login: logins.time },
        throughput: logins.good / window_s,
        valid: logins.good === logins.asked && logins.good > 0,
        why: logins.good === logins.asked ? '' : `${logins.good} of ${logins.asked} logins were answered with 200 (${JSON.stringify(logins.statuses)})`,
        extra: { statuses: logins.statuses, connections: logins.connections },
    };
}

/** The password hash alone, as often as there is time. */
async function measureFloor(ctx) {
    const { seconds, cost } = ctx.params;
    const program = join(ctx.build, 'bench/sotto-load-bcrypt');
    if (!existsSync(program)) throw new BenchError(`${program} is not there`, 'deploy/build, then the target bench_programs');
    ctx.step(`bcrypt alone, cost ${cost}`);
    const own = cpuOf(process.pid);
    const { stdout } = await exec('taskset', ['-c', ctx.cpus.server, program, '--cost', String(cost), '--seconds', String(Math.max(1, Math.ceil(seconds / 2)))], { signal: ctx.signal });
    const { hashes, seconds: window_s, cpu_s_per_hash } = JSON.parse(stdout);
    return {
        figures: { cpu_ms_per_login: cpu_s_per_hash * 1000, server_cpu_ms_per_login: cpu_s_per_hash * 1000 },
        units: hashes,
        window_s,
        server: { cpu_s: cpu_s_per_hash * hashes, rss_bytes: rssOf(process.pid), cores_busy: (cpu_s_per_hash * hashes) / window_s },
        generator: { cpu_s: cpuOf(process.pid) - own, busy: 0 }, // nobody drives it
        throughput: hashes / window_s,
        valid: true,
        why: '',
    };
}

export default {
    name: 'login',
    title: 'Logins',
    about: 'Users sign in with their passwords at a steady rate: the password hash (bcrypt, the configured default cost), a session, a device, a pair of tokens.',
    waitsFor: null,
    unit: 'login',
    main: 'cpu_ms_per_login',
    better: 'less',
    figures: {
        cpu_ms_per_login: { title: 'CPU a login, server and database', unit: 'ms', better: 'less' },
        server_cpu_ms_per_login: { title: 'of it the server', unit: 'ms', better: 'less' },
        database_cpu_ms_per_login: { title: 'of it the database', unit: 'ms', better: 'less' },
        login_p50_ms: { title: 'until the answer, half of them', unit: 'ms', better: 'less' },
        login_p99_ms: { title: 'until the answer, 99 of 100', unit: 'ms', better: 'less' },
    },
    params: { users: 50, rate: 2, seconds: 10, cost: 12 },
    smoke: { users: 4, rate: 4, seconds: 1 },
    repeats: 2,
    setup_s: 4,
    contenders: ['ours', 'floor'],
    measure: (contender, ctx) => (contender === 'floor' ? measureFloor(ctx) : measureOurs(ctx)),
    fairness: [
        'The floor is libxcrypt\'s bcrypt with the same cost on one thread, with nothing around it: what any server with these passwords has to spend.',
        'Rate limits are off, because all users come from one address.',
        'ejabberd\'s login is not compared: its passwords are stored in plain text or as SCRAM, neither of which costs what bcrypt costs on purpose.',
    ],
};
