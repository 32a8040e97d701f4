// All books at the end of a soak, in the order in which they can be closed.
import { descriptorsOf, memoryOf, PARTS } from '../parts.mjs';
import { poll } from '../time.mjs';
import { callBook } from './calls.mjs';
import { inboxBook } from './inbox.mjs';
import { logBook } from './logs.mjs';
import { memoryBook } from './memory.mjs';
import { ringBook } from './rings.mjs';
import { allocationsBook, databaseBook, databaseState, descriptorsBook, liveCallsBook, sfuBook, socketsBook } from './servers.mjs';

const SYNC_MS = 20_000;

/** What the books compare with at the end: before anybody came. */
export async function baseline(world) {
    return {
        database: await databaseState(world),
        descriptors: Object.fromEntries(['signald', 'sfud', 'coturn'].map((part) => [part, descriptorsOf(world.parts.pid(part))])),
    };
}

const ms = (seconds) => Math.round(Number(seconds) * 1000);
const PAGE = 5000;

/** All rows of a query by its first column, page by page (psql's answers must fit into a buffer). */
async function pages(world, select, key, order = key) {
    const rows = [];
    for (let n = 0; ; n += PAGE) {
        const page = await world.stack.sql(`${select} ORDER BY ${order} LIMIT ${PAGE} OFFSET ${n}`);
        rows.push(...page);
        if (page.length < PAGE) return rows;
    }
}

export async function callRows(world) {
    const rows = await pages(world, 'SELECT id, status, reason, extract(epoch FROM started_at), extract(epoch FROM ended_at) FROM calls', 'id');
    return rows.map(([id, status, reason, started, ended]) => ({ id, status, reason, startedAt: ms(started), endedAt: ended ? ms(ended) : null }));
}

async function inboxRows(world) {
    const rows = await pages(world, "SELECT user_id, cursor, device_id, type, data->>'callId' FROM inbox", 'user_id', 'user_id, cursor');
    const byUser = new Map();
    for (const [userId, cursor, deviceId, type, callId] of rows) {
        if (!byUser.has(userId)) byUser.set(userId, []);
        byUser.get(userId).push({ cursor: Number(cursor), deviceId: deviceId || null, type, callId: callId || null });
    }
    return byUser;
}

async function rung(world) {
    const rows = await pages(world, 'SELECT call_id, device_id FROM call_devices', 'call_id', 'call_id, device_id');
    return rows.map(([callId, deviceId]) => ({ callId, deviceId }));
}

function surprisesBook(world) {
    const { surprises, disturbed, notes } = world.ledger;
    const quiet = notes.filter((n) => !world.windows.struck(n.at - 2000, n.at));
    const faults = [...surprises.map((s) => `${s.workload}: ${s.what}`), ...quiet.map((n) => `${n.kind}: ${n.text}`), ...world.failures.map((e) => e.stack ?? e.message)];
    return { name: 'scripts', ok: faults.length === 0, text: `every script went as written, but for ${disturbed.length} that chaos came into`, faults };
}

/**
 * Closes the books: first what needs everybody connected, then everybody goes, then what must be gone.
 * `step` tells which is waited for.
 */
export async function closeBooks(world, { before, samples, workloads, sanitized, step }) {
    const books = [];
    const add = (book) => books.push(book);
    step('waiting for the last calls to end');
    add(await liveCallsBook(world));
    step('waiting for every inbox to be read');
    const { windows, ledger, people } = world;
    const inbox = async () => inboxBook({ devices: people.devices(), gone: people.gone, rows: await inboxRows(world) });
    let durable = await inbox();
    await poll(async () => (durable = await inbox()).ok, SYNC_MS, 1000);
    const rows = await callRows(world);
    const devices = [...people.devices(), ...people.gone];
    add(callBook({ calls: ledger.calls, rows, windows }));
    add(ringBook({ calls: ledger.calls, rows, expected: await rung(world), devices, windows }));
    add(durable);
    for (const workload of workloads) for (const book of await workload.books()) add(book);
    if (world.media) for (const book of await world.media.books(windows)) add(book);
    add(surprisesBook(world));

    step('everybody goes');
    await people.close();
    add(await socketsBook(world));
    add(await sfuBook(world));
    add(await allocationsBook(world, workloads.reduce((n, w) => n + (w.figures().abandoned ?? 0), 0)));
    add(await descriptorsBook(world, before.descriptors));
    add(await databaseBook(world, before.database));
    samples.stop();
    const ends = Object.fromEntries(PARTS.map((part) => [part, { pid: world.parts.pid(part), bytes: memoryOf(part, world.parts.pid(part)) }]));
    add(memoryBook({ processes: samples.processes, ends, sanitized }));
    return books;
}

/** The last one, when all servers have been stopped: what they wrote down, on their way out as well. */
export function closeLogs(world, { since, until }) {
    return logBook({ logs: Object.fromEntries(PARTS.map((part) => [part, world.log(part)])), windows: world.windows, since, until });
}
