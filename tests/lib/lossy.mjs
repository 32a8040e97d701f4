// A UDP relay between a browser and a server that loses packets on purpose, and is as narrow and far as one likes.
import { createSocket } from 'node:dgram';

const bind = (socket) => new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket.address().port)));
const QUEUE_MS = 300; // of the bottleneck; what finds it longer is lost
/** Encrypted media, by its first two bytes (RFC 7983, RFC 5761): what may be lost. */
const isRtp = (m) => m[0] >= 128 && m[0] <= 191 && !(m[1] >= 192 && m[1] <= 223);

/** The transport-wide number in the one-byte header extension `id` (RFC 8285 section 4.2), which is never encrypted; null: has none. */
export function transportNumber(m, id) {
    let at = 12 + 4 * (m[0] & 15);
    if (!(m[0] & 16) || m.readUInt16BE(at) !== 0xbede) return null;
    const end = at + 4 + 4 * m.readUInt16BE(at + 2);
    for (at += 4; at < end; at += m[at] === 0 ? 1 : 2 + (m[at] & 15)) {
        if (m[at] >> 4 === id) return m.readUInt16BE(at + 1);
    }
    return null;
}

export class LossyRelay {
    #front = createSocket('udp4');
    #backs = new Map();
    #random;
    #closed = false;
    lost = 0;
    passed = 0;
    /** Packets that found the bottleneck's queue full. */
    dropped = 0;
    #freeAt = 0;
    /** Called with each RTP packet on its way to the client, and how long it takes, in ms; null: it is lost. */
    onMedia = () => {};

    /**
     * `up` and `down` are shares of the RTP packets that are lost; `seed` makes it the same each time. `downBps`: the bottleneck on
     * the way to the client (0: none); `delayMs`: each way. All may be set anew at any time.
     */
    constructor(serverPort, { up = 0, down = 0, seed = 1, downBps = 0, delayMs = 0 } = {}) {
        Object.assign(this, { serverPort, up, down, downBps, delayMs });
        let state = seed;
        this.#random = () => {
            state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
            return state / 2 ** 32;
        };
    }

    async listen() {
        this.port = await bind(this.#front);
        this.#front.on('message', (message, from) => void this.#fromClient(message, from));
        return this;
    }

    #loses(message, share) {
        if (!isRtp(message) || this.#random() >= share) {
            this.passed++;
            return false;
        }
        this.lost++;
        return true;
    }

    #later(ms, send) {
        if (ms < 1) send();
        else setTimeout(send, ms);
    }

    /** Through the bottleneck, in order. Returns how long that takes in ms; null: it found the queue full. */
    #squeeze(message, send) {
        const now = performance.now();
        const wait = Math.max(0, this.#freeAt - now);
        if (this.downBps && wait > QUEUE_MS) {
            this.dropped++;
            return null;
        }
        this.#freeAt = now + wait + (this.downBps ? (message.length * 8000) / this.downBps : 0);
        const ms = this.#freeAt - now + this.delayMs;
        this.#later(ms, send);
        return ms;
    }

    async #fromClient(message, from) {
        const key = `${from.address}:${from.port}`;
        if (!this.#backs.has(key)) this.#backs.set(key, this.#openBack(from));
        const back = await this.#backs.get(key);
        if (!this.#loses(message, this.up)) this.#later(this.delayMs, () => this.#closed || back.send(message, this.serverPort, '127.0.0.1'));
    }

    async #openBack(client) {
        const back = createSocket('udp4');
        await bind(back);
        back.on('message', (message) => {
            const send = () => this.#closed || this.#front.send(message, client.port, client.address);
            const ms = this.#loses(message, this.down) ? null : this.#squeeze(message, send);
            if (isRtp(message)) this.onMedia(message, ms);
        });
        return back;
    }

    /** The same description, with this relay in the place of the server's candidates. */
    divert(sdp) {
        let first = true;
        return sdp.replace(/a=candidate:.*\r?\n/g, (line) => {
            if (/ tcp /i.test(line) || (!/ 127\.0\.0\.1 /.test(line) && !first)) return ''; // no way around by TCP
            first = false;
            return line.replace(/(udp \d+) \S+ \d+/i, `$1 127.0.0.1 ${this.port}`);
        });
    }

    async close() {
        this.#closed = true;
        this.#front.close();
        for (const back of this.#backs.values()) (await back).close();
    }
}
