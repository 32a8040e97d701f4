import { FAIRNESS, FIGURES, MEMORY, SOURCE, Scene, sampleOf } from '../lib/sfu_load.mjs';
import { COUNTS, checkCounts } from '../lib/capture.mjs';
import { rssOf } from '../lib/proc.mjs';

async function measure(contender, ctx) {
    const { subscribers, seconds, warmup } = ctx.params;
    const scene = await Scene.open(contender, ctx);
    await scene.publish('stage', 1);
    const before = rssOf(scene.driver.pids);
    ctx.step(`connecting ${subscribers} subscribers`);
    await scene.subscribe('stage', subscribers);
    if (ctx.countCheck) return checkCounts(scene, ctx);
    await scene.send(SOURCE);
    await scene.flowing();
    ctx.step('warming up');
    await scene.wait(warmup);
    ctx.step('measuring');
    const window = await scene.window(seconds);
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
    measure,
    fairness: FAIRNESS,
    plots,
};

/** The distribution of the added latency, a curve a server. */
function plots(result) {
    const values = Object.entries(result.contenders).flatMap(([server, c]) =>
        (c.latency_us?.video?.cdf ?? []).filter(([us]) => us > 0).map(([us, share]) => ({ server, ms: us / 1000, share })),
    );
    if (values.length === 0) return [];
    return [
        {
            name: 'sfu-broadcast-latency',
            title: 'Added latency, one publisher to many',
            spec: {
                $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
                title: `Added latency, one publisher to ${result.params.subscribers}`,
                width: 560,
                height: 280,
                data: { values },
                mark: { type: 'line', interpolate: 'step-after', strokeWidth: 2 },
                encoding: {
                    x: { field: 'ms', type: 'quantitative', scale: { type: 'log' }, title: 'from when the packet was due until it arrived (ms)' },
                    y: { field: 'share', type: 'quantitative', axis: { format: '%' }, title: 'share of packets' },
                    color: { field: 'server', type: 'nominal', title: null },
                    strokeDash: { field: 'server', type: 'nominal', title: null },
                },
            },
        },
    ];
}
