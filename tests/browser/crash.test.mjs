// Servers killed in the middle of a call: media goes on, clients come back by themselves, the record ends right.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { startStack, until } from '../lib/stack.mjs';
import { Person, closeBrowsers } from './lib/people.mjs';

let stack;
before(async () => {
    stack = await startStack();
});
afterEach(closeBrowsers);
after(() => stack.down());

test('kill -9 of signald in a peer-to-peer call: media goes on, both resume, the record ends right', async () => {
    const [alice, bob] = await Promise.all(['alice', 'bob'].map((name) => Person.arrive(stack, { name })));
    await alice.videoCall(bob);
    await bob.accept();
    await Promise.all([alice.hearsAndSees([bob]), bob.hearsAndSees([alice])]);
    await stack.kill('signald');
    await until('alice notices', () => alice.page.evaluate(() => window.sotto.online === false));
    await Promise.all([alice.hearsAndSees([bob]), bob.hearsAndSees([alice])]); // with no server at all
    await stack.start('signald');
    for (const person of [alice, bob]) {
        await until('the socket is back', () => person.page.evaluate(() => window.sotto.online === true), 20_000);
    }
    await Promise.all([alice.hearsAndSees([bob]), bob.hearsAndSees([alice])]);
    assert.equal(await alice.callState(), 'active');
    await bob.hangUp();
    await until('alice sees the end', async () => ['ended', 'none'].includes(await alice.callState()));
    const record = await until('the record', async () => {
        const last = await alice.lastRecord();
        return last?.status === 'ended' && last;
    });
    assert.equal(record.reason, 'completed');
    assert.equal(record.path, 'p2p');
});

test('kill -9 of sfud in a group call: everyone rejoins within ten seconds of its return', async (t) => {
    const people = await Promise.all(['ann', 'ben', 'cleo'].map((name) => Person.arrive(stack, { name })));
    const [ann, ben, cleo] = people;
    await ann.groupCall([ben, cleo]);
    await Promise.all([ben.accept(), cleo.accept()]);
    const everyoneFlows = (ms) => Promise.all(people.map((me) => me.hearsAndSees(people.filter((p) => p !== me), ms)));
    await everyoneFlows(40_000);
    const before = (await ann.stats()).callId;
    await stack.kill('sfud');
    // Frames stop: the figures of the old connections no longer grow.
    await stack.start('sfud');
    const t0 = Date.now();
    await until(
        'new connections to the new SFU',
        async () => (await Promise.all(people.map((p) => p.stats()))).every((s) => s?.sfuGeneration > 1),
        10_000,
    );
    await everyoneFlows(20_000);
    t.diagnostic(`media of everyone to everyone ${Date.now() - t0} ms after sfud's return, the proof that it goes on included`);
    assert.equal((await ann.stats()).callId, before);
    await Promise.all(people.map((p) => p.hangUp().catch(() => {})));
});
