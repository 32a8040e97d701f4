// The floors of messages: pgbench puts the same rows into the same PostgreSQL, with nothing in between.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BenchError, cpuOf, start as startProcess, tail } from '../lib/proc.mjs';
import * as postgres from './postgres.mjs';
import { childSeconds, privateFolder, serviceUser, writeForService } from './service.mjs';

export const packageName = 'postgresql';
export const version = postgres.version;

export const floors = new URL('../floors/', import.meta.url).pathname;
const quote = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

/** A cluster with the tables of bench/floors/messages_schema.sql. */
export async function startDatabase(ctx, options = {}) {
    const db = await postgres.start(ctx, options);
    await db.file(join(floors, 'messages_schema.sql'));
    return db;
}

/** The value that the share q of sorted numbers doesn't exceed. */
const quantile = (sorted, q) => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)];

/** Latencies of pgbench's log (third column, µs) in the shape of histogram.h's JSON. */
function latencyOf(folder) {
    const times = [];
    for (const name of readdirSync(folder).filter((each) => each.startsWith('log.'))) {
        for (const line of readFileSync(join(folder, name), 'utf8').split('\n')) if (line) times.push(Number(line.split(' ')[2]));
    }
    if (times.length === 0) return null;
    times.sort((a, b) => a - b);
    const points = Array.from({ length: 40 }, (_, i) => (i + 1) / 40);
    return {
        count: times.length, mean: times.reduce((a, b) => a + b, 0) / times.length,
        p50: quantile(times, 0.5), p90: quantile(times, 0.9), p99: quantile(times, 0.99), 'p99.9': quantile(times, 0.999), max: times.at(-1),
        cdf: points.map((q) => [quantile(times, q), q]),
    };
}

const TRIES = 4;

/**
 * Runs a script of bench/floors for `seconds`, pinned to ctx.cpus.generator.
 * variables: pgbench's -D; clients: connections; rate: transactions a second (pgbench's own open loop) or 0.
 * → { transactions, window_s, latency, database_cpu_s, generator_cpu_s }
 * pgbench connects in its time: on a machine that is slow to, none may be left for a transaction, and it gets twice as much.
 */
export async function run(ctx, db, script, { seconds, ...how }) {
    let done = null;
    for (let i = 0; !done && i < TRIES; i++) done = await runOnce(ctx, db, script, { ...how, seconds: Math.max(1, Math.round(seconds)) * 2 ** i });
    if (!done) throw new BenchError(`pgbench with ${script} failed`, `no transaction in ${Math.max(1, Math.round(seconds)) * 2 ** (TRIES - 1)} s`);
    return done;
}

/** null: there was no time for a transaction. */
async function runOnce(ctx, db, script, { variables = {}, clients = 20, rate = 0, seconds }) {
    const folder = privateFolder(ctx, 'pgbench', 0o755);
    // A copy: the clone may lie where the service user may not read.
    const copy = writeForService(join(folder.path, script), readFileSync(join(floors, script), 'utf8'), 0o644);
    const [cmd, args] = db.pgbenchCommand([
        '-n', '-M', 'prepared', '-f', copy, '-c', clients, '-j', 1, '-T', seconds, '-l', '--log-prefix', join(folder.path, 'log'),
        ...(rate > 0 ? ['-R', Math.round(rate)] : []), ...Object.entries(variables).flatMap(([key, value]) => ['-D', `${key}=${value}`]),
    ]);
    const file = writeForService(join(folder.path, 'run.sh'), `#!/bin/sh\n${[cmd, ...args].map(quote).join(' ')} || exit 9\ntimes\n`, 0o755);
    const before = cpuOf(db.pids());
    const running = startProcess({ name: 'pgbench', cmd: '/bin/sh', args: [file], cpus: ctx.cpus?.generator, user: serviceUser()?.name });
    ctx.defer?.(() => running.stop());
    const { code } = await running.exited;
    const database_cpu_s = cpuOf(db.pids()) - before;
    const text = running.log();
    const transactions = Number(/number of transactions actually processed: (\d+)/.exec(text)?.[1]);
    if (code === 0 && transactions === 0 && !/ERROR|FATAL/.test(text)) return folder.remove(), null;
    if (code !== 0 || !(transactions > 0)) throw new BenchError(`pgbench with ${script} failed`, text.split('\n').find((line) => /ERROR|FATAL|error:/.test(line)) ?? tail(text));
    const tps = Number(/^tps = ([\d.]+)/m.exec(text)[1]);
    const latency = latencyOf(folder.path);
    folder.remove();
    return { transactions, window_s: transactions / tps, latency, database_cpu_s, generator_cpu_s: childSeconds(text) };
}

/** Puts :name into one of the scripts that psql runs (recovery_fill.sql). */
export const filled = (script, variables) =>
    readFileSync(join(floors, script), 'utf8').replace(/(?<!:):(\w+)\b/g, (whole, key) => (key in variables ? Number(variables[key]) : whole));
