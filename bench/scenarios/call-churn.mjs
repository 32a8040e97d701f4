import * as floor from '../lib/call_floor.mjs';
import { cpuClock, generatorOf, openSockets } from '../lib/signal_load.mjs';
import { rssOf } from '../lib/proc.mjs';
import { LIFTED } from '../lib/signald.mjs';

/**
 * What "sustained" means: 99 of 100 calls ring within this. Much less than a step of the search lasts: a queue that grows for
 * a whole step must not fit into it.
 */
const LIMIT_US = 200_000;

async function calls(load, rate, seconds) {
    load.send({ op: 'calls', rate, seconds });
    return load.next('called', (seconds + 90) * 1000);
}

const keepsUp = ({ calls: it }) => it.ring.p99 < LIMIT_US && it.accept.p99 < LIMIT_US && it.lost === 0 && it.refused === 0 && it.ended === it.started;

/** The highest rate that keeps up: upwards by half, then once between the last that did and the first that didn't. */
async function highest(ctx, load, from, stepSeconds) {
    let [good, bad] = [0, null];
    for (let rate = from, i = 0; i < 8 && bad === null; i++, rate = Math.round(rate * 1.5)) {
        ctx.step(`looking for the highest rate: ${rate} calls/s`);
        if (keepsUp(await calls(load, rate, stepSeconds))) good = rate;
        else bad = rate;
    }
    if (good === 0 || bad === null) return good;
    const between = Math.round((good + bad) / 2);
    return keepsUp(await calls(load, between, stepSeconds)) ? between : good;
}

async function measureOurs(ctx) {
    const { pairs, rate, seconds, warmup, search } = ctx.params;
    const side = await openSockets('ours', ctx, { mode: 'churn', sockets: pairs * 2 });
    const [load] = side.loads;
    const warm = warmup > 0 ? await calls(load, rate, warmup) : null;
    const cpu = cpuClock(side);
    ctx.step(`${rate} calls/s for ${seconds} s`);
    const result = await calls(load, rate, seconds);
    const used = cpu();
    const rss = rssOf(side.pids());
    const sustained = search > 0 ? await highest(ctx, load, rate, search) : 0;
    const faults = await booksOf(side.stack.db, [warm, result], sustained > 0);
    await load.stop();
    return sampleOf(result, { used, rss, sustained, faults });
}

/** Every call that was started is in the database, ended and completed, and both saw its end. */
async function booksOf(db, results, searched) {
    const faults = [];
    for (const it of results.filter(Boolean).map((result) => result.calls)) {
        if (it.ended !== it.started || it.lost > 0 || it.refused > 0) faults.push(`of ${it.started} calls ${it.rang} rang, ${it.accepted} were accepted, ${it.ended} ended; ${it.lost} lost, ${it.refused} refused`);
    }
    const rows = await db.sql('SELECT status, reason, count(*) FROM calls GROUP BY 1, 2');
    const completed = Number(rows.find(([status, reason]) => status === 'ended' && reason === 'completed')?.[2] ?? 0);
    const others = rows.filter(([status, reason]) => status !== 'ended' || reason !== 'completed');
    const started = results.filter(Boolean).reduce((sum, it) => sum + it.calls.started, 0);
    // Past the highest rate calls may go wrong: that is what was looked for.
    if (!searched && completed !== started) faults.push(`${started} calls were made, ${completed} are in the database`);
    if (!searched && others.length > 0) faults.push(`calls in the database that did not complete: ${JSON.stringify(others)}`);
    if (completed < started) faults.push(`${completed} completed calls in the database, ${started} were made`);
    return faults;
}

