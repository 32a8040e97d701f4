// sotto-load-xmpp against an XMPP server that is made to fail: what is lost, doubled, or late is counted, and the latencies
// of the open loop hold what a stall kept waiting.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { faultOf } from '../../bench/lib/messages.mjs';
import { useLogDir } from '../../bench/lib/proc.mjs';
import { CpuMeter, XmppLoad } from '../../bench/lib/xmpp_load.mjs';

const build = process.env.SOTTO_TEST_BUILD || new URL('../../build', import.meta.url).pathname;
const skip = existsSync(join(build, 'bench/sotto-load-xmpp')) ? false : 'bench_programs are not built';
const attribute = (xml, name) => new RegExp(`\\b${name}=['"]([^'"]*)`).exec(xml)?.[1] ?? '';

/**
 * An XMPP server of a few lines: PLAIN, binding, messages, one room after another, pings, and archives of `archived` messages.
 * deliver(number, send): what becomes of the n-th message.
 */
class FakeServer {
    domain = 'fake.test';
    roomService = 'rooms.fake.test';
    archived = 0;
    messages = 0;
    deliver = (number, send) => send();
    #users = new Map();
    #rooms = new Map();

    static async start() {
        const fake = new FakeServer();
        fake.server = new WebSocketServer({ host: '127.0.0.1', port: 0, handleProtocols: () => 'xmpp' });
        fake.server.on('connection', (socket) => fake.#serve(socket));
        await new Promise((resolve) => fake.server.once('listening', resolve));
        fake.wsUrl = `ws://127.0.0.1:${fake.server.address().port}/ws`;
        return fake;
    }
    user = () => ({ password: 'secret' });
    pids = () => [process.pid];
    stop() {
        for (const client of this.server.clients) client.terminate();
        return new Promise((resolve) => this.server.close(resolve));
    }

    #serve(socket) {
        const session = { socket, name: null };
        socket.on('message', (data) => this.#take(session, String(data)));
    }

    #take(session, xml) {
        const say = (text) => session.socket.send(text);
        if (xml.startsWith('<open')) {
            say("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>");
            say("<stream:features xmlns:stream='http://etherx.jabber.org/streams'><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>");
        } else if (xml.startsWith('<auth')) {
            session.name = Buffer.from(/>([^<]+)</.exec(xml)[1], 'base64').toString().split('\0')[1];
            this.#users.set(`${session.name}@${this.domain}`, session);
            say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        } else if (xml.startsWith('<iq')) {
            this.#query(session, xml, say);
        } else if (xml.startsWith('<presence') && attribute(xml, 'to')) {
            this.#join(session, attribute(xml, 'to'), say);
        } else if (xml.startsWith('<message')) {
            this.#route(xml);
        }
    }

    #query(session, xml, say) {
        const id = attribute(xml, 'id');
        if (xml.includes('xmpp-bind')) return say(`<iq type='result' id='${id}'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>${session.name}@${this.domain}/load</jid></bind></iq>`);
        if (!xml.includes('urn:xmpp:mam:2')) return say(`<iq type='result' id='${id}'/>`);
        const after = Number(/<after>(\d+)/.exec(xml)?.[1] ?? 0);
        const last = Math.min(this.archived, after + Number(/<max>(\d+)/.exec(xml)[1]));
        for (let n = after + 1; n <= last; n++) {
            say(`<message><result xmlns='urn:xmpp:mam:2' queryid='${attribute(xml, 'queryid') || id}' id='${n}'><forwarded xmlns='urn:xmpp:forward:0'><message id='m${n}' type='chat'><body>b</body></message></forwarded></result></message>`);
        }
        const complete = last === this.archived ? " complete='true'" : '';
        return say(`<iq type='result' id='${id}'><fin xmlns='urn:xmpp:mam:2'${complete}><set xmlns='http://jabber.org/protocol/rsm'><last>${last}</last></set></fin></iq>`);
    }

    #join(session, to, say) {
        const room = to.split('/')[0];
        this.#rooms.set(room, [...(this.#rooms.get(room) ?? []), session]);
        say(`<presence from='${to}'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>`);
    }

    #route(xml) {
        const to = attribute(xml, 'to');
        const members = this.#rooms.get(to) ?? [this.#users.get(to)];
        this.deliver(++this.messages, () => members.forEach((member) => member.socket.send(xml)));
    }
}

let ctx;
let undo;
let fake;
beforeEach(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-xmpp-'));
    chmodSync(dir, 0o755);
    useLogDir(dir);
    undo = [];
    ctx = { dir, build, cpus: {}, defer: (fn) => undo.push(fn), step: () => {}, smoke: true };
    fake = await FakeServer.start();
});
afterEach(async () => {
    for (const fn of undo.reverse()) await fn();
    await fake.stop();
    rmSync(ctx.dir, { recursive: true, force: true });
});
const meter = () => new CpuMeter({ server: () => [process.pid] });
/** The most that an open loop may send in its window: what was due in it, and what had become due before and was sent late. */
const mostDue = (rate, { window_s, late_ms }) => rate * (window_s + late_ms / 1000) + 2;
const begin = (options) => XmppLoad.start(ctx, fake, { managed: 0, ...options });

