// Real media under the calls: endpoints of sotto-load-webrtc, two of them for a direct call, two for everybody in a group
// (one publishes to the SFU, one subscribes), and packet by packet counts of what arrives.
import { Load } from '../lib/load.mjs';
import { watchMachine } from '../../tests/lib/machine.mjs';
import { act, Stuck } from './script.mjs';
import { poll, sleep } from './time.mjs';

const SOURCE = { video_kbps: 300, fps: 15, audio: true };
const SILENCE = { video_kbps: 0, fps: 15, audio: false };
const CONNECT_MS = 40_000;
const COUNTED_MS = 1200;
/** Nothing has come for so long after the last packet was sent: whatever was lost on the way has been asked for and has come. */
const SETTLE_MS = 300;
/** On a machine that stalls the rest comes after a pause: so many times in a row. */
const SETTLED = 3;
const SETTLES_WITHIN = 40;

const stuck = (what) => (error) => {
    throw new Stuck(`${what}: ${error.message.split('\n')[0]}`);
};

export class Media {
    #next = 1;
    #used = new Set();
    /** Packets of counted intervals outside of chaos, and what was wrong with them. */
    counted = { intervals: 0, sent: 0, received: 0, disturbed: 0 };
    totals = { endpoints: 0, packets: 0, sampled: 0, lost: 0, rejoins: 0, direct: 0, relayed: 0, groups: 0 };
    faults = [];

    static async start(world) {
        const media = new Media();
        media.world = world;
        media.load = await Load.start({ build: world.options.build });
        media.load.on('exit', ({ why }) => media.ending || world.fail(new Error(`sotto-load-webrtc: ${why}`)));
        return media;
    }

    endpoint() {
        const ep = this.#next++;
        this.#used.add(ep);
        this.totals.endpoints++;
        return ep;
    }

    send(eps, source = SOURCE) {
        this.load.send(eps, source);
    }

    /** Endpoints end; what they counted is added up first. */
    async close(eps) {
        const mine = eps.filter((ep) => this.#used.delete(ep));
        const there = await this.of(mine); // one whose offer failed isn't
        if (there.size === 0) return;
        for (const { received } of there.values()) {
            if (!received) continue;
            this.totals.packets += received.packets;
            this.totals.sampled += received.sampled;
            this.totals.lost += received.lost;
            if (received.bad_tag > 0) this.faults.push(`${received.bad_tag} packets with a wrong tag`);
            if (received.bad_payload > 0) this.faults.push(`${received.bad_payload} packets whose payload is not what was sent`);
        }
        await this.load.close([...there.keys()]);
    }

    /** Map ep → its stats, of those that exist. */
    async of(eps) {
        const { endpoints } = await this.load.stats({ eps: true });
        return new Map(endpoints.filter((e) => eps.includes(e.ep)).map((e) => [e.ep, e]));
    }

    /**
     * An interval in which every packet is counted: the senders fall silent, send for a while, fall silent again; each
     * receiver must have got all that its senders sent. `ways`: [{ to: ep, from: [ep…] }]. Outside of chaos one packet
     * too few or too many is a fault; `touched` says chaos of what media hangs on here (direct media on nothing).
     */
    async count(ways, touched) {
        const from = Date.now();
        const machine = watchMachine();
        const senders = [...new Set(ways.flatMap((w) => w.from))];
        const all = [...new Set([...senders, ...ways.map((w) => w.to)])];
        this.send(senders, SILENCE);
        const before = await this.#settled(all);
        this.send(senders);
        await sleep(COUNTED_MS);
        this.send(senders, SILENCE);
        const after = await this.#settled(all);
        this.send(senders);
        const { calm } = machine.end();
        // What a machine loses that has no time for its sockets, --smoke doesn't ask.
        const excused = this.world.options.smoke && !calm && ways.some((way) => missing(way, before, after) > 0);
        if (excused || (touched.length > 0 && this.world.windows.struck(from, Date.now(), this.world.windows.of(touched)))) {
            this.counted.disturbed++;
            return;
        }
        for (const way of ways) this.#compare(way, before, after);
        this.counted.intervals++;
    }

    /** What these have counted when nothing comes any more. */
    async #settled(eps) {
        const sumOf = (stats) => [...stats.values()].reduce((n, e) => n + media(e.sent) + (e.received?.packets ?? 0), 0);
        let stats = await this.of(eps);
        for (let i = 0, same = 0; i < SETTLES_WITHIN && same < SETTLED; i++) {
            await sleep(SETTLE_MS);
            const now = await this.of(eps);
            same = sumOf(now) === sumOf(stats) ? same + 1 : 0;
            stats = now;
        }
        return stats;
    }

