// One sfud under load for a long time, while people join and leave, change their address, and restart ICE: is anything lost,
// does anything grow, is anything left behind?
import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { rssOf, until } from './proc.mjs';
import { SOURCE, Scene, cpuClock, lossesSince } from './sfu_load.mjs';

/** People on stages only send or only watch; in the meeting everybody does both. */
const STAGES = ['stage 1', 'stage 2', 'stage 3'];
const MEETING = { room: 'meeting', people: 6 };
const STEP = 24;
const MOST = 2400;
/** Of one core: beyond that the load client is what gives way. */
const GENERATOR_MOST = 0.8;
/** What the server hears of those who just left: their last reports, from addresses that it forgot. No loss. */
const AFTERWORDS = /unknown_address/;

/** Of the time that the server was ready to run, others may have had its core for so much of it where loss is judged. */
const KEPT_MOST = 0.1;

/** Nobody is let in by a server that is overloaded: that is its right, and told. */
const isRefused = (error) => /\b(limit|overloaded)\b/.test(`${error.message} ${error.code}`);

/** Numbers from a seed: `next()` in [0, 1). */
export function dice(seed) {
    let state = seed >>> 0 || 1;
    const next = () => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        state >>>= 0;
        return state / 2 ** 32;
    };
    return { next, pick: (list) => list[Math.floor(next() * list.length)], wait: (mean) => -Math.log(1 - next()) * mean };
}

/** Seconds that the processes' threads were ready to run and had no core: others had it. */
function delayOf(pids) {
    const tasks = pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((task) => `/proc/${pid}/task/${task}/schedstat`));
    try {
        return tasks.reduce((sum, file) => sum + Number(readFileSync(file, 'utf8').split(' ')[1]), 0) / 1e9;
    } catch {
        return 0; // no schedstat in this kernel, or a thread that has just ended
    }
}

/**
 * How many watchers to add next: half of what the load still lacks by what the present ones make, so that the one build's
 * hundreds and a sanitized one's dozens are found in a few steps. Who just came isn't sent everything yet, hence half.
 */
export function stepOf(watchers, { server, generator }, load) {
    const lacks = Math.min((load - server) / Math.max(server, 0.01), (GENERATOR_MOST - generator) / Math.max(generator, 0.01));
    const n = Math.min(10 * STEP, Math.max(STEP, (watchers * lacks) / 2));
    return Math.floor(n / STAGES.length) * STAGES.length;
}

/** What happens, and how often of a hundred. A leave and a join go together, so that the load and what it needs stay the same. */
const OPS = [['swap', 40], ['move', 30], ['restart', 25], ['person', 5]];

/** The next thing to happen. */
export function pickOp(random) {
    let n = random.next() * OPS.reduce((sum, [, share]) => sum + share, 0);
    return OPS.find(([, share]) => (n -= share) < 0)?.[0] ?? 'swap';
}

/** Bytes a second that a line through the samples rises, least squares; samples: [{s, bytes}]. */
export function slopeOf(samples) {
    const n = samples.length;
    const mean = (read) => samples.reduce((sum, it) => sum + read(it), 0) / n;
    const [ms, mb] = [mean((it) => it.s), mean((it) => it.bytes)];
    const over = samples.reduce((sum, it) => sum + (it.s - ms) * (it.bytes - mb), 0);
    const under = samples.reduce((sum, it) => sum + (it.s - ms) ** 2, 0);
    return under > 0 ? over / under : 0;
}

/** A shorter run says nothing about memory: who is there moves it by a few percent. */
const JUDGED_S = 300;

/** Is the memory flat? The first fifth is the run's beginning and isn't judged. */
export function memoryVerdict(samples, seconds) {
    const rest = samples.filter((it) => it.s >= seconds / 5);
    const mib = (bytes) => (bytes / 2 ** 20).toFixed(2);
    if (seconds < JUDGED_S) return { judged: false, text: `${mib(rest[0]?.bytes ?? 0)} MiB → ${mib(rest.at(-1)?.bytes ?? 0)} MiB, not judged in less than ${JUDGED_S / 60} minutes` };
    const rise = slopeOf(rest) * (rest.at(-1).s - rest[0].s);
    const allowed = Math.max(2 ** 20, 0.03 * rest[0].bytes);
    return { judged: true, flat: rise <= allowed, rise, text: `${mib(rest[0].bytes)} MiB → ${mib(rest.at(-1).bytes)} MiB, the line through ${rest.length} samples rises ${mib(rise)} MiB (at most ${mib(allowed)})` };
}

