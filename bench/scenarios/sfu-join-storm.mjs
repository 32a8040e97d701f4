import { FAIRNESS, Scene, cpuClock, faultsOf } from '../lib/sfu_load.mjs';
import { rssOf } from '../lib/proc.mjs';

/** A small picture, so that joining is what costs, and keyframes twice a second, so that nobody waits long for one. */
const SOURCE = { video_kbps: 150, fps: 15, packet_bytes: 1100, keyframe_interval_ms: 500, audio: true };

/** From "I want to see" to the first video packet, in milliseconds. */
async function joined(scene, ep) {
    const since = performance.now();
    const video = scene.load.media(ep, 'video');
    video.catch(() => {}); // awaited below, but for the case that joining itself fails
    await scene.join('stage', ep);
    await video;
    return performance.now() - since;
}

async function measure(contender, ctx) {
    const { subscribers, seconds } = ctx.params;
    const scene = await Scene.open(contender, ctx);
    await scene.publish('stage', 1);
    await scene.send(SOURCE);
    await scene.subscribe('stage', 1); // one is there already: the room runs
    await scene.flowing();
    const eps = Array.from({ length: subscribers }, () => scene.number());
    await scene.load.mark();
    const cpu = cpuClock(scene.driver.pids);
    const started = performance.now();
    ctx.step(`${subscribers} join at once`);
    const times = await Promise.allSettled(eps.map((ep) => joined(scene, ep)));
    const window_s = (performance.now() - started) / 1000;
    const cpu_s = cpu();
    const storm = await scene.load.stats();
    const after = await scene.window(seconds);
    return sampleOf(scene, times, { cpu_s, window_s, storm, after });
}

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)];

function sampleOf(scene, times, { cpu_s, window_s, storm, after }) {
    const ms = times.filter((t) => t.status === 'fulfilled').map((t) => t.value).sort((a, b) => a - b);
    const failed = times.filter((t) => t.status === 'rejected').map((t) => t.reason.message);
    const faults = faultsOf(after.stats, { endpoints: scene.all.length, missing: after.missing, perfect: !scene.ctx.smoke });
    const broken = storm.received.bad_tag + storm.received.bad_payload;
    if (broken > 0) faults.push(`${broken} packets that were not what was sent while they joined`);
    if (failed.length > 0) faults.unshift(`${failed.length} of ${times.length} did not join (${failed[0]})`);
    return {
        figures: {
            cpu_ms_per_join: (cpu_s * 1000) / times.length,
            join_p50_ms: quantile(ms, 0.5) ?? NaN,
            join_p99_ms: quantile(ms, 0.99) ?? NaN,
            join_max_ms: ms.at(-1) ?? NaN,
            joins_per_s: ms.length / window_s,
        },
        units: ms.length,
        window_s,
        server: { cpu_s, rss_bytes: rssOf(scene.driver.pids), cores_busy: cpu_s / window_s },
        // A storm that lasts as long as the generator's own handshakes says so here.
        generator: { cpu_s: storm.cpu_s, busy: storm.cpu_s / storm.window_s, late_ms: storm.sent.late_max_ms },
        loss: after.stats.received.lost / Math.max(1, after.stats.received.expected),
        throughput: ms.length / window_s,
        valid: faults.length === 0,
        why: faults.join('; '),
    };
}

export default {
    name: 'sfu-join-storm',
    title: 'A hundred join at once',
    about: '100 subscribers join a running room in the same moment: signaling, ICE, DTLS, and the first video packet.',
    waitsFor: null,
    unit: 'join',
    main: 'cpu_ms_per_join',
    better: 'less',
    figures: {
        cpu_ms_per_join: { title: 'server CPU a join', unit: 'ms', better: 'less' },
        join_p50_ms: { title: 'until the first video packet, half of them', unit: 'ms', better: 'less' },
        join_p99_ms: { title: 'until the first video packet, 99 of 100', unit: 'ms', better: 'less' },
        join_max_ms: { title: 'until the first video packet, the last', unit: 'ms', better: 'less' },
        joins_per_s: { title: 'joins', unit: '1/s', better: 'more' },
    },
    params: { subscribers: 100, seconds: 1 },
    smoke: { subscribers: 4, seconds: 0.5 },
    repeats: 3,
    setup_s: 1,
    contenders: ['ours', 'janus', 'janus-installed'],
    measure,
    fairness: [
        ...FAIRNESS,
        'Ours begins each subscriber with a keyframe, Janus with whatever packet comes next, which cannot be shown before one: the times to the first packet favour Janus by up to the time between keyframes (0.5 s here).',
        'The packets forwarded while the others join are in the CPU time; they are few (about 65 a second for each who is there).',
        'In the CPU time of Janus is its whole API, in ours what sfud does: the signald that tells it to is played by the driver, and what a real one spends on a join (who are you, may you?) is not in it. Janus asks for no authentication here either.',
        'The driver shares the core of the load client, and its time for JSON is in the times of all, but not in the generator\'s share of a core.',
        'Ours is told to join over its control link, Janus over its WebSocket API: both JSON, but Janus has three requests a join where ours has two.',
    ],
};
