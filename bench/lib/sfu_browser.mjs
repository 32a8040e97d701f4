// The bad link: a real Chromium watches another one's simulcast through loss, delay and a bottleneck made in user space.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lines } from './lines.mjs';
import { BenchError, until } from './proc.mjs';
import { startServer } from './sfu_load.mjs';
import { publisherCode, watcherCode } from './sfu_pages.mjs';

/** The camera, and its layers with fixed bitrates: which of them fits the bottleneck is known. */
const CAMERA = { width: 960, height: 540, fps: 30 };
const LAYERS = [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 450_000 },
    { rid: 'f', scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
];
const FITS = { rid: 'h', width: CAMERA.width / 2, index: 1 };
const ROOM = 'stage';
const STILL_MS = 200;

/** A moving picture with enough grain that an encoder uses the bits it is given, as a YUV4MPEG2 file. */
export function writeCamera(file, { width, height, fps }, frames = 24) {
    const fd = openSync(file, 'w');
    let seed = 1;
    writeSync(fd, `YUV4MPEG2 W${width} H${height} F${fps}:1 Ip A1:1 C420jpeg\n`);
    const luma = Buffer.alloc(width * height);
    const chroma = Buffer.alloc(luma.length / 2, 128);
    for (let n = 0; n < frames; n++) {
        const turn = (2 * Math.PI * n) / frames;
        for (let y = 0, at = 0; y < height; y++) {
            const row = 128 + 50 * Math.sin(y / 23 + turn);
            for (let x = 0; x < width; x++, at++) {
                seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
                luma[at] = row + 40 * Math.sin(x / 31 - turn) + (seed >>> 27) - 16;
            }
        }
        writeSync(fd, 'FRAME\n');
        writeSync(fd, luma);
        writeSync(fd, chroma);
    }
    closeSync(fd);
}

/** Only the first UDP candidate of a description, at another address. */
export function divert(sdp, port) {
    let first = true;
    return sdp.replace(/^a=candidate:.*\r?\n/gm, (line) => {
        if (!first || !/ udp /i.test(line)) return '';
        first = false;
        return line.replace(/( udp \d+) \S+ \d+ /i, `$1 127.0.0.1 ${port} `);
    });
}

/** Where a description's first UDP candidate is. */
export function candidateOf(sdp) {
    const [, address, port] = /^a=candidate:\S+ \d+ udp \d+ (\d+\.\d+\.\d+\.\d+) (\d+) /im.exec(sdp) ?? [];
    if (!address) throw new BenchError('the server\'s description has no IPv4 candidate');
    return { address, port: Number(port) };
}
const withoutCandidates = (sdp) => sdp.replace(/^a=(candidate|end-of-candidates).*\r?\n/gm, '');

/** sfud and Janus as two pages see them: `publish(offer) → answer`, `watch() → offer`, `answer(sdp)`. */
async function roomOf(driver, told) {
    if (driver.signald) {
        const request = (t, participant, members) => driver.signald.request(t, { room: driver.roomOf(ROOM), participant, ...members });
        return {
            publish: async (sdp) => (await request('publish', 1, { sdp })).sdp,
            watch: async () => (await request('subscribe', 2, { audioSlots: 1, videoSlots: 1 })).sdp,
            answer: (sdp) => request('answer', 2, { sdp }),
        };
    }
    const { api } = driver;
    const [room, sender, viewer] = [await driver.roomOf(ROOM), await api.attach(), await api.attach()];
    return {
        publish: async (sdp) => (await api.message(sender, { request: 'joinandconfigure', ptype: 'publisher', room, id: 1 }, { type: 'offer', sdp, rid_order: 'lmh' })).sdp,
        async watch() {
            await api.up(sender);
            return (await api.message(viewer, { request: 'join', ptype: 'subscriber', room, streams: [{ feed: 1 }] })).sdp;
        },
        async answer(sdp) {
            await api.message(viewer, { request: 'start' }, { type: 'answer', sdp });
            if (!told) return;
            const mid = /^m=video [^]*?^a=mid:(\S+)/m.exec(sdp)[1];
            await api.message(viewer, { request: 'configure', streams: [{ mid, substream: FITS.index }] });
        },
    };
}

