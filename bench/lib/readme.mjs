// The figures in README.md: headline ratios of the newest run, never typed by hand.
import { markdownTable, peerOf, quantity, ratioText, titleOf } from './table.mjs';

const ORDER = ['janus', 'janus-installed', 'ejabberd', 'nginx', 'vips', 'coturn-installed'];
const rank = (name) => (ORDER.indexOf(name) + 1 || ORDER.length + 1);

/** "**0.41** Janus, tuned; **0.22** Janus, as installed" */
function peersText(r) {
    const peers = Object.entries(r.ratios).filter(([k]) => k !== 'vs_floor').map(([k, v]) => ({ name: peerOf(k), v }));
    return peers.sort((a, b) => rank(a.name) - rank(b.name)).map(({ name, v }) => `**${ratioText(v)}** ${titleOf(name)}`).join('; ') || '–';
}

/** Markdown between README's markers. */
export function readmeBlock(run) {
    const counted = run.results.filter((r) => r.valid && !r.waits_for);
    const rows = counted.map((r) => {
        const main = r.described[r.main];
        const floor = Number.isFinite(r.ratios.vs_floor) ? ratioText(r.ratios.vs_floor) : '–';
        return [`${r.title}: ${main.title}`, quantity(r.figures[r.main], main.unit), peersText(r), floor, r.better];
    });
    const missing = run.results.filter((r) => !r.valid).map((r) => r.scenario);
    const waiting = run.results.filter((r) => r.valid && r.waits_for).map((r) => r.scenario);
    return [
        `Measured ${run.started.slice(0, 10)} at ${run.commit} on ${run.host.cores} cores of ${run.host.cpu}; every table, plot and caveat is in [docs/bench/results.md](docs/bench/results.md).`,
        'Ratios are ours over theirs, in the same run with the same generator.', '',
        ...markdownTable(['what', 'ours', 'over peers', 'over the floor', 'better'], rows, { right: [1, 3] }),
        ...(waiting.length ? ['', `Peers and floors are measured already for what is still to come: ${waiting.join(', ')}.`] : []),
        ...(missing.length ? ['', `Did not count in this run: ${missing.join(', ')}.`] : []),
    ].join('\n');
}
