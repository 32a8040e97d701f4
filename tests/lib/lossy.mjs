// A UDP relay between a browser and a server that loses packets on purpose.
import { createSocket } from 'node:dgram';

const bind = (socket) => new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket.address().port)));
/** Encrypted media, by its first two bytes (RFC 7983, RFC 5761): what may be lost. */
const isRtp = (m) => m[0] >= 128 && m[0] <= 191 && !(m[1] >= 192 && m[1] <= 223);

export class LossyRelay {
    #front = createSocket('udp4');
    #backs = new Map();
    #random;
    lost = 0;
    passed = 0;

    /** `loss` is a share of the RTP packets, each way; `seed` makes it the same each time. */
    constructor(serverPort, { up = 0, down = 0, seed = 1 } = {}) {
        Object.assign(this, { serverPort, up, down });
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

    async #fromClient(message, from) {
        const key = `${from.address}:${from.port}`;
        if (!this.#backs.has(key)) this.#backs.set(key, this.#openBack(from));
        const back = await this.#backs.get(key);
        if (!this.#loses(message, this.up)) back.send(message, this.serverPort, '127.0.0.1');
    }

    async #openBack(client) {
        const back = createSocket('udp4');
        await bind(back);
        back.on('message', (message) => {
            if (!this.#loses(message, this.down)) this.#front.send(message, client.port, client.address);
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
        this.#front.close();
        for (const back of this.#backs.values()) (await back).close();
    }
}
