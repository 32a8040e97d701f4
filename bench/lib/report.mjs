// docs/bench/results.md: the page that is made of the newest file of the history, and of nothing else.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capacityBlocks } from './capacity.mjs';
import { compareAll } from './compare.mjs';
import * as history from './history.mjs';
import { ROOT } from './host.mjs';
import { replaceBlocks } from './markers.mjs';
import { drawAll, plotsOf } from './plots.mjs';
import { clock } from './progress.mjs';
import { readmeBlock } from './readme.mjs';
import { loadScenarios } from './scenarios.mjs';
import { MIN_NOISE } from './stats.mjs';
import { markdownTable, number, peerOf, percent, quantity, ratioText, titleOf } from './table.mjs';

export const PAGE = join(ROOT, 'docs/bench/results.md');

export const dateOf = (iso) => `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
const anchor = (text) => text.toLowerCase().replace(/[^a-z0-9 -]/g, '').replaceAll(' ', '-');
const heading = (r) => `${r.scenario}: ${r.title}`;
const withUnit = ({ title, unit }) => (unit ? `${title} (${unit})` : title);

/** Words for whether a result counts. */
const validText = (r) => (r.waits_for ? `waits for ${r.waits_for}` : r.valid ? 'yes' : 'NO');

/** "Janus, tuned 0.41; Janus, as installed 0.22"; of a waiting scenario, what the others do. */
function peersText(r) {
    const main = r.described[r.main];
    const parts = r.waits_for
        ? Object.entries(r.contenders).filter(([, c]) => c.valid).map(([name, c]) => `${titleOf(name)}: ${quantity(c.figures[r.main], main.unit)}`)
        : Object.entries(r.ratios).filter(([k]) => k !== 'vs_floor').map(([k, v]) => `${titleOf(peerOf(k))} **${ratioText(v)}**`);
    return parts.join('; ') || '–';
}

function headlineTable(results) {
    const head = ['scenario', 'main figure', 'ours', 'over the floor', 'over peers', 'better', 'noise', 'valid'];
    const rows = results.map((r) => {
        const main = r.described[r.main];
        return [`[${r.scenario}](#${anchor(heading(r))})`, main.title, quantity(r.figures[r.main], main.unit), ratioText(r.ratios.vs_floor), peersText(r), r.better, `± ${percent(Math.max(r.noise, MIN_NOISE))}`, validText(r)];
    });
    return markdownTable(head, rows, { right: [2, 3, 6] });
}

/** What got worse or better since the last run, first of all. */
function changes(verdicts) {
    const told = verdicts.filter((v) => v.verdict === 'regression' || v.verdict === 'improvement');
    const compared = verdicts.filter((v) => v.verdict !== 'none').length;
    const lines = ['## Since the last run', ''];
    if (compared === 0) return [...lines, 'Nothing to compare with: no earlier run with these parameters on such a host.', ''];
    if (told.length === 0) return [...lines, `No change beyond the noise in ${compared} ${compared === 1 ? 'scenario' : 'scenarios'} that can be compared.`, ''];
    const order = { regression: 0, improvement: 1 };
    return [...lines, ...told.sort((a, b) => order[a.verdict] - order[b.verdict]).map((v) => `- ${v.verdict === 'regression' ? '**Regression**' : 'Improvement'} – ${v.text}`), ''];
}

