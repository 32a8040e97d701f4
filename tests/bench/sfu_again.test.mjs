// Endpoints of the load client that change their address, or restart ICE, at a real sfud: their media goes on, and nobody else
// notices.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Scene, lossesSince } from '../../bench/lib/sfu_load.mjs';
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

/** Until both watchers have had so many more packets, and a second more (SETTLE_US), when what was missing is known to be. */
async function goesOn() {
    const from = await told();
    const begun = performance.now();
    return until('media goes on', async () => {
        const now = await told();
        return watchers.every((ep) => now.get(ep).received.media - from.get(ep).received.media > 300) && performance.now() - begun > 2000 && now;
    }, 15_000, 50);
}

/** What these miss, [lost, repaired] each; a machine that had no time for its sockets is no loss of the server's, and told. */
async function missing(t, seen, eps, before) {
    const full = Object.entries(lossesSince(before, await scene.driver.losses())).filter(([where]) => !/unknown_address/.test(where));
    const dropped = eps.reduce((sum, ep) => sum + seen.get(ep).dropped, 0);
    if (dropped === 0 && !full.some(([where]) => FULL.test(where))) return eps.flatMap((ep) => [seen.get(ep).received.lost, seen.get(ep).received.repaired]);
    t.diagnostic(`not looked at: sockets were full (${dropped} at the load client; ${JSON.stringify(Object.fromEntries(full))})`);
    return eps.flatMap(() => [0, 0]);
}
const FULL = /receive buffer|udp_refused|send_refused|publisher_rate/;

test('an endpoint that moves is heard at once from its new port; only it may lose a packet', async (t) => {
    const before = await scene.driver.losses();
    await scene.load.mark();
    await scene.load.move(publisher);
    const sent = await goesOn();
    assert.deepEqual(await missing(t, sent, watchers, before), [0, 0, 0, 0], 'the publisher moved without a gap');

    await scene.load.mark();
    const port = await scene.load.move(watchers[0]);
    assert.notEqual(await scene.load.move(watchers[0]), port, 'another port each time');
    const seen = await goesOn();
    assert.deepEqual(await missing(t, seen, [watchers[1]], before), [0, 0]);
    // What was under way to its former port is lost, and then nothing more.
    await scene.load.mark();
    assert.deepEqual(await missing(t, await goesOn(), watchers, before), [0, 0, 0, 0], 'for a moment only');
    for (const e of seen.values()) assert.equal(e.state, 'connected');
});

test('an ICE restart of either kind goes through, and nothing is lost by it', async (t) => {
    const before = await scene.driver.losses();
    await scene.load.mark();
    await scene.driver.restart(scene.load, publisher, 'room', { which: 'publish' });
    await scene.driver.restart(scene.load, watchers[0], 'room', { which: 'subscribe' });
    await scene.driver.restart(scene.load, watchers[0], 'room', { which: 'subscribe' });
    const seen = await goesOn();
    assert.deepEqual(await missing(t, seen, watchers, before), [0, 0, 0, 0]);
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