/**
 * What came since the last account, and gaps that nobody who moved explains.
 * @param {object[]} endpoints as the load client tells them
 * @param {Set<number>} moved who changed their address in this period or the one before
 * @param {Map<number, object>} before what was told of each the last time; brought up to date
 */
export function gapsOf(endpoints, moved, before) {
    const out = { gaps: [], packets: 0, excused: 0, dropped: 0, wrong: 0 };
    for (const { ep, received: r, dropped } of endpoints) {
        if (!r) continue;
        const now = { missing: r.lost + r.repaired, wrong: r.bad_tag + r.bad_payload, packets: r.packets, dropped };
        const was = before.get(ep) ?? { missing: 0, wrong: 0, packets: 0, dropped: 0 };
        before.set(ep, now);
        const missing = now.missing - was.missing;
        const full = Math.max(0, now.dropped - was.dropped); // a new socket counts from 0
        out.wrong += now.wrong - was.wrong;
        out.packets += now.packets - was.packets;
        out.dropped += full;
        if (missing > 0 && (moved.has(ep) || full > 0)) out.excused += missing;
        else if (missing > 0) out.gaps.push({ ep, missing });
    }
    return out;
}

export class Endurance {
    counts = { swap: 0, move: 0, restart: 0, person: 0 };
    faults = [];
    losses = [];
    unjudged = [];
    memory = [];
    gaps = 0;
    packets = 0;
    excused = 0;
    dropped = 0;
    wrong = 0;
    refused = 0;
    #moved = [new Set(), new Set()]; // in this period, in the one before
    #busy = new Set(); // endpoints with whom something is being done
    #under = new Set(); // what is under way
    #before = new Map();
    #leaving = new Set(); // the server tells them that they are gone before the load client closes them
    #there = new Set(); // connected: who is still coming isn't moved, restarted or made to leave

    constructor(ctx, options) {
        Object.assign(this, { ctx, options, random: dice(options.seed) });
    }

    fault(text) {
        if (this.faults.length < 50) this.faults.push(text);
    }

    /** A fault, unless the server turns out to have been kept from its core (`excuse`). */
    loss(text) {
        if (this.losses.length < 50) this.losses.push(text);
    }

    /**
     * A sanitized server on a host that others load has no time to empty its receive buffer: what it lost then says nothing.
     * A build as users have it is judged anyway, but by --smoke, which asks for no speed.
     */
    excuse(sanitized) {
        this.unjudged = this.options.smoke || (sanitized && this.kept > KEPT_MOST) ? this.losses : [];
        if (this.unjudged.length === 0) for (const text of this.losses) this.fault(text);
    }

    /** Server, load client, everybody there, and as many watchers as make the load. */
    async open() {
        const scene = (this.scene = await Scene.open('ours', this.ctx));
        for (const room of STAGES) await scene.publish(room, 1);
        await scene.publish(MEETING.room, MEETING.people);
        await scene.meet(MEETING.room);
        this.people = new Map(scene.publishers.get(MEETING.room).map((ep) => [ep, scene.subscribers.find((s) => s.room === MEETING.room && !s.from.includes(ep)).ep]));
        await scene.send(SOURCE);
        for (let n = 0, more = STEP; n < MOST; n += more) {
            try {
                await Promise.all(STAGES.map((room) => scene.subscribe(room, more / STAGES.length)));
            } catch (error) {
                if (!isRefused(error)) throw error;
                this.refused++;
                break;
            }
            const { server, generator } = await this.#load(1);
            this.ctx.step(`${scene.subscribers.length} watch: the server's core is ${(100 * server).toFixed(0)} % busy, the generator's ${(100 * generator).toFixed(0)} %`);
            if (generator > GENERATOR_MOST) this.limited = true;
            if (server >= this.options.load || generator > GENERATOR_MOST) break;
            more = stepOf(scene.subscribers.length, { server, generator }, this.options.load);
        }
        await scene.flowing();
        await scene.whole(20_000);
        this.settled(scene.all);
        scene.load.on('failed', ({ ep, why }) => this.#leaving.has(ep) || this.fault(`endpoint ${ep} failed: ${why}`));
    }

    /** These are connected; from now on things happen to them. */
    settled(eps) {
        for (const ep of eps) this.#there.add(ep);
    }

    /** These are about to go: nothing happens to them any more, and that they end is no fault. */
    #goes(eps) {
        for (const ep of eps) {
            this.#there.delete(ep);
            this.#leaving.add(ep);
        }
    }

