// Calls as two and more sockets see them: ringing, the race for the accept, every way to end, the record, the grace.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Socket, http, login, newUser } from '../lib/client.mjs';
import { stopwatch } from '../lib/machine.mjs';
import { startStack, until } from '../lib/stack.mjs';

const RING_MS = 3000;
const GRACE_MS = 3000;
const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n';
const NOBODY = '01890000-0000-7000-8000-000000000000';
let stack;

before(async () => {
    stack = await startStack({
        'calls.ring_timeout': `${RING_MS}ms`,
        'calls.grace': `${GRACE_MS}ms`,
        'socket.frames_per_second': '1000',
        'socket.burst': '1000',
    });
});
after(() => stack.down());

/** A user with one open socket. */
async function person() {
    const user = await newUser(stack);
    return { ...user, socket: await Socket.open(stack, user.token) };
}

/** Another device of the same user. */
async function anotherDevice(user) {
    const session = await login(stack, user.username, user.password, 'other');
    return { ...user, ...session, socket: await Socket.open(stack, session.token) };
}

async function ok(socket, type, data) {
    const reply = await socket.request(type, data);
    assert.equal(reply.ok, true, `${type}: ${JSON.stringify(reply)}`);
    return reply.data;
}

async function refused(socket, type, data, code) {
    const reply = await socket.request(type, data);
    assert.equal(reply.ok, false, `${type}: ${JSON.stringify(reply)}`);
    assert.equal(reply.error.code, code, `${type}: ${JSON.stringify(reply.error)}`);
    assert.ok(reply.error.message.length > 0);
    return reply.error;
}

const byCall = (callId) => (data) => data.callId === callId;
const record = async (user, callId) => (await http(stack, 'GET', `/v1/calls/${callId}`, { token: user.token })).body;
const endOf = (user, callId) => user.socket.event('call_ended', byCall(callId));

/** a calls b; b's socket has the incoming_call. */
async function ringing(a, b, more = {}) {
    const call = await ok(a.socket, 'call_start', { userId: b.userId, media: 'video', ...more });
    const incoming = (await b.socket.event('incoming_call', byCall(call.callId))).data;
    return { ...call, incoming };
}

async function active(a, b, more = {}) {
    const call = await ringing(a, b, more);
    await ok(b.socket, 'accept_call', { callId: call.callId });
    await a.socket.event('call_accepted', byCall(call.callId));
    return call;
}

test('signing out in a call leaves it at once; signing in again on the device goes on with it', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const call = await active(a, b);
    const again = await http(stack, 'POST', '/v1/auth/login', {
        body: { username: b.username, password: b.password, device: { id: b.deviceId, name: 'test' } },
    });
    assert.equal(again.body.deviceId, b.deviceId);
    const socket = await Socket.open(stack, again.body.accessToken);
    await ok(socket, 'call_update', { callId: call.callId, audio: false });
    const clock = stopwatch();
    assert.equal((await http(stack, 'POST', '/v1/auth/logout', { token: again.body.accessToken })).status, 204);
    const ended = await a.socket.event('call_ended', byCall(call.callId));
    clock.within(GRACE_MS, 'ended, as by the grace,');
    assert.equal(ended.data.reason, 'completed');
});

