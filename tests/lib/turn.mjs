// One TURN allocation over TLS (RFC 8656 section 7 with the long-term credential of RFC 8489 section 9.2), by hand:
// coturn's own client picks TLS 1.0, 1.1 or 1.2 by chance, and ours refuses the first two.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { connect } from 'node:tls';

const COOKIE = 0x2112a442;
const ALLOCATE = 0x0003;
const attribute = (type, value) => {
    const body = Buffer.isBuffer(value) ? value : Buffer.from(value);
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(body.length, 2);
    return Buffer.concat([head, body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
};
const message = (type, attributes, extra = 0) => {
    const body = Buffer.concat(attributes);
    const head = Buffer.alloc(20);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(body.length + extra, 2);
    head.writeUInt32BE(COOKIE, 4);
    randomBytes(12).copy(head, 8);
    return Buffer.concat([head, body]);
};
const attributesOf = (packet) => {
    const found = new Map();
    for (let at = 20; at + 4 <= packet.length; ) {
        const length = packet.readUInt16BE(at + 2);
        found.set(packet.readUInt16BE(at), packet.subarray(at + 4, at + 4 + length));
        at += 4 + length + ((4 - (length % 4)) % 4);
    }
    return found;
};

/** Resolves with {ok, code, protocol}: whether the allocation was granted, and the error code if not. */
export async function allocateByTls({ host, port }, username, credential) {
    const socket = connect({ host, port: Number(port), rejectUnauthorized: false, timeout: 60_000 });
    const packets = [];
    let buffered = Buffer.alloc(0);
    let wake = () => {};
    let failure = null;
    socket.on('data', (chunk) => {
        buffered = Buffer.concat([buffered, chunk]);
        while (buffered.length >= 20 && buffered.length >= 20 + buffered.readUInt16BE(2)) {
            const length = 20 + buffered.readUInt16BE(2);
            packets.push(buffered.subarray(0, length));
            buffered = buffered.subarray(length);
        }
        wake();
    });
    for (const event of ['error', 'close', 'timeout']) {
        socket.on(event, (error) => {
            failure ??= error instanceof Error ? error : new Error(`TURN over TLS: ${event}`);
            wake();
        });
    }
    const ask = async (packet) => {
        socket.write(packet);
        while (packets.length === 0) {
            if (failure) throw failure;
            await new Promise((resolve) => (wake = resolve));
        }
        return packets.shift();
    };
    try {
        const udp = attribute(0x0019, Buffer.from([17, 0, 0, 0])); // REQUESTED-TRANSPORT
        const challenge = attributesOf(await ask(message(ALLOCATE, [udp])));
        const realm = challenge.get(0x0014);
        const unsigned = message(ALLOCATE, [udp, attribute(0x0006, username), attribute(0x0014, realm), attribute(0x0015, challenge.get(0x0015))], 24);
        const key = createHash('md5').update(`${username}:${realm}:${credential}`).digest();
        const answer = await ask(Buffer.concat([unsigned, attribute(0x0008, createHmac('sha1', key).update(unsigned).digest())]));
        const error = attributesOf(answer).get(0x0009);
        return { ok: answer.readUInt16BE(0) === 0x0103, code: error ? error[2] * 100 + error[3] : null, protocol: socket.getProtocol() };
    } finally {
        socket.destroy();
    }
}
