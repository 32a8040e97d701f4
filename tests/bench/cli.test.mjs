// bench/run as a user starts it, with scenarios made for the purpose.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runs, until } from '../../bench/lib/proc.mjs';
import { schemaFaults } from '../../bench/lib/results.mjs';

const root = new URL('../../', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'sotto-test-'));
after(() => rmSync(dir, { recursive: true }));
const [scenarios, build, scratch] = ['scenarios', 'build', 'tmp'].map((name) => join(dir, name));
for (const each of [scenarios, join(build, 'bench'), scratch]) mkdirSync(each, { recursive: true });

/** A scenario file whose `measure` has that body. */
function put(name, body, more = '') {
    const text = `import { start } from ${JSON.stringify(join(root, 'bench/lib/proc.mjs'))};
        const sample = { figures: { ns: 5000 }, units: 10, window_s: 1, server: { cpu_s: 1 }, generator: { cpu_s: 0.1, busy: 0.1 }, valid: true };
        export default { name: '${name}', title: 'Made ${name}', about: 'x', unit: 'packet', main: 'ns', better: 'less', repeats: 1, params: { seconds: 1 }, smoke: {},
            figures: { ns: { title: 'CPU', unit: 'ns' } }, contenders: ['ours', 'floor'], async measure(contender, ctx) { ${body} }, ${more} };`;
    writeFileSync(join(scenarios, `${name}.mjs`), text);
}
put('plain', 'return sample;');
put('crashing', 'throw new Error("it broke");');
put('stray', 'if (contender === "floor") return sample; setTimeout(() => { throw new Error("from a timer"); }, 1); return new Promise(() => {});');
put('waiting', 'return sample;', "waitsFor: 'messages (issue 6)'");
put('endless', 'const p = start({ name: "p", cmd: "sleep", args: ["600"] }); ctx.step(`pid ${p.pid}`); await new Promise(() => {});');

/** Runs bench/run; resolves with what it wrote and its exit code. */
function bench(args, { onError } = {}) {
    const env = { ...process.env, SOTTO_BENCH_SCENARIOS: scenarios, TMPDIR: scratch };
    const child = spawn(join(root, 'bench/run'), ['--build', build, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    child.stdout.on('data', (d) => (said.out += d));
    child.stderr.on('data', (d) => ((said.err += d), onError?.(said.err, child)));
    return new Promise((resolve) => child.once('close', (code) => resolve({ ...said, code })));
}

test('--json prints one line a scenario and nothing else on stdout', async () => {
    const { out, code } = await bench(['plain', 'waiting', '--json']);
    assert.equal(code, 0);
    const results = out.trimEnd().split('\n').map(JSON.parse);
    assert.deepEqual(results.map((r) => r.scenario), ['plain', 'waiting']);
    for (const r of results) assert.deepEqual(schemaFaults(r), []);
    assert.ok(results[0].host.cores >= 1 && results[0].commit.length === 12);
});

test('without --json a table; progress is told beside it', async () => {
    const { out, err, code } = await bench(['plain']);
    assert.equal(code, 0);
    assert.match(out, /plain {2}Made plain {2}· {2}valid/);
    assert.match(out, /ours +5,000 ns/);
    assert.match(err, /plain {2}1\/2 {2}ours, repeat 1 of 1/);
    assert.doesNotMatch(out, /repeat 1 of 1/);
});

test('--list shows states, and a broken scenario with what is wrong', async () => {
    const before = await bench(['--list']);
    assert.equal(before.code, 0);
    assert.match(before.out, /plain +Made plain +ours floor +ready/);
    assert.match(before.out, /waiting +Made waiting +floor +waits for messages \(issue 6\): peers only/);
    writeFileSync(join(scenarios, 'bad.mjs'), 'export default { name: "bad" };');
    const { out, code } = await bench(['--list']);
    assert.match(out, /bad .*broken: needs the text 'title'/);
    assert.equal(code, 1);
    assert.match((await bench(['bad'])).err, /scenario bad is broken/);
    rmSync(join(scenarios, 'bad.mjs'));
});

test('a crash makes that scenario invalid; the others still run, and the exit code tells', async () => {
    for (const [name, why] of [['crashing', /it broke/], ['stray', /from a timer/]]) {
        const { out, code } = await bench([name, 'plain', '--json']);
        const [bad, good] = out.trimEnd().split('\n').map(JSON.parse);
        assert.equal(bad.valid, false);
        assert.match(bad.why, why);
        assert.equal(good.valid, true);
        assert.equal(code, 1);
    }
});

test('wrong command lines end with 2 and say what was meant', async () => {
    for (const [args, text] of [[['plian'], /did you mean plain\?/], [[], /bench\/run --list/], [['plain', '--peer', 'flor'], /did you mean floor\?/],
        [['plain', '--set', 'second=1'], /did you mean seconds\?/], [['plain', 'waiting', '--set', 'x=1'], /unknown parameter 'x'/], [['--all', 'plain'], /--all/]]) {
        const { err, out, code } = await bench(args);
        assert.match(err, text);
        assert.equal(code, 2);
        assert.equal(out, '');
    }
});

test('a build folder without programs is told with what to do', async () => {
    const { err, code } = await bench(['plain', '--build', scenarios]);
    assert.equal(code, 1);
    assert.match(err, /has no bench programs: build them: ninja -C/);
});

test('Ctrl-C ends what was started and leaves no folder', async () => {
    for (const signal of ['SIGINT', 'SIGTERM']) {
        let pid = null;
        const { code, err } = await bench(['endless'], {
            onError: (text, child) => {
                const found = /pid (\d+)\b(?=\D)/.exec(text);
                if (found && !pid) {
                    pid = Number(found[1]);
                    child.kill(signal);
                }
            },
        });
        assert.equal(code, 130, err);
        await until('the child is gone', () => !runs(pid));
        assert.deepEqual(readdirSync(scratch), []);
    }
});

test('--compare: exit code 3 on a regression against the given file, 0 without one', async () => {
    const { out } = await bench(['plain', '--json']);
    const before = JSON.parse(out);
    const file = join(dir, 'before.json');
    const keep = (ns, floor) => writeFileSync(file, JSON.stringify({ schema: 1, results: [{ ...before, figures: { ns }, ratios: { vs_floor: floor } }] }));
    keep(2500, 0.5);
    const worse = await bench(['plain', '--compare', file]);
    assert.equal(worse.code, 3);
    assert.match(worse.out, /plain: REGRESSION, ours over the floor \+100\.0 %/);
    keep(5000, 1);
    const same = await bench(['plain', '--compare', file]);
    assert.equal(same.code, 0);
    assert.match(same.out, /no change beyond the noise/);
});
