// Janus's VideoRoom behind the one shape of a driver (see bench/README.md): rooms by its API over a WebSocket, a handle a
// peer connection, one multistream subscription for all that a subscriber sees.
import WebSocket from 'ws';
import * as janus from '../peers/janus.mjs';

const REPLY_MS = 90_000;
/** Behind a link the server must not know the client's own address, or it would go there past the link. */
const hidden = (sdp) => sdp.replace(/^a=candidate:.*\r?\n/gm, '');

/**
 * A refusal belongs to whoever waits for it; when nobody does any more (the measurement was cut short meanwhile), it must not
 * end the process.
 */
const owned = (promise) => {
    promise.catch(() => {});
    return promise;
};

/** The Janus API: one session, many handles; requests are matched to replies by their transaction. */
export class JanusApi {
    #ws;
    #pending = new Map();
    #next = 1;
    #keepalive;
    #session;
    #up = new Map(); // handle → {promise, resolve}
    /** Hang-ups and errors that nobody asked for, as texts. */
    complaints = [];

    static async open(url) {
        const api = new JanusApi();
        api.#ws = new WebSocket(url, 'janus-protocol', { perMessageDeflate: false });
        await new Promise((resolve, reject) => api.#ws.once('open', resolve).once('error', reject));
        api.#ws.on('message', (data) => api.#take(JSON.parse(data)));
        api.#ws.on('close', () => api.#fail('Janus closed the connection'));
        api.#ws.on('error', () => {});
        api.#session = (await api.request({ janus: 'create' })).data.id;
        // A session is given up after 60 s without a word (janus.jcfg, session_timeout).
        api.#keepalive = setInterval(() => api.request({ janus: 'keepalive' }, true).catch(() => {}), 20_000);
        return api;
    }

    #fail(why) {
        for (const { reject, timer } of this.#pending.values()) {
            clearTimeout(timer);
            reject(new Error(why));
        }
        this.#pending.clear();
    }

    #take(frame) {
        const waiting = this.#pending.get(frame.transaction);
        if (frame.janus === 'webrtcup') this.#upOf(frame.sender).resolve();
        if (frame.janus === 'hangup') this.complaints.push(`hangup: ${frame.reason}`);
        if (!waiting) return;
        if (frame.janus === 'ack' && !waiting.ackIsAll) return; // the answer is an event that comes later
        this.#pending.delete(frame.transaction);
        clearTimeout(waiting.timer);
        const fault = frame.error?.reason ?? frame.plugindata?.data?.error;
        if (fault) waiting.reject(new Error(`Janus: ${fault}`));
        else waiting.resolve(frame);
    }

    #upOf(handle) {
        if (!this.#up.has(handle)) {
            const entry = {};
            entry.promise = new Promise((resolve) => (entry.resolve = resolve));
            this.#up.set(handle, entry);
        }
        return this.#up.get(handle);
    }

    /** Until Janus, too, says that the handle's peer connection is up: before that there is "no such feed". */
    async up(handle) {
        let timer;
        const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`Janus: handle ${handle} is not up after ${REPLY_MS} ms`)), REPLY_MS)));
        await Promise.race([this.#upOf(handle).promise, late]).finally(() => clearTimeout(timer));
    }

    /** Sends one request; resolves with its reply (the event, of those that are answered later). */
    request(members, ackIsAll = false) {
        const transaction = `t${this.#next++}`;
        const session = this.#session ? { session_id: this.#session } : {};
        this.#ws.send(JSON.stringify({ ...members, ...session, transaction }));
        const reply = new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#pending.delete(transaction);
                reject(new Error(`Janus did not answer ${members.janus} ${members.body?.request ?? ''} in ${REPLY_MS} ms`));
            }, REPLY_MS);
            this.#pending.set(transaction, { resolve, reject, timer, ackIsAll });
        });
        return owned(reply);
    }

    async attach() {
        return (await this.request({ janus: 'attach', plugin: 'janus.plugin.videoroom' })).data.id;
    }

    /** A message to the plugin's handle: {data, sdp}. */
    message(handle_id, body, jsep) {
        const reply = this.request({ janus: 'message', handle_id, body, ...(jsep ? { jsep } : {}) });
        return owned(reply.then((frame) => ({ data: frame.plugindata?.data, sdp: frame.jsep?.sdp })));
    }

    detach(handle_id) {
        return this.request({ janus: 'detach', handle_id });
    }

    close() {
        clearInterval(this.#keepalive);
        this.#ws.removeAllListeners('close');
        this.#ws.close();
        this.#fail('closed');
    }
}

