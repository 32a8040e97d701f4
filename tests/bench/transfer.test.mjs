// sotto-load-transfer, and the floor and the samples made with it: what is wrong with a server is told, and a server that
// stalls can't hide it.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { useLogDir } from '../../bench/lib/proc.mjs';
import { exactCpuOf, load, makeFiles, patternOf, sampleOf, startFloor } from '../../bench/lib/transfers.mjs';

const build = process.env.SOTTO_TEST_BUILD || new URL('../../build', import.meta.url).pathname;
const skip = existsSync(join(build, 'bench/sotto-load-transfer')) ? false : 'bench_programs are not built';
let ctx;
let undo;
beforeEach(() => {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-transfer-'));
    chmodSync(dir, 0o755);
    useLogDir(dir);
    undo = [];
    ctx = { dir, build, cpus: {}, defer: (fn) => undo.push(fn), step: () => {}, smoke: true }; // smoke: a window in which nothing ended is no answer
});
afterEach(async () => {
    for (const fn of undo.reverse()) await fn();
    rmSync(ctx.dir, { recursive: true, force: true });
});

/** A server of our own in this process, with a fault. */
async function faulty(answer) {
    const server = createServer(answer);
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    undo.push(() => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))));
    return { url: `http://127.0.0.1:${server.address().port}`, pids: () => [process.pid] };
}
const get = (server, ...more) => load(ctx, server, ['--url', server.url, '--method', 'GET', '--clients', 2, '--warmup-ms', 100, '--ms', 400, ...more]);
const params = { mib_per_s: 0 };
/** How many of a histogram are above `us`, at least (its curve's points are shares up to a value). */
const longerThan = ({ count, cdf }, us) => count * (1 - (cdf.find(([value]) => value >= us)?.[1] ?? 1));

test('the floor: downloads are whole, uploads arrive as they were sent', { skip }, async () => {
    const floor = await startFloor(ctx);
    makeFiles(floor.root, 100_000, 3);
    const down = await get(floor, '--bytes', 100_000, '--files', 3);
    assert.equal(sampleOf(down, params).valid, true, down.done.why);
    assert.ok(down.done.transfers > 0 && down.done.bytes >= down.done.transfers * 100_000 - 200_000);
    assert.ok(down.cpu_s > 0); // nanoseconds of the scheduler
    const up = await load(ctx, floor, ['--url', floor.url, '--method', 'PUT', '--prefix', 'up', '--bytes', 50_001, '--clients', 2, '--warmup-ms', 100, '--ms', 300]);
    assert.equal(sampleOf(up, params).valid, true, up.done.why);
    assert.equal(statSync(join(floor.root, 'up0')).size, 50_001);
});

test('one wrong byte in a body is seen', { skip }, async () => {
    const body = patternOf(4096);
    body[0] ^= 1;
    const run = await get(await faulty((_, res) => res.end(body)), '--bytes', 4096);
    assert.ok(run.done.corrupt > 0);
    assert.match(sampleOf(run, params).why, /corrupt/);
});

test('a body that is too short or too long, and a refusal, are failures', { skip }, async () => {
    for (const [bytes, status, why] of [[4095, 200, /wrong length/], [4104, 200, /wrong length/], [4096, 503, /refused \(HTTP 503\)/]]) {
        const server = await faulty((_, res) => (res.writeHead(status), res.end(patternOf(bytes + 8).subarray(0, bytes))));
        const run = await get(server, '--bytes', 4096);
        assert.equal(run.done.transfers, 0);
        assert.match(sampleOf(run, params).why, why);
    }
});

test('nobody listens: told, not silent', { skip }, async () => {
    const server = await faulty(() => {});
    await undo.pop()();
    const run = await get(server, '--bytes', 4096, '--mib-per-s', 1);
    assert.ok(run.done.failed > 0);
    assert.equal(sampleOf(run, params).valid, false);
});

test('in the open loop a pause of the server is in the latencies of all that were due', { skip }, async () => {
    const body = patternOf(1024);
    let pause = null;
    const server = await faulty((_, res) => {
        pause ??= performance.now() + 250;
        const begun = pause - 150; // it serves for 100 ms, is away for 150, and goes on
        if (performance.now() > begun) while (performance.now() < pause); // away: nobody is answered
        res.end(body);
    });
    const run = await load(ctx, server, ['--url', server.url, '--method', 'GET', '--bytes', 1024, '--clients', 4, '--mib-per-s', 1, '--warmup-ms', 0, '--ms', 600]);
    // A closed loop would show the pause in one transfer a client. Whoever is slow adds to the long ones, never takes away.
    const long = longerThan(run.done.latency, 50_000);
    assert.ok(run.done.latency.max > 120_000, `the longest took ${run.done.latency.max} µs`);
    assert.ok(long > 3 * 4, `${long} of ${run.done.latency.count} waited: all that were due meanwhile, not only those of the 4 clients`);
});

test('a server that takes less than is offered does not count', { skip }, async () => {
    const server = await faulty((_, res) => setTimeout(() => res.end(patternOf(65536)), 50));
    const run = await load(ctx, server, ['--url', server.url, '--method', 'GET', '--bytes', 65536, '--clients', 1, '--mib-per-s', 20, '--warmup-ms', 100, '--ms', 400]);
    const sample = sampleOf(run, { mib_per_s: 20 });
    assert.match(sample.why, /of what was offered/);
    assert.ok(run.done.backlog > 50);
});

test('wrong arguments are named', { skip }, async () => {
    await assert.rejects(load(ctx, { pids: () => [] }, ['--url', 'http://127.0.0.1:1', '--methode', 'GET']), /unknown argument/);
    await assert.rejects(load(ctx, { pids: () => [] }, ['--url', 'http://127.0.0.1:1', '--bytes', '3']), /--bytes wants a number/);
    await assert.rejects(load(ctx, { pids: () => [] }, ['--method', 'DELETE', '--url', 'http://127.0.0.1:1']), /GET or PUT/);
});

test('CPU time is counted finer than by ticks', () => {
    const before = exactCpuOf([process.pid]);
    const start = process.cpuUsage();
    const own = () => Object.values(process.cpuUsage(start)).reduce((a, b) => a + b) / 1e6;
    while (own() < 0.003);
    const used = exactCpuOf([process.pid]) - before;
    assert.ok(used > 0.002, `${used} s of 3 ms, which no tick would show`);
    assert.equal(exactCpuOf([2 ** 22 + 1]), 0);
});
