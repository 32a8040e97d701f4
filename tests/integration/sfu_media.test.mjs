// sfud with real Chromiums: publish, subscribe, slots, views, speakers, repair, restart, rejoin.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { LossyRelay } from '../lib/lossy.mjs';
import { watchMachine } from '../lib/machine.mjs';
import { growsRoomy } from '../lib/sender.mjs';
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
        await peer.relay?.close();
    }
});
after(async () => {
    await closeBrowser();
    await sfud.stop();
    signald.close();
});

/** A peer of that room who publishes and subscribes. */
async function join(room, number, { publish = {}, subscribe = [3, 4], relay } = {}) {
    const peer = await Peer.open(signald, room, number);
    peer.relay = relay;
    open.push(peer);
    if (publish) await peer.publish(publish);
    if (subscribe) await peer.subscribe(...subscribe);
    return peer;
}

/** Waits until frames and sound grow in slots whose packets say that they come from `numbers`, and gives what was received. */
async function watches(peer, numbers, { sound = true, ms = 20_000 } = {}) {
    const first = await peer.received();
    return until(`${peer.number} hears and sees ${numbers}`, async () => {
        const now = await peer.received();
        const grown = (kind, key) =>
            Object.entries(now)
                .filter(([mid, r]) => mid.startsWith(kind) && r[key] > (first[mid]?.[key] ?? 0))
                .flatMap(([, r]) => r.from);
        const seen = grown('v', 'frames');
        const heard = grown('a', 'energy');
        return numbers.every((n) => seen.includes(n) && (!sound || heard.includes(n))) && now;
    }, ms);
}

const slotsOf = (peer) => signald.last('slots', (e) => e.room === peer.room && e.participant === peer.number);
const shown = (peer) => slotsOf(peer)?.video.map((s) => s.participant);

test('two hear and see each other, by AES-128-GCM, and the sender ramps up', async () => {
    const room = randomUUID();
    const ann = await join(room, 1);
    const ben = await join(room, 2);
    await Promise.all([watches(ann, [2]), watches(ben, [1])]);
    assert.match(await ann.page.evaluate(() => window.peer.srtp('publisher')), /AEAD_AES_128_GCM/);
    assert.match(await ann.page.evaluate(() => window.peer.srtp('subscriber')), /AEAD_AES_128_GCM/);
    assert.ok(!slotsOf(ann).audio.some((s) => s.participant === 1), 'never oneself');
    assert.equal(slotsOf(ann).audio.find((s) => s.participant === 2).csrc, 2);
    assert.ok(signald.last('connected', (e) => e.room === room && e.participant === 2 && e.which === 'subscribe'));
    await growsRoomy(ann);
    const speaking = await until('somebody speaks', () => signald.last('speakers', (e) => e.room === room && e.speakers.length > 0));
    assert.ok([1, 2].includes(speaking.speakers[0].participant));
    assert.ok(speaking.speakers[0].level < 100);
    await until('reports come back', async () => (await ann.sent()).remote?.some((r) => r.rtt > 0));
    const stats = await until('stats of both', () => signald.last('stats', (e) => e.room === room && e.participants.length === 2));
    assert.deepEqual(stats.participants.map((p) => p.participant).sort(), [1, 2]);
});

test('three in a room; views say who is where; one leaves and the others go on', async () => {
    const room = randomUUID();
    const [ann, ben, cleo] = await Promise.all([1, 2, 3].map((n) => join(room, n, { subscribe: [2, 3] })));
    await Promise.all([watches(ann, [2, 3]), watches(ben, [1, 3]), watches(cleo, [1, 2])]);

    await ann.request('view', { video: [{ slot: 2, participant: 3, source: 'camera', maxHeight: 720, priority: 1 }] });
    await until('only that slot', () => String(shown(ann)) === ',,3');
    const before = await ann.received();
    await until('the picture is in the slot that was asked for', async () => {
        const now = await ann.received();
        return now.v2?.frames > (before.v2?.frames ?? 0) && now.v2.from.includes(3);
    });
    await ann.request('view', { video: [{ slot: 2, participant: 2, source: 'camera', maxHeight: 720, priority: 1 }] });
    await until('the same slot shows another', async () => (await ann.received()).v2.from.includes(2));
    await ann.request('view', { video: [{ slot: 0, participant: 1, source: 'camera', maxHeight: 0, priority: 0 }] });
    await until('one does not get oneself back', () => String(shown(ann)) === ',,');
    await ann.request('view', { video: [] });
    await watches(ann, [2, 3]);
    await assert.rejects(ann.request('view', { video: [{ slot: 9, participant: 2, source: 'camera', maxHeight: 0, priority: 0 }] }), { code: 'bad_request' });

    await cleo.request('leave');
    await until('she is out of the slots', () => !shown(ann).includes(3) && !shown(ben).includes(3));
    await Promise.all([watches(ann, [2]), watches(ben, [1])]);
    await ann.request('close');
    await assert.rejects(ben.request('view', { video: [] }), { code: 'not_participant' });
});

