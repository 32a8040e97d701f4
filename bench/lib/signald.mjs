// Sotto's signald for measurements: one or several on one private PostgreSQL (the same cluster, with the same settings,
// that ejabberd gets), pinned to the server's core. No sfud and no coturn: what is measured is signaling.
// Users, sessions and inboxes are seeded by SQL in bulk; tokens are signed here with the stack's own key.
import { createPrivateKey, randomBytes, sign } from 'node:crypto';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as postgres from '../peers/postgres.mjs';
import { privateFolder, runAsService, serviceUser, writeForService } from '../peers/service.mjs';
import { BenchError, cpuOf, freePort, rssOf, start as startProcess, tail, until } from './proc.mjs';

const ROOT = new URL('../../', import.meta.url).pathname;

/** Limits that protect a server from one address and one user would measure themselves here: all users are on one address. */
const OPEN_LIMITS = {
    'http.user_requests_per_minute': 0,
    'http.address_requests_per_minute': 0,
    'auth.login_per_minute': 0,
    'auth.login_account_per_minute': 0,
    'auth.ticket_per_minute': 0,
    'auth.refresh_per_minute': 0,
    'calls.start_per_minute': 0,
    'http.max_connections': 19500, // 19,000 sockets, and those who ask how it goes
    // A storm queues many queries at once; what waits longer than the default is refused and asked again.
    'postgres.max_queued': 100000,
    'postgres.query_timeout': '60s',
};

/** What a scenario on this signald has to say of that. */
export const LIFTED = 'Sotto\'s limits a user and address, and on how many queries may wait for the database, are lifted: all users come from one address here. ejabberd has no such limits set either.';

/** section.key → value as an ini text. */
function iniOf(settings) {
    const sections = new Map();
    for (const [path, value] of Object.entries(settings)) {
        const [section, key] = path.split('.');
        sections.set(section, [...(sections.get(section) ?? []), `${key} = ${value}`]);
    }
    return [...sections].map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`).join('\n');
}

/** Programs are copied to where the service user can run them. */
function install(ctx, folder) {
    mkdirSync(join(folder, 'bin'), { mode: 0o755 });
    const place = (name, from) => {
        const source = join(ctx.build, from, name);
        if (!existsSync(source)) throw new BenchError(`${source} is not there`, 'make build');
        const target = join(folder, 'bin', name);
        copyFileSync(source, target);
        chmodSync(target, 0o755);
        return target;
    };
    mkdirSync(join(folder, 'schema'), { mode: 0o755 });
    for (const file of readdirSync(join(ROOT, 'schema')).filter((name) => name.endsWith('.sql'))) {
        copyFileSync(join(ROOT, 'schema', file), join(folder, 'schema', file));
    }
    return { signald: place('signald', 'signaling'), sottoctl: place('sottoctl', 'ctl') };
}

/** The configuration of server number i. */
async function writeConfig(folder, i, db, settings) {
    const [plain, internal] = await freePort(2);
    const file = join(folder, `sotto${i}.ini`);
    const all = {
        'http.tls_port': 0, 'http.plain_port': plain, 'http.internal_port': internal, 'http.web_root': '',
        'postgres.conninfo': db.conninfo, 'sfu_link.port': 0, ...OPEN_LIMITS, ...settings,
    };
    writeForService(file, iniOf(all));
    return { file, plain, internal };
}

/**
 * Starts `servers` signalds on one database. `settings`: sotto.ini keys ("auth.bcrypt_cost": 12).
 * → { db, servers: [{ url, wsUrl, metricsUrl, pid, cpu(), rss(), start(), stop(), process, log() }], pids, databaseCpu(), seed(n), access(user), ticket(user), stop() }
 */
export async function start(ctx, { servers = 1, settings = {}, database = {} } = {}) {
    const db = await postgres.start(ctx, { settings: database });
    const folder = privateFolder(ctx, 'sotto', 0o755);
    const programs = install(ctx, folder.path);
    const configs = [];
    for (let i = 0; i < servers; i++) configs.push(await writeConfig(folder.path, i, db, settings));
    const ctl = (...args) => runAsService(programs.sottoctl, ['--config', configs[0].file, ...args]);
    const user = serviceUser();
    for (const name of ['keys', 'secrets', 'tls']) mkdirSync(join(folder.path, name), { mode: 0o700 });
    if (user) for (const name of ['keys', 'secrets', 'tls']) await chown(join(folder.path, name), user);
    await ctl('secrets', 'init');
    await ctl('keys', 'init');
    await ctl('migrate', '--dir', join(folder.path, 'schema'));
    const running = [];
    for (const config of configs) running.push(await startServer(ctx, programs.signald, config, user));
    const signer = makeSigner(join(folder.path, 'keys'));
    const pids = () => running.map((it) => it.pid);
    ctx.defer?.(() => Promise.all(running.map((it) => it.stop())));
    return {
        db,
        servers: running,
        pids,
        cpu: () => cpuOf(pids()),
        rss: () => rssOf(pids()),
        databaseCpu: () => cpuOf(db.pids()),
        seed: (n, options) => seed(db, n, options),
        access: (it) => signer(it, {}),
        ticket: (it) => signer(it, { type: 'ws-connect' }),
        stop: () => Promise.all(running.map((it) => it.stop())),
    };
}

const chown = async (path, { uid, gid }) => (await import('node:fs/promises')).chown(path, uid, gid);

async function startServer(ctx, program, config, user) {
    const server = {
        url: `http://127.0.0.1:${config.plain}`,
        wsUrl: `ws://127.0.0.1:${config.plain}/v1/ws`,
        metricsUrl: `http://127.0.0.1:${config.internal}/metrics`,
        process: null,
        get pid() { return this.process.pid; },
        cpu() { return cpuOf(this.pid); },
        rss() { return rssOf(this.pid); },
        log() { return this.process.log(); },
        stop() { return this.process.stop(); },
        async start() {
            this.process = startProcess({ name: 'signald', cmd: program, args: ['--config', config.file], cpus: ctx.cpus?.server, user: user?.name });
            await until('signald is healthy', () => this.healthy(), 15_000);
        },
        async healthy() {
            if (!this.process.running) throw new BenchError('signald did not start', tail(this.log()));
            return fetch(`${this.url}/healthz`).then((answer) => answer.ok, () => false);
        },
    };
    await server.start();
    return server;
}

