// Chance that comes the same each time: everything that a soak decides by chance hangs on its seed.

/** A generator of numbers (mulberry32) with what a schedule and a workload ask of it. */
export class Random {
    #state;

    /** @param {number|string} seed */
    constructor(seed) {
        this.#state = typeof seed === 'number' ? seed >>> 0 : hash(String(seed));
    }

    /** From 0 up to 1. */
    next() {
        this.#state = (this.#state + 0x6d2b79f5) >>> 0;
        let t = this.#state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    }

    /** A whole number from 0 to n - 1. */
    int(n) {
        return Math.floor(this.next() * n);
    }

    between(low, high) {
        return low + this.next() * (high - low);
    }

    chance(share) {
        return this.next() < share;
    }

    pick(list) {
        return list[this.int(list.length)];
    }

    /** One of the keys of {key: weight}. */
    weighted(weights) {
        const total = Object.values(weights).reduce((a, b) => a + b, 0);
        let at = this.next() * total;
        for (const [key, weight] of Object.entries(weights)) {
            at -= weight;
            if (at < 0) return key;
        }
        return Object.keys(weights).at(-1);
    }

    /** A time between two arrivals that know nothing of each other, with this mean. */
    exponential(mean) {
        return -Math.log(1 - this.next()) * mean;
    }

    shuffled(list) {
        const out = [...list];
        for (let i = out.length - 1; i > 0; i--) {
            const j = this.int(i + 1);
            [out[i], out[j]] = [out[j], out[i]];
        }
        return out;
    }

    /** Another generator, for one part of the soak: what one part draws doesn't change what another gets. */
    fork(name) {
        return new Random(hash(`${this.#state}/${name}`));
    }
}

function hash(text) {
    let h = 0x811c9dc5; // FNV-1a
    for (const c of text) h = Math.imul(h ^ c.codePointAt(0), 0x01000193) >>> 0;
    return h;
}
