// What the SFU measured of a call, at signald: everybody with a socket is told of his own media, and the record hears of
// those who are there by WHIP alone.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { FakeSfu } from '../lib/fake_sfu.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { offer, post } from '../lib/whip.mjs';

let stack, sfu;
before(async () => {
    stack = await startStack({});
    await stack.stop('sfud');
    sfu = await FakeSfu.open(stack.base + 3, readFileSync(join(stack.dir, 'secrets/sfu_link'), 'utf8').trim());
    await until('the node is up', async () => (await http(stack, 'GET', '/readyz')).status === 200);
});
after(async () => {
    sfu?.close();
    await stack.down();
});

async function ok(socket, type, data) {
    const reply = await socket.request(type, data);
    assert.equal(reply.ok, true, `${type}: ${JSON.stringify(reply)}`);
    return reply.data;
}
const camera = (members = {}) => ({ source: 'camera', packets: 900, bytes: 1000000, lost: 3, lossPercent: 0.3, bitrateKbps: 1200, nacks: 3, plis: 1, live: true, ...members });

test('each hears of his own media; the record of who has no socket', async () => {
    const [host, guest, studio] = await Promise.all([newUser(stack), newUser(stack), newUser(stack)]);
    for (const p of [host, guest]) p.socket = await Socket.open(stack, p.token);
    const made = await http(stack, 'POST', '/v1/conversations', { token: host.token, body: { type: 'group', name: 'g', memberIds: [guest.userId, studio.userId] } });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const { callId } = await ok(host.socket, 'call_start', { conversationId: made.body.id, media: 'video' });
    await guest.socket.event('incoming_call', (d) => d.callId === callId);
    await ok(guest.socket, 'accept_call', { callId });
    const whip = await post(stack, `/v1/calls/${callId}/whip`, { token: studio.token, body: offer() });
    assert.equal(whip.status, 201, JSON.stringify(whip.body));
    const { participant: number } = await sfu.request('publish', (r) => r.room === callId);

    const subscribe = { packets: 5, bytes: 500, rttMs: 31.5, estimateKbps: 1800 };
    const participants = [
        { participant: 1, publish: [camera()], subscribe },
        { participant: 2, publish: [] },
        { participant: number, publish: [camera({ lossPercent: 2 }), camera({ lossPercent: 4 })], subscribe: { rttMs: 50, lossPercent: 1 } },
        { participant: 99, publish: [camera()] },
        { participant: -1 },
        { publish: 'nonsense' },
    ];
    sfu.tell({ t: 'stats', room: callId, participants: participants.slice(0, 4) });
    assert.deepEqual((await host.socket.event('call_stats')).data, { callId, path: 'sfu', publish: [camera()], subscribe });
    assert.deepEqual((await guest.socket.event('call_stats')).data, { callId, path: 'sfu', publish: [] });
    sfu.tell({ t: 'stats', room: callId, participants }); // some of it is malformed: signald lives
    sfu.tell({ t: 'stats', room: callId, participants: 7 });
    sfu.tell({ t: 'stats', room: callId, participants: [{ participant: 1, subscribe: { rttMs: 1 } }] });
    assert.deepEqual((await host.socket.event('call_stats', (d) => d.subscribe?.rttMs === 1)).data, { callId, path: 'sfu', subscribe: { rttMs: 1 } });

    for (const p of [host, guest]) await ok(p.socket, 'hang_up', { callId });
    await http(stack, 'DELETE', whip.headers.get('location'), { token: studio.token });
    const row = await until('the record', async () => {
        const { body } = await http(stack, 'GET', `/v1/calls/${callId}`, { token: host.token });
        return body.status === 'ended' && body;
    });
    assert.equal(row.path, 'sfu');
    assert.ok(row.quality.samples >= 1, JSON.stringify(row.quality));
    assert.equal(row.quality.rttMs, 50);
    assert.equal(row.quality.lossPercent, 4);
    for (const p of [host, guest]) p.socket.close();
});
