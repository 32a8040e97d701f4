// The load client from JavaScript: sotto-load-webrtc as a child, its commands as methods, its events as events and promises.
import { spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const STDERR_KEPT = 8192;
const DEFAULT_MS = 90_000; // a few at most where nobody else is on the machine

/**
 * Many WebRTC endpoints in one process of one thread. Endpoint numbers are the caller's. Emits `connected`, `media`, `failed`, `local`, `error-event`
 * (a command that the program refused) and `exit`.
 */
export class Load extends EventEmitter {
    #child;
    #stderr = '';
    #waiting = []; // [{fits, resolve, reject, timer}]
    #connected = new Map(); // ep → its connected event
    #failed = new Map(); // ep → why
    #media = new Map(); // 'ep kind' → its media event
    #end = null; // why it ended
    #stopping = false;

    /**
     * Starts the program, on the cores of `cpus.generator` when given.
     * @param {{build: string, cpus?: {generator?: string}, defer?: (fn: () => Promise<void>) => void, env?: object}} ctx
     * @returns {Promise<Load>}
     */
    static async start(ctx) {
        const load = new Load();
        await load.#start(ctx);
        ctx.defer?.(() => load.stop());
        return load;
    }

    async #start(ctx) {
        const program = join(ctx.build, 'bench/sotto-load-webrtc');
        const cpus = ctx.cpus?.generator;
        const [cmd, args] = cpus === undefined ? [program, []] : ['taskset', ['-c', String(cpus), program]];
        this.setMaxListeners(0);
        this.#child = spawn(cmd, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...ctx.env } });
        this.exited = new Promise((resolve) => {
            this.#child.once('error', (error) => resolve(this.#ended(`cannot start ${program}: ${error.message}`)));
            this.#child.once('close', (code, signal) => resolve(this.#ended(`it ended with ${signal ?? code}`, code)));
        });
        this.#child.stdin.on('error', () => {}); // told by its end
        this.#child.stderr.on('data', (text) => (this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT)));
        createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line));
        await this.#await('it to start', (e) => e.ev === 'ready');
    }

    /** The process to be measured. */
    get pid() {
        return this.#child.pid;
    }

    /** What it wrote to stderr, the end of it. */
    get stderr() {
        return this.#stderr;
    }

    #ended(why, code) {
        if (this.#end) return { code, why };
        this.#end = this.#error(`sotto-load-webrtc: ${why}`);
        for (const w of this.#waiting.splice(0)) {
            clearTimeout(w.timer);
            w.reject(this.#end);
        }
        this.emit('exit', { code, why });
        return { code, why };
    }

    #error(message) {
        const tail = this.#stderr.trim().split('\n').slice(-20).join('\n');
        return new Error(tail ? `${message}\n${tail}` : message);
    }

    #take(line) {
        let event;
        try {
            event = JSON.parse(line);
        } catch {
            this.#child.kill('SIGKILL');
            return;
        }
        const refused = event.ev === 'error' && event.op === 'remote' && /^endpoint (\d+): (.*)/.exec(event.why);
        if (refused) this.#take(JSON.stringify({ ev: 'failed', ep: Number(refused[1]), why: refused[2] }));
        this.#remember(event);
        for (const w of [...this.#waiting]) {
            const result = w.fits(event);
            if (result) this.#settle(w, result instanceof Error ? w.reject : w.resolve, result instanceof Error ? result : event);
        }
        this.emit(event.ev === 'error' ? 'error-event' : event.ev, event);
    }

    #remember(event) {
        if (event.ev === 'connected') this.#connected.set(event.ep, event);
        if (event.ev === 'failed') this.#failed.set(event.ep, event.why);
        if (event.ev === 'media') this.#media.set(`${event.ep} ${event.kind}`, event);
    }

    #settle(w, how, value) {
        clearTimeout(w.timer);
        this.#waiting = this.#waiting.filter((other) => other !== w);
        how(value);
    }

    /** Waits for an event for which `fits` says true, or fails with the error that it returns. */
    #await(what, fits, ms = DEFAULT_MS) {
        if (this.#end) return Promise.reject(this.#end);
        return new Promise((resolve, reject) => {
            const w = { fits, resolve, reject };
            w.timer = setTimeout(() => this.#settle(w, reject, this.#error(`sotto-load-webrtc: waited ${ms} ms for ${what}`)), ms);
            this.#waiting.push(w);
        });
    }

    #send(command) {
        if (!this.#end) this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    }

    /** Sends a command and waits for what answers it, an error of the same command included. */
    #ask(command, fits, ms) {
        const refused = (e) =>
            e.ev === 'error' && e.op === command.op && (command.ep === undefined || !/^endpoint \d/.test(e.why) || e.why.startsWith(`endpoint ${command.ep}`));
        const answer = this.#await(`${command.op} ${command.ep ?? ''}`, (e) => (refused(e) ? new Error(`${command.op}: ${e.why}`) : fits(e)), ms);
        this.#send(command);
        return answer;
    }

    #local(op, ep, options, ms) {
        const failed = (e) => (e.ev === 'failed' && e.ep === ep ? new Error(`endpoint ${ep}: ${e.why}`) : false);
        return this.#ask({ op, ep, ...options }, (e) => failed(e) || (e.ev === 'local' && e.ep === ep), ms);
    }

    /** A new endpoint; gives its offer. @returns {Promise<string>} */
    async offer(ep, options = {}) {
        return (await this.#local('offer', ep, options)).sdp;
    }

    /** A new endpoint that answers this offer; gives the answer. @returns {Promise<string>} */
    async answer(ep, sdp, options = {}) {
        return (await this.#local('answer', ep, { ...options, sdp })).sdp;
    }

    /** Gives the endpoint the answer to its offer. An answer that it can't take makes it `failed`. */
    remote(ep, sdp, options = {}) {
        this.#send({ op: 'remote', ep, sdp, ...options });
    }

    /** An endpoint without ICE and DTLS; gives its port. @returns {Promise<number>} */
    async raw(ep, options) {
        return (await this.#local('raw', ep, options)).port;
    }

    /** The endpoint, connected to a lite server, goes on from another port; gives that. What was under way to the former one is lost. */
    async move(ep) {
        return (await this.#ask({ op: 'move', ep }, (e) => e.ev === 'moved' && e.ep === ep)).port;
    }

    /**
     * An ICE restart: gives its offer, whose answer `remote` takes, or its answer to this offer. `restarted` is emitted when the
     * checks with the new credentials are through; wait by `restarted(ep)`, called before.
     * @returns {Promise<string>}
     */
    async restart(ep, sdp) {
        return (await this.#local('restart', ep, sdp === undefined ? {} : { sdp })).sdp;
    }

    restarted(ep, ms = DEFAULT_MS) {
        const failed = (e) => (e.ev === 'failed' && e.ep === ep ? new Error(`endpoint ${ep}: ${e.why}`) : false);
        return this.#await(`the ICE restart of endpoint ${ep}`, (e) => failed(e) || (e.ev === 'restarted' && e.ep === ep), ms);
    }

    /** These endpoints send from when they are connected. */
    send(eps, source = {}) {
        this.#send({ op: 'send', eps, source });
    }

    /** How these endpoints receive: {nack, twcc, decrypt_all}. */
    receive(eps, how = {}) {
        this.#send({ op: 'receive', eps, ...how });
    }

    #one(known, what, ev, ep, fits, ms) {
        if (known) return Promise.resolve(known);
        if (this.#failed.has(ep)) return Promise.reject(new Error(`endpoint ${ep}: ${this.#failed.get(ep)}`));
        const failed = (e) => (e.ev === 'failed' && e.ep === ep ? new Error(`endpoint ${ep}: ${e.why}`) : false);
        return this.#await(what, (e) => failed(e) || (e.ev === ev && e.ep === ep && fits(e)), ms);
    }

    /** Waits until the endpoint, or each of a list, is connected; gives the event or events. Rejects when one fails. */
    connected(ep, ms = DEFAULT_MS) {
        if (Array.isArray(ep)) return Promise.all(ep.map((one) => this.connected(one, ms)));
        return this.#one(this.#connected.get(ep), `endpoint ${ep} to be connected`, 'connected', ep, () => true, ms);
    }

    /** Waits for the endpoint's first packet of that kind; gives the event. */
    media(ep, kind, ms = DEFAULT_MS) {
        return this.#one(this.#media.get(`${ep} ${kind}`), `${kind} at endpoint ${ep}`, 'media', ep, (e) => e.kind === kind, ms);
    }

    /** Counters and histograms start anew. */
    mark() {
        return this.#ask({ op: 'mark' }, (e) => e.ev === 'marked');
    }

    /** What happened since the mark; `eps: true` for each endpoint, too. */
    stats({ eps = false } = {}) {
        return this.#ask({ op: 'stats', eps }, (e) => e.ev === 'stats', 60_000);
    }

    /** Closes these endpoints. Their numbers may be used again. */
    async close(eps) {
        await this.#ask({ op: 'close', eps }, (e) => e.ev === 'closed', 60_000);
        for (const ep of eps) {
            this.#connected.delete(ep);
            this.#failed.delete(ep);
            for (const kind of ['audio', 'video']) this.#media.delete(`${ep} ${kind}`);
        }
    }

    /** Ends it, and fails when it did not end well. */
    async stop() {
        if (this.#stopping) return;
        this.#stopping = true;
        if (!this.#end) {
            this.#child.stdin.end('{"op":"quit"}\n');
            const late = setTimeout(() => this.#child.kill('SIGKILL'), 30_000);
            await this.exited;
            clearTimeout(late);
        }
        const { code, why } = await this.exited;
        if (code !== 0) throw this.#error(`sotto-load-webrtc: ${why}`);
    }
}
