// The plots of the page: Vega-Lite specifications with their data inside, drawn to SVG without a browser.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { firstLatency, number, peerOf, ratioText } from './table.mjs';

/** One colour a contender on every plot; all stand out on white. */
const COLOURS = {
    ours: '#1d4ed8', floor: '#6b7280', janus: '#c2410c', 'janus-installed': '#d97706', ejabberd: '#15803d', nginx: '#15803d', vips: '#a21caf',
    coturn: '#b45309', 'coturn-installed': '#b45309', 'floor-single': '#94a3b8', 'ejabberd-unmanaged': '#65a30d',
};
const SPARE = ['#be123c', '#0f766e', '#7c3aed', '#4d7c0f', '#9f1239'];
const INK = '#1f2937';
const QUIET = '#6b7280';
const WIDTH = 520;
const HEIGHT = 280;

/** Contender → colour, the same for the same list. */
export function coloursOf(names) {
    let spare = 0;
    return names.map((name) => COLOURS[name] ?? SPARE[spare++ % SPARE.length]);
}

/**
 * The frame of every plot: white ground, so that it reads on light and dark pages, quiet axes, the system's font.
 * `title` may be a text or { text, subtitle }.
 */
export function themed({ title, config, ...spec }) {
    const text = typeof title === 'string' ? { text: title } : title;
    return {
        $schema: 'https://vega.github.io/schema/vega-lite/v5.json', background: '#ffffff', padding: 18, width: WIDTH, height: HEIGHT,
        ...spec,
        ...(title && { title: { anchor: 'start', fontSize: 15, fontWeight: 600, color: INK, subtitleColor: QUIET, subtitleFontSize: 12, subtitlePadding: 4, offset: 16, ...text } }),
        config: {
            font: 'system-ui, sans-serif', view: { stroke: null }, line: { strokeWidth: 2.2 }, text: { fontSize: 12, font: 'system-ui, sans-serif' },
            axis: { labelColor: QUIET, titleColor: INK, titleFontWeight: 400, labelFontSize: 11, titleFontSize: 12, titlePadding: 8, gridColor: '#e5e7eb', domainColor: '#9ca3af', tickColor: '#9ca3af' },
            ...config,
        },
    };
}

const colourBy = (names) => ({ field: 'name', type: 'nominal', scale: { domain: names, range: coloursOf(names) }, legend: null });

/** Powers of ten around the values, with 1-2-5 ticks: a logarithmic axis whose labels are times. */
function timeAxis(values, what = 'latency') {
    const low = Math.min(...values);
    const high = Math.max(...values);
    const ticks = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) for (const m of [1, 2, 5]) ticks.push(Number((m * 10 ** p).toPrecision(2)));
    const inside = ticks.filter((t) => t >= low * 0.8 && t <= high * 1.25);
    const label = "datum.value < 1 ? format(datum.value * 1000, '~r') + ' µs' : datum.value < 1000 ? format(datum.value, '~r') + ' ms' : format(datum.value / 1000, '~r') + ' s'";
    return { field: 'ms', type: 'quantitative', scale: { type: 'log', nice: false }, axis: { title: `${what} (logarithmic)`, values: inside.length > 9 ? inside.filter((t) => /^[0.]*1[0.]*$/.test(String(t))) : inside, labelExpr: label, grid: false } };
}

const millis = (us) => (us < 1000 ? `${number(us)} µs` : us < 1e6 ? `${number(us / 1000)} ms` : `${number(us / 1e6)} s`);

/** A legend of words in the lines' colours, right of the plot. */
function legendLayers(names, lines) {
    const colours = coloursOf(names);
    return names.flatMap((_, i) => lines[i].map((text, k) => ({
        data: { values: [{}] },
        mark: { type: 'text', align: 'left', baseline: 'top', fontWeight: k === 0 ? 600 : 400, fontSize: k === 0 ? 12 : 11 },
        encoding: { x: { value: WIDTH + 16 }, y: { value: 4 + i * 42 + k * 16 }, text: { value: text }, color: { value: k === 0 ? colours[i] : QUIET } },
    })));
}

/** Latency of a scenario: how many got it within what time, a line a contender. Null where nobody measured any. */
export function cdfPlot(result) {
    const rows = [];
    const legend = [];
    for (const [name, c] of Object.entries(result.contenders)) {
        const [what, h] = firstLatency(c) ?? [];
        const points = c.valid && h?.cdf ? h.cdf.filter(([us]) => us > 0).map(([us, share]) => ({ name, what, ms: us / 1000, share })) : [];
        if (points.length < 2) continue;
        rows.push(...points);
        legend.push({ name, lines: [name, `p50 ${millis(h.p50)}, p99 ${millis(h.p99)}`] });
    }
    if (rows.length === 0) return null;
    const names = legend.map((l) => l.name);
    const line = {
        data: { values: rows }, mark: { type: 'line', interpolate: 'monotone', clip: true },
        encoding: { x: timeAxis(rows.map((r) => r.ms)), y: { field: 'share', type: 'quantitative', scale: { domain: [0, 1] }, axis: { format: '%', title: 'share within that time', tickCount: 5 } }, color: colourBy(names) },
    };
    return {
        name: `${result.scenario}-cdf`, title: `${result.title}: latency`,
        spec: themed({ title: { text: `${result.title}: latency`, subtitle: `${rows[0].what}, the middle repeat of each contender; further left is better` }, layer: [line, ...legendLayers(names, legend.map((l) => l.lines))] }),
    };
}