    async #load(seconds) {
        const { load, driver } = this.scene;
        await load.mark();
        const cpu = cpuClock(driver.pids);
        await this.scene.wait(seconds);
        const stats = await load.stats();
        return { server: cpu() / stats.window_s, generator: stats.cpu_s / stats.window_s };
    }

    /** Runs for the time; gives the account. */
    async run() {
        const { driver, load } = this.scene;
        const { seconds, period } = this.options;
        await this.scene.wait(2); // what joining lost is settled
        this.before = await driver.losses();
        const started = Date.now();
        const end = started + seconds * 1000;
        const kept = delayOf(driver.pids);
        await load.mark();
        this.#cpu = cpuClock(driver.pids);
        const ops = this.#happenings(end);
        ops.catch(() => {}); // awaited below, but for an interruption
        while (Date.now() < end) {
            await sleep(Math.min(period * 1000, Math.max(1, end - Date.now())), undefined, { signal: this.ctx.signal });
            await this.#look((Date.now() - started) / 1000);
        }
        await ops;
        await Promise.all(this.#under);
        await this.scene.wait(2); // what is missing now is settled
        await this.#look((Date.now() - started) / 1000);
        this.seconds = (Date.now() - started) / 1000;
        this.load = this.#cpu() / this.seconds;
        this.kept = (delayOf(driver.pids) - kept) / this.seconds;
    }
    #cpu;

    /** A period's account. */
    async #look(s) {
        const stats = await this.scene.load.stats({ eps: true });
        const { gaps, packets, excused, dropped, wrong } = gapsOf(stats.endpoints, new Set([...this.#moved[0], ...this.#moved[1]]), this.#before);
        this.#moved = [new Set(), this.#moved[0]];
        const missing = gaps.reduce((sum, g) => sum + g.missing, 0);
        if (missing > 0) this.loss(`${missing} packets missing at ${gaps.length} endpoints that had not moved (${gaps.slice(0, 5).map((g) => g.ep).join(', ')}…), ${s.toFixed(0)} s into the run`);
        this.gaps += missing;
        this.packets += packets;
        this.excused += excused;
        this.dropped += dropped;
        this.wrong += wrong;
        this.memory.push({ s, bytes: rssOf(this.scene.driver.pids) });
        const done = Object.entries(this.counts).map(([what, n]) => `${n} ${what}s`).join(', ');
        this.ctx.step(`${s.toFixed(0)} of ${this.options.seconds} s: ${done}; ${this.packets} packets, ${this.gaps} missing; ${(this.memory.at(-1).bytes / 2 ** 20).toFixed(1)} MiB`);
    }

    async #happenings(end) {
        while (Date.now() < end) {
            await sleep(Math.min(this.random.wait(60_000 / this.options.rate), Math.max(1, end - Date.now())), undefined, { signal: this.ctx.signal });
            if (Date.now() >= end) return;
            const what = pickOp(this.random);
            const one = this.#happen(what).then(
                () => this.counts[what]++,
                (error) => this.fault(`${what}: ${error.message.split('\n')[0]}`),
            ).finally(() => this.#under.delete(one));
            this.#under.add(one);
        }
    }

    /** An endpoint of these with whom nothing else is being done, for as long as `fn` takes. */
    async #with(eps, fn) {
        const ep = this.random.pick(eps.filter((it) => this.#there.has(it) && !this.#busy.has(it)));
        if (ep === undefined) return;
        this.#busy.add(ep);
        try {
            await fn(ep);
        } finally {
            this.#busy.delete(ep);
        }
    }

    #happen(what) {
        const { scene } = this;
        const watchers = scene.subscribers.filter((s) => s.room !== MEETING.room);
        const all = scene.all;
        if (what === 'swap') return this.#with(watchers.map((s) => s.ep), (ep) => this.#swap(ep, watchers.find((s) => s.ep === ep).room));
        if (what === 'move') return this.#with(all, (ep) => this.#move(ep));
        if (what === 'restart') return this.#with(all, (ep) => this.#restart(ep));
        return this.#with([...this.people.keys()], (ep) => this.#person(ep));
    }

    /** One leaves, another joins. */
    async #swap(ep, room) {
        this.#goes([ep]);
        await this.scene.part([ep]);
        try {
            this.settled(await this.scene.subscribe(room, 1));
        } catch (error) {
            if (!isRefused(error)) throw error;
            this.refused++;
        }
    }

    async #move(ep) {
        this.#moved[0].add(ep);
        await this.scene.load.move(ep);
        this.#moved[0].add(ep); // the period may have ended meanwhile
    }

    #restart(ep) {
        const { scene } = this;
        const room = [...scene.publishers].find(([, eps]) => eps.includes(ep))?.[0];
        const subscription = scene.subscribers.find((s) => s.ep === ep);
        if (!room && !subscription) return undefined; // left meanwhile
        const member = [...this.people].find(([, watches]) => watches === ep)?.[0] ?? ep;
        return scene.driver.restart(scene.load, ep, room ?? subscription.room, { which: room ? 'publish' : 'subscribe', member });
    }

    /** Somebody leaves the meeting with both of his connections, and another comes. */
    async #person(ep) {
        const { scene, people } = this;
        const watches = people.get(ep);
        if (this.#busy.has(watches)) return;
        this.#busy.add(watches);
        this.#goes([ep, watches]);
        people.delete(ep);
        scene.publishers.set(MEETING.room, scene.publishers.get(MEETING.room).filter((it) => it !== ep));
        scene.subscribers = scene.subscribers.filter((s) => s.ep !== watches);
        await scene.driver.leave(scene.load, ep, MEETING.room);
        await scene.load.close([ep, watches]);
        this.#busy.delete(watches);
        const [newcomer] = await scene.publish(MEETING.room, 1).catch((error) => {
            if (!isRefused(error)) throw error;
            this.refused++;
            return [];
        });
        if (newcomer === undefined) return;
        const viewer = scene.number();
        await scene.join(MEETING.room, viewer, { member: newcomer, from: [...people.keys()] });
        await scene.load.connected(viewer);
        people.set(newcomer, viewer);
        this.settled([newcomer, viewer]);
        await scene.load.send([newcomer], SOURCE);
    }

    /** Everybody leaves; then the books. */
    async close({ judgeMemory }) {
        const { scene } = this;
        const inside = Object.entries(lossesSince(this.before, await scene.driver.losses()));
        for (const [where, n] of inside.filter(([it]) => !AFTERWORDS.test(it))) this.loss(`lost in the server: ${n} by ${where}`);
        if (this.wrong > 0) this.fault(`${this.wrong} packets that were not what was sent`);
        this.ctx.step('everybody leaves');
        this.#goes(scene.all);
        for (const [room, eps] of scene.publishers) for (const ep of eps) await scene.driver.leave(scene.load, ep, room);
        await scene.part(scene.subscribers.map((s) => s.ep));
        const left = await until('the server is empty', async () => {
            const { rooms, transports } = await scene.driver.stats();
            return rooms + transports === 0 && { rooms, transports };
        }, 10_000).catch(() => scene.driver.stats());
        if (left.rooms + left.transports > 0) this.fault(`left behind: ${left.rooms} rooms, ${left.transports} transports`);
        const memory = memoryVerdict(this.memory, this.options.seconds);
        if (judgeMemory && memory.judged && !memory.flat) this.fault(`memory grows: ${memory.text}`);
        return { left, memory: memory.text, inside: Object.fromEntries(inside) };
    }
}
