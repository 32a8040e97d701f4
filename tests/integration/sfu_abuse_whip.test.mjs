// Bad input by HTTP, against the real signald and sfud while a browser publishes and another watches: offers without end, PATCH of
// other ICE sessions, fragments too large; every one has its status, is counted, and those two notice nothing.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { stopwatch, watchMachine } from '../lib/machine.mjs';
import { http } from '../lib/client.mjs';
import { Peer, closeBrowser, openBrowser } from '../lib/sfu_pages.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { CANDIDATE, SDP, credentials, fragment, offer, patch, post, stage } from '../lib/whip.mjs';
import { Bare } from '../lib/whip_pages.mjs';

const N = 100; // of each
let stack, show, viewer, path, mallory;
const elsewhere = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>studio</title>'));

before(async () => {
    await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    const origin = `http://127.0.0.1:${elsewhere.address().port}`;
    stack = await startStack({ 'http.origins': origin });
    show = await stage(stack, 2);
    const [encoder] = show.others;
    mallory = show.others[1];
    path = `/v1/calls/${show.callId}/whip`;
    const studio = await Bare.open(await (await openBrowser()).newContext(), `${origin}/`);
    assert.equal((await studio.publish(show.whip, encoder.token)).status, 201);
    const { participantId } = (await show.host.socket.event('participant_joined', (d) => d.participant.userId === encoder.userId)).data.participant;
    viewer = await Peer.open(null, null, 0);
    const { sdp } = await show.ask('sfu_subscribe', { callId: show.callId, audioSlots: 1, videoSlots: 1 });
    await show.ask('sfu_answer', { callId: show.callId, sdp: await viewer.page.evaluate((s) => window.peer.answer(s), sdp) });
    await show.ask('sfu_view', { callId: show.callId, video: [{ slot: 0, participantId, source: 'camera', maxHeight: 720 }] });
    await goesOn();
});
after(async () => {
    await closeBrowser();
    elsewhere.close();
    elsewhere.closeAllConnections();
    await stack.down();
});

async function goesOn() {
    const first = await viewer.received();
    await until('the host sees the encoder', async () => (await viewer.received()).v0?.frames > (first.v0?.frames ?? 0) + 3, 20_000);
}

const counted = async (name, fits) => {
    const text = await (await fetch(name.startsWith('sotto_sfu') ? stack.sfuMetricsUrl : stack.metricsUrl)).text();
    return text.split('\n').filter((l) => l.startsWith(name) && fits.test(l)).reduce((n, l) => n + Number(l.slice(l.lastIndexOf(' '))), 0);
};

/** N of these at most ten at a time: their statuses, all of one kind; the viewer loses nothing, and the requests are counted. */
async function storm(what, status, ask) {
    const before = await viewer.received(), requests = await counted('sotto_http_requests_total', /whip/), clock = stopwatch(), machine = watchMachine();
    for (let i = 0; i < N; i += 10) {
        const answers = await Promise.all(Array.from({ length: 10 }, (_, k) => ask(i + k)));
        for (const answer of answers) assert.ok([status].flat().includes(answer.status), `${what}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 200)}`);
    }
    clock.within(20_000, what);
    await goesOn();
    const now = await viewer.received();
    const { full, text } = machine.end();
    // What a machine loses that has no time for its sockets is not what is asked.
    if (full > 0) console.log(`not judged: ${text}`);
    else for (const mid of Object.keys(before)) assert.equal(now[mid].lost, before[mid].lost, `${what}: ${mid}`);
    assert.ok((await counted('sotto_http_requests_total', /whip/)) >= requests + N, 'counted');
}

const monster = (n, line) => offer() + `${line}\r\n`.repeat(n);
const OFFERS = [
    ['no SDP', 400, () => 'x'.repeat(30_000)],
    ['a thousand m-lines', [400, 406], () => monster(1000, 'm=video 9 UDP/TLS/RTP/SAVPF 96')],
    ['a thousand SSRCs', [201, 409], () => // of which the first counts; each takes the place of the one before
        monster(1000, 'a=ssrc:7 cname:somebody')],
    ['more than a description may have', 413, () => monster(4000, 'a=x:0123456789')],
    ['an empty text', [400, 411], () => ''],
];
for (const [what, status, body] of OFFERS) {
    test(`POST of ${what}`, () => storm(what, status, () => post(stack, path, { token: mallory.token, body: body() })));
}

test('PATCH: another ETag, another ufrag, no session, fragments too large, and restarts without end', async () => {
    const ice = credentials();
    const made = await post(stack, path, { token: mallory.token, body: offer({ ice }) });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const url = made.headers.get('location'), etag = made.headers.get('etag');
    const send = (options) => patch(stack, url, { token: mallory.token, match: etag, body: fragment(ice, [CANDIDATE]), ...options });
    await storm('another ETag', 412, (i) => send({ match: `"ice-${1000 + i}"` }));
    await storm('no ETag', 428, () => send({ match: undefined }));
    await storm('another ufrag', 422, () => send({ body: fragment(credentials()) }));
    await storm('a fragment too large', 413, () => send({ body: fragment(ice, [CANDIDATE]) + 'a=x:y\r\n'.repeat(4000) }));
    await storm('many candidates', [204, 400, 413], () => send({ body: fragment(ice, Array(100).fill(CANDIDATE)) }));
    await storm('no SDP fragment', 415, () => send({ type: SDP }));
    await storm('no session', 404, () => patch(stack, `${path}/${randomUUID()}`, { token: mallory.token, match: '*', body: fragment(ice) }));
    await storm('somebody else', [403, 404], () => send({ token: show.host.token }));
    // Restarts are good requests: only one at a time is under way, and two sets of credentials are in force.
    const transports = await counted('sotto_sfu_transports', /./);
    await storm('restarts', [200, 409], () => send({ match: '*', body: fragment(credentials()) }));
    assert.equal(await counted('sotto_sfu_transports', /./), transports);
    assert.equal((await http(stack, 'DELETE', url, { token: mallory.token })).status, 200);
    await until('he is gone', async () => (await counted('sotto_sfu_transports', /./)) === transports - 1);
});
