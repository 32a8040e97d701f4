// Every codec through the SDK and the forwarding unit between real Chromiums: decoded, and its size follows the tile; the same with
// frames that the server can't read, whose layers it tells by the dependency descriptor alone.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { startStack, until } from '../lib/stack.mjs';
import { writeFace } from './lib/faces.mjs';
import { Person, closeBrowsers, newBrowser } from './lib/people.mjs';
import { isHigh, style, watch } from './lib/tiles.mjs';

let stack;
before(async () => {
    stack = await startStack();
});
afterEach(closeBrowsers);
after(() => stack.down());

async function arrive(who, name, options) {
    const camera = join(stack.dir, `face${who}.y4m`);
    writeFace(camera, who); // 640×360: worth two sizes
    const viewport = { width: 1280, height: 720 };
    return Person.arrive(stack, { name, browser: await newBrowser({ camera }), query: 'p2p=off&fallback=300', viewport, ...options });
}

/** What ann decodes of the picture that has a codec by now: {codec, frames, encoder of ben}. */
const decoding = (ann) =>
    ann.page.evaluate(async () => {
        for (const peer of window.peers.filter((p) => p.connectionState === 'connected')) {
            const stats = await peer.getStats();
            for (const report of stats.values()) {
                if (report.type !== 'inbound-rtp' || report.kind !== 'video' || !report.framesDecoded) continue;
                return { codec: stats.get(report.codecId)?.mimeType, frames: report.framesDecoded };
            }
        }
        return { codec: null, frames: 0 };
    });

/** Why ben's browser can't send that codec, or null. */
const lacks = (ben, codec) =>
    ben.page.evaluate(async (name) => {
        const offered = RTCRtpSender.getCapabilities('video').codecs.some((c) => c.mimeType.toLowerCase() === `video/${name}`);
        if (!offered) return `this browser offers no ${name}`;
        const strings = { vp8: 'vp8', vp9: 'vp09.00.10.08', h264: 'avc1.42001f', av1: 'av01.0.05M.08' };
        const support = await VideoEncoder.isConfigSupported({ codec: strings[name], width: 640, height: 360 }).catch(() => ({}));
        return support.supported ? null : `${name} is offered, but nothing encodes it`;
    }, codec);

async function follows(t, ann, wanted) {
    const before = await ann.page.evaluate(() => window.picture.frames);
    const t0 = Date.now();
    await style(ann, wanted === 180 ? '.tile { width: 320px; height: 180px; }' : '');
    await isHigh(ann, wanted);
    t.diagnostic(`${wanted} lines after ${Date.now() - t0} ms`);
    await until('pictures go on', async () => (await ann.page.evaluate(() => window.picture.frames)) > before + 10);
}

async function call(t, codec, mediaKey) {
    const options = { videoCodec: codec, mediaKey };
    const [ann, ben] = await Promise.all([arrive(0, 'ann', options), arrive(1, 'ben', options)]);
    const missing = await lacks(ben, codec);
    if (missing) return t.skip(missing);
    await ann.videoCall(ben);
    await ben.accept();
    await ann.hearsAndSees([ben], 40_000);
    assert.equal((await ann.stats()).path, 'sfu');
    await ann.page.evaluate(watch);
    await isHigh(ann, 360);
    for (const wanted of [180, 360, 180, 360]) await follows(t, ann, wanted);
    const got = await decoding(ann);
    assert.equal(got.codec?.toLowerCase(), `video/${codec}`);
    t.diagnostic(`${got.frames} pictures of ${got.codec} decoded`);
    return { ann, ben };
}

for (const codec of ['vp8', 'h264', 'vp9', 'av1']) {
    test(`${codec}: decoded, and its size follows the tile`, (t) => call(t, codec));
}

for (const codec of ['vp8', 'vp9']) {
    test(`${codec}, encrypted end to end: the size follows the tile though the server reads nothing`, async (t) => {
        const key = { keyId: 3, key: [...randomBytes(16)] };
        const people = await call(t, codec, key);
        if (!people) return;
        const counts = await people.ann.page.evaluate(() => window.sotto.call.encryption);
        assert.ok(counts.opened > 100 && counts.sealed > 100, JSON.stringify(counts));
        t.diagnostic(`${counts.opened} frames opened, dropped ${JSON.stringify(counts.dropped)}`);
    });
}
