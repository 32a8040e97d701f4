// The floor of a call: its SQL alone, by pgbench, on the same schema and the same cluster settings. The statements are
// those that signald sends for a call between two people (signaling/shell/call_ask.c, call_effects.c,
// messaging/inbox.c), one round trip and one commit each, prepared, over as many connections as signald keeps.
import { execFile } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as postgres from '../peers/postgres.mjs';
import { asService } from '../peers/service.mjs';
import { BenchError, cpuOf } from './proc.mjs';
import { seed } from './signald.mjs';

const exec = promisify(execFile);
const SCHEMA = new URL('../../schema/', import.meta.url).pathname;
/** postgres.connections of a signald. */
export const CONNECTIONS = 4;

/** Ids that a script can compute: the number in hexadecimal. Users from 1, their devices from 2^32. */
const idOf = (n) => n.toString(16).padStart(32, '0').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
const DEVICE = 2 ** 32;

const read = (who) => `SELECT coalesce(c.last_cursor, 0), i.cursor, i.device_id, i.type, i.data FROM (SELECT bench_id(:${who}) AS owner) me
 LEFT JOIN inbox_counters c ON c.user_id = me.owner
 LEFT JOIN LATERAL (SELECT * FROM inbox i WHERE i.user_id = me.owner AND i.cursor > coalesce(c.last_cursor, 0) - 1 AND i.expires_at > now()
 AND (i.device_id IS NULL OR i.device_id = bench_id(:${who} + ${DEVICE})) ORDER BY i.cursor LIMIT 100) i ON true ORDER BY i.cursor;`;
const ack = (who) => `SELECT inbox_ack(bench_id(:${who}), bench_id(:${who} + ${DEVICE}), 9007199254740991);`;

/** A client's pairs are its own, so that no call meets another. */
const script = (pairs) => `
\\set pair (:client_id + ${CONNECTIONS} * random(0, ${Math.max(0, Math.floor(pairs / CONNECTIONS) - 1)}))
\\set a 1 + 2 * :pair
\\set b 2 + 2 * :pair
\\set call random(4611686018427387904, 9223372036854775806)
SELECT call_create(bench_id(:call), bench_id(:a), bench_id(:a + ${DEVICE}), NULL, bench_id(:b), 'audio', 'p2p', 60000000, 64);
SELECT call_device_rings(bench_id(:call), bench_id(:b), bench_id(:b + ${DEVICE}));
SELECT * FROM call_accept(bench_id(:call), bench_id(:b), bench_id(:b + ${DEVICE}));
SELECT call_end(bench_id(:call), 'completed', NULL, NULL, epoch_us(now()));
${read('a').replaceAll('\n', '')}
${read('b').replaceAll('\n', '')}
${ack('a')}
${ack('b')}
`;

/**
 * Runs `pairs` users' calls for `seconds`, at `rate` a second (0: as fast as it goes).
 * → { calls, window_s, database_cpu_s, client_cpu_s, latency_ms (mean of a call), failed }
 */
export async function run(ctx, { pairs, seconds, rate }) {
    const db = await postgres.start(ctx);
    for (const file of readdirSync(SCHEMA).filter((name) => name.endsWith('.sql')).sort()) await db.script(readFileSync(join(SCHEMA, file), 'utf8'));
    await db.sql(`CREATE FUNCTION bench_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$`);
    await seed(db, pairs * 2, { ids: (i) => ({ id: idOf(i + 1), device: idOf(i + 1 + DEVICE) }) });
    const file = join(ctx.dir, 'call.sql');
    writeFileSync(file, script(pairs), { mode: 0o644 });
    const once = async (s, r) => {
        const [program, options] = db.pgbenchCommand(['-n', '-M', 'prepared', '-c', String(Math.min(CONNECTIONS, pairs)), '-j', '1', '-T', String(s), ...(r > 0 ? ['-R', String(r)] : []), '-f', file]);
        const [cmd, args] = asService(program, options);
        const { stdout } = await exec('taskset', ['-c', ctx.cpus.generator, cmd, ...args], { cwd: '/', signal: ctx.signal });
        return stdout;
    };
    await once(1, rate); // plans and caches
    const measured = async (s) => {
        const [database, client] = [cpuOf(db.pids()), childrenCpu()];
        const out = await once(s, rate);
        const used = { database_cpu_s: cpuOf(db.pids()) - database, client_cpu_s: childrenCpu() - client };
        const field = (name) => Number(new RegExp(`^${name}\\D*([\\d.]+)`, 'm').exec(out)?.[1] ?? NaN);
        return { out, used, field, window_s: s, calls: field('number of transactions actually processed:') };
    };
    let it = await measured(Math.max(1, Math.round(seconds)));
    // pgbench connects in its time: on a machine that is slow to, none may be left for a call.
    for (let i = 0; it.calls === 0 && i < 3; i++) it = await measured(2 * it.window_s);
    const { out, used, field, window_s, calls } = it;
    if (!(calls > 0)) throw new BenchError('pgbench made no calls', out.slice(-500));
    const [[ended]] = await db.sql(`SELECT count(*) FROM calls WHERE status = 'ended' AND reason = 'completed'`);
    return { calls, window_s, ...used, latency_ms: field('latency average'), failed: field('number of failed transactions:') || 0, ended: Number(ended) };
}

/** CPU seconds of this process's children that ended (pgbench). */
const childrenCpu = () => {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[13]) + Number(fields[14])) / 100;
};
