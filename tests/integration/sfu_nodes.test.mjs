// A room over two sfuds: what one's people send is relayed to the other's once, over an encrypted link; either may die and return.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { whenCalm } from '../lib/machine.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

const dir = mkdtempSync(join(tmpdir(), 'sotto-nodes-'));
const nodes = [];
const people = [];

function secretFile(name, text) {
    const path = join(dir, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
}

/** An sfud with a signald of its own, as far as it can tell. */
class Node {
    constructor(name, secret, settings = {}) {
        this.name = name;
        this.settings = { node: name, relay_address: '127.0.0.1', relay_port: 0, relay_secret_file: secret, ...settings };
        nodes.push(this);
    }

    async start() {
        this.signald = new FakeSignald();
        await this.signald.listen();
        this.sfud = await startSfud(this.signald, this.settings);
    }

    /** Its part of `relay`; the port of its end. */
    async relay(room, node, port, branch) {
        const members = port ? { address: '127.0.0.1', port } : {};
        return (await this.signald.request('relay', { room, node: node.name, branch, ...members })).port;
    }

    async kill() {
        process.kill(this.sfud.pid, 'SIGKILL');
        await this.sfud.stop().catch(() => {}); // it did not end well: that was the point
        this.signald.close();
    }

    async stop() {
        await this.sfud.stop();
        this.signald.close();
    }

    metric(name, labels) {
        return this.sfud.metric(name, labels);
    }

    links() {
        return this.metric('sotto_sfu_relay_links');
    }
}

/** As signald would: a place at the home, then each side is told of the other. */
async function share(room, home, branch) {
    const atHome = await home.relay(room, branch, 0, false);
    const atBranch = await branch.relay(room, home, atHome, true);
    assert.equal(await home.relay(room, branch, atBranch, false), atHome);
}

async function person(node, room, number, { publishes = true, watches = true, ...media } = {}) {
    const peer = await Peer.open(node.signald, room, number);
    people.push(peer);
    if (publishes) await peer.publish(media);
    if (watches) await peer.subscribe(2, 2);
    return peer;
}

const seen = async (peer) =>
    Object.entries(await peer.received())
        .filter(([mid, r]) => mid.startsWith('v') && r.frames > 0)
        .flatMap(([, r]) => r.from);
const sees = (peer, other) => until(`${peer.number} sees ${other}`, async () => (await seen(peer)).includes(other), 20_000);
const inSlots = (node, viewer) => {
    const slots = node.signald.last('slots', (e) => e.participant === viewer);
    return slots?.video.map((s) => s.participant).filter(Boolean) ?? [];
};

let secret, home, branch;

before(async () => {
    secret = secretFile('secret', 'a secret that all nodes know');
    home = new Node('home', secret, { workers: 2 });
    branch = new Node('branch', secret, { workers: 2 });
    await Promise.all([home.start(), branch.start()]);
});
afterEach(async () => {
    for (const peer of people.splice(0)) {
        await peer.request('leave').catch(() => {});
        await peer.close();
    }
});
after(async () => {
    await closeBrowser();
    for (const node of nodes) await node.stop();
    rmSync(dir, { recursive: true, force: true });
});

test('people on two nodes see and hear each other, and a track passes the link once for however many', async (t) => {
    const room = randomUUID();
    const ann = await person(home, room, 1);
    await share(room, home, branch);
    const ben = await person(branch, room, 2);
    const cleo = await person(branch, room, 3, { publishes: false });
    await Promise.all([sees(ann, 2), sees(ben, 1), sees(cleo, 1), sees(cleo, 2)]);
    assert.equal(await home.links(), 1);
    assert.equal(await branch.links(), 1);
    assert.deepEqual(inSlots(branch, 3).sort(), [1, 2]);

    const sent = async () => Object.values(await ann.sent()).reduce((sum, r) => sum + (r?.packets ?? 0), 0);
    const relayed = () => home.metric('sotto_sfu_relayed_packets_total');
    await whenCalm(t, async () => { // both are read one after the other
        const from = [await sent(), await relayed()];
        await until('some hundred packets', async () => (await sent()) - from[0] > 400);
        const to = [await sent(), await relayed()];
        const ratio = (to[1] - from[1]) / (to[0] - from[0]);
        assert.ok(ratio > 0.8 && ratio < 1.25, `two watch beyond the link, one copy passes it: ${ratio.toFixed(2)} packets for each sent`);
        assert.equal(await home.metric('sotto_sfu_dropped_packets_total', 'reason="relay_full"'), 0);
    });

    const speaking = await until('speakers', () => home.signald.last('speakers', (e) => e.speakers.length > 0));
    assert.ok(speaking.speakers.every((s) => [1, 2].includes(s.participant)));
    assert.equal(branch.signald.last('speakers', (e) => e.room === room), undefined, 'the home speaks for the room');

    await branch.signald.request('unrelay', { room, node: 'home' });
    await home.signald.request('unrelay', { room, node: 'branch' });
    await until('ann goes from the slots over there', () => !inSlots(branch, 3).includes(1), 10_000);
    await until('no link is left', async () => (await home.links()) === 0 && (await branch.links()) === 0, 10_000);
    await sees(cleo, 2);
});

test('a node that is killed takes only its own with it, and comes back', async () => {
    const room = randomUUID();
    const ann = await person(home, room, 1);
    const ben = await person(branch, room, 2);
    const cleo = await person(branch, room, 3, { publishes: false });
    await share(room, home, branch);
    await Promise.all([sees(ann, 2), sees(cleo, 1)]);

    await home.kill();
    await until('ann has left the slots of the other node', () => !inSlots(branch, 3).includes(1), 15_000);
    const frames = (await cleo.received()).v0.frames;
    await until('who is on that node is still seen', async () => (await cleo.received()).v0.frames > frames + 20);
    assert.deepEqual(inSlots(branch, 3), [2]);
    assert.equal(await branch.links(), 0);
    await ann.close();
    people.splice(people.indexOf(ann), 1);

    await home.start();
    await share(room, home, branch);
    await until('the link is back', async () => (await branch.links()) === 1 && (await home.links()) === 1, 10_000);
    const again = await person(home, room, 1);
    await Promise.all([sees(again, 2), sees(ben, 1), sees(cleo, 1)]);
});

test('who has another secret is refused and counted, and those who know each other notice nothing', async () => {
    const room = randomUUID();
    const stranger = new Node('stranger', secretFile('another', 'a secret of somebody else, as long'), { workers: 1 });
    await stranger.start();
    await person(home, room, 1, { watches: false });
    const zoe = await person(stranger, room, 9, { publishes: false });
    const ben = await person(branch, room, 2, { publishes: false });
    await share(room, home, branch);
    await share(room, home, stranger);
    await sees(ben, 1);
    for (const node of [home, stranger]) {
        await until('refused datagrams', async () => (await node.metric('sotto_sfu_relay_refused_total')) >= 3, 10_000);
    }
    assert.equal(await stranger.links(), 0);
    assert.equal(await home.links(), 1);
    assert.deepEqual(inSlots(stranger, 9), []);
    assert.deepEqual(await seen(zoe), []);
});

const ENCODINGS = ['q', 'h', 'f'].map((rid, i) => ({ rid, scaleResolutionDownBy: 4 >> i }));
const pictures = async (peer) => (await peer.received()).v0 ?? {};

test('of simulcast the link carries what somebody beyond looks at, and he gets it', async (t) => {
    const room = randomUUID();
    const ann = await person(home, room, 1, { watches: false, width: 1280, height: 720, encodings: ENCODINGS });
    await share(room, home, branch);
    const ben = await person(branch, room, 2, { publishes: false });
    const look = (maxHeight) => ben.request('view', { video: [{ slot: 0, participant: 1, source: 'camera', maxHeight, priority: 0 }] });
    const video = async () => {
        const streams = await ann.page.evaluate(async () => [...(await window.peer.publisher.getStats()).values()]
            .filter((r) => r.type === 'outbound-rtp').map((r) => ({ rid: r.rid, packets: r.packetsSent, height: r.frameHeight })));
        return { ...Object.fromEntries(streams.map((r) => [r.rid ?? 'sound', r.packets])), relayed: await home.metric('sotto_sfu_relayed_packets_total') };
    };
    await look(180);
    await until('small pictures', async () => (await pictures(ben)).height === 180, 60_000);
    await until('a large layer that nobody looks at', async () => (await video()).f > 50, 60_000);
    await whenCalm(t, async () => {
        const from = await video();
        await until('some of it', async () => (await video()).f - from.f > 300, 60_000);
        const to = await video();
        const sent = Object.fromEntries(Object.keys(to).map((key) => [key, to[key] - from[key]]));
        assert.ok(sent.relayed < 1.3 * (sent.q + sent.sound), `the link carries more than the small layer and sound: ${JSON.stringify(sent)}`);
    });
    await look(720);
    await until('larger pictures', async () => (await pictures(ben)).height >= 360, 60_000);
    const { frames } = await pictures(ben);
    await until('and they move', async () => (await pictures(ben)).frames > frames + 20, 20_000);
});

test('an sfud without a secret shares nothing', async () => {
    const alone = new Node('alone', '', { workers: 1 });
    await alone.start();
    const refused = { code: 'unavailable', message: /relay_off/ };
    await assert.rejects(alone.signald.request('relay', { room: randomUUID(), node: 'home' }), refused);
    await assert.rejects(home.signald.request('relay', { room: randomUUID(), node: 'x', address: 'localhost', port: 1 }), { code: 'bad_request' });
});
