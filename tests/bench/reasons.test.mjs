// What the last lines of a run of tests tell of what failed (tests/lib/reasons.mjs), on TAP as node writes it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reasonsOf } from '../lib/reasons.mjs';

const tap = (...lines) => ['TAP version 13', ...lines, '1..1', '# fail 1', ''].join('\n');

test('a part that failed is told with its place and error, and what holds it is not', () => {
    const text = tap(
        '# Subtest: a group',
        '    not ok 1 - one \\# of two',
        '      ---',
        "      location: '/r/tests/x.test.mjs:5:3'",
        "      failureType: 'testCodeFailure'",
        '      error: |-',
        '        Expected values to be strictly deep-equal:',
        '        + actual - expected',
        '        ',
        '          [',
        '        +   3',
        '        -   4',
        '          ]',
        "      code: 'ERR_ASSERTION'",
        '      stack: |-',
        '        helper (file:///r/tests/lib/y.mjs:7:1)',
        '        TestContext.<anonymous> (file:///r/tests/x.test.mjs:6:34)',
        '      ...',
        'not ok 1 - a group',
        '  ---',
        "  failureType: 'subtestsFailed'",
        "  error: '1 subtest failed'",
        '  ...',
    );
    assert.deepEqual(reasonsOf(text, '/r/'), [['one # of two (tests/x.test.mjs:6)', 'Expected values to be strictly deep-equal:', '+   3', '-   4']]);
});

test('without a place in the stack it is the one of the test, if there is one (node 18 has none)', () => {
    const failed = (...more) => tap('not ok 2 - slow', '  ---', "  failureType: 'testTimeoutFailure'", ...more, "  error: 'test timed out after 50ms'", '  ...');
    assert.deepEqual(reasonsOf(failed("  location: '/r/x.test.mjs:7:3'"), '/r/'), [['slow (x.test.mjs:7:3)', 'test timed out after 50ms']]);
    assert.deepEqual(reasonsOf(failed()), [['slow', 'test timed out after 50ms']]);
});

test('a file that died or hung is told with how it ended and in which test', () => {
    const died = tap('# Subtest: the second', '# Error: no such thing', '# Subtest: /r/x.test.mjs', 'not ok 1 - /r/x.test.mjs', '  ---', '  exitCode: 1', '  signal: ~', "  error: 'test failed'", '  ...');
    assert.deepEqual(reasonsOf(died, '/r/'), [['x.test.mjs', 'it ended with code 1, signal ~', '# Error: no such thing', '# Subtest: the second']]);
    const [[title, , last]] = reasonsOf('# Subtest: one\nok 1 - one\nnot ok - x.test.mjs did not end within 400 s\n');
    assert.deepEqual([title, last], ['x.test.mjs did not end within 400 s', '# Subtest: one']);
});

test('no failure, no reason', () => assert.deepEqual(reasonsOf(tap('ok 1 - fine')), []));
