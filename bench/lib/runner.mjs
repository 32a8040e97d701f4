// Measures a scenario: every contender in every repeat, in rotated order, each in a folder of its own that is gone afterwards.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { contendersOf, paramsOf, variantParams } from './params.mjs';
import { BenchError, sweep, useLogDir } from './proc.mjs';
import { resultOf } from './results.mjs';

/** Above this share of one core the generator may have been what was measured. */
export const GENERATOR_LIMIT = 0.9;

/** Turns the list so that no contender is always first or always after the same other. */
export const rotate = (list, by) => list.map((_, i) => list[(i + by) % list.length]);

/** Was it stopped by the user? */
export class Interrupted extends Error {}

/** The faults of a sample; a sample without faults counts. --smoke asks for no speed and does too little to measure: neither is a fault then. */
export function judge(sample, scenario, { smoke = false } = {}) {
    if (sample === null || typeof sample !== 'object') return ['the scenario gave no sample'];
    const faults = [];
    if (sample.valid === false) faults.push(sample.why || 'the scenario says so without telling why');
    if (!Number.isFinite(sample.figures?.[scenario.main])) faults.push(`the main figure ${scenario.main} is missing`);
    else if (!smoke && sample.figures[scenario.main] <= 0) faults.push(`the main figure ${scenario.main} is ${sample.figures[scenario.main]}: too little to measure`);
    for (const key of Object.keys(sample.figures ?? {})) {
        if (!(key in scenario.figures)) faults.push(`figure ${key} is not described by the scenario`);
    }
    const busy = sample.generator?.busy;
    if (!smoke && busy > GENERATOR_LIMIT) faults.push(`the generator was the bottleneck: busy ${(busy * 100).toFixed(0)} % of a core`);
    return faults;
}

/** What `measure` gets: the measurement's parameters, folder and means; and how all of it is undone. */
function makeContext(options, { params, repeat, contender, variant, signal, step }) {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-bench-'));
    chmodSync(dir, 0o755);
    useLogDir(dir);
    const undo = [];
    let over = false;
    const ctx = {
        params, dir, build: options.build, cpus: options.cpus, signal, repeat, step, contender, variant: variant?.key ?? null,
        smoke: !!options.smoke, countCheck: !!options.countCheck,
        // What a scenario that was cut short starts later still is undone at once.
        defer: (fn) => (over ? void Promise.resolve().then(fn).catch(() => {}) : undo.push(fn)),
    };
    const cleanup = async () => {
        const faults = [];
        over = true;
        for (const fn of undo.reverse()) {
            try {
                await fn();
            } catch (error) {
                faults.push(error.message);
            }
        }
        if (!process.env.SOTTO_BENCH_KEEP) rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
        return faults;
    };
    return { ctx, cleanup };
}

/**
 * What ends a measurement from outside: the user, its time, an error that nobody caught. `signal` tells the scenario,
 * `promise` rejects, `stop` takes it back.
 */
function limitOf(signal, seconds) {
    const own = new AbortController();
    let stop;
    const promise = new Promise((_, reject) => {
        const end = (error) => (own.abort(), reject(error));
        const abort = () => end(new Interrupted('interrupted'));
        const uncaught = (error) => end(error);
        const timer = setTimeout(() => end(new BenchError(`did not end within ${seconds} s`)), seconds * 1000);
        signal.addEventListener('abort', abort, { once: true });
        process.on('uncaughtException', uncaught).on('unhandledRejection', uncaught);
        stop = () => {
            clearTimeout(timer);
            signal.removeEventListener('abort', abort);
            process.off('uncaughtException', uncaught).off('unhandledRejection', uncaught);
        };
        if (signal.aborted) abort();
    });
    promise.catch(() => {});
    return { promise, stop, signal: own.signal };
}

