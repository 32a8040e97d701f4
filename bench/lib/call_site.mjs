// A whole Sotto with two people in it who call each other; their media is the load client's. For call-setup.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './host.mjs';
import { BenchError, cpuOf, treeOf } from './proc.mjs';

const REPLY_MS = 60_000;
const MEDIA_MS = 90_000;
const BOTH = { audio: 1, video: 1, ice: 'nice', profile: 'gcm' };

/** The client that the tests have, whose `ws` may have to be installed first. */
async function testClient() {
    if (!existsSync(join(ROOT, 'tests/node_modules/ws'))) execFileSync(join(ROOT, 'deploy/npm-install'), ['tests'], { cwd: ROOT, stdio: 'ignore' });
    return import('../../tests/lib/client.mjs');
}

/**
 * Of the servers that Sotto names, TURN by UDP: its allocation tells the reflexive address, too. libnice asks a STUN server
 * in RFC 3489's way, which our coturn doesn't answer (no-stun-backward-compatibility), and would wait two seconds for it.
 */
const byUdp = (servers) =>
    servers.map((s) => ({ ...s, urls: [s.urls].flat().filter((url) => url.startsWith('turn:') && !url.includes('transport=tcp')) })).filter((s) => s.urls.length > 0);

const now = () => performance.now();

/** Waits until both have both; the error names who misses what. */
function allMedia(load, eps) {
    const waiting = eps.flatMap((ep) => ['audio', 'video'].map((kind) => load.media(ep, kind, MEDIA_MS)));
    const all = Promise.all(waiting);
    all.catch(() => {}); // it is awaited later; a failure before that is told by what failed
    return all;
}

/** Remembers by which way each endpoint connected. */
function watchPaths(load, eps) {
    const paths = new Map();
    const seen = (event) => eps.includes(event.ep) && paths.set(event.ep, event.path);
    load.on('connected', seen);
    return () => (load.off('connected', seen), [...paths.values()]);
}

/** The floor: two endpoints and nobody between them. From the answer to media on both sides. */
export async function direct(load, [a, b], source) {
    const paths = watchPaths(load, [a, b]);
    const offer = await load.offer(a, { ...BOTH, dir: 'sendrecv' });
    const media = allMedia(load, [a, b]);
    const since = now();
    const answer = await load.answer(b, offer, { ...BOTH, dir: 'sendrecv' });
    await load.remote(a, answer);
    await load.send([a, b], source);
    await media;
    const result = { media_ms: now() - since, paths: paths() };
    await load.close([a, b]);
    return result;
}

export class CallSite {
    /** Starts the stack of ctx.build, pinned to the server's core, and logs two people in. */
    static async open(ctx) {
        const [{ startStack }, client] = [await import('../../tests/lib/stack.mjs'), await testClient()];
        if (!existsSync(join(ctx.build, 'signaling/signald'))) throw new BenchError(`there is no signald in ${ctx.build}`, 'make build');
        const before = process.env.SOTTO_TEST_BUILD;
        process.env.SOTTO_TEST_BUILD = ctx.build;
        ctx.step('starting a whole Sotto');
        const site = new CallSite();
        try {
            site.stack = await startStack({ 'log.level': 'info' });
        } finally {
            if (before === undefined) delete process.env.SOTTO_TEST_BUILD;
            else process.env.SOTTO_TEST_BUILD = before;
        }
        ctx.defer(() => site.close());
        site.#pin(ctx.cpus.server);
        site.people = await Promise.all([0, 1].map(async () => {
            const user = await client.newUser(site.stack);
            return { ...user, socket: await client.Socket.open(site.stack, user.token) };
        }));
        const made = await client.http(site.stack, 'POST', '/v1/conversations', {
            token: site.people[0].token,
            body: { type: 'group', name: 'two of us', memberIds: [site.people[1].userId] },
        });
        if (made.status !== 201) throw new Error(`the group was not made: ${made.status}`);
        site.group = made.body.id;
        return site;
    }

