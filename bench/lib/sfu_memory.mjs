// What one more subscriber costs in memory while media flows: the growth from a few to many on one server. The publisher's
// packets, and the cache of them that all subscribers share, are there in both and so in neither.
import { Scene, sampleOf } from './sfu_load.mjs';
import { rssOf } from './proc.mjs';

async function measure(contender, ctx) {
    const { first, more, warmup, seconds } = ctx.params;
    const scene = await Scene.open(contender, ctx);
    await scene.publish('stage', 1);
    await scene.subscribe('stage', first);
    await scene.send();
    await scene.flowing();
    await scene.whole(10_000);
    await scene.wait(warmup); // the cache is full
    const before = rssOf(scene.driver.pids);
    ctx.step(`${more} more`);
    await scene.subscribe('stage', more);
    await scene.flowing();
    await scene.whole(20_000);
    await scene.wait(warmup);
    const window = await scene.window(seconds);
    return sampleOf(scene, window, { memory_per_unit_bytes: (window.rss - before) / more });
}

export default (figures) => ({
    name: 'sfu-memory',
    title: 'Memory a subscriber',
    about: 'How much the server\'s memory (proportional set size) grows for each of 200 subscribers who join 10 while media flows.',
    unit: 'forwarded packet', main: 'memory_kib', better: 'less', figures,
    params: { first: 10, more: 200, seconds: 1, warmup: 1.5 },
    smoke: { first: 2, more: 10, seconds: 0.5, warmup: 0.5 },
    contenders: ['ours', 'janus'],
    measure,
});
