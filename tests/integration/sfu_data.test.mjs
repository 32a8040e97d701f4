// What an operator sees of sfud: its metrics, the state of rooms, captures of decrypted RTP; and who may not.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { promisify } from 'node:util';
import { stopwatch, watchMachine } from '../lib/machine.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

const run = promisify(execFile);
const KEY = 'the key of internal routes, for this test';
const SOTTOCTL = join(process.env.SOTTO_TEST_BUILD || new URL('../../build', import.meta.url).pathname, 'ctl/sottoctl');
const TSHARK = '/usr/bin/tshark';
let signald, sfud;
const open = [];

before(async () => {
    signald = new FakeSignald();
    await signald.listen();
    sfud = await startSfud(signald, { workers: 2, room_workers: 1, capture_dir: 'captures' }, { internalKey: KEY });
    mkdirSync(join(sfud.dir, 'captures'));
});
afterEach(async () => {
    for (const peer of open.splice(0)) {
        await peer.request('leave').catch(() => {});
        await peer.close();
    }
});
after(async () => {
    await closeBrowser();
    await sfud.stop();
    signald.close();
});

const admin = async (path, { method = 'GET', body, of = sfud, key = KEY } = {}) => {
    const headers = { ...(key && { 'x-internal-api-key': key }), ...(body && { 'content-type': 'application/json' }) };
    const response = await of.get(path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    return { status: response.status, text, body: text ? JSON.parse(text) : null };
};
const subscribe = (room, participant, audioSlots = 1, videoSlots = 2) => signald.request('subscribe', { room, participant, audioSlots, videoSlots });
const close = (room) => signald.request('close', { room });
const capture = (room, body, options) => admin(`/debug/rooms/${room}/capture`, { method: 'POST', body, ...options });

async function join2(room, number) {
    const peer = await Peer.open(signald, room, number);
    open.push(peer);
    await peer.publish({});
    await peer.subscribe(2, 2);
    return peer;
}

/** The records of a classic pcap file whose numbers are in network order. */
function readPcap(file) {
    const data = readFileSync(file);
    assert.equal(data.readUInt32BE(0), 0xa1b2c3d4);
    assert.equal(data.readUInt32BE(20), 101, 'raw IP');
    const records = [];
    for (let at = 24; at < data.length; ) {
        const length = data.readUInt32BE(at + 8);
        assert.ok(at + 16 + length <= data.length, 'no record is cut off');
        records.push({ seconds: data.readUInt32BE(at), ip: data.subarray(at + 16, at + 16 + length) });
        at += 16 + length;
    }
    return records;
}

const metrics = async () => (await sfud.get('/metrics')).text();

/** The cumulative buckets of a histogram, as [bound, count]. */
async function buckets(name) {
    const lines = (await metrics()).split('\n').filter((l) => l.startsWith(`${name}_bucket{`));
    return lines.map((l) => [Number(/le="([^"]+)"/.exec(l)[1].replace('+Inf', 'Infinity')), Number(l.slice(l.lastIndexOf(' ')))]);
}

test('without the key nothing is told; without a key in the configuration neither', async () => {
    const room = randomUUID();
    for (const key of [null, 'another', KEY.slice(0, -1), `${KEY} `.repeat(100).trim()]) {
        for (const path of ['/debug/rooms', `/debug/rooms/${room}`]) {
            assert.equal((await admin(path, { key })).status, 401, path);
        }
        assert.equal((await capture(room, { seconds: 1 }, { key })).status, 401);
        assert.equal((await admin(`/debug/rooms/${room}/capture`, { method: 'DELETE', key })).status, 401);
    }
    assert.equal((await sfud.get('/metrics')).status, 200, 'metrics ask for none');
    const control = new FakeSignald();
    await control.listen();
    const open = await startSfud(control, {});
    try {
        assert.equal((await admin('/debug/rooms', { of: open })).status, 403);
        assert.equal((await admin('/debug/rooms', { of: open, key: null })).status, 403);
        assert.equal((await capture(room, {}, { of: open })).status, 403);
    } finally {
        await open.stop();
        control.close();
    }
});

test('rooms and who is in them, in parts where there are many', async () => {
    const [small, large] = [randomUUID(), randomUUID()];
    await subscribe(small, 7);
    const numbers = Array.from({ length: 150 }, (_, i) => i + 1);
    for (const n of numbers) await subscribe(large, n, 3, 9);
    const list = (await admin('/debug/rooms')).body;
    assert.equal(list.truncated, false);
    assert.deepEqual(list.rooms.map((r) => [r.room, r.subscribers]).sort(), [[small, 1], [large, 150]].sort());

    const one = (await admin(`/debug/rooms/${small}`)).body;
    assert.equal(one.room, small);
    assert.equal(one.parts.length, 1);
    const [seven] = one.parts[0].participants;
    assert.equal(seven.participant, 7);
    assert.equal(seven.transports[0].which, 'subscribe');
    assert.equal(seven.transports[0].connected, false);
    assert.deepEqual(seven.slots.map((s) => `${s.kind} ${s.slot}`), ['audio 0', 'video 0', 'video 1']);

    const seen = [];
    let answers = 0;
    for (let from = 0; from !== undefined; answers++) {
        const { body, text } = await admin(`/debug/rooms/${large}?from=${from}`);
        assert.ok(text.length < 1 << 20, `${text.length} bytes`);
        seen.push(...body.parts[0].participants.map((p) => p.participant));
        from = body.parts[0].next;
    }
    assert.ok(answers > 1);
    assert.deepEqual(seen, numbers);

    const { stdout: rooms } = await run(SOTTOCTL, ['--config', sfud.config, 'sfu', 'rooms']);
    assert.match(rooms, new RegExp(`${large} +\\d +150 +0 +150 +0\n`));
    const { stdout: room } = await run(SOTTOCTL, ['--config', sfud.config, 'sfu', 'room', large]);
    assert.equal(room.match(/^ {2}participant /gm).length, 150);
    assert.match(room, /12 empty slots/);
    await assert.rejects(run(SOTTOCTL, ['--config', sfud.config, 'sfu', 'room', randomUUID()]), { code: 1, stderr: /no such room/ });
    await assert.rejects(run(SOTTOCTL, ['--config', sfud.config, 'sfu', 'room', '../metrics']), { code: 2 });
    await close(small);
    await close(large);
    assert.deepEqual((await admin('/debug/rooms')).body.rooms, []);
});

test('what is not there or not sane is refused', async () => {
    const room = randomUUID();
    assert.equal((await admin(`/debug/rooms/${room}`)).status, 404);
    assert.equal((await admin('/debug/rooms/nonsense')).status, 404);
    assert.equal((await capture(room, { seconds: 1 })).status, 404);
    assert.equal((await admin(`/debug/rooms/${room}/capture`, { method: 'DELETE' })).status, 404);
    await subscribe(room, 1);
    for (const query of ['from=x', 'from=-1', 'from=1e3', 'from=99999999999999999999', 'worker=99', 'worker=']) {
        assert.equal((await admin(`/debug/rooms/${room}?${query}`)).status, 400, query);
    }
    assert.deepEqual((await admin(`/debug/rooms/${room}?from=1000`)).body.parts[0].participants, []);
    for (const body of [{ seconds: 0 }, { seconds: 1e9 }, { seconds: '5' }, { maxBytes: 1 }, { maxBytes: 2 ** 40 }]) {
        assert.equal((await capture(room, body)).status, 400, JSON.stringify(body));
    }
    assert.equal((await capture(room, { filler: 'x'.repeat(5000) })).status, 413);
    assert.deepEqual(readdirSync(join(sfud.dir, 'captures')), []);
    await close(room);
});

test('a call: stats, distributions, the dump, and a capture that Wireshark reads', async () => {
    const clock = stopwatch();
    const room = randomUUID();
    const other = randomUUID();
    await subscribe(other, 1);
    const ann = await join2(room, 1);
    const ben = await join2(room, 300);
    const frames = async (peer) => Object.values(await peer.received()).reduce((sum, r) => sum + r.frames, 0);
    await until('they see each other', async () => (await frames(ann)) > 30 && (await frames(ben)) > 30, 30_000);

    const started = await capture(room, { seconds: 60, maxBytes: 1 << 20 });
    assert.equal(started.status, 202, started.text);
    assert.equal((await capture(room, {})).status, 409);
    assert.equal((await capture(other, {})).status, 409, 'one at a time');
    assert.match(sfud.log(), new RegExp(`WARN .*capture_started .*room=${room} seconds=60`));

    const told = (n) => signald.last('stats', (e) => e.room === room)?.participants.find((p) => p.participant === n);
    const stats = await until('rates', () => told(1)?.subscribe?.bitrateKbps > 0 && told(1).publish.find((t) => t.source === 'camera')?.bitrateKbps > 0 && told(1), 20_000);
    assert.ok(stats.subscribe.packets > 0 && stats.subscribe.rttMs >= 0, JSON.stringify(stats));
    await until('an estimate', () => told(1)?.subscribe.estimateKbps > 0, 20_000);
    assert.ok(stats.publish.every((t) => t.live && t.packets > 0 && t.lost >= 0));

    const dump = (await admin(`/debug/rooms/${room}`)).body.parts[0];
    assert.deepEqual(dump.participants.map((p) => p.participant), [1, 300]);
    for (const p of dump.participants) {
        assert.ok(p.transports.every((t) => t.connected && /^(\d+\.\d+\.\d+\.0\/24|[\da-f:]+::\/56)$/.test(t.address)), JSON.stringify(p.transports));
        assert.deepEqual(p.tracks.map((t) => t.source).sort(), ['camera', 'microphone']);
        assert.ok(p.tracks.every((t) => t.live && t.slots === 1 && t.streams.length === 1 && t.streams[0].packets > 0), JSON.stringify(p.tracks));
        assert.ok(p.link.estimated && p.link.estimateKbps > 0, JSON.stringify(p.link));
        const shown = p.slots.filter((s) => s.participant === (p.participant === 1 ? 300 : 1));
        assert.deepEqual(shown.map((s) => s.kind).sort(), ['audio', 'video']);
    }
    const { stdout } = await run(SOTTOCTL, ['--config', sfud.config, 'sfu', 'room', room]);
    assert.match(stdout, /participant 300 \(worker \d\)\n(.*\n)+? +sends +camera 640×480/);

    assert.equal((await admin(`/debug/rooms/${room}/capture`, { method: 'DELETE' })).status, 204);
    const { file } = started.body;
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const records = readPcap(file);
    assert.ok(records.length > 30, `${records.length} packets`);
    for (const { ip } of records) {
        assert.equal(ip[0], 0x45);
        assert.equal(ip.readUInt16BE(2), ip.length);
        assert.ok(['10.0.0.1', '10.0.1.44'].includes([...ip.subarray(12, 16)].join('.')), 'the address tells the participant');
        assert.equal(ip.readUInt16BE(24), ip.length - 20);
        assert.equal(ip[28] >> 6, 2, 'RTP version 2');
    }
    if (existsSync(TSHARK)) {
        const { stdout: rtp } = await run(TSHARK, ['-r', file, '-d', 'udp.port==5004,rtp', '-T', 'fields', '-e', 'ip.checksum.status', '-e', 'rtp.version', '-o', 'ip.check_checksum:TRUE']);
        const lines = rtp.trim().split('\n');
        assert.equal(lines.length, records.length);
        assert.ok(lines.every((l) => l === '1\t2'), lines.find((l) => l !== '1\t2'));
    }

    const transit = await buckets('sotto_sfu_transit_seconds');
    assert.ok(transit.length > 10);
    assert.ok(transit.every(([bound, n], i) => i === 0 || (bound > transit[i - 1][0] && n >= transit[i - 1][1])));
    const total = transit.at(-1)[1];
    const forwarded = await sfud.metric('sotto_sfu_forwarded_packets_total');
    assert.ok(total > 0 && total <= forwarded && total > forwarded * 0.5, `${total} of ${forwarded}`);
    assert.ok(transit.find(([bound]) => bound > 0.1)[1] > total / 2 || clock.spare() < 0.25, 'most take less than 100 ms where the machine keeps up, instrumented too');
    assert.ok((await buckets('sotto_sfu_rtt_seconds')).at(-1)[1] > 0);
    assert.ok((await buckets('sotto_sfu_estimate_bits_per_second')).at(-1)[1] > 0);
    const text = await metrics();
    assert.ok(!text.includes(room), 'no label names a room');
    assert.match(text, /^sotto_sfu_worker_busy_ratio\{worker="1"\} (0|1|0\.\d+)$/m);
    assert.ok((await sfud.metric('sotto_sfu_captured_packets_total')) === records.length);
    await close(other);
});

test('a capture ends by itself, by its bytes and by its time', async () => {
    const room = randomUUID();
    const ann = await join2(room, 1);
    await until('she sends', async () => (await ann.sent()).video?.packets > 30, 30_000);
    const small = await capture(room, { seconds: 60, maxBytes: 20_000 });
    assert.equal(small.status, 202, small.text);
    await until('it is full', () => sfud.log().includes(`capture_ended room=${room}`), 20_000);
    const size = statSync(small.body.file).size;
    assert.ok(size <= 20_000 && size > 15_000, `${size} bytes`);
    readPcap(small.body.file);
    const machine = watchMachine();
    const short = await until('the next one', async () => {
        const r = await capture(room, { seconds: 1 });
        return r.status === 202 && r;
    });
    await until('its time is over', () => sfud.log().match(new RegExp(`capture_ended room=${room}`, 'g')).length === 2, 20_000);
    const records = readPcap(short.body.file);
    if (machine.end().calm) assert.ok(records.length > 0 && records.at(-1).seconds - records[0].seconds <= 2);
});