test('lost packets are repaired both ways', async (t) => {
    const machine = watchMachine();
    const room = randomUUID();
    const port = await sfud.port();
    const up = await new LossyRelay(port, { up: 0.05, seed: 7 }).listen();
    const down = await new LossyRelay(port, { down: 0.05, seed: 9 }).listen();
    const ann = await join(room, 1, { relay: up, subscribe: null });
    const ben = await join(room, 2, { relay: down, publish: null });
    await watches(ben, [1]);
    const repaired = await until('losses both ways, and frames go on', async () => {
        const { v0 } = await ben.received();
        return up.lost > 20 && down.lost > 20 && v0.rtx > 5 && v0.frames > 150 && v0;
    }, 40_000);
    assert.ok(repaired.nacks > 0, 'the viewer asked again');
    assert.ok((await ann.sent()).video.nacks > 0, 'and so did the SFU');
    assert.ok(await sfud.metric('sotto_sfu_rtx_packets_total', 'direction="sent"') > 5);
    assert.ok(await sfud.metric('sotto_sfu_nacks_total', 'direction="sent"') > 5);
    // What a picture lost for good would show as: the decoder waits for a keyframe.
    const { calm, text } = machine.end();
    if (calm) assert.ok(repaired.keyFrames < repaired.frames / 10, `${repaired.keyFrames} keyframes in ${repaired.frames} frames`);
    else t.diagnostic(`${repaired.keyFrames} keyframes in ${repaired.frames} frames, not judged: ${text}`);
});

test('publishing again takes the place of the former publisher', async () => {
    const room = randomUUID();
    const ann = await join(room, 1, { subscribe: null });
    const ben = await join(room, 2, { publish: null });
    await watches(ben, [1]);
    const again = await join(room, 1, { subscribe: null });
    await watches(ben, [1]);
    await until('the former is told', async () => ann.page.evaluate(() => ['failed', 'disconnected', 'closed'].includes(window.peer.publisher.connectionState)));
    assert.ok(await again.page.evaluate(() => window.peer.publisher.connectionState === 'connected'));
});

test('a camera is added to the same peer connection', async () => {
    const room = randomUUID();
    const ann = await join(room, 1, { publish: { video: false }, subscribe: null });
    const ben = await join(room, 2, { publish: null });
    await until('sound', async () => (await ben.received()).a0?.energy > 0);
    const transports = await sfud.metric('sotto_sfu_transports');
    const offer = await ann.page.evaluate(async () => {
        const media = await navigator.mediaDevices.getUserMedia({ video: true });
        window.peer.publisher.addTransceiver(media.getVideoTracks()[0], { direction: 'sendonly' });
        return window.peer.reoffer();
    });
    await ann.published((await ann.request('publish', { sdp: offer })).sdp);
    await watches(ben, [1]);
    assert.equal(await sfud.metric('sotto_sfu_transports'), transports);
});

test('ICE restarts of both kinds keep the media', async () => {
    const room = randomUUID();
    const ann = await join(room, 1, { subscribe: null });
    const ben = await join(room, 2, { publish: null });
    await watches(ben, [1]);
    const handshakes = await sfud.metric('sotto_sfu_dtls_handshakes_total');

    const offer = await ann.page.evaluate(() => window.peer.reoffer({ iceRestart: true }));
    await ann.published((await ann.request('restart', { which: 'publish', sdp: offer })).sdp);
    await watches(ben, [1]);
    const { sdp } = await ben.request('restart', { which: 'subscribe' });
    await ben.answer(sdp);
    await watches(ben, [1]);
    assert.equal(await sfud.metric('sotto_sfu_dtls_handshakes_total'), handshakes, 'the keys stay');
    await assert.rejects(ann.request('restart', { which: 'subscribe' }), { code: 'not_participant' });
});

test('signald dies: rooms go on, and it hears about them when it is back', async () => {
    const room = randomUUID();
    const ann = await join(room, 1);
    const ben = await join(room, 2);
    await Promise.all([watches(ann, [2]), watches(ben, [1])]);
    const { port } = signald;
    await signald.die();
    await Promise.all([watches(ann, [2]), watches(ben, [1])]);
    signald.events.length = 0;
    const hellos = signald.hellos;
    await signald.listen(port);
    await until('hello', () => signald.hellos > hellos, 10_000);
    const told = signald.hello.rooms.find((r) => r.room === room);
    assert.deepEqual(told.participants.sort(), [1, 2]);
    await until('slots are told again', () => shown(ann)?.includes(2) && shown(ben)?.includes(1));
    await until('and who is connected', () => signald.events.filter((e) => e.t === 'connected' && e.room === room).length === 4);
    await Promise.all([watches(ann, [2]), watches(ben, [1])]);
});

test('one who falls silent is removed after 30 s', async () => {
    const room = randomUUID();
    const relay = await new LossyRelay(await sfud.port()).listen();
    const ann = await join(room, 1, { relay, subscribe: null });
    const ben = await join(room, 2, { publish: null });
    await watches(ben, [1]);
    await relay.close(); // no goodbye reaches the server
    ann.relay = null;
    await until('ann is gone', () => signald.last('disconnected', (e) => e.room === room && e.participant === 1), 45_000);
    await until('and out of the slots', () => shown(ben).every((p) => p === null));
});
