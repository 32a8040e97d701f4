// WHIP with real media: a Chromium that knows nothing of Sotto but a URL and a token publishes by fetch, across origins, to the
// real sfud; somebody who is in the call over his socket decodes it; ICE restarts by PATCH; DELETE and a vanished page end it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { http } from '../lib/client.mjs';
import { Peer, closeBrowser, openBrowser } from '../lib/sfu_pages.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { links, stage } from '../lib/whip.mjs';
import { Bare } from '../lib/whip_pages.mjs';

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

/** A page of another origin, of a context of its own. */
async function page() {
    const bare = await Bare.open(await (await openBrowser()).newContext(), `http://127.0.0.1:${elsewhere.address().port}/`);
    open.push(bare.context);
    return bare;
}
/** The host watches that participant in a page, by slots. */
async function watch({ ask, callId }, participantId) {
    const peer = await Peer.open(null, null, 0);
    open.push(peer);
    const { sdp } = await ask('sfu_subscribe', { callId, audioSlots: 1, videoSlots: 1 });
    await ask('sfu_answer', { callId, sdp: await peer.page.evaluate((s) => window.peer.answer(s), sdp) });
    await ask('sfu_view', { callId, video: [{ slot: 0, participantId, source: 'camera', maxHeight: 720 }] });
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
    const show = await stage(stack, 2);
    const { host, others: [encoder], whip: url } = show;
    const studio = await page();
    const made = await studio.publish(url, encoder.token);
    assert.equal(made.status, 201, made.body);
    assert.ok(links({ headers: new Headers({ link: made.link }) }).some((l) => l.uri.startsWith('turn:') && l.credential), 'Link is exposed to pages of other origins');
    const joined = (await host.socket.event('participant_joined', (d) => d.participant.userId === encoder.userId)).data.participant;
    const viewer = await watch(show, joined.participantId);
    await decodes(viewer, 'the host sees and hears the encoder');
    assert.equal(await studio.trickle(), 204);
    await studio.restart();
    await decodes(viewer, 'it goes on after the restart');
    assert.equal(await studio.trickle(), 204, 'the new ETag holds');

    assert.equal(await studio.remove(), 200);
    const left = (await host.socket.event('participant_left')).data.participant;
    assert.deepEqual([left.userId, left.state], [encoder.userId, 'left']);
    assert.equal(await studio.remove(), 404);
    await show.end();
});

test('an encoder that vanishes is reconnecting, then out; one that comes back in time stays', async () => {
    const show = await stage(stack, 2);
    const { host, others: [encoder], whip: url } = show;
    const publish = async () => {
        const studio = await page();
        const made = await studio.publish(url, encoder.token);
        assert.equal(made.status, 201, made.body);
        await studio.connected();
        return studio;
    };
    const vanish = (studio) => studio.vanish(); // DTLS says goodbye, HTTP says nothing
    const about = (state) => (d) => d.participant.userId === encoder.userId && d.participant.state === state;
    await vanish(await publish());
    await host.socket.event('participant_updated', about('reconnecting'));
    const back = await publish();
    await host.socket.event('participant_updated', about('joined'));
    await vanish(back);
    await host.socket.event('participant_left', about('failed'), 10_000);
    await show.end();
});

test('an offer that the real media server can not take is 406, and nobody is in the call for it', async () => {
    const show = await stage(stack, 2);
    const { host, others: [encoder], whip: url } = show;
    const offer = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=mid:0', 'a=sendonly', 'a=ice-ufrag:abcd', 'a=ice-pwd:0123456789abcdefghijklmn', ''].join('\r\n');
    const answer = await http(stack, 'POST', new URL(url).pathname, { token: encoder.token, body: offer, headers: { 'content-type': 'application/sdp' } }); // without a fingerprint
    assert.equal(answer.status, 406, JSON.stringify(answer.body));
    assert.equal(answer.body.code, 'not_acceptable');
    await host.socket.event('participant_left', (d) => d.participant.userId === encoder.userId);
    await show.end();
});
