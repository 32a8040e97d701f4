// WHIP and WHEP with clients that are not ours and not browsers: aiortc and GStreamer's webrtcbin, against the real signald and sfud.
// Each publishes the colour bars of a television test picture, and each decodes what the other (or Chromium) sends: pictures are
// counted, compared and looked at.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { Foreign, isBars } from '../lib/interop.mjs';
import { closeBrowser, openBrowser } from '../lib/sfu_pages.mjs';
import { startStack } from '../lib/stack.mjs';
import { stage } from '../lib/whip.mjs';
import { Bare } from '../lib/whip_pages.mjs';

let stack;
const open = [];
before(async () => {
    stack = await startStack({ 'calls.grace': '1500ms' });
});
afterEach(() => Promise.all(open.splice(0).map((it) => it.close())));
after(async () => {
    await closeBrowser();
    await stack.down();
});

function run(client, way, show, who, codec) {
    const peer = new Foreign(client, way, way === 'publish' ? show.whip : show.whep, who.token, codec);
    open.push(peer);
    return peer;
}
async function page() {
    const context = await (await openBrowser()).newContext();
    open.push(context);
    return Bare.open(context, `${stack.url}/readyz`);
}
async function seesBars(watcher) {
    const got = await watcher.decodes();
    assert.ok(isBars(got.bars), `${watcher.name ?? 'page'}: ${JSON.stringify(got)}`);
}

/** One publishes, everybody of `watchers` decodes it; then DELETE ends first a watcher, then the publisher. */
async function interplay(publisher, watchers, codec) {
    const show = await stage(stack, 1 + watchers.length);
    const sender = run(publisher, 'publish', show, show.others[0], codec);
    await sender.opened();
    await sender.connected();
    const peers = watchers.map((client, i) => run(client, 'watch', show, show.others[i + 1], codec));
    await Promise.all(peers.map((peer) => peer.opened()));
    await Promise.all(peers.map(seesBars));

    assert.equal(await peers[0].remove(), 200);
    await show.left(show.others[1]);
    await Promise.all(peers.slice(1).map((peer) => peer.decodes()));
    assert.equal(await sender.remove(), 200);
    await show.left(show.others[0]);
    await show.end();
    return { sender, peers };
}

test('aiortc publishes VP8 and Opus: aiortc and GStreamer decode it', () => interplay('aiortc', ['aiortc', 'gstreamer'], 'VP8'));

test('GStreamer publishes VP8 and Opus: GStreamer and aiortc decode it; its candidates come by PATCH', async () => {
    const { sender, peers } = await interplay('gstreamer', ['gstreamer', 'aiortc'], 'VP8');
    assert.equal(sender.last('trickled')?.status, 204);
    assert.equal(peers[0].last('trickled')?.status, 204);
});

test('GStreamer publishes H.264: aiortc and GStreamer decode it', () => interplay('gstreamer', ['aiortc', 'gstreamer'], 'H264'));

test('aiortc publishes H.264: GStreamer decodes it', () => interplay('aiortc', ['gstreamer'], 'H264'));

test('a browser publishes: aiortc and GStreamer decode it; each of them publishes: the browser decodes it', async () => {
    const show = await stage(stack, 4);
    const [studio, viewer] = [await page(), await page()];
    const made = await studio.publish(show.whip, show.others[0].token);
    assert.equal(made.status, 201, made.body);
    const watchers = [run('aiortc', 'watch', show, show.others[1]), run('gstreamer', 'watch', show, show.others[2])];
    await Promise.all(watchers.map(seesBars));
    assert.equal(await studio.remove(), 200);
    await show.left(show.others[0]);

    const seen = await viewer.watch(show.whep, show.others[3].token);
    assert.equal(seen.status, 201, seen.body);
    for (const [i, client] of ['aiortc', 'gstreamer'].entries()) {
        const sender = run(client, 'publish', show, show.others[i + 1]);
        await sender.connected();
        await seesBars(viewer);
        assert.equal(await sender.remove(), 200);
    }
    await show.end();
});
