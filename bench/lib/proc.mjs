// Processes of a measurement: started on given cores, measured from /proc, and never left behind. Linux only.
//
// Three nets catch a child: `stop` (and the runner's deferred work) ends it in the ordinary way; the `exit` handler kills
// every process group that is left, also after an uncaught error; the kernel kills it (PR_SET_PDEATHSIG) when this
// process dies without a word. What daemonises itself out of its group carries SOTTO_BENCH_RUN in its environment and
// is found by it.
import { execFileSync, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export { freePort } from './ports.mjs';

/** An error that the user can do something about; `hint` says what. */
export class BenchError extends Error {
    constructor(message, hint = '') {
        super(hint ? `${message}: ${hint}` : message);
        this.name = 'BenchError';
        this.hint = hint;
    }
}

/**
 * How much longer than on a quiet machine of its own something may take before it is given up. Waiting longer costs nothing where
 * all is well; where it is not, a machine that others use shall not be what is found.
 */
export const PATIENCE = 6;

const conf = (name) => Number(execFileSync('getconf', [name], { encoding: 'utf8' }));
/** Ticks a second of the times in /proc/PID/stat. */
export const TICKS = conf('CLK_TCK');
export const PAGE_BYTES = conf('PAGESIZE');

const MARK = `${process.pid}-${Date.now().toString(36)}`;
const alive = new Set();
let logDir = tmpdir();
let shortId = 0;

/** Where logs of children go that name no log file of their own (the runner: the folder of the measurement). */
export const useLogDir = (dir) => (logDir = dir);

/** The path of a program, or null; the folders of a root's PATH are looked into as well. */
export function which(cmd) {
    if (cmd.includes('/')) return isExecutable(cmd) ? cmd : null;
    const dirs = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
    return dirs.map((dir) => join(dir, cmd)).find(isExecutable) ?? null;
}
const isExecutable = (path) => {
    try {
        accessSync(path, constants.X_OK);
        return true;
    } catch {
        return false;
    }
};

/**
 * Starts a program.
 * @param {object} o
 * @param {string} o.name what it is called in errors and for its log
 * @param {string} o.cmd program; looked for in PATH
 * @param {string[]} [o.args]
 * @param {string} [o.cpus] taskset list ("0", "0,2-3")
 * @param {object} [o.env] added to this process's environment
 * @param {string} [o.cwd]
 * @param {string} [o.log] file for its output; default `<folder of the measurement>/<name>.log`
 * @param {string} [o.user] user to run as (only root can)
 * @param {boolean} [o.pipe] stdin and stdout are pipes (child.stdin, child.stdout), only stderr is logged
 * @param {string} [o.deathSignal] what the kernel sends it when this process dies
 * @returns {{pid: number, child: import('node:child_process').ChildProcess, exited: Promise<{code: number|null, signal: string|null}>,
 *   running: boolean, stop: (signal?: string, ms?: number) => Promise<void>, kill: () => Promise<void>, log: () => string, logFile: string}}
 */
export function start({ name, cmd, args = [], cpus, env, cwd, log, user, pipe = false, deathSignal = 'KILL' }) {
    const program = which(cmd);
    if (!program) throw new BenchError(`${cmd} (${name}) is not installed`, 'run deploy/packages --bench, or deploy/build --bench when it is ours');
    const asUser = user && process.getuid() === 0 ? ['--reuid', user, '--regid', user, '--init-groups'] : [];
    const line = ['setpriv', '--pdeathsig', deathSignal, ...asUser, program, ...args];
    if (cpus !== undefined && cpus !== null) line.unshift('taskset', '-c', String(cpus));
    const logFile = log ?? join(logDir, `${name}-${shortId++}.log`);
    const fd = openSync(logFile, 'a', 0o644);
    const child = spawn(line[0], line.slice(1), {
        cwd: cwd ?? '/',
        env: { ...process.env, ...env, SOTTO_BENCH_RUN: MARK },
        detached: true, // a session and a process group of its own: Ctrl-C reaches us, and we end the children
        stdio: pipe ? ['pipe', 'pipe', fd] : ['ignore', fd, fd],
    });
    closeSync(fd);
    const handle = { name, child, pid: child.pid, logFile, running: true };
    handle.exited = new Promise((resolve) => {
        child.once('error', (error) => ended(handle, resolve, { code: null, signal: null, error }));
        child.once('exit', (code, signal) => ended(handle, resolve, { code, signal }));
    });
    if (pipe) child.stdin.on('error', () => {}); // a child that died is told by `exited`
    handle.log = () => readText(logFile);
    handle.kill = () => stop(handle, 'SIGKILL', 2000);
    handle.stop = (signal = 'SIGTERM', ms = 5000 * PATIENCE) => stop(handle, signal, ms);
    alive.add(handle);
    return handle;
}

function ended(handle, resolve, how) {
    handle.running = false;
    resolve(how);
}

async function stop(handle, signal, ms) {
    const { pid, child } = handle;
    if (!pid) return alive.delete(handle);
    // Whose they are is asked while they live: of one that is being killed nothing can be read, and it may take its time.
    const family = treeOf(pid).filter((each) => each !== pid && isOurs(each));
    if (handle.running) child.kill(signal);
    const timer = setTimeout(() => signalGroup(pid, 'SIGKILL'), ms);
    await handle.exited;
    clearTimeout(timer);
    signalGroup(pid, 'SIGKILL'); // whom it left in its group
    const left = () => family.filter((each) => runs(each) && !isAnothers(each));
    for (const each of left()) trySignal(each, 'SIGKILL');
    for (let i = 0; i < 100 * PATIENCE && left().length > 0; i++) await sleep(10); // a port is free only when its owner is gone
    alive.delete(handle);
}

const trySignal = (pid, signal) => {
    try {
        process.kill(pid, signal);
    } catch {
        // gone already
    }
};
/** Is there such a process, and is it not only waiting to be reaped? */
export const runs = (pid) => !['Z', 'X', undefined].includes(statOf(pid)?.[0]);
const signalGroup = (pid, signal) => trySignal(-pid, signal);
const environ = (pid) => readText(`/proc/${pid}/environ`); // '' while it ends
const isOurs = (pid) => environ(pid).includes(`SOTTO_BENCH_RUN=${MARK}`);
/** Has the number been given to somebody else meanwhile? */
const isAnothers = (pid) => environ(pid) !== '' && !isOurs(pid);

/** Kills whatever this process started and that still runs, daemons that left their group included; returns how many. */
export function sweep() {
    for (const handle of alive) if (handle.pid) signalGroup(handle.pid, 'SIGKILL');
    alive.clear();
    const strays = pidsOfProc().filter((pid) => pid !== process.pid && isOurs(pid));
    for (const pid of strays) trySignal(pid, 'SIGKILL');
    return strays.length;
}
process.on('exit', sweep);

const readText = (path) => {
    try {
        return readFileSync(path, 'utf8');
    } catch {
        return '';
    }
};
const pidsOfProc = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
const listOf = (pids) => (Array.isArray(pids) ? pids : [pids]);

/** The fields of /proc/PID/stat after the name (which may hold blanks and parentheses); field 3 (state) is [0]. */
function statOf(pid) {
    const text = readText(`/proc/${pid}/stat`);
    return text ? text.slice(text.lastIndexOf(')') + 2).split(' ') : null;
}

/** Seconds of CPU (user and system, all threads, reaped children included) of the processes; a dead one counts 0. */
export function cpuOf(pids) {
    let ticks = 0;
    for (const pid of listOf(pids)) {
        const stat = statOf(pid);
        if (stat) ticks += Number(stat[11]) + Number(stat[12]) + Number(stat[13]) + Number(stat[14]);
    }
    return ticks / TICKS;
}

/** The process and all its descendants. */
export function treeOf(pid) {
    const children = new Map();
    for (const each of pidsOfProc()) {
        const parent = Number(statOf(each)?.[1]);
        if (!children.has(parent)) children.set(parent, []);
        children.get(parent).push(each);
    }
    const tree = [pid];
    for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]) ?? []));
    return tree;
}

