// How many subscribers of one publisher a server carries on its core: probes with a fresh server each, one after the other,
// until the largest number that lost less than the limit is known to a tenth, or the time is over.
import { Scene } from './sfu_load.mjs';
import { GENERATOR_LIMIT } from './runner.mjs';

/** A room of ours takes 4,096 people; who is too many for one is in another with its own publisher, on every server. */
const ROOM = 4000;

/** A scene that is gone when `fn` is through. */
async function withScene(contender, ctx, fn) {
    const undo = [];
    const own = { ...ctx, defer: (it) => undo.push(it) };
    const close = async () => {
        for (const it of undo.splice(0).reverse()) await it().catch(() => {}); // a server that was overrun needn't end well
    };
    ctx.defer(close);
    try {
        return await fn(await Scene.open(contender, own));
    } finally {
        await close();
    }
}

/**
 * One probe: `n` subscribers, a window, what was lost in it.
 * @returns {Promise<{n: number, carries: boolean, loss: number, why?: string, generator?: boolean}>}
 */
async function probe(contender, ctx, n) {
    const { warmup, seconds, loss_percent } = ctx.params;
    ctx.step(`${n} subscribers`);
    try {
        return await withScene(contender, ctx, async (scene) => {
            for (let left = n; left > 0; left -= ROOM) {
                await scene.publish(`stage ${left}`, 1);
                await scene.subscribe(`stage ${left}`, Math.min(left, ROOM));
            }
            const window = await scene.steady({ warmup, seconds, growing: 5000 });
            return probeOf(n, window, { endpoints: scene.all.length, loss_percent });
        });
    } catch (error) {
        if (ctx.signal.aborted) throw error;
        return { n, carries: false, loss: 1, why: error.message.split('\n')[0] };
    }
}

/** What a window says about n subscribers. Loss is by gaps in the numbers, and by what never came where a server hides gaps. */
export function probeOf(n, { stats, cpu_s, missing }, { endpoints, loss_percent }) {
    const { received, udp = {} } = stats;
    const lost = Math.max(received.lost / Math.max(1, received.expected), missing / Math.max(1, received.media + missing));
    const here = stats.connected === endpoints && !stats.failed && received.bad_tag + received.bad_payload === 0;
    const busy = stats.cpu_s / stats.window_s;
    return {
        n, loss: lost, busy: cpu_s / stats.window_s, generator_busy: busy, cpu_s, packets: received.packets, window_s: stats.window_s,
        latency: stats.latency, carries: here && 100 * lost < loss_percent && busy <= GENERATOR_LIMIT,
        // What the generator lost or could not keep up with says nothing about the server.
        generator: busy > GENERATOR_LIMIT || udp.dropped > 0,
    };
}

/** The next number to probe, or null when it is known well enough. */
export function nextProbe(done, { most, close }) {
    const carried = done.filter((p) => p.carries);
    const low = carried.length > 0 ? carried.reduce((a, b) => (b.n > a.n ? b : a)) : null;
    const high = Math.min(Infinity, ...done.filter((p) => !p.carries).map((p) => p.n));
    if (!low) return high > 10 ? Math.floor(high / 2) : null;
    if (high === Infinity) {
        if (low.n >= most) return null;
        // The cost a packet falls with their number, so what is left of the core carries at least this.
        const guess = low.busy > 0 ? low.n / low.busy : 2 * low.n;
        return Math.min(most, Math.round(Math.max(low.n * 1.15, Math.min(guess, low.n * 10))));
    }
    return high / low.n > close ? Math.round((low.n + high) / 2) : null;
}

async function measure(contender, ctx) {
    const { from, most, close, budget_s } = ctx.params;
    const end = Date.now() + budget_s * 1000;
    const done = [];
    for (let n = from; n !== null && Date.now() < end; n = nextProbe(done, { most, close })) {
        const one = await probe(contender, ctx, n);
        done.push(one);
        if (!one.carries && one.generator) break;
    }
    return sampleOf(done, most);
}

function sampleOf(done, most) {
    const best = done.filter((p) => p.carries).sort((a, b) => b.n - a.n)[0];
    if (!best) return { figures: {}, valid: false, why: `not even ${done.at(-1)?.n} subscribers: ${done.at(-1)?.why ?? `${(100 * (done.at(-1)?.loss ?? 1)).toFixed(2)} % lost`}` };
    const worst = done.filter((p) => !p.carries).sort((a, b) => a.n - b.n)[0];
    return {
        figures: {
            subscribers: best.n, busy_percent: 100 * best.busy, cpu_ns_per_packet: (best.cpu_s / best.packets) * 1e9,
            not_carried: worst?.n ?? NaN, lost_there_percent: worst ? 100 * worst.loss : NaN,
            latency_p99_ms: best.latency.p99 / 1000,
        },
        units: best.packets, window_s: best.window_s, loss: best.loss,
        server: { cpu_s: best.cpu_s, cores_busy: best.busy },
        generator: { busy: best.generator_busy },
        // The number is a lower bound where it was not the server that gave up.
        at_least: !worst ? best.n >= most : !!worst.generator,
        probes: done.map(({ n, carries, loss, busy, why }) => ({ n, carries, loss, busy, ...(why && { why }) })),
        valid: true, why: '',
    };
}

export default {
    name: 'sfu-capacity',
    title: 'Subscribers that one core carries',
    about: 'One publisher to as many subscribers as the server\'s core carries with less than 0.1 % of the packets lost.',
    unit: 'forwarded packet', main: 'subscribers', better: 'more',
    figures: {
        subscribers: { title: 'subscribers carried', unit: '', better: 'more' },
        not_carried: { title: 'the fewest that were not', unit: '', better: 'more' },
        lost_there_percent: { title: 'lost with these', unit: '%', better: 'less' },
        busy_percent: { title: 'of its core, carrying', unit: '%', better: 'less' },
        cpu_ns_per_packet: { title: 'server CPU a forwarded packet, carrying', unit: 'ns', better: 'less' },
        latency_p99_ms: { title: 'added latency, carrying, 99 of 100', unit: 'ms', better: 'less' },
    },
    params: { from: 150, most: 4000, close: 1.1, budget_s: 60, seconds: 2, warmup: 1, loss_percent: 0.1 },
    smoke: { from: 4, most: 6, close: 1.5, budget_s: 5, seconds: 0.5, warmup: 0.3, loss_percent: 101 }, // asks for no speed
    limit_s: 200, setup_s: 40,
    contenders: ['ours', 'janus'],
    measure,
    fairness: ['All subscribers are in one room, with one publisher. Ours begins to send less video when its worker is busy for 90 % of the time (sfu.overload_percent): that is a loss here.'],
};
