import assert from 'node:assert/strict';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { start, until } from '../../bench/lib/proc.mjs';
import { schemaFaults } from '../../bench/lib/results.mjs';
import { Interrupted, jobsOf, rotate } from '../../bench/lib/runner.mjs';
import { MEANS, run, sample, scenario } from './made.mjs';

const gone = (pid) => !existsSync(`/proc/${pid}`);
const sleeper = () => start({ name: 'sleeper', cmd: 'sleep', args: ['600'] });

test('medians, ratios of the same repeat, and the shape of the result', async () => {
    const result = await run(scenario({ ours: [100, 400, 110], floor: [50, 200, 50], 'janus-installed': [200, 800, 220] }));
    assert.deepEqual(schemaFaults(result), []);
    assert.equal(result.valid, true);
    assert.equal(result.figures.ns, 110);
    assert.equal(result.ratios.vs_floor, 2);
    assert.equal(result.ratios.vs_janus_installed, 0.5);
    assert.equal(result.contenders.ours.samples.length, 3);
    assert.equal(result.latency_us.forward.p50, 22); // of the middle repeat
    assert.ok(result.latency_us.forward.cdf.length > 0);
    assert.equal(result.contenders.ours.samples[0].latency_us.forward.cdf, undefined);
    assert.equal(Math.round(result.server_cpu_per_unit.value), 110);
    assert.equal(JSON.parse(JSON.stringify(result)).server_cpu_per_unit.unit, 'ns a packet');
});

test('contenders take turns in rotated order', async () => {
    assert.deepEqual(rotate(['a', 'b', 'c'], 1), ['b', 'c', 'a']);
    const { jobs } = jobsOf(scenario({ ours: 1, floor: 1, janus: 1 }), MEANS);
    assert.deepEqual(jobs.map((j) => j.contender), ['ours', 'floor', 'janus', 'floor', 'janus', 'ours', 'janus', 'ours', 'floor']);
});

test('a generator that was the bottleneck makes the run invalid and leaves no ratio', async () => {
    const busy = () => sample(100, { generator: { busy: 0.93, cpu_s: 1 } });
    const result = await run(scenario({ ours: busy, floor: 50 }));
    assert.equal(result.valid, false);
    assert.match(result.why, /ours: the generator was the bottleneck: busy 93 %/);
    assert.deepEqual(result.ratios, {});
    assert.deepEqual(schemaFaults(result), []);
    assert.equal((await run(scenario({ ours: busy }), { smoke: true })).valid, true); // --smoke asks for no speed
});

test('one bad repeat of three is left out and told; two are too many', async () => {
    const bad = (...repeats) => (ctx) => sample(100 + ctx.repeat, repeats.includes(ctx.repeat) ? { valid: false, why: 'lost packets' } : {});
    const one = await run(scenario({ ours: bad(1), floor: 50 }));
    assert.equal(one.valid, true);
    assert.equal(one.figures.ns, 101);
    assert.equal(one.ratios.vs_floor, 2.02);
    assert.match(one.why, /ours: lost packets \(2 of 3 repeats count\)/);
    assert.equal((await run(scenario({ ours: bad(0, 2), floor: 50 }))).valid, false);
});

test('a peer that may fail does not take the scenario with it, another does', async () => {
    const cost = { ours: 100, 'janus-installed': () => sample(1, { valid: false, why: 'could not keep up' }) };
    assert.equal((await run(scenario(cost))).valid, false);
    const allowed = await run(scenario(cost, { mayFail: ['janus-installed'] }));
    assert.equal(allowed.valid, true);
    assert.match(allowed.why, /could not keep up/);
    assert.deepEqual(allowed.ratios, {});
});

test('a sample without its main figure, or with one that nobody described, does not count', async () => {
    assert.match((await run(scenario({ ours: () => sample(NaN) }))).why, /main figure ns is missing/);
    assert.match((await run(scenario({ ours: () => sample(1, { figures: { ns: 1, more: 2 } }) }))).why, /figure more is not described/);
    assert.match((await run(scenario({ ours: () => undefined }))).why, /gave no sample/);
});

