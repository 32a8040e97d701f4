// bench/sfu-endure, from the command line to the exit code.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT, commitOf, hostOf, placement } from './host.mjs';
import { buildDir, settle } from './main.mjs';
import { installModules } from './modules.mjs';
import { useLogDir } from './proc.mjs';
import { clock } from './progress.mjs';
import { number } from './table.mjs';

const PAGE = join(ROOT, 'docs/bench/sfu-endurance.md');
const HELP = `One sfud under load for a long time, with joins, leaves, moves of address and ICE restarts at random by a seed.

  bench/sfu-endure [options]

  --minutes N     how long (30)
  --load SHARE    of one core, which watchers are added for (0.7)
  --rate N        things that happen a minute (90)
  --seed N        of what happens when (1)
  --build DIR     take the programs from this build folder, and build nothing; one with sanitizers is fine: it gets as many
                  watchers as make the load for it, their findings are faults, its memory is not judged, and its losses
                  are only while it had its core to itself
  --smoke         what is lost is told, and no fault: does it work at all, on a machine that others use?
  --write         keep the account in docs/bench/sfu-endurance.md
  --json          the account as one line of JSON on stdout

At the end: no packet lost in the server (by its counters, and by gaps at endpoints outside of their own moves), memory
flat, no transport and no room left. Exit code: 0 all is well, 1 a fault, 2 a wrong command line.`;

const err = (text) => process.stderr.write(`${text}\n`);

function options(argv) {
    const flag = { type: 'boolean', default: false };
    const { values } = parseArgs({ args: argv, options: { minutes: { type: 'string', default: '30' }, load: { type: 'string', default: '0.7' }, rate: { type: 'string', default: '90' }, seed: { type: 'string', default: '1' }, build: { type: 'string' }, smoke: flag, write: flag, json: flag, help: flag } });
    const n = (name) => {
        if (!/^\d+(\.\d+)?$/.test(values[name]) || !(Number(values[name]) > 0)) throw new Error(`--${name} needs a number above 0, not ${values[name]}`);
        return Number(values[name]);
    };
    const seconds = 60 * n('minutes');
    return { ...values, seconds, load: Math.min(n('load'), 0.95), rate: n('rate'), seed: Math.round(n('seed')), period: Math.min(15, Math.max(3, seconds / 20)) };
}

const isSanitized = (build) => /__(asan|tsan)_init/.test(readFileSync(join(build, 'sfu/sfud'), 'latin1'));

function accountOf(it, closed, { o, build, sanitized }) {
    const { commit, dirty } = commitOf();
    return {
        clean: it.faults.length === 0, started: new Date(Date.now() - it.seconds * 1000).toISOString(), seconds: it.seconds, commit, dirty, host: it.host, seed: o.seed, sanitized,
        build: sanitized ? build : undefined, load: it.load, kept: it.kept, limited: !!it.limited, watchers: it.watchers, counts: it.counts, packets: it.packets, missing: it.gaps,
        unjudged: it.unjudged, excused: it.excused, refused: it.refused, generator_dropped: it.dropped, ...closed, faults: it.faults,
    };
}

function lines(a) {
    const done = Object.entries({ 'leaves and joins': a.counts.swap, 'moves of address': a.counts.move, 'ICE restarts': a.counts.restart, 'people of a meeting replaced': a.counts.person });
    return [
        ['what happened', done.map(([what, n]) => `${n} ${what}`).join(', ')],
        ['load', `${(100 * a.load).toFixed(0)} % of one core, ${a.watchers} watchers, ${number(a.packets / a.seconds)} packets/s${a.kept > 0.02 ? `; for ${(100 * a.kept).toFixed(0)} % of the time others had its core` : ''}${a.limited ? '; the generator was at its end before the server was' : ''}${a.refused > 0 ? `; ${a.refused} were refused because the server held itself for overloaded` : ''}`],
        ['packets', `${a.packets.toLocaleString('en-US')} arrived; ${a.missing} missing; ${a.excused} at endpoints that had just moved${a.generator_dropped > 0 ? `, or whose own buffer was full (${a.generator_dropped} dropped)` : ''}`],
        ['in the server', Object.entries(a.inside).map(([where, n]) => `${where}: ${n}`).join('; ') || 'nothing lost'],
        ['memory', a.sanitized ? `not judged under a sanitizer: ${a.memory}` : a.memory],
        ['left at the end', `${a.left.transports} transports, ${a.left.rooms} rooms`],
        ...a.unjudged.map((f) => ['not judged', `${f}; others had the server's core for ${(100 * a.kept).toFixed(0)} % of the time`]),
        ...a.faults.map((f) => ['**fault**', f]),
    ];
}

