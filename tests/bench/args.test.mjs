import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError, nearest, parse, usage } from '../../bench/lib/args.mjs';
import { contendersOf, paramsOf } from '../../bench/lib/params.mjs';
import { faultsOf } from '../../bench/lib/scenarios.mjs';
import { scenario } from './made.mjs';

const fails = (argv, pattern) => assert.throws(() => parse(argv), (error) => error instanceof UsageError && pattern.test(error.message));

test('a whole command line', () => {
    const o = parse(['sfu-broadcast', 'login', '--peer', 'janus', '--duration', '2.5', '--repeats', '2', '--set', 'a=1', '--set', 'b=x=y', '--json', '--compare']);
    assert.deepEqual(o.scenarios, ['sfu-broadcast', 'login']);
    assert.deepEqual(o.peers, ['janus']);
    assert.equal(o.duration, 2.5);
    assert.equal(o.repeats, 2);
    assert.deepEqual(o.set, { a: '1', b: 'x=y' });
    assert.equal(o.json && o.compare, true);
    assert.equal(o.compareFile, null);
});

test('--compare takes a file only when one follows', () => {
    assert.equal(parse(['--compare', 'package.json', 'x'].map((a) => (a === 'package.json' ? new URL('../package.json', import.meta.url).pathname : a))).scenarios[0], 'x');
    assert.deepEqual(parse(['--compare', 'login']).scenarios, ['login']);
    fails(['--compare', 'nowhere.json'], /no such file/);
    fails(['--compare=nowhere'], /no such file/);
});

test('--report keeps the run as well', () => assert.equal(parse(['--all', '--report']).save, true));

test('mistakes are named with what was probably meant', () => {
    fails(['--repeat', '3'], /unknown option '--repeat': did you mean --repeats\?/);
    fails(['--duration', 'long'], /needs a number above 0/);
    fails(['--duration', '0'], /above 0/);
    fails(['--repeats', '1.5'], /whole number/);
    fails(['--set', 'x'], /name=value/);
    fails(['--set', '=1'], /name=value/);
    fails(['--peer'], /--peer/);
    assert.equal(nearest('sfu-brodcast', ['login', 'sfu-broadcast']), 'sfu-broadcast');
    assert.equal(nearest('broadcast', ['login', 'sfu-broadcast']), 'sfu-broadcast');
    assert.equal(nearest('zzzzz', ['login']), null);
});

test('help names every option and the exit codes', () => {
    for (const word of ['--peer', '--duration', '--json', '--plot', '--count-check', '3 a regression']) assert.match(usage(), new RegExp(word));
});

test('parameters: defaults, --smoke, --duration and --set, each over the last', () => {
    const made = scenario({ ours: 1 });
    assert.deepEqual(paramsOf(made, {}).params, { seconds: 1, n: 10 });
    assert.deepEqual(paramsOf(made, { smoke: true }).params, { seconds: 1, n: 1 });
    assert.deepEqual(paramsOf(made, { smoke: true, duration: 9, set: { n: '4' } }).params, { seconds: 9, n: 4 });
    assert.throws(() => paramsOf(made, { set: { m: '4' } }), /unknown parameter of made 'm': did you mean n\?/);
    assert.throws(() => paramsOf(made, { set: { n: 'four' } }), /needs a number/);
    assert.throws(() => paramsOf(made, { set: { n: '-1' } }), /needs a number/);
});

test('--peer leaves ours and the floor; who waits has no ours', () => {
    const made = scenario({ ours: 1, floor: 1, janus: 1, 'janus-installed': 1 });
    assert.deepEqual(contendersOf(made, ['janus']), ['ours', 'floor', 'janus']);
    assert.deepEqual(contendersOf({ ...made, waitsFor: 'issue 6' }), ['floor', 'janus', 'janus-installed']);
    assert.throws(() => contendersOf(made, ['jannus']), /did you mean janus\?/);
});

test('a scenario of the wrong shape is told what is wrong', () => {
    assert.deepEqual(faultsOf(scenario({ ours: 1 }), 'made'), []);
    const faults = (more, file = 'made') => faultsOf(scenario({ ours: 1 }, more), file).join('\n');
    assert.match(faults({}, 'other'), /its name is 'made'/);
    assert.match(faults({ better: 'fewer' }), /'less' or 'more'/);
    assert.match(faults({ main: 'ms' }), /main figure 'ms'/);
    assert.match(faults({ smoke: { m: 1 } }), /smoke names m/);
    assert.match(faults({ measure: null }), /measure/);
    assert.match(faults({ variants: [{ key: 'a', params: {} }], headline: 'b' }), /headline 'b'/);
    assert.match(faults({ contenders: [] }), /contenders/);
    assert.match(faultsOf(undefined, 'made')[0], /default export/);
});
