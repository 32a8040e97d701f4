// sfud by itself, with a signald played by the test: the control link and nothing else.
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './stack.mjs';

const root = new URL('../../', import.meta.url).pathname;
const SECRET = 'a secret between the two, long enough';

/** The server's end of lib/io/link: frames with a length, both sides prove that they know the secret. */
export class FakeSignald extends EventEmitter {
    #server;
    #socket = null;
    #pending = new Map();
    #nextId = 1;
    events = [];
    hellos = 0;

    async listen(port = 0) {
        this.#server = createServer((socket) => this.#accept(socket));
        await new Promise((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
        this.port = this.#server.address().port;
    }

    #accept(socket) {
        const peer = new LinkServer(socket, SECRET);
        peer.on('frame', (text) => this.#frame(JSON.parse(text)));
        peer.on('up', () => (this.#socket = peer));
        socket.on('close', () => {
            if (this.#socket === peer) this.#socket = null;
        });
    }

    #frame(frame) {
        if (frame.t === 'reply') {
            const { resolve, reject } = this.#pending.get(frame.id) ?? {};
            this.#pending.delete(frame.id);
            if (frame.ok) resolve?.(frame.data);
            else reject?.(Object.assign(new Error(frame.error.message), { code: frame.error.code }));
            return;
        }
        if (frame.t === 'hello') {
            this.hellos++;
            this.hello = frame;
        }
        this.events.push(frame);
        this.emit(frame.t, frame);
    }

    /** Sends a request and waits for its reply's data. */
    request(t, members) {
        const id = this.#nextId++;
        this.#socket.send(JSON.stringify({ t, id, ...members }));
        return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    }

    raw(text) {
        this.#socket.send(text);
    }

    /** The newest event of that type that fits, or undefined. */
    last(t, fits = () => true) {
        return this.events.findLast((e) => e.t === t && fits(e));
    }

    /** As when signald dies: the link breaks and nobody listens. */
    async die() {
        this.#socket?.destroy();
        this.#socket = null;
        await new Promise((resolve) => this.#server.close(resolve));
    }

    close() {
        this.#socket?.destroy();
        this.#server.close();
    }
}

class LinkServer extends EventEmitter {
    #socket;
    #secret;
    #buffer = Buffer.alloc(0);
    #nonce = randomBytes(32);
    #peerNonce = null;
    #up = false;
    #pings;

    constructor(socket, secret) {
        super();
        this.#socket = socket;
        this.#secret = secret;
        socket.on('error', () => this.destroy());
        socket.on('close', () => clearInterval(this.#pings));
        socket.on('data', (data) => {
            this.#buffer = Buffer.concat([this.#buffer, data]);
            while (this.#step());
        });
        socket.write(this.#nonce);
    }

    destroy() {
        clearInterval(this.#pings);
        this.#socket.destroy();
    }

    send(text) {
        const body = Buffer.from(text);
        const length = Buffer.alloc(4);
        length.writeUInt32BE(body.length);
        this.#socket.write(Buffer.concat([length, body]));
    }

    #take(n) {
        const taken = this.#buffer.subarray(0, n);
        this.#buffer = this.#buffer.subarray(n);
        return taken;
    }

    #proof(role) {
        return createHmac('sha256', this.#secret).update(role).update(this.#peerNonce).update(this.#nonce).digest();
    }

    #step() {
        if (!this.#peerNonce) {
            if (this.#buffer.length < 32) return false;
            this.#peerNonce = Buffer.from(this.#take(32));
            return true;
        }
        if (!this.#up) {
            if (this.#buffer.length < 32) return false;
            if (!this.#take(32).equals(this.#proof('client'))) {
                this.destroy();
                return false;
            }
            this.#socket.write(this.#proof('server'));
            this.#up = true;
            this.#pings = setInterval(() => this.send(''), 1000);
            this.emit('up');
            return true;
        }
        if (this.#buffer.length < 4 || this.#buffer.length < 4 + this.#buffer.readUInt32BE(0)) return false;
        const length = this.#take(4).readUInt32BE(0);
        const frame = this.#take(length);
        if (length > 0) this.emit('frame', frame.toString('utf8'));
        return true;
    }
}

/**
 * Starts sfud against that signald, in a folder of its own.
 * @param {FakeSignald} signald
 * @param {object} [settings] keys of [sfu]; one worker where not said
 * @param {object} [options] how it runs: `program` (that of SOTTO_TEST_BUILD), `level` of its log, `wrap` (program → [command,
 *   ...arguments] that starts it, to pin it say), `internalKey` (what its internal routes ask for; without: none)
 */
export async function startSfud(signald, settings = {}, { program, level = 'debug', wrap = (it) => [it], internalKey } = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-sfu-'));
    writeFileSync(join(dir, 'secret'), SECRET, { mode: 0o600 });
    chmodSync(join(dir, 'secret'), 0o600);
    mkdirSync(join(dir, 'secrets'));
    if (internalKey) writeFileSync(join(dir, 'secrets/internal_key'), internalKey, { mode: 0o600 });
    const metricsPort = await freePort();
    const keys = {
        sfu_link: { address: '127.0.0.1', port: signald.port, secret_file: 'secret' },
        sfu: { port: 0, workers: 1, allow_loopback: 'yes', metrics_port: metricsPort, ...settings },
        log: { level },
    };
    const ini = Object.entries(keys).map(([name, set]) => `[${name}]\n${Object.entries(set).map(([k, v]) => `${k} = ${v}`).join('\n')}\n`);
    writeFileSync(join(dir, 'sotto.ini'), ini.join('\n'));
    const [command, ...args] = wrap(program ?? join(process.env.SOTTO_TEST_BUILD || join(root, 'build'), 'sfu/sfud'));
    let log = '';
    const child = spawn(command, [...args, '--config', join(dir, 'sotto.ini')], {
        stdio: ['ignore', 'ignore', 'pipe'],
        env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=1', UBSAN_OPTIONS: 'print_stacktrace=1' },
    });
    child.stderr.on('data', (text) => {
        log += text;
        if (process.env.SOTTO_TEST_VERBOSE) process.stderr.write(text);
    });
    const exited = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
    const sfud = {
        pid: child.pid,
        exited,
        log: () => log,
        async port() {
            return Number(await until('the media port', () => /started .*port=(\d+)/.exec(log)?.[1]));
        },
        /** The media ports of all workers, in their order. */
        async ports() {
            await this.port();
            return [...log.matchAll(/ worker index=\d+ port=(\d+)/g)].map((m) => Number(m[1]));
        },
        /** The value of a metric, labels as in the text; summed over labels when none are given. */
        async metric(name, labels) {
            const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
            const lines = text.split('\n').filter((l) => (labels ? l.startsWith(`${name}{${labels}} `) : l.startsWith(`${name} `) || l.startsWith(`${name}{`)));
            return lines.reduce((sum, l) => sum + Number(l.slice(l.lastIndexOf(' '))), 0);
        },
        dir,
        config: join(dir, 'sotto.ini'),
        get: (path, options) => fetch(`http://127.0.0.1:${metricsPort}${path}`, options),
        /** Ends it; fails when it did not end well or a sanitizer had something to say. */
        async stop() {
            child.kill('SIGTERM');
            const end = await exited;
            rmSync(dir, { recursive: true, force: true });
            const fault = /(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:)[^]*/.exec(log);
            if (fault) throw new Error(fault[0].slice(0, 6000));
            if (end.code !== 0) throw new Error(`sfud ended with ${JSON.stringify(end)}\n${log.slice(-3000)}`);
        },
    };
    await Promise.race([
        until('hello', () => signald.hellos > 0, 20_000),
        exited.then((end) => {
            throw new Error(`sfud ended with ${JSON.stringify(end)}\n${log}`);
        }),
    ]);
    return sfud;
}

function freePort() {
    return new Promise((resolve) => {
        const server = createServer().listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}
