import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { capacityBlocks, inputsOf } from '../../bench/lib/capacity.mjs';
import { compareAll } from '../../bench/lib/compare.mjs';
import { earlier, list, newest, read, save } from '../../bench/lib/history.mjs';
import { replaceBlocks } from '../../bench/lib/markers.mjs';
import { axesOf, drawAll, plotsOf } from '../../bench/lib/plots.mjs';
import { readmeBlock } from '../../bench/lib/readme.mjs';
import { renderPage } from '../../bench/lib/report.mjs';
import { HOST, history, run, sample, scenario } from './made.mjs';

const fresh = () => {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-test-'));
    after(() => rmSync(dir, { recursive: true }));
    return dir;
};
const cost = { ours: [5000, 5010, 4990], floor: 2700, janus: 13000, 'janus-installed': 24000 };
const variants = { variants: [10, 50, 100].map((n) => ({ key: `n${n}`, params: { n } })), headline: 'n100' };

async function made() {
    const valid = await run(scenario(cost, { name: 'sfu-broadcast', title: 'One to many', fairness: ['Janus records nothing.'] }));
    const scale = await run(scenario(cost, { ...variants, name: 'sfu-scale', title: 'Cost over subscribers' }));
    const invalid = await run(scenario({ ours: () => sample(1, { valid: false, why: 'lost 3 of 9' }), floor: 5 }, { name: 'login', title: 'Signing in' }));
    const waiting = await run(scenario({ floor: 40, nginx: 70 }, { name: 'upload', title: 'Bytes in', waitsFor: 'media (issue 7)', better: 'more' }));
    return history([valid, scale, invalid, waiting]);
}
const page = (all, runs = []) => renderPage(all, compareAll(all.results, runs), plotsOf(all));

