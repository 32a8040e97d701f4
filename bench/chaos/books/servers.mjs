// The books of what must be gone when everybody has gone: live calls, rooms, transports, allocations, descriptors, locks.
import { allocationsOf, descriptorsOf } from '../parts.mjs';
import { poll } from '../time.mjs';

/** sfud forgets a connection 30 s after it fell silent. */
const GONE_MS = 45_000;
/** coturn's shortest lifetime of an allocation that nobody gives back. */
const ALLOCATION_S = 600;

/** Waits until the probe's numbers are all 0 (or the time is over) and makes a book of them. */
async function zeroBook(name, ms, probe) {
    let last = {};
    await poll(async () => {
        last = await probe();
        return Object.values(last).every((n) => n === 0);
    }, ms, 500);
    const faults = Object.entries(last).filter(([, n]) => n !== 0).map(([what, n]) => `${what}: ${n}`);
    return { name, ok: faults.length === 0, text: Object.entries(last).map(([what, n]) => `${what} ${n}`).join(', '), faults };
}

const count = async (world, sql) => Number((await world.stack.sql(sql))[0][0]);

export const liveCallsBook = (world) =>
    zeroBook('no live calls', world.graceMs + world.ringMs + 10_000, async () => ({
        'ringing in signald': await world.metric('sotto_calls', 'state="ringing"'),
        'active in signald': await world.metric('sotto_calls', 'state="active"'),
        'writes waiting': await world.metric('sotto_call_writes_waiting'),
        'open in PostgreSQL': await count(world, "SELECT count(*) FROM calls WHERE status <> 'ended'"),
        'people in ended calls': await count(world, "SELECT count(*) FROM call_participants p JOIN calls c ON c.id = p.call_id WHERE c.status = 'ended' AND p.state IN ('joined', 'ringing')"),
    }));

export const sfuBook = (world) =>
    zeroBook('sfud', GONE_MS, async () => ({ rooms: await world.sfuMetric('sotto_sfu_rooms'), transports: await world.sfuMetric('sotto_sfu_transports') }));

export const socketsBook = (world) => zeroBook('sockets', 10_000, async () => ({ 'sockets in signald': await world.metric('sotto_sockets') }));

/** Who may connect is signald, with as many as it had before anybody came. */
export async function databaseBook(world, baseline) {
    let last;
    const faultsOf = async () => {
        last = await databaseState(world);
        return [
            last.idleInTransaction > 0 && `${last.idleInTransaction} idle in transaction`,
            last.waiting > 0 && `${last.waiting} locks waited for`,
            last.prepared > 0 && `${last.prepared} prepared transactions`,
            last.connections !== baseline.connections && `${last.connections} connections, ${baseline.connections} at the begin`,
        ].filter(Boolean);
    };
    await poll(async () => (await faultsOf()).length === 0, 10_000, 500);
    const faults = await faultsOf();
    return { name: 'PostgreSQL', ok: faults.length === 0, text: `${last.connections} connections as at the begin, nothing idle in a transaction, no lock waited for`, faults };
}

export async function databaseState(world) {
    const mine = 'pid <> pg_backend_pid() AND backend_type = \'client backend\'';
    return {
        connections: await count(world, `SELECT count(*) FROM pg_stat_activity WHERE ${mine}`),
        idleInTransaction: await count(world, `SELECT count(*) FROM pg_stat_activity WHERE ${mine} AND state LIKE 'idle in transaction%'`),
        waiting: await count(world, 'SELECT count(*) FROM pg_locks WHERE NOT granted'),
        prepared: await count(world, 'SELECT count(*) FROM pg_prepared_xacts'),
    };
}

/** Allocations that are left must be among those that clients could not give back, and expire by themselves. */
export async function allocationsBook(world, abandoned) {
    const [low, high] = [world.stack.base + 100, world.stack.base + 299];
    const left = () => allocationsOf(world.parts.pid('coturn'), low, high);
    await poll(() => left() === 0, abandoned > 0 ? 0 : 10_000, 500);
    const n = left();
    const faults = n > abandoned ? [`${n} allocations are left; ${abandoned} could not be given back`] : [];
    const text = n === 0 ? 'no allocation is left' : `${n} allocations of ${abandoned} that chaos kept clients from giving back; they expire within ${ALLOCATION_S} s`;
    return { name: 'coturn', ok: faults.length === 0, text, faults };
}

/** Open descriptors now and when nobody had come yet, of what serves clients. */
export async function descriptorsBook(world, baseline) {
    const parts = ['signald', 'sfud', 'coturn'];
    const now = () => Object.fromEntries(parts.map((part) => [part, descriptorsOf(world.parts.pid(part))]));
    const over = () => parts.filter((part) => now()[part] > baseline[part]);
    await poll(() => over().length === 0, 20_000, 500);
    const end = now();
    const faults = over().map((part) => `${part} has ${end[part]} descriptors, ${baseline[part]} at the begin`);
    return { name: 'descriptors', ok: faults.length === 0, text: parts.map((part) => `${part} ${baseline[part]} → ${end[part]}`).join(', '), faults };
}
