// What the scripts of calls share: steps that are written down, tried again as a real client tries again, and tidied up after.
import { Lost, Refused } from './device.mjs';
import { poll, sleep } from './time.mjs';

/** A script can't go on: fine while something is broken, a fault when nothing is. */
export class Stuck extends Error {}

const TRIES = 4;

/**
 * One step of a call by a device, written into the ledger. What is lost is tried again on the next socket, `unavailable`
 * after its time. Returns the reply's data; Stuck when it can't be had. `allow`: codes that are an answer too (returned as {refused}).
 */
export async function act(world, callId, what, device, type, data = {}, { allow = [] } = {}) {
    for (let n = 1; ; n++) {
        try {
            const reply = await device.request(type, { callId, ...data });
            world.ledger.step(callId, what, device, true);
            return reply;
        } catch (error) {
            if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
            const lost = error instanceof Lost && !error.message.endsWith('no socket');
            world.ledger.step(callId, what, device, lost ? null : false, error.code);
            if (allow.includes(error.code)) return { refused: error.code };
            const again = error instanceof Lost || ['unavailable', 'sfu_unavailable'].includes(error.code);
            if (!again || n === TRIES) throw new Stuck(`${what} by ${device.label}: ${error.message}`);
            if (error instanceof Lost) await poll(() => device.live, 40_000);
            else await sleep(Math.min(error.retryAfterMs ?? 500, 3000));
        }
    }
}

/** Starts a call; {callId, …reply}. A lost answer is Stuck: the call may exist, and `settle` finds it. */
export async function start(world, device, data, { workload, plan, touched }) {
    let reply;
    try {
        reply = await device.request('call_start', { media: 'audio', ...data }, 8000);
    } catch (error) {
        if (error instanceof Lost || error instanceof Refused) throw new Stuck(`call_start by ${device.label}: ${error.message}`);
        throw error;
    }
    const call = world.ledger.step(reply.callId, reply.joined ? 'accept' : 'start', device, true);
    call.workload ??= workload;
    call.plan ??= plan;
    call.touched ??= touched;
    call.callerId ??= device.person.userId;
    if (reply.group) call.group = true;
    const busy = reply.participants?.some((p) => p.state === 'busy');
    if (busy && !call.group) call.busy = true;
    return reply;
}

/** The devices of a person on which the call rings (each says so, as a client does); waits for the first. Stuck when there is none. */
export async function rings(world, callId, person, ms = 6000) {
    const rang = () => world.ledger.calls.get(callId)?.rings.filter((r) => r.device.person === person && r.device.live).map((r) => r.device) ?? [];
    if (!(await poll(() => rang().length > 0, ms, 10))) throw new Stuck(`no ring at ${person.username}`);
    const devices = [...new Set(rang())];
    for (const device of devices) device.request('call_ringing', { callId }).catch(() => {});
    return devices;
}

/** Waits until each of the people has been told that the call is over. */
export async function ended(world, callId, people, ms = 8000) {
    const late = () => people.filter((p) => !world.ledger.endedFor(callId, p));
    if (!(await poll(() => late().length === 0, ms))) throw new Stuck(`not told of the end: ${late().map((p) => p.username).join(', ')}`);
}

/**
 * Runs one script with these people and tidies up: whatever calls they have open afterwards are hung up, so that nobody
 * takes trouble into the next script. What went wrong is a surprise, unless chaos of what the script hangs on (`touched`)
 * explains it.
 */
export async function runScript(world, workload, people, touched, script) {
    const from = Date.now();
    try {
        await script();
    } catch (error) {
        if (!(error instanceof Stuck) && !(error instanceof Lost) && !(error instanceof Refused)) throw error;
        const entry = { at: Date.now(), from, workload, what: error.message };
        if (world.windows.struck(from, Date.now(), world.windows.of(touched))) world.ledger.disturbed.push(entry);
        else world.ledger.surprises.push(entry);
        await settle(world, people);
    } finally {
        world.people.release(people);
    }
}

/** Ends what these people have open, however long it takes within a minute. */
export async function settle(world, people) {
    const end = Date.now() + 60_000;
    while (Date.now() < end) {
        const open = new Map();
        for (const person of people) {
            const answer = await person.phone.http('GET', '/v1/calls?limit=5').catch(() => null);
            if (answer?.status !== 200) {
                open.set('?', null);
                continue;
            }
            for (const record of answer.body.items) if (record.status !== 'ended') open.set(record.callId, record);
        }
        if (open.size === 0) return;
        for (const [callId, record] of open) if (record) await hangUpAll(world, callId, record, people);
        await sleep(500); // between looks: the records say when a call has ended, and nobody tells of it
    }
}

async function hangUpAll(world, callId, record, people) {
    world.ledger.call(callId).callerId ??= record.initiatorId;
    for (const person of people) {
        const part = record.participants.find((p) => p.userId === person.userId);
        if (!part || !['joined', 'ringing'].includes(part.state)) continue;
        const device = person.devices.find((d) => d.deviceId === part.deviceId && d.live) ?? person.devices.find((d) => d.live);
        if (!device) continue;
        // By what PostgreSQL says now, which a moment later may be otherwise: the books take it as "perhaps".
        const what = part.state === 'ringing' ? 'decline' : record.status === 'ringing' ? 'cancel' : 'hang_up';
        await device
            .request('hang_up', { callId })
            .then(() => world.ledger.step(callId, what, device, part.state === 'joined' && record.status === 'active' ? true : null))
            .catch((error) => world.ledger.step(callId, what, device, error instanceof Lost ? null : false, error.code));
    }
}

/** Runs `script` again and again, `perMinute` times on average with chance between, `most` at once; {stop(), started, skipped}. */
export function pace(world, random, perMinute, most, script) {
    const stopping = new AbortController();
    const state = { started: 0, skipped: 0, running: new Set() };
    const loop = (async () => {
        while (!stopping.signal.aborted) {
            await sleep(random.exponential(60_000 / perMinute), stopping.signal);
            if (stopping.signal.aborted) break;
            if (state.running.size >= most) {
                state.skipped++;
                continue;
            }
            const run = script();
            if (!run) {
                state.skipped++; // nobody was free
                continue;
            }
            state.started++;
            const watched = run.catch((error) => world.fail(error)).finally(() => state.running.delete(watched));
            state.running.add(watched);
        }
    })();
    return {
        ...state,
        get started() {
            return state.started;
        },
        get skipped() {
            return state.skipped;
        },
        /** No new ones; resolves when those that run are done. */
        async stop() {
            stopping.abort();
            await loop;
            await Promise.all(state.running);
        },
    };
}
