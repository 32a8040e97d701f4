// The book of logs: no warnings and errors but those that chaos explains, and nothing from a sanitizer.
import { readFileSync, readdirSync } from 'node:fs';
import { AFTERMATH_MS } from '../windows.mjs';

const any = () => true;
const of = (...targets) => (w) => targets.includes(w.target);

/**
 * What may be in a log: `explains` says which events of chaos make it right (a line must lie in such an event's window);
 * without it the line is right at any time, for the reason in `why`.
 */
export const EXPLAINED = [
    { part: 'signald', pattern: /\b(pg_|postgres|database|inbox_(read|pull)_failed|ack_failed|call_write|call_stray)/, explains: of('postgres', 'signald'), why: 'PostgreSQL was away or slow' },
    { part: 'signald', pattern: /\b(sfu_|link_)/, explains: of('sfud', 'link', 'signald'), why: 'the control link was cut, or sfud away' },
    { part: 'sfud', pattern: /\b(signald|link)/, explains: of('signald', 'link', 'sfud'), why: 'the control link was cut, or signald away' },
    { part: 'signald', pattern: /\brefresh_token_reused\b/, explains: any, why: 'an answer was lost and the client asked again' },
];

const schema = new URL('../../../schema/', import.meta.url);
const messages = readdirSync(schema).flatMap((file) => [...readFileSync(new URL(file, schema), 'utf8').matchAll(/MESSAGE = '(\w+)'/g)].map((m) => m[1]));
/** PostgreSQL writes down every error that our functions raise on purpose: each becomes an answer to a client. */
const RAISED = new RegExp(`ERROR: {2}(${[...new Set(messages)].join('|')})$`);
const POSTGRES_CHAOS = /(terminating connection|the database system is (starting up|shutting down|in recovery|not yet accepting connections)|database "sotto" already exists|canceling|connection to client lost|could not (send|receive) data|lock file|database system was (interrupted|not properly shut down)|terminating any other active|automatic recovery|due to unexpected postmaster exit)/;

const SANITIZER = /(ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer)/;

/** Ms of a line's own time; NaN for a line without. */
const timeOf = (line) => Date.parse(/^\d{4}-\d\d-\d\dT[\d:.]+Z/.exec(line)?.[0] ?? '');
const postgresTime = (line) => Date.parse((/^\d{4}-\d\d-\d\d [\d:.]+ (UTC|GMT)/.exec(line)?.[0] ?? '').replace(/ (UTC|GMT)/, 'Z').replace(' ', 'T'));

/**
 * `logs`: { part: text }; windows as ever. Before `since` the stack was being set up, after `until` it was being stopped:
 * there only what a sanitizer says counts.
 */
export function logBook({ logs, windows, since = 0, until = Infinity }) {
    const faults = [];
    const explained = new Map();
    for (const [part, text] of Object.entries(logs)) {
        for (const line of text.split('\n')) {
            const why = part === 'postgres' ? judgePostgres(line, windows) : part === 'coturn' ? null : judge(part, line, windows);
            if (why?.fault && !SANITIZER.test(line) && (why.at < since || why.at > until)) continue;
            if (why?.fault) faults.push(`${part}: ${line.slice(0, 240)}`);
            else if (why) explained.set(why.explained, (explained.get(why.explained) ?? 0) + 1);
        }
    }
    const told = [...explained].map(([why, n]) => `${n} (${why})`).join(', ');
    return { name: 'logs', ok: faults.length === 0, text: `no warning or error that nothing explains${told ? `; explained: ${told}` : ''}`, faults };
}

function judge(part, line, windows) {
    if (SANITIZER.test(line)) return { fault: true };
    if (!/^\S+ (WARN|ERROR)\s/.test(line)) return null;
    const at = timeOf(line);
    const near = (w) => w.from - 1000 <= at && (w.wellAt === null || at <= w.wellAt + AFTERMATH_MS[w.target]);
    const rule = EXPLAINED.find((r) => r.part === part && r.pattern.test(line) && windows.list.some((w) => r.explains(w) && near(w)));
    return rule ? { explained: rule.why } : { fault: true, at };
}

function judgePostgres(line, windows) {
    if (!/\b(ERROR|FATAL|PANIC): /.test(line)) return null;
    if (RAISED.test(line)) return { explained: 'raised by our own SQL functions' };
    const at = postgresTime(line);
    const near = windows.list.some((w) => ['postgres', 'signald'].includes(w.target) && w.from - 1000 <= at && (w.wellAt === null || at <= w.wellAt + AFTERMATH_MS[w.target]));
    return POSTGRES_CHAOS.test(line) && near ? { explained: 'PostgreSQL or signald went or came' } : { fault: true, at };
}
