import { FAIRNESS, FIGURES, Scene, sampleOf } from '../lib/sfu_load.mjs';
import { COUNTS, checkCounts } from '../lib/capture.mjs';
import { rssOf } from '../lib/proc.mjs';

async function measure(contender, ctx) {
    const { people, rooms } = ctx.params;
    const scene = await Scene.open(contender, ctx);
    const before = rssOf(scene.driver.pids);
    for (let i = 0; i < rooms; i++) {
        ctx.step(`room ${i + 1} of ${rooms}`);
        await scene.publish(`room ${i}`, people);
        await scene.meet(`room ${i}`);
    }
    if (ctx.countCheck) return checkCounts(scene, ctx);
    const window = await scene.steady(ctx.params);
    return sampleOf(scene, window, { memory_per_unit_bytes: (window.rss - before) / (people * rooms) });
}

export default {
    name: 'sfu-meeting',
    title: 'Meetings, everybody sees everybody',
    about: 'Rooms in which everybody sends (1.5 Mbit/s of VP8, and Opus) and sees and hears all the others: rooms of 8, and one of 16.',
    waitsFor: null,
    unit: 'forwarded packet',
    main: 'cpu_ns_per_packet',
    better: 'less',
    figures: { ...FIGURES, memory_kib: { title: 'server memory a person', unit: 'KiB', better: 'less' }, ...COUNTS },
    params: { people: 8, rooms: 2, seconds: 4, warmup: 1.5 },
    smoke: { people: 3, rooms: 1, seconds: 1, warmup: 0.5 },
    repeats: 3,
    contenders: ['ours', 'floor', 'janus'],
    variants: [
        { key: 'rooms-of-8', params: { people: 8, rooms: 2 } },
        { key: 'room-of-16', params: { people: 16, rooms: 1 } },
    ],
    headline: 'rooms-of-8',
    measure,
    fairness: [
        ...FAIRNESS,
        'Everybody hears all the others here, because that is what Janus does; in a large meeting ours would forward the loudest only.',
    ],
};
