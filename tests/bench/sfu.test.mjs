// What the sfu-* scenarios stand on: faults of a window are told, CPU is counted, templates are filled, and the servers'
// drivers fail with words.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fill, start as startJanus } from '../../bench/peers/janus.mjs';
import { useLogDir, which } from '../../bench/lib/proc.mjs';
import { Scene, cpuClock, faultsOf, sampleOf } from '../../bench/lib/sfu_load.mjs';
import { JanusApi } from '../../bench/lib/sfu_janus.mjs';

const built = process.env.SOTTO_TEST_BUILD || new URL('../../build', import.meta.url).pathname;
let dir;
before(() => {
    dir = mkdtempSync(join(tmpdir(), 'sotto-sfu-bench-'));
    useLogDir(dir);
});
after(() => rmSync(dir, { recursive: true, force: true }));

const LATENCY = { count: 10, p50: 1500, p99: 4000, cdf: [] };
const stats = (received = {}, other = {}) => ({
    window_s: 2, cpu_s: 0.2, connected: 3, failed: 0, udp: { dropped: 0 }, latency: LATENCY,
    sent: { audio: 100, video: 360, packets: 460, late_max_ms: 1 },
    received: { packets: 920, media: 920, expected: 920, lost: 0, bad_tag: 0, bad_payload: 0, sampled: 30, ...received },
    ...other,
});

test('a whole window has no faults; each thing that is wrong is one', () => {
    const expected = { endpoints: 3, missing: 0 };
    assert.deepEqual(faultsOf(stats(), expected), []);
    const wrong = [
        [stats({}, { connected: 2 }), /2 of 3 endpoints/],
        [stats({}, { failed: 1 }), /1 endpoints failed/],
        [stats({ bad_tag: 1 }), /wrong tag/],
        [stats({ bad_payload: 1 }), /payload/],
        [stats({ sampled: 0 }), /no packet was decrypted/],
        [stats({ lost: 4 }), /4 packets lost/],
        [stats({}, { udp: { dropped: 7 } }), /dropped 7/],
    ];
    for (const [window, words] of wrong) {
        assert.equal(faultsOf(window, expected).length, 1);
        assert.match(faultsOf(window, expected)[0], words);
    }
    assert.match(faultsOf(stats(), { endpoints: 3, missing: 5 })[0], /5 packets that were sent never came/);
    assert.deepEqual(faultsOf(stats({ lost: 4 }), { endpoints: 3, perfect: false }), [], 'a bad link may lose');
});

/** A scene on a server that isn't there: the load client says what is given, one answer after the other. */
function sceneOf(answers) {
    const load = {
        mark: async () => {}, connected: async () => {},
        stats: async () => (answers.length > 1 ? answers.shift() : answers[0]),
    };
    const joined = [];
    const driver = { pids: [process.pid], publish: async () => {}, subscribe: async (l, ep, room, { from, member }) => joined.push({ ep, from, member }) };
    return Object.assign(new Scene({}, driver, load), { joined });
}

test('a server that leaves packets out and renumbers the rest is found out; one that is late is not blamed', async () => {
    const short = sceneOf([stats({ packets: 700, media: 700 })]);
    await short.publish('r', 1);
    await short.subscribe('r', 2);
    const window = await short.window(0.01);
    assert.equal(window.missing, 220);
    const sample = sampleOf(short, window);
    assert.ok(!sample.valid && /220 packets/.test(sample.why));
    assert.equal(sample.units, 700);

    const late = sceneOf([stats({ packets: 700, media: 700 }), stats()]);
    await late.publish('r', 1);
    await late.subscribe('r', 2);
    assert.equal((await late.window(0.01)).missing, 0);
});

test('a window too short for a sample is proven by what comes next, and its faults are told; one without packets is not', async () => {
    const proven = async (...answers) => {
        const scene = sceneOf(answers);
        await scene.publish('r', 1);
        await scene.subscribe('r', 2);
        return sampleOf(scene, await scene.window(0.01));
    };
    const fine = await proven(stats({ sampled: 0 }), stats({ sampled: 2, packets: 2000 }));
    assert.ok(fine.valid, fine.why);
    assert.equal(fine.units, 920, 'its figures are those of the window');
    assert.match((await proven(stats({ sampled: 0 }), stats({ sampled: 1, bad_tag: 1 }))).why, /wrong tag/);
    assert.match((await proven(stats({ sampled: 0, packets: 0, media: 0 }))).why, /no packet was decrypted/);
});

