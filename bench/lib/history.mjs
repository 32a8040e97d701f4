// Past runs: docs/bench/history/<UTC date and time>-<commit>.json, one file a run. Schema 1: { schema, started, commit,
// dirty, host, versions, seconds, results: [result…] }, results as lib/results.mjs makes them. A file is never changed.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT } from './host.mjs';
import { BenchError } from './proc.mjs';
import { schemaFaults } from './results.mjs';

export const SCHEMA = 1;
export const HISTORY = join(ROOT, 'docs/bench/history');
const NAME = /^\d{8}T\d{6}Z-[0-9a-f]+\.json$|^\d{8}T\d{6}Z-unknown\.json$/;

/** Reads a file of the history; says what is wrong with one that can't be used. */
export function read(file) {
    let run;
    try {
        run = JSON.parse(readFileSync(file, 'utf8'));
    } catch (error) {
        throw new BenchError(`${file} can't be read`, error.message);
    }
    if (run?.schema !== SCHEMA) throw new BenchError(`${basename(file)} has schema ${run?.schema}`, `this harness reads ${SCHEMA}`);
    const faults = (Array.isArray(run.results) ? run.results : [{}]).flatMap((r) => schemaFaults(r).map((f) => `${r.scenario}: ${f}`));
    if (faults.length > 0) throw new BenchError(`${basename(file)} is not a run`, faults.slice(0, 3).join('; '));
    return { ...run, file: basename(file) };
}

/** File names, oldest first. */
export function list(dir = HISTORY) {
    try {
        return readdirSync(dir).filter((f) => NAME.test(f)).sort();
    } catch {
        return [];
    }
}

/** The newest run, or null; `before` names a file to look before. */
export function newest(dir = HISTORY, before = null) {
    const files = list(dir).filter((f) => before === null || f < before);
    return files.length > 0 ? read(join(dir, files.at(-1))) : null;
}

/** All runs before `before`, newest first; those of another schema can't be compared with and are passed over. */
export const earlier = (dir = HISTORY, before = null) =>
    list(dir).filter((f) => before === null || f < before).reverse().map((f) => tryRead(join(dir, f))).filter(Boolean);

function tryRead(file) {
    try {
        return read(file);
    } catch {
        return null;
    }
}

const stamp = (iso) => iso.replace(/[-:]/g, '').replace(/\.\d+Z$/, 'Z');

/**
 * Keeps a run. Scenarios that were not part of it are carried over from the newest earlier file (each result names its
 * own commit and time), so that the page stays whole.
 * @returns {string} the file
 */
export function save({ started, commit, dirty, host, versions, seconds, results }, dir = HISTORY) {
    if (results.some((r) => r.smoke)) throw new BenchError('a --smoke run is not kept', 'its figures say nothing');
    mkdirSync(dir, { recursive: true });
    const before = newest(dir);
    const have = new Set(results.map((r) => r.scenario));
    const carried = (before?.results ?? []).filter((r) => !have.has(r.scenario)).map((r) => ({ ...r, carried: true }));
    const file = join(dir, `${stamp(started)}-${commit}.json`);
    const run = { schema: SCHEMA, started, commit, dirty, host, versions: { ...before?.versions, ...versions }, seconds, results: [...results, ...carried] };
    writeFileSync(file, `${JSON.stringify(run, null, 1)}\n`);
    return file;
}
