// A TURN client over UDP (RFC 8656), as much as a soak needs: allocate, permit, send, hear, and give the allocation back.
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';

const COOKIE = 0x2112a442;
const METHOD = { allocate: 0x003, refresh: 0x004, permit: 0x008, send: 0x016, data: 0x017 };
const ATTR = { username: 0x0006, integrity: 0x0008, error: 0x0009, lifetime: 0x000d, peer: 0x0012, data: 0x0013, realm: 0x0014, nonce: 0x0015, relayed: 0x0016, transport: 0x0019 };

export class TurnAllocation {
    #socket = createSocket('udp4');
    #waiting = new Map();
    #hear = () => {};

    /** `iceServers` as signald hands them out. */
    constructor(iceServers) {
        const server = iceServers.find((s) => s.urls.some((u) => /^turn:.*transport=udp/.test(u)));
        const [, host, port] = /^turn:([^:?]+):(\d+)/.exec(server.urls.find((u) => /^turn:.*transport=udp/.test(u)));
        Object.assign(this, { host, port: Number(port), username: server.username, credential: server.credential });
    }

    /** Throws with the TURN error code, or when nobody answers. */
    async open() {
        await new Promise((resolve) => this.#socket.bind(0, this.host, resolve));
        this.#socket.on('error', () => {});
        this.#socket.on('message', (packet) => this.#take(packet));
        const transport = attribute(ATTR.transport, Buffer.from([17, 0, 0, 0]));
        const challenge = await this.#ask(METHOD.allocate, [transport], false);
        this.realm = challenge.get(ATTR.realm);
        this.nonce = challenge.get(ATTR.nonce);
        this.key = createHash('md5').update(`${this.username}:${this.realm}:${this.credential}`).digest();
        const answer = await this.#signed(METHOD.allocate, [transport]);
        this.relayed = readAddress(answer.get(ATTR.relayed));
        return this;
    }

    permit(peer) {
        return this.#signed(METHOD.permit, [attribute(ATTR.peer, writeAddress(peer))]);
    }

    send(peer, data) {
        const packet = message(METHOD.send | 0x0010, [attribute(ATTR.peer, writeAddress(peer)), attribute(ATTR.data, data)]);
        this.#socket.send(packet, this.port, this.host);
    }

    /** Called with each datagram that a permitted peer sends. */
    onData(fn) {
        this.#hear = fn;
    }

    /** Gives the allocation back (a lifetime of 0) and closes; false when the server did not say yes. */
    async close() {
        const zero = attribute(ATTR.lifetime, Buffer.alloc(4));
        const given = this.relayed
            ? await this.#signed(METHOD.refresh, [zero]).then(
                  () => true,
                  () => false,
              )
            : true;
        this.#socket.close();
        return given;
    }

    #take(packet) {
        if (packet.length < 20) return;
        const attributes = attributesOf(packet);
        if (packet.readUInt16BE(0) === (METHOD.data | 0x0010)) {
            this.#hear(attributes.get(ATTR.data));
            return;
        }
        this.#waiting.get(packet.toString('hex', 8, 20))?.(packet.readUInt16BE(0), attributes);
    }

    async #signed(method, attributes) {
        for (let stale = 0; ; stale++) {
            try {
                return await this.#ask(method, attributes, true);
            } catch (error) {
                if (error.code !== 438 || stale > 0) throw error;
                this.nonce = error.attributes.get(ATTR.nonce);
            }
        }
    }

    /** Asks, again after 0.5 and 1.5 s (datagrams get lost); the attributes of the success. A 401 counts as an answer when unsigned. */
    async #ask(method, attributes, signed) {
        const packet = signed ? this.#sign(method, attributes) : message(method, attributes);
        const id = packet.toString('hex', 8, 20);
        const timers = [500, 1500].map((ms) => setTimeout(() => this.#socket.send(packet, this.port, this.host), ms));
        try {
            return await new Promise((resolve, reject) => {
                timers.push(setTimeout(() => reject(new Error('TURN: no answer')), 4000));
                this.#waiting.set(id, (type, found) => {
                    const code = found.has(ATTR.error) ? found.get(ATTR.error)[2] * 100 + found.get(ATTR.error)[3] : 0;
                    if (type === (method | 0x0100) || (!signed && code === 401)) resolve(found);
                    else reject(Object.assign(new Error(`TURN: error ${code}`), { code, attributes: found }));
                });
                this.#socket.send(packet, this.port, this.host);
            });
        } finally {
            timers.forEach(clearTimeout);
            this.#waiting.delete(id);
        }
    }

    #sign(method, attributes) {
        const all = [...attributes, attribute(ATTR.username, this.username), attribute(ATTR.realm, this.realm), attribute(ATTR.nonce, this.nonce)];
        const unsigned = message(method, all, 24);
        return Buffer.concat([unsigned, attribute(ATTR.integrity, createHmac('sha1', this.key).update(unsigned).digest())]);
    }
}

function attribute(type, value) {
    const body = Buffer.isBuffer(value) ? value : Buffer.from(value);
    const head = Buffer.alloc(4);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(body.length, 2);
    return Buffer.concat([head, body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
}

function message(type, attributes, extra = 0) {
    const body = Buffer.concat(attributes);
    const head = Buffer.alloc(8);
    head.writeUInt16BE(type, 0);
    head.writeUInt16BE(body.length + extra, 2);
    head.writeUInt32BE(COOKIE, 4);
    return Buffer.concat([head, randomBytes(12), body]);
}

function attributesOf(packet) {
    const found = new Map();
    for (let at = 20; at + 4 <= packet.length; ) {
        const length = packet.readUInt16BE(at + 2);
        found.set(packet.readUInt16BE(at), packet.subarray(at + 4, at + 4 + length));
        at += 4 + length + ((4 - (length % 4)) % 4);
    }
    return found;
}

/** XOR-…-ADDRESS of IPv4 (RFC 8489 section 14.2). */
function readAddress(value) {
    const address = (value.readUInt32BE(4) ^ COOKIE) >>> 0;
    return { host: [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.'), port: value.readUInt16BE(2) ^ (COOKIE >>> 16) };
}

function writeAddress({ host, port }) {
    const value = Buffer.alloc(8);
    value[1] = 1;
    value.writeUInt16BE(port ^ (COOKIE >>> 16), 2);
    value.writeUInt32BE((host.split('.').reduce((n, part) => n * 256 + Number(part), 0) ^ COOKIE) >>> 0, 4);
    return value;
}
