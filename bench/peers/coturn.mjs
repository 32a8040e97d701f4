// The peer for relaying: Debian's coturn, as it is installed, on ports of its own.
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { freePort, freeRange } from '../lib/ports.mjs';
import { rssOf, start as startProcess, treeOf, until, waitPort } from '../lib/proc.mjs';
import { fillTemplate, packageVersion, privateFolder, program, serviceUser, writeForService } from './service.mjs';

export const packageName = 'coturn';
export const version = () => packageVersion(packageName);

const template = new URL('./coturn/turnserver.conf', import.meta.url).pathname;

/**
 * Starts coturn pinned to ctx.cpus.server. relays: how many allocations there will be at most.
 * → { host, port, url, username, password, realm, pid, pids(), rss(), log(), stop() }
 */
export async function start(ctx, { relays = 1000, cpus = ctx.cpus?.server } = {}) {
    const turnserver = program('turnserver', packageName);
    const folder = privateFolder(ctx, 'coturn');
    const port = await freePort();
    const first = await freeRange(relays + 1);
    const account = { username: 'bench', password: randomBytes(12).toString('hex'), realm: 'bench.test' };
    const config = writeForService(join(folder.path, 'turnserver.conf'),
        fillTemplate(template, { dir: folder.path, port, relay_min: first, relay_max: first + relays, ...account }), 0o600);
    const server = startProcess({ name: 'coturn', cmd: turnserver, args: ['-c', config], cpus, user: serviceUser()?.name, cwd: folder.path });
    const stop = async () => {
        await server.stop('SIGTERM');
        folder.remove();
    };
    ctx.defer?.(stop);
    await waitPort(port, { process: server });
    await until('coturn answers a STUN binding', () => answersStun(port), 10_000);
    return {
        host: '127.0.0.1', port,
        url: `turn:127.0.0.1:${port}?transport=udp`,
        ...account,
        pid: server.pid,
        pids: () => treeOf(server.pid),
        rss: () => rssOf(treeOf(server.pid)),
        log: server.log,
        stop,
    };
}

/** A binding request (RFC 8489 section 6) and its success response within 300 ms. */
export function answersStun(port) {
    return new Promise((resolve) => {
        const socket = createSocket('udp4');
        const done = (yes) => (clearTimeout(timer), socket.close(), resolve(yes));
        const timer = setTimeout(() => done(false), 300);
        const request = Buffer.concat([Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), randomBytes(12)]);
        socket.once('message', (answer) => done(answer.length >= 20 && answer.readUInt16BE(0) === 0x0101 && answer.subarray(8, 20).equals(request.subarray(8))));
        socket.once('error', () => done(false));
        socket.send(request, port, '127.0.0.1');
    });
}
