// The soak: its books catch each kind of dirt, its schedule hangs on its seed, its relays cut what they say; and a short real run.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { allowedReasons, callBook } from '../../bench/chaos/books/calls.mjs';
import { inboxBook } from '../../bench/chaos/books/inbox.mjs';
import { logBook } from '../../bench/chaos/books/logs.mjs';
import { judgeMemory, memoryBook } from '../../bench/chaos/books/memory.mjs';
import { ringBook } from '../../bench/chaos/books/rings.mjs';
import { parseOptions } from '../../bench/chaos/options.mjs';
import { Random } from '../../bench/chaos/random.mjs';
import { MediaRelay, TcpRelay } from '../../bench/chaos/relays.mjs';
import { leastSquares } from '../../bench/chaos/samples.mjs';
import { KINDS, makeSchedule } from '../../bench/chaos/schedule.mjs';
import { poll } from '../../bench/chaos/time.mjs';
import { AFTERMATH_MS, Windows } from '../../bench/chaos/windows.mjs';

const T = Date.parse('2026-01-01T12:00:00Z');
const MIB = 2 ** 20;
const calm = new Windows();
/** Windows with one event, well again three seconds after it began. */
function struck(kind, from, wellAt = from + 3000) {
    const windows = new Windows();
    Object.assign(windows.open({ kind, target: kind.split(' ')[1] }, from), { wellAt });
    return windows;
}
const device = (name, over = {}) => ({ label: `ann/${name}`, deviceId: name, person: { userId: 'ann' }, log: [], faults: [], steady: () => true, ...over });
const step = (what, ok = true, at = T + 100) => ({ what, ok, at, code: null });
const call = (over = {}) => ({ callId: 'c1', plan: 'answer', firstAt: T, lastAt: T + 1000, steps: [step('start'), step('accept'), step('hang_up')], rings: [], ends: [], ...over });
const row = (over = {}) => ({ id: 'c1', status: 'ended', reason: 'completed', startedAt: T, endedAt: T + 1000, ...over });
const book = (calls, rows, windows = calm) => callBook({ calls: new Map(calls.map((c) => [c.callId, c])), rows, windows });
const dirty = (made, pattern) => {
    assert.equal(made.ok, false, made.text);
    assert.match(made.faults.join('\n'), pattern);
};

// ---- calls ----

test('calls: what fits is clean', () => assert.deepEqual(book([call({ ends: [{ device: device('phone'), reason: 'completed', cursor: 1, at: T }] })], [row()]).faults, []));

test('calls: a missing, a second, an open and an unseen record', () => {
    dirty(book([call()], []), /c1 \(answer\) has no record/);
    dirty(book([call()], [row(), row()]), /two records/);
    dirty(book([call()], [row({ status: 'active', reason: null })]), /still active/);
    dirty(book([], [row()]), /no client saw/);
});

test('calls: without chaos exactly the reason that the steps lead to', () => {
    const only = (steps, over = {}) => [...allowedReasons(call({ steps: steps.map((s) => step(...[s].flat())), ...over }), calm).keys()];
    assert.deepEqual(only(['start', 'accept', 'hang_up']), ['completed']);
    assert.deepEqual(only(['start', 'decline']), ['declined']);
    assert.deepEqual(only(['start', 'cancel']), ['cancelled']);
    assert.deepEqual(only(['start']), ['missed']);
    assert.deepEqual(only(['start'], { busy: true }), ['busy']);
    assert.deepEqual(only(['start', ['accept', null]]), ['missed', 'completed']);
    assert.deepEqual(only(['start', ['decline', null]]), ['missed', 'declined']);
    assert.deepEqual(only(['start', ['accept', false]]), ['missed']);
    dirty(book([call()], [row({ reason: 'failed' })]), /ended as failed; clients saw completed: start ok, accept ok, hang_up ok/);
});

test('calls: failed is explained by what struck while it lived, and by nothing else', () => {
    assert.ok(book([call()], [row({ reason: 'failed' })], struck('kill sfud', T + 500)).ok);
    dirty(book([call()], [row({ reason: 'failed' })], struck('kill sfud', T + 5000)), /failed/);
    dirty(book([call()], [row({ reason: 'failed' })], struck('kill sfud', T - AFTERMATH_MS.sfud - 10_000)), /failed/);
    dirty(book([call()], [row({ reason: 'declined' })], struck('kill sfud', T + 500)), /declined/);
});

