// The forwarding floor behind the one shape of a driver (see bench/README.md): sotto-load-floor, keys and addresses given by
// hand where the others speak ICE and DTLS. What it does and leaves out: bench/client/floor_forward.h.
import { randomBytes } from 'node:crypto';
import { Lines } from './lines.mjs';

const KEY_BYTES = { gcm: 16 + 12, gcm256: 32 + 12, cm: 16 + 14 };
const AUDIO_PT = 111;
const VIDEO_PT = 96;
/** SSRCs: of what an endpoint sends, and of what it gets (index: which of its streams). */
const sent = (ep, kind) => (0x40000000 + ep * 2 + (kind === 'video' ? 1 : 0)) >>> 0;
const got = (ep, index) => (0x80000000 + ep * 0x800 + index) >>> 0;

/**
 * Starts the floor on the server's core.
 * @param {object} ctx
 * @param {{mode?: 'train'|'sendmmsg'|'sendto', profile?: 'gcm'|'gcm256'|'cm'}} [options]
 */
export async function start(ctx, { mode = 'train', profile = 'gcm' } = {}) {
    const floor = await Lines.start(ctx, { program: 'sotto-load-floor', args: ['--mode', mode, '--profile', profile], unasked: ['fallback'] });
    const notes = [];
    floor.on('fallback', ({ why }) => notes.push(why));
    const remote = `127.0.0.1:${floor.ready.port}`;
    const key = () => randomBytes(KEY_BYTES[profile]).toString('hex');
    const names = new Set();

    /** The endpoint of the load client, and its port told to the floor. */
    const attach = async (load, ep, members) => {
        const port = await load.raw(ep, { remote, profile, ...members });
        await floor.ask({ op: 'port', id: String(ep), port });
        names.add(ep);
    };

    return {
        name: 'floor',
        pids: [floor.pid],
        ports: [floor.ready.port, floor.ready.port],

        /** The endpoint publishes. Resolves when the floor knows it. */
        async publish(load, ep) {
            const send_key = key();
            await floor.ask({
                op: 'publisher', id: String(ep), key: send_key,
                streams: [{ ssrc: sent(ep, 'audio'), frames: false }, { ssrc: sent(ep, 'video'), frames: true }],
            });
            await attach(load, ep, {
                send_key, recv_key: key(), receive: [],
                audio: { ssrc: sent(ep, 'audio'), pt: AUDIO_PT }, video: { ssrc: sent(ep, 'video'), pt: VIDEO_PT },
            });
        },

        /** The endpoint sees and hears all of `from`. Resolves when the floor knows it. */
        async subscribe(load, ep, name, { from }) {
            const recv_key = key();
            const streams = from.flatMap((publisher, i) => ['audio', 'video'].map((kind, k) => ({
                kind, pt: kind === 'audio' ? AUDIO_PT : VIDEO_PT,
                from: String(publisher), ssrc: sent(publisher, kind), as: got(ep, 2 * i + k),
            })));
            await floor.ask({ op: 'subscriber', id: String(ep), key: recv_key, streams: streams.map(({ from: of, ssrc, as }) => ({ from: of, ssrc, as })) });
            await attach(load, ep, { send_key: key(), recv_key, receive: streams.map(({ kind, pt, as }) => ({ kind, pt, ssrc: as })) });
        },

        async leave(load, ep) {
            if (names.delete(ep)) await floor.ask({ op: 'leave', id: String(ep) });
        },

        stats: async () => ({ ...(await floor.ask({ op: 'stats' })), mode, notes: [...notes] }),

        stop: () => floor.stop(),
    };
}