/** One measurement → a sample with `valid` and `why`; only an interruption is thrown. */
async function measureOnce(scenario, contender, options, job) {
    const started = Date.now();
    const seconds = options.limit_s ?? scenario.limit_s ?? 120 + 4 * ((job.params.seconds ?? 10) + (job.params.warmup ?? 0));
    const limit = limitOf(job.signal, seconds);
    const { ctx, cleanup } = makeContext(options, { ...job, contender, signal: limit.signal });
    let sample;
    try {
        const measured = await Promise.race([scenario.measure(contender, ctx), limit.promise]);
        const faults = judge(measured, scenario, options);
        sample = { ...measured, valid: faults.length === 0, why: faults.join('; ') };
    } catch (error) {
        if (error instanceof Interrupted || job.signal.aborted) throw new Interrupted('interrupted');
        sample = { figures: {}, valid: false, crashed: true, why: error instanceof BenchError ? error.message : String(error?.stack ?? error).split('\n').slice(0, 3).join(' ') };
    } finally {
        const faults = await cleanup();
        const left = sweep();
        limit.stop();
        if (left > 0) faults.push(`${left} processes were left behind and killed`);
        if (faults.length > 0) job.step(`cleaning up: ${faults.join('; ')}`);
    }
    return { ...sample, repeat: job.repeat, seconds_taken: (Date.now() - started) / 1000 };
}

/** The variants to measure: the headline alone for --smoke, or when the command line sets what the variants vary. */
function variantsOf(scenario, options, pinned) {
    if (!scenario.variants) return [null];
    const varied = new Set(scenario.variants.flatMap((v) => Object.keys(v.params)));
    const alone = options.smoke || Object.keys(pinned).some((key) => varied.has(key));
    return alone ? scenario.variants.filter((v) => v.key === scenario.headline) : scenario.variants;
}

/**
 * All measurements of a scenario in their order. The headline variant, whose figures are compared between runs, may be
 * repeated more often than the others (`headlineRepeats`).
 */
export function jobsOf(scenario, options) {
    const { params, pinned } = paramsOf(scenario, options);
    const contenders = contendersOf(scenario, options.peers);
    const every = options.repeats ?? (options.smoke ? 1 : scenario.repeats);
    const repeats = Math.max(every, options.repeats ?? (options.smoke ? 1 : scenario.headlineRepeats ?? every));
    const jobs = [];
    for (let repeat = 0; repeat < repeats; repeat++) {
        for (const variant of variantsOf(scenario, options, pinned)) {
            if (repeat >= every && variant?.key !== scenario.headline) continue;
            for (const contender of rotate(contenders, repeat)) {
                jobs.push({ repeat, variant, contender, params: variantParams(params, variant, pinned, options.smoke ? scenario.smoke : {}) });
            }
        }
    }
    return { jobs, params, contenders, repeats };
}

/** Seconds that a scenario will take, for the estimate: what it took last time, or what its parameters say. */
export function estimateOf(scenario, options, last = null) {
    if (last?.seconds && !options.smoke && JSON.stringify(last.params) === JSON.stringify(paramsOf(scenario, options).params)) return last.seconds;
    const { jobs } = jobsOf(scenario, options);
    return jobs.reduce((sum, { params }) => sum + (scenario.setup_s ?? 3) + (params.warmup ?? 0) + (params.seconds ?? 5), 0);
}

/**
 * Measures a scenario.
 * @param {object} scenario as scenarios.mjs gives it
 * @param {object} options { peers, set, duration, repeats, smoke, build, cpus, countCheck, host, commit, dirty, limit_s }
 * @param {{signal: AbortSignal, progress?: {step: Function}}} run
 * @returns {Promise<object>} the result (results.mjs); throws only `Interrupted`, and for a wrong command line
 */
export async function runScenario(scenario, options, { signal, progress }) {
    const started = new Date();
    const { jobs, params, contenders, repeats } = jobsOf(scenario, options);
    if (contenders.length === 0) throw new BenchError(`${scenario.name} has nobody to measure`, stateHint(scenario));
    const samples = [];
    for (const [i, job] of jobs.entries()) {
        const where = { scenario: scenario.name, contender: job.contender, variant: job.variant?.key, repeat: job.repeat + 1, repeats, k: i + 1, n: jobs.length };
        const step = (text) => progress?.step(where, text);
        step('starting');
        const sample = await measureOnce(scenario, job.contender, options, { ...job, signal, step });
        if (!sample.valid) step(`does not count: ${sample.why}`);
        samples.push({ ...sample, contender: job.contender, variant: job.variant?.key ?? null });
    }
    return resultOf(scenario, { samples, params, contenders, repeats, started, options });
}

const stateHint = (scenario) => (scenario.waitsFor ? `it waits for ${scenario.waitsFor} and has no peer of that name` : 'its contenders are left out by --peer');