test('the page: ratios, the invalid and the waiting are told as such', async () => {
    const text = page(await made());
    assert.match(text, /\[sfu-broadcast\]\(#sfu-broadcast-one-to-many\) \| CPU a packet \| 5,000 ns \| 1\.85 \| Janus, tuned \*\*0\.38\*\*; Janus, as installed \*\*0\.21\*\* \| less \| ± 30 % \| yes \|/);
    assert.match(text, /\[login\].*\| NO \|/);
    assert.match(text, /\*\*This run does not count\*\*: ours: lost 3 of 9/);
    assert.match(text, /\[upload\].*nginx: 70 ns.*\| waits for media \(issue 7\) \|/);
    assert.match(text, /Ours waits for media \(issue 7\)/);
    assert.match(text, /- Janus records nothing\./);
    assert.match(text, /\| n50 \(n 50\) \| janus \| 13,000 \| yes \|/);
    assert.match(text, /!\[.*\]\(sfu-scale-n\.svg\)/);
    assert.match(text, /## How to read this/);
    assert.match(text, /## What these figures are not/);
    assert.match(text, /2 cores of A CPU, Linux 6\.1\.0/);
    assert.doesNotMatch(text, /undefined|NaN|\[object/);
});

test('a regression stands before the figures', async () => {
    const before = await made();
    const worse = history([await run(scenario({ ...cost, ours: 7000 }, { name: 'sfu-broadcast', title: 'One to many' }))]);
    const text = page(worse, [before]);
    const at = text.indexOf('**Regression** – sfu-broadcast: REGRESSION');
    assert.ok(at > 0 && at < text.indexOf('## At a glance'));
    assert.match(page(before, [before]), /No change beyond the noise in 2 scenarios/);
    assert.match(page(before, []), /Nothing to compare with/);
});

test('the block of README has valid results only', async () => {
    const text = readmeBlock(await made());
    assert.match(text, /\| One to many: CPU a packet \| 5,000 ns \| \*\*0\.38\*\* Janus, tuned; \*\*0\.21\*\* Janus, as installed \| 1\.85 \| less \|/);
    assert.doesNotMatch(text, /\| Signing in/);
    assert.match(text, /Did not count in this run: login\./);
    assert.match(text, /still to come: upload\./);
});

test('blocks are replaced between their markers, and missing markers are an error', () => {
    const text = 'a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nb\n<!-- bench:begin costs --><!-- bench:end costs -->\n';
    const out = replaceBlocks('README.md', text, { bench: 'new', costs: 'table' });
    assert.equal(out, 'a\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nb\n<!-- bench:begin costs -->\ntable\n<!-- bench:end costs -->\n');
    assert.equal(replaceBlocks('README.md', out, { bench: 'new', costs: 'table' }), out);
    assert.throws(() => replaceBlocks('README.md', 'nothing', { bench: 'x' }), /README.md needs one <!-- bench:begin -->/);
    assert.throws(() => replaceBlocks('README.md', text + text, { bench: 'x' }), /needs one/);
});

test('the history keeps a run, carries over what it did not measure, and refuses what is no run', async () => {
    const dir = fresh();
    const all = await made();
    const file = save(all, dir);
    assert.deepEqual(list(dir), ['20260102T030405Z-abcdef123456.json']);
    assert.deepEqual(JSON.parse(JSON.stringify(all.results)), read(file).results);
    const again = await run(scenario({ ours: 6000, floor: 2700 }, { name: 'sfu-broadcast', title: 'One to many' }));
    save({ ...all, results: [again], started: '2026-01-03T00:00:00.000Z', commit: '111111111111' }, dir);
    const last = newest(dir);
    assert.deepEqual(last.results.map((r) => [r.scenario, !!r.carried]), [['sfu-broadcast', false], ['sfu-scale', true], ['login', true], ['upload', true]]);
    assert.equal(newest(dir, last.file).file, '20260102T030405Z-abcdef123456.json');
    assert.throws(() => save({ ...all, results: [{ ...again, smoke: true }] }, dir), /--smoke run is not kept/);
    const bad = (name, text) => (writeFileSync(join(dir, name), text), join(dir, name));
    assert.throws(() => read(bad('x.json', '{')), /can't be read/);
    assert.throws(() => read(bad('x.json', '{"schema":2}')), /has schema 2: this harness reads 1/);
    assert.throws(() => read(bad('x.json', '{"schema":1,"results":[{"scenario":"a"}]}')), /is not a run: a: title/);
    bad('20250101T000000Z-0123456789ab.json', '{"schema":0}');
    assert.equal(earlier(dir).length, 2); // what is of another schema is passed over
    assert.equal(newest(fresh()), null);
});

test('plots: cost over the parameter that varies, latencies, ratios; drawn to SVG, and old ones go', async () => {
    const all = await made();
    assert.deepEqual(axesOf(all.results[1]).map((a) => [a.key, a.points.map((p) => p.x)]), [['n', [10, 50, 100]]]);
    const dir = fresh();
    writeFileSync(join(dir, 'old.svg'), '<svg/>');
    const files = await drawAll(all, dir, [{ name: 'sfu-scale', plots: () => [{ name: 'broken', title: 'x', spec: { mark: 'nothing', data: { values: [] } } }, { name: 'own', title: 'Own', spec: { data: { values: [{ a: 1, server: 'ours' }] }, mark: 'point', encoding: { x: { field: 'a', type: 'quantitative' }, color: { field: 'server' } } } }] }]);
    assert.deepEqual(readdirSync(dir).sort(), ['own.svg', 'ratios.svg', 'sfu-broadcast-cdf.svg', 'sfu-scale-cdf.svg', 'sfu-scale-n.svg', 'upload-cdf.svg']);
    for (const file of files) {
        const svg = readFileSync(file, 'utf8');
        assert.match(svg, /^<svg/);
        assert.match(svg, /system-ui/);
        assert.doesNotMatch(svg, /undefined|NaN/);
    }
    const scale = readFileSync(join(dir, 'sfu-scale-n.svg'), 'utf8');
    for (const word of ['ours', 'floor', 'janus-installed', 'CPU a packet (ns)', '25,000']) assert.ok(scale.includes(`>${word}<`), word);
    assert.match(readFileSync(join(dir, 'own.svg'), 'utf8'), /#1d4ed8/);
});

test('figures of another host are shown with it', async () => {
    const all = await made();
    assert.match(page({ ...all, host: { ...HOST, cores: 64 } }), /64 cores of A CPU/);
});

test('capacity is computed from the figures by the formulas that stand beside it; what is missing is a dash', async () => {
    const sfu = (name, params, throughput) => run(scenario({ ours: () => sample(1, { figures: { cpu_ns_per_packet: 5000 }, throughput }) }, {
        name, title: name, main: 'cpu_ns_per_packet', figures: { cpu_ns_per_packet: { title: 'CPU', unit: 'ns' } }, params, smoke: {},
    }));
    const all = history([await sfu('sfu-broadcast', { subscribers: 100 }, 23_100), await sfu('sfu-meeting', { people: 8, rooms: 2 }, 25_872)]);
    const { value } = inputsOf(all).stream_pps;
    assert.equal(value, 231);
    assert.equal(inputsOf(all).meeting_pps.value, 1617);
    const blocks = capacityBlocks(all);
    // 231 × 60 × 5 µs = 69.3 ms a minute; 60 s × 0.7 ÷ 69.3 ms = 606 users a core
    assert.match(blocks.costs, /\| sees and hears one sender through the SFU \| 69\.3 ms \| 606 \|/);
    assert.match(blocks.costs, /\| stands by with an open socket \| – \| – \|/);
    // a million × 5 % × 25 % = 12,500 users × 1617 × 5 µs ÷ 0.7 = 144 cores
    assert.match(blocks.million, /\| meetings on SFUs, 12,500 users \| 144 \|/);
    for (const text of Object.values(blocks)) assert.doesNotMatch(text, /undefined|NaN|null/);
    const page = readFileSync(new URL('../../docs/capacity.md', import.meta.url), 'utf8');
    assert.equal(replaceBlocks('docs/capacity.md', replaceBlocks('docs/capacity.md', page, blocks), blocks), replaceBlocks('docs/capacity.md', page, blocks));
});
