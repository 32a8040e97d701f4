// Two people, one call: peer to peer, through TURN, through the SFU when nothing else works.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { stopwatch } from '../lib/machine.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { Person, closeBrowsers } from './lib/people.mjs';

let stack;
before(async () => {
    stack = await startStack();
});
afterEach(closeBrowsers);
after(() => stack.down());

/** Alice calls Bob by video, both see and hear each other, `limitMs` after the accept at most; Alice hangs up; the record is returned. */
async function talk(query, limitMs) {
    const [alice, bob] = await Promise.all([
        Person.arrive(stack, { name: 'alice', query }),
        Person.arrive(stack, { name: 'bob', query }),
    ]);
    await alice.videoCall(bob);
    await bob.accept();
    const clock = stopwatch();
    await Promise.all([alice.firstMedia([bob]), bob.firstMedia([alice])]);
    clock.within(limitMs, 'first frame and sound');
    const firstMediaMs = Math.round(clock.ms());
    await Promise.all([alice.hearsAndSees([bob]), bob.hearsAndSees([alice])]);
    const path = await until('a path is shown', async () => (await alice.stats())?.path);
    await alice.hangUp();
    await until('bob sees the end', async () => ['ended', 'none'].includes(await bob.callState()));
    const record = await until('the record', async () => {
        const last = await bob.lastRecord();
        return last?.status === 'ended' && last;
    });
    return { alice, bob, path, record, firstMediaMs };
}

test('peer to peer: frames and sound grow on both sides, and the record says so', async (t) => {
    const { alice, bob, path, record, firstMediaMs } = await talk('', 5000);
    t.diagnostic(`first frame and sound on both sides ${firstMediaMs} ms after the accept`);
    assert.equal(path, 'p2p');
    assert.equal(record.path, 'p2p');
    assert.equal(record.reason, 'completed');
    assert.equal(record.media, 'video');
    assert.equal(record.initiatorId, alice.account.userId);
    assert.ok(record.durationSeconds >= 0 && record.durationSeconds < 600, `duration ${record.durationSeconds}`);
    assert.ok(record.answeredAt && record.endedAt);
    const users = record.participants.map((p) => p.userId).sort();
    assert.deepEqual(users, [alice.account.userId, bob.account.userId].sort());
    await bob.page.getByTestId('nav-history').click();
    const row = bob.see('history-row').first();
    assert.equal(await row.getAttribute('data-path'), 'p2p');
    assert.equal(await row.getAttribute('data-reason'), 'completed');
});

test('relay only: the call goes through coturn', async (t) => {
    const { path, record, firstMediaMs } = await talk('ice=relay', 5000);
    t.diagnostic(`first frame and sound on both sides ${firstMediaMs} ms after the accept`);
    assert.equal(path, 'turn');
    assert.equal(record.path, 'turn');
    assert.equal(record.reason, 'completed');
});

test('peer to peer impossible: both move to the SFU within the same call in under ten seconds', async (t) => {
    const { path, record, firstMediaMs } = await talk('p2p=off', 10_000);
    t.diagnostic(`first frame and sound on both sides ${firstMediaMs} ms after the accept, eight seconds of trying included`);
    assert.equal(path, 'sfu');
    assert.equal(record.path, 'sfu');
    assert.equal(record.reason, 'completed');
});
