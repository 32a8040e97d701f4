// What a soak says at the end: a table for people, a page of Markdown, and one JSON object; all made from the run.
import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';

const SHOWN = 12; // faults of a book that are printed

function git(...args) {
    try {
        return execFileSync('git', args, { cwd: new URL('.', import.meta.url).pathname, encoding: 'utf8' }).trim();
    } catch {
        return '';
    }
}

/** What the run is of: read when it begins, since the working tree may move on while it lasts. */
const source = {
    commit: git('rev-parse', '--short', 'HEAD'),
    dirty: git('status', '--porcelain', '--untracked-files=no') !== '',
};

/** The result of a run, as --json prints it. */
export function result(run) {
    const { options, books, chaos, figures, world } = run;
    return {
        clean: books.length > 0 && books.every((b) => b.ok) && world.failures.length === 0,
        seed: options.seed,
        minutes: options.minutes,
        users: options.users,
        callsPerMinute: options.callsPerMinute,
        chaos: options.chaos,
        sanitized: options.sanitized,
        started: run.started.toISOString(),
        ...source,
        host: { cores: cpus().length, cpu: cpus()[0]?.model ?? '' },
        books: books.map(({ name, ok, text, faults }) => ({ name, ok, text, faults })),
        recoveries: chaos?.recoveries() ?? {},
        troubles: (chaos?.done ?? []).map(({ n, kind, hold, recoveryMs, failed }) => ({ n, kind, hold, recoveryMs, ...(failed ? { failed } : {}) })),
        disturbed: world.ledger.disturbed.map(({ workload, what }) => `${workload}: ${what}`),
        figures: figures ?? {},
    };
}

/** For the terminal. */
export function table(outcome) {
    const out = [''];
    for (const { name, ok, text, faults } of outcome.books) {
        out.push(`${ok ? 'ok    ' : 'not ok'}  ${name.padEnd(18)} ${ok ? '' : `${faults.length} faults; else: `}${text}`);
        for (const fault of faults.slice(0, SHOWN)) out.push(`          - ${fault}`);
        if (faults.length > SHOWN) out.push(`          - and ${faults.length - SHOWN} more`);
    }
    const recoveries = Object.entries(outcome.recoveries);
    if (recoveries.length > 0) {
        out.push('', `${'well again after'.padEnd(20)}${'times'.padStart(6)}${'p50 s'.padStart(8)}${'max s'.padStart(8)}`);
        for (const [kind, { n, p50, max }] of recoveries) out.push(`${kind.padEnd(20)}${String(n).padStart(6)}${seconds(p50).padStart(8)}${seconds(max).padStart(8)}`);
    }
    out.push('', figureLine(outcome), '', `${outcome.clean ? 'The books are clean.' : 'The books are NOT clean.'} Seed ${outcome.seed}.`, '');
    return out.join('\n');
}

const seconds = (ms) => (ms / 1000).toFixed(2);

function figureLine({ figures: f }) {
    if (!f.calls) return 'no figures';
    const media = f.media ? `, ${f.media.packets} media packets received in ${f.media.endpoints} endpoints` : '';
    return `${f.calls} calls, ${f.durableEvents} durable events, ${f.reconnects} reconnects (${f.staleSockets} found dead by a ping), ${f.refreshes} refreshes, ${f.logins} logins${media}; ${f.disturbed} scripts that chaos came into; something was struck or still to be felt in ${Math.round(f.struckShare * 100)} % of the time`;
}

/** The page. */
export function markdown(outcome) {
    const { figures: f } = outcome;
    const out = [
        '# Soak and chaos',
        '',
        `Made by \`bench/soak --minutes ${outcome.minutes} --users ${outcome.users} --calls-per-minute ${outcome.callsPerMinute} --chaos ${outcome.chaos} --seed ${outcome.seed}\` on ${outcome.started.slice(0, 16).replace('T', ' ')} UTC, commit ${outcome.commit}${outcome.dirty ? ' with changes' : ''}${outcome.sanitized ? ', built with AddressSanitizer' : ''}, ${outcome.host.cores} cores (${outcome.host.cpu}), servers and clients on one machine.`,
        '',
        outcome.clean ? '**All books are clean.**' : '**The books are not clean.**',
        '',
        '| book | | |',
        '|---|---|---|',
        ...outcome.books.map((b) => `| ${b.name} | ${b.ok ? 'ok' : '**not ok**'} | ${b.faults.length ? `${b.faults.length} faults, such as: ${cell(b.faults[0].split('\n')[0])}; else: ` : ''}${cell(b.text)} |`),
        '',
        '## Back to well',
        '',
        'From the begin of the repair (process started again, `SIGCONT`, link restored) to a good round of the probe: `/readyz`, a call over the SFU from its start to both records of its end, and two TURN allocations.' + (outcome.chaos === 'hard' ? ' Troubles overlap here: one may wait for the end of another.' : ''),
        '',
        '| trouble | times | p50 s | max s |',
        '|---|--:|--:|--:|',
        ...Object.entries(outcome.recoveries).map(([kind, r]) => `| ${kind} | ${r.n} | ${seconds(r.p50)} | ${seconds(r.max)} |`),
        '',
        '## Figures',
        '',
        `${figureLine(outcome)}. ${f.seconds ?? 0} s under load, ${f.troubles ?? 0} troubles.`,
        '',
        '| workload | did |',
        '|---|---|',
        ...Object.entries({ ...f.workloads, ...(f.media ? { media: { ...f.media, counted: f.media.counted.intervals } } : {}) }).map(([name, counts]) => `| ${name} | ${Object.entries(counts).map(([k, v]) => `${k} ${v}`).join(', ')} |`),
        '',
    ];
    return out.join('\n');
}

const cell = (text) => text.replaceAll('|', '\\|');
