// One scenario in small, all its contenders once: does it work, and is its result what it should be? Its figures say nothing,
// and nothing here asks how fast it was.
//   node tests/bench/smoke.mjs SCENARIO BUILD-DIR
import { spawnSync } from 'node:child_process';
import { schemaFaults } from '../../bench/lib/results.mjs';

const root = new URL('../../', import.meta.url).pathname;
const [scenario, build] = process.argv.slice(2);
const { stdout, stderr, status } = spawnSync(`${root}bench/run`, [scenario, '--smoke', '--json', '--build', build], { encoding: 'utf8', maxBuffer: 1 << 28 });
const lines = stdout.split('\n').filter(Boolean);
const faults = [];
if (lines.length !== 1) faults.push(`${lines.length} lines on stdout, not one`);
for (const line of lines) {
    const result = JSON.parse(line);
    faults.push(...schemaFaults(result));
    if (!result.valid) faults.push(`not valid: ${result.why}`);
    const measured = Object.values(result.contenders).filter((c) => c.figures[result.main] > 0);
    if (result.contenders.ours?.figures[result.main] > 0 && measured.length > 1 && Object.keys(result.ratios).length === 0) faults.push('no ratio');
}
if (status !== 0) faults.push(`exit code ${status}`);
for (const fault of faults) console.error(`${scenario}: ${fault}`);
if (faults.length > 0) console.error(stderr);
process.exit(faults.length > 0 ? 1 : 0);
