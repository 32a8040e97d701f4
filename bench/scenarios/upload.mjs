// Uploads of new files.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NotThere } from '../lib/not_there.mjs';
import { figures, load, patternOf, sampleOf, serverOf } from '../lib/transfers.mjs';

const KIB = 1024;

/**
 * Issue 7 fills this in: mediad with a store of its own, and presigned URLs for new names (sotto-load-transfer will want
 * a file of URLs then). `root`: where whole files appear, for the check below.
 * → { url, root, pids(), stop() }
 */
// eslint-disable-next-line no-unused-vars
async function ours(ctx) {
    throw new NotThere('issue 7 adds the uploads of Sotto');
}

/** Some of what was acknowledged is read again: whole and right? → null or what is wrong */
function fault(root, bytes, transfers) {
    const expected = patternOf(bytes);
    const names = readdirSync(root).filter((name) => /^f\d+$/.test(name));
    if (names.length < transfers) return `${transfers} uploads were acknowledged, ${names.length} files are there`;
    const numbers = names.map((name) => Number(name.slice(1))).sort((a, b) => a - b);
    for (const number of [numbers[0], numbers[numbers.length >> 1]]) {
        if (!readFileSync(join(root, `f${number}`)).equals(expected)) return `f${number} is not what was sent`;
    }
    return null;
}

async function measure(contender, ctx) {
    const { kib, clients, mib_per_s, warmup, seconds } = ctx.params;
    ctx.step('starting the server');
    const server = await serverOf(contender, ctx, ours);
    ctx.step('uploading');
    const run = await load(ctx, server, ['--url', server.url, '--method', 'PUT', '--bytes', kib * KIB, '--clients', clients,
        '--mib-per-s', mib_per_s, '--warmup-ms', warmup * 1000, '--ms', seconds * 1000]);
    return sampleOf(run, ctx.params, { fault: fault(server.root, kib * KIB, run.done.transfers), smoke: ctx.smoke });
}

export default {
    name: 'upload',
    title: 'Uploads',
    about: 'New files of 64 KiB, 1 MiB and 16 MiB by 32 clients at a fixed rate over HTTP/1.1; CPU of the server a GiB.',
    waitsFor: 'media (issue 7)',
    unit: 'GiB',
    main: 'cpu_s_per_gib',
    better: 'less',
    figures,
    params: { kib: 1024, clients: 32, mib_per_s: 100, warmup: 0.5, seconds: 2 },
    smoke: { clients: 4, mib_per_s: 20, warmup: 0.2, seconds: 0.5 },
    repeats: 2,
    contenders: ['ours', 'floor', 'nginx'],
    variants: [
        { key: 'k64', params: { kib: 64, mib_per_s: 20 } },
        { key: 'm1', params: { kib: 1024 } },
        { key: 'm16', params: { kib: 16384 } },
    ],
    headline: 'm1',
    measure,
    fairness: [
        'nginx acknowledges without fsync and checks no sum: after a power cut its files may be gone. The floor syncs file and folder but checks no sum; Sotto will do both.',
        'Plain HTTP over the loopback; what the disk does is not in the CPU figure, but its speed is in the latencies.',
        'nginx puts a body into a temporary file first and renames it: one copy in memory, as the others do.',
    ],
};