test('in a meeting everybody sees all the others, as himself', async () => {
    const scene = sceneOf([stats()]);
    const [a, b, c] = await scene.publish('r', 3);
    await scene.meet('r');
    assert.deepEqual(scene.joined.map((j) => [j.member, j.from]), [[a, [b, c]], [b, [a, c]], [c, [a, b]]]);
    assert.equal(new Set(scene.all).size, 6);
    assert.equal(scene.fanOut, 2);
});

test('CPU time is counted finely, and of the processes that are asked for', async (t) => {
    const code = `const had = process.cpuUsage(); const used = () => process.cpuUsage(had).user; console.log('ready');
        process.stdin.once('data', () => { const from = used(); while (used() - from < 4e5); console.log('done'); });`;
    const busy = spawn(process.execPath, ['-e', code], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => busy.kill('SIGKILL'));
    await once(busy.stdout, 'data'); // it has begun, and waits until the clocks run
    const idle = cpuClock([process.pid]);
    const clock = cpuClock([busy.pid]);
    busy.stdin.write('go\n');
    await once(busy.stdout, 'data');
    const took = clock();
    assert.ok(took > 0.3, `${took} s of the 0.4 s that it says it had`);
    assert.ok(idle() < took);
});

test('a template asks for what it is given, and the templates say which advice they follow', () => {
    assert.equal(fill('port = {{port}}', { port: 7 }), 'port = 7');
    assert.throws(() => fill('{{nobody}}', {}), /nobody/);
    const folder = new URL('../../bench/peers/janus/', import.meta.url).pathname;
    const tuned = readFileSync(join(folder, 'janus.tuned.jcfg'), 'utf8');
    const installed = readFileSync(join(folder, 'janus.installed.jcfg'), 'utf8');
    assert.match(tuned, /event_loops = 1/);
    assert.match(tuned, /ice_lite = true/);
    assert.doesNotMatch(installed, /event_loops|ice_lite/, "Debian's configuration sets neither");
    assert.ok(readdirSync(folder).every((f) => f.endsWith('.jcfg')));
});

test('what Janus refuses is told in its words, and what it never answers is not waited for', { skip: which('janus') ? false : 'janus is not installed' }, async (t) => {
    const server = await startJanus({ dir, cpus: { server: '0' } });
    t.after(() => server.stop());
    const api = await JanusApi.open(server.url);
    const handle = await api.attach();
    await assert.rejects(api.message(handle, { request: 'join', ptype: 'subscriber', room: 1, streams: [{ feed: 1 }] }), /Janus: No such room/);
    await assert.rejects(api.message(4711, { request: 'list' }), /Janus: /);
    api.message(4711, { request: 'list' }); // a refusal that nobody waits for any more ends nothing
    const waiting = api.message(handle, { request: 'list' }).then(() => api.request({ janus: 'attach', plugin: 'janus.plugin.videoroom' }));
    api.close();
    await assert.rejects(waiting, /closed/);
});

test('sfud that dies is no valid measurement', async (t) => {
    const undo = [];
    const ctx = { dir, build: built, cpus: { server: '0', generator: '0' }, step: () => {}, defer: (fn) => undo.push(fn), params: {} };
    t.after(async () => {
        for (const fn of undo.reverse()) await fn().catch(() => {});
    });
    const scene = await Scene.open('ours', ctx);
    await scene.publish('r', 1);
    await scene.subscribe('r', 2);
    await scene.send();
    await scene.flowing();
    process.kill(scene.driver.pids[0], 'SIGKILL');
    await assert.rejects(scene.window(0.5).then((w) => {
        const sample = sampleOf(scene, w);
        if (!sample.valid) throw new Error(sample.why);
    }), /never came|failed|ENOENT|connected|no packet/);
    await assert.rejects(scene.driver.subscribe(scene.load, 99, 'r', { from: Array.from({ length: 17 }, (_, i) => i) }), /17 publishers/);
});