// Labels at line ends that would lie on each other are moved apart, on an axis of `span`.
function apart(ends, span) {
    const gap = span * 0.065;
    const sorted = [...ends].sort((a, b) => a.at - b.at);
    for (let i = 1; i < sorted.length; i++) sorted[i].at = Math.max(sorted[i].at, sorted[i - 1].at + gap);
    return sorted;
}

/** Numeric parameters that the variants vary, each with the longest row of variants that differ in nothing else. */
export function axesOf(result) {
    const variants = (result.variants ?? []).map((variant) => ({ variant, full: { ...result.params, ...variant.params } }));
    const varied = [...new Set(variants.flatMap(({ variant }) => Object.keys(variant.params)))];
    return varied.filter((key) => variants.every(({ full }) => typeof full[key] === 'number')).map((key) => {
        const groups = new Map();
        for (const { variant, full } of variants) {
            const others = JSON.stringify(varied.filter((k) => k !== key).map((k) => full[k]));
            groups.set(others, [...(groups.get(others) ?? []), { x: full[key], variant }]);
        }
        const points = [...groups.values()].sort((a, b) => b.length - a.length)[0].sort((a, b) => a.x - b.x);
        const fixed = varied.filter((k) => k !== key).map((k) => `${k} ${{ ...result.params, ...points[0].variant.params }[k]}`);
        return { key, points, fixed };
    }).filter(({ points }) => new Set(points.map((p) => p.x)).size > 1);
}

/** The main figure over a parameter that the variants vary, a line a contender. */
export function variantPlot(result, { key, points, fixed }) {
    const { title, unit } = result.described[result.main];
    const rows = points.flatMap(({ x, variant }) => Object.entries(variant.contenders)
        .filter(([, c]) => c.valid && Number.isFinite(c.figures[result.main])).map(([name, c]) => ({ name, x, y: c.figures[result.main] })));
    if (rows.length === 0) return null;
    const names = [...new Set(rows.map((r) => r.name))];
    const top = Math.max(...rows.map((r) => r.y)) * 1.05;
    const ends = apart(names.map((name) => { const own = rows.filter((r) => r.name === name); return { name, at: own.at(-1).y }; }), top);
    const xs = points.map((p) => p.x);
    const wide = Math.max(...xs) / Math.max(1, Math.min(...xs)) > 20;
    const y = { field: 'y', type: 'quantitative', scale: { domain: [0, Math.max(top, ...ends.map((e) => e.at))], nice: true }, axis: { title: `${title} (${unit})`, tickCount: 5, format: ',.4~r' } };
    const x = { field: 'x', type: 'quantitative', scale: { type: wide ? 'log' : 'linear', zero: false, nice: false }, axis: { title: `${key.replaceAll('_', ' ')}${wide ? ' (logarithmic)' : ''}`, values: xs, grid: false, format: ',.4~r' } };
    return {
        name: `${result.scenario}-${key.replaceAll('_', '-')}`, title: `${title} over ${key}`,
        spec: themed({
            title: { text: `${title} over ${key.replaceAll('_', ' ')}`, subtitle: [...fixed, result.repeats > 1 ? `median of ${result.repeats} repeats` : 'measured once', `${result.better === 'less' ? 'lower' : 'higher'} is better`].join('; ') },
            layer: [
                { data: { values: rows }, mark: { type: 'line', point: { filled: true, size: 46 } }, encoding: { x, y, color: colourBy(names) } },
                { data: { values: ends }, mark: { type: 'text', align: 'left', fontWeight: 600 }, encoding: { x: { value: WIDTH + 12 }, y: { field: 'at', type: 'quantitative' }, text: { field: 'name' }, color: colourBy(names) } },
            ],
        }),
    };
}

