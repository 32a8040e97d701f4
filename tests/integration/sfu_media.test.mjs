// sfud with real Chromiums: publish, subscribe, slots, speakers, and what happens when things break.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

let signald, sfud;
const open = [];

before(async () => {
    signald = new FakeSignald();
    await signald.listen();
    sfud = await startSfud(signald);
});
afterEach(async () => {
    for (const peer of open.splice(0)) {
        await peer.request('leave').catch(() => {});
        await peer.close();
    }
});
after(async () => {
    await closeBrowser();
    await sfud.stop();
    signald.close();
});

/** A peer of that room who publishes and subscribes. */
async function join(room, number, { publish = {}, subscribe = [3, 4] } = {}) {
    const peer = await Peer.open(signald, room, number);
    open.push(peer);
    if (publish) await peer.publish(publish);
    if (subscribe) await peer.subscribe(...subscribe);
    return peer;
}

/** Waits until the slots' frames and sound grow, and their packets say that they come from `numbers`. */
async function watches(peer, numbers, ms = 20_000) {
    const first = await peer.received();
    return until(`${peer.number} hears and sees ${numbers}`, async () => {
        const now = await peer.received();
        const grown = (kind, key) =>
            Object.entries(now)
                .filter(([mid, r]) => mid.startsWith(kind) && r[key] > (first[mid]?.[key] ?? 0))
                .flatMap(([, r]) => r.from);
        const seen = grown('v', 'frames');
        const heard = grown('a', 'energy');
        return numbers.every((n) => seen.includes(n) && heard.includes(n)) && now;
    }, ms);
}

test('two hear and see each other', async () => {
    const room = randomUUID();
    const ann = await join(room, 1);
    const ben = await join(room, 2);
    await Promise.all([watches(ann, [2]), watches(ben, [1])]);
    assert.match(await ann.page.evaluate(() => window.peer.srtp('publisher')), /AEAD_AES_128_GCM/);
    const slots = signald.last('slots', (e) => e.room === room && e.participant === 1);
    assert.equal(slots.video.filter((s) => s.participant === 2).length, 1);
    assert.ok(!slots.audio.some((s) => s.participant === 1), 'never oneself');
    assert.ok(signald.last('connected', (e) => e.room === room && e.participant === 2 && e.which === 'subscribe'));
});
