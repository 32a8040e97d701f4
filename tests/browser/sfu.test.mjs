// What goes through the forwarding unit in real browsers: sizes that follow the tile, frames that it can't read, Firefox beside Chromium.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { watchMachine } from '../lib/machine.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { writeFace } from './lib/faces.mjs';
import { FirefoxPerson, closeFirefoxes } from './lib/firefox.mjs';
import { decoded, difference, forwarded, opened as open } from './lib/frames.mjs';
import { Person, closeBrowsers, newBrowser } from './lib/people.mjs';
import { isHigh, style, watch } from './lib/tiles.mjs';

const bytes = (n) => [...randomBytes(n)];

let stack;
before(async () => {
    stack = await startStack();
});
afterEach(() => Promise.all([closeBrowsers(), closeFirefoxes()]));
after(() => stack.down());

/** Someone whose camera shows a face at eight pictures a second: several browsers that encode share the machine. */
async function arrive(who, name, { scale = 1, ...options } = {}) {
    const camera = join(stack.dir, `face${who}x${scale}.y4m`);
    writeFace(camera, who, scale);
    return Person.arrive(stack, { name, browser: await newBrowser({ camera }), ...options });
}

/** Sizes that leave the publisher, by RID, with frames since the call before. */
const sent = (person) =>
    person.page.evaluate(async () => {
        const sizes = {};
        for (const peer of window.peers.filter((p) => p.connectionState === 'connected')) {
            for (const report of (await peer.getStats()).values()) {
                if (report.type === 'outbound-rtp' && report.kind === 'video' && report.framesPerSecond > 0) {
                    sizes[report.rid] = report.frameHeight;
                }
            }
        }
        return sizes;
    });

test('the received size follows the tile, 720 → 180 → 720, without a freeze or a negotiation', async (t) => {
    const query = 'p2p=off&fallback=300';
    const viewport = { width: 1280, height: 720 };
    const [ann, ben] = await Promise.all([arrive(0, 'ann', { query, viewport }), arrive(1, 'ben', { query, viewport, scale: 2 })]);
    await ann.videoCall(ben);
    await ben.accept();
    await ann.firstMedia([ben]);
    const sizes = await until('three sizes leave', async () => {
        const now = await sent(ben);
        return Object.keys(now).length === 3 && now;
    }, 20_000);
    assert.deepEqual(sizes, { q: 180, h: 360, f: 720 });

    await ann.page.evaluate(watch);
    const height = (wanted) => isHigh(ann, wanted);
    await height(720);
    const negotiations = await ann.page.evaluate(() => window.negotiations);
    const resize = async (name, wanted, change) => {
        await ann.page.evaluate(() => (window.picture.pause = 0));
        const machine = watchMachine();
        const t0 = Date.now();
        await change();
        await height(wanted);
        const tookMs = Date.now() - t0;
        const { calm, text } = machine.end();
        const { pause } = await ann.page.evaluate(() => window.picture);
        t.diagnostic(`${name} ${tookMs} ms after the tile, longest pause between pictures ${pause.toFixed(0)} ms`);
        if (calm) assert.ok(pause < 1000, `${pause} ms without a picture`);
        else t.diagnostic(`the pause is not judged: ${text}`);
    };
    await resize('180 lines', 180, () => style(ann, '.tile { width: 320px; height: 180px; }'));
    await resize('720 lines', 720, () => style(ann, ''));
    assert.equal(await ann.page.evaluate(() => window.negotiations), negotiations);

    // Off the screen: nothing is sent for it any more.
    await style(ann, '.tile { display: none; }');
    const still = () => ann.page.evaluate(async () => {
        const before = window.picture.frames;
        await new Promise((resolve) => setTimeout(resolve, 300));
        return window.picture.frames === before;
    });
    await until('no pictures for a hidden tile', still);
    await style(ann, '');
    await until('pictures again', async () => !(await still()));
    await Promise.all([ann, ben].map((p) => p.hangUp().catch(() => {})));
});