test('direct, as many as go: each sender has so many under way, all arrive', { skip }, async () => {
    const load = await begin({ mode: 'direct', clients: 4 });
    const { done, cpu } = await load.run({ window: 3, warmup: 0.1, seconds: 0.4 }, meter());
    assert.equal(faultOf(done), null);
    assert.ok(done.delivered > 0 && Math.abs(done.sent - done.delivered) <= 12, `${done.sent} sent, ${done.delivered} delivered`);
    assert.ok(cpu.server >= 0 && cpu.window_s > 0);
    assert.equal(done.latency.delivery.count, done.sent);
    const again = await load.run({ rate: 200, warmup: 0.1, seconds: 0.5 }, meter());
    assert.ok(again.done.sent > 0 && again.done.sent <= mostDue(200, again.done), `${again.done.sent} of about 100, up to ${again.done.late_ms} ms late`);
    assert.equal(again.done.latency.delivery.count, again.done.sent);
    assert.ok(again.done.latency.ack.count >= Math.floor(again.done.sent / 16) - 1, 'one in 16 is followed by a ping');
});

test('what is dropped is lost, what comes twice is told', { skip }, async () => {
    const load = await begin({ mode: 'direct', clients: 2 });
    fake.deliver = (number, send) => (number % 10 === 0 ? send() || send() : send());
    const doubled = await load.run({ rate: 200, warmup: 0, seconds: 0.4 }, meter());
    assert.ok(doubled.done.strangers > 0, `${doubled.done.strangers} came twice`);
    assert.match(faultOf(doubled.done), /twice/);
    let dropped = 0;
    fake.deliver = (number, send) => (number % 10 === 0 ? void dropped++ : send());
    const { done } = await load.run({ rate: 200, warmup: 0, seconds: 0.4 }, meter());
    assert.equal(done.lost, dropped);
    assert.match(faultOf(done), /missing/);
});

test('a room: one message is as many deliveries as members', { skip }, async () => {
    const load = await begin({ mode: 'room', clients: 10, members: 5 });
    const { done } = await load.run({ rate: 100, warmup: 0.1, seconds: 0.4 }, meter());
    assert.equal(faultOf(done), null);
    assert.ok(done.sent > 0 && done.sent <= mostDue(100, done), `${done.sent} of about 40, up to ${done.late_ms} ms late`);
    assert.equal(done.latency.delivery.count, done.sent * 5);
    assert.equal(done.latency.ack.count, done.sent, 'its own echo tells the sender');
    const full = await load.run({ window: 2, warmup: 0.1, seconds: 0.3 }, meter());
    assert.equal(faultOf(full.done), null);
    assert.ok(full.done.delivered >= 5 * (full.done.sent - 4));
});

test('recovery: whole archives page by page; one message less is told', { skip }, async () => {
    fake.archived = 95;
    const load = await begin({ mode: 'recovery', clients: 3, page: 30, expect: 95 });
    const { done } = await load.run({ window: 2, warmup: 0.1, seconds: 0.4 }, meter());
    assert.equal(faultOf(done), null);
    assert.ok(done.recoveries > 0 && done.delivered >= (done.recoveries - 2) * 95, `${done.recoveries} recoveries, ${done.delivered} messages`);
    fake.archived = 94;
    const short = await load.run({ window: 1, warmup: 0, seconds: 0.2 }, meter());
    assert.ok(short.done.lost >= short.done.recoveries && short.done.lost > 0);
    assert.match(faultOf(short.done), /missing/);
});

test('a stall is in the latencies of all that were due meanwhile', { skip }, async () => {
    const load = await begin({ mode: 'direct', clients: 4 });
    let stalled = false;
    fake.deliver = (number, send) => {
        if (number === 60 && !stalled) {
            stalled = true;
            for (const end = performance.now() + 200; performance.now() < end; );
        }
        send();
    };
    const { done } = await load.run({ rate: 200, warmup: 0, seconds: 1 }, meter());
    const { count, max, cdf } = done.latency.delivery;
    assert.ok(max > 180_000, `the longest took ${max} µs`);
    // 40 were due in the stall; who waits for answers would have sent 4. Whoever is slow adds to the long ones only.
    const long = count * (1 - (cdf.find(([us]) => us >= 50_000)?.[1] ?? 1));
    assert.ok(long > 3 * 4, `${long} of ${count} waited`);
});

test('a server that refuses, and one that goes away, end it with a word', { skip }, async () => {
    fake.user = () => ({ password: 'x' });
    const load = await begin({ mode: 'direct', clients: 2 });
    const running = load.run({ rate: 50, warmup: 0.1, seconds: 5 }, meter());
    setTimeout(() => fake.server.clients.forEach((client) => client.terminate()), 300);
    await assert.rejects(running, /session u\d ended/);
    await fake.stop();
    await assert.rejects(begin({ mode: 'direct', clients: 2 }), /session u\d ended/);
    fake = await FakeServer.start();
});

test('wrong options are refused', { skip }, async () => {
    await assert.rejects(begin({ mode: 'direct', clients: 3 }), /xmpp_load\.h/);
    await assert.rejects(begin({ mode: 'room', clients: 10, members: 3 }), /xmpp_load\.h/);
    await assert.rejects(begin({ mode: 'rooms' }), /xmpp_load\.h/);
    await assert.rejects(begin({ mode: 'direct', clients: 'many' }), /--clients wants a number/);
});
