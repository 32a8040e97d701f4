// A worker that has more work than time, by its own CPU time and not by a made-up figure: the pictures of the lowest priority
// go first, then nobody else is let in, and those inside hear everything meanwhile.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { after, afterEach, test } from 'node:test';
import { Load } from '../../bench/lib/load.mjs';
import { whenCalm } from '../lib/machine.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { until } from '../lib/stack.mjs';

const build = process.env.SOTTO_TEST_BUILD || new URL('../../build', import.meta.url).pathname;
const SPEAKERS = 4;
/** Of each speaker's picture, at everybody's: the last is the first to go. */
const PRIORITIES = [90, 60, 30, 0];
const SOURCE = { video_kbps: 1500, fps: 30, packet_bytes: 1100, keyframe_interval_ms: 0, audio: true };
/** Of a core: so much work that a whole number of percent bounds it well. */
const ENOUGH = 0.06;
const MOST_VIEWERS = 40;
const AT_ONCE = 8;
const ENDPOINT = { ice: 'lean', profile: 'gcm' };

const undo = [];
afterEach(async () => {
    for (const fn of undo.splice(0).reverse()) await fn();
});
const signald = new FakeSignald();
await signald.listen();
after(() => signald.close());

/** CPU seconds of the process, and of how long. */
function cpuClock(pid) {
    const read = () => readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1e9;
    const [cpu, at] = [read(), performance.now()];
    return () => (read() - cpu) / ((performance.now() - at) / 1000);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

class Room {
    id = randomUUID();
    viewers = [];

    static async open(settings) {
        const room = new Room();
        const hellos = signald.hellos;
        room.sfud = await startSfud(signald, { public_addresses: '127.0.0.1', ...settings }, { level: 'info' });
        undo.push(() => room.sfud.stop());
        await until('its hello', () => signald.hellos > hellos);
        room.load = await Load.start({ build, defer: (fn) => undo.push(fn) });
        for (let ep = 1; ep <= SPEAKERS; ep++) await room.publish(ep);
        return room;
    }

    request(t, participant, members = {}) {
        return signald.request(t, { room: this.id, participant, ...members });
    }

    async publish(ep) {
        const sdp = await this.load.offer(ep, { audio: 1, video: 1, dir: 'sendonly', ...ENDPOINT });
        const answer = await this.request('publish', ep, { sdp });
        this.load.remote(ep, answer.sdp);
        await this.load.connected(ep);
    }

    async join(ep) {
        const offer = await this.request('subscribe', ep, { audioSlots: SPEAKERS, videoSlots: SPEAKERS });
        const sdp = await this.load.answer(ep, offer.sdp, ENDPOINT);
        await this.request('answer', ep, { sdp });
        await this.load.connected(ep);
        await this.request('view', ep, { video: PRIORITIES.map((priority, slot) => ({ slot, participant: slot + 1, source: 'camera', maxHeight: 0, priority })) });
        this.viewers.push(ep);
    }

    async joinMore(n) {
        const first = SPEAKERS + this.viewers.length + 1;
        await Promise.all(Array.from({ length: n }, (_, i) => this.join(first + i)));
    }

    send() {
        this.load.send(Array.from({ length: SPEAKERS }, (_, i) => i + 1), SOURCE);
    }

    /** Everybody has had sound and picture. */
    async flowing() {
        await Promise.all(this.viewers.flatMap((ep) => [this.load.media(ep, 'audio'), this.load.media(ep, 'video')]));
    }
}

/** As many viewers as make enough work where nothing is shed, and how much of a core that takes. */
async function calibrate() {
    const room = await Room.open({ overload_percent: 0 });
    room.send();
    for (let busy = 0; busy < ENOUGH && room.viewers.length < MOST_VIEWERS; ) {
        await room.joinMore(AT_ONCE);
        await room.flowing();
        const clock = cpuClock(room.sfud.pid);
        await sleep(1000); // a window to measure in
        busy = clock();
        room.busy = busy;
    }
    for (const fn of undo.splice(0).reverse()) await fn();
    return { viewers: room.viewers.length, busy: room.busy };
}

/** The priorities of the pictures that the event says are paused. */
const pausedOf = (event) => event.video.filter((slot) => slot.paused).map((slot) => PRIORITIES[slot.participant - 1]);

test('a busy worker sheds the least wanted pictures, then refuses joins, and nobody misses a word', { timeout: 500_000 }, async (t) => {
    const { viewers, busy } = await calibrate();
    assert.ok(busy >= ENOUGH / 2, `${viewers} viewers keep it busy for ${(100 * busy).toFixed(1)} % only`);
    const room = await Room.open({ overload_percent: Math.max(1, Math.floor(45 * busy)) }); // less than half of what is to be done
    await room.joinMore(viewers);
    const seen = signald.events.length;
    await room.load.mark();
    room.send();
    await room.flowing();
    await until('it sheds', async () => (await room.sfud.metric('sotto_sfu_shed_sixteenths')) > 0, 20_000);
    const first = await until('somebody is told of it', () => signald.events.slice(seen).find((e) => e.t === 'slots' && pausedOf(e).length > 0), 20_000);
    assert.ok(pausedOf(first).includes(Math.min(...PRIORITIES)), `the least wanted is the first, not ${pausedOf(first)}`);

    await room.load.mark();
    let from = performance.now();
    const refused = await until('nobody else is let in', () => room.request('subscribe', 900, { audioSlots: 1, videoSlots: 1 }).then(async () => {
        await room.request('leave', 900);
        return null;
    }, (error) => error), 20_000);
    assert.equal(refused.code, 'overloaded');
    await assert.rejects(signald.request('publish', { room: randomUUID(), participant: 1, sdp: await room.load.offer(901, { audio: 1, video: 1, dir: 'sendonly', ...ENDPOINT }) }), { code: 'overloaded' });
    await until('half of the pictures are gone', async () => (await room.sfud.metric('sotto_sfu_shed_sixteenths')) >= 8, 20_000);

    for (const event of signald.events.slice(seen).filter((e) => e.t === 'slots' && pausedOf(e).length > 0)) {
        const sent = event.video.filter((slot) => slot.participant && !slot.paused).map((slot) => PRIORITIES[slot.participant - 1]);
        for (const one of pausedOf(event)) for (const other of sent) assert.ok(one < other, `${one} is paused and ${other} is sent`);
    }

    // Since before it refused; and once more, should the machine have kept the packets.
    await whenCalm(t, async () => {
        await sleep(Math.max(0, 1000 - (performance.now() - from)));
        const stats = await room.load.stats({ eps: true });
        const heard = stats.endpoints.filter(({ ep }) => room.viewers.includes(ep));
        const spoken = stats.endpoints.filter(({ ep }) => ep <= SPEAKERS).map(({ sent }) => sent.audio);
        const least = Math.min(...heard.map(({ received }) => received.audio));
        const all = spoken.reduce((sum, n) => sum + n, 0);
        await room.load.mark();
        from = performance.now();
        assert.ok(all > 100, 'it was long enough to tell');
        assert.ok(least >= 0.98 * all - 2 * SPEAKERS, `${least} of ${all} packets of sound came to one of them`);
        assert.equal(heard.reduce((sum, { received }) => sum + received.lost, 0), 0, 'and nothing was lost');
    });
    // Who is inside may do what is no join: an ICE restart.
    const [viewer] = room.viewers;
    const restarted = room.load.restarted(viewer);
    const { sdp } = await room.request('restart', viewer, { which: 'subscribe' });
    await room.request('answer', viewer, { sdp: await room.load.restart(viewer, sdp) });
    await restarted;
});