function sampleOf(result, { used, rss, sustained, faults }) {
    const { calls: it, window_s } = result;
    const a = (seconds) => (seconds * 1e6) / it.ended;
    return {
        figures: {
            cpu_us_per_call: a(used.server + used.database),
            server_cpu_us_per_call: a(used.server),
            database_cpu_us_per_call: a(used.database),
            ring_p50_us: it.ring.p50,
            ring_p99_us: it.ring.p99,
            accept_p99_us: it.accept.p99,
            ...(sustained > 0 ? { sustained_calls_per_s: sustained } : {}),
        },
        units: it.ended,
        window_s,
        server: { cpu_s: used.server, database_cpu_s: used.database, rss_bytes: rss, cores_busy: (used.server + used.database) / window_s },
        generator: generatorOf([result]),
        latency_us: { ring: it.ring, accept: it.accept, whole: it.whole },
        throughput: it.ended / window_s,
        valid: faults.length === 0,
        why: faults.join('; '),
        extra: { calls: { started: it.started, rang: it.rang, accepted: it.accepted, ended: it.ended, lost: it.lost, refused: it.refused, waited: it.waited } },
    };
}

async function measureFloor(ctx) {
    const { pairs, rate, seconds, search } = ctx.params;
    ctx.step(`the SQL of ${rate} calls/s by pgbench`);
    const it = await floor.run(ctx, { pairs, seconds, rate });
    const used = (it.database_cpu_s * 1e6) / it.calls;
    return {
        figures: { cpu_us_per_call: used, database_cpu_us_per_call: used },
        units: it.calls,
        window_s: it.window_s,
        server: { cpu_s: 0, database_cpu_s: it.database_cpu_s, cores_busy: it.database_cpu_s / it.window_s },
        generator: { cpu_s: it.client_cpu_s, busy: it.client_cpu_s / it.window_s },
        throughput: it.calls / it.window_s,
        valid: it.failed === 0 && it.ended >= it.calls,
        why: it.failed > 0 ? `${it.failed} failed` : it.ended < it.calls ? `${it.ended} of ${it.calls} calls are in the database` : '',
        extra: { latency_ms: it.latency_ms, search },
    };
}

export default {
    name: 'call-churn',
    title: 'Calls come and go',
    about: 'Pairs of users call each other at a steady rate: start, ring, accept, hang up, the end seen and acknowledged by both; then the highest rate at which 99 of 100 calls ring, and are accepted, within 0.2 s.',
    waitsFor: null,
    unit: 'call',
    main: 'cpu_us_per_call',
    better: 'less',
    figures: {
        cpu_us_per_call: { title: 'CPU a call, signald and database', unit: 'µs', better: 'less' },
        server_cpu_us_per_call: { title: 'of it signald', unit: 'µs', better: 'less' },
        database_cpu_us_per_call: { title: 'of it the database', unit: 'µs', better: 'less' },
        ring_p50_us: { title: 'from start to ring, half of them', unit: 'µs', better: 'less' },
        ring_p99_us: { title: 'from start to ring, 99 of 100', unit: 'µs', better: 'less' },
        accept_p99_us: { title: 'from accept to accepted, 99 of 100', unit: 'µs', better: 'less' },
        sustained_calls_per_s: { title: 'highest rate that rings in time', unit: 'calls/s', better: 'more' },
    },
    params: { pairs: 300, rate: 60, seconds: 6, warmup: 2, search: 3 },
    smoke: { pairs: 10, rate: 10, seconds: 1, warmup: 0, search: 0 },
    repeats: 2,
    setup_s: 12,
    contenders: ['ours', 'floor'],
    measure: (contender, ctx) => (contender === 'floor' ? measureFloor(ctx) : measureOurs(ctx)),
    fairness: [
        LIFTED,
        'Each rate of the search is held for 3 s only: a queue that grows by less than 7 % of the calls is not seen in that time.',
        'The floor\'s CPU has pgbench\'s connecting and preparing in it, once in the window; ours has its connections already.',
        'The floor is the SQL of a call\'s life (the same eight statements with the same functions, a commit each) by pgbench on the same cluster settings: what is left between it and ours are sockets, JSON, the call machine and what signald asks besides.',
        'pgbench waits for each answer on its connection; signald keeps statements of many calls under way on one (pipeline mode), which lets PostgreSQL answer more of them a wakeup.',
        'signald and database share one core; the highest rate is the highest of that one core.',
        'The calls carry no media: no SDP, no candidates.',
    ],
};
