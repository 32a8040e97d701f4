// bench/sfu, from the command line to the exit code: measures row by row, and keeps each row as soon as it is measured.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { UsageError, unknown } from './args.mjs';
import * as history from './history.mjs';
import { ROOT, commitOf, hostOf, packageVersion, placement } from './host.mjs';
import { PACKAGES, buildDir, settle } from './main.mjs';
import { installModules } from './modules.mjs';
import { clock, makeProgress } from './progress.mjs';
import { Interrupted, estimateOf, runScenario } from './runner.mjs';
import { resultBlock } from './table.mjs';

const HISTORY = join(ROOT, 'docs/bench/history-sfu');
/** What is measured so far, for --resume; and the page of a run that is not kept. */
const SCRATCH = join(ROOT, 'build/bench/sfu');
const BUDGET_S = 25 * 60;

const HELP = `Measures the forwarding unit's table of targets beside the floor and Janus: about 22 minutes.

  bench/sfu [options]

  --rows A,B      only these rows: ROWS
  --repeats N     so many of each row (otherwise five, or three of the long rows)
  --quick         all of it once and short, under 3 minutes: is it as it should be? Not for publishing
  --smoke         tiny: does it work at all? Its figures say nothing
  --resume        go on with the run of this commit that was interrupted
  --save          keep it in docs/bench/history-sfu, and write docs/bench/sfu.md and its plots anew; rows that
                  are not measured are carried over from the last kept run
  --build DIR     take the programs from this build folder, and build nothing
  --json          one line of JSON a row on stdout instead of the table
  --strict        exit code 3 when a target is not reached

Exit code: 0 all rows are valid, 1 a row was not valid, 2 a wrong command line, 3 see --strict.`;

const out = (text) => process.stdout.write(`${text}\n`);
const err = (text) => process.stderr.write(`${text}\n`);

function options(argv, keys) {
    const flag = { type: 'boolean', default: false };
    let values;
    try {
        ({ values } = parseArgs({ args: argv, options: { rows: { type: 'string' }, repeats: { type: 'string' }, build: { type: 'string' }, quick: flag, smoke: flag, resume: flag, save: flag, json: flag, strict: flag, help: flag } }));
    } catch (error) {
        throw new UsageError(error.message.split('. ')[0]);
    }
    const rows = values.rows?.split(',').filter(Boolean) ?? keys;
    for (const key of rows) if (!keys.includes(key)) throw unknown('row', key, keys);
    if (values.repeats !== undefined && !/^[1-9]\d*$/.test(values.repeats)) throw new UsageError(`--repeats ${values.repeats}`, 'needs a whole number above 0');
    if (values.save && (values.quick || values.smoke)) throw new UsageError('--save', 'is for whole runs');
    return { ...values, rows, repeats: values.repeats === undefined ? null : Number(values.repeats) };
}

/** What an interrupted run of this commit and these settings has measured. */
function begun(o, commit) {
    const none = { results: [], seconds: 0 };
    if (!o.resume) return none;
    try {
        const run = JSON.parse(readFileSync(`${SCRATCH}/run.json`, 'utf8'));
        return run.commit === commit && run.repeats === o.repeats && run.quick === o.quick && !o.smoke ? run : none;
    } catch {
        return none;
    }
}

function keep(run, o) {
    mkdirSync(SCRATCH, { recursive: true });
    writeFileSync(`${SCRATCH}/run.json`, JSON.stringify({ ...run, repeats: o.repeats, quick: o.quick }));
}

/** The rows to measure as scenarios with their options. */
async function planOf(o) {
    const { ROWS, quickened } = await import('./sfu_rows.mjs'); // needs the installed modules
    return o.rows.map((key) => (o.quick ? quickened(ROWS[key]) : ROWS[key])).map((scenario) => ({ scenario, options: { peers: [], set: {}, duration: null, smoke: o.smoke, repeats: o.repeats } }));
}

async function measureAll(plan, run, { o, means, signal }) {
    const left = plan.filter(({ scenario }) => !run.results.some((r) => r.scenario === scenario.name));
    const last = o.quick || o.smoke || o.repeats ? null : history.newest(HISTORY);
    const estimate = left.reduce((sum, { scenario, options: own }) => sum + estimateOf(scenario, own, last?.results.find((r) => r.scenario === scenario.name)), 0);
    const progress = makeProgress({ estimate });
    const before = run.seconds;
    progress.say(`  ${left.length} of ${plan.length} rows, about ${clock(estimate)}${estimate > BUDGET_S ? `: over the budget of ${clock(BUDGET_S)}` : ''}`);
    try {
        for (const { scenario, options: own } of left) {
            const result = await runScenario(scenario, { ...own, ...means, limit_s: scenario.limit_s }, { signal, progress });
            run.results.push(result);
            run.seconds = before + progress.elapsed();
            if (!o.smoke) keep(run, o);
            progress.pause();
            (o.json ? err : out)(resultBlock(result).join('\n'));
            if (o.json) out(JSON.stringify(result));
        }
    } finally {
        progress.stop();
    }
    const order = plan.map(({ scenario }) => scenario.name);
    run.results.sort((a, b) => order.indexOf(a.scenario) - order.indexOf(b.scenario));
}

/** Prints the table, writes the page; true when all targets that were measured are reached. */
async function tell(run, o) {
    const page = await import('./sfu_page.mjs');
    const { verdicts } = await import('./sfu_targets.mjs');
    const kept = o.save ? history.read(history.save(run, HISTORY)) : { ...run, file: '' };
    if (!o.json) out(['', ...page.tableText(kept.results)].join('\n'));
    const files = await page.writePage(kept, o.save ? join(ROOT, 'docs/bench') : SCRATCH);
    for (const file of files) err(`  written ${file.startsWith(ROOT) ? file.slice(ROOT.length) : file}`);
    return verdicts(page.byRow(kept.results)).every((line) => line.reached !== false);
}

async function work(o) {
    const [cpus, host] = [placement(), hostOf()]; // before we settle on fewer cores
    installModules();
    const abort = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => (abort.signal.aborted ? process.exit(130) : abort.abort()));
    const build = await buildDir(o);
    settle(cpus);
    const versions = Object.fromEntries(PACKAGES.map((name) => [name, packageVersion(name)]).filter(([, v]) => v));
    const means = { build, cpus, host, ...commitOf(), versions };
    const run = { started: new Date().toISOString(), commit: means.commit, dirty: means.dirty, host: means.host, versions, ...begun(o, means.commit) };
    await measureAll(await planOf(o), run, { o, means, signal: abort.signal });
    const reached = await tell(run, o);
    if (!run.results.every((r) => r.valid)) return 1;
    return o.strict && !reached ? 3 : 0;
}

/** Returns the exit code. */
export async function main(argv) {
    try {
        const keys = ['gcm', 'cm', 'meetings', 'capacity', 'memory', 'growth', 'link'];
        const o = options(argv, keys);
        if (o.help) return out(HELP.replace('ROWS', keys.join(', '))), 0;
        return await work(o);
    } catch (error) {
        if (error instanceof Interrupted) return err('interrupted; bench/sfu --resume goes on'), 130;
        err(`bench/sfu: ${error.name === 'BenchError' || error instanceof UsageError ? error.message : error.stack}`);
        return error instanceof UsageError ? 2 : 1;
    }
}
