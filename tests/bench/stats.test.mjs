import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareAll, compareOne, counterpart, regressions } from '../../bench/lib/compare.mjs';
import { MIN_NOISE, NOISE_ONCE, median, noiseOf, pairedRatios, spread } from '../../bench/lib/stats.mjs';
import { number, quantity } from '../../bench/lib/table.mjs';
import { HOST, history, run, sample, scenario } from './made.mjs';

test('median and spread', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.equal(median([NaN, 7, undefined]), 7);
    assert.equal(median([]), null);
    assert.equal(spread([90, 100, 110]), 0.1);
    assert.equal(spread([100]), null);
    assert.equal(spread([]), null);
});

test('ratios pair what was measured in the same repeat', () => {
    assert.deepEqual(pairedRatios([10, 20, NaN], [20, 40, 5]), [0.5, 0.5]);
    assert.deepEqual(pairedRatios([10], [0]), []);
});

test('noise is that of the figure over the floor, and never below its minimum', () => {
    // The machine was twice as slow in the second repeat, for both alike: that is no noise.
    assert.equal(noiseOf([100, 200, 100], [50, 100, 50]), MIN_NOISE);
    assert.ok(Math.abs(noiseOf([100, 180, 100], [50, 50, 50]) - 0.4) < 1e-9);
    assert.ok(Math.abs(noiseOf([100, 180, 110], null) - 40 / 110) < 1e-9);
    assert.equal(noiseOf([100], null), NOISE_ONCE, 'measured once: who knows?');
});

test('numbers for people', () => {
    assert.equal(number(12345), '12,300');
    assert.equal(number(0), '0');
    assert.equal(number(0.012345), '0.0123');
    assert.equal(number(NaN), '–');
    assert.equal(quantity(4950, 'ns'), '4,950 ns');
    assert.equal(quantity(40e6, 'ns'), '40 ms');
    assert.equal(quantity(1500, 'us'), '1.5 ms');
    assert.equal(quantity(52000, 'bytes'), '50.8 kiB');
    assert.equal(quantity(0.02, 'share'), '2 %');
    assert.equal(quantity(null, 'ns'), '–');
});

const pair = async (before, after, more) => {
    const [a, b] = [await run(scenario(before, more)), await run(scenario(after, more))];
    return compareOne(b, counterpart(b, [history([a])]));
};

test('two microseconds more on five are a regression', async () => {
    const verdict = await pair({ ours: [5000, 5100, 4950], floor: [2700, 2750, 2690] }, { ours: [7000, 7100, 6950], floor: [2700, 2750, 2690] });
    assert.equal(verdict.verdict, 'regression');
    assert.ok(verdict.change > 0.35 && verdict.change < 0.45);
    assert.match(verdict.text, /made: REGRESSION, ours over the floor \+\d\d\.\d % against abcdef123456/);
});

test('a slower machine is none: the floor is slower, too', async () => {
    const verdict = await pair({ ours: 5000, floor: 2700 }, { ours: 6500, floor: 3510 });
    assert.equal(verdict.verdict, 'same');
});

test('noise is none, whichever run had it', async () => {
    assert.equal((await pair({ ours: [5000, 5000, 5000] }, { ours: [5800, 5800, 5800] })).verdict, 'same');
    assert.equal((await pair({ ours: [3500, 5000, 6500] }, { ours: [6400, 6400, 6400] })).verdict, 'same');
    assert.equal((await pair({ ours: [5000, 5000, 5000] }, { ours: [5000, 6200, 8600] })).verdict, 'same');
    assert.equal((await pair({ ours: [5000, 5010, 5000] }, { ours: [6600, 6600, 6600] })).verdict, 'regression');
});

test('less is an improvement, unless more is better', async () => {
    assert.equal((await pair({ ours: 5000 }, { ours: 3400 })).verdict, 'improvement');
    assert.equal((await pair({ ours: 5000 }, { ours: 3400 }, { better: 'more' })).verdict, 'regression');
    assert.equal((await pair({ ours: 4000 }, { ours: 5400 }, { better: 'more' })).verdict, 'improvement');
});

test('compared is only what can be: same parameters, same host, valid, measured then', async () => {
    const before = await run(scenario({ ours: 5000 }));
    const now = await run(scenario({ ours: 9000 }));
    assert.equal(regressions(compareAll([now], [history([before])])).length, 1);
    const none = async (change, changed = now) => assert.equal(compareAll([changed], [history([{ ...before, ...change }])])[0].verdict, 'none');
    await none({ params: { seconds: 1, n: 11 } });
    await none({ host: { ...HOST, cpu: 'Another CPU' } });
    await none({ valid: false, why: 'no' });
    await none({ carried: true });
    await none({}, await run(scenario({ ours: () => sample(1, { valid: false, why: 'lost' }) })));
    await none({}, { ...now, waits_for: 'issue 6' });
    // Parameters in another order are the same ones; and the newest comparable run counts, not the newest.
    const older = history([{ ...before, params: { n: 10, seconds: 1 }, commit: '000000000001' }]);
    assert.equal(compareAll([now], [history([{ ...before, valid: false, why: 'no' }]), older])[0].before, '000000000001');
});
