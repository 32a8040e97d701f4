// sfud behind the one shape of a driver (see bench/README.md): alone, driven over its control link by a signald that the
// tests play, so that what is measured is the forwarding unit and nothing else.
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FakeSignald, startSfud } from '../../tests/lib/sfu.mjs';
import { BenchError } from './proc.mjs';

/** What the control link allows (lib/proto/control.h). */
const MAX_AUDIO_SLOTS = 16;
const MAX_VIDEO_SLOTS = 64;

/** What counts as lost in the server: whatever it dropped, what the kernel refused to send, what found its receive buffers full. */
const LOSSES = ['sotto_sfu_dropped_packets_total', 'sotto_udp_refused_total'];

/** Datagrams that found the receive buffers of these UDP ports full (the last column of /proc/net/udp and udp6). */
export function socketDrops(ports, tables = ['/proc/net/udp', '/proc/net/udp6'].map((file) => readFileSync(file, 'utf8'))) {
    const rows = tables.flatMap((text) => text.trim().split('\n').slice(1)).map((line) => line.trim().split(/\s+/));
    return rows.filter((cells) => ports.includes(parseInt(cells[1]?.split(':').at(-1), 16))).reduce((sum, cells) => sum + Number(cells.at(-1)), 0);
}

/**
 * Starts sfud of ctx.build on the server's core.
 * @param {object} ctx `sfu`: further keys of [sfu]
 * @param {{profile?: 'gcm'|'cm'}} [options] the SRTP profile that the endpoints allow
 */
export async function start(ctx, { profile = 'gcm' } = {}) {
    const program = join(ctx.build, 'sfu/sfud');
    if (!existsSync(program)) throw new BenchError(`${program} is not there`, 'make build');
    const signald = new FakeSignald();
    await signald.listen();
    // The kernel ends it when this process dies without a word.
    const wrap = (it) => ['taskset', '-c', ctx.cpus.server, 'setpriv', '--pdeathsig', 'KILL', it];
    let sfud;
    try {
        sfud = await startSfud(signald, { public_addresses: '127.0.0.1', allow_loopback: 'no', ...ctx.sfu }, { program, level: 'info', wrap });
    } catch (error) {
        signald.close();
        throw new BenchError(`sfud did not start: ${error.message}`);
    }
    const port = await sfud.port();
    return drive(signald, sfud, { port, profile });
}

function drive(signald, sfud, { port, profile }) {
    const rooms = new Map(); // name → the UUID of the call
    const roomOf = (name) => {
        if (!rooms.has(name)) rooms.set(name, randomUUID());
        return rooms.get(name);
    };
    const sumOf = (text, name) => text.split('\n').filter((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`))
        .reduce((sum, l) => sum + Number(l.slice(l.lastIndexOf(' '))), 0);
    const metrics = async () => (await sfud.get('/metrics')).text();

    return {
        name: 'ours',
        signald,
        sfud,
        roomOf,
        pids: [sfud.pid],
        ports: [port, port],

        /** The endpoint publishes as participant `member` (its own number where not said). Resolves when the answer was set. */
        async publish(load, ep, name, { member = ep, link, endpoint } = {}) {
            const sdp = await load.offer(ep, { audio: 1, video: 1, dir: 'sendonly', ice: 'lean', profile, ...endpoint });
            const answer = await signald.request('publish', { room: roomOf(name), participant: member, sdp });
            await load.remote(ep, answer.sdp, link ? { link } : {});
        },

        /** The endpoint sees and hears as many as `from` names: all others, as the scenarios are. Resolves when the answer was given. */
        async subscribe(load, ep, name, { from, member = ep, link, endpoint } = {}) {
            if (from.length > MAX_AUDIO_SLOTS || from.length > MAX_VIDEO_SLOTS) throw new BenchError(`${from.length} publishers for one subscriber`, `at most ${MAX_AUDIO_SLOTS}`);
            const members = { room: roomOf(name), participant: member };
            const offer = await signald.request('subscribe', { ...members, audioSlots: from.length, videoSlots: from.length });
            const sdp = await load.answer(ep, offer.sdp, { ice: 'lean', profile, ...endpoint, ...(link ? { link } : {}) });
            await signald.request('answer', { ...members, sdp });
        },

        /** The participant leaves with all that he has. */
        leave: (load, ep, name, { member = ep } = {}) => signald.request('leave', { room: roomOf(name), participant: member }),

        /** An ICE restart of the participant's endpoint that publishes or subscribes; resolves when its checks came through. */
        async restart(load, ep, name, { which, member = ep }) {
            const members = { room: roomOf(name), participant: member };
            const done = load.restarted(ep);
            done.catch(() => {}); // awaited below, but for the case that what comes before fails
            if (which === 'publish') {
                const { sdp } = await signald.request('restart', { ...members, which, sdp: await load.restart(ep) });
                load.remote(ep, sdp);
            } else {
                const { sdp } = await signald.request('restart', { ...members, which });
                await signald.request('answer', { ...members, sdp: await load.restart(ep, sdp) });
            }
            await done;
        },

        /** What sfud counted. */
        async stats() {
            const text = await metrics();
            const of = (name) => sumOf(text, name);
            return {
                forwarded: of('sotto_sfu_forwarded_packets_total'), dropped: of('sotto_sfu_dropped_packets_total'), resent: of('sotto_sfu_rtx_packets_total'),
                rooms: of('sotto_sfu_rooms'), transports: of('sotto_sfu_transports'),
            };
        },

        /** Packets lost in the server since it began, by where. */
        async losses() {
            const text = await metrics();
            const counted = LOSSES.flatMap((name) => text.split('\n').filter((l) => l.startsWith(`${name} `) || l.startsWith(`${name}{`)))
                .filter((l) => !l.includes('"receive_buffer"')) // asked of the kernel below, to the packet
                .map((l) => [l.slice(0, l.lastIndexOf(' ')), Number(l.slice(l.lastIndexOf(' ')))]);
            return { ...Object.fromEntries(counted), 'receive buffer': socketDrops([port]) };
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
