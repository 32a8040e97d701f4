// What the forwarding unit must reach, row by row: from the results of bench/sfu to a table of figures, targets and verdicts.
// Nothing is measured here. A verdict is true, false, or null where a figure is missing; then `note` says why.
import { median, pairedRatios } from './stats.mjs';
import { number } from './table.mjs';

/** A packet may cost so much more at the next number of subscribers before that is called rising: less is within the noise. */
const FLAT = 1.05;

const samplesOf = (result, name, variant) =>
    (result?.contenders[name]?.samples ?? []).filter((s) => variant === undefined || s.variant === variant);
const good = (samples) => samples.filter((s) => s.valid);

/** A figure by repeat, NaN where the repeat doesn't count. */
function byRepeat(samples, figure) {
    const values = [];
    for (const s of samples) values[s.repeat] = s.valid ? (s.figures[figure] ?? NaN) : NaN;
    return Array.from(values, (v) => v ?? NaN);
}

const medianOf = (result, name, figure, variant) => median(good(samplesOf(result, name, variant)).map((s) => s.figures[figure]));

function whyNot(result, names, variant) {
    if (!result) return 'not measured';
    for (const name of names) {
        const all = samplesOf(result, name, variant);
        if (all.length === 0) return `${name} was not measured`;
        if (good(all).length === 0) return `${name}: ${all[0].why}`;
    }
    return 'no repeat in which both count';
}

/** One line: ours over theirs in a figure, the median over repeats in which both count. */
function ratioLine(result, { what, figure, peer, most, least, unit, variant }) {
    const [ours, theirs] = ['ours', peer].map((name) => samplesOf(result, name, variant));
    const ratios = pairedRatios(byRepeat(ours, figure), byRepeat(theirs, figure));
    const target = most !== undefined ? `≤ ${number(most)} × ${peer}` : `≥ ${number(least)} × ${peer}`;
    if (ratios.length === 0) return { what, target, value: '–', reached: null, note: whyNot(result, ['ours', peer], variant) };
    const ratio = median(ratios);
    const shown = ['ours', peer].map((name) => `${number(medianOf(result, name, figure, variant))}${unit ? ` ${unit}` : ''}`).join(' against ');
    return { what, target, ratio, repeats: ratios.length, value: `${number(ratio)} × (${shown})`, reached: most !== undefined ? ratio <= most : ratio >= least };
}

const cost = (result, what, peer, most, variant) => ratioLine(result, { what, figure: 'cpu_ns_per_packet', peer, most, unit: 'ns', variant });

function capacityLine(result) {
    const line = ratioLine(result, { what: 'subscribers one core carries at < 0.1 % loss', figure: 'subscribers', peer: 'janus', least: 3 });
    const bounded = good(samplesOf(result, 'ours')).filter((s) => s.at_least).length;
    if (bounded > 0) line.note = `ours is a lower bound in ${bounded} of ${samplesOf(result, 'ours').length} repeats: the generator was at its end, not the server`;
    const theirs = good(samplesOf(result, 'janus')).filter((s) => s.at_least).length;
    if (theirs > 0) Object.assign(line, { reached: null, note: `Janus was not brought to its end in ${theirs} repeats` });
    return line;
}

/** Everything that was lost inside of our server in the windows of these rows, whether they count or not. */
function lossLine(results) {
    const what = 'loss inside the server below saturation';
    const all = ['gcm', 'cm', 'meetings', 'growth'].flatMap((key) => samplesOf(results[key], 'ours')).filter((s) => s.inside !== undefined);
    const below = all.filter((s) => s.server.cores_busy < 0.9);
    if (below.length === 0) return { what, target: '0 packets', value: '–', reached: null, note: 'not measured' };
    const places = {};
    for (const s of below) for (const [where, n] of Object.entries(s.inside)) places[where] = (places[where] ?? 0) + n;
    const inside = Object.values(places).reduce((a, b) => a + b, 0);
    const gaps = below.reduce((sum, s) => sum + s.lost_packets, 0);
    const packets = below.reduce((sum, s) => sum + s.units, 0);
    const note = [...Object.entries(places).map(([where, n]) => `${where}: ${n}`), ...(gaps > 0 ? [`${gaps} missing at the endpoints`] : [])].join('; ');
    return { what, target: '0 packets', value: `${Math.max(inside, gaps)} of ${number(packets)} packets in ${below.length} windows`, reached: inside === 0 && gaps === 0, ...(note && { note }) };
}

function memoryLine(result) {
    const what = 'memory a subscriber, without the cache';
    const kib = medianOf(result, 'ours', 'memory_kib');
    if (kib === null) return { what, target: '≤ 64 KiB', value: '–', reached: null, note: whyNot(result, ['ours']) };
    const theirs = medianOf(result, 'janus', 'memory_kib');
    return { what, target: '≤ 64 KiB', value: `${number(kib)} KiB${theirs === null ? '' : ` (janus ${number(theirs)} KiB)`}`, reached: kib <= 64 };
}

