// docs/bench/sfu.md and its plots: made of one run of bench/sfu, and of nothing else.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SFU_PLOTS, axesOf, cdfPlot, toSvg, variantPlot } from './plots.mjs';
import { clock } from './progress.mjs';
import { dateOf, section } from './report.mjs';
import { verdictText, verdicts } from './sfu_targets.mjs';
import { markdownTable, textTable } from './table.mjs';

/** Results by row key: "sfu-gcm" → gcm. */
export const byRow = (results) => Object.fromEntries(results.map((r) => [r.scenario.replace(/^sfu-/, ''), r]));

const HEAD = ['', 'target', 'measured', '', 'note'];
const rowsOf = (lines) => lines.map((l) => [l.what, l.target, l.value, verdictText(l.reached), l.note ?? '']);

/** The table for the terminal. */
export const tableText = (results) => textTable(HEAD, rowsOf(verdicts(byRow(results))));

/** The plots of a run: cost over subscribers, and latencies at 1 → 100. */
export function sfuPlots(results) {
    const { growth, gcm } = byRow(results);
    const cost = growth && axesOf(growth).filter(({ key }) => key === 'subscribers').map((axis) => variantPlot(growth, axis))[0];
    const latency = gcm && cdfPlot(gcm);
    return [cost && { ...cost, name: `${SFU_PLOTS}cost`, scenario: 'sfu-growth' }, latency && { ...latency, name: `${SFU_PLOTS}latency`, scenario: 'sfu-gcm' }].filter(Boolean);
}

const NOTES = `## How this is measured, and what it does not say

- One run measures everybody: contenders take turns within each repeat, with the same load client, on this one machine; server on the
  first core, load client on the second. Ratios are taken within a repeat and the median over repeats is shown; how many
  repeats there were stands under each section. Absolute figures are this machine's, on this day.
- CPU is user and system time of the server's process, by packets that arrived at subscribers. All packets pass the loopback device,
  whose delivery into the receivers' sockets is charged to the sender. No network card is in it.
- The floor encrypts and sends, and does nothing else: no RTCP, no retransmissions, no estimation, no rewriting of extensions.
- Janus is Debian's package, and does more than forward rooms. Tuned: one event loop for its one core, ICE-lite, no log (bench/peers/janus).
- Capacity is searched by probes with a fresh server each, to a tenth; a probe lasts seconds, so slow decay is not seen by it (bench/sfu-endure looks at that).
  Where the load client was at its end before the server was, the number is a lower bound and says so.
- Loss inside the server is what sfud says that it dropped, what the kernel refused to send for it, the drops of its sockets' receive buffers
  (/proc/net/udp), and gaps at the endpoints, in all windows of ours with the server's core less than 90 % busy.
- Memory is the growth of the proportional set size from 10 to 210 subscribers while media flows, a subscriber: the publisher's packets and their
  cache are in both and cancel out; the kernel's socket buffers are not in it for anybody.
- The bad link is made in user space (bench/client/impair.c) between the server and one Chromium, both ways: the same seeds for everybody. A
  freeze is more than 200 ms between two shown frames (\`requestVideoFrameCallback\`), counted once for each second that it begins; Chromium's own
  \`freezeCount\` is told beside it, but has nothing of a picture that stands still to the end. The layer that fits is known because the publisher's three layers have fixed bitrates; its share is frames
  decoded at its width over frames that the publisher sent of it. Janus's VideoRoom does not estimate a subscriber's bandwidth: it sends the highest
  layer unless an application tells it otherwise, so it is also measured with the layer that fits told by hand (janus-set).`;

/** The page's text. */
export function sfuPage(run) {
    const plots = sfuPlots(run.results);
    const lines = verdicts(byRow(run.results));
    const missed = lines.filter((l) => l.reached !== true);
    const carried = run.results.filter((r) => r.carried).map((r) => r.scenario);
    return [
        '# The forwarding unit beside its peers', '',
        '<!-- Written by bench/sfu --save. What you type here is lost. -->', '',
        `${dateOf(run.started)}, commit ${run.commit}${run.dirty ? ' (changed)' : ''}, in ${clock(run.seconds)} min. ${run.host.cores} cores of ${run.host.cpu}, Linux ${run.host.kernel}, ${run.host.distribution}.`,
        `Do it yourself: \`make bench-sfu\`.${carried.length > 0 ? ` From earlier runs: ${carried.join(', ')}.` : ''}`, '',
        `**${lines.length - missed.length} of ${lines.length} targets are reached**${missed.length > 0 ? `; not: ${missed.map((l) => l.what).join('; ')}` : ''}.`, '',
        ...markdownTable(HEAD, rowsOf(lines)), '',
        ...run.results.flatMap((r) => section(r, run, plots)),
        NOTES, '',
        '## Versions', '', Object.entries(run.versions ?? {}).map(([k, v]) => `${k} ${v}`).join(', '), '',
    ].join('\n');
}

/** Writes page and plots into a folder; returns the paths. */
export async function writePage(run, dir) {
    mkdirSync(dir, { recursive: true });
    const files = [join(dir, 'sfu.md')];
    writeFileSync(files[0], sfuPage(run));
    for (const { name, spec } of sfuPlots(run.results)) {
        files.push(join(dir, `${name}.svg`));
        writeFileSync(files.at(-1), await toSvg(spec));
    }
    return files;
}