test('a call from start to record', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const description = { type: 'offer', sdp: SDP };
    const call = await ringing(a, b, { description });
    assert.match(call.callId, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    assert.ok(Array.isArray(call.iceServers));
    assert.ok(Date.parse(call.expiresAt) > Date.now());
    assert.equal(call.mode, 'p2p');
    assert.equal(call.joined, false);
    assert.equal(call.participants.length, 2);
    assert.deepEqual(call.incoming.description, description);
    assert.equal(call.incoming.from.userId, a.userId);
    assert.equal(call.incoming.from.username, a.username);
    assert.equal(call.incoming.from.deviceId, a.deviceId);
    assert.equal(call.incoming.media, 'video');
    assert.equal(call.incoming.conversationId, call.conversationId);
    assert.ok(Array.isArray(call.incoming.iceServers));

    await ok(b.socket, 'call_ringing', { callId: call.callId });
    assert.deepEqual((await a.socket.event('call_ringing')).data, { callId: call.callId, userId: b.userId, deviceId: b.deviceId });
    await ok(a.socket, 'ice_candidate', { callId: call.callId, candidate: { candidate: 'candidate:early', sdpMid: '0' } });

    const answer = { type: 'answer', sdp: SDP };
    const accepted = await ok(b.socket, 'accept_call', { callId: call.callId, media: 'audio', description: answer });
    assert.equal(accepted.participant, 2);
    const early = (await b.socket.event('ice_candidate')).data;
    assert.deepEqual(early, { callId: call.callId, from: { userId: a.userId, deviceId: a.deviceId }, candidate: { candidate: 'candidate:early', sdpMid: '0' } });
    const told = (await a.socket.event('call_accepted')).data;
    assert.equal(told.userId, b.userId);
    assert.equal(told.deviceId, b.deviceId);
    assert.equal(told.media, 'audio');
    assert.deepEqual(told.description, answer);

    await ok(b.socket, 'call_description', { callId: call.callId, description: answer });
    assert.deepEqual((await a.socket.event('call_description')).data.from, { userId: b.userId, deviceId: b.deviceId });
    await ok(b.socket, 'ice_candidate', { callId: call.callId, candidate: null });
    assert.equal((await a.socket.event('ice_candidate')).data.candidate, null);
    await ok(a.socket, 'call_update', { callId: call.callId, audio: false });
    const updated = (await b.socket.event('participant_updated', (d) => d.participant.userId === a.userId)).data.participant;
    assert.equal(updated.audio, false);
    assert.equal(updated.video, true);
    await ok(a.socket, 'call_stats', { callId: call.callId, path: 'turn', rttMs: 40, lossPercent: 0.5 });

    await ok(b.socket, 'hang_up', { callId: call.callId });
    for (const who of [a, b]) {
        const ended = await endOf(who, call.callId);
        assert.equal(ended.data.reason, 'completed');
        assert.ok(ended.cursor > 0, 'call_ended is durable');
    }
    await ok(a.socket, 'hang_up', { callId: call.callId }); // both at once is no error
    const row = await record(a, call.callId);
    assert.equal(row.status, 'ended');
    assert.equal(row.reason, 'completed');
    assert.equal(row.path, 'turn');
    assert.deepEqual(row.quality, { samples: 1, rttMs: 40, lossPercent: 0.5 });
    assert.equal(row.initiatorId, a.userId);
    assert.ok(row.answeredAt && row.endedAt);
    assert.deepEqual(row.participants.map((p) => p.state), ['left', 'left']);
    assert.deepEqual(row.participants.map((p) => p.number), [1, 2]);
    for (const who of [a, b]) {
        const history = (await http(stack, 'GET', '/v1/calls', { token: who.token })).body;
        assert.deepEqual(history.items.map((c) => c.callId), [call.callId]);
        assert.equal(history.nextCursor, null);
    }
});

test('two devices accept in the same millisecond: one wins, the other is told', async () => {
    const [a, b1] = await Promise.all([person(), person()]);
    const b2 = await anotherDevice(b1);
    for (let round = 0; round < 5; round++) {
        const call = await ringing(a, b1);
        await b2.socket.event('incoming_call', byCall(call.callId));
        const frames = [b1, b2].map((d) => d.socket.request('accept_call', { callId: call.callId }));
        const replies = await Promise.all(frames);
        assert.equal(replies.filter((r) => r.ok).length, 1, JSON.stringify(replies));
        const loser = replies[0].ok ? b2 : b1;
        const winner = replies[0].ok ? b1 : b2;
        assert.equal(replies.find((r) => !r.ok).error.code, 'conflict');
        const told = await loser.socket.event('call_handled_elsewhere', byCall(call.callId));
        assert.deepEqual(told.data, { callId: call.callId, outcome: 'accepted', deviceId: winner.deviceId });
        assert.ok(told.cursor > 0);
        assert.equal((await a.socket.event('call_accepted', byCall(call.callId))).data.deviceId, winner.deviceId);
        assert.ok(!a.socket.has('call_accepted', byCall(call.callId)), 'accepted once');
        assert.ok(!winner.socket.has('call_handled_elsewhere', byCall(call.callId)));
        await refused(loser.socket, 'call_ringing', { callId: call.callId }, 'conflict');
        await refused(loser.socket, 'hang_up', { callId: call.callId }, 'not_participant');
        await ok(winner.socket, 'hang_up', { callId: call.callId });
        await Promise.all([a, b1, b2].map((d) => endOf(d, call.callId)));
    }
});

