// Calls on the SFU as signald handles them, with a media node that forwards nothing: placing, numbers and ids, fallback,
// a third person, nodes that go, come back, or come back empty.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { FakeSfu } from '../lib/fake_sfu.mjs';
import { startStack, until } from '../lib/stack.mjs';

const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';
let stack;
let nodes = [];
const node = async (options) => {
    const secret = readFileSync(join(stack.dir, 'secrets/sfu_link'), 'utf8').trim();
    const sfu = await FakeSfu.open(stack.base + 3, secret, options);
    nodes.push(sfu);
    return sfu;
};

before(async () => {
    stack = await startStack({ 'calls.ring_timeout': '5s', 'calls.grace': '3s' });
    await stack.stop('sfud');
});
afterEach(() => {
    for (const sfu of nodes) sfu.close();
    nodes = [];
});
after(() => stack.down());

async function person() {
    const user = await newUser(stack);
    return { ...user, socket: await Socket.open(stack, user.token) };
}
async function ok(socket, type, data) {
    const reply = await socket.request(type, data);
    assert.equal(reply.ok, true, `${type}: ${JSON.stringify(reply)}`);
    return reply.data;
}
/** A group call of all of them, everybody joined and published. */
async function group(people) {
    const [first, ...others] = people;
    const made = await http(stack, 'POST', '/v1/conversations', {
        token: first.token,
        body: { type: 'group', name: 'g', memberIds: others.map((p) => p.userId) },
    });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const call = await ok(first.socket, 'call_start', { conversationId: made.body.id, media: 'video' });
    assert.equal(call.mode, 'sfu');
    for (const p of others) {
        await p.socket.event('incoming_call', (d) => d.callId === call.callId);
        await ok(p.socket, 'accept_call', { callId: call.callId });
    }
    return { ...call, conversationId: made.body.id };
}
async function publishAll(people, callId) {
    const replies = [];
    for (const p of people) replies.push(await ok(p.socket, 'sfu_publish', { callId, sdp: SDP }));
    return replies;
}

test('no node: a group call fails, a direct one cannot fall back', async () => {
    const [a, b, c] = await Promise.all([person(), person(), person()]);
    const made = await http(stack, 'POST', '/v1/conversations', { token: a.token, body: { type: 'group', name: 'g', memberIds: [b.userId, c.userId] } });
    const refused = await a.socket.request('call_start', { conversationId: made.body.id });
    assert.equal(refused.error?.code, 'sfu_unavailable', JSON.stringify(refused));
    const call = await ok(a.socket, 'call_start', { userId: b.userId });
    await ok(b.socket, 'accept_call', { callId: call.callId });
    assert.equal((await a.socket.request('call_fallback', { callId: call.callId, reason: 'timeout' })).error.code, 'sfu_unavailable');
    await ok(a.socket, 'hang_up', { callId: call.callId });
});

