// What upload and download share: servers of files, the load on them, and how a sample is made of both.
import { chownSync, closeSync, openSync, readFileSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import * as nginx from '../peers/nginx.mjs';
import { privateFolder, serviceUser } from '../peers/service.mjs';
import { BenchError, rssOf, start as startProcess, tail, treeOf, until } from './proc.mjs';

const GIB = 2 ** 30;

/** A buffer whose every 8 bytes (little-endian) are their own offset: what sotto-load-transfer sends and expects. */
export function patternOf(bytes) {
    const body = Buffer.alloc(bytes);
    for (let at = 0; at + 8 <= bytes; at += 8) body.writeBigUInt64LE(BigInt(at), at);
    return body;
}

/** Files f0 … f(n-1) of the pattern in a folder. */
export function makeFiles(root, bytes, count) {
    const body = patternOf(bytes);
    const user = serviceUser();
    for (let i = 0; i < count; i++) {
        const path = join(root, `f${i}`);
        const fd = openSync(path, 'w', 0o644);
        writeSync(fd, body);
        closeSync(fd);
        if (user) chownSync(path, user.uid, user.gid);
    }
}

/** The floor: sotto-load-sendfile, the least a server of files can do. → as nginx's start() */
export async function startFloor(ctx) {
    const folder = privateFolder(ctx, 'floor', 0o755);
    const server = startProcess({ name: 'sendfile', cmd: join(ctx.build, 'bench/sotto-load-sendfile'), args: ['--dir', folder.path],
        cpus: ctx.cpus.server, user: serviceUser()?.name });
    const stop = async () => {
        await server.stop();
        folder.remove();
    };
    ctx.defer(stop);
    const port = await until('the floor listens', () => {
        if (!server.running) throw new BenchError('sotto-load-sendfile ended', tail(server.log()));
        return /^ready (\d+)$/m.exec(server.log())?.[1];
    });
    return { url: `http://127.0.0.1:${port}`, root: folder.path, pids: () => treeOf(server.pid), stop };
}

/** Servers by contender's name; Sotto's own comes with its issue. */
export const serverOf = (contender, ctx, ours) => {
    if (contender === 'nginx') return nginx.start(ctx);
    if (contender === 'floor') return startFloor(ctx);
    return ours(ctx);
};

/**
 * CPU seconds of the processes' threads as the scheduler counts them, in nanoseconds: a server of files is busy for a few
 * tens of milliseconds in a window, and /proc/PID/stat counts hundredths of a second. Threads must not end meanwhile.
 */
export function exactCpuOf(pids) {
    let ns = 0;
    for (const pid of pids) {
        try {
            for (const task of readdirSync(`/proc/${pid}/task`)) ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
        } catch {
            // ended
        }
    }
    return ns / 1e9;
}

/**
 * Runs sotto-load-transfer to its end; CPU of the server is taken at the ends of its window. → { done, cpu_s, window_s }
 * With --smoke again, when nothing ended in the window: it asks how a transfer goes, not how soon.
 */
export async function load(ctx, server, args) {
    let run = await loadOnce(ctx, server, args);
    for (let i = 0; ctx.smoke && run.done.transfers + run.done.failed === 0 && i < 20; i++) run = await loadOnce(ctx, server, args);
    return run;
}

async function loadOnce(ctx, server, args) {
    const program = join(ctx.build, 'bench/sotto-load-transfer');
    const running = startProcess({ name: 'transfer', cmd: program, args: args.map(String), cpus: ctx.cpus.generator, pipe: true });
    ctx.defer(() => running.stop());
    const before = { cpu: null, at: 0 };
    let result = null;
    let text = '';
    const line = (json) => {
        const event = JSON.parse(json);
        if (event.ev === 'marked') Object.assign(before, { cpu: exactCpuOf(server.pids()), at: performance.now() });
        if (event.ev === 'done') result = { done: event, cpu_s: exactCpuOf(server.pids()) - before.cpu, rss: rssOf(server.pids()), window_s: (performance.now() - before.at) / 1000 };
    };
    running.child.stdout.on('data', (chunk) => {
        text += chunk;
        for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) line(text.slice(0, end));
    });
    await running.exited;
    if (!result) throw new BenchError('sotto-load-transfer failed', tail(running.log()));
    return result;
}

/** The sample of a run of `load`. `fault`: what the scenario itself found wrong; `smoke`: how much it took is no matter. */
export function sampleOf({ done, cpu_s, rss, window_s }, params, { fault = null, smoke = false } = {}) {
    const offered = params.mib_per_s * window_s * 2 ** 20;
    const why = fault
        ?? (done.failed > 0 ? `${done.failed} transfers failed: ${done.why}` : null)
        ?? (done.corrupt > 0 ? `${done.corrupt} bodies were corrupt` : null)
        ?? (done.transfers === 0 ? 'no transfer ended in the window' : null)
        ?? (!smoke && params.mib_per_s > 0 && done.bytes < 0.9 * offered ? `the server took ${Math.round((100 * done.bytes) / offered)} % of what was offered` : null);
    return {
        figures: {
            cpu_s_per_gib: (cpu_s / done.bytes) * GIB,
            mib_per_s: done.bytes / 2 ** 20 / window_s,
            p50_ms: done.latency.p50 / 1000,
            p99_ms: done.latency.p99 / 1000,
        },
        units: done.bytes / GIB,
        window_s,
        server: { cpu_s, cores_busy: cpu_s / window_s, rss_bytes: rss },
        generator: { cpu_s: done.cpu_s, busy: done.cpu_s / done.window_s },
        latency_us: { transfer: done.latency },
        throughput: done.bytes / 2 ** 20 / window_s,
        valid: why === null,
        why: why ?? '',
        extra: { transfers: done.transfers, backlog: done.backlog },
    };
}

/** Figures that both scenarios have. */
export const figures = {
    cpu_s_per_gib: { title: 'server CPU a GiB', unit: 's', better: 'less' },
    mib_per_s: { title: 'carried (offered at a fixed rate)', unit: 'MiB/s', better: 'more' },
    p50_ms: { title: 'transfer, half are faster', unit: 'ms', better: 'less' },
    p99_ms: { title: 'transfer, 99 % are faster', unit: 'ms', better: 'less' },
};
