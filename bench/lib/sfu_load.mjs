// What the sfu-* scenarios share: a scene of publishers and subscribers on any of the servers, and a measured window of it.
import { setTimeout as sleep } from 'node:timers/promises';
import { readFileSync, readdirSync } from 'node:fs';
import { Load } from './load.mjs';
import { cpuOf, rssOf } from './proc.mjs';

/** What a camera and a microphone send: 1.5 Mbit/s of VP8 at 30 frames/s and Opus, 231 packets/s. */
export const SOURCE = { video_kbps: 1500, fps: 30, packet_bytes: 1100, keyframe_interval_ms: 0, audio: true };

/** Connecting so many at once at most, so that no handshake waits so long that it is sent again. */
const CONNECT_AT_ONCE = 25;
const CONNECT_MS = 90_000;

/** Starts the server of a contender; it is stopped with the measurement. */
export async function startServer(contender, ctx) {
    const [kind, variant] = contender.split('-');
    const { start } = await import(`./sfu_${kind}.mjs`);
    const profile = ctx.params?.profile ? { profile: ctx.params.profile } : {};
    const driver = await start(ctx, kind === 'janus' ? { variant: variant ?? 'tuned', ...profile } : profile);
    ctx.defer(() => driver.stop());
    return driver;
}

/** Nanoseconds that the threads of these processes have run, as the scheduler knows it; ended threads are not in it. */
function runNs(pids) {
    let ns = 0;
    for (const pid of pids) {
        for (const task of readdirSync(`/proc/${pid}/task`)) {
            try {
                ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
            } catch {
                // the thread ended meanwhile
            }
        }
    }
    return ns;
}

/**
 * A clock of the processes' CPU time: call it to get the seconds since it was made. The scheduler's nanoseconds are taken
 * where they are known and agree with the ticks of /proc/PID/stat (a thread that ended is in those only).
 */
export function cpuClock(pids) {
    const ticks = cpuOf(pids);
    let ns = null;
    try {
        ns = runNs(pids);
    } catch {
        // no schedstat in this kernel
    }
    return () => {
        const coarse = cpuOf(pids) - ticks;
        const fine = ns === null ? NaN : (runNs(pids) - ns) / 1e9;
        return Math.abs(fine - coarse) <= 0.03 + 0.02 * coarse ? fine : coarse;
    };
}

/** Endpoints on one server: who publishes where, who sees whom. */
export class Scene {
    #next = 1;
    /** room → endpoints that publish */
    publishers = new Map();
    subscribers = [];

    constructor(ctx, driver, load) {
        Object.assign(this, { ctx, driver, load });
    }

    /** Server and load client of a contender. */
    static async open(contender, ctx) {
        ctx.step?.('starting the server');
        const driver = await startServer(contender, ctx);
        const load = await Load.start(ctx);
        ctx.defer(() => load.stop());
        return new Scene(ctx, driver, load);
    }

    get all() {
        return [...this.publishers.values()].flat().concat(this.subscribers.map((s) => s.ep));
    }

    /** A number for one more endpoint. */
    number() {
        return this.#next++;
    }

    /** n endpoints publish in the room, and are connected. */
    async publish(room, n, opts = {}) {
        const eps = Array.from({ length: n }, () => this.number());
        this.publishers.set(room, [...(this.publishers.get(room) ?? []), ...eps]);
        try {
            await this.#connect(eps, (ep) => this.driver.publish(this.load, ep, room, opts));
        } catch (error) {
            this.publishers.set(room, this.publishers.get(room).filter((ep) => !eps.includes(ep)));
            throw error;
        }
        return eps;
    }

    /** n more subscribers see all who publish in the room, and are connected. */
    async subscribe(room, n, opts = {}) {
        const eps = Array.from({ length: n }, () => this.number());
        await this.#connect(eps, (ep) => this.join(room, ep, opts));
        return eps;
    }