test('declined on one device is declined for the user', async () => {
    const [a, b1] = await Promise.all([person(), person()]);
    const b2 = await anotherDevice(b1);
    const call = await ringing(a, b1);
    await ok(b1.socket, 'decline_call', { callId: call.callId });
    assert.deepEqual((await b2.socket.event('call_handled_elsewhere')).data, { callId: call.callId, outcome: 'declined', deviceId: b1.deviceId });
    for (const who of [a, b1, b2]) {
        assert.deepEqual((await endOf(who, call.callId)).data, {
            callId: call.callId, conversationId: call.conversationId, reason: 'declined', durationSeconds: 0,
        });
    }
    await refused(b2.socket, 'accept_call', { callId: call.callId }, 'call_ended');
    const row = await record(b2, call.callId);
    assert.equal(row.reason, 'declined');
    assert.equal(row.participants.find((p) => p.userId === b1.userId).state, 'declined');
    assert.equal(row.participants.find((p) => p.userId === b1.userId).deviceId, undefined);
});

test('cancelled by the caller; missed when nobody answers', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const first = await ringing(a, b);
    await ok(a.socket, 'hang_up', { callId: first.callId });
    assert.equal((await endOf(b, first.callId)).data.reason, 'cancelled');
    const second = await ringing(a, b);
    const t0 = Date.now();
    assert.equal((await endOf(b, second.callId)).data.reason, 'missed');
    assert.equal((await endOf(a, second.callId)).data.reason, 'missed');
    assert.ok(Date.now() - t0 >= RING_MS - 200);
    assert.equal((await record(b, second.callId)).participants.find((p) => p.userId === b.userId).state, 'missed');
    await refused(b.socket, 'accept_call', { callId: second.callId }, 'call_ended');
});

test('busy: the callee is in another call, or the caller is', async () => {
    const [a, b, c] = await Promise.all([person(), person(), person()]);
    const call = await active(a, b);
    const other = await ok(c.socket, 'call_start', { userId: b.userId });
    assert.equal((await endOf(c, other.callId)).data.reason, 'busy');
    assert.ok(!b.socket.has('incoming_call', byCall(other.callId)));
    assert.equal((await record(c, other.callId)).reason, 'busy');
    await refused(a.socket, 'call_start', { userId: c.userId }, 'busy');
    await ok(a.socket, 'hang_up', { callId: call.callId });
    // Free again at once, in the order in which it was said.
    const next = await ok(a.socket, 'call_start', { userId: c.userId });
    await ok(a.socket, 'hang_up', { callId: next.callId });
});

test('accepting while in another call is busy and leaves it ringing', async () => {
    const [a, b, c] = await Promise.all([person(), person(), person()]);
    const first = await ringing(a, b);
    const second = await ringing(c, b); // rings too: b has not answered anything
    await ok(b.socket, 'accept_call', { callId: first.callId });
    await refused(b.socket, 'accept_call', { callId: second.callId }, 'busy');
    await ok(b.socket, 'hang_up', { callId: first.callId });
    await ok(b.socket, 'accept_call', { callId: second.callId });
    await ok(b.socket, 'hang_up', { callId: second.callId });
});

