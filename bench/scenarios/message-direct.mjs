// Messages from one user to another: stored, and delivered at once.
import { NotThere } from '../lib/not_there.mjs';
import { faultOf, floorSample, memoryOf, microseconds, nobody, runFloor, sampleOf, startEjabberd } from '../lib/messages.mjs';
import { startDatabase } from '../peers/pgbench.mjs';

/**
 * Issue 6 fills this in: signald with its database and `clients` devices on WebSockets, each sending to its neighbour;
 * first with `window` messages under way each, then at half of what that carried. Its POST is answered after the commit.
 * → a sample with the figures below
 */
// eslint-disable-next-line no-unused-vars
async function ours(ctx) {
    throw new NotThere('issue 6 adds the messages of Sotto');
}

async function peer(ctx) {
    const { clients, bytes, window, warmup, seconds } = ctx.params;
    const { server, load, meter } = await startEjabberd(ctx, { mode: 'direct', clients, bytes, managed: 1 });
    ctx.step('as many messages as it carries');
    const full = await load.run({ window, warmup, seconds }, meter);
    const rate = full.done.delivered / full.done.window_s;
    const memory = memoryOf(server);
    ctx.step(`half of that: ${Math.round(rate / 2)} a second`);
    const calm = faultOf(full.done) ? null : await load.run({ rate: rate / 2, warmup, seconds }, meter);
    const latency = calm?.done.latency.delivery ?? { p50: NaN, p99: NaN };
    return sampleOf({
        run: full, calm, units: full.done.delivered, rss: memory,
        figures: {
            cpu_us_per_message: microseconds(full.cpu.server + full.cpu.database, full.done.delivered),
            database_us_per_message: microseconds(full.cpu.database, full.done.delivered),
            messages_per_s: rate,
            p50_ms: latency.p50 / 1000,
            p99_ms: latency.p99 / 1000,
        },
    });
}

/** batch: messages a commit. */
async function floor(ctx, batch, connections) {
    const { bytes, warmup, seconds } = ctx.params;
    ctx.step('starting PostgreSQL');
    const db = await startDatabase(ctx);
    const options = { variables: { conversations: 10000, bytes, batch }, clients: connections, unitsEach: batch };
    await runFloor(ctx, db, 'message_direct.sql', { ...options, seconds: warmup });
    ctx.step(`as many rows as it takes, ${batch} messages a commit`);
    const full = await runFloor(ctx, db, 'message_direct.sql', { ...options, seconds });
    ctx.step('half of that');
    const calm = await runFloor(ctx, db, 'message_direct.sql', { ...options, seconds, rate: full.per_s / batch / 2 });
    return floorSample({
        floor: full, calm,
        figures: {
            cpu_us_per_message: full.database_us,
            database_us_per_message: full.database_us,
            messages_per_s: full.per_s,
            p50_ms: calm.run.latency.p50 / 1000,
            p99_ms: calm.run.latency.p99 / 1000,
        },
    });
}

function measure(contender, ctx) {
    if (contender === 'ejabberd') return peer(ctx);
    if (contender === 'floor') return floor(ctx, ctx.params.batch, 8);
    if (contender === 'floor-single') return floor(ctx, 1, 40);
    return contender === 'ours' ? ours(ctx) : nobody(contender);
}

export default {
    name: 'message-direct',
    title: 'Messages from one to one',
    about: '200 users, each writing to his neighbour, 300 bytes a message: stored and delivered. As many as the server carries, then latencies at half of that.',
    waitsFor: 'messages (issue 6)',
    unit: 'message delivered',
    main: 'cpu_us_per_message',
    better: 'less',
    figures: {
        cpu_us_per_message: { title: 'CPU of server and database a message', unit: 'µs', better: 'less' },
        database_us_per_message: { title: 'of it the database', unit: 'µs', better: 'less' },
        messages_per_s: { title: 'messages on one core', unit: '/s', better: 'more' },
        p50_ms: { title: 'delivery at half of that, half are faster', unit: 'ms', better: 'less' },
        p99_ms: { title: 'delivery at half of that, 99 % are faster', unit: 'ms', better: 'less' },
        lost: { title: 'messages lost', unit: '', better: 'less' },
    },
    params: { clients: 200, bytes: 300, window: 2, batch: 20, warmup: 1, seconds: 3 },
    smoke: { clients: 10, window: 1, warmup: 1, seconds: 1 },
    repeats: 2,
    setup_s: 9,
    contenders: ['ours', 'floor', 'floor-single', 'ejabberd'],
    measure,
    fairness: [
        'The floor\'s CPU has the begin of pgbench\'s connections in it; servers have theirs before the window.',
        'Server and database share the server core; PostgreSQL has the same settings for all, with fsync and synchronous_commit on.',
        'ejabberd commits the sender\'s copy before it routes and the receiver\'s copy before it delivers, one commit each. But it delivers and acknowledges also when a copy could not be stored: what arrived is no proof of what is kept.',
        'ejabberd archives a message twice, as text in XML with four indexes each; Sotto\'s floor is one message row and one inbox row.',
        'The floor is pgbench alone: nobody signs in, nothing is checked, nothing is delivered. Batches of 20 stand for group commit; floor-single is one message a commit. Its latency is that of a commit.',
        'ejabberd has stream management on, accounts without passwords\' hashes, and no module that this doesn\'t need; Erlang\'s schedulers don\'t spin.',
        'Its driver speaks to PostgreSQL by TCP, Sotto by a Unix socket.',
    ],
};
