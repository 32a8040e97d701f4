// Two runs held against each other. Compared is the main figure normalised by the floor of the same repeats (what made the
// whole machine slower made the floor slower, too); without a floor, the figure itself. A difference is a change only
// beyond the noise of both runs, and never below MIN_NOISE.
import { MIN_NOISE } from './stats.mjs';

const same = (a, b) => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
const sorted = (o) => Object.fromEntries(Object.entries(o ?? {}).sort(([a], [b]) => a.localeCompare(b)));
const hostKey = (h) => `${h.cpu}|${h.cores}|${h.kernel}`;

/** The last result that can be compared with this one: same scenario, parameters and host, valid. */
export const counterpart = (result, runs) =>
    runs.flatMap((run) => run.results.map((r) => ({ ...r, file: run.file })))
        .find((r) => r.scenario === result.scenario && r.valid && !r.carried && r.main === result.main && hostKey(r.host) === hostKey(result.host) && same(r.params, result.params)) ?? null;

/** The figure that is compared, of one result. */
function normalised(r, byFloor) {
    return byFloor ? r.ratios.vs_floor : r.figures[r.main];
}

/**
 * @returns {{scenario: string, verdict: 'regression'|'improvement'|'same'|'none', change?: number, noise?: number, by?: string, text: string}}
 */
export function compareOne(now, before) {
    const none = (why) => ({ scenario: now.scenario, verdict: 'none', text: `${now.scenario}: not compared, ${why}` });
    if (!now.valid) return none('this run is not valid');
    if (now.waits_for) return none(`it waits for ${now.waits_for}`);
    if (!before) return none('no earlier run with these parameters on such a host');
    const byFloor = [now, before].every((r) => Number.isFinite(r.ratios.vs_floor));
    const [a, b] = [normalised(before, byFloor), normalised(now, byFloor)];
    if (!(a > 0) || !(b > 0)) return none('a main figure is missing');
    const change = b / a - 1;
    const noise = Math.max(now.noise, before.noise, MIN_NOISE);
    const worse = now.better === 'less' ? change > 0 : change < 0;
    const verdict = Math.abs(change) <= noise ? 'same' : worse ? 'regression' : 'improvement';
    const by = byFloor ? 'ours over the floor' : now.described[now.main].title;
    const size = `${change > 0 ? '+' : '−'}${Math.abs(change * 100).toFixed(1)} %`;
    const words = { same: 'no change beyond the noise', regression: 'REGRESSION', improvement: 'improvement' }[verdict];
    const figures = ` (${fmt(before.figures[now.main])} → ${fmt(now.figures[now.main])} ${now.described[now.main].unit})`;
    return { scenario: now.scenario, verdict, change, noise, by, before: before.commit, text: `${now.scenario}: ${words}, ${by} ${size} against ${before.commit}, noise ±${(noise * 100).toFixed(0)} %${figures}` };
}
const fmt = (v) => (Number.isFinite(v) ? Number(v.toPrecision(4)).toLocaleString('en-US') : '–');

/** All results of a run against earlier runs (newest first). */
export const compareAll = (results, runs) => results.filter((r) => !r.carried).map((r) => compareOne(r, counterpart(r, runs)));

/** Those that got worse beyond the noise. */
export const regressions = (verdicts) => verdicts.filter((v) => v.verdict === 'regression');
