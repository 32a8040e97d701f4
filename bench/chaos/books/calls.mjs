// The book of calls: what clients saw against the records in PostgreSQL.

/** A told end and its row are written within this of each other when nothing is the matter. */
const WRITE_MS = 3000;

/**
 * Which reasons a call's record may have, by what the clients did and were answered: a Map of reason → why. Without an
 * event of chaos while it lived, and with every answer received, there is exactly one.
 */
export function allowedReasons(call, windows) {
    const allowed = new Map();
    const allow = (reason, why) => allowed.has(reason) || allowed.set(reason, why);
    const sure = (...whats) => call.steps.some((s) => whats.includes(s.what) && s.ok === true);
    const perhaps = (...whats) => call.steps.some((s) => whats.includes(s.what) && s.ok === null);
    const answered = sure('accept', 'join');

    if (answered) allow('completed', 'somebody answered');
    else if (call.busy) allow('busy', 'the callee was in another call');
    else if (sure('cancel')) allow('cancelled', 'the caller hung up');
    else if (sure('decline')) allow('declined', 'a callee declined');
    else allow('missed', 'nobody answered');

    if (!answered) {
        if (perhaps('accept', 'join')) allow('completed', 'an accept whose answer was lost may have been done');
        if (perhaps('decline')) allow('declined', 'a decline whose answer was lost may have been done');
        if (perhaps('cancel', 'hang_up')) allow('cancelled', 'a hang-up whose answer was lost may have been done');
        if (perhaps('hang_up', 'cancel') && perhaps('accept', 'join')) allow('completed', 'answered and hung up, both unanswered');
    }
    const struck = windows.during(call.firstAt - 1000, call.lastAt, windows.of(call.touched));
    if (struck.length === 0) return allowed;
    const what = struck.map((w) => w.kind).join(', ');
    allow('failed', `somebody may have been away for longer than the grace, or the SFU not there: ${what}`);
    if (!call.steps.some((s) => s.what === 'start' && s.ok)) allow('busy', `who started it was never answered: ${what}`);
    if (unwritten(call.steps.filter((s) => ['decline', 'cancel', 'hang_up'].includes(s.what)).map((s) => s.at), windows)) {
        if (!answered) allow('missed', 'signald was killed between telling the end and writing it');
    }
    return allowed;
}

/** True when signald was killed before what happened at one of these times can be taken as written. */
function unwritten(times, windows) {
    return times.some((at) =>
        windows.list.some((w) => w.kind === 'kill signald' && w.from >= at - WRITE_MS && (w.from <= at + WRITE_MS || databaseAway(at, w.from, windows))),
    );
}

const databaseAway = (from, to, windows) => windows.during(from, to, (w) => w.target === 'postgres').some((w) => w.from <= from && (w.wellAt ?? Infinity) >= to);

/**
 * `calls`: the ledger's; `rows`: [{ id, status, reason }] of PostgreSQL; `windows`. One book line.
 */
export function callBook({ calls, rows, windows }) {
    const faults = [];
    const byId = new Map();
    for (const row of rows) {
        if (byId.has(row.id)) faults.push(`${row.id} has two records`);
        byId.set(row.id, row);
        if (!calls.has(row.id) && !windows.struck(row.startedAt - 2000, row.startedAt + 2000)) faults.push(`${row.id} is a record of a call that no client saw`);
    }
    const reasons = {};
    let explained = 0;
    for (const call of calls.values()) {
        const row = byId.get(call.callId);
        if (!row) faults.push(`${call.callId} (${call.plan ?? 'seen'}) has no record`);
        else if (row.status !== 'ended') faults.push(`${call.callId} (${call.plan ?? 'seen'}) is still ${row.status}`);
        else {
            reasons[row.reason] = (reasons[row.reason] ?? 0) + 1;
            const allowed = allowedReasons(call, windows);
            if (!allowed.has(row.reason)) faults.push(`${call.callId} (${call.plan ?? 'seen'}) ended as ${row.reason}; clients saw ${[...allowed.keys()].join(' or ')}: ${steps(call)}`);
            else if ([...allowed.keys()][0] !== row.reason) explained++;
            faults.push(...told(call, row, windows));
        }
    }
    const text = Object.entries(reasons).sort().map(([r, n]) => `${n} ${r}`).join(', ');
    return { name: 'call records', ok: faults.length === 0, text: `${calls.size} calls seen, ${rows.length} records, each ended once: ${text}${explained ? `; ${explained} explained by chaos` : ''}`, faults };
}

const steps = (call) => call.steps.map((s) => `${s.what} ${s.ok === true ? 'ok' : s.ok === null ? 'lost' : s.code ?? 'no'}`).join(', ') || 'no steps';

/** Whoever was told an end was told the record's, unless signald was killed in between (only of what is told at once). */
function told(call, row, windows) {
    const wrong = call.ends.filter((e) => e.reason !== row.reason && (e.cursor || !unwritten([e.at], windows)));
    return wrong.map((e) => `${call.callId}: ${e.device.label} was told ${e.reason}, the record says ${row.reason}`);
}
