// bench/run, from the command line to the exit code.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { UsageError, parse, unknown, usage } from './args.mjs';
import { compareAll, regressions } from './compare.mjs';
import * as history from './history.mjs';
import { ROOT, commitOf, hostOf, packageVersion, placement } from './host.mjs';
import { installModules } from './modules.mjs';
import { contendersOf, paramsOf } from './params.mjs';
import { BenchError } from './proc.mjs';
import { clock, makeProgress } from './progress.mjs';
import { Interrupted, estimateOf, runScenario } from './runner.mjs';
import { loadScenarios, pick, stateOf } from './scenarios.mjs';
import { listTable, resultBlock } from './table.mjs';

/** `make bench` is to end within this. */
export const BUDGET_S = 40 * 60;
export const PACKAGES = ['janus', 'ejabberd', 'nginx-light', 'libvips-tools', 'coturn', 'postgresql', 'libsrtp2-1', 'libnice10', 'libwebsockets17', 'openssl'];

const out = (text) => process.stdout.write(`${text}\n`);
const err = (text) => process.stderr.write(`${text}\n`);

/** Builds the servers and the load programs unless a folder was named; returns the folder. */
export async function buildDir(options) {
    if (options.build) {
        const dir = resolve(options.build);
        if (!existsSync(join(dir, 'bench'))) throw new BenchError(`${dir} has no bench programs`, `build them: ninja -C ${dir} bench_programs`);
        return dir;
    }
    const child = spawn(join(ROOT, 'deploy/build'), ['--bench'], { stdio: ['ignore', 2, 2] }); // its words are no result
    const code = await new Promise((done) => child.once('exit', done));
    if (code !== 0) throw new BenchError('the build failed', 'its log is in build/log');
    return process.env.SOTTO_TEST_BUILD ?? join(ROOT, 'build');
}

/** Everything but servers stays off the server's core. */
export function settle(cpus) {
    spawnSync('taskset', ['-a', '-pc', cpus.generator, String(process.pid)], { stdio: 'ignore' });
}

/** Of several scenarios, each takes what of --peer and --set concerns it; what concerns none is a mistake. */
function fitted(scenarios, options) {
    const lone = scenarios.length === 1;
    const peers = (s) => (lone ? options.peers : options.peers.filter((p) => s.contenders.includes(p)));
    const set = (s) => (lone ? options.set : Object.fromEntries(Object.entries(options.set).filter(([k]) => k in s.params)));
    const all = (read) => [...new Set(scenarios.flatMap(read))];
    for (const p of options.peers) if (!lone && !all((s) => s.contenders).includes(p)) throw unknown('peer', p, all((s) => s.contenders));
    for (const k of Object.keys(options.set)) if (!lone && !all((s) => Object.keys(s.params)).includes(k)) throw unknown('parameter', k, all((s) => Object.keys(s.params)));
    const wanted = scenarios.filter((s) => lone || options.peers.length === 0 || peers(s).length > 0);
    return wanted.map((s) => {
        const own = { ...options, peers: peers(s), set: set(s) };
        paramsOf(s, own);
        contendersOf(s, own.peers);
        return { scenario: s, options: own };
    });
}

function chosen(loaded, options) {
    if (options.all && options.scenarios.length > 0) throw new UsageError('--all', 'names all scenarios; leave out the others');
    if (!options.all && options.scenarios.length === 0) throw new UsageError('which scenario?', 'bench/run --list shows them, --all runs them');
    if (!options.all) return pick(loaded, options.scenarios);
    for (const b of loaded.broken) err(`scenario ${b.name} is broken: ${b.why}`);
    return loaded.scenarios;
}

