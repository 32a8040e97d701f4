// Time, as tests may ask about it: a machine that is busy with something else proves nothing of how fast we are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

/** Ours is meant for a machine of its own; on one that others use, or that is instrumented, it takes a few times as long. */
export const PATIENCE = 3;

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