    #pidOf(part) {
        return Number(readFileSync(join(this.stack.dir, 'run', `${part}.pid`), 'utf8'));
    }

    #pin(cpus) {
        const trees = readdirSync(join(this.stack.dir, 'run')).filter((f) => f.endsWith('.pid'))
            .flatMap((f) => treeOf(this.#pidOf(f.slice(0, -4))));
        for (const pid of new Set(trees)) execFileSync('taskset', ['-a', '-c', '-p', cpus, String(pid)], { stdio: 'ignore' });
    }

    /** Starts counting; call the result for the CPU seconds of servers and database since. */
    cpu() {
        const servers = ['signald', 'sfud', 'coturn'].map((part) => this.#pidOf(part));
        const database = this.#pidOf('postgres');
        const read = () => ({ server: cpuOf(servers), database: cpuOf(treeOf(database)) });
        const before = read();
        return () => {
            const after = read();
            return { server: after.server - before.server, database: after.database - before.database };
        };
    }

    /** One call by way of 'p2p', 'turn' or 'sfu', from ring to hang-up. */
    async call(load, path, eps, source) {
        const paths = watchPaths(load, eps);
        const times = path === 'sfu' ? await this.#onSfu(load, eps, source) : await this.#betweenTwo(load, eps, source, path);
        const [a, b] = this.people;
        await ask(a.socket, 'hang_up', { callId: times.callId });
        await b.socket.event('call_ended', (d) => d.callId === times.callId, REPLY_MS);
        await load.close(times.used);
        return { ...times, paths: paths() };
    }

    async #ring(target) {
        const [a, b] = this.people;
        const since = now();
        const started = ask(a.socket, 'call_start', { ...target, media: 'video' });
        started.catch(() => {}); // awaited below, but for the case that nothing rings
        const { data: incoming } = await b.socket.event('incoming_call', () => true, REPLY_MS);
        const ring_ms = now() - since;
        const call = await started;
        if (incoming.callId !== call.callId) throw new Error('another call rang');
        return { call, incoming, ring_ms };
    }

    async #betweenTwo(load, [epA, epB], source, path) {
        const [a, b] = this.people;
        const { call, incoming, ring_ms } = await this.#ring({ userId: b.userId, mode: 'p2p' });
        const { callId } = call;
        const options = (servers) => ({ ...BOTH, dir: 'sendrecv', ice_servers: byUdp(servers), policy: path === 'turn' ? 'relay' : 'all' });
        const offer = await load.offer(epA, options(call.iceServers));
        await ask(a.socket, 'call_description', { callId, description: { type: 'offer', sdp: offer } });
        const media = allMedia(load, [epA, epB]);
        const since = now();
        const accepted = await ask(b.socket, 'accept_call', { callId, media: 'video' });
        const description = accepted.description ?? (await b.socket.event('call_description', (d) => d.callId === callId, REPLY_MS)).data.description;
        const answer = await load.answer(epB, description.sdp, options(accepted.iceServers ?? incoming.iceServers));
        await ask(b.socket, 'call_description', { callId, description: { type: 'answer', sdp: answer } });
        const back = await a.socket.event('call_description', (d) => d.callId === callId, REPLY_MS);
        await load.remote(epA, back.data.description.sdp);
        await load.send([epA, epB], source);
        await media;
        return { callId, ring_ms, media_ms: now() - since, used: [epA, epB] };
    }

    async #onSfu(load, [pubA, subA, pubB, subB], source) {
        const [a, b] = this.people;
        const { call, ring_ms } = await this.#ring({ conversationId: this.group });
        const { callId } = call;
        const media = allMedia(load, [subA, subB]);
        await sfuJoin(load, a.socket, callId, pubA, subA, source);
        const since = now();
        await ask(b.socket, 'accept_call', { callId, media: 'video' });
        await sfuJoin(load, b.socket, callId, pubB, subB, source);
        await media;
        return { callId, ring_ms, media_ms: now() - since, used: [pubA, subA, pubB, subB] };
    }

    async close() {
        for (const person of this.people ?? []) person.socket.close();
        await this.stack.down();
    }
}

async function ask(socket, type, data) {
    const reply = await socket.request(type, data, REPLY_MS);
    if (!reply.ok) throw new Error(`${type}: ${reply.error?.code} ${reply.error?.message ?? ''}`);
    return reply.data;
}

/** Publishes by one endpoint and subscribes by another, both at once, as the SDK does. */
async function sfuJoin(load, socket, callId, pub, sub, source) {
    const publish = async () => {
        const sdp = await load.offer(pub, { ...BOTH, dir: 'sendonly' });
        const answer = await ask(socket, 'sfu_publish', { callId, sdp });
        await load.remote(pub, answer.sdp);
        await load.send([pub], source);
    };
    const subscribe = async () => {
        const offer = await ask(socket, 'sfu_subscribe', { callId, audioSlots: 1, videoSlots: 1 });
        const sdp = await load.answer(sub, offer.sdp, BOTH);
        await ask(socket, 'sfu_answer', { callId, sdp });
    };
    await Promise.all([publish(), subscribe()]);
}