    /** Everybody who publishes in the room sees all the others. */
    async meet(room, opts = {}) {
        const members = this.publishers.get(room);
        const viewers = new Map(members.map((member) => [this.number(), member]));
        await this.#connect([...viewers.keys()], (ep) => {
            const member = viewers.get(ep);
            return this.join(room, ep, { member, from: members.filter((other) => other !== member), ...opts });
        });
    }

    /** One endpoint subscribes; its connection is not waited for. */
    async join(room, ep, opts = {}) {
        const from = opts.from ?? this.publishers.get(room);
        this.subscribers.push({ ep, room, from });
        try {
            await this.driver.subscribe(this.load, ep, room, { ...opts, from });
        } catch (error) {
            this.subscribers = this.subscribers.filter((s) => s.ep !== ep); // who is refused is nobody
            throw error;
        }
    }

    async #connect(eps, signal) {
        for (let i = 0; i < eps.length; i += CONNECT_AT_ONCE) {
            const batch = eps.slice(i, i + CONNECT_AT_ONCE);
            await Promise.all(batch.map(signal));
            await this.load.connected(batch, CONNECT_MS);
        }
    }

    async send(source = SOURCE) {
        await this.load.send([...this.publishers.values()].flat(), source);
    }

    /** Until every subscriber has had sound and picture. */
    async flowing(ms = 90_000) {
        const eps = this.subscribers.map((s) => s.ep);
        await Promise.all(eps.flatMap((ep) => [this.load.media(ep, 'audio', ms), this.load.media(ep, 'video', ms)]));
    }

    /** How many copies of a publisher's packet the server makes, on average. */
    get fanOut() {
        const publishers = [...this.publishers.values()].flat().length;
        return this.subscribers.reduce((sum, s) => sum + s.from.length, 0) / publishers;
    }

    /** Waits, but not longer than the user does. */
    wait(seconds) {
        return sleep(seconds * 1000, undefined, { signal: this.ctx.signal });
    }

    /**
     * Until everybody gets all that is sent, or for `ms`: a server that estimates its subscribers' links begins with little and
     * grows. Whether it was so, the window tells.
     */
    async whole(ms) {
        const end = Date.now() + ms;
        for (let short = 1; short > 0.03 && Date.now() < end; ) {
            await this.load.mark();
            await this.wait(this.ctx.smoke ? 0.3 : 0.7);
            const { sent, received } = await this.load.stats();
            short = 1 - received.media / ((sent.audio + sent.video) * this.fanOut);
        }
    }

    /**
     * Publishers send, everybody has sound and picture, and all of it within `growing` ms, it settles for `warmup` seconds: then a
     * window of `seconds`.
     */
    async steady({ warmup, seconds, growing = 20_000 }, source = SOURCE) {
        await this.send(source);
        await this.flowing();
        this.ctx.step('warming up');
        await this.whole(growing);
        await this.wait(warmup);
        this.ctx.step('measuring');
        return this.window(seconds);
    }

    /** Counters anew, the window, and what it gave. With --smoke it goes on until something came: it asks how well, not how soon. */
    async window(seconds) {
        const before = await this.driver.losses?.();
        await this.load.mark();
        const cpu = cpuClock(this.driver.pids);
        await this.wait(seconds);
        let stats = await this.load.stats();
        for (let i = 0; this.ctx.smoke && stats.received.packets === 0 && i < 60; i++) {
            await this.wait(0.5);
            stats = await this.load.stats();
        }
        const [cpu_s, rss] = [cpu(), rssOf(this.driver.pids)];
        const missing = await this.#missing(stats);
        const inside = before && lossesSince(before, await this.driver.losses());
        return { stats: await this.#proven(stats), cpu_s, rss, missing, inside };
    }

    /** These endpoints leave, and are no more. */
    async part(eps) {
        const gone = this.subscribers.filter((s) => eps.includes(s.ep));
        this.subscribers = this.subscribers.filter((s) => !eps.includes(s.ep));
        await Promise.all(gone.map(({ ep, room }) => this.driver.leave(this.load, ep, room)));
        await this.load.close(eps);
    }

    /**
     * One packet in 64 is decrypted: a window of a few dozen may have had none of them yet. Then the next ones prove it (or
     * its faults); whatever else was counted stays that of the window.
     */
    async #proven(stats) {
        let { received } = stats;
        for (let i = 0; received.sampled === 0 && received.packets > 0 && i < 20; i++) {
            await this.wait(0.25);
            ({ received } = await this.load.stats());
        }
        const { sampled, bad_tag, bad_payload } = received;
        return { ...stats, received: { ...stats.received, sampled, bad_tag, bad_payload } };
    }

    /** Packets that were sent in the window and have not come a moment after it either. A stall at its end is no loss. */
    async #missing(stats) {
        let short = missingOf(stats, this.fanOut);
        for (let i = 0; short > 0 && i < 4; i++) {
            await this.wait(0.25);
            short = missingOf(await this.load.stats(), this.fanOut);
        }
        return short;
    }
}

/** What a server lost between two of its accounts, by where; nothing: {}. */
export const lossesSince = (before, after) =>
    Object.fromEntries(Object.entries(after).map(([where, n]) => [where, n - (before[where] ?? 0)]).filter(([, n]) => n > 0));

/**
 * A server that leaves packets out and renumbers the rest shows no gap, so what came is counted against what was sent. A
 * fiftieth and what is under way just now are not missed; 0: none is missing.
 */
function missingOf({ sent, received }, fanOut) {
    const due = (sent.audio + sent.video) * fanOut;
    return received.media < due - 0.02 * due - 10 * fanOut ? Math.round(due - received.media) : 0;
}

