import { FAIRNESS, FIGURES, SOURCE, Scene, sampleOf } from '../lib/sfu_load.mjs';

const JUDGED_S = 0.4; // after it began, a frame is whole or broken
const STALL_MS = 60;

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
    await scene.flowing();
    ctx.step('warming up');
    await scene.wait(warmup);
    ctx.step('measuring');
    let window = await scene.window(seconds);
    // --smoke asks whether, not how soon: a moment in which the machine was elsewhere is no answer.
    for (let i = 0; ctx.smoke && !proves(window.stats.received) && i < 20; i++) window = await scene.window(seconds);
    const { received } = window.stats;
    const frames = received.frames + received.frames_broken;
    const sample = sampleOf(scene, window, {
        perfect: false,
        figures: {
            frames_whole_percent: (100 * received.frames) / frames,
            repaired_percent: (100 * received.rtx) / Math.max(1, received.media),
        },
    });
    const edge = ctx.smoke ? JUDGED_S * SOURCE.fps * subscribers : 0;
    return { ...sample, units: received.frames, ...verdict(sample, received, { frames, due: window.stats.sent.frames * subscribers, edge, stalled: ctx.smoke && stalled(sample, way) }) };
}

const proves = (received) => received.frames > 0 && received.nacks > 0;

/** Did packets wait for the machine, rather than for the link? A source that was late, or nine tenths that the link alone doesn't delay so. */
export const stalled = (sample, way) =>
    sample.generator.late_ms > STALL_MS || sample.latency_us.video.p90 / 1000 > way.delay_ms + way.jitter_ms + STALL_MS;

/**
 * The faults of a window. `edge`: frames that may be judged in the window before or after (a short window is little else);
 * `stalled`: the machine couldn't keep up, so how many frames came says nothing of the server, which may well have sent less.
 */
export function verdict(sample, received, { frames, due, edge = 0, stalled = false }) {
    const faults = [sample.why].filter(Boolean);
    if (!(frames > 0) || !(received.frames > 0)) faults.push('no frame was judged whole');
    // A frame is judged 400 ms after it began, so a window sees about as many as were sent in it.
    if (!stalled && Math.abs(frames - due) > 0.1 * due + edge) faults.push(`${frames} frames were judged where ${due} were sent`);
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