/** Chromium may use all cores: it is no generator here, and two of them with an encoder need more than one. */
async function browser(ctx, options) {
    const { launchChromium } = await import('../../tests/lib/chromium.mjs');
    const pin = (cpus) => spawnSync('taskset', ['-a', '-pc', cpus, String(process.pid)], { stdio: 'ignore' });
    pin(`${ctx.cpus.server},${ctx.cpus.generator}`);
    try {
        const it = await launchChromium(options);
        ctx.defer(() => it.close());
        return it;
    } finally {
        pin(ctx.cpus.generator);
    }
}

async function openPage(ctx, options, code) {
    const { emptyPage } = await import('../../tests/lib/chromium.mjs');
    return emptyPage(await browser(ctx, options), code);
}

async function measure(contender, ctx) {
    const { warmup, seconds, loss, delay_ms, rate_kbps, queue_ms } = ctx.params;
    ctx.step('starting the server and the publisher');
    const driver = await startServer(contender.replace('janus-set', 'janus'), ctx);
    const room = await roomOf(driver, contender === 'janus-set');
    const camera = join(ctx.dir, 'camera.y4m');
    writeCamera(camera, CAMERA);
    const publisher = await openPage(ctx, { camera }, publisherCode);
    const offer = await publisher.evaluate((o) => window.publish(o), { ...CAMERA, layers: LAYERS });
    await publisher.evaluate((sdp) => window.published(sdp), await room.publish(offer));
    ctx.step('waiting for all layers');
    await until('all three layers are sent', async () => Object.values(await publisher.evaluate(() => window.layers())).filter((l) => l.frames > 15).length === LAYERS.length, 30_000, 200);

    ctx.step('the other one watches');
    const sdp = await room.watch();
    const to = candidateOf(sdp);
    const args = ['--to', to.address, '--port', to.port, '--loss-permille', Math.round(loss * 1000), '--delay-ms', delay_ms, '--rate-kbps', rate_kbps, '--queue-ms', queue_ms, '--seed', ctx.repeat + 1];
    const relay = await Lines.start(ctx, { program: 'sotto-load-relay', args: args.map(String), cpus: ctx.cpus.generator });
    ctx.defer(() => relay.stop());
    const watcher = await openPage(ctx, {}, watcherCode);
    const answer = await watcher.evaluate((it) => window.watch(it), divert(sdp, relay.ready.port));
    await room.answer(withoutCandidates(answer));
    await until('the first frame is shown', () => watcher.evaluate(() => window.frames().then((n) => n > 0)), 30_000, 100);
    ctx.step('warming up');
    await sleep(warmup * 1000, undefined, { signal: ctx.signal });
    ctx.step('measuring');
    const layersBefore = await publisher.evaluate(() => window.layers());
    await watcher.evaluate(() => window.begin());
    await sleep(seconds * 1000, undefined, { signal: ctx.signal });
    const seen = await watcher.evaluate(() => window.end());
    const layersAfter = await publisher.evaluate(() => window.layers());
    return sampleOf({ seen, layersBefore, layersAfter, link: await relay.ask({ op: 'stats' }), seconds, smoke: ctx.smoke });
}

/**
 * How often and for how long the picture stood still. A freeze is more than STILL_MS between two shown frames (Chromium's own
 * limit is 150 ms more than usual), one for each second that it begins: a picture that never moves again is not one freeze,
 * and Chromium's own count has none of it, as that is over only with the next frame.
 */
export function stillness(gaps) {
    const still = gaps.filter((ms) => ms > STILL_MS);
    return {
        freezes: still.reduce((sum, ms) => sum + Math.ceil(ms / 1000), 0), frozen_s: still.reduce((sum, ms) => sum + ms, 0) / 1000,
        longest_gap_ms: Math.max(...gaps),
    };
}

