// Drives sotto-load-ws: JSON lines in, JSON lines out (bench/load/ws.h).
import { EventEmitter } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BenchError, start as startProcess, tail } from './proc.mjs';

let number = 0;

/** One process of sotto-load-ws; each line that it prints is an event of its own name. */
export class LoadWs extends EventEmitter {
    /**
     * @param {object} ctx of a measurement
     * @param {object} config the first line: {mode, kind, url, http, count, …}; `accounts` are rows (arrays of texts)
     */
    static async start(ctx, { accounts = [], ...config }) {
        const program = join(ctx.build, 'bench/sotto-load-ws');
        if (!existsSync(program)) throw new BenchError(`${program} is not there`, 'deploy/build, then the target bench_programs');
        const load = new LoadWs();
        const file = join(ctx.dir, `accounts-${number++}.txt`);
        writeFileSync(file, accounts.map((row) => row.join('\t')).join('\n') + '\n', { mode: 0o600 });
        load.process = startProcess({ name: 'load-ws', cmd: program, cpus: ctx.cpus?.generator, pipe: true });
        load.process.exited.then(() => load.#fail(new BenchError('sotto-load-ws ended', tail(load.process.log()))));
        ctx.defer?.(() => load.process.stop());
        createInterface({ input: load.process.child.stdout }).on('line', (line) => load.#take(line));
        load.send({ ...config, accounts: file, count: config.count ?? accounts.length });
        await load.next('ready', 120_000);
        return load;
    }

    constructor() {
        super();
        this.past = [];
        this.waiters = [];
        this.errors = [];
    }

    get pid() {
        return this.process.pid;
    }

    send(line) {
        this.process.child.stdin.write(`${JSON.stringify(line)}\n`);
    }

    #take(line) {
        const event = JSON.parse(line);
        if (event.ev === 'error') {
            this.errors.push(event.why);
            if (!this.ready) this.#fail(new BenchError(`sotto-load-ws: ${event.why}`));
        }
        if (event.ev === 'ready') this.ready = true;
        this.emit('event', event);
        const waiter = this.waiters.find((it) => it.ev === event.ev);
        if (waiter) {
            this.waiters.splice(this.waiters.indexOf(waiter), 1);
            waiter.resolve(event);
        } else if (event.ev !== 'progress') {
            this.past.push(event);
        }
    }

    #fail(error) {
        this.failure ??= error;
        for (const waiter of this.waiters.splice(0)) waiter.reject(error);
    }

    /** The next event of this name, also one that came meanwhile. */
    next(ev, ms = 120_000) {
        const i = this.past.findIndex((it) => it.ev === ev);
        if (i >= 0) return Promise.resolve(this.past.splice(i, 1)[0]);
        if (this.failure) return Promise.reject(this.failure);
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => waiter.reject(new BenchError(`no "${ev}" from sotto-load-ws in ${ms} ms`, this.errors.slice(-3).join('; '))), ms);
            const waiter = {
                ev,
                resolve: (event) => (clearTimeout(timer), resolve(event)),
                reject: (error) => (clearTimeout(timer), reject(error)),
            };
            this.waiters.push(waiter);
        });
    }

    /** All sockets are open (or failed: {open, failed, seconds}). */
    opened(ms = 120_000) {
        return this.next('open', ms);
    }

    async mark() {
        this.send({ op: 'mark' });
        await this.next('marked');
    }

    async stats() {
        this.send({ op: 'stats' });
        return this.next('stats');
    }

    /** Ends the program; its last figures. */
    async stop() {
        this.send({ op: 'stop' });
        const result = await this.next('result');
        await this.process.stop();
        return result;
    }
}
