// A program of ours that is spoken to by JSON lines: commands on its stdin, one answer to each in their order, and
// events that nobody asked for in between.
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { BenchError, start, tail } from './proc.mjs';

/** A program that says nothing for so long hangs. */
const ANSWER_MS = 60_000;

/** Events with these names are told to listeners and are not answers. */
export class Lines extends EventEmitter {
    #pending = [];
    #unasked;
    #process;

    /**
     * Starts `${ctx.build}/bench/<program>` and waits for its first line ("ready").
     * @param {object} ctx of the measurement
     * @param {{program: string, args?: string[], cpus?: string, unasked?: string[], ms?: number}} o
     */
    static async start(ctx, { program, args = [], cpus = ctx.cpus.server, unasked = [], ms = ANSWER_MS }) {
        const lines = new Lines();
        lines.#unasked = new Set(unasked);
        lines.#process = start({ name: program, cmd: join(ctx.build, 'bench', program), args, cpus, pipe: true });
        createInterface({ input: lines.#process.child.stdout }).on('line', (text) => lines.#take(text));
        lines.#process.exited.then(() => lines.#fail(`${program} ended: ${tail(lines.#process.log())}`));
        try {
            lines.ready = await lines.#answer('ready', ms);
        } catch (error) {
            await lines.stop();
            throw error;
        }
        return lines;
    }

    get pid() {
        return this.#process.pid;
    }

    log() {
        return this.#process.log();
    }

    #take(text) {
        let event;
        try {
            event = JSON.parse(text);
        } catch {
            this.#fail(`not a JSON line: ${text.slice(0, 200)}`);
            return;
        }
        if (this.#unasked.has(event.ev)) this.emit(event.ev, event);
        else this.#pending.shift()?.resolve(event);
    }

    #fail(why) {
        for (const { reject } of this.#pending.splice(0)) reject(new BenchError(why));
    }

    #answer(what, ms) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new BenchError(`no answer to ${what} within ${ms} ms`)), ms);
            const end = (fn) => (value) => (clearTimeout(timer), fn(value));
            this.#pending.push({ resolve: end(resolve), reject: end(reject) });
        });
    }

    /** Sends a command; resolves with its answer, rejects when that is an error event. */
    async ask(command, ms = ANSWER_MS) {
        if (!this.#process.running) throw new BenchError(`${this.#process.name} is not running: ${tail(this.log())}`);
        const answer = this.#answer(command.op, ms);
        this.#process.child.stdin.write(`${JSON.stringify(command)}\n`);
        const event = await answer;
        if (event.ev === 'error') throw new BenchError(`${this.#process.name}: ${command.op}: ${event.why}`);
        return event;
    }

    /** Ends it by the end of its input, or by a signal when it doesn't. */
    async stop() {
        this.#process.child.stdin.end();
        await Promise.race([this.#process.exited, new Promise((resolve) => setTimeout(resolve, 5000).unref())]);
        await this.#process.stop();
    }
}
