// The book of memory: what a process holds at the end against after its warm-up, and whether it climbs.
import { leastSquares } from '../samples.mjs';

const MIB = 2 ** 20;
const WARM_S = 20; // a process that was just started fills its pools
const JUDGED_S = 120; // a half that is shorter says nothing about a slope: caches of statements and pools fill for minutes

/**
 * Of one process: { judged, growth, slope, faults }. `points`: [[seconds, bytes]] of its life, `end`: bytes when all clients
 * are gone (only of the process that lives then).
 */
export function judgeMemory({ part, pid, points }, end = null) {
    const faults = [];
    const warm = points.filter(([t]) => t >= points[0][0] + WARM_S);
    const name = `${part} (${pid})`;
    const result = { part, pid, warm: warm[0]?.[1] ?? null, last: points.at(-1)[1], end, slope: null, faults };
    if (warm.length === 0) return result;
    const bound = warm[0][1] * 1.25 + 8 * MIB;
    if (end !== null && end > bound) faults.push(`${name} holds ${mib(end)} at the end and held ${mib(warm[0][1])} after its warm-up`);
    const half = warm.slice(Math.floor(warm.length / 2));
    const span = half.at(-1)[0] - half[0][0];
    if (span < JUDGED_S || half.length < 10) return result;
    const { slope, error } = leastSquares(half);
    result.slope = slope;
    const sure = (slope - 2 * error) * span; // what it grew at least
    const much = Math.max(2 * MIB, half[0][1] * 0.05);
    // What was given back when everybody had gone was load (calls under way), not a leak.
    const kept = end === null || end - half[0][1] > much;
    if (sure > much && kept) faults.push(`${name} climbs: ${mib(slope * 60)} a minute over its last ${Math.round(span)} s`);
    return result;
}

/** `processes`: Samples.processes; `ends`: { part: { pid, bytes } }; `sanitized`: an ASan build, whose quarantine grows by design. */
export function memoryBook({ processes, ends, sanitized = false }) {
    const judged = processes.filter((p) => p.points.length > 0).map((p) => judgeMemory(p, ends[p.part]?.pid === p.pid ? ends[p.part].bytes : null));
    const faults = sanitized ? [] : judged.flatMap((j) => j.faults);
    const slopes = judged.filter((j) => j.slope !== null).length;
    const text = Object.entries(ends)
        .map(([part, { pid, bytes }]) => {
            const warm = judged.find((j) => j.pid === pid)?.warm;
            return `${part} ${warm ? `${mib(warm)} → ` : ''}${mib(bytes)}`;
        })
        .join(', ');
    const about = sanitized ? 'told, not judged: a sanitizer keeps what is freed' : `slope judged of ${slopes} of ${judged.length} processes (the others lived too short)`;
    return { name: 'memory', ok: faults.length === 0, text: `${text}; ${about}`, faults, judged };
}

export const mib = (bytes) => `${(bytes / MIB).toFixed(1)} MiB`;
