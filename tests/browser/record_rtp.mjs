// Records what a real Chromium sends, for the unit tests of layer switching: `node tests/browser/record_rtp.mjs [name…]` writes
// tests/data/rtp/<name>.pcap by sfud's own capture, cut down to headers. tests/data/rtp/README.md says what is in them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

const out = new URL('../data/rtp/', import.meta.url).pathname;
const KEY = 'the key of internal routes, to record';
const SECONDS = 14;
const PAYLOAD = 32; // bytes kept of each: what a payload's descriptor and a keyframe's head may take
const IN_FRONT = 28; // IPv4 and UDP in front of RTP

const sizes = (rates) => rates.map((maxBitrate, i) => ({ rid: 'qhf'[i], scaleResolutionDownBy: [4, 2, 1][i], maxBitrate, maxFramerate: 20, scalabilityMode: 'L1T3' }));
const layers = (scalabilityMode, maxBitrate) => [{ scalabilityMode, maxBitrate }];
const recordings = {
    vp8_simulcast: { codec: 'VP8', encodings: sizes([150_000, 400_000, 1_200_000]) },
    vp8_without_dd: { codec: 'VP8', encodings: sizes([150_000, 400_000, 1_200_000]), munge: (sdp) => sdp.replace(/a=extmap:.*dependency-descriptor.*\r\n/g, '') },
    vp9_l3t3_key: { codec: 'VP9', encodings: layers('L3T3_KEY', 700_000) },
    vp9_l3t3: { codec: 'VP9', encodings: layers('L3T3', 700_000) },
    av1_l3t3_key: { codec: 'AV1', encodings: layers('L3T3_KEY', 700_000) },
    av1_l3t3: { codec: 'AV1', encodings: layers('L3T3', 700_000) },
    av1_simulcast: { codec: 'AV1', encodings: sizes([150_000, 400_000, 1_200_000]) },
};

const value = (sdp, pattern) => Number(pattern.exec(sdp)?.[1] ?? 0);
const video = (sdp) => sdp.slice(sdp.indexOf('m=video'));

/** Packets of the payload type, each cut down; the records stay as pcap has them, the IP header's length too. */
function cut(data, pt) {
    const parts = [data.subarray(0, 24)];
    for (let at = 24; at < data.length; ) {
        const length = data.readUInt32BE(at + 8);
        const rtp = data.subarray(at + 16 + IN_FRONT, at + 16 + length);
        if ((rtp[1] & 127) === pt) {
            assert.equal(rtp[0] & 0x30, 0x10, 'an extension and no padding');
            const csrcs = 4 * (rtp[0] & 15);
            const header = 12 + csrcs + 4 + 4 * rtp.readUInt16BE(14 + csrcs);
            const kept = Math.min(length, IN_FRONT + header + PAYLOAD);
            const record = Buffer.from(data.subarray(at, at + 16 + kept));
            record.writeUInt32BE(kept, 8);
            parts.push(record);
        }
        at += 16 + length;
    }
    return Buffer.concat(parts);
}

async function record(name, { codec, encodings, munge }) {
    const signald = new FakeSignald();
    await signald.listen();
    const sfud = await startSfud(signald, { capture_dir: 'captures' }, { internalKey: KEY });
    mkdirSync(join(sfud.dir, 'captures'));
    const room = randomUUID();
    const ask = (method, body) =>
        sfud.get(`/debug/rooms/${room}/capture`, { method, body: body && JSON.stringify(body), headers: { 'x-internal-api-key': KEY, 'content-type': 'application/json' } });
    const sender = await Peer.open(signald, room, 1);
    const viewer = await Peer.open(signald, room, 2);
    const view = (maxHeight) => viewer.request('view', { video: [{ slot: 0, participant: 1, source: 'camera', maxHeight, priority: 0 }] });
    try {
        const answer = await sender.publish({ audio: false, codec, encodings, munge, width: 960, height: 540 });
        await viewer.subscribe(1, 1);
        await view(540);
        await until(`${codec} is decoded`, async () => Object.values(await viewer.received()).some((r) => r.height === 540 && r.frames > 10), 30_000);
        const { file } = await (await ask('POST', { seconds: SECONDS, maxBytes: 1 << 26 })).json();
        const end = Date.now() + SECONDS * 1000;
        for (let i = 0; Date.now() < end - 500; i++) {
            await view([135, 540, 270, 135, 270, 540][i % 6]); // which asks for keyframes of what it switches to
            await new Promise((resolve) => setTimeout(resolve, 900));
        }
        await until('the capture ends', () => sfud.log().includes('capture_ended'), 10_000);
        const pt = value(video(answer), /m=video \d+ \S+ (\d+)/);
        const ext = (uri) => value(video(answer), new RegExp(`a=extmap:(\\d+)\\S* \\S*${uri}`));
        const data = cut(readFileSync(file), pt);
        writeFileSync(join(out, `${name}.pcap`), data);
        const ids = { mid: ext('sdes:mid'), rid: ext('sdes:rtp-stream-id'), dd: ext('dependency-descriptor'), layers: ext('video-layers-allocation00'), twcc: ext('transport-wide-cc') };
        console.log(name, `pt ${pt}`, JSON.stringify(ids), `${data.length} bytes`);
    } finally {
        await closeBrowser();
        await sfud.stop();
        signald.close();
    }
}

mkdirSync(out, { recursive: true });
const wanted = process.argv.slice(2);
for (const [name, how] of Object.entries(recordings)) if (wanted.length === 0 || wanted.includes(name)) await record(name, how);
