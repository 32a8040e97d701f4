import { Load } from '../lib/load.mjs';
import { SOURCE } from '../lib/sfu_load.mjs';
import { CallSite, direct } from '../lib/call_site.mjs';

const quantile = (values, q) => {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN;
};

/** One call after the other, so that each is alone; the first one warms up and isn't counted. */
async function measure(contender, ctx) {
    const { calls, path } = ctx.params;
    const site = contender === 'ours' ? await CallSite.open(ctx) : null;
    const load = await Load.start(ctx);
    ctx.defer(() => load.stop());
    const place = site ? (eps) => site.call(load, path, eps, SOURCE) : (eps) => direct(load, eps, SOURCE);
    let ep = 1;
    const next = () => [ep++, ep++, ep++, ep++]; // two a person for the SFU: one publishes, one subscribes
    await place(next());
    await load.mark();
    const cpu = site?.cpu();
    const started = performance.now();
    const done = [];
    const failed = [];
    for (let i = 0; i < calls; i++) {
        ctx.step(`call ${i + 1} of ${calls}, ${path}`);
        try {
            done.push(await place(next()));
        } catch (error) {
            failed.push(error.message);
        }
    }
    const window_s = (performance.now() - started) / 1000;
    return sampleOf({ done, failed, calls, path: site ? path : null, window_s, cost: cpu?.() ?? null, stats: await load.stats() });
}

const WAY = { p2p: ['host', 'srflx', 'prflx'], turn: ['relay'], sfu: ['host', 'lite', 'prflx', 'srflx'] };

function sampleOf({ done, failed, calls, path, window_s, cost, stats }) {
    const faults = [];
    if (failed.length > 0) faults.push(`${failed.length} of ${calls} calls failed (${failed[0]})`);
    if (stats.received.bad_tag + stats.received.bad_payload > 0) faults.push('packets that were not what was sent');
    const ways = [...new Set(done.flatMap((c) => c.paths))];
    const wrong = path ? ways.filter((way) => way && !WAY[path].includes(way)) : [];
    if (wrong.length > 0) faults.push(`media went by ${wrong.join(', ')} where ${path} was asked for`);
    const of = (key) => done.map((c) => c[key]).filter((ms) => ms !== undefined);
    return {
        figures: {
            media_p50_ms: quantile(of('media_ms'), 0.5),
            media_max_ms: quantile(of('media_ms'), 1),
            ...(path ? { ring_p50_ms: quantile(of('ring_ms'), 0.5), ring_max_ms: quantile(of('ring_ms'), 1) } : {}),
            ...(cost ? { cpu_ms_per_call: (cost.server * 1000) / calls, database_cpu_ms_per_call: (cost.database * 1000) / calls } : {}),
        },
        units: done.length,
        window_s,
        server: cost ? { cpu_s: cost.server, database_cpu_s: cost.database, cores_busy: (cost.server + cost.database) / window_s } : { cpu_s: 0, cores_busy: 0 },
        generator: { cpu_s: stats.cpu_s, busy: stats.cpu_s / stats.window_s },
        throughput: done.length / window_s,
        extra: { paths: ways },
        valid: faults.length === 0,
        why: faults.join('; '),
    };
}

export default {
    name: 'call-setup',
    title: 'From ringing to sound and picture',
    about: 'A whole Sotto and two people who call each other, peer to peer, through TURN, and in a group on the SFU: until it rings, and from the answer until both hear and see.',
    waitsFor: null,
    unit: 'call',
    main: 'media_p50_ms',
    better: 'less',
    figures: {
        media_p50_ms: { title: 'from the answer to sound and picture on both sides, half of the calls', unit: 'ms', better: 'less' },
        media_max_ms: { title: 'the slowest', unit: 'ms', better: 'less' },
        ring_p50_ms: { title: 'until it rings, half of the calls', unit: 'ms', better: 'less' },
        ring_max_ms: { title: 'until it rings, the slowest', unit: 'ms', better: 'less' },
        cpu_ms_per_call: { title: 'CPU of signald, sfud and coturn a call', unit: 'ms', better: 'less' },
        database_cpu_ms_per_call: { title: 'CPU of PostgreSQL a call', unit: 'ms', better: 'less' },
    },
    params: { calls: 10, path: 'p2p' },
    smoke: { calls: 2 },
    repeats: 2,
    setup_s: 12,
    contenders: ['ours', 'floor'],
    variants: [
        { key: 'p2p', params: { path: 'p2p' } },
        { key: 'turn', params: { path: 'turn' } },
        { key: 'sfu', params: { path: 'sfu' } },
    ],
    headline: 'p2p',
    measure,
    fairness: [
        'The people\'s WebSockets are the driver\'s (JavaScript), on the load client\'s core: their time is in ours and not in the floor\'s.',
        'The floor is the same two endpoints given each other\'s descriptions in the driver: no server, no ring, a direct path in every variant. The rest is what signaling, relay and SFU add.',
        'Endpoints are libnice\'s agents, which gather all candidates before they speak; a browser that trickles hears and sees earlier.',
        'The endpoints use TURN by UDP only, which tells them their reflexive address too: libnice asks STUN servers in a way that our coturn does not answer (RFC 3489, without the magic cookie), and would wait for it. Browsers do not.',
        'The caller has gathered (and, on the SFU, published and subscribed) before the answer, as a client does while it rings.',
    ],
};
