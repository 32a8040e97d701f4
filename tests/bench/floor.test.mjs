// The floors' programs, spoken to as the scenarios do: the forwarding floor, the sink, the relay's streams, the password hash.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, chmodSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, test } from 'node:test';
import { Lines } from '../../bench/lib/lines.mjs';
import { Load } from '../../bench/lib/load.mjs';
import { until, useLogDir } from '../../bench/lib/proc.mjs';
import * as sfuFloor from '../../bench/lib/sfu_floor.mjs';
import * as turnOurs from '../../bench/lib/turn_ours.mjs';
import { watchMachine } from '../lib/machine.mjs';

const build = process.env.SOTTO_TEST_BUILD ?? new URL('../../build', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'sotto-floor-'));
chmodSync(dir, 0o755);
useLogDir(dir);
after(() => rmSync(dir, { recursive: true, force: true }));

let ctx;
let undo;
beforeEach(() => {
    undo = [];
    ctx = { dir, build, cpus: {}, defer: (fn) => undo.push(fn), step: () => {}, params: {} };
});
afterEach(async () => {
    for (const fn of undo.reverse()) await fn();
});
const startLines = async (program, args) => {
    const lines = await Lines.start(ctx, { program, args, unasked: ['fallback'] });
    undo.push(() => lines.stop());
    return lines;
};

describe('the forwarding floor', () => {
    test('carries a publisher to its subscribers, whole, in every mode and suite', async () => {
        for (const options of [{ mode: 'train', profile: 'gcm' }, { mode: 'sendmmsg', profile: 'cm' }, { mode: 'sendto', profile: 'gcm' }]) {
            const floor = await sfuFloor.start(ctx, options);
            const load = await Load.start({ ...ctx, defer: undefined });
            const machine = watchMachine();
            try {
                await floor.publish(load, 1, 'room');
                for (const ep of [2, 3]) await floor.subscribe(load, ep, 'room', { from: [1] });
                await load.receive([2, 3], { decrypt_all: true });
                await load.send([1], { video_kbps: 1500, fps: 30, packet_bytes: 1100, keyframe_interval_ms: 0, audio: true });
                await load.connected([1, 2, 3]);
                await Promise.all([2, 3].flatMap((ep) => [load.media(ep, 'audio'), load.media(ep, 'video')]));
                const { received } = await until('200 packets', async () => {
                    const stats = await load.stats();
                    return stats.received.packets >= 200 && stats;
                });
                const name = JSON.stringify({ options, received });
                assert.equal(received.bad_tag + received.bad_payload + (machine.end().full > 0 ? 0 : received.lost), 0, name);
                assert.ok(received.sampled > 0 && received.frames > 0, name);
                const stats = await floor.stats();
                assert.equal(stats.bad, 0, JSON.stringify(stats));
                assert.equal(stats.refused, 0);
                assert.equal(options.mode === 'train' && stats.segmented, stats.trains > 0);
                await floor.leave(load, 3);
                await floor.leave(load, 3); // again is harmless
            } finally {
                machine.end();
                await load.stop();
                await floor.stop();
            }
        }
    });

    test('answers commands that are wrong, and goes on', async () => {
        const floor = await startLines('sotto-load-floor', []);
        const key = '00'.repeat(28);
        for (const command of [
            { op: 'nonsense' }, { op: 'publisher' }, { op: 'publisher', id: 'a', key: 'zz' }, { op: 'publisher', id: 'a', key: '00'.repeat(27) },
            { op: 'publisher', id: 'x'.repeat(49), key }, { op: 'leave', id: 'nobody' }, { op: 'port', id: 'nobody', port: 1 },
            { op: 'legs', id: 'a', streams: [{ from: 'b', ssrc: 1, as: 2 }] }, { op: 'publisher', id: 'b', key, streams: [{ ssrc: 2 ** 32 }] },
            { op: 'subscriber', id: 'c', key, streams: 7 }, { op: 'port', id: 'b', port: 65536 },
        ]) {
            await assert.rejects(floor.ask(command), /sotto-load-floor: /, JSON.stringify(command));
        }
        assert.equal((await floor.ask({ op: 'publisher', id: 'a', key, streams: [{ ssrc: 1, frames: true }] })).ev, 'ok');
        assert.equal((await floor.ask({ op: 'subscriber', id: 'a', key, streams: [{ from: 'a', ssrc: 1, as: 2 }] })).ev, 'ok');
        assert.equal((await floor.ask({ op: 'stats' })).in, 0);
    });

    test('says which arguments there are', () => {
        for (const args of [['--mode', 'x'], ['--profile', 'x'], ['--what', '1'], ['--port']]) {
            const { status, stderr } = spawnSync(join(build, 'bench/sotto-load-floor'), args, { encoding: 'utf8', input: '' });
            assert.equal(status, 2, stderr);
            assert.match(stderr, /--mode/);
        }
    });
});

