// Ports of 127.0.0.1 for a measurement's servers. A port is looked for before its server is started, which may take a while to listen:
// until then it is reserved, so that nobody else of the harness, in this process or in another, finds it free as well.
import { createSocket } from 'node:dgram';
import { mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Each reservation is a link here, to the id of the process that has it. */
const PLACE = join(tmpdir(), `sotto-bench-ports-${process.getuid()}`);
const ours = new Set();
process.on('exit', () => ours.forEach(release));

function lives(pid) {
    try {
        process.kill(pid, 0);
        return true;
    } catch (error) {
        return error.code === 'EPERM';
    }
}

/** The process that has it, or NaN. */
function ownerOf(name) {
    try {
        return Number(readlinkSync(join(PLACE, name)));
    } catch {
        return NaN;
    }
}

/** Reserves a name (of a port, of a range) until this process ends; false when this process or another that lives has it. */
export function reserve(name) {
    if (ours.has(name)) return false;
    mkdirSync(PLACE, { recursive: true, mode: 0o700 });
    for (let tries = 0; tries < 2; tries++) {
        try {
            symlinkSync(String(process.pid), join(PLACE, name)); // made with its content, or not at all
            ours.add(name);
            return true;
        } catch (error) {
            if (error.code !== 'EEXIST') throw error;
        }
        if (lives(ownerOf(name))) return false;
        rmSync(join(PLACE, name), { force: true });
    }
    return false;
}

export function release(name) {
    if (ours.delete(name)) rmSync(join(PLACE, name), { force: true });
}

const isFreeTcp = (port) =>
    new Promise((resolve) => {
        const server = createServer();
        server.once('error', () => resolve(false));
        server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
const isFreeUdp = (port) =>
    new Promise((resolve) => {
        const socket = createSocket('udp4');
        socket.once('error', () => resolve(false));
        socket.bind(port, '127.0.0.1', () => socket.close(() => resolve(true)));
    });

/**
 * A port free for TCP and UDP, below the kernel's own range so that no outgoing socket takes it meanwhile; with n: an array of n
 * such ports. No port is given out twice in a run.
 */
export async function freePort(n) {
    const ports = [];
    while (ports.length < (n ?? 1)) {
        if (ours.size > 9000) [...ours].filter((name) => !ports.includes(Number(name))).forEach(release);
        const port = 10300 + Math.floor(Math.random() * 10400);
        if (!reserve(String(port))) continue;
        if ((await isFreeTcp(port)) && (await isFreeUdp(port))) ports.push(port);
        else release(String(port));
    }
    return n === undefined ? ports[0] : ports;
}

const BLOCK = 50;
/** The first of `count` UDP ports in a row that are free, between the harness' single ports and those of Janus (peers/janus.mjs). */
export async function freeRange(count) {
    const blocks = Math.ceil(count / BLOCK);
    for (let tries = 0; tries < 200; tries++) {
        const first = Math.floor(21000 / BLOCK + Math.random() * (8000 / BLOCK - blocks));
        const had = Array.from({ length: blocks }, (_, i) => `range-${first + i}`).filter(reserve);
        const free = await Promise.all(Array.from({ length: count }, (_, i) => isFreeUdp(first * BLOCK + i)));
        if (had.length === blocks && free.every(Boolean)) return first * BLOCK;
        had.forEach(release);
    }
    throw new Error(`no ${count} free UDP ports in a row between 21000 and 29000`);
}
