// The count check: are the packets that the load client says it sent and received those on the wire? dumpcap listens on
// the loopback device, tshark reads what it kept, and the two counts must be equal, packet for packet.
//
// What is counted is RTP: RFC 7983 tells it from STUN and DTLS by the first byte (128..191), RFC 5761 from RTCP by the
// second (RTCP's types are 192..223). A train that left by UDP_SEGMENT passes the loopback device as one datagram of many
// segments, because the device needs no splitting; it is split here where the next header for the same receiver begins.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { closeSync, existsSync, fstatSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BenchError, rssOf, start as startProcess, until, which } from './proc.mjs';
import { SOURCE, cpuClock, sampleOf } from './sfu_load.mjs';

const RTP_HEADER = 12;
const NONE = new Set();
/** Two segments of a train differ in length only if the shorter is the last one. */
const MIN_SEGMENT = 40;

/** Is it RTP: neither STUN, DTLS, TURN channel data nor RTCP? */
export const isRtp = (packet) => packet.length >= RTP_HEADER && packet[0] >= 128 && packet[0] <= 191 && (packet[1] < 192 || packet[1] > 223);

const ssrcOf = (packet, at) => packet.readUInt32BE(at + 8);
const seqOf = (packet, at) => packet.readUInt16BE(at + 2);
/**
 * SRTP leaves the header in the clear: the same stream and the next number, or another stream of the same receiver, whose
 * SSRCs differ in their last 8 bits only (sfu/core/subscriber.h): sound behind a picture, or what is sent again.
 */
const follows = (packet, before, at, known) =>
    packet.length - at >= RTP_HEADER && isRtp(packet.subarray(at)) && (ssrcOf(packet, at) === ssrcOf(packet, before)
        ? seqOf(packet, at) === ((seqOf(packet, before) + 1) & 0xffff)
        : ssrcOf(packet, at) >>> 8 === ssrcOf(packet, before) >>> 8 && (known?.has(ssrcOf(packet, at)) ?? true));

/**
 * How many RTP packets a datagram from the loopback device holds: 0 when it is something else, 1 as a rule, more when it is
 * a train (all segments of one length, but the last, which may be shorter).
 * @param {Buffer} payload of UDP
 * @param {Set<number>} [known] the SSRCs that there are: one payload in some 100,000 has, being noise, another's header in it
 */
export function packetsIn(payload, known) {
    if (!isRtp(payload)) return 0;
    for (let size = MIN_SEGMENT; size <= payload.length - RTP_HEADER; size++) {
        if (!follows(payload, 0, size, known)) continue;
        let at = size;
        while (at + size < payload.length && follows(payload, at, at + size, known)) at += size;
        if (payload.length - at <= size) return at / size + 1;
    }
    return 1;
}

/** Whether the file has these bytes at `from` or behind; and from where to look the next time. */
function lookFor(bytes, file, from) {
    const fd = openSync(file, 'r');
    try {
        const { size } = fstatSync(fd);
        const part = Buffer.alloc(Math.max(0, size - from));
        readSync(fd, part, 0, part.length, from);
        return { found: part.includes(bytes), from: Math.max(0, size - bytes.length) };
    } finally {
        closeSync(fd);
    }
}

/** A capture on the loopback device, in a file of the measurement. */
export class Capture {
    constructor(ctx) {
        for (const cmd of ['dumpcap', 'tshark']) if (!which(cmd)) throw new BenchError(`--count-check needs ${cmd}`, 'run deploy/packages --bench');
        this.file = join(ctx.dir, 'capture.pcapng');
        this.cpus = ctx.cpus.generator;
    }

    /** Listens for UDP from and to a range of ports. */
    async listen([from, to]) {
        this.ports = [from, to];
        this.process = startProcess({
            name: 'dumpcap', cmd: 'dumpcap', cpus: this.cpus,
            args: ['-q', '-i', 'lo', '-B', '128', '-f', `udp portrange ${from}-${to}`, '-w', this.file],
        });
        await until('dumpcap listens', () => {
            if (!this.process.running) throw new BenchError('dumpcap did not start (it needs the right to capture: root)', this.process.log());
            return existsSync(this.file) && statSync(this.file).size > 0;
        });
    }

    /** Ends it and counts: {toServer, fromServer} in RTP packets. Throws when dumpcap missed any. */
    async count() {
        await this.#caughtUp();
        await this.process.stop('SIGINT', 60_000);
        const told = /received\/dropped on interface .*: (\d+)\/(\d+)/.exec(this.process.log());
        if (!told) throw new BenchError('dumpcap did not say how many packets it dropped', this.process.log());
        if (Number(told[2]) > 0) throw new BenchError(`dumpcap dropped ${told[2]} packets`, 'count fewer of them: --set subscribers=…');
        const counts = await this.#read();
        rmSync(this.file, { force: true });
        return counts;
    }