describe('the sink', () => {
    test('counts what comes', async () => {
        const sink = await startLines('sotto-load-sink', []);
        const socket = createSocket('udp4');
        for (let i = 0; i < 100; i++) await new Promise((resolve) => socket.send(Buffer.alloc(100), sink.ready.port, '127.0.0.1', resolve));
        const stats = await until('100 datagrams', async () => {
            const now = await sink.ask({ op: 'stats' });
            return now.packets === 100 && now;
        });
        assert.equal(stats.bytes, 10000);
        assert.equal(stats.sent, 0);
        socket.close();
    });

    test('forwards pairs both ways, and nothing else', async () => {
        const sink = await startLines('sotto-load-sink', ['--mode', 'forward']);
        const turn = await startLines('sotto-load-turn', []);
        const address = (port) => `127.0.0.1:${port}`;
        const { ports } = await turn.ask({ op: 'plain', server: address(sink.ready.port), relay: address(sink.ready.relay), pairs: 3 });
        assert.equal(ports.length, 3);
        for (const [client, peer] of ports.slice(0, 2)) await sink.ask({ op: 'pair', client, peer });
        await assert.rejects(sink.ask({ op: 'pair', client: 0, peer: 1 }));
        await turn.ask({ op: 'mark' });
        await turn.ask({ op: 'send', packets_per_s: 500, bytes: 300, burst: 5 });
        const stats = await until('packets either way', async () => {
            const now = await turn.ask({ op: 'stats' });
            return now.received >= 500 && now;
        });
        assert.equal(stats.bad, 0);
        assert.equal(stats.bytes, stats.received * 300);
        assert.ok(stats.received < 0.75 * stats.sent, 'the third pair is not forwarded');
    });

    test('an opening that failed half way can be closed', async () => {
        const turn = await startLines('sotto-load-turn', []);
        const accounts = [{ username: 'a', credential: 'b' }, { username: '' }];
        await assert.rejects(turn.ask({ op: 'open', server: '127.0.0.1:9', pairs: 3, accounts }));
        assert.equal((await turn.ask({ op: 'close' })).ev, 'closed');
    });
});

describe('the streams through TURN', () => {
    test('go through coturn as Sotto configures it, on several credentials', async () => {
        const server = await turnOurs.start(ctx, { relays: 20 });
        assert.equal(server.accounts.length, 2); // 16 allocations a credential
        const turn = await startLines('sotto-load-turn', []);
        const opened = await turn.ask({ op: 'open', server: `127.0.0.1:${server.port}`, accounts: server.accounts, pairs: 20 });
        assert.equal(opened.pairs, 20);
        await turn.ask({ op: 'mark' });
        const machine = watchMachine();
        await turn.ask({ op: 'send', packets_per_s: 100, bytes: 500, burst: 2 });
        const stats = await until('1000 packets', async () => {
            const now = await turn.ask({ op: 'stats' });
            return now.received >= 1000 && now;
        });
        const { full, text } = machine.end();
        assert.equal(stats.bad + (full > 0 ? 0 : stats.lost), 0, `${JSON.stringify(stats)}; ${text}`);
        assert.ok(stats.latency.p50 > 0);
        assert.equal((await turn.ask({ op: 'close' })).ev, 'closed');
    });

    test('a refused allocation is told with its code', async () => {
        const server = await turnOurs.start(ctx, { relays: 4 });
        const turn = await startLines('sotto-load-turn', []);
        const open = (accounts, pairs) => turn.ask({ op: 'open', server: `127.0.0.1:${server.port}`, accounts, pairs });
        await assert.rejects(open([{ ...server.accounts[0], credential: 'wrong' }], 1), /allocation 0 was refused: 401/);
        await assert.rejects(open([], 1), /accounts/);
        await assert.rejects(open(server.accounts, 17), /refused: (486|508)/); // quota, or no port left
    });
});

test('the password hash alone', () => {
    const run = (args) => JSON.parse(execFileSync(join(build, 'bench/sotto-load-bcrypt'), args, { encoding: 'utf8' }));
    // The least of ten: a millisecond's work may be charged with what the machine did besides.
    const least = (cost) => Math.min(...Array.from({ length: 10 }, () => run(['--cost', cost, '--seconds', '0']).cpu_s_per_hash));
    const [four, eight] = ['4', '8'].map(least);
    assert.ok(eight > 4 * four, `${four} and ${eight}: four steps are 16 times the work`);
    assert.throws(() => run(['--cost', '21']));
});

describe('programs by lines', () => {
    test('one that is not there, dies, or says something else', async () => {
        await assert.rejects(Lines.start(ctx, { program: 'sotto-load-nothing' }), /sotto-load-nothing/);
        const fake = mkdtempSync(join(dir, 'fake-'));
        execFileSync('mkdir', [join(fake, 'bench')]);
        const program = (text) => writeFileSync(join(fake, 'bench/p'), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
        const start = (ms) => Lines.start({ ...ctx, build: fake }, { program: 'p', ms });
        program('echo gone >&2; exit 3');
        await assert.rejects(start(), /p ended: .*gone/s);
        program('echo not json; sleep 5');
        await assert.rejects(start(), /not a JSON line/);
        program('exec sleep 30');
        await assert.rejects(start(300), /no answer to ready within 300 ms/);
    });
});
