// Memory and descriptors of each process over time, and whether they grow.
import { descriptorsOf, memoryOf, PARTS } from './parts.mjs';

/** The straight line through points [x, y] by least squares: { slope, error } (error: of the slope, one standard deviation). */
export function leastSquares(points) {
    const n = points.length;
    const mx = points.reduce((s, [x]) => s + x, 0) / n;
    const my = points.reduce((s, [, y]) => s + y, 0) / n;
    const sxx = points.reduce((s, [x]) => s + (x - mx) ** 2, 0);
    const slope = sxx > 0 ? points.reduce((s, [x, y]) => s + (x - mx) * (y - my), 0) / sxx : 0;
    const rest = points.reduce((s, [x, y]) => s + (y - my - slope * (x - mx)) ** 2, 0);
    return { slope, error: n > 2 && sxx > 0 ? Math.sqrt(rest / (n - 2) / sxx) : Infinity };
}

export class Samples {
    /** Every process that there was: { part, pid, points: [[seconds, bytes]], descriptors: [n…] }. */
    processes = [];
    #timer = null;

    constructor(parts, everyMs = 3000) {
        Object.assign(this, { parts, everyMs });
    }

    start() {
        this.begun = Date.now();
        this.take();
        this.#timer = setInterval(() => this.take(), this.everyMs);
    }

    take() {
        for (const part of PARTS) {
            const pid = this.parts.pid(part);
            if (!pid) continue;
            const bytes = memoryOf(part, pid);
            if (bytes === 0) continue; // gone in between
            const process = this.of(part, pid);
            process.points.push([(Date.now() - this.begun) / 1000, bytes]);
            process.descriptors.push(descriptorsOf(pid));
        }
    }

    of(part, pid) {
        let found = this.processes.find((p) => p.part === part && p.pid === pid);
        if (!found) this.processes.push((found = { part, pid, points: [], descriptors: [] }));
        return found;
    }

    stop() {
        clearInterval(this.#timer);
    }
}
