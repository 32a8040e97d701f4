// The processes of the stack: their pids and trees, starting, killing and pausing them, and what /proc says of them.
import { existsSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { poll, sleep } from './time.mjs';

export const PARTS = ['signald', 'sfud', 'coturn', 'postgres'];

const read = (path) => {
    try {
        return readFileSync(path, 'utf8');
    } catch {
        return '';
    }
};

/** All descendants of a process, itself first. */
export function treeOf(pid) {
    const parents = new Map();
    for (const name of readdirSync('/proc')) {
        if (!/^\d+$/.test(name)) continue;
        const stat = read(`/proc/${name}/stat`);
        const parent = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
        if (parent) parents.set(Number(name), Number(parent));
    }
    const tree = [pid];
    for (const at of tree) for (const [child, parent] of parents) if (parent === at) tree.push(child);
    return tree;
}

const field = (text, name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;

/** Bytes of memory of its own: PSS, and of PostgreSQL only what is anonymous (its shared buffers fill up by design). */
export function memoryOf(part, pid) {
    const pids = part === 'postgres' ? treeOf(pid) : [pid];
    return pids.reduce((sum, p) => sum + field(read(`/proc/${p}/smaps_rollup`), part === 'postgres' ? 'Pss_Anon' : 'Pss'), 0);
}

export function descriptorsOf(pid) {
    try {
        return readdirSync(`/proc/${pid}/fd`).length;
    } catch {
        return 0;
    }
}

/** Relay ports that coturn holds: one UDP socket for each allocation. Asked from the kernel, since coturn's CLI is off. */
export function allocationsOf(pid, low, high) {
    const sockets = new Set();
    try {
        for (const fd of readdirSync(`/proc/${pid}/fd`)) {
            const link = readlinkOrEmpty(`/proc/${pid}/fd/${fd}`);
            if (link.startsWith('socket:[')) sockets.add(link.slice(8, -1));
        }
    } catch {
        return 0;
    }
    let n = 0;
    for (const line of read('/proc/net/udp').split('\n').slice(1)) {
        const columns = line.trim().split(/\s+/);
        const port = parseInt(columns[1]?.split(':')[1] ?? '', 16);
        if (port >= low && port <= high && sockets.has(columns[9])) n++;
    }
    return n;
}

function readlinkOrEmpty(path) {
    try {
        return readlinkSync(path);
    } catch {
        return '';
    }
}

export class Parts {
    #lines = new Map(PARTS.map((part) => [part, Promise.resolve()]));

    /** `env` of a part is added to its environment when it is started. */
    constructor(stack, env = {}) {
        Object.assign(this, { stack, env });
    }

    pid(part) {
        const pid = Number(read(join(this.stack.dir, 'run', `${part}.pid`)).trim());
        return pid && existsSync(`/proc/${pid}`) ? pid : null;
    }

    /** One change of a part at a time. */
    #inLine(part, fn) {
        const next = this.#lines.get(part).then(fn);
        this.#lines.set(part, next.catch(() => {}));
        return next;
    }

    /** kill -9. Of PostgreSQL the postmaster: its children see that it is gone and go as well. */
    kill(part) {
        return this.#inLine(part, async () => {
            const tree = part === 'postgres' ? treeOf(this.pid(part)) : [];
            await this.stack.kill(part);
            const gone = await poll(() => tree.every((pid) => !existsSync(`/proc/${pid}`)), 10_000);
            if (!gone) throw new Error('PostgreSQL\'s processes outlived their postmaster by 10 s');
        });
    }

    stop(part) {
        return this.#inLine(part, () => this.stack.stop(part));
    }

    /** Starts it and waits until it says that it is well; a few tries, as PostgreSQL may still find the last one's lock. */
    start(part) {
        return this.#inLine(part, async () => {
            for (let n = 1; ; n++) {
                try {
                    await this.stack.start(part, this.env[part] ?? {});
                    return;
                } catch (error) {
                    if (n === 3) throw error;
                    await sleep(500); // between tries: nothing tells when the kernel has taken back what the last one held
                }
            }
        });
    }

    signal(part, name) {
        const pid = this.pid(part);
        if (!pid) return;
        for (const p of part === 'postgres' ? treeOf(pid) : [pid]) {
            try {
                process.kill(p, name);
            } catch {
                // gone in between
            }
        }
    }
}
