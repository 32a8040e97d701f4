// Runs test files side by side, each by node's own runner in a process of its own, and tells what came of them and how long each took.
//   node tests/lib/files.mjs LOG-DIR AT-ONCE FILES…
// stdout: `SECONDS s FILE` as each ends; what failed, in lines that begin with `! `; `# N passed, N failed` at the end. LOG-DIR has
// the TAP of each file.
// Files that drive browsers or encode media keep a core busy: only one of those runs at a time, beside files that mostly wait.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { reasonsOf } from './reasons.mjs';

/** A file that takes longer hangs; the slowest needs a minute and a half on a quiet machine. */
const LIMIT_S = 600;
const BUSY = /from '[^']*(chromium|sfu_pages|whip_pages|people|firefox|interop)\.mjs'/;

const [logs, atOnce, ...names] = process.argv.slice(2);
mkdirSync(logs, { recursive: true });
const running = new Set();

/** Ends the file's process and what it started (those that made sessions of their own end with their stack). */
function end(child, signal) {
    try {
        process.kill(-child.pid, signal);
    } catch {
        // it ended by itself
    }
}
for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
        for (const { child } of running) end(child, signal);
        process.exitCode = 130;
        waiting.length = 0;
    });
}

/** The counts at the end of a TAP stream; a file that has none, or ended badly without a failed test, counts as one failure. */
function countsOf(log, code) {
    const text = readFileSync(log, 'utf8');
    const count = (word) => Number([...text.matchAll(new RegExp(`^# ${word} (\\d+)`, 'gm'))].at(-1)?.[1] ?? NaN);
    const [passed, failed] = [count('pass'), count('fail') + count('cancelled')];
    if (Number.isNaN(passed + failed)) return { passed: 0, failed: 1 };
    return { passed, failed: code !== 0 && failed === 0 ? 1 : failed };
}

async function runFile({ file, busy }) {
    const log = join(logs, `${basename(file, '.test.mjs')}.log`);
    const started = performance.now();
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', file], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const entry = { child, busy };
    running.add(entry);
    const out = createWriteStream(log);
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => out.write(text));
    const timer = setTimeout(() => {
        out.write(`not ok - ${file} did not end within ${LIMIT_S} s\n`);
        end(child, 'SIGTERM'); // a stack is stopped then
        setTimeout(() => end(child, 'SIGKILL'), 30_000).unref();
    }, LIMIT_S * 1000);
    const code = await new Promise((resolve) => child.once('close', resolve));
    clearTimeout(timer);
    await new Promise((resolve) => out.end(resolve));
    running.delete(entry);
    return { file, log, seconds: Math.round((performance.now() - started) / 100) / 10, ...countsOf(log, code) };
}

const waiting = names.map((file) => ({ file, busy: BUSY.test(readFileSync(file, 'utf8')) }));
/** The next file that may run now: a busy one if none runs, otherwise one that waits. */
function next() {
    const wanted = ![...running].some(({ busy }) => busy);
    const i = waiting.findIndex(({ busy }) => busy === wanted);
    if (i >= 0) return waiting.splice(i, 1)[0];
    return wanted ? waiting.shift() : undefined;
}

const done = [];
await new Promise((resolve) => {
    const fill = () => {
        for (let file; running.size < Number(atOnce) && (file = next()); ) {
            void runFile(file).then((result) => {
                done.push(result);
                console.log(`${result.seconds} s ${file.file}${result.failed > 0 ? `: ${result.failed} failed` : ''}`);
                fill();
            });
        }
        if (running.size === 0) resolve();
    };
    fill();
});
/** The reasons of a file that failed; one that has no failed test in its log ended in another way: its last words. */
function told({ file, log }) {
    const text = readFileSync(log, 'utf8');
    const reasons = reasonsOf(text, new URL('../../', import.meta.url).pathname);
    return (reasons.length > 0 ? reasons : [['it ended badly, or hung', ...(text.match(/^ *(ok|not ok|# [A-Z]).*/gm) ?? []).slice(-3)]]).map(([title, ...lines]) => [`${basename(file)}: ${title}`, ...lines]);
}
for (const line of done.filter(({ failed }) => failed > 0).flatMap(told).flat()) console.log(`! ${line}`);
const sum = (key) => done.reduce((n, result) => n + result[key], 0);
console.log(`# ${sum('passed')} passed, ${sum('failed')} failed`);
