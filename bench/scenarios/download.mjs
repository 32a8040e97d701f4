// Downloads of files that are in the page cache.
import { NotThere } from '../lib/not_there.mjs';
import { figures, load, makeFiles, sampleOf, serverOf } from '../lib/transfers.mjs';

const KIB = 1024;

/**
 * Issue 7 fills this in: mediad with a store of its own and `count` files f0 … of the pattern that is asked for by
 * presigned URLs (sotto-load-transfer will want a file of URLs then).
 * → { url, pids(), stop() }
 */
// eslint-disable-next-line no-unused-vars
async function ours(ctx) {
    throw new NotThere('issue 7 adds the downloads of Sotto');
}

async function measure(contender, ctx) {
    const { kib, files, clients, mib_per_s, warmup, seconds } = ctx.params;
    ctx.step('starting the server');
    const server = await serverOf(contender, ctx, ours);
    if (server.root) makeFiles(server.root, kib * KIB, files);
    ctx.step('downloading');
    const run = await load(ctx, server, ['--url', server.url, '--method', 'GET', '--bytes', kib * KIB, '--files', files, '--clients', clients,
        '--mib-per-s', mib_per_s, '--warmup-ms', warmup * 1000, '--ms', seconds * 1000]);
    return sampleOf(run, ctx.params, { smoke: ctx.smoke });
}

export default {
    name: 'download',
    title: 'Downloads',
    about: 'Files of 64 KiB, 1 MiB and 16 MiB, in the page cache, by 32 clients at a fixed rate over HTTP/1.1; CPU of the server a GiB.',
    waitsFor: 'media (issue 7)',
    unit: 'GiB',
    main: 'cpu_s_per_gib',
    better: 'less',
    figures,
    params: { kib: 1024, files: 64, clients: 32, mib_per_s: 500, warmup: 0.5, seconds: 2 },
    smoke: { files: 4, clients: 4, mib_per_s: 50, warmup: 0.2, seconds: 0.5 },
    repeats: 2,
    contenders: ['ours', 'floor', 'nginx'],
    variants: [
        { key: 'k64', params: { kib: 64, files: 256, mib_per_s: 250 } },
        { key: 'm1', params: { kib: 1024 } },
        { key: 'm16', params: { kib: 16384, files: 8 } },
    ],
    headline: 'm1',
    measure,
    fairness: [
        'Plain HTTP over the loopback from the page cache: no disk, no network card, no TLS.',
        'The floor is sendfile(2) behind a header; it has no types, ranges, conditions or access rules, which nginx and Sotto have.',
        'nginx serves whoever asks; Sotto checks a signature a request.',
        'The rate is fixed, so that the one client program stays below a core; throughput is not what is compared.',
    ],
};