/** Rows of a scenario's table: one a figure, a column a contender. */
function figureRows(r, names) {
    const of = (read) => names.map((name) => read(r.contenders[name], name));
    const rows = [];
    const row = (title, cells) => cells.some((c) => c !== '–') && rows.push([title, ...cells]);
    const keys = [r.main, ...Object.keys(r.described).filter((k) => k !== r.main)];
    for (const key of keys) {
        const d = r.described[key];
        const title = key === r.main ? `**${withUnit(d)}**` : withUnit(d);
        // What doesn't count is shown, but in parentheses.
        row(title, of((c) => (c.valid || !Number.isFinite(c.figures[key]) ? number(c.figures[key]) : `(${number(c.figures[key])})`)));
        if (key === r.main) row('spread over repeats', of((c) => (Number.isFinite(c.spread[key]) ? `± ${percent(c.spread[key])}` : '–')));
        if (key === r.main) row('ours over theirs', of((_, name) => ratioText(r.ratios[`vs_${name.replaceAll('-', '_')}`])));
    }
    const whats = [...new Set(of((c) => Object.keys(c.latency_us ?? {})).flat())];
    for (const what of whats) {
        for (const q of ['p50', 'p90', 'p99', 'p99.9', 'max']) row(`${what}, ${q}`, of((c) => quantity(c.latency_us?.[what]?.[q], 'us')));
    }
    const cpu = `server CPU a ${r.unit}`;
    if (!keys.some((key) => key.includes('cpu'))) row(cpu, of((c) => quantity(c.server_cpu_per_unit_ns, 'ns')));
    if (!keys.some((key) => key.includes('database'))) row(`its database's CPU a ${r.unit}`, of((c) => quantity(c.database_cpu_per_unit_ns, 'ns')));
    const told = (word) => keys.some((key) => key.includes(word)); // by a figure of the scenario's own
    if (!told('per_s')) row(`${r.unit}s a second`, of((c) => number(c.throughput)));
    if (!told('loss')) row('loss', of((c) => percent(c.loss)));
    if (!told('memory')) row(`memory a ${r.unit}`, of((c) => quantity(c.memory_per_unit_bytes, 'bytes')));
    row('memory of the server', of((c) => quantity(c.rss_bytes, 'bytes')));
    row('cores the server was busy', of((c) => number(c.cores_busy)));
    row('generator busy (of one core)', of((c) => percent(c.generator?.busy)));
    row('repeats that count', of((c) => `${c.counted} of ${c.of}`));
    return rows;
}

const paramsText = (params) => Object.entries(params).map(([k, v]) => `${k} ${v}`).join(', ');

/** A table a variant and contender: for call-setup this is the table of paths. */
function variantTable(r, names) {
    const used = Object.keys(r.described).filter((key) => r.variants.some((v) => names.some((n) => Number.isFinite(v.contenders[n]?.figures[key]))));
    const rows = r.variants.flatMap((v) => names.filter((n) => v.contenders[n]?.of > 0).map((n) => {
        const c = v.contenders[n];
        const state = c.valid ? 'yes' : `no: ${c.why}`;
        return [`${v.key} (${paramsText(v.params)})`, n, ...used.map((key) => number(c.figures[key])), state];
    }));
    return markdownTable(['variant', 'contender', ...used.map((k) => withUnit(r.described[k])), 'counts'], rows, { right: used.map((_, i) => i + 2) });
}

/** The part of a page about one result: its table, variants, fairness and plots. */
export function section(r, run, plots) {
    const names = Object.keys(r.contenders);
    const lines = [`### ${heading(r)}`, '', r.about, ''];
    if (r.waits_for) lines.push(`Ours waits for ${r.waits_for}; here is what the others do, measured as it will be.`, '');
    if (!r.valid) lines.push(`**This run does not count**: ${r.why}.`, '');
    else if (r.why) lines.push(`Left out: ${r.why}.`, '');
    lines.push(...markdownTable(['', ...names], figureRows(r, names), { right: names.map((_, i) => i + 1) }), '');
    if (r.variants?.length > 1) lines.push(...variantTable(r, names), '');
    const when = r.commit === run.commit && !r.carried ? '' : `; measured ${dateOf(r.started)} at ${r.commit}${r.dirty ? ' (changed)' : ''}`;
    lines.push(`Parameters: ${paramsText(r.params)}; ${r.repeats} ${r.repeats === 1 ? 'repeat' : 'repeats'}; took ${clock(r.seconds)}${when}.`, '');
    if (r.fairness?.length) lines.push('Fairness:', '', ...r.fairness.map((f) => `- ${f}`), '');
    for (const plot of plots.filter((p) => p.scenario === r.scenario)) lines.push(`![${plot.title}](${plot.name}.svg)`, '');
    return lines;
}

const READ = `## How to read this

- **Ratio**: ours over theirs in the main figure of the scenario, taken within the same repeat, the median over repeats. Where
  less is better, 0.5 is half of what they need; where more is better, 2 is twice of what they do.
- **Floor**: the least that this machine can do for such work, by a program that does nothing else (AEAD and segmented sends,
  the same rows by pgbench, sendfile). Nothing can be below it by merit; how far above it we are is what we can still win.
- **Contenders** take turns: each repeat measures all of them, in rotated order, so that what disturbs the machine for a
  minute disturbs each of them in turn. Figures are medians over the repeats that count.
- **Noise** is half the range over the repeats of our main figure over the floor's (of the figure itself where there is no
  floor), as a share of the median, and never stated below 20 % (25 % where it was measured once): on a shared machine two runs of one
  commit differed by up to 16 %. Smaller differences between two runs are no differences.
- **Valid**: a repeat doesn't count when the generator's busiest thread used more than 90 % of a core, when packets or
  answers were lost or wrong where none may be, or when not everyone was connected. A contender counts when more than half of
  its repeats do. What doesn't count is told, and has no ratio.
- **Latency** counts from when a packet, message, call or transfer was due, wherever the load is an open loop: a server that
  is slow leaves nothing out. Where a closed loop asks (recoveries, transfers without a rate), it is what was asked that is timed.
- **CPU** is user and system time from /proc, of all processes of the server, its database beside it where it has one.`;