/** Runs what was chosen; results in order. `broken` ones of --all make the exit code 1. */
async function measureAll(plan, options, means, abort) {
    const last = options.smoke ? null : history.newest();
    const estimate = plan.reduce((sum, { scenario, options: own }) => sum + estimateOf(scenario, own, last?.results.find((r) => r.scenario === scenario.name)), 0);
    const progress = makeProgress({ estimate });
    const many = plan.length > 1 ? `${plan.length} scenarios, ` : '';
    progress.say(`  ${many}about ${clock(estimate)}${estimate > BUDGET_S ? `: over the budget of ${clock(BUDGET_S)}` : ''}`);
    const results = [];
    try {
        for (const { scenario, options: own } of plan) {
            const result = await runScenario(scenario, { ...own, ...means }, { signal: abort.signal, progress });
            results.push(result);
            if (options.json) out(JSON.stringify(result));
            else progress.pause(), out(resultBlock(result).join('\n'));
        }
    } finally {
        progress.stop();
    }
    const took = progress.elapsed();
    err(`  took ${clock(took)}${took > BUDGET_S ? `: over the budget of ${clock(BUDGET_S)}` : ''}`);
    return { results, seconds: took };
}

/** Prints what changed; true when something got worse. */
function compare(results, options) {
    const runs = options.compareFile ? [history.read(options.compareFile)] : history.earlier();
    const verdicts = compareAll(results, runs);
    const say = options.json ? err : out;
    say('');
    for (const v of verdicts) say(v.text);
    return regressions(verdicts).length > 0;
}

/** Draws, keeps and reports, as the options ask. */
async function afterwards(measured, options, means) {
    if (options.save) {
        const file = history.save({ ...means, ...measured, started: measured.results[0].started });
        err(`  kept as ${file.slice(ROOT.length)}`);
    }
    if (!options.report && !options.plot) return;
    if (options.plot) {
        const { drawAll } = await import('./plots.mjs');
        const { scenarios } = await loadScenarios(process.env.SOTTO_BENCH_SCENARIOS);
        for (const file of await drawAll({ results: measured.results }, join(ROOT, 'build/bench/plots'), scenarios)) err(`  drawn ${file}`);
    }
    if (options.report) {
        const { writeAll } = await import('./report.mjs');
        for (const file of await writeAll()) err(`  written ${file}`);
    }
}

/** The whole of bench/run; returns the exit code. */
export async function main(argv) {
    const abort = new AbortController();
    let hits = 0;
    const interrupt = () => {
        if (++hits > 1) process.exit(130); // impatient: the exit handler kills what is left
        err('\n  stopping: ending what was started');
        abort.abort();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, interrupt);
    try {
        return await run(argv, abort);
    } catch (error) {
        if (error instanceof Interrupted) return 130;
        err(`bench/run: ${error instanceof BenchError ? error.message : error.stack}`);
        return error instanceof UsageError ? 2 : 1;
    }
}

async function run(argv, abort) {
    const options = parse(argv);
    if (options.help) return out(usage()), 0;
    installModules();
    const loaded = await loadScenarios(process.env.SOTTO_BENCH_SCENARIOS);
    if (options.list && options.json) {
        for (const s of loaded.scenarios) out(JSON.stringify({ scenario: s.name, title: s.title, waits_for: s.waitsFor, contenders: contendersOf(s), params: s.params }));
        return loaded.broken.length > 0 ? 1 : 0;
    }
    if (options.list) {
        for (const line of listTable(loaded, stateOf, process.stdout.columns ?? 200)) out(line);
        return loaded.broken.length > 0 ? 1 : 0;
    }
    const scenarios = chosen(loaded, options);
    const plan = fitted(scenarios, options); // a wrong name is told before anything is built
    const build = await buildDir(options);
    process.env.SOTTO_TEST_BUILD = build; // deploy/stack takes its servers from there, too
    const cpus = placement();
    const host = hostOf(); // before we settle on fewer cores
    settle(cpus);
    const versions = Object.fromEntries(PACKAGES.map((name) => [name, packageVersion(name)]).filter(([, v]) => v));
    const means = { build, cpus, host, ...commitOf(), versions };
    const measured = await measureAll(plan, options, means, abort);
    const worse = options.compare && compare(measured.results, options);
    await afterwards(measured, options, means);
    const invalid = measured.results.some((r) => !r.valid) || (options.all && loaded.broken.length > 0);
    return invalid ? 1 : worse ? 3 : 0;
}