test('glare: two who call each other meet in one call', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    for (let round = 0; round < 5; round++) {
        const [x, y] = await Promise.all([
            a.socket.request('call_start', { userId: b.userId, media: 'audio' }),
            b.socket.request('call_start', { userId: a.userId, media: 'audio' }),
        ]);
        assert.ok(x.ok && y.ok, JSON.stringify([x, y]));
        assert.equal(x.data.callId, y.data.callId);
        assert.deepEqual([x.data.joined, y.data.joined].sort(), [false, true]);
        const row = await record(a, x.data.callId);
        assert.equal(row.status, 'active');
        await ok(a.socket, 'hang_up', { callId: x.data.callId });
        await Promise.all([endOf(a, x.data.callId), endOf(b, x.data.callId)]);
    }
});

test('nobody has any device: unreachable; no socket but a device: it rings on', async () => {
    const [a, b, c] = await Promise.all([person(), newUser(stack), newUser(stack)]);
    await stack.sql(`UPDATE devices SET revoked_at = now() WHERE user_id = '${b.userId}'`);
    const dead = await ok(a.socket, 'call_start', { userId: b.userId });
    assert.equal((await endOf(a, dead.callId)).data.reason, 'unreachable');
    const call = await ok(a.socket, 'call_start', { userId: c.userId });
    const late = await Socket.open(stack, c.token); // comes online while it rings
    assert.equal((await late.event('incoming_call')).data.callId, call.callId);
    await ok(late, 'accept_call', { callId: call.callId });
    await ok(late, 'hang_up', { callId: call.callId });
    await late.close();
});

test('a stranger learns nothing and changes nothing', async () => {
    const [a, b, eve] = await Promise.all([person(), person(), person()]);
    const call = await active(a, b);
    const description = { type: 'answer', sdp: SDP };
    const to = { userId: a.userId, deviceId: a.deviceId };
    for (const callId of [call.callId, NOBODY]) {
        for (const [type, data, code] of [
            ['call_ringing', {}, 'call_not_found'],
            ['accept_call', { description }, 'call_not_found'],
            ['decline_call', {}, 'call_not_found'],
            ['hang_up', {}, 'call_not_found'],
            ['call_invite', { userIds: [eve.userId] }, 'call_not_found'],
            ['call_join', {}, 'forbidden'],
            ['call_description', { description, to }, 'call_not_found'],
            ['ice_candidate', { candidate: null, to }, 'call_not_found'],
            ['call_fallback', { reason: 'ice_failed' }, 'call_not_found'],
            ['call_update', { audio: false }, 'call_not_found'],
            ['call_stats', { path: 'p2p' }, 'call_not_found'],
            ['sfu_publish', { sdp: SDP }, 'forbidden'],
            ['sfu_subscribe', {}, 'forbidden'],
            ['sfu_answer', { sdp: SDP }, 'forbidden'],
            ['sfu_view', { video: [] }, 'forbidden'],
            ['sfu_ice_restart', { which: 'subscribe' }, 'forbidden'],
        ]) {
            await refused(eve.socket, type, { callId, ...data }, code);
        }
        const got = await http(stack, 'GET', `/v1/calls/${callId}`, { token: eve.token });
        assert.equal(got.status, 403);
        assert.equal(got.body.code, 'forbidden');
    }
    assert.equal((await http(stack, 'GET', '/v1/calls', { token: eve.token })).body.items.length, 0);
    await refused(eve.socket, 'call_start', { conversationId: call.conversationId }, 'not_found');
    assert.equal((await record(a, call.callId)).status, 'active');
    assert.ok(!a.socket.has('call_description') && !a.socket.has('participant_updated'));
    await ok(a.socket, 'hang_up', { callId: call.callId });
    await endOf(b, call.callId);
});