function growthLine(result) {
    const what = 'cost a packet as subscribers grow 10 → 400';
    const points = (result?.variants ?? []).map((v) => ({ n: v.params.subscribers, ns: medianOf(result, 'ours', 'cpu_ns_per_packet', v.key) })).sort((a, b) => a.n - b.n);
    const line = { what, target: 'flat or falling' };
    if (points.length < 2 || points.some((p) => p.ns === null)) return { ...line, value: '–', reached: null, note: whyNot(result, ['ours'], result?.variants?.find((v) => medianOf(result, 'ours', 'cpu_ns_per_packet', v.key) === null)?.key) };
    const rises = points.slice(1).filter((p, i) => p.ns > points[i].ns * FLAT);
    const whole = points[0].n <= 10 && points.at(-1).n >= 400;
    return {
        ...line, value: points.map((p) => `${p.n}: ${number(p.ns)} ns`).join(', '), reached: rises.length > 0 ? false : whole ? true : null,
        ...(rises.length > 0 ? { note: `rises by more than ${number(100 * (FLAT - 1))} % towards ${rises.map((p) => p.n).join(', ')}` } : !whole && { note: 'not all of 10 to 400 was measured' }),
    };
}

function freezeLine(result) {
    const what = 'a bad link, Chromium watching simulcast: freezes';
    const sums = ['ours', 'janus', 'janus-set'].map((name) => {
        const all = good(samplesOf(result, name));
        const total = (figure) => all.reduce((sum, s) => sum + s.figures[figure], 0);
        return { n: all.length, freezes: total('freezes'), seconds: total('frozen_s') };
    });
    const [ours, janus, set] = sums;
    if (ours.n === 0 || janus.n === 0) return { what, target: 'fewer than janus', value: '–', reached: null, note: whyNot(result, ['ours', 'janus']) };
    const each = (s) => `${number(s.freezes / s.n)} (${number(s.seconds / s.n)} s)`;
    const note = set.n > 0 ? `Janus told the layer that fits by hand: ${each(set)}` : undefined;
    return { what, target: 'fewer than janus', value: `${each(ours)} against ${each(janus)}`, reached: ours.freezes / ours.n < janus.freezes / janus.n, ...(note && { note }) };
}

function fittingLine(result) {
    const what = 'a bad link: frames of the layer that fits';
    const share = medianOf(result, 'ours', 'fitting_percent');
    if (share === null) return { what, target: '≥ 95 %', value: '–', reached: null, note: whyNot(result, ['ours']) };
    const theirs = medianOf(result, 'janus', 'fitting_percent');
    return { what, target: '≥ 95 %', value: `${number(share)} %${theirs === null ? '' : ` (janus ${number(theirs)} %)`}`, reached: share >= 95 };
}

/**
 * The table of the rows that were measured.
 * @param {Record<string, object>} results by row key (gcm, cm, meetings, …)
 * @returns {{row: string, what: string, target: string, value: string, reached: boolean|null, note?: string}[]}
 */
export function verdicts(results) {
    const lines = {
        gcm: (r) => [
            cost(r, '1 → 100, AES-128-GCM, over the floor', 'floor', 1.3),
            cost(r, '1 → 100, AES-128-GCM, over Janus tuned', 'janus', 1 / 3.5),
            cost(r, '1 → 100, AES-128-GCM, over Janus as installed', 'janus-installed', 1 / 6),
            ...['p50', 'p99'].map((q) => ratioLine(r, { what: `added latency at 1 → 100, ${q}`, figure: `latency_${q}_ms`, peer: 'janus', most: 1 / 3, unit: 'ms' })),
        ],
        cm: (r) => [cost(r, '1 → 100, AES128_CM_SHA1_80', 'janus', 1 / 4)],
        meetings: (r) => (r.variants ?? []).map((v) => cost(r, `meeting of ${v.params.people}`, 'janus', 1 / 3, v.key)),
        capacity: (r) => [capacityLine(r)],
        memory: (r) => [memoryLine(r)],
        growth: (r) => [growthLine(r)],
        link: (r) => [freezeLine(r), fittingLine(r)],
    };
    const out = Object.entries(lines).filter(([key]) => results[key]).flatMap(([row, of]) => of(results[row]).map((line) => ({ row, ...line })));
    if (['gcm', 'cm', 'meetings', 'growth'].some((key) => results[key])) out.push({ row: 'loss', ...lossLine(results) });
    return out;
}

/** "reached", "NOT reached", or "no figure". */
export const verdictText = (reached) => (reached === null ? 'no figure' : reached ? 'reached' : 'NOT reached');
