// A private PostgreSQL cluster: the database below ejabberd's archive, below the floors, and below Sotto's own.
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BenchError, freePort, start as startProcess, tail, treeOf, until } from '../lib/proc.mjs';
import {
    asService,
    packageVersion,
    postgresProgram,
    privateFolder,
    runAsService,
    serviceName,
    serviceUser,
} from './service.mjs';

const exec = promisify(execFile);

export const packageName = 'postgresql';
/** The version as Debian counts it, of the newest one that is installed. */
export const version = () => packageVersion(`postgresql-${/postgresql\/(\d+)\//.exec(postgresProgram('postgres'))[1]}`);

/**
 * What is set beyond the defaults. The first three are what deploy/stack gives Sotto's own cluster (a Unix
 * socket, no network). The others follow PostgreSQL's documentation: shared_buffers as a quarter of memory is its
 * advice for a dedicated server (a small fixed part here, because a test machine isn't one), and a max_wal_size that
 * keeps checkpoints out of a short run, as "Populating a Database" advises for loads. fsync, synchronous_commit and
 * full_page_writes are left on, and are written down so that nobody has to guess: a message that was answered is on disk.
 */
export const tuned = {
    listen_addresses: "''",
    unix_socket_permissions: '0700',
    max_connections: '120',
    shared_buffers: "'256MB'",
    max_wal_size: "'4GB'",
    checkpoint_timeout: "'30min'",
    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
};

/** A Unix socket's path must fit in 107 bytes: a deep folder gets its socket elsewhere. */
function socketFolder(dir) {
    if (dir.length <= 80) return { path: dir, remove: () => {} };
    const path = mkdtempSync(join(tmpdir(), 'sotto-pg-'));
    const user = serviceUser();
    if (user) chownSync(path, user.uid, user.gid);
    chmodSync(path, 0o700);
    return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

async function initialise(data, sockets, settings, tcp) {
    const user = serviceName();
    await runAsService(postgresProgram('initdb'), ['-D', data, '-A', 'trust', '-U', user, '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']);
    const network = tcp ? { listen_addresses: "'127.0.0.1'", port: tcp.port } : {};
    const all = { ...tuned, unix_socket_directories: `'${sockets}'`, ...network, ...settings };
    const lines = Object.entries(all).map(([key, value]) => `${key} = ${value}`);
    appendFileSync(join(data, 'postgresql.conf'), `\n${lines.join('\n')}\n`);
    // The socket's folder lets nobody else in; what comes by TCP must know the password.
    writeFileSync(join(data, 'pg_hba.conf'), 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n');
}

const address = (at) => ['-h', at.sockets, '-p', String(at.port), '-U', serviceName()];

/** psql as the service user; rows as arrays of texts. `input`: statements on stdin instead of an argument. */
async function query(at, database, args, input) {
    const psql = [...address(at), '-d', database, '-XqtAF', '\t', '-v', 'ON_ERROR_STOP=1', ...args];
    const [cmd, argv] = asService(postgresProgram('psql'), psql);
    const running = exec(cmd, argv, { cwd: '/', maxBuffer: 64 << 20 });
    running.child.stdin.on('error', () => {}); // psql that failed doesn't read on; its message is what counts
    running.child.stdin.end(input ?? '');
    const { stdout } = await running.catch((error) => {
        throw new Error(`psql: ${(error.stderr || error.message).trim()}`);
    });
    return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
}

/**
 * Starts a cluster in ctx.dir, pinned to `cpus` (default: the server's), with database `sotto`.
 * settings: postgresql.conf keys over `tuned`, as they are written there (strings with their quotes). tcp: listen on a
 * port of 127.0.0.1 as well, with a password, for a client that knows no Unix sockets.
 * → { conninfo, socketDir, database, user, tcp: { port, password } | null, pid, pids(), sql(text), script(text),
 *     file(path), pgbenchCommand(args), stop() }
 */
export async function start(ctx, { settings = {}, database = 'sotto', tcp = false, cpus = ctx.cpus?.server } = {}) {
    const postgres = postgresProgram('postgres');
    const folder = privateFolder(ctx, 'pg');
    const sockets = socketFolder(folder.path);
    const data = join(folder.path, 'data');
    const network = tcp ? { port: await freePort(), password: randomBytes(18).toString('hex') } : null;
    await initialise(data, sockets.path, settings, network);
    const server = startProcess({ name: 'postgres', cmd: postgres, args: ['-D', data], cpus, user: serviceUser()?.name });
    const at = { sockets: sockets.path, port: network?.port ?? 5432 };
    const stop = async () => {
        await server.stop('SIGINT');
        folder.remove();
        sockets.remove();
    };
    ctx.defer?.(stop);
    await until('PostgreSQL takes connections', () => accepts(at, server), 20_000);
    await runAsService(postgresProgram('createdb'), [...address(at), database]);
    if (network) await query(at, database, ['-c', `ALTER ROLE CURRENT_USER PASSWORD '${network.password}'`]);
    return {
        conninfo: `host=${sockets.path} port=${at.port} user=${serviceName()} dbname=${database}`,
        socketDir: sockets.path,
        database,
        user: serviceName(),
        tcp: network,
        pid: server.pid,
        /** The postmaster and its backends now; CPU of backends that ended is in the postmaster's count. */
        pids: () => treeOf(server.pid),
        sql: (text) => query(at, database, ['-c', text]),
        script: (text) => query(at, database, [], text),
        file: (path) => query(at, database, [], readFileSync(path, 'utf8')),
        /** Command line of a pgbench against this database, to be run as the service user: [program, args]. */
        pgbenchCommand: (more) => [postgresProgram('pgbench'), [...address(at), ...more, database]],
        stop,
    };
}

/** True when it answers; fails at once when the server is gone. */
async function accepts(at, server) {
    if (!server.running) throw new BenchError('PostgreSQL did not start', tail(server.log()));
    const [cmd, args] = asService(postgresProgram('pg_isready'), ['-q', ...address(at)]);
    return exec(cmd, args, { cwd: '/' }).then(() => true, () => false);
}
