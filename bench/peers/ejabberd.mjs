// The peer for messages and sockets: Debian's ejabberd with its archive in PostgreSQL, in a folder of its own.
// It runs without Erlang's distribution (no node name), so that no epmd is needed and none is left behind.
import { mkdirSync, chownSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BenchError, freePort, rssOf, start as startProcess, tail, treeOf, waitPort } from '../lib/proc.mjs';
import * as postgres from './postgres.mjs';
import {
    fillTemplate,
    packageVersion,
    privateFolder,
    program,
    runAsService,
    serviceUser,
    writeForService,
} from './service.mjs';

export const packageName = 'ejabberd';
export const version = () => packageVersion(packageName);
export const domain = 'bench.test';

/** Debian's package ships the schema that ejabberd's documentation tells one to load. */
const SCHEMA = '/usr/share/ejabberd/sql/pg.sql';
const template = new URL('./ejabberd/ejabberd.yml', import.meta.url).pathname;
const PASSWORD = 'bench-secret';

/** Fails with what to do unless ejabberd and its PostgreSQL driver are installed. */
async function requirePackages() {
    const erl = program('erl', 'ejabberd');
    program('ejabberdctl', 'ejabberd');
    if (!(await packageVersion('erlang-p1-pgsql'))) {
        throw new BenchError('the Debian package erlang-p1-pgsql is not installed', 'run deploy/packages --bench');
    }
    return erl;
}

async function makeCertificate(folder) {
    const file = join(folder, 'cert.pem');
    const key = join(folder, 'key.pem');
    await runAsService('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '7',
        '-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:${domain},IP:127.0.0.1`, '-keyout', key, '-out', file]);
    return writeForService(join(folder, 'both.pem'), readFileSync(file, 'utf8') + readFileSync(key, 'utf8'), 0o600);
}

/**
 * Arguments for the Erlang machine. Those that Debian's ejabberdctl gives, but for: no node name; `+sbwt none` and
 * its two sisters (erl(1): schedulers that don't spin while they wait), because spinning would be counted as work
 * against ejabberd; and a larger port table for many sockets.
 */
function erlangArguments(folder, sockets) {
    return ['+K', 'true', '+P', '1000000', '+Q', String(Math.max(65536, sockets * 4)),
        '+sbwt', 'none', '+sbwtdcpu', 'none', '+sbwtdio', 'none',
        '-noinput', '-mnesia', 'dir', `"${join(folder, 'mnesia')}"`, '-s', 'ejabberd'];
}

/** Where Debian keeps ejabberd's modules: its own ejabberdctl knows. */
function libraries() {
    const text = readFileSync(program('ejabberdctl', 'ejabberd'), 'utf8');
    return /^ERL_LIBS='?([^'\n]+)'?/m.exec(text)?.[1] ?? '/usr/lib';
}

function environment(folder) {
    return {
        HOME: folder,
        ERL_LIBS: libraries(),
        EJABBERD_CONFIG_PATH: join(folder, 'ejabberd.yml'),
        EJABBERD_LOG_PATH: join(folder, 'log', 'ejabberd.log'),
        ERL_CRASH_DUMP_SECONDS: '0',
        ERL_MAX_ETS_TABLES: '4000',
        CONTRIB_MODULES_PATH: folder,
    };
}

/** Users u0 … u(n-1), all with one password, straight into the table that ejabberd reads them from. */
async function registerUsers(db, first, count) {
    await db.sql(`INSERT INTO users (username, password) SELECT 'u' || i, '${PASSWORD}' FROM generate_series(${first}, ${first + count - 1}) i`);
}

function writeConfiguration(folder, values) {
    writeForService(join(folder, 'ejabberd.yml'), fillTemplate(template, values), 0o600);
    const user = serviceUser();
    for (const name of ['mnesia', 'log']) {
        mkdirSync(join(folder, name), { mode: 0o700 });
        if (user) chownSync(join(folder, name), user.uid, user.gid);
    }
}

/**
 * Starts ejabberd (and its database, unless `db` is given) pinned to ctx.cpus.server.
 * users: how many accounts to make (u0…); pool: SQL connections; settings: for the database's postgresql.conf.
 * → { wsUrl, wssUrl, host, c2sPort, wsPort, wssPort, domain, roomService, user(i), addUsers(n), db, pid, pids() (ejabberd's
 *     own), databasePids(), rss() bytes of ejabberd without database, log(), stop() }
 */
export async function start(ctx, { users = 100, pool = 10, db: given = null, settings = {}, cpus = ctx.cpus?.server } = {}) {
    const erl = await requirePackages();
    const db = given ?? (await postgres.start(ctx, { settings, cpus, tcp: true }));
    await db.file(SCHEMA);
    await registerUsers(db, 0, users);
    const folder = privateFolder(ctx, 'ejabberd');
    const [c2sPort, wsPort, wssPort] = await freePort(3);
    writeConfiguration(folder.path, {
        domain, pool, database: db.database, sql_user: db.user, sql_port: db.tcp.port, sql_password: db.tcp.password,
        c2s_port: c2sPort, ws_port: wsPort, wss_port: wssPort, certificate: await makeCertificate(folder.path),
    });
    const server = startProcess({ name: 'ejabberd', cmd: erl, args: erlangArguments(folder.path, users), cpus,
        user: serviceUser()?.name, cwd: folder.path, env: environment(folder.path) });
    const stop = async () => {
        await server.stop('SIGTERM', 60_000);
        if (!given) await db.stop();
        folder.remove();
    };
    ctx.defer?.(stop);
    const log = () => readLog(folder.path) || server.log();
    for (const port of [c2sPort, wsPort, wssPort]) await answers(port, server, log);
    let registered = users;
    return {
        wsUrl: `ws://127.0.0.1:${wsPort}/ws`,
        wssUrl: `wss://127.0.0.1:${wssPort}/ws`,
        host: '127.0.0.1', c2sPort, wsPort, wssPort, domain,
        roomService: `conference.${domain}`,
        user: (i) => ({ name: `u${i}`, jid: `u${i}@${domain}`, password: PASSWORD }),
        async addUsers(count) {
            await registerUsers(db, registered, count);
            registered += count;
        },
        db,
        pid: server.pid,
        pids: () => treeOf(server.pid),
        databasePids: () => db.pids(),
        rss: () => rssOf(treeOf(server.pid)),
        log,
        stop,
    };
}

function readLog(folder) {
    try {
        return readFileSync(join(folder, 'log', 'ejabberd.log'), 'utf8');
    } catch {
        return '';
    }
}

async function answers(port, server, log) {
    try {
        await waitPort(port, { ms: 40_000, process: server });
    } catch (error) {
        throw new BenchError(`ejabberd does not listen on ${port} (${error.message})`, tail(log(), 12));
    }
}
