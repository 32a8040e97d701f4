// coturn as Sotto configures and starts it: the configuration that `sottoctl turn config` writes from a sotto.ini, the
// service user, and credentials made as turn/turn.c makes them.
import { createHmac, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, freeRange } from './ports.mjs';
import { BenchError, start as startProcess, treeOf, until, waitPort } from './proc.mjs';
import { answersStun } from '../peers/coturn.mjs';
import { privateFolder, program, serviceUser, writeForService } from '../peers/service.mjs';

/** Allocations that one credential may hold in Sotto ([turn] user_quota's default). */
const USER_QUOTA = 16;

/**
 * A credential as draft-uberti-behave-turn-rest-00 and turn/turn.h have it: "expiry:pseudonym", and the base64 of its
 * HMAC-SHA1 under the shared secret.
 */
export function credentialOf(secret, pseudonym, ttlSeconds = 600) {
    const username = `${Math.floor(Date.now() / 1000) + ttlSeconds}:${pseudonym}`;
    return { username, credential: createHmac('sha1', secret).update(username).digest('base64') };
}

/**
 * Starts coturn pinned to ctx.cpus.server. relays: how many allocations there will be at most.
 * → { host, port, accounts, pids(), log(), stop() }; accounts: as many as the quota of each asks for
 */
export async function start(ctx, { relays = 1000, cpus = ctx.cpus?.server } = {}) {
    const sottoctl = join(ctx.build, 'ctl/sottoctl');
    if (!existsSync(sottoctl)) throw new BenchError(`${sottoctl} is not there`, 'make build');
    const folder = privateFolder(ctx, 'sotto-coturn');
    const port = await freePort();
    const first = await freeRange(relays + 1);
    const secret = randomBytes(32).toString('hex');
    const secretFile = writeForService(join(folder.path, 'turn_secret'), secret, 0o600);
    const ini = writeForService(join(folder.path, 'sotto.ini'), [
        '[turn]', `secret_file = ${secretFile}`, 'listen_address = 127.0.0.1', `listen_port = ${port}`, 'tls_port = 0',
        `relay_min_port = ${first}`, `relay_max_port = ${first + relays}`, 'allow_private_peers = yes', '',
    ].join('\n'));
    const text = execFileSync(sottoctl, ['--config', ini, 'turn', 'config'], { encoding: 'utf8' });
    const config = writeForService(join(folder.path, 'turnserver.conf'), text, 0o600);
    // As deploy/parts.sh starts it.
    const server = startProcess({
        name: 'sotto-coturn', cmd: program('turnserver', 'coturn'), args: ['-c', config, '--pidfile', join(folder.path, 'turnserver.pid')],
        cpus, user: serviceUser()?.name, cwd: folder.path,
    });
    const stop = async () => {
        await server.stop('SIGTERM');
        folder.remove();
    };
    ctx.defer?.(stop);
    await waitPort(port, { process: server });
    await until('coturn answers a STUN binding', () => answersStun(port), 10_000);
    const accounts = Array.from({ length: Math.ceil(relays / USER_QUOTA) }, () => credentialOf(secret, randomBytes(8).toString('hex')));
    return { host: '127.0.0.1', port, accounts, pids: () => treeOf(server.pid), log: server.log, stop };
}
