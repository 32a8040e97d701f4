// The forwarding unit's table: what is reached is said, what is not is said, and what is not known is neither; the searches and
// accounts beneath it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { drawAll } from '../../bench/lib/plots.mjs';
import { candidateOf, divert, sampleOf as linkSample, stillness } from '../../bench/lib/sfu_browser.mjs';
import { nextProbe, probeOf } from '../../bench/lib/sfu_capacity.mjs';
import { Endurance, dice, gapsOf, memoryVerdict, pickOp, slopeOf, stepOf } from '../../bench/lib/sfu_endure.mjs';
import { lossesSince } from '../../bench/lib/sfu_load.mjs';
import { socketDrops } from '../../bench/lib/sfu_ours.mjs';
import { byRow, sfuPage, sfuPlots, tableText } from '../../bench/lib/sfu_page.mjs';
import { ROWS, quickened } from '../../bench/lib/sfu_rows.mjs';
import { verdicts } from '../../bench/lib/sfu_targets.mjs';
import { faultsOf } from '../../bench/lib/scenarios.mjs';
import { HOST, history, run } from './made.mjs';

const bench = new URL('../../bench/sfu', import.meta.url).pathname;

/** A row measured without servers: `figures(contender, variant, repeat)` is what each sample says. */
async function row(key, figures, more = {}) {
    const scenario = ROWS[key];
    const measure = async (contender, ctx) => {
        const own = figures(contender, ctx.variant, ctx.repeat);
        if (own === null) return { figures: {}, valid: false, why: `${contender} lost 9 packets` };
        return { figures: own, units: 1000, window_s: 1, server: { cpu_s: 0.1, cores_busy: 0.2 }, generator: { busy: 0.1 }, inside: contender === 'ours' ? {} : undefined, lost_packets: 0, valid: true, ...more };
    };
    return run({ ...scenario, measure, limit_s: 600 });
}
const cost = (ns, ms = 1) => ({ cpu_ns_per_packet: ns, latency_p50_ms: ms, latency_p99_ms: 3 * ms, loss_percent: 0, packets_per_s: 1 });
const NS = { ours: 3000, floor: 2500, janus: 12_000, 'janus-installed': 24_000 };
const find = (lines, what) => lines.find((l) => what.test(l.what));

test('each row is a scenario of its own name, and a quick one is no longer than it says', () => {
    for (const [key, scenario] of Object.entries(ROWS)) {
        assert.deepEqual(faultsOf(scenario, `sfu-${key}`), []);
        assert.deepEqual(faultsOf(quickened(scenario), `sfu-${key}`), []);
        assert.equal(quickened(scenario).repeats, 1);
    }
});

test('ratios are taken within a repeat, and their median is held against the target', async () => {
    // A machine that slows down for a repeat slows both: the ratio stays.
    const slow = (ns, repeat) => (repeat === 2 ? 5 * ns : ns);
    const gcm = await row('gcm', (who, _, repeat) => cost(slow(NS[who], repeat), who === 'ours' ? 1 : 4));
    const lines = verdicts({ gcm });
    assert.deepEqual(lines.slice(0, 5).map((l) => l.reached), [true, true, true, true, true]);
    assert.equal(find(lines, /floor/).value, '1.2 × (3,000 ns against 2,500 ns)');
    assert.equal(find(lines, /floor/).repeats, 5);

    const dear = verdicts({ gcm: await row('gcm', (who) => cost(who === 'ours' ? 3300 : NS[who], who === 'ours' ? 1.4 : 4)) });
    assert.deepEqual([/floor/, /tuned/, /installed/, /p50/, /p99/].map((what) => find(dear, what).reached), [false, true, true, false, false]);
});

test('what was not measured, or does not count, has no verdict but a reason', async () => {
    const gcm = await row('gcm', (who) => (who === 'janus-installed' ? null : cost(NS[who])));
    const line = find(verdicts({ gcm }), /installed/);
    assert.deepEqual([line.reached, line.value], [null, '–']);
    assert.match(line.note, /^janus-installed: janus-installed lost 9 packets/);
    assert.deepEqual(verdicts({}), []);
});

test('meetings by their size; growth is flat, rising, or not known', async () => {
    const meetings = await row('meetings', (who, variant) => cost(who === 'janus' ? 9000 : variant === 'meeting-of-16' ? 3500 : 2900));
    assert.deepEqual(verdicts({ meetings }).map((l) => [l.what, l.reached]).slice(0, 3), [['meeting of 4', true], ['meeting of 8', true], ['meeting of 16', false]]);
    const growth = (of) => row('growth', (who, variant) => cost(of(Number(variant.slice(1)))));
    assert.equal(verdicts({ growth: await growth((n) => 3000 + 30_000 / n) })[0].reached, true);
    const rising = verdicts({ growth: await growth((n) => (n === 400 ? 4000 : 3000)) })[0];
    assert.equal(rising.reached, false);
    assert.match(rising.note, /towards 400/);
});

