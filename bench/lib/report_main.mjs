// bench/report's command line.
import * as history from './history.mjs';
import { installModules } from './modules.mjs';
import { checkAll, writeAll } from './report.mjs';

const USAGE = 'bench/report [--check]: writes the page, the plots and the figures in README.md and docs/capacity.md from the newest history';

async function check() {
    const faults = await checkAll();
    for (const fault of faults) console.error(fault);
    if (faults.length > 0) console.error('run bench/report, and commit what it writes');
    return faults.length > 0 ? 1 : 0;
}

async function write() {
    if (!history.newest()) {
        console.error('no run is kept in docs/bench/history yet: make bench, or bench/run SCENARIO --save');
        return 1;
    }
    for (const file of await writeAll()) console.log(`written ${file}`);
    return 0;
}

/** Returns the exit code. */
export async function main(argv) {
    if (argv.length > 1 || (argv.length === 1 && !['--check', '--help', '-h'].includes(argv[0]))) {
        console.error(USAGE);
        return 2;
    }
    if (argv[0] === '--help' || argv[0] === '-h') return console.log(USAGE), 0;
    try {
        installModules();
        return argv[0] === '--check' ? await check() : await write();
    } catch (error) {
        console.error(`bench/report: ${error.name === 'BenchError' ? error.message : error.stack}`);
        return 1;
    }
}
