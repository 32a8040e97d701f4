// What the figures were measured on: part of every result, because a figure without its machine is a rumour.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';

/** The repository's root, with a slash at its end. */
export const ROOT = new URL('../../', import.meta.url).pathname;

const git = (...args) => {
    try {
        return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trimEnd();
    } catch {
        return '';
    }
};

/** "0,2-4" → [0, 2, 3, 4] */
export function cpuList(text) {
    return text.split(',').flatMap((part) => {
        const [from, to = from] = part.split('-').map(Number);
        return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    });
}

/** The cores that this process may use. */
export const allowedCpus = () =>
    cpuList(/^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0');

/** Who runs where: the server by itself on the first core, the generator on the second. One core is all there is: both. */
export function placement(cpus = allowedCpus()) {
    return { server: String(cpus[0]), generator: String(cpus[1] ?? cpus[0]) };
}

/** cores, kernel and CPU model. */
export function hostOf() {
    const info = readFileSync('/proc/cpuinfo', 'utf8');
    const cpu = /^model name\s*:\s*(.+)$/m.exec(info)?.[1] ?? /^CPU part\s*:\s*(.+)$/m.exec(info)?.[1] ?? 'unknown';
    const memory = Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0);
    return { cores: allowedCpus().length, kernel: release(), cpu: cpu.trim(), memory_gib: Math.round(memory / 2 ** 20), distribution: distribution() };
}

function distribution() {
    try {
        return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? '';
    } catch {
        return '';
    }
}

/** The commit (12 digits) and whether something besides measurements and pages differs from it. */
export function commitOf() {
    const changed = git('status', '--porcelain', '--untracked-files=no').split('\n').filter(Boolean);
    const source = changed.filter((line) => !/^.. (docs\/|README\.md)/.test(line));
    return { commit: git('rev-parse', '--short=12', 'HEAD') || 'unknown', dirty: source.length > 0 };
}

/** The version of a Debian package, or null when it isn't installed. */
export function packageVersion(name) {
    try {
        const out = execFileSync('dpkg-query', ['-W', '-f', '${db:Status-Status} ${Version}', name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
        const [state, version] = out.split(' ');
        return state === 'installed' ? version : null;
    } catch {
        return null;
    }
}
