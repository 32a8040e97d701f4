// A Chromium that watches simulcast over a narrow link: the size follows what the link carries, sound goes on.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { LossyRelay } from '../lib/lossy.mjs';
import { whenCalm } from '../lib/machine.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

let signald, sfud;
const open = [];

/** What a camera of three sizes sends: about 150, 500 and 1700 kbit/s. */
const ENCODINGS = [
    { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
    { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
    { rid: 'f', maxBitrate: 1_700_000 },
];
const WIDE = { width: 1280, height: 720 };

before(async () => {
    signald = new FakeSignald();
    await signald.listen();
    sfud = await startSfud(signald, {}, { level: 'info' });
});
afterEach(async () => {
    for (const peer of open.splice(0)) {
        await peer.request('leave').catch(() => {});
        await peer.close();
        await peer.relay?.close();
    }
});
after(async () => {
    await closeBrowser();
    await sfud.stop();
    signald.close();
});

/** Ann publishes in three sizes, Ben watches by way of the relay. */
async function watch(relay, encodings = ENCODINGS) {
    const room = randomUUID();
    const ann = await Peer.open(signald, room, 1);
    const ben = await Peer.open(signald, room, 2);
    open.push(ann, ben);
    ben.relay = relay;
    await ann.publish({ ...WIDE, encodings, steady: true });
    await ben.subscribe(1, 1);
    return { room, ann, ben };
}

/** The same slot a while later: what came meanwhile, and how much. */
async function during(peer, seconds) {
    const from = await peer.received();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000)); // it is the time that is measured
    const to = await peer.received();
    const grown = (mid, key) => to[mid][key] - from[mid][key];
    return {
        fps: grown('v0', 'frames') / seconds, freezes: grown('v0', 'freezes'), width: to.v0.width,
        audio: grown('a0', 'packets') / seconds, audioLost: grown('a0', 'lost'),
    };
}

/** The share of the frames that ann made which ben saw, and what else came to him, in so many seconds. */
async function share(ann, ben, seconds) {
    const before = await made(ann);
    const seen = await during(ben, seconds);
    const after = await made(ann);
    return { ...seen, share: (seen.fps * (after.at - before.at)) / ((after.frames - before.frames) * 1000) };
}

/** How many frames a publisher has made of his sizes, of each of which he makes as many, and when that was. */
function made(peer) {
    return peer.page.evaluate(async () => {
        const sent = [...(await window.peer.publisher.getStats()).values()].filter((r) => r.type === 'outbound-rtp' && r.kind === 'video');
        return { at: sent[0].timestamp, frames: Math.max(...sent.map((r) => r.framesSent ?? 0)) };
    });
}

const LIMIT = { timeout: 500_000 };

test('the size of a picture follows the link, and the sound goes on', LIMIT, async (t) => {
    const relay = await new LossyRelay(await sfud.port(), { delayMs: 20 }).listen();
    const { ann, ben } = await watch(relay);
    await until('the largest size over a wide link', async () => (await ben.received()).v0?.width === 1280, 60_000);

    relay.downBps = 500_000;
    await until('a smaller one behind 500 kbit/s', async () => (await ben.received()).v0.width < 1280, 10_000);
    await during(ben, 3); // its queue runs empty
    await whenCalm(t, async () => {
        // While the estimate still grows to the link, every second frame of a size may be what fits.
        let narrow, dropped;
        for (let windows = 0; windows < 8 && !(narrow?.share > 0.75); windows++) {
            dropped = relay.dropped;
            narrow = await share(ann, ben, 6);
        }
        assert.ok(narrow.width < 1280);
        assert.ok(narrow.share > 0.75, `${narrow.share} of the frames that were made`);
        assert.ok(narrow.audio > 45, `${narrow.audio} packets of sound a second`);
        assert.ok(narrow.audioLost <= 4, `${narrow.audioLost} packets of sound lost`);
        assert.ok(relay.dropped - dropped < 20, `${relay.dropped - dropped} packets found the queue full`);
    });

    relay.downBps = 0;
    await until('the largest one again', async () => (await ben.received()).v0.width === 1280, 40_000);
});

test('one size only, too large for the link: paused and told, and back', LIMIT, async (t) => {
    const relay = await new LossyRelay(await sfud.port(), { delayMs: 20 }).listen();
    const { room, ben } = await watch(relay, [{ maxBitrate: 1_500_000 }]);
    const slot = () => signald.last('slots', (e) => e.room === room && e.participant === 2)?.video[0];
    await until('a picture', async () => (await ben.received()).v0?.frames > 60 && !slot().paused, 40_000);
    await during(ben, 4); // the sender's own estimate grows

    relay.downBps = 250_000;
    await until('told that it is paused', () => slot().paused, 30_000);
    await during(ben, 2);
    await whenCalm(t, async () => {
        const paused = await during(ben, 5);
        assert.ok(paused.audio > 45 && paused.audioLost <= 2, `sound: ${JSON.stringify(paused)}`);
    });

    relay.downBps = 0;
    await until('told that it goes on', () => !slot().paused, 40_000);
    const { frames } = (await ben.received()).v0;
    await until('and it does', async () => (await ben.received()).v0.frames > frames + 30, 15_000);
});

test('a link with 5 % loss, 100 ms and 1.2 Mbit/s: nearly all frames of the size that fits', LIMIT, async (t) => {
    const relay = await new LossyRelay(await sfud.port(), { down: 0.05, delayMs: 50, downBps: 1_200_000, seed: 3 }).listen();
    const { ann, ben } = await watch(relay);
    await until('more than the smallest size', async () => (await ben.received()).v0?.width >= 640, 60_000);
    await during(ben, 5); // its buffer grows to a round trip
    // Without time to send again what was lost all windows are bad.
    await whenCalm(t, async () => {
        const seen = await share(ann, ben, 6);
        assert.ok(seen.share >= 0.95, `of the frames made came ${seen.share.toFixed(2)}`);
        assert.ok(seen.width >= 640);
        assert.ok(seen.freezes <= 1, `${seen.freezes} freezes`);
        assert.ok(seen.audio > 45);
    }, { tries: 6 });
});
