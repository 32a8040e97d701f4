// Records what sfud sends to a real Chromium over links that change, and when it comes there, for the unit tests of the estimator and
// the allocator: `node tests/browser/record_links.mjs [name…]` writes tests/data/links/<name>.csv (README.md there).
import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LossyRelay, transportNumber } from '../lib/lossy.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

const out = new URL('../data/links/', import.meta.url).pathname;
const ENCODINGS = [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
    { rid: 'f', maxBitrate: 1_700_000 },
];
const SECONDS = 10; // of each step

/** Steps of a link: what the relay is set to, one after the other. */
const recordings = {
    wide: [{ downBps: 0 }],
    squeezed: [{ downBps: 0 }, { downBps: 500_000 }, { downBps: 0 }],
    megabit: [{ downBps: 1_200_000 }, { downBps: 800_000 }],
    lossy: [{ downBps: 0, down: 0.05 }, { downBps: 0, down: 0 }],
};

const twccId = (sdp) => Number(/a=extmap:(\d+)\S* \S*transport-wide-cc/.exec(sdp)[1]);

async function record(name, steps) {
    const signald = new FakeSignald();
    await signald.listen();
    const sfud = await startSfud(signald, {}, {});
    const relay = await new LossyRelay(await sfud.port(), { delayMs: 20, ...steps[0] }).listen();
    const room = randomUUID();
    const sender = await Peer.open(signald, room, 1);
    const viewer = await Peer.open(signald, room, 2);
    viewer.relay = relay;
    try {
        await sender.publish({ width: 1280, height: 720, encodings: ENCODINGS });
        const lines = [];
        const began = performance.now();
        const us = (ms) => Math.round((ms - began) * 1000);
        let id = null;
        relay.onMedia = (message, ms) => {
            const number = id && transportNumber(message, id);
            const now = performance.now();
            if (number !== null) lines.push([us(now), number, message.length, ms === null ? '' : us(now + ms)].join(','));
        };
        const sdp = await viewer.subscribe(1, 1);
        id = twccId(sdp);
        await until('a picture', async () => (await viewer.received()).v0?.frames > 5, 30_000);
        for (const step of steps) {
            Object.assign(relay, { down: 0 }, step);
            lines.push(['link', us(performance.now()), step.downBps, relay.down].join(','));
            await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
        }
        writeFileSync(join(out, `${name}.csv`), `${lines.join('\n')}\n`);
        console.log(name, `${lines.length} packets, ${relay.dropped} found the queue full, ${relay.lost} lost`);
    } finally {
        await closeBrowser();
        await sfud.stop();
        await relay.close();
        signald.close();
    }
}

mkdirSync(out, { recursive: true });
const wanted = process.argv.slice(2);
for (const [name, steps] of Object.entries(recordings)) if (wanted.length === 0 || wanted.includes(name)) await record(name, steps);