test('who waits runs its peers only', async () => {
    const result = await run(scenario({ ours: 1, floor: 50, nginx: 70 }, { waitsFor: 'media (issue 7)' }));
    assert.equal(result.valid, true);
    assert.deepEqual(Object.keys(result.contenders), ['floor', 'nginx']);
    assert.deepEqual(result.figures, {});
    assert.deepEqual(schemaFaults(result), []);
});

test('variants are measured each, the headline gives the main figure; --smoke and --set take it alone', async () => {
    const made = scenario({ ours: (ctx) => sample(ctx.params.n * 10), floor: 50 }, {
        variants: [{ key: 'n1', params: { n: 1 } }, { key: 'n20', params: { n: 20 } }], headline: 'n20',
    });
    const result = await run(made, { repeats: 1 });
    assert.equal(result.figures.ns, 200);
    assert.equal(result.ratios.vs_floor, 4);
    assert.deepEqual(result.variants.map((v) => v.contenders.ours.figures.ns), [10, 200]);
    const smoke = await run(made, { smoke: true });
    assert.deepEqual(smoke.variants.map((v) => v.contenders.ours.figures.ns), [10]); // n: 1 of smoke, of the headline
    assert.equal((await run(made, { set: { n: '7' } })).figures.ns, 70);
});

test('the headline may be repeated more often than the other variants', async () => {
    const seen = [];
    const made = scenario({ ours: (ctx) => seen.push(ctx.variant) && sample(ctx.params.n * 10 + ctx.repeat), floor: 50 }, {
        variants: [{ key: 'n1', params: { n: 1 } }, { key: 'n20', params: { n: 20 } }], headline: 'n20', repeats: 1, headlineRepeats: 3,
    });
    const result = await run(made);
    assert.deepEqual(seen, ['n1', 'n20', 'n20', 'n20']);
    assert.equal(result.figures.ns, 201);
    assert.deepEqual([result.variants[0].contenders.ours.of, result.variants[1].contenders.ours.of], [1, 3]);
});

test('after a crash nothing is left: no process, no folder, no deferred work undone', async () => {
    const seen = {};
    const crash = (ctx) => {
        seen.dir = ctx.dir;
        seen.mode = statSync(ctx.dir).mode & 0o777;
        seen.child = sleeper();
        seen.order = [];
        ctx.defer(() => seen.order.push('first'));
        ctx.defer(() => seen.order.push('second'));
        writeFileSync(join(ctx.dir, 'file'), 'x');
        throw new Error('it went wrong');
    };
    const result = await run(scenario({ ours: crash, floor: 50 }), { repeats: 1 });
    assert.equal(result.valid, false);
    assert.match(result.why, /ours: Error: it went wrong/);
    assert.equal(result.contenders.floor.valid, true); // the others still run
    assert.equal(seen.mode, 0o755);
    assert.equal(existsSync(seen.dir), false);
    assert.deepEqual(seen.order, ['second', 'first']);
    await until('the child is gone', () => gone(seen.child.pid));
});

test('cleaning up goes on after a fault in it, and the fault is told', async () => {
    const steps = [];
    let undone = false;
    const made = scenario({ ours: (ctx) => (ctx.defer(() => (undone = true)), ctx.defer(() => { throw new Error('stuck'); }), sample(1)) });
    assert.equal((await run(made, { repeats: 1 }, { steps })).valid, true);
    assert.equal(undone, true);
    assert.ok(steps.some(({ text }) => text.includes('stuck')));
});

test('a measurement that does not end is ended', async () => {
    let child;
    const forever = () => ((child = sleeper()), new Promise(() => {}));
    const result = await run(scenario({ ours: forever }), { repeats: 1, limit_s: 0.2 });
    assert.match(result.why, /did not end within 0.2 s/);
    await until('the child is gone', () => gone(child.pid));
});

test('an interruption ends the run, and what it started', async () => {
    const abort = new AbortController();
    let child;
    let told = false;
    const forever = (ctx) => {
        child = sleeper();
        ctx.signal.addEventListener('abort', () => (told = true));
        setImmediate(() => abort.abort());
        return new Promise(() => {});
    };
    await assert.rejects(run(scenario({ ours: forever }), {}, { signal: abort.signal }), Interrupted);
    assert.equal(told, true);
    await until('the child is gone', () => gone(child.pid));
});