test('a socket that drops resumes in the grace with what it missed', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const call = await active(a, b);
    b.socket.ws.terminate();
    const lost = await a.socket.event('participant_updated', (d) => d.participant.state === 'reconnecting');
    assert.equal(lost.data.participant.userId, b.userId);
    for (let i = 0; i < 3; i++) {
        await ok(a.socket, 'ice_candidate', { callId: call.callId, candidate: { candidate: `candidate:${i}`, sdpMid: '0' } });
    }
    const ticket = (await http(stack, 'POST', '/v1/ws-ticket', { token: b.token })).body.token;
    b.socket = new Socket(stack.wsUrl, ['sotto.v1', `ticket.${ticket}`]);
    const connected = await b.socket.event('connected');
    assert.deepEqual(connected.data.calls, [{ callId: call.callId, mode: 'p2p', status: 'active' }]);
    for (let i = 0; i < 3; i++) {
        assert.equal((await b.socket.event('ice_candidate')).data.candidate.candidate, `candidate:${i}`);
    }
    assert.ok(!b.socket.has('ice_candidate'), 'each once');
    await a.socket.event('participant_updated', (d) => d.participant.state === 'joined');
    const again = await ok(b.socket, 'call_join', { callId: call.callId }); // a reloaded page asks what there is
    assert.equal(again.participants.length, 2);
    await ok(b.socket, 'hang_up', { callId: call.callId });
    assert.equal((await endOf(a, call.callId)).data.reason, 'completed');
});

test('a socket that stays away ends the call after the grace', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const call = await active(a, b);
    const t0 = Date.now();
    await b.socket.close();
    assert.equal((await endOf(a, call.callId)).data.reason, 'failed');
    assert.ok(Date.now() - t0 >= GRACE_MS - 200, `${Date.now() - t0} ms`);
    const late = await Socket.open(stack, b.token); // the end waits in the inbox
    assert.equal((await late.event('call_ended', byCall(call.callId))).data.reason, 'failed');
    const row = await record(a, call.callId);
    assert.equal(row.participants.find((p) => p.userId === b.userId).state, 'failed');
    await late.close();
});

test('a p2p call cannot fall back, nor take a third person', async () => {
    const [a, b, c] = await Promise.all([person(), person(), person()]);
    const call = await active(a, b, { mode: 'p2p' });
    await refused(a.socket, 'call_fallback', { callId: call.callId, reason: 'ice_failed' }, 'conflict');
    await refused(a.socket, 'call_invite', { callId: call.callId, userIds: [c.userId] }, 'conflict');
    await refused(a.socket, 'sfu_publish', { callId: call.callId, sdp: SDP }, 'conflict');
    await ok(a.socket, 'hang_up', { callId: call.callId });
});

