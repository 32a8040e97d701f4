// What makes a run of sfu-bad-link count: as many frames as were sent, where the machine kept up.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stalled, verdict } from '../../bench/scenarios/sfu-bad-link.mjs';

const sample = (late_ms, p90) => ({ why: '', generator: { late_ms }, latency_us: { video: { p90 } } });
const way = { delay_ms: 30, jitter_ms: 40 };
const received = { frames: 170, nacks: 5 };

test('a window without its edges sees what was sent, within a tenth', () => {
    assert.equal(verdict(sample(0, 0), received, { frames: 190, due: 180 }).valid, true);
    assert.match(verdict(sample(0, 0), received, { frames: 199, due: 180 }).why, /199 frames were judged where 180/);
    assert.match(verdict(sample(0, 0), received, { frames: 161, due: 180 }).why, /161 frames/);
});

test('what the window before or after judged is no fault of a short one; half of the frames are', () => {
    assert.equal(verdict(sample(0, 0), received, { frames: 210, due: 180, edge: 36 }).valid, true);
    assert.equal(verdict(sample(0, 0), received, { frames: 90, due: 180, edge: 36 }).valid, false);
});

test('a machine that stalls says nothing of how many, but of whether', () => {
    assert.equal(stalled(sample(4, 72_000), way), false);
    assert.equal(stalled(sample(90, 72_000), way), true);
    assert.equal(stalled(sample(4, 180_000), way), true);
    assert.equal(verdict(sample(90, 0), received, { frames: 90, due: 180, stalled: true }).valid, true);
    assert.match(verdict(sample(90, 0), { ...received, frames: 0 }, { frames: 90, due: 180, stalled: true }).why, /no frame/);
    assert.match(verdict(sample(90, 0), { ...received, nacks: 0 }, { frames: 90, due: 180, stalled: true }).why, /nobody asked/);
});