/** cpuOf a process and all its descendants: those alive and, through their parents, those reaped (PostgreSQL). */
export const cpuOfTree = (pid) => cpuOf(treeOf(pid));

/** Memory in bytes: the proportional share (PSS) where the kernel lets us read it, else what is resident. */
export function rssOf(pids) {
    let bytes = 0;
    for (const pid of listOf(pids)) {
        const pss = /^Pss:\s+(\d+) kB/m.exec(readText(`/proc/${pid}/smaps_rollup`));
        const resident = readText(`/proc/${pid}/statm`).split(' ')[1];
        bytes += pss ? Number(pss[1]) * 1024 : Number(resident ?? 0) * PAGE_BYTES;
    }
    return bytes;
}

/**
 * Polls until `probe` gives something truthy and returns it; fails with what was awaited. `ms` is what it may take on a machine of its
 * own: it is waited for longer (PATIENCE).
 */
export async function until(what, probe, ms = 10_000, everyMs = 25) {
    const end = Date.now() + ms * PATIENCE;
    for (;;) {
        const value = await probe();
        if (value) return value;
        if (Date.now() > end) throw new BenchError(`waited ${ms * PATIENCE} ms in vain: ${what}`);
        await sleep(everyMs);
    }
}

const accepts = (port, host) =>
    new Promise((resolve) => {
        const socket = connect(port, host);
        const done = (yes) => (socket.destroy(), resolve(yes));
        socket.once('connect', () => done(true)).once('error', () => done(false));
    });

/**
 * Waits until something accepts TCP connections on the port.
 * @param {object} [o] host (127.0.0.1), ms (15 s), and `process`: its death ends the wait, with the end of its log
 */
export async function waitPort(port, { host = '127.0.0.1', ms = 15_000, process: handle } = {}) {
    await until(`port ${port} answers`, async () => {
        if (handle && !handle.running) throw new BenchError(`${handle.name} ended before it listened`, tail(handle.log()));
        return accepts(port, host);
    }, ms);
}

/** The last lines of a log, for an error. */
export const tail = (text, lines = 8) => text.trimEnd().split('\n').slice(-lines).join('\n');