test('bad input of every frame is answered and changes nothing', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const { callId } = await active(a, b);
    const big = `v=0\r\n${'a'.repeat(33 * 1024)}`;
    for (const [type, data, code = 'bad_request'] of [
        ['call_start', {}],
        ['call_start', { userId: b.userId, conversationId: NOBODY }],
        ['call_start', { userId: 'b' }],
        ['call_start', { userId: b.userId.toUpperCase() }],
        ['call_start', { userId: b.userId, media: 'smell' }],
        ['call_start', { userId: b.userId, mode: 7 }],
        ['call_start', { userId: b.userId, description: 'v=0' }],
        ['call_start', { userId: b.userId, description: { type: 'offer', sdp: 'hello' } }],
        ['call_start', { userId: b.userId, description: { type: 'offer', sdp: big } }, 'too_large'],
        ['call_start', { userId: NOBODY }, 'busy_or_not_found'],
        ['call_ringing', {}],
        ['accept_call', { callId: 17 }],
        ['accept_call', { callId, media: 'x' }],
        ['decline_call', { callId: null }],
        ['hang_up', { callId: '' }],
        ['call_invite', { callId }],
        ['call_invite', { callId, userIds: [] }],
        ['call_invite', { callId, userIds: ['x'] }],
        ['call_invite', { callId, userIds: Array(33).fill(NOBODY) }],
        ['call_join', { callId: 'x' }],
        ['call_description', { callId }],
        ['call_description', { callId, description: { type: 'offer', sdp: '' } }],
        ['call_description', { callId, description: { type: 'offer', sdp: big } }, 'too_large'],
        ['call_description', { callId, description: { type: 'bid', sdp: SDP } }],
        ['call_description', { callId, description: { type: 'offer', sdp: SDP }, to: {} }],
        ['call_description', { callId, description: { type: 'offer', sdp: SDP }, to: { userId: NOBODY } }, 'not_participant'],
        ['ice_candidate', { callId }],
        ['ice_candidate', { callId, candidate: 'candidate:1' }],
        ['ice_candidate', { callId, candidate: { candidate: 'hello' } }],
        ['ice_candidate', { callId, candidate: { candidate: `candidate:${'1'.repeat(2100)}` } }, 'too_large'],
        ['ice_candidate', { callId, candidate: { candidate: 'candidate:1', sdpMLineIndex: -1 } }],
        ['call_fallback', { callId, reason: 'third_party' }],
        ['call_update', { callId, audio: 'off' }],
        ['call_stats', { callId, path: 'pigeon' }],
        ['call_stats', { callId, rttMs: -1 }],
        ['sfu_publish', { callId }],
        ['sfu_publish', { callId, sdp: 5 }],
        ['sfu_publish', { callId, sdp: big }, 'too_large'],
        ['sfu_subscribe', { callId, audioSlots: 1000 }],
        ['sfu_subscribe', { callId, audioSlots: 0, videoSlots: 0 }],
        ['sfu_answer', { callId, sdp: 'x' }],
        ['sfu_view', { callId }],
        ['sfu_view', { callId, video: [1] }],
        ['sfu_view', { callId, video: [{ slot: -1 }] }],
        ['sfu_ice_restart', { callId }],
        ['sfu_ice_restart', { callId, which: 'both' }],
        ['sfu_ice_restart', { callId, which: 'publish' }],
    ]) {
        const reply = await a.socket.request(type, data);
        assert.equal(reply.ok, false, `${type} ${JSON.stringify(data).slice(0, 100)}`);
        if (code === 'busy_or_not_found') assert.ok(['busy', 'not_found'].includes(reply.error.code));
        else assert.equal(reply.error.code, code, `${type} ${JSON.stringify(data).slice(0, 100)}: ${JSON.stringify(reply.error)}`);
    }
    await refused(a.socket, 'call_start', { userId: a.userId }, 'bad_request');
    assert.equal((await record(a, callId)).status, 'active');
    const usual = ['connected', 'synced', 'participant_joined', 'conversation_updated'];
    assert.deepEqual(b.socket.events.map((e) => e.type).filter((type) => !usual.includes(type)), []);
    await ok(b.socket, 'hang_up', { callId });
});

test('a thousand candidates are cut off at three hundred', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const { callId } = await active(a, b);
    let taken = 0;
    for (let i = 0; i < 320; i += 20) {
        const replies = await Promise.all(Array.from({ length: 20 }, () => a.socket.request('ice_candidate', { callId, candidate: null })));
        taken += replies.filter((r) => r.ok).length;
        assert.ok(replies.filter((r) => !r.ok).every((r) => r.error.code === 'rate_limited'));
    }
    assert.equal(taken, 300);
    await ok(a.socket, 'hang_up', { callId });
});

