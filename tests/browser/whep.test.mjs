// Chromium without our SDK: one page publishes by WHIP, others watch by WHEP, with plain RTCPeerConnection and fetch on a page of
// another origin. Pictures are decoded and looked at; ICE restarts by PATCH; DELETE ends it.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { isBars } from '../lib/interop.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { stage } from '../lib/whip.mjs';
import { Bare } from '../lib/whip_pages.mjs';
import { closeBrowsers, newBrowser } from './lib/people.mjs';

const elsewhere = createServer((_request, response) => response.setHeader('content-type', 'text/html').end('<!doctype html><title>studio</title>'));
let stack, studio, browser;
before(async () => {
    await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
    studio = `http://127.0.0.1:${elsewhere.address().port}`;
    stack = await startStack({ 'calls.grace': '1500ms', 'http.origins': studio });
    browser = await newBrowser();
});
afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));
after(async () => {
    await closeBrowsers();
    elsewhere.close();
    elsewhere.closeAllConnections();
    await stack.down();
});

const page = async () => Bare.open(await browser.newContext(), studio);
const opened = (made) => assert.equal(made.status, 201, made.body);

test('two watch what one publishes; ICE restarts on both sides; DELETE ends each', async () => {
    const show = await stage(stack, 3);
    const { others, whip, whep } = show;
    const [sender, ...viewers] = await Promise.all([page(), page(), page()]);
    opened(await sender.publish(whip, others[0].token));
    for (const [i, viewer] of viewers.entries()) opened(await viewer.watch(whep, others[i + 1].token));
    for (const viewer of viewers) {
        const got = await viewer.decodes();
        assert.ok(isBars(got.bars), JSON.stringify(got));
    }
    assert.equal(await viewers[0].trickle(), 204);
    const restarted = await viewers[0].restart();
    assert.equal((await viewers[0].ice()).local, restarted.local);
    assert.ok(isBars((await viewers[0].decodes()).bars), 'a watcher goes on after its restart');
    await sender.restart();
    await Promise.all(viewers.map((viewer) => viewer.decodes()));
    assert.equal(await viewers[0].trickle(), 204, 'the new ETag holds');

    assert.equal(await viewers[0].remove(), 200);
    await show.left(others[1]);
    await until('its connection is ended, with a word', async () => (await viewers[0].ice()).dtls === 'closed');
    assert.equal(await viewers[0].remove(), 404);
    await viewers[1].decodes();
    assert.equal(await sender.remove(), 200);
    await show.left(others[0]);
    await show.end();
});

test('a watcher is there before anybody publishes, and sees the next one when the first one leaves', async () => {
    const show = await stage(stack, 3);
    const { others, whip, whep } = show;
    const [viewer, first, second] = await Promise.all([page(), page(), page()]);
    opened(await viewer.watch(whep, others[0].token));
    await viewer.connected();
    opened(await first.publish(whip, others[1].token));
    await viewer.decodes();
    opened(await second.publish(whip, others[2].token));
    await second.connected();
    assert.equal(await first.remove(), 200);
    await show.left(others[1]);
    assert.ok(isBars((await viewer.decodes()).bars));
    await show.end();
});

test('one participant publishes and watches; ending one leaves the other', async () => {
    const show = await stage(stack, 2);
    const { others, whip, whep } = show;
    const [out, back, other] = await Promise.all([page(), page(), page()]);
    opened(await out.publish(whip, others[0].token));
    opened(await back.watch(whep, others[0].token));
    opened(await other.publish(whip, others[1].token));
    await back.decodes();
    assert.equal(await back.remove(), 200);
    const viewer = await page();
    opened(await viewer.watch(whep, others[1].token));
    assert.ok(isBars((await viewer.decodes()).bars), 'what he publishes goes on');
    assert.ok(!show.host.socket.has('participant_left'), 'nobody has left');
    await show.end();
});

/** Why this Chromium can't do both ends of that codec (a build may lack H.264's encoder), or null. */
const lacks = (bare, codec) =>
    bare.page.evaluate(async (name) => {
        for (const [end, who] of Object.entries({ encoder: RTCRtpSender, decoder: RTCRtpReceiver })) {
            if (!who.getCapabilities('video').codecs.some((c) => c.mimeType === `video/${name}`)) return `no ${end} for ${name}`;
        }
        const strings = { VP9: 'vp09.00.10.08', H264: 'avc1.42001f', AV1: 'av01.0.05M.08' };
        const config = { codec: strings[name], width: 320, height: 240 };
        const works = async (kind) => (await kind.isConfigSupported(config).catch(() => ({}))).supported;
        if (!(await works(VideoEncoder))) return `${name} is offered, but nothing encodes it`;
        return (await works(VideoDecoder)) ? null : `${name} is offered, but nothing decodes it`;
    }, codec);

for (const codec of ['VP9', 'H264', 'AV1']) {
    test(`${codec} is watched as it was published; one who offers VP8 alone isn't sent it`, async (t) => {
        const show = await stage(stack, 3);
        const { others, whip, whep } = show;
        const [sender, viewer, picky] = await Promise.all([page(), page(), page()]);
        const missing = await lacks(sender, codec);
        if (missing) {
            await show.end();
            t.skip(missing);
            return;
        }
        opened(await sender.publish(whip, others[0].token, codec));
        opened(await viewer.watch(whep, others[1].token));
        opened(await picky.watch(whep, others[2].token, 'VP8'));
        const got = await viewer.decodes(30);
        assert.equal(got.codec, `video/${codec}`);
        assert.ok(isBars(got.bars), JSON.stringify(got));
        t.diagnostic(`${got.frames} pictures of ${codec} decoded`);
        assert.equal((await picky.received()).frames, 0);
        await picky.hears();
        await show.end();
    });
}
