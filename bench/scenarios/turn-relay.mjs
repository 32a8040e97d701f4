import { setTimeout as sleep } from 'node:timers/promises';
import { Lines } from '../lib/lines.mjs';
import { BenchError, rssOf, tail } from '../lib/proc.mjs';
import { cpuClock } from '../lib/sfu_load.mjs';
import * as ours from '../lib/turn_ours.mjs';
import * as installed from '../peers/coturn.mjs';

/** A plain forwarder of the same datagrams: the least that a relay must do. */
async function startFloor(ctx) {
    const sink = await Lines.start(ctx, { program: 'sotto-load-sink', args: ['--mode', 'forward'] });
    ctx.defer(() => sink.stop());
    return {
        pids: () => [sink.pid],
        log: () => sink.log(),
        async open(turn, pairs) {
            const { ports } = await turn.ask({ op: 'plain', server: `127.0.0.1:${sink.ready.port}`, relay: `127.0.0.1:${sink.ready.relay}`, pairs });
            for (const [client, peer] of ports) await sink.ask({ op: 'pair', client, peer });
        },
    };
}

async function startCoturn(contender, ctx, pairs) {
    const server = await (contender === 'ours' ? ours : installed).start(ctx, { relays: pairs });
    const accounts = server.accounts ?? [{ username: server.username, credential: server.password }];
    return {
        pids: () => server.pids(),
        log: () => server.log(),
        open: (turn, n) => turn.ask({ op: 'open', server: `${server.host}:${server.port}`, accounts, pairs: n }),
    };
}

/** What is wrong with a window, as sentences. */
function faultsOf(stats, pairs, smoke) {
    const faults = [];
    const check = (ok, text) => ok || faults.push(text);
    check(stats.ready === pairs, `${stats.ready} of ${pairs} allocations are there`);
    check(stats.bad === 0, `${stats.bad} packets that are not what was sent`);
    check(stats.received > 0, 'no packet came');
    if (smoke) return faults; // it asks for no speed
    check(stats.lost === 0, `${stats.lost} packets lost on a link that loses none`);
    check(stats.received >= 0.98 * stats.sent, `${stats.received} packets came where ${stats.sent} were sent`);
    return faults;
}

async function measure(contender, ctx) {
    const { pairs, packets_per_s, bytes, seconds, warmup } = ctx.params;
    ctx.step('starting the relay');
    const server = contender === 'floor' ? await startFloor(ctx) : await startCoturn(contender, ctx, pairs);
    const turn = await Lines.start(ctx, { program: 'sotto-load-turn', cpus: ctx.cpus.generator });
    ctx.defer(() => turn.stop());
    const empty = rssOf(server.pids());
    ctx.step(`${pairs} allocations`);
    try {
        await server.open(turn, pairs);
    } catch (error) {
        throw new BenchError(error.message, tail(server.log(), 3));
    }
    await turn.ask({ op: 'send', packets_per_s, bytes, burst: 7 });
    ctx.step('warming up');
    await sleep(warmup * 1000, undefined, { signal: ctx.signal });
    ctx.step('measuring');
    await turn.ask({ op: 'mark' });
    const cpu = cpuClock(server.pids());
    await sleep(seconds * 1000, undefined, { signal: ctx.signal });
    let stats = await turn.ask({ op: 'stats' });
    for (let i = 0; ctx.smoke && stats.received === 0 && i < 60; i++) {
        await sleep(500, undefined, { signal: ctx.signal });
        stats = await turn.ask({ op: 'stats' });
    }
    const cpu_s = cpu();
    const rss = rssOf(server.pids());
    await turn.ask({ op: 'close' });
    const faults = faultsOf(stats, pairs, ctx.smoke);
    return {
        figures: {
            cpu_ns_per_packet: (cpu_s / stats.received) * 1e9,
            latency_p50_ms: stats.latency.p50 / 1000,
            latency_p99_ms: stats.latency.p99 / 1000,
            packets_per_s: stats.received / stats.window_s,
            memory_kib: (rss - empty) / pairs / 1024,
        },
        units: stats.received,
        window_s: stats.window_s,
        server: { cpu_s, rss_bytes: rss, memory_per_unit_bytes: (rss - empty) / pairs, cores_busy: cpu_s / stats.window_s },
        generator: { cpu_s: stats.cpu_s, busy: stats.cpu_s / stats.window_s, late_ms: stats.late_max_ms },
        latency_us: { relayed: stats.latency },
        loss: stats.lost / Math.max(1, stats.expected),
        throughput: stats.received / stats.window_s,
        valid: faults.length === 0,
        why: faults.join('; '),
    };
}

export default {
    name: 'turn-relay',
    title: 'Relayed media',
    about: 'Allocations on coturn, each with 231 packets/s of 1,000 bytes either way between a client (ChannelData over UDP) and its peer.',
    waitsFor: null,
    unit: 'relayed packet',
    main: 'cpu_ns_per_packet',
    better: 'less',
    figures: {
        cpu_ns_per_packet: { title: 'server CPU a relayed packet', unit: 'ns', better: 'less' },
        latency_p50_ms: { title: 'added latency, half of the packets', unit: 'ms', better: 'less' },
        latency_p99_ms: { title: 'added latency, 99 of 100', unit: 'ms', better: 'less' },
        packets_per_s: { title: 'relayed', unit: 'packets/s', better: 'more' },
        memory_kib: { title: 'server memory an allocation', unit: 'KiB', better: 'less' },
    },
    params: { pairs: 50, packets_per_s: 231, bytes: 1000, seconds: 5, warmup: 1 },
    smoke: { pairs: 4, seconds: 1, warmup: 0.3 },
    repeats: 3,
    contenders: ['ours', 'floor', 'coturn-installed'],
    measure,
    fairness: [
        'Ours is coturn itself, as `sottoctl turn config` configures it, with credentials by shared secret; coturn-installed is the same program with Debian\'s defaults and one account. The ratio shows what our configuration costs, not whose program is better.',
        'The floor forwards the same datagrams by recvmmsg and sendmmsg in one thread: it takes and gives ChannelData headers, but has no STUN, credentials, permissions, quotas or timers, and one socket for all relayed addresses.',
        'Both ends of every stream are the load client\'s, so it sends and receives each packet once and needs more CPU than the relay does; it has a core of its own.',
    ],
};