test('three with one key decode each other; a fourth with another key, and the server, get frames that are noise', async (t) => {
    const group = { keyId: 5, key: bytes(16) };
    const other = { keyId: 5, key: bytes(16) };
    const keys = { ann: group, ben: group, cleo: { ...group, older: true }, dan: other };
    const people = await Promise.all(Object.entries(keys).map(([name, mediaKey], who) => arrive(who, name, { mediaKey })));
    const [ann, ben, cleo, dan] = people;
    const friends = [ann, ben, cleo];
    await ann.groupCall([ben, cleo, dan]);
    await Promise.all([ben, cleo, dan].map((person) => person.accept()));
    await Promise.all(friends.map((me) => me.hearsAndSees(friends.filter((p) => p !== me), 60_000)));
    await Promise.all(friends.map((me) => me.draws(friends.filter((p) => p !== me))));

    // Dan: packets of all three, not one picture, and he is told so. Nobody sees him either.
    await until('dan gets packets', async () => (await dan.received()).packets > 50);
    assert.equal((await dan.received()).frames, 0);
    await until('dan is told', async () => (await dan.see('unreadable').count()) === 3);
    for (const me of friends) await until('only dan is unreadable', async () => (await me.see('unreadable').count()) === 1);
    const counts = await dan.page.evaluate(() => window.sotto.call.encryption);
    assert.ok(counts.dropped.wrong_key > 50 && counts.opened === 0 && counts.sealed > 0, JSON.stringify(counts));
    assert.equal(await dan.callState(), 'active');

    // What the server has: a frame that leads to no picture, until the key opens it.
    const frame = await forwarded(dan);
    const clear = await open(frame, group.key);
    await assert.rejects(open(frame, other.key));
    const [picture, noise] = [await decoded(dan, clear), await decoded(dan, frame)];
    assert.ok(picture, 'the opened frame is a picture');
    const apart = noise && difference(picture, noise);
    t.diagnostic(noise ? `the decoder makes something of the forwarded frame, ${apart.toFixed(0)} of 255 away from the picture` : 'the decoder refuses the forwarded frame');
    assert.ok(noise === null || apart > 20);

    // Rotation: all friends have the new key before the first sends with it; nothing is lost to those who have it.
    const next = bytes(16);
    const give = (send) => (person) =>
        person.page.evaluate(([key, s]) => window.sotto.call.setMediaKey(6, Uint8Array.from(key), { send: s }), [next, send]);
    await Promise.all(friends.map(give(false)));
    const before = await ann.page.evaluate(() => window.sotto.call.encryption);
    await Promise.all(friends.map(give(true)));
    await Promise.all(friends.map((me) => me.draws(friends.filter((p) => p !== me), 12)));
    const afterwards = await ann.page.evaluate(() => window.sotto.call.encryption);
    assert.equal(afterwards.dropped.no_key, before.dropped.no_key);
    assert.deepEqual(people.flatMap((p) => p.console.filter((line) => line.startsWith('pageerror'))), []);
    await Promise.all(people.map((p) => p.hangUp().catch(() => {})));
});

test('Firefox publishes to and watches a group call with Chromium: both decode, pictures and sound, then encrypted too', async (t) => {
    const [ann, fox] = await Promise.all([arrive(0, 'ann'), FirefoxPerson.arrive(stack)]);
    await ann.groupCall([fox]);
    await fox.accept();
    const t0 = Date.now();
    await Promise.all([ann.firstMedia([fox], 30_000), fox.firstMedia([ann], 30_000)]);
    t.diagnostic(`first frame and sound on both sides ${Date.now() - t0} ms after the accept`);
    await Promise.all([ann.hearsAndSees([fox]), fox.hearsAndSees([ann])]);
    await Promise.all([ann.draws([fox]), fox.draws([ann])]);
    for (const person of [ann, fox]) assert.equal((await person.stats()).path, 'sfu');

    // The same call, encrypted from here on: connections are made anew, and each browser opens what the other has sealed.
    const key = bytes(16);
    const encrypt = (person) => person.page.evaluate((k) => window.sotto.call.setMediaKey(1, Uint8Array.from(k)), key);
    const opened = (person) => person.page.evaluate(() => window.sotto.call.encryption.opened);
    await Promise.all([ann, fox].map(encrypt));
    for (const person of [ann, fox]) await until('frames are opened', async () => (await opened(person)) > 50);
    await Promise.all([ann.draws([fox]), fox.draws([ann])]);
    assert.deepEqual([...ann.console, ...fox.console].filter((line) => line.startsWith('pageerror')), []);
    await fox.hangUp();
    await until('ann is alone', async () => !(fox.username in ((await ann.stats())?.remotes ?? {})));
    await ann.hangUp().catch(() => {});
});
