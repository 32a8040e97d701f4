// sfud by the ways that a client with a poor network has: ICE-TCP, IPv6; Chromium publishes and subscribes over each.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { growsRoomy } from '../lib/sender.mjs';
import { watchMachine } from '../lib/machine.mjs';
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

/** Leaves only those candidates of a description that fit: what a network lets through. */
const only = (fits) => ({ divert: (sdp) => sdp.replace(/a=(candidate:.*)\r?\n/g, (line, candidate) => (fits(candidate.split(' ')) ? line : '')) });
const tcp = only(([, , protocol]) => protocol === 'tcp');
const udp = only(([, , protocol]) => protocol === 'udp');

async function join(room, number, relay) {
    const peer = await Peer.open(signald, room, number);
    open.push(peer);
    peer.relay = relay;
    const answer = await peer.publish();
    await peer.subscribe(2, 2);
    return { peer, answer };
}

/** Frames and sound go on. */
async function watches(peer) {
    const first = await peer.received();
    const grown = (now, slot, key) => now[slot]?.[key] > (first[slot]?.[key] ?? 0);
    return until(`${peer.number} hears and sees`, async () => {
        const now = await peer.received();
        return Object.keys(now).some((s) => grown(now, s, 'frames')) && Object.keys(now).some((s) => grown(now, s, 'energy')) && now;
    }, 20_000);
}

/** The remote candidate of the pair in use. */
const remote = (peer, which) =>
    peer.page.evaluate(async (w) => {
        const stats = await window.peer[w].getStats();
        const pair = stats.get([...stats.values()].find((r) => r.type === 'transport').selectedCandidatePairId);
        const { protocol, address, port } = stats.get(pair.remoteCandidateId);
        return { protocol, address, port };
    }, which);

test('both by TCP', async (t) => {
    const machine = watchMachine();
    const room = randomUUID();
    const { peer: ann, answer } = await join(room, 1, tcp);
    const { peer: ben } = await join(room, 2, tcp);
    await Promise.all([watches(ann), watches(ben)]);
    for (const peer of [ann, ben]) {
        for (const which of ['publisher', 'subscriber']) assert.equal((await remote(peer, which)).protocol, 'tcp');
    }
    assert.match(answer, /a=candidate:\d+ 1 tcp \d+ \S+ \d+ typ host tcptype passive/);
    await until('four connections at least', async () => (await sfud.metric('sotto_sfu_tcp_connections')) >= 4);
    const slow = await sfud.metric('sotto_sfu_dropped_packets_total', 'reason="slow_tcp"');
    const { calm, text } = machine.end();
    if (calm) assert.equal(slow, 0);
    else t.diagnostic(`${slow} packets were dropped because a connection was slow; not judged: ${text}`);
    await growsRoomy(ann); // by TCP too
});

test('one by TCP, one by UDP; TCP goes with its peer', async () => {
    const room = randomUUID();
    const { peer: ann } = await join(room, 1, tcp);
    const { peer: ben } = await join(room, 2, udp);
    await Promise.all([watches(ann), watches(ben)]);
    assert.equal((await remote(ben, 'subscriber')).protocol, 'udp');
    await ann.request('leave');
    await until('his connections are closed', async () => (await sfud.metric('sotto_sfu_tcp_connections')) === 0);
});

test('the same port by UDP and TCP, and UDP is preferred', async () => {
    const room = randomUUID();
    const { peer: ann, answer } = await join(room, 1);
    const { peer: ben } = await join(room, 2);
    await Promise.all([watches(ann), watches(ben)]);
    assert.equal((await remote(ann, 'publisher')).protocol, 'udp');
    const ports = new Set([...answer.matchAll(/a=candidate:\d+ 1 (?:udp|tcp) \d+ \S+ (\d+)/g)].map((m) => m[1]));
    assert.equal(ports.size, 1);
});

test('by IPv6, UDP and TCP', async (t) => {
    const six = ([, , , , address]) => address.includes(':');
    const room = randomUUID();
    const { sdp } = await signald.request('subscribe', { room, participant: 99, audioSlots: 1, videoSlots: 1 });
    if (!/a=candidate:\S+ 1 udp \d+ \S*:\S* /.test(sdp)) return t.skip('this host has no IPv6 address but its own loopback');
    const { peer: ann } = await join(room, 1, only((c) => six(c) && c[2] === 'udp'));
    const { peer: ben } = await join(room, 2, only((c) => six(c) && c[2] === 'tcp'));
    await Promise.all([watches(ann), watches(ben)]);
    assert.match((await remote(ann, 'publisher')).address, /:/);
    assert.deepEqual((({ protocol, address }) => [protocol, address.includes(':')])(await remote(ben, 'subscriber')), ['tcp', true]);
});
