// sfud behind the one shape of a driver (see bench/README.md): alone, driven over its control link by a signald that the
// tests play, so that what is measured is the forwarding unit and nothing else.
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FakeSignald, startSfud } from '../../tests/lib/sfu.mjs';
import { BenchError } from './proc.mjs';

/** What the control link allows (lib/proto/control.h). */
const MAX_AUDIO_SLOTS = 16;
const MAX_VIDEO_SLOTS = 64;

/**
 * Starts sfud of ctx.build on the server's core.
 * @param {object} ctx
 */
export async function start(ctx) {
    const program = join(ctx.build, 'sfu/sfud');
    if (!existsSync(program)) throw new BenchError(`${program} is not there`, 'make build');
    const signald = new FakeSignald();
    await signald.listen();
    // The kernel ends it when this process dies without a word.
    const wrap = (it) => ['taskset', '-c', ctx.cpus.server, 'setpriv', '--pdeathsig', 'KILL', it];
    let sfud;
    try {
        sfud = await startSfud(signald, { public_addresses: '127.0.0.1', allow_loopback: 'no' }, { program, level: 'info', wrap });
    } catch (error) {
        signald.close();
        throw new BenchError(`sfud did not start: ${error.message}`);
    }
    const port = await sfud.port();
    return drive(signald, sfud, port);
}

function drive(signald, sfud, port) {
    const rooms = new Map(); // name → the UUID of the call
    const roomOf = (name) => {
        if (!rooms.has(name)) rooms.set(name, randomUUID());
        return rooms.get(name);
    };

    return {
        name: 'ours',
        pids: [sfud.pid],
        ports: [port, port],

        /** The endpoint publishes as participant `member` (its own number where not said). Resolves when the answer was set. */
        async publish(load, ep, name, { member = ep, link, endpoint } = {}) {
            const sdp = await load.offer(ep, { audio: 1, video: 1, dir: 'sendonly', ice: 'lean', profile: 'gcm', ...endpoint });
            const answer = await signald.request('publish', { room: roomOf(name), participant: member, sdp });
            await load.remote(ep, answer.sdp, link ? { link } : {});
        },

        /** The endpoint sees and hears as many as `from` names: all others, as the scenarios are. Resolves when the answer was given. */
        async subscribe(load, ep, name, { from, member = ep, link, endpoint } = {}) {
            if (from.length > MAX_AUDIO_SLOTS || from.length > MAX_VIDEO_SLOTS) throw new BenchError(`${from.length} publishers for one subscriber`, `at most ${MAX_AUDIO_SLOTS}`);
            const members = { room: roomOf(name), participant: member };
            const offer = await signald.request('subscribe', { ...members, audioSlots: from.length, videoSlots: from.length });
            const sdp = await load.answer(ep, offer.sdp, { ice: 'lean', profile: 'gcm', ...endpoint, ...(link ? { link } : {}) });
            await signald.request('answer', { ...members, sdp });
        },

        /** The participant leaves with all that he has. */
        leave: (load, ep, name, { member = ep } = {}) => signald.request('leave', { room: roomOf(name), participant: member }),

        /** What sfud counted. */
        async stats() {
            const text = await (await sfud.get('/metrics')).text();
            const of = (name) => text.split('\n').filter((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`))
                .reduce((sum, l) => sum + Number(l.slice(l.lastIndexOf(' '))), 0);
            return { forwarded: of('sotto_sfu_forwarded_packets_total'), dropped: of('sotto_sfu_dropped_packets_total'), resent: of('sotto_sfu_rtx_packets_total') };
        },

        async stop() {
            try {
                await sfud.stop();
            } finally {
                signald.close();
            }
        },
    };
}
