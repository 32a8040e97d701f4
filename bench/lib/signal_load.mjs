// What the scenarios of signaling share: sockets on Sotto or on ejabberd, and how their cost is read.
import { readFileSync } from 'node:fs';
import * as ejabberd from '../peers/ejabberd.mjs';
import { LoadWs } from './load_ws.mjs';
import { PAGE_BYTES, cpuOf, rssOf } from './proc.mjs';
import * as signald from './signald.mjs';

/** Handshakes under way while sockets are opened ahead of what is measured: enough to keep the server busy, not to drown it. */
const CALM = 64;

/** Opening 38,000 takes about 80 s on a quiet core; on one that is slower by half we would measure something else. */
const OPEN_MS = 160_000;

/** Bytes of all TCP sockets' buffers of this machine, as the kernel counts them (both ends of each connection). */
function socketMemory() {
    const found = /^TCP: .*\bmem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'utf8'));
    return Number(found?.[1] ?? 0) * PAGE_BYTES;
}

/** Kernel memory in slabs: sockets, their files, what epoll keeps of them. */
function slabMemory() {
    return Number(/^Slab:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024;
}

/** Sotto: `processes` signalds on one database, with `sockets` users each. → the shape below */
async function openOurs(ctx, { mode, processes = 1, sockets, managed: _, ...config }) {
    ctx.step?.(`signald${processes > 1 ? ` × ${processes}` : ''} and its database`);
    const stack = await signald.start(ctx, { servers: processes });
    const users = await stack.seed(processes * sockets);
    const side = {
        stack,
        pids: () => stack.pids(),
        databasePids: () => stack.db.pids(),
        before: memoryOf(stack.pids()),
        clock: cpuClock({ pids: stack.pids, databasePids: () => stack.db.pids() }),
        loads: [],
    };
    for (const [i, server] of stack.servers.entries()) {
        const mine = users.slice(i * sockets, (i + 1) * sockets);
        side.loads.push(await LoadWs.start(ctx, {
            mode, kind: 'sotto', url: server.wsUrl, http: server.url, in_flight: CALM, ...config,
            accounts: mine.map((user) => [stack.ticket(user), stack.access(user), user.id]),
        }));
    }
    return side;
}

async function openEjabberd(ctx, { mode, sockets, processes: _, managed = false, ...config }) {
    ctx.step?.('ejabberd and its database');
    const server = await ejabberd.start(ctx, { users: sockets });
    const side = {
        server,
        pids: () => server.pids(),
        databasePids: () => server.databasePids(),
        before: memoryOf(server.pids()),
        clock: cpuClock(server),
        loads: [],
    };
    side.loads.push(await LoadWs.start(ctx, {
        mode, kind: 'xmpp', url: server.wsUrl, domain: server.domain, in_flight: CALM, managed, ...config,
        accounts: Array.from({ length: sockets }, (_unused, i) => [server.user(i).name, server.user(i).password]),
    }));
    return side;
}

const memoryOf = (pids) => ({ pss: rssOf(pids), sockets: socketMemory(), slab: slabMemory() });

/**
 * Opens all sockets of a contender and waits for them.
 * → { pids(), databasePids(), before: {pss, sockets, slab}, loads: [LoadWs], open, wanted, seconds, opening: {server, database} CPU s }
 */
export async function openSockets(contender, ctx, options) {
    const side = contender === 'ours' ? await openOurs(ctx, options) : await openEjabberd(ctx, options);
    const wanted = options.sockets * side.loads.length;
    ctx.step?.(`${wanted} sockets are opened`);
    for (const load of side.loads) load.on('event', (event) => event.ev === 'progress' && ctx.step?.(`${event.open} of ${options.sockets} sockets are open`));
    const opened = await Promise.all(side.loads.map((load) => load.opened(OPEN_MS)));
    return {
        ...side,
        wanted,
        open: opened.reduce((sum, it) => sum + it.open, 0),
        seconds: Math.max(...opened.map((it) => it.seconds)),
        opening: side.clock(),
        after: () => memoryOf(side.pids()),
    };
}

/** CPU seconds of server and database since now. */
export function cpuClock(side) {
    const server = cpuOf(side.pids());
    const database = cpuOf(side.databasePids());
    return () => ({ server: cpuOf(side.pids()) - server, database: cpuOf(side.databasePids()) - database });
}

/** The busiest of several generators, and their sum. */
export function generatorOf(results) {
    return {
        cpu_s: results.reduce((sum, it) => sum + it.cpu_s, 0),
        // They share one core: together they may not fill it.
        busy: results.reduce((sum, it) => sum + it.busy, 0),
        late_ms: Math.max(...results.map((it) => it.late_ms)),
    };
}