test('capacity: a bound is told as one, and a peer that was not brought to its end gives no verdict', async () => {
    const measured = async (atLeast) => row('capacity', (who) => ({ subscribers: who === 'ours' ? 1300 : 400 }), { at_least: atLeast });
    const line = verdicts({ capacity: await measured(false) })[0];
    assert.deepEqual([line.reached, line.note], [true, undefined]);
    assert.equal(verdicts({ capacity: await measured(true) })[0].reached, null);
});

test('loss inside the server: counters and gaps of all windows, those that do not count too', async () => {
    const inside = { 'sotto_udp_refused_total': 3 };
    const lost = verdicts({ cm: await row('cm', (who) => cost(NS[who]), { inside }) });
    assert.equal(find(lost, /loss inside/).reached, false);
    assert.match(find(lost, /loss inside/).note, /sotto_udp_refused_total: 15/);
    const gaps = verdicts({ cm: await row('cm', (who) => cost(NS[who]), { lost_packets: 2, valid: false, why: '2 lost' }) });
    assert.deepEqual([find(gaps, /loss inside/).reached, find(gaps, /loss inside/).value], [false, '10 of 5,000 packets in 5 windows']);
    assert.equal(find(verdicts({ cm: await row('cm', (who) => cost(NS[who])) }), /loss inside/).reached, true);
    assert.deepEqual(lossesSince({ a: 1, b: 2 }, { a: 1, b: 5, c: 1 }), { b: 3, c: 1 });
});

test('the bad link: a picture that stands still for good is not one freeze', async () => {
    assert.deepEqual(stillness([33, 40, 250, 33, 1500]), { freezes: 3, frozen_s: 1.75, longest_gap_ms: 1500 });
    assert.equal(stillness([20_000]).freezes, 20);
    const figures = (who) => ({ frames_per_s: 29, fitting_percent: who === 'ours' ? 97 : 0, freezes: who === 'ours' ? 1 : 20, frozen_s: who === 'ours' ? 0.3 : 20, chromium_freezes: 0, longest_gap_ms: 300 });
    const [freezes, fitting] = verdicts({ link: await row('link', figures) });
    assert.deepEqual([freezes.reached, freezes.value, fitting.reached], [true, '1 (0.3 s) against 20 (20 s)', true]);

    const before = { q: { frames: 0, bytes: 0 }, h: { frames: 0, bytes: 0 }, f: { frames: 0, bytes: 0 } };
    const layer = (width) => ({ frames: 300, width, bytes: 1e6 });
    const seen = { frames: 295, freezes: 0, gaps: [33], widths: { 480: 285, 240: 10 } };
    const given = { seen, layersBefore: before, layersAfter: { q: layer(240), h: layer(480), f: layer(960) }, link: { down: { lost: 5 } }, seconds: 10 };
    const sample = linkSample(given);
    assert.deepEqual([sample.valid, sample.figures.fitting_percent], [true, 95]);
    assert.match(linkSample({ ...given, link: { down: { lost: 0 } } }).why, /the link lost nothing/);
    assert.match(linkSample({ ...given, layersAfter: { ...given.layersAfter, f: { frames: 0, width: 960, bytes: 0 } } }).why, /does not fit/);
});

test('descriptions: the one candidate that is left leads through the link', () => {
    const sdp = 'v=0\r\na=candidate:1 1 tcp 99 10.0.0.1 9 typ host tcptype passive\r\na=candidate:2 1 udp 100 10.0.0.1 5000 typ host\r\na=candidate:3 1 udp 99 10.0.0.2 5000 typ host\r\n';
    assert.deepEqual(candidateOf(sdp), { address: '10.0.0.1', port: 5000 });
    assert.equal(divert(sdp, 77), 'v=0\r\na=candidate:2 1 udp 100 127.0.0.1 77 typ host\r\n');
    assert.throws(() => candidateOf('v=0\r\n'), /no IPv4 candidate/);
});

