// sotto-load-webrtc by its commands: bad ones are told and never end it; Load makes promises of its events.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { Load } from '../../bench/lib/load.mjs';
import { watchMachine } from '../lib/machine.mjs';
import { until } from '../lib/stack.mjs';

const root = new URL('../../', import.meta.url).pathname;
const build = process.env.SOTTO_TEST_BUILD || join(root, 'build');

/** The events that the program gives for these lines. */
function events(lines) {
    const done = spawnSync(join(build, 'bench/sotto-load-webrtc'), { input: lines.join('\n'), encoding: 'utf8', timeout: 180_000, maxBuffer: 1 << 26 });
    assert.equal(done.status, 0, done.stderr);
    return done.stdout.trim().split('\n').map((line) => JSON.parse(line));
}

const KEY = '00'.repeat(28);
const BAD = [
    ['no JSON', /not a JSON object/],
    ['[]', /not a JSON object/],
    ['{"op":"nothing"}', /no such op/],
    ['{"x":1}', /op: missing/],
    ['{"op":"offer"}', /ep: is required/],
    ['{"op":"offer","ep":-1}', /ep: must be/],
    ['{"op":"offer","ep":1,"audio":99}', /audio: must be/],
    ['{"op":"offer","ep":1,"audio":0,"video":0}', /endpoint 1: invalid/],
    ['{"op":"offer","ep":1,"dir":"sideways"}', /dir: must be one of/],
    ['{"op":"offer","ep":1,"ice":"nice","ice_servers":[{"urls":"turns:x"}]}', /ice_servers/],
    ['{"op":"remote","ep":7,"sdp":"v=0"}', /not_found/],
    ['{"op":"answer","ep":2,"sdp":"nonsense","link":{"up":{"loss":7}}}', /loss: must be/],
    ['{"op":"answer","ep":2,"sdp":"nonsense"}', /endpoint 2: invalid/],
    [`{"op":"raw","ep":3,"remote":"nowhere","send_key":"${KEY}","recv_key":"${KEY}"}`, /remote: must be/],
    [`{"op":"raw","ep":3,"remote":"127.0.0.1:9","send_key":"zz","recv_key":"${KEY}"}`, /send_key/],
    ['{"op":"send","eps":[5],"source":{}}', /no endpoint 5/],
    ['{"op":"send","eps":[5],"source":{"fps":0}}', /fps: must be/],
    ['{"op":"receive","eps":[5],"nack":"yes"}', /nack: must be/],
    ['{"op":"close"}', /eps: is required/],
    [`{"op":"${'x'.repeat(1_100_000)}"}`, /over 1 MiB/],
];

test('each bad command is told, in order, and the program goes on', () => {
    const [ready, ...rest] = events([...BAD.map(([line]) => line), '{"op":"mark"}', '']);
    assert.deepEqual(ready, { ev: 'ready' });
    assert.deepEqual(rest.pop(), { ev: 'marked' });
    assert.equal(rest.length, BAD.length);
    rest.forEach((event, i) => {
        assert.equal(event.ev, 'error', BAD[i][0]);
        assert.match(event.why, BAD[i][1]);
    });
});

test('an end of stdin with endpoints at work ends it well', () => {
    const offers = Array.from({ length: 20 }, (_, i) => JSON.stringify({ op: 'offer', ep: i }));
    const got = events([...offers, '{"op":"send","eps":[1,2],"source":{}}', '']);
    assert.equal(got.filter((e) => e.ev === 'local' && e.type === 'offer').length, 20);
});

test('a call of two by Load, its media proven, and the number free again', async (t) => {
    const load = await Load.start({ build });
    t.after(() => load.stop());
    const answer = await load.answer(2, await load.offer(1, { profile: 'cm' }));
    load.remote(1, answer);
    const connected = await load.connected([1, 2]);
    assert.deepEqual(connected.map((e) => e.profile), ['AES_CM_128_HMAC_SHA1_80', 'AES_CM_128_HMAC_SHA1_80']);
    load.send([1], { video_kbps: 500 });
    const seen = await load.media(2, 'video');
    assert.ok(seen.ms >= 0 && seen.since_ms >= seen.ms);
    await load.media(2, 'audio');
    await load.mark();
    const machine = watchMachine();
    const { received, sent, connected: n, udp, endpoints } = await until('packets since the mark', async () => {
        const stats = await load.stats({ eps: true });
        return stats.received.packets > 20 && stats;
    });
    assert.equal(n, 2);
    assert.equal(received.bad_tag + received.bad_payload + (machine.end().full > 0 ? 0 : received.lost + udp.dropped), 0);
    assert.ok(sent.packets > 0 && endpoints.length === 2);
    await load.close([1, 2]);
    await load.offer(1);
    assert.equal((await load.stats()).connected, 0);
});

test('what goes wrong rejects', async (t) => {
    await assert.rejects(Load.start({ build: '/nowhere' }), /cannot start/);
    const load = await Load.start({ build });
    t.after(() => load.stop());
    await assert.rejects(load.answer(1, 'nonsense'), /answer: endpoint 1: invalid/);
    await assert.rejects(load.offer(2, { audio: 77 }), /audio/);
    await load.offer(3);
    await assert.rejects(load.offer(3), /exists/);
    await assert.rejects(load.connected(3, 50), /waited 50 ms for endpoint 3/);
    load.remote(3, 'nonsense');
    await assert.rejects(load.connected(3), /endpoint 3: invalid/);
});

test('the end of the program rejects what is waited for, with what it wrote', async () => {
    const load = await Load.start({ build });
    await load.offer(1);
    const waiting = assert.rejects(load.connected(1), /ended with SIGKILL/);
    process.kill(load.pid, 'SIGKILL');
    await waiting;
    await assert.rejects(load.stats(), /SIGKILL/);
    await assert.rejects(load.stop(), /SIGKILL/);
});
