// One calm line while it runs: in place on a terminal, now and then in a log.
import { clock } from './time.mjs';

export class Status {
    #timer = null;
    #last = 0;

    constructor(out = process.stderr, everyMs = 1000, logEveryMs = 15_000) {
        Object.assign(this, { out, everyMs, logEveryMs, begun: Date.now() });
    }

    start(render) {
        this.begun = Date.now();
        this.render = render;
        this.#timer = setInterval(() => this.#show(), this.everyMs);
    }

    get elapsed() {
        return (Date.now() - this.begun) / 1000;
    }

    #show() {
        if (this.out.isTTY) this.out.write(`\r\x1b[2K  ${this.render().slice(0, (this.out.columns ?? 120) - 3)}`);
        else if (Date.now() - this.#last >= this.logEveryMs) {
            this.#last = Date.now();
            this.out.write(`  ${this.render()}\n`);
        }
    }

    /** A line that stays. */
    line(text) {
        this.out.write(`${this.out.isTTY ? '\r\x1b[2K' : ''}  ${this.#timer ? `${clock(this.elapsed)} ` : ''}${text}\n`);
    }

    stop() {
        clearInterval(this.#timer);
        this.#timer = null;
        if (this.out.isTTY) this.out.write('\r\x1b[2K');
    }
}
