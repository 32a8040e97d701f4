import { FIGURES, SOURCE, Scene, sampleOf } from '../lib/sfu_load.mjs';
import { Lines } from '../lib/lines.mjs';
import { Load } from '../lib/load.mjs';

/** How much faster than the fastest server the generator has to be. */
const HEADROOM = 2;
/** A process that has this share of its core has all that it gets. */
const FULL = 0.8;
/** The key of the endpoints that send into the sink: nobody decrypts it. */
const SINK_KEY = Buffer.alloc(28, 7).toString('hex');

const ns = (seconds, packets) => (seconds / Math.max(1, packets)) * 1e9;

/** The mix with more subscribers than a core of the generator (or of the floor) can serve, or nearly. */
async function saturate(ctx) {
    const { most_subscribers, warmup, seconds } = ctx.params;
    ctx.step(`connecting ${most_subscribers} subscribers`);
    const scene = await Scene.open('floor', ctx);
    await scene.publish('stage', 1);
    await scene.subscribe('stage', most_subscribers);
    await scene.send(SOURCE);
    await scene.wait(warmup);
    ctx.step('saturating');
    const { stats, cpu_s } = await scene.window(seconds / 2);
    await close(scene);
    const busy = { generator: stats.cpu_s / stats.window_s, floor: cpu_s / stats.window_s };
    const whole = stats.received.media >= 0.98 * (stats.sent.audio + stats.sent.video) * scene.fanOut;
    // What a machine that is busy with other things keeps from both says nothing about either.
    const idle = !ctx.smoke && !whole && Math.max(busy.generator, busy.floor) < FULL;
    return {
        packets_per_s: stats.received.packets / stats.window_s,
        cpu_ns: ns(stats.cpu_s, stats.received.packets),
        busy,
        whole,
        why: idle ? 'saturated, neither generator nor floor had their core: something else runs on this machine' : '',
    };
}

/** The server first: a load client that is full is slow to hear that it is to end. */
async function close(scene) {
    await scene.driver.stop();
    await scene.load.stop();
}

/** Publishers alone, into a sink on the server's core: what a sent packet costs the generator. */
async function sendOnly(ctx) {
    const { senders, seconds, warmup } = ctx.params;
    ctx.step(`sending from ${senders} endpoints into the sink`);
    const sink = await Lines.start(ctx, { program: 'sotto-load-sink' });
    ctx.defer(() => sink.stop());
    const load = await Load.start(ctx);
    const eps = Array.from({ length: senders }, (_, i) => i + 1);
    for (const ep of eps) {
        await load.raw(ep, {
            remote: `127.0.0.1:${sink.ready.port}`, profile: 'gcm', send_key: SINK_KEY, recv_key: SINK_KEY, receive: [],
            audio: { ssrc: 2 * ep, pt: 111 }, video: { ssrc: 2 * ep + 1, pt: 96 },
        });
    }
    await load.send(eps, SOURCE);
    await new Promise((resolve) => setTimeout(resolve, warmup * 1000));
    await load.mark();
    const before = await sink.ask({ op: 'stats' });
    await new Promise((resolve) => setTimeout(resolve, (seconds / 2) * 1000));
    const [stats, after] = await Promise.all([load.stats(), sink.ask({ op: 'stats' })]);
    await load.stop();
    await sink.stop();
    const arrived = after.packets - before.packets;
    const why = !ctx.smoke && arrived < 0.95 * stats.sent.packets ? `only ${arrived} of ${stats.sent.packets} packets reached the sink` : '';
    return { cpu_ns: ns(stats.cpu_s, stats.sent.packets), why };
}

async function measure(contender, ctx) {
    const { subscribers, seconds, warmup } = ctx.params;
    const scene = await Scene.open(contender, ctx);
    await scene.publish('stage', 1);
    ctx.step(`connecting ${subscribers} subscribers`);
    await scene.subscribe('stage', subscribers);
    await scene.send(SOURCE);
    await scene.flowing();
    await scene.wait(warmup);
    ctx.step('measuring');
    const window = await scene.window(seconds);
    const sample = sampleOf(scene, window);
    const { received } = window.stats;
    const generator = ns(window.stats.cpu_s, received.packets);
    const server = sample.figures.cpu_ns_per_packet;
    const { packets_per_s } = sample.figures;
    sample.figures = { generator_cpu_ns_per_packet: generator, packets_per_s };
    await close(scene);
    const most = await saturate(ctx);
    if (contender === 'ours') {
        const headroom = server / most.cpu_ns;
        Object.assign(sample.figures, { fastest_server_cpu_ns_per_packet: server, saturated_cpu_ns_per_packet: most.cpu_ns, saturated_packets_per_s: most.packets_per_s, headroom });
        const slow = !ctx.smoke && headroom < HEADROOM; // a handful of packets says nothing
        const faults = [sample.why, most.why, slow && `alone, the generator is only ${headroom.toFixed(2)} times as fast as the fastest server, not ${HEADROOM} times`].filter(Boolean);
        return { ...sample, extra: { saturated: most }, valid: faults.length === 0, why: faults.join('; ') };
    }
    const sent = await sendOnly(ctx);
    Object.assign(sample.figures, {
        floor_cpu_ns_per_packet: server,
        saturated_cpu_ns_per_packet: most.cpu_ns,
        saturated_packets_per_s: most.packets_per_s,
        sent_cpu_ns_per_packet: sent.cpu_ns,
    });
    sample.extra = { saturated: most };
    const faults = [sample.why, most.why, sent.why].filter(Boolean);
    return { ...sample, valid: faults.length === 0, why: faults.join('; ') };
}

export default {
    name: 'generator',
    title: 'The load generator itself',
    about: 'What the load client needs for a received and a sent packet. Alone, fed by the floor with as much as it takes, a core of it has to carry at least twice the packets that a core of the fastest server does: else it measures itself.',
    waitsFor: null,
    unit: 'packet',
    main: 'generator_cpu_ns_per_packet',
    better: 'less',
    figures: {
        generator_cpu_ns_per_packet: { title: 'generator CPU a received packet', unit: 'ns', better: 'less' },
        floor_cpu_ns_per_packet: { title: 'the floor, CPU a forwarded packet', unit: 'ns', better: 'less' },
        fastest_server_cpu_ns_per_packet: { title: 'fastest server, CPU a forwarded packet', unit: 'ns', better: 'less' },
        headroom: { title: 'packets a core: the generator alone over the fastest server', unit: 'x', better: 'more' },
        packets_per_s: FIGURES.packets_per_s,
        saturated_cpu_ns_per_packet: { title: 'generator CPU a received packet, saturated', unit: 'ns', better: 'less' },
        saturated_packets_per_s: { title: 'most that the generator received', unit: 'packets/s', better: 'more' },
        sent_cpu_ns_per_packet: { title: 'generator CPU a sent packet', unit: 'ns', better: 'less' },
    },
    params: { subscribers: 800, senders: 200, most_subscribers: 2000, seconds: 5, warmup: 1 },
    smoke: { subscribers: 10, senders: 5, most_subscribers: 20, seconds: 1, warmup: 0.3 },
    repeats: 2,
    contenders: ['ours', 'floor'],
    measure,
    fairness: [
        'The fastest server is measured at 800 subscribers, where its core is nearly full and it is at its cheapest; the generator at 2,000, for the same reason.',
        'Both have a core of their own; the load client\'s cost a packet holds its epoll, recvmmsg, RTP and feedback, and the decryption of a sample. It pays nothing for the delivery through the loopback device, the server does.',
        'The saturated figures may hold packets that the generator lost.',
    ],
};