/** Ours over theirs for all scenarios, turned so that left of 1 is better everywhere. Null while there is no ratio. */
export function ratiosPlot(results) {
    const rows = results.filter((r) => r.valid).flatMap((r) => Object.entries(r.ratios).map(([key, ratio]) => {
        const turned = r.better === 'more' ? 1 / ratio : ratio;
        const name = peerOf(key);
        return { label: `${r.scenario} / ${name}`, name, from: 1, to: turned, text: `${ratioText(ratio)}${r.better === 'more' ? ' (more is better)' : ''}`, toward: turned < 1 ? 'left' : 'right' };
    }));
    if (rows.length === 0) return null;
    const names = [...new Set(rows.map((r) => r.name))];
    const all = rows.map((r) => r.to);
    const domain = [Math.min(0.5, ...all) / 1.7, Math.max(2, ...all) * 1.7];
    const ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].filter((t) => t >= domain[0] && t <= domain[1]);
    const y = { field: 'label', type: 'nominal', sort: null, axis: { title: null, labelLimit: 320, labelFontSize: 12, labelColor: INK, domain: false, ticks: false, labelPadding: 10 } };
    const axis = (field) => ({ field, type: 'quantitative', scale: { type: 'log', domain, nice: false }, axis: { title: 'ours over theirs (logarithmic); left of 1, Sotto needs less or does more', values: ticks, format: '~r' } });
    const text = (side, align, dx) => ({ transform: [{ filter: `datum.toward === '${side}'` }], mark: { type: 'text', align, dx, fontSize: 11, color: QUIET }, encoding: { y, x: axis('to'), text: { field: 'text' } } });
    return {
        name: 'ratios', title: 'Sotto over its peers and the floor',
        spec: themed({
            title: { text: 'Sotto over its peers and the floor', subtitle: 'main figure of each scenario, median over repeats of the ratio within the same repeat' },
            height: { step: 24 }, data: { values: rows },
            layer: [
                { mark: { type: 'bar', height: 12, cornerRadius: 2 }, encoding: { y, x: axis('from'), x2: { field: 'to' }, color: colourBy(names) } },
                { data: { values: [{ one: 1 }] }, mark: { type: 'rule', color: INK, strokeWidth: 1 }, encoding: { x: { field: 'one', type: 'quantitative' } } },
                text('left', 'right', -6), text('right', 'left', 6),
            ],
        }),
    };
}

/** A scenario's own specification in the page's colours: a nominal colour over contenders gets theirs. */
function coloured(spec) {
    const walk = (node, data) => {
        if (Array.isArray(node)) return node.map((n) => walk(n, data));
        if (node === null || typeof node !== 'object') return node;
        const values = node.data?.values ?? data;
        const out = Object.fromEntries(Object.entries(node).map(([k, v]) => [k, k === 'values' ? v : walk(v, values)]));
        const color = out.encoding?.color;
        const names = color?.field && !color.scale ? [...new Set((values ?? []).map((v) => v[color.field]))] : [];
        if (names.length > 0 && names.every((n) => n in COLOURS)) {
            if (out.encoding.strokeDash?.field === color.field) delete out.encoding.strokeDash; // one legend is enough
            out.encoding.color = { ...color, scale: { domain: names, range: coloursOf(names) }, legend: { title: null, symbolStrokeWidth: 3, labelFontSize: 12, ...color.legend } };
        }
        return out;
    };
    return walk(spec, null);
}

/** Plots whose names begin so belong to docs/bench/sfu.md (bench/sfu), and are not drawn or removed with the others. */
export const SFU_PLOTS = 'forwarding-';

/** All plots of a run: the standard ones, and what scenarios add by `plots(result)` under other names; each with its scenario. */
export function plotsOf({ results }, scenarios = []) {
    const plots = [ratiosPlot(results)].filter(Boolean);
    for (const result of results.filter((r) => r.valid)) {
        const own = scenarios.find((s) => s.name === result.scenario)?.plots?.(result) ?? [];
        const standard = [...axesOf(result).map((axis) => variantPlot(result, axis)), cdfPlot(result)].filter(Boolean);
        const fresh = own.filter((p) => !standard.some((s) => s.name === p.name)).map(({ spec, ...plot }) => ({ ...plot, spec: themed(coloured(spec)) }));
        plots.push(...[...standard, ...fresh].map((plot) => ({ ...plot, scenario: result.scenario })));
    }
    return plots;
}

/** One specification to SVG text. */
export async function toSvg(spec) {
    const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
    const quiet = { level() { return this; }, warn() { return this; }, info() { return this; }, debug() { return this; }, error(...args) { throw new Error(args.join(' ')); } };
    const view = new vega.View(vega.parse(compile(spec, { logger: quiet }).spec), { renderer: 'none' });
    try {
        return `${await view.toSVG()}\n`;
    } finally {
        view.finalize();
    }
}

/** Draws a run's plots into a folder, removing SVG files of plots that are no more; returns the paths. */
export async function drawAll(run, dir, scenarios = []) {
    mkdirSync(dir, { recursive: true });
    const files = [];
    for (const { name, spec } of plotsOf(run, scenarios)) {
        try {
            const svg = await toSvg(spec);
            files.push(join(dir, `${name}.svg`));
            writeFileSync(files.at(-1), svg);
        } catch (error) {
            process.stderr.write(`plot ${name} can't be drawn: ${error.message}\n`); // the others, and the page, are worth having
        }
    }
    for (const f of readdirSync(dir)) if (f.endsWith('.svg') && !f.startsWith(SFU_PLOTS) && !files.includes(join(dir, f))) rmSync(join(dir, f));
    return files;
}
