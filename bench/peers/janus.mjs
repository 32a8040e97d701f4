// Debian's Janus, private to a measurement: its configuration, folder and ports are ours, its program is the package's.
import { readFileSync, readdirSync, writeFileSync, mkdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { packageVersion } from '../lib/host.mjs';
import { freePort, release, reserve } from '../lib/ports.mjs';
import { BenchError, start as startProcess, tail, waitPort } from '../lib/proc.mjs';

export const packageName = 'janus';
export const version = () => packageVersion(packageName);

const templates = new URL('janus/', import.meta.url).pathname;
const WANTED = ['libjanus_videoroom.so', 'libjanus_websockets.so'];
/** Between the ports that the harness hands out and those of the kernel (see freePort and ip_local_port_range). */
const RTP_RANGES = [29000, 29900, 30800, 31700].map((from) => [from, from + 899]);

const nameOf = ([from]) => `janus-${from}`;

/** A range in which nobody listens yet: another Janus may run, and one capture must not see both. */
function freeRange() {
    const used = ['/proc/net/udp', '/proc/net/udp6'].flatMap((file) => readFileSync(file, 'utf8').split('\n').slice(1))
        .map((line) => parseInt(/^\s*\d+: \w+:(\w+)/.exec(line)?.[1] ?? '0', 16));
    const free = RTP_RANGES.filter(([from, to]) => !used.some((port) => port >= from && port <= to));
    return free.find((range) => reserve(nameOf(range))) ?? RTP_RANGES[Math.floor(Math.random() * RTP_RANGES.length)];
}

/** Where the package has its loadable parts: /usr/lib/<architecture>/janus. */
function libraryFolder() {
    for (const arch of readdirSync('/usr/lib')) {
        const folder = join('/usr/lib', arch, 'janus');
        try {
            if (readdirSync(join(folder, 'plugins')).includes(WANTED[0])) return folder;
        } catch {
            // not there
        }
    }
    throw new BenchError('Janus is not installed', 'run deploy/packages --bench');
}

/** Janus never gathers loopback addresses; packets between two addresses of one host pass the loopback device all the same. */
function hostAddress() {
    const found = Object.values(networkInterfaces()).flat().find((a) => a.family === 'IPv4' && !a.internal);
    if (!found) throw new BenchError('Janus needs an IPv4 address besides 127.0.0.1', 'ip address add 192.0.2.1/32 dev lo gives one');
    return found.address;
}

const others = (folder) => readdirSync(folder).filter((name) => name.endsWith('.so') && !WANTED.includes(name)).join(',');

/** A template with its {{names}} filled in; a name without value is an error. */
export function fill(text, values) {
    return text.replace(/\{\{(\w+)\}\}/g, (_, name) => {
        if (values[name] === undefined) throw new Error(`the template asks for ${name}`);
        return String(values[name]);
    });
}

function configure(folder, variant, wsPort, range) {
    const library = libraryFolder();
    const values = {
        folder,
        address: hostAddress(),
        plugins: join(library, 'plugins'),
        transports: join(library, 'transports'),
        events: join(library, 'events'),
        loggers: join(library, 'loggers'),
        other_plugins: others(join(library, 'plugins')),
        other_transports: others(join(library, 'transports')),
        rtp_from: range[0],
        rtp_to: range[1],
        ws_port: wsPort,
    };
    mkdirSync(folder, { recursive: true });
    const write = (template, name) => writeFileSync(join(folder, name), fill(readFileSync(join(templates, template), 'utf8'), values));
    write(`janus.${variant}.jcfg`, 'janus.jcfg');
    for (const name of ['janus.plugin.videoroom.jcfg', 'janus.transport.websockets.jcfg']) write(name, name);
}

/**
 * Starts Janus on the server's core.
 * @param {object} ctx a measurement's context (dir, cpus)
 * @param {{variant?: 'tuned'|'installed'}} [options]
 * @returns {Promise<{pids: number[], url: string, ports: [number, number], variant: string, log: () => string, stop: () => Promise<void>}>}
 *   url: of the WebSocket API; ports: the range of its media
 */
export async function start(ctx, { variant = 'tuned' } = {}) {
    const wsPort = await freePort();
    const range = freeRange();
    const folder = join(ctx.dir, `janus-${variant}`);
    configure(folder, variant, wsPort, range);
    // --disable-colors and a log on stdout is how Debian's unit starts it; ours goes to a file of the measurement.
    const handle = startProcess({ name: `janus-${variant}`, cmd: 'janus', args: ['-F', folder, '--disable-colors'], cpus: ctx.cpus.server });
    const stop = async () => {
        await handle.stop('SIGINT', 3000);
        release(nameOf(range));
    };
    try {
        await waitPort(wsPort, { process: handle });
    } catch (error) {
        await stop();
        throw new BenchError(`Janus did not start (${error.message})`, tail(handle.log()));
    }
    return { pids: [handle.pid], url: `ws://127.0.0.1:${wsPort}`, ports: range, variant, log: handle.log, stop };
}
