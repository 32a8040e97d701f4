// A soak from begin to end: the world, the workloads, the chaos, the books.
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { baseline, closeBooks, closeLogs } from './books/index.mjs';
import { Chaos } from './strikes.mjs';
import { markdown, result, table } from './report.mjs';
import { Samples } from './samples.mjs';
import { Status } from './status.mjs';
import { clock, sleep } from './time.mjs';
import { WORKLOADS } from './workloads/index.mjs';
import { World } from './world.mjs';

const root = new URL('../../', import.meta.url).pathname;

/** Whether a program was built with AddressSanitizer. */
function isSanitized(build) {
    const symbols = execFileSync('grep', ['-c', '-m', '1', '__asan_init', join(build, 'signaling/signald')], { stdio: ['ignore', 'pipe', 'ignore'] });
    return Number(symbols) > 0;
}

function prepare(options) {
    options.build = resolve(options.build ?? process.env.SOTTO_TEST_BUILD ?? join(root, 'build'));
    const programs = ['signaling/signald', 'sfu/sfud', 'ctl/sottoctl', ...(options.media ? ['bench/sotto-load-webrtc'] : [])];
    const missing = programs.filter((program) => !existsSync(join(options.build, program)));
    if (missing.length > 0) throw new Error(`${missing.map((program) => join(options.build, program)).join(', ')} not there: deploy/build --bench makes them, or name a build by --build`);
    process.env.SOTTO_TEST_BUILD = options.build;
    if (options.keep) process.env.SOTTO_TEST_KEEP = '1';
    try {
        options.sanitized = isSanitized(options.build);
    } catch {
        options.sanitized = false; // grep found nothing
    }
}

/** Runs it all; the result. `abort`: an AbortSignal that ends it early, in order. */
export async function soak(options, { abort, status = new Status() } = {}) {
    prepare(options);
    const world = new World(options, status);
    const workloads = options.workloads.map((name) => WORKLOADS[name]());
    const run = { options, world, workloads, started: new Date(), books: [] };
    try {
        await begin(run, status);
        await during(run, status, abort);
        await finish(run, status);
    } finally {
        status.stop();
        run.down = world.down().catch((error) => error);
        run.fault = await run.down;
    }
    if (run.fault) run.books.push({ name: 'sanitizers', ok: false, text: 'the servers on their way out', faults: [run.fault.message] });
    return result(run);
}

async function begin(run, status) {
    const { world, options } = run;
    status.line(`seed ${options.seed}, ${options.users} users, ${options.callsPerMinute} scripts a minute, ${options.minutes} min, chaos ${options.chaos}`);
    await world.up();
    run.since = Date.now();
    run.before = await baseline(world);
    status.line(`a stack in ${world.stack.dir}; people come`);
    await world.fill(options.users);
    run.samples = new Samples(world.parts);
    run.samples.start();
    run.chaos = new Chaos(world, { seed: options.seed, seconds: options.seconds, mode: options.chaos, kinds: options.kinds });
    const probe = await world.well(60_000);
    if (probe === null) throw new Error(`the system is not well before anything happened: ${world.probe.last?.message}`);
    status.line(`${world.people.all.length} people, ${world.people.devices().length} devices; ${run.chaos.schedule.length} troubles to come`);
}

async function during(run, status, abort) {
    const { world, options, workloads, chaos } = run;
    status.start(() => line(run, status));
    for (const workload of workloads) workload.start(world);
    chaos.start();
    run.begun = Date.now();
    const stop = new AbortController();
    world.failed.then((error) => {
        status.line(`it can't go on: ${error.message}`);
        stop.abort();
    });
    abort?.addEventListener('abort', () => stop.abort());
    await sleep(options.seconds * 1000, stop.signal);
    run.seconds = status.elapsed;
    await chaos.stop();
    await Promise.all(workloads.map((w) => w.stop()));
    if (world.failures.length === 0) await world.well(60_000);
}

function line({ world, chaos }, status) {
    const { ledger, windows } = world;
    const now = windows.current.map((w) => w.kind).join(' + ');
    return `${clock(status.elapsed)} / ${clock(world.options.seconds)} · ${ledger.calls.size} calls, ${ledger.live} live · ${chaos.done.filter((w) => w.wellAt).length} recoveries${now ? ` · ${now}` : ''}`;
}

async function finish(run, status) {
    const { world, options } = run;
    const step = (text) => status.line(text);
    run.books = await closeBooks(world, { ...run, sanitized: options.sanitized, step });
    run.figures = await figures(run);
    // The logs are read when all have ended, before the folder goes.
    const span = { since: run.since, until: Date.now() };
    for (const part of ['sfud', 'signald', 'coturn']) await world.parts.stop(part);
    run.books.push(closeLogs(world, span));
}

async function figures(run) {
    const { world, workloads, chaos, samples, seconds } = run;
    const devices = [...world.people.devices(), ...world.people.gone];
    const sum = (key) => devices.reduce((n, d) => n + d.counts[key], 0);
    return {
        seconds: Math.round(seconds),
        calls: world.ledger.calls.size,
        struckShare: Math.round(100 * world.windows.share(run.begun, run.begun + seconds * 1000)) / 100,
        disturbed: world.ledger.disturbed.length,
        connects: sum('connects'),
        reconnects: sum('connects') - devices.filter((d) => d.counts.connects > 0).length,
        staleSockets: sum('stale'),
        resyncs: sum('resyncs'),
        refreshes: sum('refreshes'),
        logins: sum('logins'),
        durableEvents: devices.reduce((n, d) => n + d.log.length, 0),
        troubles: chaos.done.length,
        processes: samples.processes.length,
        workloads: Object.fromEntries(workloads.map((w) => [w.name, w.figures()])),
        ...(world.media ? { media: world.media.figures() } : {}),
    };
}

/** The program: exit code. */
export async function main(options, abort) {
    const status = new Status();
    const outcome = await soak(options, { abort, status });
    process.stderr.write(table(outcome));
    if (options.report) writeFileSync(options.report, markdown(outcome));
    if (options.json) process.stdout.write(`${JSON.stringify(outcome)}\n`);
    return outcome.clean ? 0 : 1;
}