/**
 * A window's account as a sample. A publisher that had no time to encode proves nothing of who forwards: at least 0.6 of the frames of the
 * layer that fits must have been sent, and some of the one that doesn't. --smoke asks for that in all the time before, not in the window.
 */
export function sampleOf({ seen, layersBefore, layersAfter, link, seconds, smoke = false }) {
    const sent = Object.fromEntries(Object.entries(layersAfter).map(([rid, l]) => [rid, l.frames - (layersBefore[rid]?.frames ?? 0)]));
    const kbps = Object.fromEntries(Object.entries(layersAfter).map(([rid, l]) => [rid, ((l.bytes - (layersBefore[rid]?.bytes ?? 0)) * 8) / 1000 / seconds]));
    const fitting = seen.widths[FITS.width] ?? 0;
    const faults = [];
    if (!(smoke ? layersAfter[FITS.rid]?.frames > 0 : sent[FITS.rid] > 0.6 * CAMERA.fps * seconds)) faults.push(`the publisher sent ${sent[FITS.rid] ?? 0} frames of the layer that fits`);
    if (!(smoke ? layersAfter.f?.frames > 0 : sent.f > 0)) faults.push('the publisher sent nothing of the layer that does not fit');
    if (layersAfter[FITS.rid]?.width !== FITS.width) faults.push(`the layer that fits is ${layersAfter[FITS.rid]?.width} wide`);
    if (!smoke && !(link.down.lost > 0)) faults.push('the link lost nothing');
    return {
        figures: {
            frames_per_s: seen.frames / seconds,
            fitting_percent: (100 * fitting) / Math.max(1, sent[FITS.rid] ?? 0),
            ...stillness(seen.gaps), chromium_freezes: seen.freezes,
        },
        units: seen.frames, window_s: seconds, server: null,
        layers: { sent, kbps, seen: seen.widths }, link,
        valid: faults.length === 0, why: faults.join('; '),
    };
}

export default {
    name: 'sfu-link',
    title: 'A bad link, Chromium watching simulcast',
    about: `One Chromium publishes three layers of VP8 (${LAYERS.map((l) => `${CAMERA.width / l.scaleResolutionDownBy}×${CAMERA.height / l.scaleResolutionDownBy} at ${l.maxBitrate / 1000} kbit/s`).join(', ')}), another watches behind 5 % loss each way, 100 ms of round trip and a bottleneck of 1.2 Mbit/s.`,
    unit: 'frame', main: 'longest_gap_ms', better: 'less',
    figures: {
        frames_per_s: { title: 'frames decoded', unit: '1/s', better: 'more' },
        fitting_percent: { title: 'of the frames of the layer that fits', unit: '%', better: 'more' },
        freezes: { title: 'freezes, one for each second begun', unit: '', better: 'less' },
        frozen_s: { title: 'frozen', unit: 's', better: 'less' },
        chromium_freezes: { title: 'freezes by Chromium\'s count, which has none that last', unit: '', better: 'less' },
        longest_gap_ms: { title: 'the longest gap', unit: 'ms', better: 'less' },
    },
    params: { warmup: 10, seconds: 20, loss: 0.05, delay_ms: 50, rate_kbps: 1200, queue_ms: 300 },
    smoke: { warmup: 1, seconds: 3 },
    limit_s: 300, setup_s: 8,
    contenders: ['ours', 'janus', 'janus-set'],
    mayFail: ['janus', 'janus-set'],
    measure,
    fairness: [
        'Loss, delay and bottleneck are each way, by sotto-load-relay between the server and the watcher, with the same seeds for everybody; the publisher\'s own link is perfect.',
        'Janus sends the highest layer there is to a viewer whose application does not say otherwise (janus): its VideoRoom has no estimate of a viewer\'s bandwidth. janus-set is told the layer that fits, by hand, from the beginning.',
        'Both Chromiums run on the machine that also runs the server, on all its cores; frames that they drop for want of CPU count against whoever is measured.',
    ],
};
