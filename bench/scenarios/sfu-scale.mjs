import { FAIRNESS, FIGURES, Scene, sampleOf } from '../lib/sfu_load.mjs';

async function measure(contender, ctx) {
    const { rooms, subscribers } = ctx.params;
    const scene = await Scene.open(contender, ctx);
    for (let i = 0; i < rooms; i++) {
        ctx.step(`connecting room ${i + 1} of ${rooms}`);
        await scene.publish(`room ${i}`, 1);
        await scene.subscribe(`room ${i}`, subscribers);
    }
    const window = await scene.steady(ctx.params);
    return sampleOf(scene, window, { figures: { server_busy_percent: (100 * window.cpu_s) / window.stats.window_s } });
}

const variants = [
    ...[10, 50, 100, 350].map((n) => ({ key: `n${n}`, params: { rooms: 1, subscribers: n } })),
    ...[5, 20].map((n) => ({ key: `r${n}`, params: { rooms: n, subscribers: 10 } })),
];

/** What the standard plots (cost over subscribers, over rooms) leave out: how long packets take when there are more of them. */
function plots(result) {
    const values = (result.variants ?? []).filter((v) => v.params.rooms === 1).flatMap((v) =>
        Object.entries(v.contenders).filter(([, c]) => c.valid).map(([server, c]) => ({ server, subscribers: v.params.subscribers, p99: c.figures.latency_p99_ms })),
    );
    if (values.length === 0) return [];
    const title = 'Added latency over subscribers';
    const spec = {
        $schema: 'https://vega.github.io/schema/vega-lite/v5.json',
        title, width: 560, height: 280,
        data: { values },
        mark: { type: 'line', point: true },
        encoding: {
            x: { field: 'subscribers', type: 'quantitative', title: 'subscribers of one publisher', scale: { type: 'log' } },
            y: { field: 'p99', type: 'quantitative', title: 'added latency, 99 of 100 (ms)', scale: { zero: true } },
            color: { field: 'server', type: 'nominal', title: null },
        },
    };
    return [{ name: 'sfu-scale-latency', title, spec }];
}

export default {
    name: 'sfu-scale',
    title: 'Cost over subscribers and over rooms',
    about: 'What a forwarded packet costs with 10 to 350 subscribers in one room, and with 1 to 20 rooms of 10, on one core.',
    waitsFor: null,
    unit: 'forwarded packet',
    main: 'cpu_ns_per_packet',
    better: 'less',
    figures: { ...FIGURES, server_busy_percent: { title: 'of its core', unit: '%', better: 'less' } },
    params: { rooms: 1, subscribers: 100, seconds: 3, warmup: 0.5 },
    smoke: { rooms: 1, subscribers: 5, seconds: 1, warmup: 0.3 },
    repeats: 1,
    headlineRepeats: 3,
    limit_s: 120,
    contenders: ['ours', 'floor', 'janus'],
    variants,
    headline: 'n100',
    measure,
    fairness: [...FAIRNESS, 'Measured once a point, to stay short, but for the headline (100 subscribers in one room), which is measured three times: single points are less certain. A point that lost packets is left out.'],
    plots,
};