    #compare(way, before, after) {
        const { to, from, what } = way;
        const [sent, received] = [sentBy(from, before, after), receivedBy(to, before, after)];
        this.counted.sent += sent;
        this.counted.received += received;
        if (sent === 0) this.faults.push(`${what}: nothing was sent`);
        if (sent !== received) {
            const r = after.get(to)?.received ?? {};
            this.faults.push(`${what}: ${sent} packets sent by ${from.length}, ${received} received (lost ${r.lost}, rtx ${r.rtx}, duplicates ${r.duplicates})`);
        }
    }

    direct(random) {
        const relayed = random.chance(0.3);
        this.totals[relayed ? 'relayed' : 'direct']++;
        return new Direct(this, relayed);
    }

    group() {
        this.totals.groups++;
        return new Group(this);
    }

    figures() {
        return { ...this.totals, counted: this.counted };
    }

    books() {
        const { intervals, sent, received, disturbed } = this.counted;
        const { packets, sampled } = this.totals;
        const open = this.#used.size > 0 ? [`${this.#used.size} endpoints were not closed`] : [];
        return [
            {
                name: 'media',
                ok: this.faults.length === 0 && open.length === 0,
                text: `${packets} packets received, ${sampled} decrypted samples all good; in ${intervals} counted intervals ${sent} sent to receivers = ${received} received${disturbed ? `; ${disturbed} more were struck` : ''}`,
                faults: [...this.faults, ...open],
            },
        ];
    }

    async stop() {
        this.ending = true;
        await this.load.stop();
    }
}

const sentBy = (eps, before, after) => eps.reduce((n, ep) => n + media(after.get(ep)?.sent) - media(before.get(ep)?.sent), 0);
const receivedBy = (ep, before, after) => arrived(after.get(ep)?.received) - arrived(before.get(ep)?.received);
const missing = ({ to, from }, before, after) => sentBy(from, before, after) - receivedBy(to, before, after);

const media = (sent) => (sent ? sent.audio + sent.video : 0);
/** Each packet once, whether it came by itself or was asked for again. */
const arrived = (received) => (received ? received.media + received.rtx - received.duplicates : 0);

/** Two endpoints that speak to each other, by the host or through TURN. */
class Direct {
    constructor(media, relayed) {
        Object.assign(this, { media, path: relayed ? 'turn' : 'p2p', a: media.endpoint(), b: media.endpoint() });
    }

