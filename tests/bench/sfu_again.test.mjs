// Endpoints of the load client that change their address, or restart ICE, at a real sfud: their media goes on, and nobody else
// notices.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Scene } from '../../bench/lib/sfu_load.mjs';
import { until, useLogDir } from '../../bench/lib/proc.mjs';

const build = process.env.SOTTO_TEST_BUILD || new URL('../../build', import.meta.url).pathname;
const undo = [];
let scene, publisher, watchers;

before(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-again-'));
    useLogDir(dir);
    undo.push(() => rmSync(dir, { recursive: true, force: true }));
    const ctx = { build, dir, cpus: { server: '0', generator: '0' }, params: {}, defer: (fn) => undo.push(fn), signal: new AbortController().signal };
    scene = await Scene.open('ours', ctx);
    await scene.publish('room', 1);
    await scene.subscribe('room', 2);
    await scene.send();
    await scene.flowing();
    [publisher] = scene.publishers.get('room');
    watchers = scene.subscribers.map((s) => s.ep);
});
after(async () => {
    for (const fn of undo.reverse()) await fn();
});

const told = async () => new Map((await scene.load.stats({ eps: true })).endpoints.map((e) => [e.ep, e]));

/** Until both watchers have had so many more packets, and a second more, when what was missing is known to be. */
async function goesOn() {
    const from = await told();
    return until('media goes on', async () => {
        const now = await told();
        return watchers.every((ep) => now.get(ep).received.media - from.get(ep).received.media > 300) && now;
    }, 15_000, 50);
}

test('an endpoint that moves is heard at once from its new port; only it may lose a packet', async () => {
    await scene.load.mark();
    await scene.load.move(publisher);
    const sent = await goesOn();
    for (const ep of watchers) assert.deepEqual([sent.get(ep).received.lost, sent.get(ep).received.repaired], [0, 0], 'the publisher moved without a gap');

    await scene.load.mark();
    const port = await scene.load.move(watchers[0]);
    assert.notEqual(await scene.load.move(watchers[0]), port, 'another port each time');
    const seen = await goesOn();
    assert.deepEqual([seen.get(watchers[1]).received.lost, seen.get(watchers[1]).received.repaired], [0, 0]);
    assert.ok(seen.get(watchers[0]).received.lost < 10, 'a moment at most');
    for (const e of seen.values()) assert.equal(e.state, 'connected');
});

test('an ICE restart of either kind goes through, and nothing is lost by it', async () => {
    await scene.load.mark();
    await scene.driver.restart(scene.load, publisher, 'room', { which: 'publish' });
    await scene.driver.restart(scene.load, watchers[0], 'room', { which: 'subscribe' });
    await scene.driver.restart(scene.load, watchers[0], 'room', { which: 'subscribe' });
    const seen = await goesOn();
    for (const ep of watchers) assert.deepEqual([seen.get(ep).received.lost, seen.get(ep).received.repaired], [0, 0]);
    // The new credentials are those in force: a move is checked with them.
    await scene.load.move(watchers[0]);
    await goesOn();
});

test('who is not there, or not connected, can do neither', async () => {
    await assert.rejects(scene.load.move(999), /not_found/);
    await assert.rejects(scene.load.restart(999), /not_found/);
    const ep = scene.number();
    await scene.load.offer(ep, {});
    await assert.rejects(scene.load.move(ep), /state/);
    await assert.rejects(scene.load.restart(ep), /state/);
    await assert.rejects(scene.load.restart(publisher, 'v=0'), /state/, 'who offered once offers again');
    await scene.load.close([ep]);
});
