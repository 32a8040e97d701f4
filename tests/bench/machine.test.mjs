// What tests may ask of a machine that others use (tests/lib/machine.mjs).
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { test } from 'node:test';
import { watchMachine, whenCalm } from '../lib/machine.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

test('who is stopped, and a socket that is full, are seen', async () => {
    const stalled = watchMachine();
    for (const end = performance.now() + 300; performance.now() < end; );
    await sleep(20);
    assert.equal(stalled.end().calm, false);

    const [to, from] = [createSocket('udp4'), createSocket('udp4')];
    await new Promise((resolve) => to.bind(0, '127.0.0.1', resolve));
    to.setRecvBufferSize(4096);
    const full = watchMachine();
    await Promise.all(Array.from({ length: 500 }, () => new Promise((resolve) => from.send(Buffer.alloc(1000), to.address().port, '127.0.0.1', resolve))));
    const { calm, text } = full.end();
    assert.equal(calm, false);
    assert.match(text, /^[1-9]\d* datagrams found a socket full/);
    from.close();
    to.close();
});

test('what fails is tried again; it fails for good on a calm machine, and is told otherwise', async () => {
    const told = [];
    const t = { diagnostic: (text) => told.push(text) };
    let tries = 0;
    assert.equal(await whenCalm(t, async () => (assert.ok(++tries > 1), tries)), 2);
    const always = (calm) => whenCalm(t, () => Promise.reject(new Error('too slow')), { tries: 5, watch: () => ({ end: () => ({ calm: calm.shift(), text: 'busy' }) }) });
    await assert.rejects(always([false, true, false, true]), /too slow/);
    assert.deepEqual(told, []);
    assert.equal(await always([false, true, false, false, false]), undefined);
    assert.deepEqual(told, ['not judged: too slow; busy']);
});
