// WHIP (RFC 9725) and WHEP as signald serves them, with a media node that forwards nothing: every status, the headers, the
// ICE session's ETag, and how a session holds its device in the call. Real media: whip_media.test.mjs.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { Socket, http, login, newUser } from '../lib/client.mjs';
import { FakeSfu } from '../lib/fake_sfu.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { CANDIDATE, FRAG, SDP, credentials, fragment, links, offer, patch, post } from '../lib/whip.mjs';

const GRACE_MS = 1500;
const ORIGIN = 'https://studio.example';
let stack;
let sfu;

before(async () => {
    stack = await startStack({ 'calls.ring_timeout': '20s', 'calls.grace': `${GRACE_MS}ms`, 'http.origins': ORIGIN });
    await stack.stop('sfud');
    sfu = await node();
});
afterEach(async () => {
    if (sfu.closed) sfu = await node();
    sfu.answers = {};
});
after(async () => {
    sfu?.close();
    await stack.down();
});

async function node(options) {
    const secret = readFileSync(join(stack.dir, 'secrets/sfu_link'), 'utf8').trim();
    const made = await FakeSfu.open(stack.base + 3, secret, options);
    await until('the node is up', async () => (await http(stack, 'GET', '/readyz')).status === 200);
    return made;
}
const person = () => newUser(stack);
async function ok(socket, type, data) {
    const reply = await socket.request(type, data);
    assert.equal(reply.ok, true, `${type}: ${JSON.stringify(reply)}`);
    return reply.data;
}
/** A group call that `first` started over his socket; the others ring. */
async function group(first, others) {
    const made = await http(stack, 'POST', '/v1/conversations', { token: first.token, body: { type: 'group', name: 'g', memberIds: others.map((p) => p.userId) } });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    first.socket ??= await Socket.open(stack, first.token);
    return (await ok(first.socket, 'call_start', { conversationId: made.body.id, media: 'video' })).callId;
}
/** A call of two people more than the one who started it: {callId, host, a, b}. */
async function stage() {
    const [host, a, b] = await Promise.all([person(), person(), person()]);
    return { callId: await group(host, [a, b]), host, a, b };
}
/** He rings no more. */
async function decline(user, callId) {
    const socket = await Socket.open(stack, user.token);
    await ok(socket, 'decline_call', { callId });
    await socket.close();
}
const record = async (user, callId) => (await http(stack, 'GET', `/v1/calls/${callId}`, { token: user.token })).body;
const stateOf = async (viewer, callId, user) => (await record(viewer, callId)).participants.find((p) => p.userId === user.userId).state;
function problem(answer, status, code) {
    assert.equal(answer.status, status, JSON.stringify(answer.body));
    assert.match(answer.headers.get('content-type'), /^application\/problem\+json/);
    assert.equal(answer.body.code, code);
    assert.equal(answer.body.status, status);
}
async function opened(path, options) {
    const answer = await post(stack, path, options);
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return { answer, url: answer.headers.get('location'), etag: answer.headers.get('etag') };
}

test('WHIP: a callee without a socket joins, publishes, and DELETE is his hang-up', async () => {
    const { callId, host, a } = await stage();
    const sent = offer();
    const { answer, url, etag } = await opened(`/v1/calls/${callId}/whip`, { token: a.token, body: sent });
    assert.equal(answer.headers.get('content-type'), SDP);
    assert.match(answer.body, /^v=0\r\n/);
    assert.match(url, new RegExp(`^/v1/calls/${callId}/whip/[0-9a-f-]{36}$`));
    assert.match(etag, /^"[^"]+"$/);
    assert.equal(answer.headers.get('accept-patch'), FRAG);
    const request = await sfu.request('publish', (r) => r.room === callId);
    assert.equal(request.sdp, sent);
    assert.equal(request.participant, 2);

    const joined = (await host.socket.event('participant_joined')).data.participant;
    assert.equal(joined.userId, a.userId);
    assert.equal(joined.deviceId, a.deviceId);
    assert.deepEqual([joined.state, joined.audio, joined.video], ['joined', true, true]);
    await host.socket.event('call_accepted', (d) => d.userId === a.userId);
    await new Promise((resolve) => setTimeout(resolve, GRACE_MS + 300)); // longer than the grace of a device without a socket
    assert.equal(await stateOf(host, callId, a), 'joined');

    const gone = await http(stack, 'DELETE', url, { token: a.token });
    assert.equal(gone.status, 200);
    assert.equal((await host.socket.event('participant_left')).data.participant.userId, a.userId);
    assert.equal((await sfu.request('leave', (r) => r.room === callId)).participant, 2);
    problem(await http(stack, 'DELETE', url, { token: a.token }), 404, 'not_found');
    await ok(host.socket, 'hang_up', { callId });
});

