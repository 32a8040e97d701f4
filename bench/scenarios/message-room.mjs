// Messages to a room: one is stored, all who are in the room get it.
import { NotThere } from '../lib/not_there.mjs';
import { faultOf, floorSample, memoryOf, microseconds, nobody, runFloor, sampleOf, startEjabberd } from '../lib/messages.mjs';
import { startDatabase } from '../peers/pgbench.mjs';

/**
 * Issue 6 fills this in: signald with its database and one room of `members` devices on WebSockets; first with `window`
 * messages under way, then at half of what that carried.
 * → a sample with the figures below
 */
// eslint-disable-next-line no-unused-vars
async function ours(ctx) {
    throw new NotThere('issue 6 adds the rooms of Sotto');
}

async function peer(ctx, managed) {
    const { members, bytes, window, warmup, seconds } = ctx.params;
    const { server, load, meter } = await startEjabberd(ctx, { mode: 'room', clients: members, members, bytes, managed });
    ctx.step('as many messages as it carries');
    const full = await load.run({ window, warmup, seconds }, meter);
    const rate = full.done.delivered / members / full.done.window_s;
    const memory = memoryOf(server);
    const half = Math.max(1, Math.floor(rate / 2));
    ctx.step(`half of that: ${half} a second`);
    const calm = faultOf(full.done) ? null : await load.run({ rate: half, warmup, seconds }, meter);
    const latency = calm?.done.latency.delivery ?? { p50: NaN, p99: NaN };
    return sampleOf({
        run: full, calm, units: full.done.delivered, rss: memory,
        figures: {
            cpu_us_per_delivery: microseconds(full.cpu.server + full.cpu.database, full.done.delivered),
            database_us_per_message: microseconds(full.cpu.database, full.done.delivered / members),
            deliveries_per_s: rate * members,
            p50_ms: latency.p50 / 1000,
            p99_ms: latency.p99 / 1000,
        },
    });
}

async function floor(ctx) {
    const { members, bytes, warmup, seconds } = ctx.params;
    ctx.step('starting PostgreSQL');
    const db = await startDatabase(ctx);
    const options = { variables: { conversations: 1, bytes, batch: 1 }, clients: 8, unitsEach: members };
    await runFloor(ctx, db, 'message_room.sql', { ...options, seconds: warmup });
    ctx.step('as many rows as it takes');
    const full = await runFloor(ctx, db, 'message_room.sql', { ...options, seconds });
    const latency = full.run.latency;
    return floorSample({
        floor: full,
        figures: {
            cpu_us_per_delivery: full.database_us,
            database_us_per_message: full.database_us * members,
            deliveries_per_s: full.per_s,
            p50_ms: latency.p50 / 1000,
            p99_ms: latency.p99 / 1000,
        },
    });
}

function measure(contender, ctx) {
    if (contender === 'ejabberd') return peer(ctx, 1);
    if (contender === 'ejabberd-unmanaged') return peer(ctx, 0);
    if (contender === 'floor') return floor(ctx);
    return contender === 'ours' ? ours(ctx) : nobody(contender);
}

export default {
    name: 'message-room',
    title: 'Messages to a room',
    about: 'A room of 200 and of 1,000 members who are all online, 300 bytes a message: stored once, delivered to each. As many as the server carries, then latencies at half of that.',
    waitsFor: 'messages (issue 6)',
    unit: 'delivery',
    main: 'cpu_us_per_delivery',
    better: 'less',
    figures: {
        cpu_us_per_delivery: { title: 'CPU of server and database a delivery', unit: 'µs', better: 'less' },
        database_us_per_message: { title: 'the database alone, a message', unit: 'µs', better: 'less' },
        deliveries_per_s: { title: 'deliveries on one core', unit: '/s', better: 'more' },
        p50_ms: { title: 'delivery at half of that, half are faster', unit: 'ms', better: 'less' },
        p99_ms: { title: 'delivery at half of that, 99 % are faster', unit: 'ms', better: 'less' },
        lost: { title: 'deliveries lost', unit: '', better: 'less' },
    },
    params: { members: 200, bytes: 300, window: 2, warmup: 1, seconds: 3 },
    smoke: { members: 10, window: 1, warmup: 1, seconds: 1 },
    repeats: 1,
    setup_s: 9,
    contenders: ['ours', 'floor', 'ejabberd', 'ejabberd-unmanaged'],
    variants: [
        { key: 'm200', params: { members: 200 } },
        { key: 'm1000', params: { members: 1000 } },
    ],
    headline: 'm200',
    measure,
    fairness: [
        'The floor\'s CPU has the begin of pgbench\'s connections in it; servers have theirs before the window.',
        'ejabberd stores the message once for the room before it delivers, in PostgreSQL; its members\' presence is told to nobody, which it would be by default.',
        'With stream management each client confirms what it got, and is asked to; ejabberd-unmanaged does without and would lose what is under way when a connection breaks. Sotto\'s devices confirm.',
        'The floor is pgbench with the one row of a message, divided by the members: deliveries themselves are not in it, so nobody comes near it. Its latency is that of a commit, with as many as go, not at half of that.',
        'All sessions are in one client program; it parses each delivery as XML.',
    ],
};
