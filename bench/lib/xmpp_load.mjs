// Drives sotto-load-xmpp: messages between many XMPP sessions, with the servers' CPU taken at the ends of the window.
import { join } from 'node:path';
import { BenchError, cpuOf, rssOf, start as startProcess, tail } from './proc.mjs';

/**
 * CPU seconds of named groups of processes between two moments. groups: { server: () => pids, database: () => pids };
 * a process that ended meanwhile is in its parent's count, if the parent is in the group.
 */
export class CpuMeter {
    #groups;
    #before = {};
    #began = 0;

    constructor(groups) {
        this.#groups = groups;
    }

    mark() {
        for (const [name, pids] of Object.entries(this.#groups)) this.#before[name] = cpuOf(pids());
        this.#began = performance.now();
    }

    /** → { server, database, …, window_s } */
    read() {
        const window_s = (performance.now() - this.#began) / 1000;
        const used = Object.entries(this.#groups).map(([name, pids]) => [name, cpuOf(pids()) - this.#before[name]]);
        return { ...Object.fromEntries(used), window_s };
    }
}

/** A running sotto-load-xmpp whose sessions are signed in. */
export class XmppLoad {
    #handle;
    #lines = [];
    #wake = () => {};
    #smoke = false;

    /**
     * server: what peers/ejabberd.mjs gives. options: { mode, clients, first, members, bytes, managed, page, expect }.
     */
    static async start(ctx, server, { mode, ...options }) {
        const load = new XmppLoad();
        load.#smoke = !!ctx.smoke;
        const more = Object.entries(options).flatMap(([key, value]) => [`--${key}`, String(value)]);
        load.#handle = startProcess({
            name: 'load-xmpp', cmd: join(ctx.build, 'bench/sotto-load-xmpp'), cpus: ctx.cpus.generator, pipe: true,
            args: ['--mode', mode, '--url', server.wsUrl, '--domain', server.domain, '--password', server.user(0).password, '--room-service', server.roomService, ...more],
        });
        ctx.defer(() => load.stop());
        load.#listen();
        await load.#event('ready', 90_000);
        return load;
    }

    #listen() {
        let text = '';
        this.#handle.child.stdout.on('data', (chunk) => {
            text += chunk;
            for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) this.#lines.push(JSON.parse(text.slice(0, end)));
            this.#wake();
        });
        this.#handle.exited.then(() => this.#wake());
    }

    /** The next event; it must be the one named. */
    async #event(name, ms) {
        const timer = setTimeout(() => this.#handle.kill(), ms);
        while (this.#lines.length === 0 && this.#handle.running) await new Promise((resolve) => (this.#wake = resolve));
        clearTimeout(timer);
        const event = this.#lines.shift();
        if (event?.ev === name) return event;
        throw new BenchError(`sotto-load-xmpp: no '${name}' within ${ms / 1000} s`, event?.why ?? tail(this.#handle.log()));
    }

    /**
     * One run. rate: messages a second (open loop), or 0 and `window` messages under way a sender (closed loop).
     * → { done: the program's figures, cpu: of the meter's groups in the window }
     * With --smoke again, when nothing was delivered in the window: it asks how messages go, not how soon.
     */
    async run(how, meter) {
        let run = await this.#once(how, meter);
        for (let i = 0; this.#smoke && run.done.delivered === 0 && i < 20; i++) run = await this.#once(how, meter);
        return run;
    }

    async #once({ rate = 0, window = 1, warmup = 0.5, seconds }, meter) {
        const command = { op: 'run', rate: Math.round(rate), window, warmup_ms: Math.round(warmup * 1000), ms: Math.round(seconds * 1000) };
        this.#handle.child.stdin.write(`${JSON.stringify(command)}\n`);
        await this.#event('marked', (warmup + 90) * 1000);
        meter.mark();
        await this.#event('window', (seconds + 90) * 1000);
        const cpu = meter.read();
        const done = await this.#event('done', 90_000);
        return { done, cpu };
    }

    memory() {
        return rssOf(this.#handle.pid);
    }

    async stop() {
        await this.#handle.stop();
    }
}