/**
 * The faults of a window, as sentences: endpoints that are not there, packets that are broken, or that are missing.
 * @param {object} stats of the load client
 * @param {{endpoints: number, missing?: number, perfect?: boolean}} expected perfect: a link that loses nothing
 */
export function faultsOf(stats, { endpoints, missing = 0, perfect = true }) {
    const { received, udp = {} } = stats;
    const faults = [];
    const check = (ok, text) => ok || faults.push(text);
    check(stats.connected === endpoints, `${stats.connected} of ${endpoints} endpoints are connected`);
    check(!stats.failed, `${stats.failed} endpoints failed`);
    check(received.bad_tag === 0, `${received.bad_tag} packets with a wrong tag`);
    check(received.bad_payload === 0, `${received.bad_payload} packets whose payload is not what was sent`);
    check(received.sampled > 0, 'no packet was decrypted to prove it whole');
    if (perfect) {
        check(received.lost === 0, `${received.lost} packets lost on a link that loses none`);
        check(!udp.dropped, `the load client's sockets dropped ${udp.dropped} packets`);
        check(missing === 0, `${missing} packets that were sent never came`);
    }
    return faults;
}

/**
 * A window as a sample of the frame; the unit is a packet that arrived at a subscriber. --smoke asks for no speed: a machine that has
 * no time for its sockets loses packets, and an estimator sends less, so neither is a fault then.
 */
export function sampleOf(scene, { stats, cpu_s, rss, missing, inside }, { memory_per_unit_bytes, figures = {}, perfect = !scene.ctx.smoke } = {}) {
    const { received, latency } = stats;
    const packets = received.packets;
    const window_s = stats.window_s;
    const faults = faultsOf(stats, { endpoints: scene.all.length, missing, perfect });
    return {
        figures: {
            cpu_ns_per_packet: (cpu_s / packets) * 1e9,
            loss_percent: (100 * received.lost) / Math.max(1, received.expected),
            latency_p50_ms: latency.p50 / 1000,
            latency_p99_ms: latency.p99 / 1000,
            packets_per_s: packets / window_s,
            ...(memory_per_unit_bytes === undefined ? {} : { memory_kib: memory_per_unit_bytes / 1024 }),
            ...figures,
        },
        units: packets,
        window_s,
        server: { cpu_s, rss_bytes: rss, cores_busy: cpu_s / window_s, ...(memory_per_unit_bytes === undefined ? {} : { memory_per_unit_bytes }) },
        generator: { cpu_s: stats.cpu_s, busy: stats.cpu_s / window_s, late_ms: stats.sent.late_max_ms },
        latency_us: { video: latency },
        loss: received.lost / Math.max(1, received.expected),
        throughput: packets / window_s,
        ...(inside && { inside }), // lost in the server, by where
        lost_packets: received.lost + missing,
        valid: faults.length === 0,
        why: faults.join('; '),
    };
}

/** What the figures of a sample are called. */
export const FIGURES = {
    cpu_ns_per_packet: { title: 'server CPU a forwarded packet', unit: 'ns', better: 'less' },
    latency_p50_ms: { title: 'added latency, half of the packets', unit: 'ms', better: 'less' },
    latency_p99_ms: { title: 'added latency, 99 of 100', unit: 'ms', better: 'less' },
    loss_percent: { title: 'lost', unit: '%', better: 'less' },
    packets_per_s: { title: 'forwarded', unit: 'packets/s', better: 'more' },
};
export const MEMORY = { memory_kib: { title: 'server memory a subscriber', unit: 'KiB', better: 'less' } };

/** What is unequal for a reason that is not merit; printed under each table. */
export const FAIRNESS = [
    'All servers have one core by themselves, the load client the other; everything passes the loopback device, whose delivery into the receivers\' sockets is charged to the sender and is most of the floor.',
    'AEAD_AES_128_GCM is what everybody speaks, because the load client allows only that here. Debian\'s Janus encrypts by Debian\'s libsrtp2 (over NSS), as installed; ours by OpenSSL.',
    'Janus has been given one event loop for its one core (janus), or is as Debian installs it, with a thread a handle (janus-installed). It cannot use loopback addresses, so its packets go to this host\'s other address by the same loopback device.',
    'The floor encrypts anew and sends, and no more: it takes a frame\'s packets together (it waits up to 1 ms for the frame\'s end, which is in its latency), rewrites no header extensions, and handles no RTCP and no NACK.',
    'Subscribers of Janus and of ours send transport-wide feedback, because both number their packets for that; Janus reads it and does nothing with it, ours estimates each subscriber\'s link by it. The floor numbers nothing, so nobody sends it any.',
    'ICE: ours and the tuned Janus are ICE-lite; Janus as installed is a full agent, which matters while connecting.',
];
