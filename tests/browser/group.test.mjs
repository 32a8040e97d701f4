// Three people over the SFU, one leaves, and a stranger at the door; a third person invited into a running call.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { Person, closeBrowsers } from './lib/people.mjs';

let stack;
before(async () => {
    stack = await startStack();
});
afterEach(closeBrowsers);
after(() => stack.down());

test('three in one group call: each decodes both others; one leaves, the others go on; a stranger gets 403', async () => {
    const people = await Promise.all(['ann', 'ben', 'cleo'].map((name) => Person.arrive(stack, { name })));
    const [ann, ben, cleo] = people;
    await ann.groupCall([ben, cleo]);
    await Promise.all([ben.accept(), cleo.accept()]);
    await Promise.all(people.map((me) => me.hearsAndSees(people.filter((p) => p !== me), 40_000)));
    const { callId } = await ann.stats();

    // A fourth, in a browser of her own, never invited: the page's own client tries the call that she knows the id of.
    const stranger = await Person.arrive(stack, { name: 'eve' });
    const refusal = await stranger.page.evaluate(
        (id) => window.sotto.socket.request('call_join', { callId: id }).then(() => 'joined', (error) => error.code),
        callId,
    );
    assert.equal(refusal, 'forbidden');
    const publishing = await stranger.page.evaluate(async (id) => {
        const pc = new RTCPeerConnection();
        pc.addTransceiver('audio', { direction: 'sendonly' });
        const { sdp } = await pc.createOffer();
        return window.sotto.socket.request('sfu_publish', { callId: id, sdp }).then(() => 'published', (error) => error.code);
    }, callId);
    assert.equal(publishing, 'forbidden');
    const looking = await http(stack, 'GET', `/v1/calls/${callId}`, { token: stranger.account.token });
    assert.equal(looking.status, 403);
    const starting = await http(stack, 'POST', '/v1/calls', {
        token: stranger.account.token,
        body: { conversationId: (await ann.lastRecord()).conversationId, media: 'audio' },
    });
    assert.equal(starting.status, 404); // nor does she learn that there is such a conversation

    await cleo.hangUp();
    await until('cleo is gone for ann', async () => !(cleo.username in ((await ann.stats())?.remotes ?? {})));
    await Promise.all([ann.hearsAndSees([ben]), ben.hearsAndSees([ann])]);
    await ann.hangUp();
    await ben.hangUp().catch(() => {}); // his side may have ended with hers
    const record = await until('the record', async () => {
        const last = await cleo.lastRecord();
        return last?.status === 'ended' && last;
    });
    assert.equal(record.path, 'sfu');
    assert.equal(record.reason, 'completed');
    assert.equal(record.participants.length, 3);
});

test('a third person invited into a peer-to-peer call moves it to the SFU', async () => {
    const [ann, ben, cleo] = await Promise.all(['ann', 'ben', 'cleo'].map((name) => Person.arrive(stack, { name })));
    await ann.videoCall(ben);
    await ben.accept();
    await Promise.all([ann.hearsAndSees([ben]), ben.hearsAndSees([ann])]);
    assert.equal((await until('a path', async () => (await ann.stats())?.path && ann.stats())).path, 'p2p');
    await ann.page.evaluate((userId) => window.sotto.call.invite([userId]), cleo.account.userId);
    await cleo.accept();
    const people = [ann, ben, cleo];
    await Promise.all(people.map((me) => me.hearsAndSees(people.filter((p) => p !== me), 40_000)));
    assert.equal((await ann.stats()).path, 'sfu');
    await Promise.all(people.map((p) => p.hangUp().catch(() => {})));
});

test('a bare client that was never invited is refused by the socket without learning more', async () => {
    const eve = await newUser(stack, 'eve');
    const socket = await Socket.open(stack, eve.token);
    const made_up = await socket.request('call_join', { callId: '01890000-0000-7000-8000-000000000000' });
    assert.equal(made_up.ok, false);
    assert.equal(made_up.error.code, 'forbidden');
    await socket.close();
});