test('a group call: numbers for the SFU, ids for the clients', async () => {
    const sfu = await node();
    const people = await Promise.all([person(), person(), person()]);
    const [a, b, c] = people;
    const { callId } = await group(people);
    const published = await publishAll(people, callId);
    assert.deepEqual(published.map((p) => p.participant), [1, 2, 3]);
    assert.match(published[0].sdp, /^v=0/);
    for (const n of [1, 2, 3]) {
        const request = await sfu.request('publish');
        assert.equal(request.room, callId);
        assert.equal(request.participant, n);
        assert.equal(request.sdp, SDP);
        assert.ok(!JSON.stringify(request).includes(a.userId), 'the SFU never learns who it is');
    }
    await ok(a.socket, 'sfu_subscribe', { callId, audioSlots: 2, videoSlots: 4 });
    const subscribe = await sfu.request('subscribe');
    assert.equal(subscribe.audioSlots, 2);
    assert.equal(subscribe.videoSlots, 4);
    await ok(a.socket, 'sfu_answer', { callId, sdp: SDP });
    await sfu.request('answer');
    await ok(a.socket, 'sfu_view', { callId, video: [{ slot: 0, participantId: published[2].participantId, source: 'camera', maxHeight: 360 }, { slot: 1, participantId: null }] });
    const view = await sfu.request('view');
    assert.equal(view.video[0].participant, 3);
    assert.equal(view.video[1].participant, null);
    await ok(a.socket, 'sfu_ice_restart', { callId, which: 'subscribe' });
    assert.equal((await sfu.request('restart')).which, 'subscribe');

    sfu.tell({
        t: 'slots', room: callId, participant: 1,
        audio: [{ slot: 0, mid: '0', participant: 2, csrc: 2 }],
        video: [{ slot: 0, mid: '1', participant: 3, source: 'camera', csrc: 3, paused: false }, { slot: 1, mid: '2', participant: null, source: 'camera', csrc: 0, paused: true }],
    });
    const slots = (await a.socket.event('sfu_slots')).data;
    assert.equal(slots.callId, callId);
    assert.equal(slots.audio[0].participantId, published[1].participantId);
    assert.equal(slots.video[0].participantId, published[2].participantId);
    assert.equal(slots.video[1].participantId, null);
    assert.ok(!b.socket.has('sfu_slots'));
    sfu.tell({ t: 'speakers', room: callId, speakers: [{ participant: 2, level: 30 }] });
    for (const p of people) {
        assert.deepEqual((await p.socket.event('active_speakers')).data.speakers, [{ participantId: published[1].participantId, level: 30 }]);
    }
    sfu.answers.publish = { error: { code: 'bad_request', message: 'no' } };
    assert.equal((await b.socket.request('sfu_publish', { callId, sdp: SDP })).error.code, 'bad_request');
    sfu.answers.publish = { error: { code: 'overloaded', message: 'limit' } };
    const full = (await b.socket.request('sfu_publish', { callId, sdp: SDP })).error;
    assert.equal(full.code, 'overloaded');
    assert.ok(full.retryAfterMs > 0, JSON.stringify(full));
    delete sfu.answers.publish;

    const eve = await person();
    assert.equal((await eve.socket.request('call_join', { callId })).error.code, 'forbidden');
    assert.equal((await eve.socket.request('sfu_publish', { callId, sdp: SDP })).error.code, 'forbidden');

    await ok(c.socket, 'hang_up', { callId });
    assert.equal((await sfu.request('leave')).participant, 3);
    assert.equal((await a.socket.event('participant_left')).data.participant.userId, c.userId);
    await ok(c.socket, 'call_join', { callId }); // and comes back, as the same number
    assert.equal((await ok(c.socket, 'sfu_publish', { callId, sdp: SDP })).participant, 3);
    for (const p of people) await ok(p.socket, 'hang_up', { callId });
    await sfu.request('close', (r) => r.room === callId);
    const row = (await http(stack, 'GET', `/v1/calls/${callId}`, { token: a.token })).body;
    assert.equal(row.path, 'sfu');
});

test('fallback moves both sides of a direct call, once', async () => {
    await node();
    const [a, b] = await Promise.all([person(), person()]);
    const { callId } = await ok(a.socket, 'call_start', { userId: b.userId });
    await ok(b.socket, 'accept_call', { callId });
    const [x, y] = await Promise.all([a, b].map((p) => ok(p.socket, 'call_fallback', { callId, reason: 'ice_failed' })));
    assert.deepEqual([x.mode, y.mode], ['sfu', 'sfu']);
    for (const p of [a, b]) {
        assert.deepEqual((await p.socket.event('call_fallback')).data, { callId, mode: 'sfu', reason: 'ice_failed' });
        assert.ok(!p.socket.has('call_fallback'));
    }
    await publishAll([a, b], callId);
    await ok(a.socket, 'hang_up', { callId });
    await b.socket.event('call_ended');
    assert.equal((await http(stack, 'GET', `/v1/calls/${callId}`, { token: b.token })).body.path, 'sfu');
});