function page(a) {
    return [
        '# The forwarding unit for half an hour', '', '<!-- Written by bench/sfu-endure --write. What you type here is lost. -->', '',
        `${a.started.slice(0, 16).replace('T', ' ')} UTC, commit ${a.commit}${a.dirty ? ' (changed)' : ''}, ${clock(a.seconds)} min, seed ${a.seed}. ${a.host.cores} cores of ${a.host.cpu}, Linux ${a.host.kernel}.`, '',
        a.clean ? '**Nothing was lost in the server, nothing grew, nothing was left.**' : `**${a.faults.length} faults.**`, '',
        '| | |', '|---|---|', ...lines(a).map(([k, v]) => `| ${k} | ${v} |`), '',
        'Missing are numbers that had not come a second later, or came by a retransmission: on a link that loses nothing there is neither. A moved endpoint\'s',
        'own are excused for the time of its move (what was under way to its former port is lost). Packets from addresses that the server has just forgotten',
        '(`unknown_address`) are the last reports of those who left.', '',
    ].join('\n');
}

async function work(o) {
    installModules();
    const [host, cpus] = [hostOf(), placement()];
    const build = await buildDir(o);
    settle(cpus);
    const { Endurance } = await import('./sfu_endure.mjs');
    const abort = new AbortController();
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => (abort.signal.aborted ? process.exit(130) : abort.abort()));
    const dir = mkdtempSync(join(tmpdir(), 'sotto-endure-'));
    useLogDir(dir);
    const undo = [];
    const from = Date.now();
    const ctx = { build, cpus, dir, params: {}, signal: abort.signal, defer: (fn) => undo.push(fn), step: (text) => err(`  ${clock((Date.now() - from) / 1000)}  ${text}`) };
    const it = new Endurance(ctx, o);
    const sanitized = isSanitized(build);
    if (sanitized) ctx.sfu = { overload_percent: 0 }; // its slowness is no overload
    let closed = { left: { transports: NaN, rooms: NaN }, memory: '–', inside: {} };
    try {
        await it.open();
        Object.assign(it, { host, watchers: it.scene.subscribers.length });
        await it.run();
        closed = await it.close({ judgeMemory: !sanitized });
        it.excuse(sanitized);
    } finally {
        for (const fn of undo.reverse()) await fn().catch((error) => it.fault(error.message));
        rmSync(dir, { recursive: true, force: true });
    }
    return accountOf(it, closed, { o, build, sanitized });
}

/** Returns the exit code. */
export async function main(argv) {
    let o;
    try {
        o = options(argv);
    } catch (error) {
        return err(`bench/sfu-endure: ${error.message}`), 2;
    }
    if (o.help) return process.stdout.write(`${HELP}\n`), 0;
    try {
        const account = await work(o);
        process.stdout.write(o.json ? `${JSON.stringify(account)}\n` : `${lines(account).map(([k, v]) => `${k.padEnd(18)}${v}`).join('\n')}\n${account.clean ? 'all is well' : `${account.faults.length} faults`}\n`);
        if (o.write) writeFileSync(PAGE, page(account));
        return account.clean ? 0 : 1;
    } catch (error) {
        return err(`bench/sfu-endure: ${error.name === 'AbortError' ? 'interrupted' : error.name === 'BenchError' ? error.message : error.stack}`), 1;
    }
}
