// The command line of bench/run. Whoever mistypes is told the nearest name that exists.
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { BenchError } from './proc.mjs';

const OPTIONS = {
    list: { type: 'boolean', help: 'what there is: scenarios, what they measure, against whom, and their state' },
    all: { type: 'boolean', help: 'every scenario' },
    peer: { type: 'string', multiple: true, value: 'NAME', help: 'only ours, the floor and this peer (may be repeated)' },
    duration: { type: 'string', value: 'S', help: 'seconds of each measured window' },
    repeats: { type: 'string', value: 'N', help: 'how often each contender is measured' },
    set: { type: 'string', multiple: true, value: 'K=V', help: "another value for a scenario's parameter (may be repeated)" },
    smoke: { type: 'boolean', help: 'tiny and once: does it work at all? Its figures say nothing' },
    json: { type: 'boolean', help: 'one line of JSON a scenario on stdout, and nothing else there' },
    plot: { type: 'boolean', help: 'also draw the plots, as SVG files in build/bench/plots' },
    compare: { type: 'boolean', help: 'hold it against the last run on such a host (or --compare FILE); exit code 3 on a regression' },
    save: { type: 'boolean', help: 'keep the results in docs/bench/history' },
    report: { type: 'boolean', help: 'keep them, and write docs/bench/results.md, the plots, and the figures in README.md anew' },
    'count-check': { type: 'boolean', help: 'compare our packet counts with what tshark counts on the wire (sfu-* scenarios)' },
    build: { type: 'string', value: 'DIR', help: 'take the programs from this build folder, and build nothing' },
    help: { type: 'boolean', short: 'h', help: 'this' },
};

/** A mistake in the command line: exit code 2. */
export class UsageError extends BenchError {}

/** Steps of insertion, deletion, replacement and exchange between two words. */
export function distance(a, b) {
    const d = Array.from({ length: a.length + 1 }, (_, i) => [i, ...Array(b.length).fill(0)]);
    for (let j = 0; j <= b.length; j++) d[0][j] = j;
    for (let i = 1; i <= a.length; i++) {
        for (let j = 1; j <= b.length; j++) {
            const same = a[i - 1] === b[j - 1] ? 0 : 1;
            d[i][j] = Math.min(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + same);
            const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
            if (exchanged) d[i][j] = Math.min(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a.length][b.length];
}

/** The name that was probably meant, or null when none is near. */
export function nearest(word, names) {
    const near = names
        .map((name) => ({ name, d: name.includes(word) && word.length > 2 ? 1 : distance(word, name) }))
        .sort((x, y) => x.d - y.d)[0];
    return near && near.d <= Math.max(2, Math.ceil(word.length / 3)) ? near.name : null;
}

/** "unknown WHAT 'word'" with the nearest of the names, or all of them. */
export function unknown(what, word, names, hint = '') {
    const near = nearest(word, names);
    const say = near ? `did you mean ${near}?` : `there is ${names.join(', ') || 'none'}`;
    return new UsageError(`unknown ${what} '${word}'`, hint ? `${say} ${hint}` : say);
}

const positive = (name, text, whole) => {
    const n = Number(text);
    if (text.trim() === '' || !Number.isFinite(n) || n <= 0 || (whole && !Number.isInteger(n))) {
        throw new UsageError(`--${name} ${text}`, `needs a ${whole ? 'whole number above 0' : 'number above 0'}`);
    }
    return n;
};

// `--compare` takes a file or not; node's parser has no such option, so the file is taken out first.
function takeCompareFile(argv) {
    const out = [];
    let file = null;
    for (let i = 0; i < argv.length; i++) {
        const joined = /^--compare=(.*)$/.exec(argv[i])?.[1];
        const next = argv[i] === '--compare' && argv[i + 1]?.endsWith('.json') ? argv[++i] : undefined;
        file = joined ?? next ?? file;
        out.push(joined !== undefined || next !== undefined ? '--compare' : argv[i]);
    }
    if (file !== null && !existsSync(file)) throw new UsageError(`--compare ${file}`, 'there is no such file; histories are in docs/bench/history');
    return { argv: out, file };
}

/**
 * Parses argv (without node and script).
 * @returns {{scenarios: string[], list: boolean, all: boolean, help: boolean, peers: string[], duration: number|null, repeats: number|null,
 *   set: Record<string, string>, smoke: boolean, json: boolean, plot: boolean, compare: boolean, compareFile: string|null, save: boolean,
 *   report: boolean, countCheck: boolean, build: string|null}}
 */
export function parse(argv) {
    const { argv: rest, file } = takeCompareFile(argv);
    const options = Object.fromEntries(Object.entries(OPTIONS).map(([k, { type, multiple, short }]) => [k, { type, ...(multiple && { multiple }), ...(short && { short }) }]));
    let parsed;
    try {
        parsed = parseArgs({ args: rest, options, allowPositionals: true });
    } catch (error) {
        const name = /'--?([^'=\s]+)/.exec(error.message)?.[1];
        if (error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' && name) throw unknown('option', `--${name}`, Object.keys(OPTIONS).map((k) => `--${k}`));
        throw new UsageError(error.message.split('. ')[0]);
    }
    const v = parsed.values;
    const set = {};
    for (const pair of v.set ?? []) {
        const at = pair.indexOf('=');
        if (at < 1) throw new UsageError(`--set ${pair}`, 'needs the form name=value');
        set[pair.slice(0, at)] = pair.slice(at + 1);
    }
    return {
        scenarios: parsed.positionals, list: !!v.list, all: !!v.all, help: !!v.help, peers: v.peer ?? [], set,
        duration: v.duration === undefined ? null : positive('duration', v.duration, false),
        repeats: v.repeats === undefined ? null : positive('repeats', v.repeats, true),
        smoke: !!v.smoke, json: !!v.json, plot: !!v.plot, compare: !!v.compare, compareFile: file,
        save: !!v.save || !!v.report, report: !!v.report, countCheck: !!v['count-check'], build: v.build ?? null,
    };
}

/** What --help prints. */
export function usage() {
    const rows = Object.entries(OPTIONS).map(([k, o]) => [`  --${k}${o.value ? ` ${o.value}` : ''}`, o.help]);
    const width = Math.max(...rows.map(([left]) => left.length)) + 2;
    return [
        'Measures Sotto, part by part, beside its peers and the floor of the machine.',
        '',
        '  bench/run --list',
        '  bench/run SCENARIO… [options]',
        '',
        ...rows.map(([left, help]) => left.padEnd(width) + help),
        '',
        'Exit code: 0 all valid, 1 a run was not valid, 2 a wrong command line, 3 a regression (--compare).',
        'bench/README.md tells how a run is judged; docs/bench/results.md has the last figures.',
    ].join('\n');
}