test('capacity: the search goes up by what is left of the core, and halves between what was carried and what was not', () => {
    const limits = { most: 4000, close: 1.1 };
    const probes = [];
    const carries = (n) => ({ n, carries: n <= 1234, busy: n / 1300 });
    for (let n = 150; n !== null; n = nextProbe(probes, limits)) {
        probes.push(carries(n));
        assert.ok(probes.length < 12, `it ends: ${probes.map((p) => p.n)}`);
    }
    const best = Math.max(...probes.filter((p) => p.carries).map((p) => p.n));
    assert.ok(best > 1234 / 1.1 && best <= 1234, `${best}`);
    assert.ok(probes.length <= 7, `${probes.map((p) => p.n)}`);
    assert.equal(nextProbe([{ n: 150, carries: false }], limits), 75);
    assert.equal(nextProbe([{ n: 8, carries: false }], limits), null);
    assert.equal(nextProbe([{ n: 4000, carries: true, busy: 0.5 }], limits), null);

    const stats = { connected: 101, failed: 0, window_s: 2, cpu_s: 1, udp: { dropped: 0 }, latency: {}, received: { lost: 0, expected: 10_000, media: 10_000, packets: 10_000, bad_tag: 0, bad_payload: 0 } };
    const of = { endpoints: 101, loss_percent: 0.1 };
    assert.equal(probeOf(100, { stats, cpu_s: 1, missing: 0 }, of).carries, true);
    assert.equal(probeOf(100, { stats: { ...stats, received: { ...stats.received, lost: 11 } }, cpu_s: 1, missing: 0 }, of).carries, false);
    assert.equal(probeOf(100, { stats, cpu_s: 1, missing: 300 }, of).carries, false, 'a server that hides its gaps');
    assert.equal(probeOf(100, { stats: { ...stats, connected: 100 }, cpu_s: 1, missing: 0 }, of).carries, false);
    const tired = probeOf(100, { stats: { ...stats, cpu_s: 1.9 }, cpu_s: 1, missing: 0 }, of);
    assert.deepEqual([tired.carries, tired.generator], [false, true]);
});

test('the drops of a socket are those of its port, of either family', () => {
    const head = '  sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode ref pointer drops\n';
    const line = (port, drops) => ` 12: 0100007F:${port.toString(16).toUpperCase()} 00000000:0000 07 0:0 0:0 0 0 0 1 2 0 ${drops}\n`;
    assert.equal(socketDrops([5000], [`${head}${line(5000, 7)}${line(5001, 9)}`, `${head}${line(5000, 2)}`]), 9);
    assert.equal(socketDrops([1]), 0);
});

test('endurance: gaps are of those who did not move, memory is judged by its line, and a seed repeats', () => {
    const of = (ep, lost, packets, dropped = 0) => ({ ep, dropped, received: { lost, repaired: 0, bad_tag: 0, bad_payload: 0, packets } });
    const before = new Map();
    assert.deepEqual(gapsOf([of(1, 0, 100), of(2, 3, 100), of(3, 4, 100, 4)], new Set([2]), before), { gaps: [], packets: 300, excused: 7, dropped: 4, wrong: 0 });
    assert.deepEqual(gapsOf([of(1, 2, 150), of(2, 3, 150), of(3, 4, 150, 4)], new Set(), before), { gaps: [{ ep: 1, missing: 2 }], packets: 150, excused: 0, dropped: 0, wrong: 0 });

    const line = (rise, noise = () => 0) => Array.from({ length: 60 }, (_, i) => ({ s: 10 * i, bytes: 50 * 2 ** 20 + rise * i + noise(i) }));
    assert.ok(Math.abs(slopeOf(line(1000)) - 100) < 1e-6);
    assert.equal(memoryVerdict(line(0, (i) => (i % 2) * 2 ** 20), 600).flat, true);
    assert.equal(memoryVerdict(line(60_000), 600).flat, false);
    assert.equal(memoryVerdict(line(60_000), 60).judged, false);

    const none = { server: 0.07, generator: 0.05 };
    assert.equal(stepOf(24, none, 0.7), 105, 'half of what is missing');
    assert.equal(stepOf(600, { server: 0.3, generator: 0.3 }, 0.7), 240, 'never too many at once');
    assert.equal(stepOf(600, { server: 0.69, generator: 0.3 }, 0.7), 24, 'never too few');
    assert.equal(stepOf(600, { server: 0.5, generator: 0.79 }, 0.7), 24, 'nor more than the generator can take');

    const of70 = (kept) => Object.assign(new Endurance({}, { seed: 1 }), { kept });
    for (const [kept, sanitized, faults] of [[0.02, true, 1], [0.5, true, 0], [0.5, false, 1]]) {
        const it = of70(kept);
        it.loss('3 packets');
        it.excuse(sanitized);
        assert.deepEqual([it.faults.length, it.unjudged.length], [faults, 1 - faults]);
    }

    const ops = (seed) => { const random = dice(seed); return Array.from({ length: 200 }, () => pickOp(random)); };
    assert.deepEqual(ops(7), ops(7));
    assert.notDeepEqual(ops(7), ops(8));
    assert.deepEqual([...new Set(ops(7))].sort(), ['move', 'person', 'restart', 'swap']);
});