test('Link headers name the ICE servers, with credentials for TURN', async () => {
    const { callId, host, a } = await stage();
    const { answer } = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    const given = links(answer);
    assert.ok(given.every((l) => l.rel === 'ice-server'));
    assert.equal(given.filter((l) => l.uri.startsWith('stun:')).length, 1);
    const turn = given.filter((l) => /^turns?:/.test(l.uri));
    assert.equal(turn.length, 3);
    for (const l of turn) {
        assert.match(l.username, /^\d+:/);
        assert.ok(l.credential.length > 20);
        assert.equal(l['credential-type'], 'password');
    }
    const options = await http(stack, 'OPTIONS', `/v1/calls/${callId}/whip`, { token: a.token });
    assert.equal(options.status, 204);
    assert.equal(links(options).length, 4);
    assert.equal(options.headers.get('accept-post'), SDP);
    await ok(host.socket, 'hang_up', { callId });
});

test('OPTIONS answers a preflight without credentials; other methods are 405', async () => {
    const path = `/v1/calls/${randomUUID()}/whip`;
    for (const [url, methods] of [[path, 'POST, OPTIONS'], [`${path}/${randomUUID()}`, 'PATCH, DELETE, OPTIONS']]) {
        const preflight = await http(stack, 'OPTIONS', url, { headers: { origin: ORIGIN, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,content-type,if-match' } });
        assert.equal(preflight.status, 204);
        assert.equal(preflight.headers.get('access-control-allow-origin'), ORIGIN);
        assert.equal(preflight.headers.get('access-control-allow-methods'), methods);
        for (const name of ['authorization', 'content-type', 'if-match']) assert.ok(preflight.headers.get('access-control-allow-headers').includes(name));
        for (const name of ['location', 'etag', 'link']) assert.ok(preflight.headers.get('access-control-expose-headers').includes(name));
        assert.equal(preflight.headers.get('link'), null);
        for (const method of ['GET', 'HEAD', 'PUT']) {
            const answer = await http(stack, method, url, { headers: method === 'PUT' ? { 'content-type': SDP } : {}, body: method === 'PUT' ? 'x' : undefined });
            assert.equal(answer.status, 405, `${method} ${url}`);
            assert.equal(answer.headers.get('allow'), methods);
        }
    }
    assert.equal((await http(stack, 'OPTIONS', `${path}/${randomUUID()}`)).headers.get('accept-patch'), FRAG);
});

test('WHIP and WHEP side by side: two resources, one participant', async () => {
    const { callId, host, a } = await stage();
    const whep = await opened(`/v1/calls/${callId}/whep`, { token: a.token });
    const watch = await sfu.request('watch', (r) => r.room === callId);
    assert.match(watch.sdp, /a=recvonly/);
    await host.socket.event('participant_updated', (d) => d.participant.userId === a.userId && d.participant.state === 'joined' && !d.participant.audio && !d.participant.video);
    const whip = await opened(`/v1/calls/${callId}/whip`, { token: a.token, body: offer({ kinds: ['audio'] }) });
    assert.equal((await sfu.request('publish', (r) => r.room === callId)).participant, watch.participant);
    await host.socket.event('participant_updated', (d) => d.participant.userId === a.userId && d.participant.audio && !d.participant.video);
    assert.notEqual(whip.url, whep.url);
    // Each is found under its own kind only.
    problem(await http(stack, 'DELETE', whip.url.replace('/whip/', '/whep/'), { token: a.token }), 404, 'not_found');
    assert.equal((await http(stack, 'DELETE', whip.url, { token: a.token })).status, 200);
    const one = await sfu.request('leave', (r) => r.room === callId);
    assert.deepEqual([one.participant, one.which], [watch.participant, 'publish']);
    await host.socket.event('participant_updated', (d) => d.participant.userId === a.userId && !d.participant.audio);
    assert.equal(await stateOf(host, callId, a), 'joined');
    assert.equal((await http(stack, 'DELETE', whep.url, { token: a.token })).status, 200);
    await host.socket.event('participant_left', (d) => d.participant.userId === a.userId);
    await ok(host.socket, 'hang_up', { callId });
});

test('a second POST takes the place of the first; a socket keeps its device in the call', async () => {
    const { callId, host } = await stage();
    const first = await opened(`/v1/calls/${callId}/whip`, { token: host.token });
    const second = await opened(`/v1/calls/${callId}/whip`, { token: host.token });
    problem(await patch(stack, first.url, { token: host.token, match: first.etag, body: fragment({}, [CANDIDATE]) }), 404, 'not_found');
    assert.equal((await patch(stack, second.url, { token: host.token, match: second.etag, body: fragment({}, [CANDIDATE]) })).status, 204);
    assert.equal((await http(stack, 'DELETE', second.url, { token: host.token })).status, 200);
    assert.equal((await record(host, callId)).status, 'ringing'); // the caller's socket is there still
    // What the same device publishes over its socket replaces the session, too.
    const third = await opened(`/v1/calls/${callId}/whip`, { token: host.token });
    await ok(host.socket, 'sfu_publish', { callId, sdp: offer() });
    problem(await http(stack, 'DELETE', third.url, { token: host.token }), 404, 'not_found');
    await ok(host.socket, 'hang_up', { callId });
});

test('who may not: no token, a wrong one, a stranger, another device, a call that is over or none', async () => {
    const { callId, host, a, b } = await stage();
    const eve = await person();
    for (const kind of ['whip', 'whep']) {
        const path = `/v1/calls/${callId}/${kind}`;
        const nobody = await post(stack, path);
        problem(nobody, 401, 'unauthorized');
        assert.equal(nobody.headers.get('www-authenticate'), 'Bearer');
        problem(await post(stack, path, { token: 'nonsense' }), 401, 'unauthorized');
        problem(await post(stack, path, { token: eve.token }), 403, 'forbidden');
        // A stranger hears the same of a call that isn't there; a path that can be no call is 404.
        problem(await post(stack, `/v1/calls/${randomUUID()}/${kind}`, { token: eve.token }), 403, 'forbidden');
        problem(await post(stack, `/v1/calls/nonsense/${kind}`, { token: eve.token }), 404, 'call_not_found');
    }
    const { url, etag } = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    problem(await http(stack, 'DELETE', url), 401, 'unauthorized');
    problem(await http(stack, 'DELETE', url, { token: eve.token }), 404, 'not_found');
    problem(await patch(stack, url, { token: eve.token, match: etag, body: fragment({}, [CANDIDATE]) }), 404, 'not_found');
    const other = await login(stack, a.username, a.password, 'second');
    problem(await post(stack, `/v1/calls/${callId}/whip`, { token: other.token }), 409, 'conflict');
    assert.equal((await patch(stack, url, { token: a.token, match: etag, body: fragment({}, [CANDIDATE]) })).status, 204, 'the session is untouched');

    await http(stack, 'DELETE', url, { token: a.token });
    const again = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    await decline(b, callId);
    await ok(host.socket, 'hang_up', { callId });
    await until('the call is over', async () => (await record(a, callId)).status === 'ended');
    problem(await http(stack, 'DELETE', again.url, { token: a.token }), 404, 'not_found');
    problem(await patch(stack, again.url, { token: a.token, match: again.etag, body: fragment({}, [CANDIDATE]) }), 404, 'not_found');
    problem(await post(stack, `/v1/calls/${callId}/whip`, { token: a.token }), 409, 'call_ended');
    problem(await post(stack, `/v1/calls/${callId}/whip`, { token: eve.token }), 403, 'forbidden');
});

test('a call that goes peer to peer is 409, and its ring goes on', async () => {
    const [a, b] = await Promise.all([person(), person()]);
    a.socket = await Socket.open(stack, a.token);
    const { callId } = await ok(a.socket, 'call_start', { userId: b.userId });
    problem(await post(stack, `/v1/calls/${callId}/whip`, { token: b.token }), 409, 'conflict');
    assert.equal(await stateOf(a, callId, b), 'ringing');
    await ok(a.socket, 'hang_up', { callId });
});

test('bad offers: type, text, size, direction', async () => {
    const { callId, host, a } = await stage();
    const path = `/v1/calls/${callId}/whip`;
    const wrong = await post(stack, path, { token: a.token, type: 'application/json', body: '{}' });
    problem(wrong, 415, 'unsupported_media_type');
    assert.equal(wrong.headers.get('accept-post'), SDP);
    for (const body of ['', 'hello', 'v=0\r\n', offer().replace(/a=ice-pwd.*\r\n/g, ''), offer().slice(0, 40), `${offer()}a=x:\0\r\n`]) {
        problem(await post(stack, path, { token: a.token, body }), 400, 'bad_request');
    }
    problem(await post(stack, path, { token: a.token, body: offer() + 'a=x:y\r\n'.repeat(5000) }), 413, 'too_large');
    problem(await post(stack, path, { token: a.token, body: offer({ direction: 'recvonly' }) }), 406, 'not_acceptable');
    problem(await post(stack, `/v1/calls/${callId}/whep`, { token: a.token, body: offer({ direction: 'sendonly' }) }), 406, 'not_acceptable');
    assert.equal(await stateOf(host, callId, a), 'ringing', 'nobody joined by any of them');
    const type = await post(stack, path, { token: a.token, type: 'Application/SDP; charset=utf-8' });
    assert.equal(type.status, 201);
    await ok(host.socket, 'hang_up', { callId });
});

test('what the media node refuses: who joined for it leaves again', async () => {
    const { callId, host, a } = await stage();
    const path = `/v1/calls/${callId}/whip`;
    for (const [code, status, answered] of [['bad_request', 406, 'not_acceptable'], ['too_large', 413, 'too_large'], ['conflict', 409, 'conflict'], ['overloaded', 503, 'overloaded'], ['unavailable', 503, 'sfu_unavailable']]) {
        sfu.answers.publish = { error: { code, message: 'no' } };
        const answer = await post(stack, path, { token: a.token });
        problem(answer, status, answered);
        if (status === 503) assert.ok(Number(answer.headers.get('retry-after')) >= 1);
        await host.socket.event('participant_left', (d) => d.participant.userId === a.userId);
        if ((await record(host, callId)).status === 'ended') break;
    }
    delete sfu.answers.publish;
    await host.socket.request('hang_up', { callId });
});

test('no media node: 503 with Retry-After, before anybody joins', async () => {
    const { callId, host, a } = await stage();
    sfu.close();
    sfu.closed = true;
    const answer = await until('the node is away', async () => {
        const tried = await post(stack, `/v1/calls/${callId}/whip`, { token: a.token });
        return tried.status === 503 ? tried : http(stack, 'DELETE', tried.headers.get('location'), { token: a.token }).then(() => null);
    });
    problem(answer, 503, 'sfu_unavailable');
    assert.ok(Number(answer.headers.get('retry-after')) >= 1);
    await host.socket.request('hang_up', { callId });
});

test('trickle: 204 for the ICE session that the ETag names; 428, 412, 415, 400, 422', async () => {
    const { callId, host, a } = await stage();
    const ice = credentials();
    const { url, etag } = await opened(`/v1/calls/${callId}/whip`, { token: a.token, body: offer({ ice }) });
    const send = (options) => patch(stack, url, { token: a.token, match: etag, body: fragment(ice, [CANDIDATE]), ...options });
    for (const body of [fragment(ice, [CANDIDATE]), fragment({}, [CANDIDATE, CANDIDATE]), 'a=end-of-candidates\r\n']) {
        const answer = await send({ body });
        assert.equal(answer.status, 204);
        assert.equal(answer.headers.get('etag'), null);
    }
    assert.equal((await send({ match: '*' })).status, 204, 'the credentials that it has are no restart');
    assert.equal((await send({ match: `"other", ${etag}` })).status, 204);
    problem(await send({ match: undefined }), 428, 'precondition_required');
    problem(await send({ match: '"other"' }), 412, 'precondition_failed');
    problem(await send({ match: `W/${etag}` }), 412, 'precondition_failed');
    const type = await send({ type: SDP });
    problem(type, 415, 'unsupported_media_type');
    assert.equal(type.headers.get('accept-patch'), FRAG);
    for (const body of ['', 'x', fragment({ ufrag: 'abcd', pwd: 'short' }), `a=candidate:${CANDIDATE}\r\n`]) {
        problem(await send({ body }), 400, 'bad_request');
    }
    problem(await send({ body: fragment(ice, [CANDIDATE]) + 'a=x:y\r\n'.repeat(3000) }), 413, 'too_large');
    problem(await send({ body: fragment(credentials()) }), 422, 'unprocessable');
    problem(await patch(stack, `/v1/calls/${callId}/whip/${randomUUID()}`, { token: a.token, match: '*', body: fragment(ice) }), 404, 'not_found');
    assert.ok(!sfu.requests.some((r) => r.t === 'restart' && r.room === callId), 'the node was never asked');
    await ok(host.socket, 'hang_up', { callId });
});

test('an ICE restart: 200 with new credentials and a new ETag; a refused one leaves what there is', async () => {
    const { callId, host, a } = await stage();
    for (const kind of ['whip', 'whep']) {
        const which = kind === 'whip' ? 'publish' : 'subscribe';
        const before = offer({ direction: kind === 'whip' ? 'sendonly' : 'recvonly' });
        const { answer, url, etag } = await opened(`/v1/calls/${callId}/${kind}`, { token: a.token, body: before });
        const ice = credentials();
        const restart = (options) => patch(stack, url, { token: a.token, match: '*', body: fragment(ice), ...options });
        sfu.answers.restart = { error: { code: 'bad_request', message: 'no' } };
        problem(await restart(), 422, 'unprocessable');
        sfu.answers.restart = { error: { code: 'unavailable', message: 'no' } };
        problem(await restart(), 503, 'sfu_unavailable');
        delete sfu.answers.restart;
        assert.equal((await patch(stack, url, { token: a.token, match: etag, body: fragment({}, [CANDIDATE]) })).status, 204, 'the former ICE session goes on');
        sfu.requests = sfu.requests.filter((r) => r.t !== 'restart');

        sfu.answers.restart = 'hold';
        const [first] = await Promise.all([
            restart(),
            sfu.request('restart').then(async (request) => {
                assert.equal(request.which, which);
                assert.ok(request.sdp.includes(`a=ice-ufrag:${ice.ufrag}\r\n`) && request.sdp.includes(`a=ice-pwd:${ice.pwd}\r\n`));
                assert.equal(request.sdp.replace(/a=ice-.*\r\n/g, ''), before.replace(/a=ice-.*\r\n/g, ''), 'the same offer otherwise');
                problem(await restart({ body: fragment(credentials()) }), 409, 'conflict');
                problem(await restart({ match: etag, body: fragment({}, [CANDIDATE]) }), 409, 'conflict');
                sfu.release('restart');
            }),
        ]);
        assert.equal(first.status, 200, JSON.stringify(first.body));
        assert.equal(first.headers.get('content-type'), FRAG);
        const fresh = first.headers.get('etag');
        assert.notEqual(fresh, etag);
        const ufrag = /a=ice-ufrag:(\S+)/.exec(first.body)[1];
        assert.ok(!answer.body.includes(ufrag));
        assert.match(first.body, /a=ice-pwd:\S+\r\n[^]*a=candidate:1 1 udp /);
        problem(await patch(stack, url, { token: a.token, match: etag, body: fragment({}, [CANDIDATE]) }), 412, 'precondition_failed');
        assert.equal((await patch(stack, url, { token: a.token, match: fresh, body: fragment(ice, [CANDIDATE]) })).status, 204);
    }
    await ok(host.socket, 'hang_up', { callId });
});

test('media that is lost for good starts the grace; a new POST within it goes on, DELETE still hangs up', async () => {
    const { callId, host, a, b } = await stage();
    const lose = async (user) => {
        const { participant } = await sfu.request('publish', (r) => r.room === callId);
        sfu.tell({ t: 'disconnected', room: callId, participant, which: 'publish' });
        await host.socket.event('participant_updated', (d) => d.participant.userId === user.userId && d.participant.state === 'reconnecting');
    };
    const first = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    await lose(a);
    problem(await patch(stack, first.url, { token: a.token, match: '*', body: fragment(credentials()) }), 404, 'not_found');
    const second = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    await host.socket.event('participant_updated', (d) => d.participant.userId === a.userId && d.participant.state === 'joined');
    await lose(a);
    await host.socket.event('participant_left', (d) => d.participant.userId === a.userId && d.participant.state === 'failed');
    problem(await http(stack, 'DELETE', second.url, { token: a.token }), 404, 'not_found');
    assert.equal(first.url === second.url, false);

    const other = await opened(`/v1/calls/${callId}/whip`, { token: b.token });
    await lose(b);
    assert.equal((await http(stack, 'DELETE', other.url, { token: b.token })).status, 200);
    await host.socket.event('participant_left', (d) => d.participant.userId === b.userId && d.participant.state === 'left');
    await host.socket.request('hang_up', { callId });
});

test('a node that comes back without the room, or without the participant, ends its sessions', async () => {
    const { callId, host, a, b } = await stage();
    const one = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    const two = await opened(`/v1/calls/${callId}/whep`, { token: b.token });
    const numbers = [(await sfu.request('publish', (r) => r.room === callId)).participant, (await sfu.request('watch', (r) => r.room === callId)).participant];
    const { instance } = sfu;
    sfu.close();
    sfu = await node({ instance, rooms: [{ room: callId, participants: [numbers[1]] }] });
    await host.socket.event('participant_updated', (d) => d.participant.userId === a.userId && d.participant.state === 'reconnecting');
    problem(await patch(stack, one.url, { token: a.token, match: one.etag, body: fragment({}, [CANDIDATE]) }), 404, 'not_found');
    assert.equal((await patch(stack, two.url, { token: b.token, match: two.etag, body: fragment({}, [CANDIDATE]) })).status, 204);
    sfu.close();
    sfu = await node();
    await host.socket.event('participant_updated', (d) => d.participant.userId === b.userId && d.participant.state === 'reconnecting');
    problem(await patch(stack, two.url, { token: b.token, match: two.etag, body: fragment({}, [CANDIDATE]) }), 404, 'not_found');
    await host.socket.request('hang_up', { callId });
});

test('Idempotency-Key: the same answer again, with its head, and one session', async () => {
    const { callId, host, a } = await stage();
    const path = `/v1/calls/${callId}/whip`;
    const sent = { token: a.token, body: offer(), headers: { 'idempotency-key': randomUUID() } };
    const first = await opened(path, sent);
    const again = await post(stack, path, sent);
    assert.equal(again.status, 201);
    assert.equal(again.headers.get('idempotency-replayed'), 'true');
    assert.equal(again.body, first.answer.body);
    for (const name of ['location', 'etag', 'content-type', 'accept-patch', 'link']) {
        assert.equal(again.headers.get(name), first.answer.headers.get(name), name);
    }
    problem(await post(stack, path, { ...sent, body: offer() }), 422, 'idempotency_key_reused');
    await sfu.request('publish', (r) => r.room === callId);
    assert.ok(!sfu.requests.some((r) => r.t === 'publish' && r.room === callId), 'published once');
    await ok(host.socket, 'hang_up', { callId });
});

test('two POSTs at once: one is made, the other is 409 or follows it', async () => {
    const { callId, host, a, b } = await stage();
    await decline(b, callId);
    sfu.answers.publish = 'hold';
    const first = post(stack, `/v1/calls/${callId}/whip`, { token: a.token });
    await sfu.request('publish', (r) => r.room === callId);
    problem(await post(stack, `/v1/calls/${callId}/whip`, { token: a.token }), 409, 'conflict');
    sfu.release('publish');
    assert.equal((await first).status, 201);
    // The call ends while the node is being asked.
    sfu.answers.publish = 'hold';
    const late = post(stack, `/v1/calls/${callId}/whip`, { token: a.token });
    await sfu.request('publish', (r) => r.room === callId);
    await ok(host.socket, 'hang_up', { callId });
    await until('it is over', async () => (await record(host, callId)).status === 'ended');
    sfu.release('publish');
    problem(await late, 409, 'call_ended');
});

test('kill -9 of signald: the URL is gone, a POST within the grace goes on in the same call', async () => {
    const { callId, host, a, b } = await stage();
    const before = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    await opened(`/v1/calls/${callId}/whip`, { token: b.token });
    const { instance } = sfu;
    await stack.kill('signald');
    await stack.start('signald');
    sfu.close();
    sfu = await node({ instance, rooms: [{ room: callId, participants: [2, 3] }] });
    host.socket = await Socket.open(stack, host.token);
    problem(await http(stack, 'DELETE', before.url, { token: a.token }), 404, 'not_found');
    const after = await opened(`/v1/calls/${callId}/whip`, { token: a.token });
    assert.equal((await sfu.request('publish', (r) => r.room === callId)).participant, 2, 'the same participant');
    const left = await sfu.request('leave', (r) => r.room === callId); // who doesn't come back is out after the grace
    assert.equal(left.participant, 3);
    assert.equal(await stateOf(host, callId, a), 'joined');
    assert.equal((await http(stack, 'DELETE', after.url, { token: a.token })).status, 200);
    await host.socket.request('hang_up', { callId });
});
