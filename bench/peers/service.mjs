// What the peers share: where their programs are, who runs them, and folders they may write to.
import { execFile } from 'node:child_process';
import { accessSync, chmodSync, chownSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { BenchError } from '../lib/proc.mjs';

const exec = promisify(execFile);

const missing = (name, packageName) =>
    new BenchError(`${name} (Debian package ${packageName}) is not installed`, 'run deploy/packages --bench');

function isExecutable(path) {
    try {
        accessSync(path, constants.X_OK);
        return true;
    } catch {
        return false;
    }
}

/**
 * The full path of a program, from PATH; where PATH has /usr/bin, /usr/sbin is looked at as well, because
 * servers live there and a user's PATH often lacks it. Throws BenchError.
 */
export function program(name, packageName) {
    const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
    if (folders.includes('/usr/bin')) folders.push('/usr/sbin');
    const found = folders.map((folder) => join(folder, name)).find(isExecutable);
    if (!found) throw missing(name, packageName);
    return found;
}

/** A program of PostgreSQL's newest installed version; Debian keeps them out of PATH. */
export function postgresProgram(name) {
    program('pg_lsclusters', 'postgresql');
    let versions = [];
    try {
        versions = readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
    } catch {
        // No such folder: the error below says what to do.
    }
    const found = versions.map((version) => join('/usr/lib/postgresql', version, 'bin', name)).find(isExecutable);
    if (!found) throw missing(name, 'postgresql');
    return found;
}

/** The installed version of a Debian package, or null. */
export async function packageVersion(name) {
    try {
        const { stdout } = await exec('dpkg-query', ['-W', '-f', '${Version}', name]);
        return stdout.trim() || null;
    } catch {
        return null;
    }
}

/**
 * Who runs the peers: nobody else than who runs the harness, but for root, who hands over to the same
 * unprivileged user that Sotto's own servers run as (PostgreSQL refuses to be root). → { name, uid, gid } | null
 */
export function serviceUser() {
    if (process.getuid() !== 0) return null;
    const name = process.env.SOTTO_TEST_USER || 'sotto';
    const line = readFileSync('/etc/passwd', 'utf8').split('\n').find((entry) => entry.startsWith(`${name}:`));
    if (!line) throw new BenchError(`there is no user ${name} to run the peers as`, 'make up creates it');
    const [, , uid, gid] = line.split(':');
    return { name, uid: Number(uid), gid: Number(gid) };
}

/** The name that the services run under (also the database's role). */
export const serviceName = () => serviceUser()?.name ?? userInfo().username;

/** [program, args] that runs a short command as the service user (servers: `user` of lib/proc.mjs's start). */
export function asService(command, args) {
    const user = serviceUser();
    if (!user) return [command, args];
    return ['setpriv', ['--reuid', user.name, '--regid', String(user.gid), '--clear-groups', '--no-new-privs', command, ...args]];
}

/** Runs a command as the service user to its end; fails with what it said. → stdout */
export async function runAsService(command, args, options = {}) {
    const [cmd, argv] = asService(command, args);
    try {
        const { stdout } = await exec(cmd, argv, { cwd: '/', maxBuffer: 64 << 20, ...options });
        return stdout;
    } catch (error) {
        throw new Error(`${command} failed: ${(error.stderr || error.message).trim().slice(-2000)}`);
    }
}

/** A fresh folder in ctx.dir that the service user owns; gone after `remove()`. */
export function privateFolder(ctx, name, mode = 0o700) {
    const path = mkdtempSync(join(ctx.dir, `${name}-`));
    const user = serviceUser();
    if (user) chownSync(path, user.uid, user.gid);
    chmodSync(path, mode);
    return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Fills {{name}} in a template; a name without a value, and a value without a place, are mistakes. */
export function fillTemplate(file, values) {
    const text = readFileSync(file, 'utf8');
    const filled = text.replace(/\{\{(\w+)\}\}/g, (whole, key) => {
        if (!(key in values)) throw new Error(`${file}: nothing to put for ${whole}`);
        return String(values[key]);
    });
    const unused = Object.keys(values).filter((key) => !text.includes(`{{${key}}}`));
    if (unused.length > 0) throw new Error(`${file} has no place for ${unused.join(', ')}`);
    return filled;
}

/** Writes a file that the service user can read. */
export function writeForService(path, text, mode = 0o644) {
    writeFileSync(path, text, { mode });
    const user = serviceUser();
    if (user) chownSync(path, user.uid, user.gid);
    return path;
}

/** User and system seconds of a shell's children: the second line of `times`, at the end of its output. */
export function childSeconds(text) {
    const line = text.trim().split('\n').at(-1);
    const parts = [...line.matchAll(/(\d+)m([\d.]+)s/g)].map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
    if (parts.length !== 2) throw new Error(`no times in: ${line}`);
    return parts[0] + parts[1];
}
