// WHIP with real media: a Chromium that knows nothing of Sotto but a URL and a token publishes by fetch, across origins, to the
// real sfud; somebody who is in the call over his socket decodes it; ICE restarts by PATCH; DELETE and a vanished page end it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { links } from '../lib/whip.mjs';

let stack;
const open = [];
/** Somebody else's web server: its pages are of another origin than ours. */
const elsewhere = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>studio</title>'));
before(async () => {
    await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    stack = await startStack({ 'calls.grace': '1500ms', 'http.origins': `http://127.0.0.1:${elsewhere.address().port}` });
});
afterEach(() => Promise.all(open.splice(0).map((peer) => peer.close())));
after(async () => {
    await closeBrowser();
    elsewhere.close();
    elsewhere.closeAllConnections();
    await stack.down();
});

/** What a WHIP client does, in the page. */
function clientCode() {
    const whip = { pending: [] };
    window.whip = whip;
    const values = (sdp) => ({ ufrag: /a=ice-ufrag:(\S+)/.exec(sdp)[1], pwd: /a=ice-pwd:(\S+)/.exec(sdp)[1] });
    const send = (method, url, headers, body) =>
        fetch(url, { method, headers: { authorization: `Bearer ${whip.token}`, ...headers }, body });
    const patch = (match, body) => send('PATCH', whip.resource, { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': match }, body);

    whip.publish = async (url, token) => {
        whip.token = token;
        const offer = await window.peer.offer();
        window.peer.publisher.onicecandidate = ({ candidate }) => candidate?.candidate && whip.pending.push(candidate.candidate);
        const response = await send('POST', url, { 'content-type': 'application/sdp' }, offer);
        whip.answer = await response.text();
        if (response.status !== 201) return { status: response.status, body: whip.answer };
        whip.resource = new URL(response.headers.get('location'), url).href;
        whip.etag = response.headers.get('etag');
        await window.peer.published(whip.answer);
        return { status: 201, resource: whip.resource, link: response.headers.get('link') };
    };
    whip.trickle = async () => {
        const { ufrag, pwd } = values(window.peer.publisher.localDescription.sdp);
        const lines = whip.pending.splice(0).map((c) => `a=${c}`);
        const body = [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, 'm=audio 9 RTP/AVP 0', 'a=mid:0', ...lines, 'a=end-of-candidates', ''].join('\r\n');
        return (await patch(whip.etag, body)).status;
    };
    whip.restart = async () => {
        const { ufrag, pwd } = values(await window.peer.reoffer({ iceRestart: true }));
        const response = await patch('*', `a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\n`);
        const text = await response.text();
        if (response.status !== 200) return { status: response.status, text };
        const fresh = values(text);
        whip.etag = response.headers.get('etag');
        whip.answer = whip.answer.replace(/a=ice-ufrag:\S+/g, `a=ice-ufrag:${fresh.ufrag}`).replace(/a=ice-pwd:\S+/g, `a=ice-pwd:${fresh.pwd}`);
        await window.peer.published(whip.answer);
        return { status: 200, local: ufrag, remote: fresh.ufrag };
    };
    whip.remove = async () => (await send('DELETE', whip.resource, {})).status;
    /** The credentials of the pair that media takes. */
    whip.pair = async () => {
        const stats = await window.peer.publisher.getStats();
        const transport = [...stats.values()].find((r) => r.type === 'transport');
        const pair = stats.get(transport.selectedCandidatePairId);
        return { state: window.peer.publisher.connectionState, local: transport.iceLocalUsernameFragment, pair: pair && stats.get(pair.remoteCandidateId)?.port };
    };
}

async function page() {
    const peer = await Peer.open(null, null, open.length, `http://127.0.0.1:${elsewhere.address().port}/`);
    open.push(peer);
    await peer.page.evaluate(clientCode);
    return peer;
}
async function ok(socket, type, data) {
    const reply = await socket.request(type, data);
    assert.equal(reply.ok, true, `${type}: ${JSON.stringify(reply)}`);
    return reply.data;
}

/** A group call of a host who watches in a page of his own, and somebody who will publish by WHIP. */
async function stage() {
    const [host, encoder, other] = await Promise.all([newUser(stack), newUser(stack), newUser(stack)]);
    host.socket = await Socket.open(stack, host.token);
    const made = await http(stack, 'POST', '/v1/conversations', { token: host.token, body: { type: 'group', name: 'studio', memberIds: [encoder.userId, other.userId] } });
    const { callId } = await ok(host.socket, 'call_start', { conversationId: made.body.id, media: 'video' });
    return { callId, host, encoder, url: `${stack.url}/v1/calls/${callId}/whip` };
}
async function watch(host, callId, participantId) {
    const peer = await page();
    const { sdp } = await ok(host.socket, 'sfu_subscribe', { callId, audioSlots: 1, videoSlots: 1 });
    await ok(host.socket, 'sfu_answer', { callId, sdp: await peer.page.evaluate((s) => window.peer.answer(s), sdp) });
    await ok(host.socket, 'sfu_view', { callId, video: [{ slot: 0, participantId, source: 'camera', maxHeight: 720 }] });
    return peer;
}
async function decodes(peer, what) {
    const sum = async () => Object.values(await peer.received()).reduce((n, slot) => ({ frames: n.frames + slot.frames, energy: n.energy + slot.energy }), { frames: 0, energy: 0 });
    const first = await sum();
    await until(what, async () => {
        const now = await sum();
        return now.frames > first.frames + 10 && now.energy > first.energy;
    }, 30_000);
}

test('a browser without our SDK publishes: decoded by others, restarts ICE, and hangs up by DELETE', async () => {
    const { callId, host, encoder, url } = await stage();
    const studio = await page();
    const made = await studio.page.evaluate(([u, t]) => window.whip.publish(u, t), [url, encoder.token]);
    assert.equal(made.status, 201, made.body);
    assert.ok(links({ headers: new Headers({ link: made.link }) }).some((l) => l.uri.startsWith('turn:') && l.credential), 'Link is exposed to pages of other origins');
    const joined = (await host.socket.event('participant_joined', (d) => d.participant.userId === encoder.userId)).data.participant;
    const viewer = await watch(host, callId, joined.participantId);
    await decodes(viewer, 'the host sees and hears the encoder');
    assert.equal(await studio.page.evaluate(() => window.whip.trickle()), 204);

    const before = await studio.page.evaluate(() => window.whip.pair());
    const restarted = await studio.page.evaluate(() => window.whip.restart());
    assert.equal(restarted.status, 200, restarted.text);
    await until('media takes the new ICE session', async () => {
        const now = await studio.page.evaluate(() => window.whip.pair());
        return now.state === 'connected' && now.local === restarted.local && now.local !== before.local;
    });
    await decodes(viewer, 'it goes on after the restart');
    assert.equal(await studio.page.evaluate(() => window.whip.trickle()), 204, 'the new ETag holds');

    assert.equal(await studio.page.evaluate(() => window.whip.remove()), 200);
    const left = (await host.socket.event('participant_left')).data.participant;
    assert.deepEqual([left.userId, left.state], [encoder.userId, 'left']);
    assert.equal(await studio.page.evaluate(() => window.whip.remove()), 404);
    await ok(host.socket, 'hang_up', { callId });
});

test('an encoder that vanishes is reconnecting, then out; one that comes back in time stays', async () => {
    const { callId, host, encoder, url } = await stage();
    const publish = async () => {
        const studio = await page();
        const made = await studio.page.evaluate(([u, t]) => window.whip.publish(u, t), [url, encoder.token]);
        assert.equal(made.status, 201, made.body);
        await until('it is connected', () => studio.page.evaluate(() => window.peer.publisher.connectionState === 'connected'));
        return studio;
    };
    const vanish = (studio) => studio.page.evaluate(() => window.peer.publisher.close()); // DTLS says goodbye, HTTP says nothing
    const about = (state) => (d) => d.participant.userId === encoder.userId && d.participant.state === state;
    await vanish(await publish());
    await host.socket.event('participant_updated', about('reconnecting'));
    const back = await publish();
    await host.socket.event('participant_updated', about('joined'));
    await vanish(back);
    await host.socket.event('participant_left', about('failed'), 10_000);
    await ok(host.socket, 'hang_up', { callId });
});

test('an offer that the real media server can not take is 406, and nobody is in the call for it', async () => {
    const { callId, host, encoder, url } = await stage();
    const offer = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=sendonly', 'a=ice-ufrag:abcd', 'a=ice-pwd:0123456789abcdefghijklmn', ''].join('\r\n');
    const answer = await http(stack, 'POST', new URL(url).pathname, { token: encoder.token, body: offer, headers: { 'content-type': 'application/sdp' } }); // without a fingerprint
    assert.equal(answer.status, 406, JSON.stringify(answer.body));
    assert.equal(answer.body.code, 'not_acceptable');
    await host.socket.event('participant_left', (d) => d.participant.userId === encoder.userId);
    await ok(host.socket, 'hang_up', { callId });
});