    /** What the endpoints are; a relayed one needs ICE servers, which the caller asks for beforehand as browsers do. */
    #options(iceServers) {
        const base = { audio: 1, video: 1, dir: 'sendrecv' };
        if (this.path === 'p2p') return { ...base, ice: 'lean' };
        return { ...base, ice: 'nice', policy: 'relay', ice_servers: relays(iceServers) };
    }

    async offer(iceServers) {
        this.offered = await this.media.load.offer(this.a, this.#options(iceServers)).catch(stuck('offer'));
        return this.offered;
    }

    async answer(iceServers) {
        return this.media.load.answer(this.b, this.offered, this.#options(iceServers)).catch(stuck('answer'));
    }

    async connect(sdp) {
        if (!sdp) throw new Stuck('call_accepted came without a description');
        this.media.load.remote(this.a, sdp);
        const [event] = await this.media.load.connected([this.a, this.b], CONNECT_MS).catch(stuck('media of two'));
        if (this.path === 'turn' && event.path !== 'relay') throw new Stuck(`a relayed call went by ${event.path}`);
        this.media.send([this.a, this.b]);
    }

    check() {
        const way = (to, from) => ({ to, from: [from], what: `a call of two by ${this.path}` });
        return this.media.count([way(this.b, this.a), way(this.a, this.b)], this.path === 'turn' ? ['coturn'] : []);
    }

    close() {
        return this.media.close([this.a, this.b]);
    }
}

/** TURN over UDP only: the other ways are other code of coturn's, not of ours. */
const relays = (iceServers) =>
    iceServers
        .filter((s) => s.credential)
        .map((s) => ({ ...s, urls: s.urls.filter((u) => /^turn:.*transport=udp/.test(u)) }))
        .filter((s) => s.urls.length > 0);

/** A call on the SFU: everybody publishes on one endpoint and hears and sees all others on another. */
class Group {
    #members = new Map();
    #off = [];

    constructor(media) {
        this.media = media;
    }

    async join(device, callId) {
        const member = { device, callId, publish: this.media.endpoint(), subscribe: this.media.endpoint(), gone: false };
        this.#members.set(device, member);
        this.#off.push(device.on('call_fallback', (d) => d.callId === callId && d.reason === 'sfu_restarted' && this.#again(member)));
        await this.#connect(member);
    }

    async #connect(member) {
        const { world, load } = this.media;
        const { device, callId } = member;
        const offer = await load.offer(member.publish, { audio: 1, video: 1, dir: 'sendonly', ice: 'lean' }).catch(stuck('publish'));
        const published = await act(world, callId, 'publish', device, 'sfu_publish', { sdp: offer });
        load.remote(member.publish, world.relays.media.divert(published.sdp));
        const subscribed = await act(world, callId, 'subscribe', device, 'sfu_subscribe', { audioSlots: 6, videoSlots: 6 });
        const answer = await load.answer(member.subscribe, world.relays.media.divert(subscribed.sdp), { ice: 'lean' }).catch(stuck('subscribe'));
        await act(world, callId, 'answer', device, 'sfu_answer', { sdp: answer });
        await load.connected([member.publish, member.subscribe], CONNECT_MS).catch(stuck('media on the SFU'));
        this.media.send([member.publish]);
    }

    /** The SFU was restarted: the same call goes on with new endpoints, as the contract asks. */
    #again(member) {
        if (member.gone) return;
        const before = member.again ?? Promise.resolve();
        member.again = before
            .then(async () => {
                const old = [member.publish, member.subscribe];
                Object.assign(member, { publish: this.media.endpoint(), subscribe: this.media.endpoint() });
                await this.media.close(old);
                if (member.gone) return;
                await this.#connect(member);
                this.media.totals.rejoins++;
            })
            .catch(() => {}); // the next check says it
    }

    /** Waits until everybody hears and sees somebody. */
    async flows() {
        const inside = [...this.#members.values()].filter((m) => !m.gone);
        await Promise.all(inside.map((m) => m.again));
        if (inside.length < 2) return [];
        for (const m of inside) {
            for (const kind of ['audio', 'video']) await this.media.load.media(m.subscribe, kind, CONNECT_MS).catch(stuck(`${kind} from the SFU`));
        }
        return inside;
    }

    /** Everybody hears and sees everybody; then it is counted. */
    async check() {
        const inside = await this.flows();
        if (inside.length === 0) return;
        await this.#flowing(inside);
        await this.media.count(inside.map((m) => ({ to: m.subscribe, from: inside.filter((o) => o !== m).map((o) => o.publish), what: `a group of ${inside.length}` })), ['sfud', 'media']);
    }

    /** Every subscriber gets all streams: two of everybody else's. */
    async #flowing(inside) {
        const eps = inside.map((m) => m.subscribe);
        const rate = async () => {
            const before = await this.media.of(eps);
            await sleep(400); // what is asked is how much comes in a stretch of time, so the time is the point
            const after = await this.media.of(eps);
            const share = (ep) => (after.get(ep)?.received?.media ?? 0) - (before.get(ep)?.received?.media ?? 0);
            return Math.min(...eps.map(share));
        };
        const least = (inside.length - 1) * 15; // audio alone is 20 packets of each in 400 ms
        if (!(await poll(async () => (await rate()) >= least, CONNECT_MS, 100))) throw new Stuck('not everybody gets everybody\'s media from the SFU');
    }

    async leave(device) {
        const member = this.#members.get(device);
        if (!member) return;
        member.gone = true;
        this.#members.delete(device);
        await member.again;
        await this.media.close([member.publish, member.subscribe]);
    }

    async close() {
        for (const off of this.#off) off();
        for (const device of [...this.#members.keys()]) await this.leave(device);
    }
}
