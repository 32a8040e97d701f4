// A media node for tests, that forwards nothing: it speaks the control link (lib/io/link.h) and answers as it is told.
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { PATIENCE } from './machine.mjs';

const NONCE = 32;
/** A description with ICE credentials of its own each time, as a restart needs them. */
const describe = () => {
    const [ufrag, pwd] = [randomBytes(4).toString('hex'), randomBytes(12).toString('hex')];
    return [
        'v=0', 'o=- 2 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=ice-lite', 'a=group:BUNDLE 0',
        'm=audio 7000 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 127.0.0.1', 'a=mid:0', `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`,
        'a=candidate:1 1 udp 2130706431 127.0.0.1 7000 typ host', 'a=end-of-candidates', 'a=rtpmap:111 opus/48000/2', '',
    ].join('\r\n');
};
const DESCRIBED = ['publish', 'subscribe', 'watch', 'restart'];

export class FakeSfu {
    /** Connects and says hello; `rooms` are those it claims to have still. */
    static async open(port, secret, { node = 'fake-1', instance = randomUUID(), rooms = [], load } = {}) {
        const sfu = new FakeSfu();
        Object.assign(sfu, { node, instance, requests: [], waiters: [], answers: {}, held: [] });
        sfu.socket = connect(port, '127.0.0.1');
        await sfu.#handshake(secret);
        sfu.#send({ t: 'hello', node, instance, region: 'test', rooms, load: load ?? { rooms: 0, transports: 0, packetsPerSecond: 0, cpu: 0 } });
        return sfu;
    }

    #handshake(secret) {
        const mine = randomBytes(NONCE);
        const proof = (role, theirs) => createHmac('sha256', secret).update(role).update(mine).update(theirs).digest();
        let rx = Buffer.alloc(0);
        let theirs = null;
        let open = false;
        this.socket.write(mine);
        return new Promise((resolve, reject) => {
            this.socket.on('error', reject);
            this.socket.on('close', () => reject(new Error('link closed in the handshake')));
            this.socket.on('data', (chunk) => {
                rx = Buffer.concat([rx, chunk]);
                if (!theirs && rx.length >= NONCE) {
                    theirs = rx.subarray(0, NONCE);
                    rx = rx.subarray(NONCE);
                    this.socket.write(proof(FakeSfu.roles[0], theirs));
                }
                if (theirs && !open && rx.length >= NONCE) {
                    if (!rx.subarray(0, NONCE).equals(proof(FakeSfu.roles[1], theirs))) return reject(new Error('the server has another secret'));
                    rx = rx.subarray(NONCE);
                    open = true;
                    this.pings = setInterval(() => this.socket.write(Buffer.alloc(4)), 1000);
                    resolve();
                }
                while (open && rx.length >= 4 && rx.length >= 4 + rx.readUInt32BE(0)) {
                    const length = rx.readUInt32BE(0);
                    if (length > 0) this.#take(JSON.parse(rx.subarray(4, 4 + length).toString()));
                    rx = rx.subarray(4 + length);
                }
            });
        });
    }

    #send(frame) {
        const text = Buffer.from(JSON.stringify(frame));
        const length = Buffer.alloc(4);
        length.writeUInt32BE(text.length);
        this.socket.write(Buffer.concat([length, text]));
    }

    #take(frame) {
        this.requests.push(frame);
        if (this.answers[frame.t] === 'hold') this.held.push(frame);
        else this.#answer(frame);
        this.waiters = this.waiters.filter((waiter) => !waiter());
    }

    #answer(frame) {
        const answer = this.answers[frame.t] ?? { data: DESCRIBED.includes(frame.t) ? { sdp: describe() } : {} };
        if (answer.error) this.#send({ t: 'reply', id: frame.id, ok: false, error: answer.error });
        else this.#send({ t: 'reply', id: frame.id, ok: true, data: answer.data });
    }

    /** Requests of a type whose answer is 'hold' wait until here. */
    release(type) {
        delete this.answers[type];
        const held = this.held.filter((frame) => frame.t === type);
        this.held = this.held.filter((frame) => frame.t !== type);
        for (const frame of held) this.#answer(frame);
    }

    /** Sends an event frame ({t: "slots", …}). */
    tell(frame) {
        this.#send(frame);
    }

    /** The first request of the type that nobody took yet. */
    request(type, filter = () => true, ms = 5000) {
        const pick = () => {
            const i = this.requests.findIndex((r) => r.t === type && filter(r));
            return i < 0 ? null : this.requests.splice(i, 1)[0];
        };
        return new Promise((resolve, reject) => {
            const found = pick();
            if (found) return resolve(found);
            const timer = setTimeout(() => reject(new Error(`no ${type} in ${ms * PATIENCE} ms`)), ms * PATIENCE);
            this.waiters.push(() => {
                const request = pick();
                if (!request) return false;
                clearTimeout(timer);
                resolve(request);
                return true;
            });
        });
    }

    close() {
        clearInterval(this.pings);
        this.socket.destroy();
    }
}
FakeSfu.roles = ['client', 'server'];