/** A scene without servers: who comes is there after a while, and the server knows only who is there. */
function madeScene() {
    const known = new Set();
    const later = (fn) => new Promise((done, fail) => { setTimeout(() => { try { done(fn()); } catch (error) { fail(error); } }, 15); });
    const ask = (what, ep) => { if (!known.has(ep)) throw new Error(`${what}: not_found`); };
    let next = 1;
    const scene = {
        publishers: new Map([['meeting', []], ['stage 1', []]]), subscribers: [], members: new Map(),
        get all() { return [...scene.publishers.values()].flat().concat(scene.subscribers.map((s) => s.ep)); },
        number: () => next++,
        wait: () => Promise.resolve(),
        publish(room) {
            const ep = next++;
            scene.publishers.get(room).push(ep);
            return later(() => (known.add(ep), [ep]));
        },
        join(room, ep, { member = ep, from = [] } = {}) {
            scene.subscribers.push({ ep, room, from });
            return later(() => {
                assert.ok(!scene.members.has(member), 'nobody watches twice');
                scene.members.set(member, ep);
                known.add(ep);
            });
        },
        subscribe: (room) => { const ep = next++; return scene.join(room, ep).then(() => [ep]); },
        part(eps) {
            scene.subscribers = scene.subscribers.filter((s) => !eps.includes(s.ep));
            return later(() => eps.forEach((ep) => (ask('leave', ep), known.delete(ep))));
        },
        driver: {
            pids: [process.pid], losses: () => Promise.resolve({}),
            restart: (_, ep, __, { which, member }) => later(() => (ask(`restart ${which}`, ep), which === 'subscribe' && assert.equal(scene.members.get(member), ep))),
            leave: (_, ep) => later(() => { ask('leave', ep); known.delete(ep); scene.members.delete(ep); }),
        },
        load: {
            mark: () => Promise.resolve(), stats: () => Promise.resolve({ endpoints: [], cpu_s: 0, window_s: 1 }), send: () => Promise.resolve(), close: () => Promise.resolve(), connected: () => later(() => {}),
            move: (ep) => later(() => ask('move', ep)),
        },
    };
    return scene;
}

test('endurance: many things at once happen each to somebody who is there', async () => {
    const scene = madeScene();
    const endurance = new Endurance({ step() {} }, { seconds: 1.5, period: 1, rate: 12_000, seed: 3, load: 0.7 });
    endurance.scene = scene;
    for (let i = 0; i < 6; i++) await scene.publish('meeting');
    endurance.people = new Map();
    for (const ep of scene.publishers.get('meeting')) {
        const viewer = scene.number();
        await scene.join('meeting', viewer, { member: ep });
        endurance.people.set(ep, viewer);
    }
    for (let i = 0; i < 9; i++) await scene.subscribe('stage 1');
    endurance.settled(scene.all);
    await endurance.run();
    assert.deepEqual(endurance.faults, []);
    assert.ok(Object.values(endurance.counts).every((n) => n > 0), JSON.stringify(endurance.counts));
});

test('the page tells it all, and its plots outlive those of the other page', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-test-'));
    after(() => rmSync(dir, { recursive: true }));
    const results = [await row('gcm', (who) => cost(NS[who])), await row('growth', (who, variant) => cost(NS[who] + 1000 / Number(variant.slice(1))))];
    const text = sfuPage(history(results));
    assert.match(text, /\*\*\d of 7 targets are reached\*\*/);
    assert.match(text, /1 → 100, AES-128-GCM, over the floor \| ≤ 1\.3 × floor \| 1\.2 × /);
    assert.match(text, /forwarding-cost\.svg/);
    assert.doesNotMatch(text, /undefined|NaN|\[object/);
    assert.ok(tableText(results).length > 8 && byRow(results).gcm);
    assert.deepEqual(sfuPlots(results).map((p) => p.name), ['forwarding-cost']);
    writeFileSync(join(dir, 'forwarding-cost.svg'), '<svg/>');
    writeFileSync(join(dir, 'former.svg'), '<svg/>');
    await drawAll({ results: [] }, dir);
    assert.equal(readFileSync(join(dir, 'forwarding-cost.svg'), 'utf8'), '<svg/>');
    assert.throws(() => readFileSync(join(dir, 'former.svg')));
    assert.ok(HOST);
});

test('a wrong command line is told, and nothing is built or measured', () => {
    const say = (...args) => spawnSync(bench, args, { encoding: 'utf8' });
    for (const [args, words] of [[['--rows', 'gmc'], /did you mean gcm/], [['--repeats', '0'], /whole number/], [['--fast'], /--fast/], [['--quick', '--save'], /whole runs/]]) {
        const { status, stderr } = say(...args);
        assert.equal(status, 2, stderr);
        assert.match(stderr, words);
    }
    assert.match(say('--help').stdout, /--resume/);
    const endure = spawnSync(`${bench}-endure`, ['--minutes', 'x'], { encoding: 'utf8' });
    assert.deepEqual([endure.status, /needs a number/.test(endure.stderr)], [2, true]);
});