test('calls: an end that was told otherwise', () => {
    const told = (cursor) => [call({ ends: [{ device: device('phone'), reason: 'completed', cursor, at: T + 900 }] })];
    dirty(book(told(7), [row({ reason: 'failed' })], struck('kill signald', T + 1000)), /was told completed, the record says failed/);
    assert.ok(book(told(undefined), [row({ reason: 'failed' })], struck('kill signald', T + 1000)).ok, 'told at once, and killed before it was written');
    dirty(book(told(undefined), [row({ reason: 'failed' })], struck('kill sfud', T + 1000)), /was told completed/);
});

// ---- rings ----

const ring = (d, over = {}) => ({ device: d, socket: 1, openedAt: T - 5000, at: T, ended: false, ...over });
const rings = (list, { expected = [], devices = [], windows = calm } = {}) => ringBook({ calls: new Map([['c1', call({ rings: list })]]), rows: [row()], expected, devices, windows });

test('rings: once a device; again only on another socket; never after the end', () => {
    const d = device('phone');
    assert.ok(rings([ring(d), ring(device('laptop'))]).ok);
    dirty(rings([ring(d), ring(d)]), /rang twice at ann\/phone #1/);
    assert.match(rings([ring(d), ring(d, { socket: 2 })]).text, /1 sent again/);
    dirty(rings([ring(d, { ended: true })]), /after it was told its end/);
    dirty(rings([ring(d, { openedAt: T + 60_000 })]), /opened after its end/);
});

test('rings: a device that was there all the time must ring', () => {
    const d = device('phone');
    const expected = [{ callId: 'c1', deviceId: 'phone' }];
    dirty(rings([], { expected, devices: [d] }), /never rang at ann\/phone/);
    assert.ok(rings([ring(d)], { expected, devices: [d] }).ok);
    assert.ok(rings([], { expected, devices: [device('phone', { steady: () => undefined })] }).ok, 'it was away');
    assert.ok(rings([], { expected, devices: [d], windows: struck('pause signald', T) }).ok);
});

// ---- durable events ----

const event = (cursor, over = {}) => ({ cursor, type: 'call_ended', callId: 'c1', ...over });
const inbox = (log, rows, { gone = false, faults = [] } = {}) => {
    const d = device('phone', { log, faults });
    return inboxBook({ devices: gone ? [] : [d], gone: gone ? [d] : [], rows: new Map([['ann', rows.map((r) => ({ deviceId: null, ...r }))]]) });
};

test('durable events: lost, twice, out of order, another, and one that never was', () => {
    const all = [event(1), event(2), event(3)];
    assert.ok(inbox(all, all).ok);
    dirty(inbox([event(1), event(3)], all), /lost call_ended at cursor 2 of c1/);
    dirty(inbox([event(1), event(2)], all), /lost call_ended at cursor 3/);
    dirty(inbox([event(1), event(1), event(2), event(3)], all), /cursor 1 came after 1/);
    dirty(inbox([event(2), event(1), event(3)], all), /cursor 1 came after 2/);
    dirty(inbox([...all, event(4)], all), /at cursor 4, which is not in its inbox/);
    dirty(inbox([event(1), event(2, { type: 'conversation_updated' }), event(3)], all), /came as conversation_updated/);
    dirty(inbox([event(1), event(2, { callId: 'c2' }), event(3)], all), /cursor 2 came as/);
    dirty(inbox(all, all, { faults: [{ what: 'synced says truncated' }] }), /truncated/);
});

test('durable events: of other devices are not for this one; who signed out may stop early, without a hole', () => {
    assert.ok(inbox([event(1)], [event(1), event(2, { deviceId: 'laptop' })]).ok);
    dirty(inbox([event(1), event(2)], [event(1), event(2, { deviceId: 'laptop' })]), /not in its inbox/);
    assert.ok(inbox([event(1), event(2)], [event(1), event(2), event(3)], { gone: true }).ok);
    dirty(inbox([event(1), event(3)], [event(1), event(2), event(3)], { gone: true }), /lost call_ended at cursor 2/);
});

// ---- memory ----

const points = (n, bytes) => Array.from({ length: n }, (_, i) => [i * 3, bytes(i)]);

test('memory: what stays or shakes is fine; what climbs or ends high is not', () => {
    const random = new Random(1);
    assert.deepEqual(judgeMemory({ part: 'signald', pid: 1, points: points(80, () => 20 * MIB + random.next() * MIB) }, 21 * MIB).faults, []);
    const up = points(200, (i) => 20 * MIB + i * MIB * 0.1);
    assert.match(judgeMemory({ part: 'signald', pid: 1, points: up }).faults[0], /climbs: 2\.0 MiB a minute/);
    assert.match(judgeMemory({ part: 'signald', pid: 1, points: up }, 33 * MIB).faults[0], /climbs: 2\.0 MiB a minute/);
    assert.deepEqual(judgeMemory({ part: 'signald', pid: 1, points: up }, 21 * MIB).faults, [], 'given back: it was load');
    assert.match(judgeMemory({ part: 'signald', pid: 1, points: points(80, () => 20 * MIB) }, 40 * MIB).faults[0], /holds 40\.0 MiB at the end and held 20\.0 MiB/);
    assert.equal(judgeMemory({ part: 'signald', pid: 1, points: points(20, (i) => i * MIB) }).slope, null, 'lived too short');
    const ends = { signald: { pid: 1, bytes: 60 * MIB } };
    const processes = [{ part: 'signald', pid: 1, points: points(80, () => 20 * MIB) }];
    assert.equal(memoryBook({ processes, ends }).ok, false);
    assert.equal(memoryBook({ processes, ends, sanitized: true }).ok, true);
});

test('least squares', () => {
    const { slope, error } = leastSquares([[0, 1], [1, 3], [2, 5], [3, 7]]);
    assert.ok(Math.abs(slope - 2) < 1e-9 && error < 1e-9);
});

// ---- logs ----

const logs = (part, line, windows = calm) => logBook({ logs: { [part]: line }, windows });
const at = (ms) => new Date(T + ms).toISOString();

test('logs: what nothing explains, at its time and of its part', () => {
    assert.ok(logs('signald', `${at(0)} INFO  signald started\n`).ok);
    dirty(logs('signald', `${at(0)} WARN  signald sfu_down node=sfu-1`), /sfu_down/);
    assert.ok(logs('signald', `${at(500)} WARN  signald sfu_down node=sfu-1`, struck('kill sfud', T)).ok);
    dirty(logs('signald', `${at(500)} WARN  signald sfu_down node=sfu-1`, struck('kill coturn', T)), /sfu_down/);
    // A call whose beginning timed out is ended in case it was written all the same.
    assert.ok(logs('signald', `${at(500)} WARN  signald call_stray call=c1`, struck('pause signald', T)).ok);
    dirty(logs('signald', `${at(500)} WARN  signald call_stray call=c1`, struck('kill sfud', T)), /call_stray/);
    dirty(logs('signald', `${at(60_000)} WARN  signald sfu_down node=sfu-1`, struck('kill sfud', T)), /sfu_down/);
    dirty(logs('sfud', 'ERROR: AddressSanitizer: heap-use-after-free', struck('kill sfud', T)), /heap-use-after-free/);
    dirty(logs('sfud', 'worker.c:7:1: runtime error: signed integer overflow'), /overflow/);
    assert.ok(logs('postgres', '2026-01-01 12:00:00.000 UTC [7] ERROR:  call_not_found').ok, 'raised by our own functions');
    dirty(logs('postgres', '2026-01-01 12:00:00.000 UTC [7] ERROR:  deadlock detected', struck('kill postgres', T)), /deadlock/);
    assert.ok(logs('postgres', '2026-01-01 12:00:00.500 UTC [7] FATAL:  the database system is starting up', struck('kill postgres', T)).ok);
});

// ---- the schedule and the command line ----

test('schedule: the same seed, the same troubles; every kind before any again; none too near the end', () => {
    const of = (seed, mode = 'gentle', seconds = 1800) => makeSchedule({ seed, seconds, mode });
    assert.deepEqual(of('7'), of('7'));
    assert.notDeepEqual(of('7'), of('8'));
    assert.deepEqual(of('7', 'none'), []);
    const kinds = Object.keys(KINDS);
    assert.deepEqual(of('7').slice(0, kinds.length).map((e) => e.kind).sort(), [...kinds].sort());
    for (const mode of ['gentle', 'hard']) {
        const events = of('7', mode);
        assert.ok(events.every((e, i) => i === 0 || e.at > events[i - 1].at));
        assert.ok(events.at(-1).at < 1780);
        assert.ok(events.every((e) => e.hold >= KINDS[e.kind].hold[0] - 0.05 && e.hold <= KINDS[e.kind].hold[1] + 0.05));
    }
    assert.ok(of('7', 'hard').length > of('7').length * 1.5);
    const late = of('7').filter((e) => e.at > 1800 * 0.6);
    assert.ok(late.length > 10 && late.every((e) => !/^(kill|restart)/.test(e.kind)), 'processes live at the end, for the slope of their memory');
    assert.deepEqual([...new Set(makeSchedule({ seed: 1, seconds: 120, mode: 'gentle', kinds: ['kill sfud'] }).map((e) => e.kind))], ['kill sfud']);
});

test('options: defaults, loads, and mistakes that say what is possible', () => {
    const o = parseOptions(['--minutes', '2', '--load=high', '--chaos', 'hard', '--seed', '9', '--users', '50']);
    assert.deepEqual([o.seconds, o.users, o.callsPerMinute, o.chaos, o.seed, o.media], [120, 50, 400, 'hard', '9', true]);
    for (const [args, pattern] of [
        [['--load', 'huge'], /low, medium, high/],
        [['--minutes', 'x'], /number from/],
        [['--chaos', 'wild'], /none, gentle, hard/],
        [['--kinds', 'kill cat'], /there is no "kill cat"/],
        [['--seed'], /needs a value/],
        [['what'], /unknown argument what/],
    ]) {
        assert.throws(() => parseOptions(args), pattern);
    }
});

// ---- relays ----

async function echo() {
    const server = createServer((socket) => {
        socket.on('error', () => {});
        socket.pipe(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
}
async function through(relay) {
    const socket = connect(relay.port, '127.0.0.1');
    let text = '';
    let closed = false;
    socket.on('data', (data) => (text += data));
    socket.on('error', () => {});
    socket.on('close', () => (closed = true));
    await once(socket, 'connect');
    return { socket, text: () => text, closed: () => closed };
}

test('the TCP relay passes, stalls, drops, refuses, and leaves half-open', async () => {
    const server = await echo();
    const relay = await new TcpRelay().listen(server.address().port);
    after(() => (relay.close(), server.close()));
    const one = await through(relay);
    one.socket.write('a');
    assert.ok(await poll(() => one.text() === 'a', 2000, 5));
    const go = relay.stall();
    one.socket.write('b');
    assert.equal(await poll(() => one.text() === 'ab', 200, 5), null, 'nothing passes');
    go();
    assert.ok(await poll(() => one.text() === 'ab', 2000, 5), 'and then all of it');
    assert.equal(relay.drop(), 1);
    assert.ok(await poll(one.closed, 2000, 5));

    const left = await through(relay);
    left.socket.write('x');
    assert.ok(await poll(() => left.text() === 'x', 2000, 5));
    assert.equal(relay.halfOpen(), 1);
    left.socket.write('y');
    assert.equal(await poll(() => left.closed() || left.text() !== 'x', 200, 5), null, 'it hears nothing and is told nothing');
    left.socket.destroy();

    relay.refuse(true);
    const refused = await through(relay).catch(() => null);
    assert.ok(refused === null || (await poll(refused.closed, 2000, 5)));
    relay.refuse(false);
    const again = await through(relay);
    again.socket.write('z');
    assert.ok(await poll(() => again.text() === 'z', 2000, 5));
    again.socket.destroy();
});

test('the media relay takes the place of the SFU in a description', () => {
    const relay = new MediaRelay(7000, new Random(1));
    relay.port = 5555;
    const sdp = 'v=0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host\r\na=candidate:2 1 udp 2130706430 127.0.0.1 7000 typ host\r\na=end-of-candidates\r\n';
    assert.equal(relay.divert(sdp).match(/ 127\.0\.0\.1 5555 /g).length, 2);
    assert.doesNotMatch(relay.divert(sdp), / 7000 /);
    relay.close();
});

// ---- a real one ----

test('a short soak, struck twice, has clean books', { timeout: 550_000 }, async (t) => {
    const program = new URL('../../bench/soak', import.meta.url).pathname;
    const kinds = 'kill signald,drop sockets,cut link,kill sfud';
    const args = [program, '--minutes', '0.25', '--users', '8', '--calls-per-minute', '60', '--chaos', 'hard', '--kinds', kinds, '--seed', '5', '--smoke', '--json'];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 }).catch((error) => error);
    assert.ok(stdout, stderr);
    const outcome = JSON.parse(stdout);
    assert.deepEqual(outcome.books.filter((b) => !b.ok), [], stderr);
    assert.equal(outcome.clean, true);
    assert.ok(outcome.figures.calls > 0, 'people called each other');
    const { intervals, disturbed } = outcome.figures.media.counted;
    assert.ok(intervals + disturbed > 0, 'media was counted');
    assert.ok(outcome.troubles.length >= 2 && outcome.troubles.every((e) => e.recoveryMs > 0), JSON.stringify(outcome.troubles));
    for (const { kind, recoveryMs } of outcome.troubles) t.diagnostic(`well again after "${kind}" in ${recoveryMs} ms`);
});
