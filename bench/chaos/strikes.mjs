// Carries out the schedule: strikes, repairs, and waits until the system is well again.
import { PARTS } from './parts.mjs';
import { makeSchedule } from './schedule.mjs';
import { sleep } from './time.mjs';

const WELL_WITHIN_MS = 90_000;

const processes = {
    kill: (world, part) => world.parts.kill(part).then(() => () => world.parts.start(part)),
    restart: (world, part) => world.parts.stop(part).then(() => () => world.parts.start(part)),
    pause(world, part) {
        world.parts.signal(part, 'SIGSTOP');
        return () => world.parts.signal(part, 'SIGCONT');
    },
};

/** Half of the connections, and those of the probe: or it could not tell when all is well again. */
const half = (world, random) => {
    const ports = new Set(world.probe.devices().map((d) => d.localPort));
    return ({ client }) => ports.has(client.remotePort) || random.chance(0.5);
};

const others = {
    'drop sockets': (world, random) => void world.relays.sockets.drop(half(world, random)),
    'stall sockets': (world, random) => world.relays.sockets.stall(half(world, random)),
    'half-open sockets': (world, random) => void world.relays.sockets.halfOpen(half(world, random)),
    'cut link'(world) {
        world.relays.link.refuse(true);
        world.relays.link.drop();
        return () => world.relays.link.refuse(false);
    },
    'stall link': (world) => world.relays.link.stall(),
    'cut media': (world) => lose(world, 1),
    'lossy media': (world) => lose(world, 0.1),
};

function lose(world, share) {
    world.relays.media.loss = share;
    return () => {
        world.relays.media.loss = 0;
    };
}

/** Strikes; the function that repairs it (or nothing to repair). */
async function strike(world, event, random) {
    const [verb, part] = event.kind.split(' ');
    return processes[verb] && PARTS.includes(part) ? processes[verb](world, part) : others[event.kind](world, random);
}

export class Chaos {
    /** What was done: windows with { n, kind, target, hold, from, repairedAt, wellAt }. */
    done = [];
    #stopping = new AbortController();
    #running = [];

    constructor(world, { seed, seconds, mode, kinds }) {
        Object.assign(this, { world, mode, random: world.random.fork('strikes') });
        this.schedule = makeSchedule({ seed, seconds, mode, kinds });
    }

    start() {
        this.begun = Date.now();
        this.loop = this.#run();
    }

    async #run() {
        const held = new Set();
        for (const event of this.schedule) {
            await sleep(this.begun + event.at * 1000 - Date.now(), this.#stopping.signal);
            if (this.#stopping.signal.aborted) break;
            if (held.has(event.target)) continue; // hard: the target is still struck
            held.add(event.target);
            const one = this.#carryOut(event).finally(() => held.delete(event.target));
            if (this.mode === 'gentle') await one;
            else this.#running.push(one);
            one.catch(() => {});
        }
        await Promise.all(this.#running);
    }

    async #carryOut(event) {
        const { world } = this;
        const window = world.windows.open(event);
        this.done.push(window);
        world.say(`${event.n}. ${event.kind}${event.hold > 0 ? ` for ${event.hold} s` : ''}`);
        try {
            const repair = await strike(world, event, this.random);
            await sleep(event.hold * 1000);
            window.repairFrom = Date.now();
            await repair?.();
            window.repairedAt = Date.now();
            const ms = await world.well(WELL_WITHIN_MS);
            if (ms === null) throw new Error(`not well ${WELL_WITHIN_MS / 1000} s after "${event.kind}": ${world.probe.last?.message}`);
            window.wellAt = Date.now();
            window.recoveryMs = window.wellAt - window.repairFrom;
        } catch (error) {
            window.failed = error.message;
            world.fail(error);
        }
    }

    /** Nothing new; resolves when what runs is over. */
    async stop() {
        this.#stopping.abort();
        await this.loop;
    }

    /** { kind: { n, p50, max } } in ms, from the begin of the repair to a good round of the probe. */
    recoveries() {
        const by = new Map();
        for (const w of this.done) if (w.recoveryMs !== undefined) by.set(w.kind, [...(by.get(w.kind) ?? []), w.recoveryMs]);
        return Object.fromEntries(
            [...by].sort().map(([kind, all]) => {
                all.sort((a, b) => a - b);
                return [kind, { n: all.length, p50: all[Math.floor((all.length - 1) / 2)], max: all.at(-1) }];
            }),
        );
    }
}
