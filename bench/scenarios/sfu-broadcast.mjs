import { FAIRNESS, FIGURES, MEMORY, Scene, sampleOf } from '../lib/sfu_load.mjs';
import { COUNTS, checkCounts } from '../lib/capture.mjs';
import { rssOf } from '../lib/proc.mjs';

async function measure(contender, ctx) {
    const { subscribers } = ctx.params;
    const scene = await Scene.open(contender, ctx);
    await scene.publish('stage', 1);
    const before = rssOf(scene.driver.pids);
    ctx.step(`connecting ${subscribers} subscribers`);
    await scene.subscribe('stage', subscribers);
    if (ctx.countCheck) return checkCounts(scene, ctx);
    const window = await scene.steady(ctx.params);
    return sampleOf(scene, window, { memory_per_unit_bytes: (window.rss - before) / subscribers });
}

export default {
    name: 'sfu-broadcast',
    title: 'One publisher to many',
    about: 'One camera and microphone (1.5 Mbit/s of VP8 in frame bursts, and Opus: 231 packets/s) forwarded to 100 subscribers.',
    waitsFor: null,
    unit: 'forwarded packet',
    main: 'cpu_ns_per_packet',
    better: 'less',
    figures: { ...FIGURES, ...MEMORY, ...COUNTS },
    params: { subscribers: 100, seconds: 6, warmup: 2 },
    smoke: { subscribers: 5, seconds: 1, warmup: 0.5 },
    repeats: 3,
    contenders: ['ours', 'floor', 'janus', 'janus-installed'],
    mayFail: ['janus-installed'], // a hundred threads on one core may not keep up: then it has no ratio, and the page says so
    measure,
    fairness: FAIRNESS,
};
