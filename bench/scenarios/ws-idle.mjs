import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../lib/proc.mjs';
import { cpuClock, generatorOf, openSockets } from '../lib/signal_load.mjs';
import { LIFTED } from '../lib/signald.mjs';

/** Until what the last handshakes left is over: server and database did nothing for half a second, or all the time that it may take. */
async function calm(side, ctx) {
    for (let quiet = 0, looks = 0; quiet < 2 && looks < 20; looks++) {
        const cpu = cpuClock(side);
        await sleep(250, null, { signal: ctx.signal });
        const used = cpu();
        quiet = used.server + used.database < 0.01 ? quiet + 1 : 0;
    }
}

async function measure(contender, ctx) {
    const { sockets, processes, seconds, pings } = ctx.params;
    const side = await openSockets(contender, ctx, { mode: 'idle', sockets, processes });
    await calm(side, ctx);
    const now = side.after();
    const memory = (now.pss - side.before.pss) / side.open;
    ctx.step(`${side.open} sockets are held`);
    for (const load of side.loads) {
        await load.mark();
        load.send({ op: 'ping', per_second: pings / side.loads.length });
    }
    const cpu = cpuClock(side);
    const begun = performance.now();
    await sleep(seconds * 1000, null, { signal: ctx.signal });
    const window_s = (performance.now() - begun) / 1000;
    const used = cpu();
    const results = [];
    for (const load of side.loads) results.push(ctx.smoke ? await until('a ping is answered', () => answered(load)) : await load.stats());
    const late = side.after();
    for (const load of side.loads) await load.stop();
    return sampleOf(side, results, { used, window_s, memory, now, late, smoke: ctx.smoke });
}

async function answered(load) {
    const stats = await load.stats();
    return stats.latency.ping?.count > 0 && stats;
}

function sampleOf(side, results, { used, window_s, memory, now, late, smoke }) {
    const held = results.reduce((sum, it) => sum + it.open, 0);
    const lost = results.reduce((sum, it) => sum + it.pings_lost, 0);
    const ping = results[0].latency.ping;
    const faults = [];
    if (held < side.wanted) faults.push(`${side.wanted - held} of ${side.wanted} sockets are not open`);
    const unanswered = results.reduce((sum, it) => sum + it.pings - it.latency.ping.count, 0);
    // The last ones are still on their way when the window ends.
    if (!smoke && unanswered > Math.max(10, results.reduce((sum, it) => sum + it.pings, 0) / 5)) faults.push(`${unanswered} pings were not answered in time`);
    if (lost > 0) faults.push(`${lost} pings without an answer`);
    return {
        figures: {
            memory_per_socket_bytes: memory,
            kernel_buffers_per_socket_bytes: Math.max(0, now.sockets - side.before.sockets) / held,
            kernel_slab_per_socket_bytes: Math.max(0, now.slab - side.before.slab) / held,
            cpu_us_per_socket_minute: (used.server * 1e6) / held / (window_s / 60),
            ping_p99_us: ping.p99,
            open_cpu_us: ((side.opening.server + side.opening.database) * 1e6) / side.open,
            opened_per_s: side.open / side.seconds,
        },
        units: held,
        window_s,
        server: {
            cpu_s: used.server, database_cpu_s: used.database, rss_bytes: late.pss, memory_per_unit_bytes: memory,
            cores_busy: (used.server + used.database) / window_s,
        },
        generator: generatorOf(results),
        latency_us: { ping },
        throughput: results.reduce((sum, it) => sum + it.pings, 0) / window_s,
        valid: faults.length === 0,
        why: faults.join('; '),
    };
}

export default {
    name: 'ws-idle',
    title: 'Sockets that only stand by',
    about: '19,000 sockets a process, two processes on one database, held open: memory a socket, CPU of the heartbeats, and how fast a ping is answered meanwhile.',
    waitsFor: null,
    unit: 'socket',
    main: 'memory_per_socket_bytes',
    better: 'less',
    figures: {
        memory_per_socket_bytes: { title: 'server memory a socket (PSS)', unit: 'B', better: 'less' },
        kernel_buffers_per_socket_bytes: { title: 'TCP buffers a connection, both ends', unit: 'B', better: 'less' },
        kernel_slab_per_socket_bytes: { title: 'other kernel memory a connection, both ends', unit: 'B', better: 'less' },
        cpu_us_per_socket_minute: { title: 'server CPU a socket and minute, heartbeats included', unit: 'µs', better: 'less' },
        ping_p99_us: { title: 'ping to answer, 99 of 100', unit: 'µs', better: 'less' },
        open_cpu_us: { title: 'CPU to open a socket (ticket or SASL), server and database', unit: 'µs', better: 'less' },
        opened_per_s: { title: 'sockets opened', unit: '1/s', better: 'more' },
    },
    params: { sockets: 19000, processes: 2, seconds: 60, pings: 50 },
    smoke: { sockets: 50, processes: 2, seconds: 1, pings: 20 },
    repeats: 1,
    setup_s: 75, // opening is what takes long: about 2 ms of the one server core for each, with its queries
    limit_s: 300,
    contenders: ['ours', 'ejabberd'],
    measure,
    fairness: [
        LIFTED,
        'ejabberd keeps presence, a session table and a process (with a heap of its own) for each socket; our socket knows its device and cursor and has no presence yet.',
        'Memory is the growth of the proportional set size (PSS) divided by the sockets. Erlang shares binaries and grows its heaps in steps, so its figure carries what it holds in reserve.',
        'Ours runs two processes with 19,000 sockets each, ejabberd one with 19,000: it is one system a node, and a process has 20,000 descriptors here.',
        'Our heartbeat is a WebSocket ping each 30 s, ejabberd\'s each 60 s (its default): ours does twice as many in the CPU figure. The window is a minute, so that each socket\'s are in it, however they bunch.',
        'The kernel\'s figures are of the whole machine: what else runs on it meanwhile is in them.',
        'Plain TCP on the loopback for both: TLS, which real clients use, adds its own memory to both alike.',
    ],
};
