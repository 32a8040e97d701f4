// What stands between the clients and the servers, and between signald and sfud, so that it can be cut.
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

/** A TCP relay whose connections can be dropped, stalled and left half-open. */
export class TcpRelay {
    #server;
    #connections = new Set();
    #refusing = false;
    accepted = 0;

    async listen(targetPort) {
        this.target = targetPort;
        this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
        await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
        this.port = this.#server.address().port;
        return this;
    }

    #accept(client) {
        client.on('error', () => {});
        if (this.#refusing) {
            client.resetAndDestroy();
            return;
        }
        this.accepted++;
        const server = connect({ port: this.target, host: '127.0.0.1', noDelay: true });
        const pair = { client, server };
        this.#connections.add(pair);
        server.on('error', () => {});
        client.pipe(server);
        server.pipe(client);
        for (const [from, to] of [[client, server], [server, client]]) {
            from.on('close', () => {
                if (!pair.halfOpen || pair.halfOpen === to) to.destroy();
                if (client.destroyed && server.destroyed) this.#connections.delete(pair);
            });
        }
    }

    get open() {
        return this.#connections.size;
    }

    #some(choose) {
        return [...this.#connections].filter((pair) => !pair.halfOpen && choose(pair));
    }

    /** Resets those that `choose` picks; how many. */
    drop(choose = () => true) {
        const hit = this.#some(choose);
        for (const { client, server } of hit) {
            client.resetAndDestroy();
            server.resetAndDestroy();
        }
        return hit.length;
    }

    /** Nothing passes on them until the returned function is called. */
    stall(choose = () => true) {
        const hit = this.#some(choose);
        for (const { client, server } of hit) {
            client.unpipe(server);
            server.unpipe(client);
            client.pause();
            server.pause();
        }
        return () => {
            for (const { client, server } of hit) {
                if (client.destroyed || server.destroyed) continue;
                client.pipe(server);
                server.pipe(client);
            }
        };
    }

    /** One side of them is closed, and the other is told nothing: by turns the server's and the client's. */
    halfOpen(choose = () => true) {
        const hit = this.#some(choose);
        hit.forEach((pair, i) => {
            const { client, server } = pair;
            client.unpipe(server);
            server.unpipe(client);
            const [dead, left] = i % 2 === 0 ? [server, client] : [client, server];
            pair.halfOpen = dead; // its close is not passed on
            left.resume(); // and what comes is thrown away
            dead.resetAndDestroy();
        });
        return hit.length;
    }

    /** New connections are reset while this is on. */
    refuse(on) {
        this.#refusing = on;
    }

    close() {
        this.#server.close();
        for (const { client, server } of this.#connections) {
            client.destroy();
            server.destroy();
        }
    }
}

/** A UDP relay in front of the SFU's media port: passes everything, until it is told to lose. */
export class MediaRelay {
    #front = createSocket('udp4');
    #backs = new Map();
    #random;
    loss = 0;
    passed = 0;
    lost = 0;

    constructor(serverPort, random) {
        this.serverPort = serverPort;
        this.#random = random;
    }

    async listen() {
        this.port = await bind(this.#front);
        this.#front.on('message', (message, from) => this.#fromClient(message, from));
        return this;
    }

    #loses() {
        const loses = this.loss > 0 && this.#random.chance(this.loss);
        if (loses) this.lost++;
        else this.passed++;
        return loses;
    }

    #fromClient(message, from) {
        const key = `${from.address}:${from.port}`;
        let back = this.#backs.get(key);
        if (!back) {
            back = createSocket('udp4');
            this.#backs.set(key, back);
            back.bind(0, '127.0.0.1');
            back.on('error', () => {});
            back.on('message', (answer) => {
                if (!this.#loses()) this.#front.send(answer, from.port, from.address);
            });
        }
        if (!this.#loses()) back.send(message, this.serverPort, '127.0.0.1');
    }

    /** The same description with this relay in the place of the SFU's candidates. */
    divert(sdp) {
        let first = true;
        return sdp.replace(/a=candidate:.*\r?\n/g, (line) => {
            if (/ tcp /i.test(line) || (!first && !line.includes(` 127.0.0.1 ${this.serverPort} `))) return '';
            first = false;
            return line.replace(/(udp \d+) \S+ \d+/i, `$1 127.0.0.1 ${this.port}`);
        });
    }

    close() {
        this.#front.close();
        for (const back of this.#backs.values()) back.close();
    }
}

const bind = (socket) => new Promise((resolve) => socket.bind(0, '127.0.0.1', () => resolve(socket.address().port)));
