// Ringing: on every device at once, gone at once when another answered, missed when nobody does.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { login } from '../lib/client.mjs';
import { stopwatch } from '../lib/machine.mjs';
import { startStack, until } from '../lib/stack.mjs';
import { Person, closeBrowsers } from './lib/people.mjs';

let stack;
before(async () => {
    stack = await startStack({ 'calls.ring_timeout': '4s' });
});
afterEach(closeBrowsers);
after(() => stack.down());

test('two devices ring, one accepts, the other shows it within a second', async (t) => {
    const [caller, laptop] = await Promise.all(['ann', 'ben'].map((name) => Person.arrive(stack, { name })));
    await login(stack, laptop.username, laptop.account.password); // a third device that is offline
    const phone = await Person.arrive(stack, { account: laptop.account, viewport: { width: 390, height: 780 } });
    await caller.videoCall(laptop);
    await Promise.all([laptop.see('incoming-card').waitFor(), phone.see('incoming-card').waitFor()]);
    await phone.see('accept-video').click();
    const clock = stopwatch();
    await laptop.see('notice').filter({ hasText: /another device/i }).waitFor();
    t.diagnostic(`answered elsewhere shown after ${clock.ms().toFixed(0)} ms`);
    clock.within(1000, 'shown');
    await laptop.see('incoming-card').waitFor({ state: 'detached' });
    await Promise.all([caller.hearsAndSees([phone]), phone.hearsAndSees([caller])]);
    await phone.hangUp();
    await until('the caller sees the end', async () => ['ended', 'none'].includes(await caller.callState()));
});

test('nobody answers: missed on both sides after the timeout, and the card is gone', async () => {
    const [caller, callee] = await Promise.all(['ann', 'ben'].map((name) => Person.arrive(stack, { name })));
    await caller.videoCall(callee);
    await callee.see('incoming-card').waitFor();
    await callee.see('incoming-card').waitFor({ state: 'detached' });
    const record = await until('the record', async () => {
        const last = await callee.lastRecord();
        return last?.status === 'ended' && last;
    });
    assert.equal(record.reason, 'missed');
    assert.equal(record.durationSeconds, 0);
    assert.ok(['ended', 'none'].includes(await caller.callState()));
});

test('declined on one device: the caller is told, the record says so', async () => {
    const [caller, callee] = await Promise.all(['ann', 'ben'].map((name) => Person.arrive(stack, { name })));
    await caller.videoCall(callee);
    await callee.see('decline').click();
    const record = await until('the record', async () => {
        const last = await caller.lastRecord();
        return last?.status === 'ended' && last;
    });
    assert.equal(record.reason, 'declined');
});
