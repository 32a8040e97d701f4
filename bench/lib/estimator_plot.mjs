// Draws docs/estimator.svg from the trace that SOTTO_BWE_TRACE makes unit_sfu_core_bwe_net write.
//     node bench/lib/estimator_plot.mjs trace.csv docs/estimator.svg
import { readFileSync, writeFileSync } from 'node:fs';
import { themed, toSvg } from './plots.mjs';

const LINES = { capacity: 'the link', target: 'target', acked: 'arrives' };
const COLOURS = ['#9ca3af', '#1d4ed8', '#15803d'];

const [input, output] = process.argv.slice(2);
const [head, ...rows] = readFileSync(input, 'utf8').trim().split('\n').map((line) => line.split(','));
const points = rows.map((row) => Object.fromEntries(head.map((name, i) => [name, Number(row[i])])));
const rates = points.flatMap((p) => Object.entries(LINES).map(([key, name]) => ({ s: p.s, name, mbps: Math.max(p[key], 0) / 1e6 })));
const time = { field: 's', type: 'quantitative', title: 'seconds', scale: { nice: false }, axis: { grid: false } };
const colour = { field: 'name', type: 'nominal', title: null, scale: { domain: Object.values(LINES), range: COLOURS } };

const { width, height, ...spec } = themed({
    title: { text: 'The estimate follows the link', subtitle: '2.5 Mbit/s, 0.5 from 20 s to 35 s; 5 % random loss from 55 s, 20 % from 70 s to 75 s' },
    vconcat: [
        { width: 720, height: 260, data: { values: rates }, mark: { type: 'line', strokeWidth: 1.6 }, encoding: { x: time, y: { field: 'mbps', type: 'quantitative', title: 'Mbit/s' }, color: colour } },
        { width: 720, height: 90, data: { values: points }, mark: { type: 'area', color: '#c2410c', opacity: 0.7 }, encoding: { x: time, y: { field: 'queue_ms', type: 'quantitative', title: 'queue, ms' } } },
    ],
});
writeFileSync(output, await toSvg(spec));
