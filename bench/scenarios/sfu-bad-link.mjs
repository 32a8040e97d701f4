import { FAIRNESS, FIGURES, SOURCE, Scene, sampleOf } from '../lib/sfu_load.mjs';

async function measure(contender, ctx) {
    const { subscribers, seconds, warmup, loss, delay_ms, jitter_ms, reorder } = ctx.params;
    // Each way; the delay is uniform between delay - jitter and delay + jitter.
    const way = { loss, delay_ms: delay_ms - jitter_ms, jitter_ms: 2 * jitter_ms, reorder };
    const scene = await Scene.open(contender, ctx);
    await scene.publish('stage', 1);
    await scene.send(SOURCE);
    ctx.step(`connecting ${subscribers} subscribers over bad links`);
    const eps = await scene.subscribe('stage', subscribers, { link: { up: way, down: way } });
    await scene.load.receive(eps, { nack: true, twcc: true, decrypt_all: true });
    await scene.flowing(40_000);
    ctx.step('warming up');
    await scene.wait(warmup);
    ctx.step('measuring');
    const window = await scene.window(seconds);
    const { received } = window.stats;
    const frames = received.frames + received.frames_broken;
    const sample = sampleOf(scene, window, {
        perfect: false,
        figures: {
            frames_whole_percent: (100 * received.frames) / frames,
            repaired_percent: (100 * received.rtx) / Math.max(1, received.media),
        },
    });
    return { ...sample, units: received.frames, ...verdict(sample, received, { frames, due: window.stats.sent.frames * subscribers }) };
}

function verdict(sample, received, { frames, due }) {
    const faults = [sample.why].filter(Boolean);
    if (!(frames > 0)) faults.push('no frame was judged');
    // A frame is judged 400 ms after it began, so a window sees about as many as were sent in it.
    if (Math.abs(frames - due) > 0.1 * due) faults.push(`${frames} frames were judged where ${due} were sent`);
    if (!(received.nacks > 0)) faults.push('nobody asked for a lost packet');
    return { valid: faults.length === 0, why: faults.join('; ') };
}

export default {
    name: 'sfu-bad-link',
    title: 'Subscribers on bad links',
    about: '20 subscribers behind 5 % loss, 50 ± 20 ms of delay and 1 % reordering, each way: whose frames arrive whole within 400 ms?',
    waitsFor: null,
    unit: 'whole frame',
    main: 'frames_whole_percent',
    better: 'more',
    figures: {
        frames_whole_percent: { title: 'frames whole within 400 ms', unit: '%', better: 'more' },
        loss_percent: { title: 'packets that never came', unit: '%', better: 'less' },
        repaired_percent: { title: 'sent again', unit: '% of packets', better: 'less' },
        cpu_ns_per_packet: FIGURES.cpu_ns_per_packet,
        latency_p50_ms: { ...FIGURES.latency_p50_ms, title: 'latency with the link\'s, half of the packets' },
        latency_p99_ms: { ...FIGURES.latency_p99_ms, title: 'latency with the link\'s, 99 of 100' },
        packets_per_s: FIGURES.packets_per_s,
    },
    params: { subscribers: 20, seconds: 6, warmup: 3, loss: 0.05, delay_ms: 50, jitter_ms: 20, reorder: 0.01 },
    smoke: { subscribers: 3, seconds: 2, warmup: 1 },
    repeats: 2,
    contenders: ['ours', 'janus', 'janus-installed'],
    measure,
    fairness: [
        ...FAIRNESS,
        'The links are the load client\'s own (bench/client/impair.c), with the same seeds for every server; losses are independent, there is no bottleneck, and the publisher\'s own link is perfect.',
        'Who asks again, and how often, is the load client\'s doing for all: a NACK at once and again each round trip.',
    ],
};
