// sfud with two workers: rooms are shared out, each worker has its own port, and signald sees one sfud.
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
    sfud = await startSfud(signald, { workers: 2, pin_workers: 'yes', max_rooms: 3 });
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

/** The port of a description's candidate. */
const portOf = (sdp) => Number(/a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)/i.exec(sdp)[1]);

/** A peer of that room who publishes and subscribes, and the port that he was told. */
async function join(room, number) {
    const peer = await Peer.open(signald, room, number);
    open.push(peer);
    const ports = [portOf(await peer.publish({})), portOf(await peer.subscribe(2, 2))];
    assert.equal(ports[0], ports[1], 'both peer connections of a participant are on one worker');
    return { peer, port: ports[0] };
}

const seen = async (peer) =>
    Object.entries(await peer.received())
        .filter(([mid, r]) => mid.startsWith('v') && r.frames > 0)
        .flatMap(([, r]) => r.from);

test('two rooms are on two workers, and people see each other in each', async () => {
    const rooms = [randomUUID(), randomUUID()];
    const joined = [];
    for (const room of rooms) {
        joined.push([await join(room, 1), await join(room, 2)]);
    }
    const ports = joined.map(([a, b]) => {
        assert.equal(a.port, b.port, 'a room is on one worker');
        return a.port;
    });
    assert.deepEqual([...ports].sort(), [...(await sfud.ports())].sort());
    for (const [ann, ben] of joined) {
        await until('they see each other', async () => (await seen(ann.peer)).includes(2) && (await seen(ben.peer)).includes(1), 20_000);
    }
    const load = await until('the load of both', () => signald.last('load', (e) => e.rooms === 2 && e.transports === 8 && e.packetsPerSecond > 0));
    assert.ok(load.cpu > 0);
    assert.equal(await sfud.metric('sotto_sfu_rooms'), 2);
    for (const room of rooms) {
        const stats = await until('stats of each room', () => signald.last('stats', (e) => e.room === room && e.participants.length === 2));
        assert.deepEqual(stats.participants.map((p) => p.participant).sort(), [1, 2]);
    }
});

test('a signald that comes back is told the rooms of both in one hello, and then how they are', async () => {
    const rooms = [randomUUID(), randomUUID()];
    for (const room of rooms) await join(room, 5);
    const hellos = signald.hellos;
    const { port } = signald;
    await signald.die();
    signald.events.length = 0;
    await signald.listen(port);
    await until('hello', () => signald.hellos > hellos, 10_000);
    await until('the state of both rooms', () => rooms.every((room) => signald.last('slots', (e) => e.room === room)));
    assert.equal(signald.hellos, hellos + 1);
    assert.equal(signald.events[0].t, 'hello', 'nothing before it');
    assert.deepEqual(signald.hello.rooms.map((r) => [r.room, r.participants]).sort(), rooms.map((room) => [room, [5]]).sort());
    for (const room of rooms) {
        for (const which of ['publish', 'subscribe']) {
            assert.ok(signald.last('connected', (e) => e.room === room && e.participant === 5 && e.which === which));
        }
    }
    for (const peer of open) await peer.request('view', { video: [] });
});

test('rooms are counted over all workers, and a closed one makes place', async () => {
    const subscribe = (room) => signald.request('subscribe', { room, participant: 1, audioSlots: 1, videoSlots: 1 });
    const rooms = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
    for (const room of rooms.slice(0, 3)) await subscribe(room);
    await assert.rejects(subscribe(rooms[3]), { code: 'overloaded' });
    await signald.request('close', { room: rooms[1] });
    await subscribe(rooms[3]);
    for (const room of rooms) await signald.request('close', { room });
    await until('nothing is left', async () => (await sfud.metric('sotto_sfu_rooms')) === 0);
});

test('what is malformed or meant for nobody is refused as by one worker', async () => {
    const room = randomUUID();
    await assert.rejects(signald.request('publish', { room, participant: 1, sdp: 'nonsense' }), { code: 'bad_request' });
    await assert.rejects(signald.request('view', { room, participant: 1, video: [] }), { code: 'not_participant' });
    await signald.request('leave', { room, participant: 1 });
    await signald.request('close', { room });
});

test('a room that outgrows its worker is spread, and people see and hear each other all the same', async () => {
    const control = new FakeSignald();
    await control.listen();
    const spread = await startSfud(control, { workers: 2, room_workers: 2, room_participants: 1 });
    const room = randomUUID();
    const ports = [];
    const peers = [];
    try {
        for (const number of [1, 2, 3]) {
            const peer = await Peer.open(control, room, number);
            peers.push(peer);
            ports.push(portOf(await peer.publish({})));
            assert.equal(portOf(await peer.subscribe(2, 2)), ports.at(-1));
        }
        assert.equal(new Set(ports.slice(0, 2)).size, 2, 'the second one is on another worker');
        for (const peer of peers) {
            const others = [1, 2, 3].filter((n) => n !== peer.number);
            await until(`${peer.number} sees ${others}`, async () => {
                const from = await seen(peer);
                return others.every((n) => from.includes(n));
            }, 20_000);
            const slots = control.last('slots', (e) => e.participant === peer.number);
            assert.deepEqual(slots.video.map((s) => s.participant).sort(), others);
        }
        assert.ok((await spread.metric('sotto_sfu_relayed_packets_total')) > 100);
        const speaking = await until('speakers', () => control.last('speakers', (e) => e.speakers.length > 0));
        assert.ok(speaking.speakers.every((s) => [1, 2, 3].includes(s.participant)));
        const hellos = control.hellos;
        const { port } = control;
        await control.die();
        await control.listen(port);
        await until('hello', () => control.hellos > hellos, 10_000);
        assert.deepEqual(control.hello.rooms.map((r) => [r.room, [...r.participants].sort()]), [[room, [1, 2, 3]]], 'one room, each once');
        await peers[1].request('close');
        await until('nothing is left', async () => (await spread.metric('sotto_sfu_rooms')) === 0);
    } finally {
        for (const peer of peers) await peer.close();
        await spread.stop();
        control.close();
    }
});
