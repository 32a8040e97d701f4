// The command line of bench/soak.
import { WAITING, WORKLOADS } from './workloads/index.mjs';
import { KINDS } from './schedule.mjs';

export const LOADS = {
    low: { users: 14, callsPerMinute: 40 },
    medium: { users: 40, callsPerMinute: 150 },
    high: { users: 100, callsPerMinute: 400 },
};

const list = (entries) => entries.map(([name, about]) => `  ${name.padEnd(20)}${about}`).join('\n');

export const HELP = `bench/soak: a private Sotto under a mix of workloads, while its parts are killed, stopped and cut off; then the books.

  bench/soak [--minutes M] [--load low|medium|high | --users N --calls-per-minute C]
             [--chaos none|gentle|hard] [--kinds 'KIND,KIND'] [--workloads NAME,NAME] [--no-media]
             [--seed S] [--build DIR] [--report FILE] [--json] [--keep] [--schedule] [--smoke]

  --minutes M      how long (5)
  --load L         ${Object.entries(LOADS).map(([l, o]) => `${l}: ${o.users} users, ${o.callsPerMinute} scripts a minute`).join('; ')} (low)
  --chaos C        gentle: one trouble at a time, and the system is well before the next; hard: they overlap (gentle)
  --kinds K        only these kinds of trouble
  --seed S         decides everything that is left to chance: the same seed, the same schedule (a new one each time; printed)
  --build DIR      where the servers were built (build); also a build with -DSOTTO_SANITIZE=ON
  --report FILE    writes the page of this run as Markdown, such as docs/bench/soak.md
  --json           one JSON line on stdout at the end
  --no-media       signalling only: without sotto-load-webrtc's endpoints under the calls
  --keep           the stack's folder, with its logs, is left for you to read
  --schedule       prints the schedule of that seed, and does nothing else
  --smoke          passwords are hashed quickly, so that a short run isn't spent on registering; packets that a busy machine
                   had no time for are no fault

Workloads:
${list(Object.values(WORKLOADS).map((make) => make()).map((w) => [w.name, w.about]))}
Waiting for their part of Sotto:
${list(Object.entries(WAITING).map(([name, issue]) => [name, issue]))}
Kinds of trouble:
${list(Object.entries(KINDS).map(([name, k]) => [name, k.about]))}

It ends with 0 only when every book is clean.
`;

const VALUES = ['minutes', 'load', 'users', 'calls-per-minute', 'chaos', 'kinds', 'workloads', 'seed', 'build', 'report'];
const FLAGS = ['json', 'keep', 'smoke', 'help', 'no-media', 'schedule'];

/** The options; throws an Error that says what is wrong. */
export function parseOptions(args) {
    const given = {};
    for (let i = 0; i < args.length; i++) {
        const [name, inline] = args[i].replace(/^--/, '').split(/=(.*)/s);
        if (args[i].startsWith('--') && FLAGS.includes(name)) given[name] = true;
        else if (args[i].startsWith('--') && VALUES.includes(name)) {
            given[name] = inline ?? args[++i];
            if (given[name] === undefined) throw new Error(`--${name} needs a value`);
        } else throw new Error(`unknown argument ${args[i]}; see bench/soak --help`);
    }
    const load = LOADS[given.load ?? 'low'];
    if (!load) throw new Error(`--load is one of ${Object.keys(LOADS).join(', ')}`);
    const options = {
        minutes: number(given, 'minutes', 5, 0.2, 10_000),
        users: number(given, 'users', load.users, 6, 2000),
        callsPerMinute: number(given, 'calls-per-minute', load.callsPerMinute, 1, 10_000),
        chaos: given.chaos ?? 'gentle',
        kinds: names(given.kinds, Object.keys(KINDS), 'kinds'),
        workloads: names(given.workloads, Object.keys(WORKLOADS), 'workloads'),
        seed: given.seed ?? String(Math.floor(Math.random() * 1e6)),
        build: given.build,
        report: given.report,
    };
    for (const flag of FLAGS) options[flag] = given[flag] === true;
    options.media = !given['no-media'];
    options.seconds = options.minutes * 60;
    if (!['none', 'gentle', 'hard'].includes(options.chaos)) throw new Error('--chaos is one of none, gentle, hard');
    return options;
}

function number(given, name, dflt, low, high) {
    const value = given[name] === undefined ? dflt : Number(given[name]);
    if (!(value >= low && value <= high)) throw new Error(`--${name} is a number from ${low} to ${high}`);
    return value;
}

function names(text, all, what) {
    if (text === undefined) return all;
    const chosen = text.split(',').map((n) => n.trim());
    for (const n of chosen) if (!all.includes(n)) throw new Error(`--${what}: there is no "${n}"; there are ${all.join(', ')}`);
    return chosen;
}