const NOT = `## What these figures are not

- Not a big machine's: generator and servers share one host, the server on one core and the generator on another. They share
  caches, memory and the kernel's loopback with each other; a real network card costs other things than loopback does.
- Not the network's: nothing here leaves the host, but for what the impairment relay adds on purpose.
- Not a verdict on the peers: each is Debian's package, tuned as its own documentation advises (bench/peers), and measured at
  the one thing that we do, too. They do many things that we don't. Where something favours one side, it stands under the table.
- Not comparable across hosts: compare ratios, and only those of the same run.`;

/** The page's text. `verdicts` come from comparing with earlier runs; `plots` are plotsOf(run). */
export function renderPage(run, verdicts, plots) {
    const versions = Object.entries(run.versions ?? {}).map(([k, v]) => `${k} ${v}`).join(', ');
    const invalid = run.results.filter((r) => !r.valid);
    return [
        '# Results of the bench harness', '',
        `<!-- Written by bench/report from history/${run.file}. What you type here is lost. -->`, '',
        `${dateOf(run.started)}, commit ${run.commit}${run.dirty ? ' (changed)' : ''}, in ${clock(run.seconds)} min. ${run.host.cores} cores of ${run.host.cpu}, Linux ${run.host.kernel}, ${run.host.distribution}.`,
        'Do it yourself: `make bench`, or one scenario with `bench/run` ([how](../../bench/README.md)).', '',
        ...changes(verdicts),
        '## At a glance', '',
        ...headlineTable(run.results), '',
        ...(invalid.length ? [`**Not valid: ${invalid.map((r) => r.scenario).join(', ')}**; why is told in the section.`, ''] : []),
        ...plots.filter((p) => !p.scenario).flatMap((p) => [`![${p.title}](${p.name}.svg)`, '']),
        '## Scenario by scenario', '',
        ...run.results.flatMap((r) => section(r, run, plots)),
        READ, '', NOT, '',
        '## Versions', '', versions || 'No package versions were recorded.', '',
        '[history/](history) has every run that was kept; schema and rules are told in [bench/README.md](../../bench/README.md).', '',
    ].join('\n');
}

/** What every generated file should hold, from the newest run: [{ file, text }], or null without a history. */
export async function renderAll(dir = history.HISTORY) {
    const run = history.newest(dir);
    if (!run) return null;
    const { scenarios } = await loadScenarios();
    const verdicts = compareAll(run.results, history.earlier(dir, run.file));
    const page = renderPage(run, verdicts, plotsOf(run, scenarios));
    const files = [{ file: PAGE, text: page }];
    for (const [name, blocks] of [['README.md', { bench: readmeBlock(run) }], ['docs/capacity.md', capacityBlocks(run)]]) {
        const file = join(ROOT, name);
        files.push({ file, text: replaceBlocks(name, readFileSync(file, 'utf8'), blocks) });
    }
    return { run, scenarios, files };
}

/** Writes the page, the plots, README's and capacity's blocks; returns the paths. */
export async function writeAll() {
    const all = await renderAll();
    if (!all) return [];
    for (const { file, text } of all.files) writeFileSync(file, text);
    const plots = await drawAll(all.run, join(ROOT, 'docs/bench'), all.scenarios);
    return [...all.files.map(({ file }) => file), ...plots].map((file) => file.slice(ROOT.length));
}

/** The generated files that differ from what the newest run makes of them, and the plots that the page names but that aren't there. */
export async function checkAll() {
    const all = await renderAll();
    if (!all) return [];
    const read = (file) => {
        try {
            return readFileSync(file, 'utf8');
        } catch {
            return '';
        }
    };
    const faults = all.files.filter(({ file, text }) => read(file) !== text).map(({ file }) => `${file.slice(ROOT.length)} is not what bench/report makes of ${all.run.file}`);
    for (const { name } of plotsOf(all.run, all.scenarios)) if (!read(join(ROOT, 'docs/bench', `${name}.svg`)).includes('<svg')) faults.push(`docs/bench/${name}.svg is missing`);
    return faults;
}
