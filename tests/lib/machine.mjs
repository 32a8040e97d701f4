// Time, as tests may ask about it: a machine that is busy with something else proves nothing of how fast we are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** Ours is meant for a machine of its own; on one that others use, or that is instrumented, it takes a few times as long. */
export const PATIENCE = 5;

/** The least part of the machine's time that must have been idle for a time to be judged. */
const SPARE = 0.25;

/** [all, idle] so far, of all processors. What a host takes away ("steal") isn't idle. */
function cpuTimes() {
    const [user, nice, system, idle, iowait, irq, softirq, steal] = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number);
    return [user + nice + system + idle + iowait + irq + softirq + (steal ?? 0), idle + iowait];
}

/** Starts now; `within` fails when more than that has passed while the machine had time to spare. */
export function stopwatch() {
    const [started, [all0, idle0]] = [performance.now(), cpuTimes()];
    const ms = () => performance.now() - started;
    const spare = () => {
        const [all, idle] = cpuTimes();
        return all - all0 < 5 ? 1 : (idle - idle0) / (all - all0);
    };
    return {
        ms,
        spare,
        within(limitMs, what) {
            const [took, left] = [ms(), spare()];
            assert.ok(took < limitMs || left < SPARE, `${what} after ${took.toFixed(0)} ms, with ${(100 * left).toFixed(0)} % of the machine idle`);
        },
    };
}

/** Datagrams that found the receive buffer of their socket full, by socket: of all UDP sockets there are, whoever's. */
function socketDrops() {
    const drops = new Map();
    for (const file of ['/proc/net/udp', '/proc/net/udp6']) {
        for (const line of readFileSync(file, 'utf8').trim().split('\n').slice(1)) {
            const cells = line.trim().split(/\s+/);
            drops.set(`${cells[1]} ${cells[9]}`, Number(cells.at(-1))); // address, inode
        }
    }
    return drops;
}

/** Longer than this we were stopped, or had no core, and so may have been those whom we look at. */
const STALL_MS = 100;
const LOOK_MS = 10;

/**
 * Watches from now on what the machine keeps from those who run on it. `end()` → { calm, full, text }: calm when no socket was full (`full`:
 * how many datagrams found one so), nobody stopped us, and there was time to spare.
 */
export function watchMachine() {
    const [clock, before] = [stopwatch(), socketDrops()];
    let [last, stall] = [performance.now(), 0];
    const look = () => {
        const now = performance.now();
        [last, stall] = [now, Math.max(stall, now - last - LOOK_MS)];
    };
    const timer = setInterval(look, LOOK_MS).unref();
    return {
        end() {
            clearInterval(timer);
            look();
            const full = [...socketDrops()].reduce((sum, [socket, n]) => sum + n - (before.get(socket) ?? 0), 0);
            const spare = clock.spare();
            return {
                full,
                calm: full === 0 && stall < STALL_MS && spare >= SPARE,
                text: `${full} datagrams found a socket full, we were stopped for up to ${stall.toFixed(0)} ms, ${(100 * spare).toFixed(0)} % of the machine were idle`,
            };
        },
    };
}

/**
 * For what real-time media must look like, which only a machine with time for it can show: `attempt` is made again while it fails. It fails
 * for good when it did so twice on a machine that was calm; when there was no such machine, that is told, and nothing else.
 * @returns what the attempt returned, or undefined
 */
export async function whenCalm(t, attempt, { tries = 4, watch = watchMachine } = {}) {
    let error;
    let seen;
    for (let n = 0, calm = 0; n < tries; n++) {
        const machine = watch();
        try {
            const result = await attempt();
            machine.end();
            return result;
        } catch (reason) {
            error = reason;
            seen = machine.end();
            if (seen.calm && ++calm === 2) throw reason;
        }
    }
    t.diagnostic(`not judged: ${error.message.split('\n')[0]}; ${seen.text}`);
    return undefined;
}
