import { cpuClock, generatorOf, openSockets } from '../lib/signal_load.mjs';
import { rssOf } from '../lib/proc.mjs';
import { LIFTED } from '../lib/signald.mjs';

async function measure(contender, ctx) {
    const { sockets, sdk } = ctx.params;
    const side = await openSockets(contender, ctx, { mode: 'storm', sockets, managed: true, at_once: sockets });
    const [load] = side.loads;
    load.send({ op: 'pace', in_flight: sockets }); // now nobody waits for anybody
    const cpu = cpuClock(side);
    ctx.step(`all ${side.open} are cut off and come back`);
    load.send({ op: 'storm', by: 'client', sdk: Boolean(sdk) });
    await load.next('back', 120_000);
    const used = cpu();
    const rss = rssOf(side.pids());
    const result = await load.stop();
    return sampleOf(side, result, used, rss);
}

function sampleOf(side, result, used, rss) {
    const { storm } = result;
    const window_s = storm.all_ms / 1000;
    const a = (seconds) => (seconds * 1e6) / storm.back;
    const faults = [];
    if (side.open < side.wanted) faults.push(`${side.wanted - side.open} sockets did not open at first`);
    if (storm.back < side.wanted) faults.push(`${side.wanted - storm.back} did not come back`);
    return {
        figures: {
            cpu_us_per_reconnect: a(used.server + used.database),
            server_cpu_us_per_reconnect: a(used.server),
            database_cpu_us_per_reconnect: a(used.database),
            half_back_ms: storm.half_ms,
            most_back_ms: storm.most_ms,
            all_back_ms: storm.all_ms,
            tries_per_reconnect: storm.tries / storm.back,
        },
        units: storm.back,
        window_s,
        server: { cpu_s: used.server, database_cpu_s: used.database, rss_bytes: rss, cores_busy: (used.server + used.database) / window_s },
        generator: generatorOf([result]),
        latency_us: { back: storm.time },
        throughput: storm.back / window_s,
        valid: faults.length === 0,
        why: faults.join('; '),
        extra: { failures: storm.failures, refused: result.refused, resumed: result.resumed },
    };
}

export default {
    name: 'ws-storm',
    title: 'Everyone reconnects',
    about: 'Every socket is reset in the same moment and comes back with its cursor, as after a lost network: first all at once, then with the jitter that our SDK has.',
    waitsFor: null,
    unit: 'reconnect',
    main: 'cpu_us_per_reconnect',
    better: 'less',
    figures: {
        cpu_us_per_reconnect: { title: 'CPU a reconnect, server and database', unit: 'µs', better: 'less' },
        server_cpu_us_per_reconnect: { title: 'of it the server', unit: 'µs', better: 'less' },
        database_cpu_us_per_reconnect: { title: 'of it the database', unit: 'µs', better: 'less' },
        half_back_ms: { title: 'until half are back', unit: 'ms', better: 'less' },
        most_back_ms: { title: 'until 99 of 100 are back', unit: 'ms', better: 'less' },
        all_back_ms: { title: 'until all are back', unit: 'ms', better: 'less' },
        tries_per_reconnect: { title: 'tries a reconnect', unit: '', better: 'less' },
    },
    params: { sockets: 2000, sdk: 0 },
    smoke: { sockets: 20 },
    repeats: 2,
    setup_s: 9,
    contenders: ['ours', 'ejabberd'],
    variants: [{ key: 'at_once', params: { sdk: 0 } }, { key: 'jitter', params: { sdk: 1 } }],
    headline: 'at_once',
    measure,
    fairness: [
        LIFTED,
        'Ours asks for a new ticket by HTTP (a connection of its own) and then opens the socket with its cursor; ejabberd takes the password by SASL PLAIN and resumes its session (XEP-0198). A password check by SASL is cheaper than a signed ticket, and resuming keeps state in the server that ours keeps in the database.',
        'ejabberd\'s passwords are stored in plain text here (its default), so that it pays for no key derivation.',
        'Server, database and its writes share one core; the generator has the other.',
        'A socket counts as back with `synced` (all that it missed was sent) or with `resumed`, each counted from the reset.',
    ],
};
