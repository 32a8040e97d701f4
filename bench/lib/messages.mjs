// What the scenarios of messages share: an ejabberd with sessions on it, and how a sample is made of what was counted.
import * as ejabberd from '../peers/ejabberd.mjs';
import * as pgbench from '../peers/pgbench.mjs';
import { BenchError, rssOf } from './proc.mjs';
import { CpuMeter, XmppLoad } from './xmpp_load.mjs';

/** An ejabberd with its database, and a load of `clients` sessions that are signed in. → { server, load, meter } */
export async function startEjabberd(ctx, options) {
    ctx.step('starting ejabberd');
    const server = await ejabberd.start(ctx, { users: options.clients });
    ctx.step(`${options.clients} sessions sign in`);
    const load = await XmppLoad.start(ctx, server, options);
    return { server, load, meter: new CpuMeter({ server: server.pids, database: server.databasePids }) };
}

/** CPU in microseconds a unit. */
export const microseconds = (seconds, units) => (seconds / units) * 1e6;

/** What is wrong with a run of sotto-load-xmpp, or null. */
export function faultOf(done) {
    if (done.delivered === 0) return 'nothing was delivered in the window';
    if (done.lost > 0) return `${done.lost} deliveries are missing`;
    if (done.strangers > 0) return `${done.strangers} deliveries came twice or unasked`;
    return null;
}

/**
 * A sample of what a saturated run cost, with latencies of another run if there is one.
 * run: { done, cpu: { server, database, window_s } }; calm: the same of a run at a part of that rate, or null.
 */
export function sampleOf({ figures, run, calm = null, units, rss = 0, extra = {} }) {
    const { done, cpu } = run;
    const why = faultOf(done) ?? (calm ? faultOf(calm.done) : null);
    const lost = done.lost + (calm?.done.lost ?? 0);
    return {
        figures: { ...figures, lost },
        units,
        window_s: done.window_s,
        server: { cpu_s: cpu.server, database_cpu_s: cpu.database, rss_bytes: rss, cores_busy: (cpu.server + cpu.database) / cpu.window_s },
        generator: { cpu_s: done.cpu_s, busy: done.cpu_s / done.window_s, late_ms: (calm ?? run).done.late_ms },
        latency_us: (calm ?? run).done.latency,
        loss: lost / (done.delivered + lost),
        throughput: units / done.window_s,
        valid: why === null,
        why: why ?? '',
        extra,
    };
}

/** Server's memory, database not counted. */
export const memoryOf = (server) => rssOf(server.pids());

/**
 * The floor: `script` of bench/floors over and over. units: how many units a transaction makes.
 * → { run (as pgbench.mjs gives it), units, database_us (CPU a unit), per_s }
 */
export async function runFloor(ctx, db, script, { unitsEach, ...options }) {
    const run = await pgbench.run(ctx, db, script, options);
    const units = run.transactions * unitsEach;
    return { run, units, database_us: microseconds(run.database_cpu_s, units), per_s: units / run.window_s };
}

/** A sample of the floor; figures as the scenario has them. */
export function floorSample({ figures, floor, calm = null }) {
    const { run, units, per_s } = floor;
    const latency = (calm ?? floor).run.latency;
    return {
        figures: { ...figures, lost: 0 },
        units,
        window_s: run.window_s,
        server: { cpu_s: 0, database_cpu_s: run.database_cpu_s, cores_busy: run.database_cpu_s / run.window_s },
        generator: { cpu_s: run.generator_cpu_s, busy: run.generator_cpu_s / run.window_s },
        latency_us: latency ? { commit: latency } : {},
        loss: 0,
        throughput: per_s,
        valid: true,
        why: '',
    };
}

/** For a contender that a scenario doesn't know: a mistake of the scenario. */
export const nobody = (contender) => {
    throw new BenchError(`no such contender: ${contender}`);
};