/**
 * Starts Janus and the API to it.
 * @param {object} ctx
 * @param {{variant?: 'tuned'|'installed', profile?: 'gcm'|'cm'}} [options] profile: the one that the endpoints allow
 */
export async function start(ctx, { variant = 'tuned', profile = 'gcm' } = {}) {
    const server = await janus.start(ctx, { variant });
    let api;
    try {
        api = await JanusApi.open(server.url);
        return await drive(server, api, profile);
    } catch (error) {
        api?.close();
        await server.stop();
        throw error;
    }
}

async function drive(server, api, profile) {
    const control = await api.attach();
    const rooms = new Map(); // name → promise of Janus's number
    const handles = new Map(); // endpoint → handle

    /* bitrate 0: Janus tells publishers no bound (its default room has 128 kbit/s); fir_freq 0: keyframes only when asked for,
       as with the others; the extensions that it would answer to anyway. Nothing is recorded and nobody is told who joins. */
    const makeRoom = async () => {
        const { data } = await api.message(control, {
            request: 'create', permanent: false, is_private: true, publishers: 64, bitrate: 0, fir_freq: 0,
            audiocodec: 'opus', videocodec: 'vp8', audiolevel_ext: true, audiolevel_event: false, transport_wide_cc_ext: true,
            record: false, notify_joining: false,
        });
        return data.room;
    };
    const roomOf = (name) => {
        if (!rooms.has(name)) rooms.set(name, owned(makeRoom()));
        return rooms.get(name);
    };
    const handleOf = async (ep) => {
        const handle = await api.attach();
        handles.set(ep, handle);
        return handle;
    };

    return {
        api,
        roomOf,
        name: server.variant === 'tuned' ? 'janus' : 'janus-installed',
        pids: server.pids,
        ports: server.ports,

        /** The endpoint publishes under its own number. Resolves when the answer was set. */
        async publish(load, ep, name, opts = {}) {
            const [room, handle, sdp] = await Promise.all([roomOf(name), handleOf(ep), load.offer(ep, { audio: 1, video: 1, dir: 'sendonly', ice: 'lean', profile, ...opts.endpoint })]);
            const reply = await api.message(handle, { request: 'joinandconfigure', ptype: 'publisher', room, id: ep }, { type: 'offer', sdp: opts.link ? hidden(sdp) : sdp });
            await load.remote(ep, reply.sdp, opts.link ? { link: opts.link } : {});
        },

        /** The endpoint sees all of `from` (endpoints that publish). Resolves when the answer was given. */
        async subscribe(load, ep, name, { from, link, endpoint } = {}) {
            const [room, handle] = await Promise.all([roomOf(name), handleOf(ep), ...from.map((feed) => api.up(handles.get(feed)))]);
            const offer = await api.message(handle, { request: 'join', ptype: 'subscriber', room, streams: from.map((feed) => ({ feed })) });
            const sdp = await load.answer(ep, offer.sdp, { ice: 'lean', profile, ...endpoint, ...(link ? { link } : {}) });
            await api.message(handle, { request: 'start' }, { type: 'answer', sdp: link ? hidden(sdp) : sdp });
        },

        async leave(load, ep) {
            const handle = handles.get(ep);
            handles.delete(ep);
            if (handle !== undefined) await api.detach(handle);
        },

        stats: () => ({ version: janus.version(), variant: server.variant, complaints: [...api.complaints] }),

        async stop() {
            api.close();
            await server.stop();
        },
    };
}
