// What is told where nobody watches: every step, but counting on only now and then.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeProgress } from '../../bench/lib/progress.mjs';

const where = (more = {}) => ({ scenario: 's', contender: 'ours', repeat: 1, repeats: 1, k: 1, n: 2, ...more });

test('on a file, lines that only count on are few; every other step is told', (t) => {
    let clock = 1_000_000;
    t.mock.method(Date, 'now', () => clock);
    const lines = [];
    const progress = makeProgress({ stream: { isTTY: false, write: (text) => lines.push(text.trim()) } });
    for (let i = 1; i <= 100; i++) progress.step(where(), `call ${i} of 100`);
    assert.equal(lines.length, 1);
    progress.step(where(), 'measuring');
    progress.step(where(), 'does not count: 3 of 4 came');
    assert.equal(lines.length, 3);
    progress.step(where({ k: 2 }), 'call 1 of 100');
    clock += 6000;
    progress.step(where({ k: 2 }), 'call 50 of 100');
    progress.step(where({ k: 2 }), 'call 51 of 100');
    assert.deepEqual(lines.slice(3).map((line) => /call .*/.exec(line)[0]), ['call 1 of 100', 'call 50 of 100']);
    progress.stop();
});