test('a third person moves the call, and it goes on as a group', async () => {
    await node();
    const [a, b, c] = await Promise.all([person(), person(), person()]);
    const { callId } = await ok(a.socket, 'call_start', { userId: b.userId });
    await ok(b.socket, 'accept_call', { callId });
    const invited = await ok(a.socket, 'call_invite', { callId, userIds: [c.userId, b.userId] });
    assert.equal(invited.participants.length, 3);
    for (const p of [a, b]) assert.equal((await p.socket.event('call_fallback')).data.reason, 'third_party');
    const incoming = (await c.socket.event('incoming_call')).data;
    assert.equal(incoming.mode, 'sfu');
    assert.equal(incoming.from.userId, a.userId);
    assert.ok(Date.parse(incoming.expiresAt) > Date.now());
    await ok(c.socket, 'accept_call', { callId });
    assert.equal((await b.socket.event('participant_joined', (d) => d.participant.userId === c.userId)).data.participant.number, 3);
    await ok(a.socket, 'hang_up', { callId });
    assert.equal((await a.socket.request('call_invite', { callId, userIds: [c.userId] })).error.code, 'not_participant');
    await ok(b.socket, 'hang_up', { callId });
    assert.equal((await c.socket.event('call_ended')).data.reason, 'completed');
});

test('a link that breaks keeps the room; an empty node is placed anew; strays are closed', async () => {
    const sfu = await node();
    const [a, b] = await Promise.all([person(), person()]);
    const { callId } = await group([a, b, await person()]);
    await publishAll([a, b], callId);
    sfu.close();
    await until('sfu is away', async () => (await a.socket.request('sfu_publish', { callId, sdp: SDP })).error?.code === 'sfu_unavailable');
    const stray = '01890000-0000-7000-8000-0000000000aa';
    const back = await node({ instance: sfu.instance, rooms: [{ room: callId, participants: [1, 2] }, { room: stray, participants: [1] }] });
    assert.equal((await back.request('close')).room, stray);
    await ok(a.socket, 'sfu_view', { callId, video: [] });
    assert.ok(!a.socket.has('call_fallback'), 'media went on: nobody moves');

    back.close();
    const fresh = await node({ instance: undefined }); // a new process
    for (const p of [a, b]) assert.equal((await p.socket.event('call_fallback')).data.reason, 'sfu_restarted');
    await publishAll([a, b], callId);
    assert.equal((await fresh.request('publish')).room, callId);

    fresh.close();
    const other = await node({ node: 'fake-2' }); // and a node that never returns is replaced by another
    for (const p of [a, b]) assert.equal((await p.socket.event('call_fallback', () => true, 10_000)).data.reason, 'sfu_restarted');
    await publishAll([a, b], callId);
    await other.request('publish');
    assert.ok(!a.socket.has('incoming_call') && !b.socket.has('incoming_call'), 'without a second ring');
    for (const p of [a, b]) await ok(p.socket, 'hang_up', { callId });
});

test('kill -9 of signald: the room is kept', async () => {
    const first = await node();
    const people = await Promise.all([person(), person(), person()]);
    const [a, b] = people;
    const { callId } = await group(people);
    await publishAll(people, callId);
    await stack.kill('signald');
    await stack.start('signald');
    const sfu = await node({ instance: first.instance, rooms: [{ room: callId, participants: [1, 2, 3] }] });
    const sockets = await Promise.all(people.map((p) => Socket.open(stack, p.token)));
    await ok(sockets[0], 'sfu_view', { callId, video: [] });
    assert.equal((await sfu.request('view')).participant, 1);
    assert.ok(sockets.every((s) => !s.has('call_fallback')));
    assert.equal((await http(stack, 'GET', `/v1/calls/${callId}`, { token: a.token })).body.status, 'active');
    for (const s of sockets) await ok(s, 'hang_up', { callId });
    await sfu.request('close', (r) => r.room === callId);
    const row = (await http(stack, 'GET', `/v1/calls/${callId}`, { token: b.token })).body;
    assert.equal(row.reason, 'completed', JSON.stringify(row));
});
