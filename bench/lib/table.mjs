// Tables and numbers for people: on the terminal and, with the same words, in Markdown.
import { clock } from './progress.mjs';
import { MIN_NOISE } from './stats.mjs';

const width = (text) => [...text.replace(/\x1b\[[0-9;]*m/g, '')].length; // eslint-disable-line no-control-regex

/**
 * Lines of a table whose columns stand under each other.
 * @param {string[]} head
 * @param {string[][]} rows
 * @param {{right?: number[], max?: number}} [o] columns that are aligned to the right; the last column is cut at `max` in total
 */
export function textTable(head, rows, { right = [], max = Infinity } = {}) {
    const all = [head, ...rows];
    const widths = head.map((_, i) => Math.max(...all.map((row) => width(row[i] ?? ''))));
    const cell = (text, i) => (right.includes(i) ? ' '.repeat(widths[i] - width(text)) + text : text + ' '.repeat(widths[i] - width(text)));
    const line = (row) => {
        const text = head.map((_, i) => cell(row[i] ?? '', i)).join('  ').trimEnd();
        return width(text) > max ? `${[...text].slice(0, max - 1).join('')}…` : text;
    };
    return [line(head), widths.map((w) => '─'.repeat(w)).join('  ').slice(0, max), ...rows.map(line)];
}

/** The same in Markdown. */
export function markdownTable(head, rows, { right = [] } = {}) {
    const safe = (row) => `| ${row.map((text) => String(text ?? '').replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
    return [safe(head), `|${head.map((_, i) => (right.includes(i) ? '---:' : '---')).join('|')}|`, ...rows.map(safe)];
}

/** Three digits that say something: 12 345 → "12,300", 0.01234 → "0.0123". */
export function number(value) {
    if (!Number.isFinite(value)) return '–';
    const size = Math.abs(value);
    if (size === 0) return '0';
    if (size >= 1000) {
        const step = 10 ** Math.max(0, Math.floor(Math.log10(size)) - 2);
        return (Math.round(value / step) * step).toLocaleString('en-US');
    }
    return String(Number(value.toPrecision(3)));
}

// Unit → [name, its size, from what on it is used]; a cost in ns stays in ns while it is compared with others in ns.
const SCALES = {
    B: [['GiB', 2 ** 30, 2 ** 30], ['MiB', 2 ** 20, 2 ** 20], ['kiB', 1024, 1024]],
    us: [['s', 1e6, 1e6], ['ms', 1000, 1000]],
    ns: [['s', 1e9, 1e9], ['ms', 1e6, 1e6], ['µs', 1000, 1e5]],
};

/** A value with its unit, scaled where that reads better: bytes, µs and ns; shares in per cent. */
export function quantity(value, unit = '') {
    if (!Number.isFinite(value)) return '–';
    if (unit === 'share' || unit === '%') return `${number(unit === 'share' ? value * 100 : value)} %`;
    if (unit.startsWith('1/')) return `${number(value)}${unit.slice(1)}`;
    const key = { bytes: 'B', 'µs': 'us' }[unit] ?? unit;
    const scale = (SCALES[key] ?? []).find(([, , from]) => Math.abs(value) >= from);
    if (scale) return `${number(value / scale[1])} ${scale[0]}`;
    return `${number(value)}${key ? ` ${key === 'us' ? 'µs' : key}` : ''}`;
}

/** 0.41 → "0.41", 12.3 → "12.3": ratios have two digits after the point below ten. */
export const ratioText = (r) => (Number.isFinite(r) ? (r >= 100 ? r.toFixed(0) : r >= 10 ? r.toFixed(1) : r.toFixed(2)) : '–');
export const percent = (share) => (Number.isFinite(share) ? `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %` : '–');

/** "vs_janus_installed" → "janus-installed" */
export const peerOf = (key) => key.replace(/^vs_/, '').replaceAll('_', '-');

const TITLES = { janus: 'Janus, tuned', 'janus-installed': 'Janus, as installed', 'janus-set': 'Janus, told the layer', floor: 'the floor', vips: 'vipsthumbnail', 'coturn-installed': 'coturn, as installed', ours: 'Sotto' };
/** How a contender is called in sentences. */
export const titleOf = (name) => TITLES[name] ?? name;

/** A contender's best known latency: the first of its histograms. */
export const firstLatency = (c) => Object.entries(c?.latency_us ?? {}).find(([, h]) => h && Number.isFinite(h.p50)) ?? null;

/** The table of --list. */
export function listTable({ scenarios, broken }, stateOf, columns = 160) {
    const rows = scenarios.map((s) => [s.name, s.title, s.contenders.filter((c) => !(s.waitsFor && c === 'ours')).join(' '), stateOf(s)]);
    for (const b of broken) rows.push([b.name, '–', '–', `broken: ${b.why}`]);
    return textTable(['scenario', 'measures', 'contenders', 'state'], rows, { max: columns });
}

/** One result as a block for the terminal. */
export function resultBlock(r) {
    const { title, unit } = r.described[r.main];
    const state = r.valid ? (r.smoke ? 'works (smoke: its figures say nothing)' : 'valid') : 'NOT VALID';
    const lines = ['', `${r.scenario}  ${r.title}  ·  ${state}  ·  noise ±${percent(Math.max(r.noise, MIN_NOISE))}  ·  ${clock(r.seconds)}`];
    const rows = Object.entries(r.contenders).map(([name, c]) => {
        const latency = firstLatency(c)?.[1];
        const ratio = name === 'ours' ? '1' : ratioText(r.ratios[`vs_${name.replaceAll('-', '_')}`]);
        return [name, quantity(c.figures[r.main], unit), c.spread[r.main] === null || c.spread[r.main] === undefined ? '–' : `±${percent(c.spread[r.main])}`, ratio,
            latency ? `${quantity(latency.p50, 'us')} / ${quantity(latency.p99, 'us')}` : '–', percent(c.loss), percent(c.generator?.busy), c.valid ? 'yes' : `no: ${c.why}`];
    });
    const head = ['contender', `${title}${r.better === 'less' ? ' ↓' : ' ↑'}`, 'spread', 'ours/theirs', 'p50 / p99', 'loss', 'generator', 'counts'];
    lines.push(...textTable(head, rows, { right: [1, 2, 3, 4, 5, 6] }).map((line) => `  ${line}`));
    if (!r.valid) lines.push(`  why not valid: ${r.why}`);
    return lines;
}