    /** dumpcap takes packets in blocks and is ended between two of them, so a last datagram of ours must be in the file first. */
    async #caughtUp() {
        const last = Buffer.concat([Buffer.from([0xff]), randomBytes(31)]); // 0xff: nothing that a server would take (RFC 7983)
        const socket = createSocket('udp4');
        await new Promise((resolve, reject) => socket.send(last, this.ports[0], '127.0.0.1', (error) => (error ? reject(error) : resolve())));
        socket.close();
        let look = { found: false, from: 0 };
        await until('dumpcap has written all', () => (look = lookFor(last, this.file, look.from)).found, 20_000, 100);
    }

    async #read() {
        const fields = ['udp.srcport', 'udp.dstport', 'udp.payload'].flatMap((name) => ['-e', name]);
        const reader = spawn(which('tshark'), ['-n', '-r', this.file, '-Y', 'udp', '-T', 'fields', ...fields], { stdio: ['ignore', 'pipe', 'pipe'] });
        let complaints = '';
        reader.stderr.on('data', (text) => (complaints += text));
        const ended = new Promise((resolve) => reader.once('exit', resolve));
        const counts = { toServer: 0, fromServer: 0, datagrams: 0 };
        const known = new Set();
        const doubtful = []; // what is another stream's packet behind the first is known when all streams are
        for await (const line of createInterface({ input: reader.stdout })) this.#add(counts, line, { known, doubtful });
        for (const [way, payload] of doubtful) counts[way] += packetsIn(payload, known);
        if ((await ended) !== 0) throw new BenchError('tshark could not read the capture', complaints);
        return counts;
    }

    #add(counts, line, { known, doubtful }) {
        const [source, , hex] = line.split('\t');
        if (!hex) return;
        const payload = Buffer.from(hex.replaceAll(':', ''), 'hex');
        const port = Number(source);
        const way = port >= this.ports[0] && port <= this.ports[1] ? 'fromServer' : 'toServer';
        counts.datagrams++;
        if (isRtp(payload)) known.add(ssrcOf(payload, 0));
        const n = packetsIn(payload);
        if (n === packetsIn(payload, NONE)) counts[way] += n;
        else doubtful.push([way, payload]);
    }
}

/** The figures that a count check adds to a scenario's. */
export const COUNTS = {
    wire_sent: { title: 'packets to the server, on the wire', unit: 'packets' },
    client_sent: { title: 'packets to the server, by the load client', unit: 'packets' },
    wire_received: { title: 'packets from the server, on the wire', unit: 'packets' },
    client_received: { title: 'packets from the server, by the load client', unit: 'packets' },
};

/**
 * Sends through a connected scene from the first packet to the last with the capture running, and holds both counts against
 * each other. Nothing is sent before it and nothing is under way after it, so equal means equal.
 * @returns a sample, not valid when the counts differ
 */
export async function checkCounts(scene, ctx) {
    const { load, driver } = scene;
    const capture = new Capture(ctx);
    await capture.listen(driver.ports);
    await load.mark();
    const cpu = cpuClock(driver.pids);
    ctx.step('counting on the wire');
    await scene.send(SOURCE);
    await scene.flowing();
    await scene.wait(ctx.params.seconds);
    await scene.send({ video_kbps: 0, audio: false }); // enough: what was sent is on its way
    const stats = await settled(scene);
    const cpu_s = cpu();
    const wire = await capture.count();
    const sample = sampleOf(scene, { stats, cpu_s, rss: rssOf(driver.pids) });
    const counts = { wire_sent: wire.toServer, client_sent: stats.sent.packets, wire_received: wire.fromServer, client_received: stats.received.packets };
    const faults = sample.why ? [sample.why] : [];
    const dropped = stats.udp?.dropped ?? 0;
    if (ctx.smoke && dropped > 0) faults.push(`not comparable: the load client's sockets dropped ${dropped} packets`);
    if (counts.wire_sent !== counts.client_sent) faults.push(`the load client says it sent ${counts.client_sent} packets, the wire saw ${counts.wire_sent}`);
    if (counts.wire_received !== counts.client_received) faults.push(`the load client says it received ${counts.client_received} packets, the wire saw ${counts.wire_received}`);
    ctx.step(`on the wire ${wire.toServer} + ${wire.fromServer} RTP packets in ${wire.datagrams} datagrams; the load client: ${counts.client_sent} + ${counts.client_received}`);
    return { ...sample, figures: { ...sample.figures, ...counts }, extra: { datagrams: wire.datagrams }, valid: faults.length === 0, why: faults.join('; ') };
}

/** The counters when nothing comes any more: for a second and a half, which a server on a busy core may need for what it has. */
async function settled(scene) {
    let before = null;
    let same = 0;
    return until('the last packet has come', async () => {
        const now = await scene.load.stats();
        same = before && before.received.packets === now.received.packets && before.sent.packets === now.sent.packets ? same + 1 : 0;
        before = now;
        return same >= 5 && now;
    }, 10_000, 300);
}
