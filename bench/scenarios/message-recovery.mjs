// Back after a day: what was missed is fetched, page by page.
import { NotThere } from '../lib/not_there.mjs';
import { faultOf, floorSample, memoryOf, microseconds, nobody, runFloor, sampleOf, startEjabberd } from '../lib/messages.mjs';
import { filled, startDatabase } from '../peers/pgbench.mjs';
import { domain } from '../peers/ejabberd.mjs';

/**
 * Issue 6 fills this in: signald with `clients` users whose inboxes have `messages` rows each, `window` of them at a time
 * fetching all by GET /v1/sync.
 * → a sample with the figures below
 */
// eslint-disable-next-line no-unused-vars
async function ours(ctx) {
    throw new NotThere('issue 6 adds the recovery of Sotto');
}

/** Rows as ejabberd itself writes them (compared with its own), u<i> having got `messages` from his neighbour. */
const archiveOf = ({ clients, messages, bytes }) => `
    INSERT INTO archive (username, timestamp, peer, bare_peer, xml, txt, kind, nick)
    SELECT 'u' || u, 1700000000000000 + n * 1000000 + u, 'u' || (u # 1) || '@${domain}/load', 'u' || (u # 1) || '@${domain}',
           '<message xml:lang=''en'' to=''u' || u || '@${domain}'' from=''u' || (u # 1) || '@${domain}/load'' type=''chat'' id=''m' || n
           || ''' xmlns=''jabber:client''><body>' || repeat('x', ${bytes}) || '</body></message>', repeat('x', ${bytes}), 'chat', ''
      FROM generate_series(0, ${clients - 1}) u, generate_series(1, ${messages}) n;
    VACUUM ANALYZE archive;`;

async function peer(ctx) {
    const { clients, messages, page, window, warmup, seconds } = ctx.params;
    const { server, load, meter } = await startEjabberd(ctx, { mode: 'recovery', clients, page, expect: messages, managed: 1 });
    ctx.step('filling the archives');
    await server.db.script(archiveOf(ctx.params));
    ctx.step('fetching');
    const run = await load.run({ window, warmup, seconds }, meter);
    const recovery = run.done.latency.recovery ?? { p50: NaN, p99: NaN };
    const fault = faultOf(run.done);
    return {
        ...sampleOf({
            run, units: run.done.delivered, rss: memoryOf(server),
            figures: {
                cpu_us_per_message: microseconds(run.cpu.server + run.cpu.database, run.done.delivered),
                database_us_per_message: microseconds(run.cpu.database, run.done.delivered),
                messages_per_s: run.done.delivered / run.done.window_s,
                p50_ms: recovery.p50 / 1000,
                p99_ms: recovery.p99 / 1000,
            },
        }),
        ...(fault ? { valid: false, why: fault } : {}),
    };
}

async function floor(ctx) {
    const { clients, messages, page, bytes, window, warmup, seconds } = ctx.params;
    ctx.step('starting PostgreSQL');
    const db = await startDatabase(ctx);
    ctx.step('filling the inboxes');
    await db.script(filled('recovery_fill.sql', { users: clients, messages, bytes }));
    const options = { variables: { users: clients, messages, page }, clients: window, unitsEach: page };
    await runFloor(ctx, db, 'recovery_page.sql', { ...options, seconds: warmup });
    ctx.step('fetching');
    const full = await runFloor(ctx, db, 'recovery_page.sql', { ...options, seconds });
    const pages = messages / page;
    return floorSample({
        floor: full,
        figures: {
            cpu_us_per_message: full.database_us,
            database_us_per_message: full.database_us,
            messages_per_s: full.per_s,
            p50_ms: (full.run.latency.p50 / 1000) * pages,
            p99_ms: (full.run.latency.p99 / 1000) * pages,
        },
    });
}

function measure(contender, ctx) {
    if (ctx.params.messages % ctx.params.page !== 0) throw new Error('messages must be whole pages');
    if (contender === 'ejabberd') return peer(ctx);
    if (contender === 'floor') return floor(ctx);
    return contender === 'ours' ? ours(ctx) : nobody(contender);
}

export default {
    name: 'message-recovery',
    title: 'Back after a day away',
    about: 'Users who missed 1,000 messages of 300 bytes fetch them page by page, eight users at a time.',
    waitsFor: 'messages (issue 6)',
    unit: 'message fetched',
    main: 'cpu_us_per_message',
    better: 'less',
    figures: {
        cpu_us_per_message: { title: 'CPU of server and database a message', unit: 'µs', better: 'less' },
        database_us_per_message: { title: 'of it the database', unit: 'µs', better: 'less' },
        messages_per_s: { title: 'messages fetched on one core', unit: '/s', better: 'more' },
        p50_ms: { title: 'all of a user\'s, half are faster', unit: 'ms', better: 'less' },
        p99_ms: { title: 'all of a user\'s, 99 % are faster', unit: 'ms', better: 'less' },
        lost: { title: 'messages missing', unit: '', better: 'less' },
    },
    params: { clients: 40, messages: 1000, page: 250, bytes: 300, window: 8, warmup: 1, seconds: 3 },
    smoke: { clients: 4, messages: 250, window: 2, warmup: 1, seconds: 1 },
    repeats: 2,
    setup_s: 9,
    contenders: ['ours', 'floor', 'ejabberd'],
    measure,
    fairness: [
        'The floor\'s CPU has the begin of pgbench\'s connections in it; servers have theirs before the window.',
        'ejabberd serves pages of 250, the largest it gives; each page it also counts what the whole query would find, as XEP-0059 lets a client see.',
        'Its archive is filled by SQL with rows as it writes them itself, in the order of time: a table that grew by and by would be less tidy. The floor\'s is filled the same way.',
        'The floor is the page\'s query over inbox and messages by pgbench, which throws the rows away; a user\'s time is that of a page times his pages, which makes its slowest slower than they would be.',
        'All is in memory: what comes from a cold disk is not measured.',
    ],
};