test('POST /v1/calls starts a call, once a key; the history has pages', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const post = (body, headers) => http(stack, 'POST', '/v1/calls', { token: a.token, body, headers });
    const key = { 'idempotency-key': NOBODY };
    const made = await post({ userId: b.userId, media: 'audio' }, key);
    assert.equal(made.status, 201, JSON.stringify(made.body));
    assert.equal((await b.socket.event('incoming_call')).data.callId, made.body.callId);
    const repeat = await post({ userId: b.userId, media: 'audio' }, key);
    assert.equal(repeat.body.callId, made.body.callId);
    const other = await person(); // the same key and body, but a key is its user's own
    const theirs = await http(stack, 'POST', '/v1/calls', { token: other.token, body: { userId: b.userId, media: 'audio' }, headers: key });
    assert.equal(theirs.status, 201, JSON.stringify(theirs.body));
    assert.notEqual(theirs.body.callId, made.body.callId);
    await ok(other.socket, 'hang_up', { callId: theirs.body.callId });
    await endOf(b, theirs.body.callId);
    await ok(a.socket, 'hang_up', { callId: made.body.callId });
    assert.equal((await post({ userId: 'x' })).status, 400);
    assert.equal((await post({ userId: NOBODY })).status, 404);
    assert.equal((await http(stack, 'POST', '/v1/calls', { body: {} })).status, 401);
    const ids = [theirs.body.callId, made.body.callId];
    for (let i = 0; i < 4; i++) {
        const call = await ringing(a, b);
        await ok(a.socket, 'hang_up', { callId: call.callId });
        await endOf(a, call.callId);
        ids.unshift(call.callId);
    }
    const seen = [];
    let cursor = '';
    do {
        const page = await http(stack, 'GET', `/v1/calls?limit=2${cursor && `&cursor=${cursor}`}`, { token: b.token });
        assert.equal(page.status, 200);
        seen.push(...page.body.items.map((c) => c.callId));
        cursor = page.body.nextCursor;
    } while (cursor);
    assert.deepEqual(seen, ids);
    assert.equal((await http(stack, 'GET', '/v1/calls?limit=0', { token: b.token })).status, 400);
    assert.equal((await http(stack, 'GET', '/v1/calls?cursor=x', { token: b.token })).status, 400);
    assert.equal((await http(stack, 'GET', '/v1/calls/x', { token: b.token })).status, 404);
});

test('a failure that may pass is not kept for the key', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    const post = () =>
        http(stack, 'POST', '/v1/calls', { token: a.token, body: { userId: b.userId, media: 'audio', mode: 'sfu' }, headers: { 'idempotency-key': 'again' } });
    await stack.stop('sfud');
    const failed = await until('no SFU', async () => {
        const answer = await post();
        return answer.status === 503 && answer;
    });
    assert.equal(failed.body.code, 'sfu_unavailable');
    await stack.start('sfud');
    const made = await until('a call', async () => {
        const answer = await post();
        return answer.status === 201 && answer;
    });
    await ok(a.socket, 'hang_up', { callId: made.body.callId });
});

test('kill -9 of signald: a call goes on, a ring that ran out is missed', async () => {
    const [a, b, c, d] = await Promise.all([person(), person(), person(), person()]);
    const t0 = Date.now();
    const call = await active(a, b);
    const rung = await ringing(c, d);
    await stack.kill('signald');
    await stack.sql(`UPDATE calls SET started_at = started_at - interval '90 s', answered_at = answered_at - interval '90 s' WHERE id = '${call.callId}'`);
    await stack.start('signald');
    const [a2, b2] = await Promise.all([a, b].map((p) => Socket.open(stack, p.token)));
    await until('both are back', async () => (await record(a, call.callId)).status === 'active');
    await ok(a2, 'ice_candidate', { callId: call.callId, candidate: null });
    assert.equal((await b2.event('ice_candidate')).data.callId, call.callId);
    await ok(b2, 'hang_up', { callId: call.callId });
    const { reason, durationSeconds } = (await a2.event('call_ended', byCall(call.callId))).data;
    assert.equal(reason, 'completed');
    assert.ok(durationSeconds >= 90 && durationSeconds <= 91 + (Date.now() - t0) / 1000, `told ${durationSeconds} s`);
    assert.equal((await record(b, call.callId)).durationSeconds, durationSeconds);
    const row = await until('the ring ends', async () => {
        const r = await record(d, rung.callId);
        return r.status === 'ended' && r;
    }, RING_MS + GRACE_MS + 5000);
    assert.ok(['missed', 'failed'].includes(row.reason), row.reason);
    await Promise.all([a2, b2].map((s) => s.close()));
});

test('metrics count them, and no call is left open', async () => {
    await until('no open call', async () => (await stack.sql("SELECT count(*) FROM calls WHERE status <> 'ended'"))[0][0] === '0', 15_000);
    const text = await (await fetch(stack.metricsUrl)).text();
    assert.match(text, /sotto_calls\{state="active"\} 0/);
    assert.match(text, /sotto_calls_ended_total\{reason="completed",path="none"\} [1-9]/);
    assert.match(text, /sotto_call_ring_seconds_count/);
});
