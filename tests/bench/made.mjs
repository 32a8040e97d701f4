// Made scenarios for the tests of the harness' frame: what they "measure" is written here, so results are known beforehand.
import { runScenario } from '../../bench/lib/runner.mjs';

export const HOST = { cores: 2, kernel: '6.1.0', cpu: 'A CPU', memory_gib: 8, distribution: 'Debian GNU/Linux 12' };

const curve = (p50) => Array.from({ length: 20 }, (_, i) => [Math.round(p50 * (0.5 + i / 10)), (i + 1) / 20]);
export const latency = (p50) => ({ forward: { count: 100, mean: p50, p50, p90: p50 * 2, p99: p50 * 3, 'p99.9': p50 * 4, max: p50 * 5, cdf: curve(p50) } });

/** A sample with that main figure; `more` replaces members. */
export const sample = (ns, more = {}) => ({
    figures: { ns }, units: 1000, window_s: 1, server: { cpu_s: (ns * 1000) / 1e9, rss_bytes: 4e7, cores_busy: 0.5 }, generator: { cpu_s: 0.3, busy: 0.3 },
    latency_us: latency(ns / 5), loss: 0, valid: true, why: '', ...more,
});

/** A scenario whose contenders give `cost[contender]`: a number, an array (by repeat), or a function (ctx) → sample. */
export function scenario(cost, more = {}) {
    return {
        name: 'made', title: 'A made one', about: 'It measures nothing.', waitsFor: null, unit: 'packet', main: 'ns', better: 'less', repeats: 3, variants: null, fairness: [], mayFail: [],
        figures: { ns: { title: 'CPU a packet', unit: 'ns', better: 'less' } }, params: { seconds: 1, n: 10 }, smoke: { n: 1 }, contenders: Object.keys(cost),
        async measure(contender, ctx) {
            const own = cost[contender];
            if (typeof own === 'function') return own(ctx);
            return sample(Array.isArray(own) ? own[ctx.repeat] : own);
        },
        ...more,
    };
}

export const MEANS = { host: HOST, commit: 'abcdef123456', dirty: false, versions: { janus: '1.1.2-1' }, cpus: { server: '0', generator: '0' }, build: '/nowhere', peers: [], set: {}, duration: null, repeats: null, smoke: false };

/** Runs a made scenario; `steps` collects progress. */
export const run = (made, options = {}, { signal = new AbortController().signal, steps = [] } = {}) =>
    runScenario(made, { ...MEANS, ...options }, { signal, progress: { step: (where, text) => steps.push({ ...where, text }) } });

/** A run as the history keeps it. */
export const history = (results, more = {}) => ({ schema: 1, started: '2026-01-02T03:04:05.678Z', commit: 'abcdef123456', dirty: false, host: HOST, versions: MEANS.versions, seconds: 100, file: '20260102T030405Z-abcdef123456.json', results, ...more });