/* ---- tokens: ES256 JSON Web Tokens as accounts/token.h describes them ---- */

const base64 = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A function that signs for a user. Longer lived than those of a server (an hour), because they are made ahead of the run. */
function makeSigner(keyDir) {
    const name = readdirSync(keyDir).filter((file) => file.endsWith('.pem')).sort().at(-1);
    const key = createPrivateKey(readFileSync(join(keyDir, name)));
    const head = base64({ typ: 'JWT', alg: 'ES256', kid: name.slice(0, -4) });
    return (user, claims) => {
        const now = Math.floor(Date.now() / 1000);
        const body = base64({
            iss: 'sotto', aud: 'sotto', sub: user.id, did: user.device, sid: user.session, role: 'user', login: user.username,
            iat: now, exp: now + 3600, jti: uuid(), ...claims,
        });
        const text = `${head}.${body}`;
        return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
    };
}

/** A UUIDv7 (RFC 9562), which is the only form of id that the server takes. */
export function uuid() {
    const bytes = randomBytes(16);
    bytes.writeUIntBE(Date.now(), 0, 6);
    bytes[6] = (bytes[6] & 0x0f) | 0x70;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/**
 * n users, each with a device, a live session and a refresh token (without one the sweep would end the session).
 * hash: the password hash of all of them; ids(i) → { id, device } where they must be known.
 * → [{ id, device, session, username }]
 */
export async function seed(db, n, { hash = '*', prefix = 'u', ids = () => ({}) } = {}) {
    const users = Array.from({ length: n }, (_, i) => ({ id: uuid(), device: uuid(), session: uuid(), username: `${prefix}${String(i).padStart(6, '0')}`, ...ids(i) }));
    const copy = (table, columns, row) => `COPY ${table} (${columns}) FROM stdin;\n${users.map(row).join('\n')}\n\\.\n`;
    await db.script([
        'BEGIN;',
        copy('users', 'id, email, username, display_name, password_hash', (u) => [u.id, `${u.username}@example.org`, u.username, u.username, hash].join('\t')),
        copy('devices', 'id, user_id, name, platform', (u) => [u.device, u.id, 'load', 'test'].join('\t')),
        copy('sessions', 'id, user_id, device_id', (u) => [u.session, u.id, u.device].join('\t')),
        copy('refresh_tokens', 'hash, session_id, expires_at', (u) => [`\\\\x${randomBytes(32).toString('hex')}`, u.session, '2100-01-01'].join('\t')),
        'COMMIT;',
        'VACUUM ANALYZE users, devices, sessions;',
    ].join('\n'));
    return users;
}
