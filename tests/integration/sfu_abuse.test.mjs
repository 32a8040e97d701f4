// What strangers and broken clients send to sfud: dropped and counted, and the room notices nothing.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { stopwatch, watchMachine } from '../lib/machine.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { bindingRequest } from '../lib/stun.mjs';
import { until } from '../lib/stack.mjs';

let signald, sfud, port, ann, ben, socket;
const room = randomUUID();
const answers = [];

before(async () => {
    signald = new FakeSignald();
    await signald.listen();
    sfud = await startSfud(signald);
    port = await sfud.port();
    ann = await Peer.open(signald, room, 1);
    ann.answerSdp = await ann.publish();
    ben = await Peer.open(signald, room, 2);
    await ben.subscribe(1, 1);
    socket = createSocket('udp4');
    socket.on('message', (message) => answers.push(message));
    await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
});
after(async () => {
    socket.close();
    await closeBrowser();
    await sfud.stop();
    signald.close();
});

const send = (message) => new Promise((resolve) => socket.send(message, port, '127.0.0.1', resolve));

/** Sends, waits until the counter has grown by at least `by`, and checks that nothing was answered and the room goes on. */
async function dropped(name, labels, messages, by = messages.length) {
    const before = await sfud.metric(name, labels);
    answers.length = 0;
    for (const message of messages) await send(message);
    await until(`${name}{${labels ?? ''}} counts ${by}`, async () => (await sfud.metric(name, labels)) >= before + by);
    assert.equal(answers.length, 0, 'no answer to a stranger');
    await goesOn();
}

async function goesOn() {
    const first = await ben.received();
    await until('pictures go on', async () => (await ben.received()).v0?.frames > (first.v0?.frames ?? 0) + 2);
}

const drops = 'sotto_sfu_dropped_packets_total';
const credentials = (sdp) => [/a=ice-ufrag:(\S+)/.exec(sdp)[1], /a=ice-pwd:(\S+)/.exec(sdp)[1]];

test('STUN with a wrong password, an unknown user, or broken', async () => {
    const [ufrag, pwd] = credentials(ann.answerSdp);
    await dropped('sotto_sfu_stun_auth_failures_total', undefined, [bindingRequest(`${ufrag}:peer`, 'not the password, but long enough'), bindingRequest('nobody00:peer', pwd)]);
    const broken = bindingRequest(`${ufrag}:peer`, pwd);
    broken[broken.length - 1] ^= 1; // the fingerprint's last byte
    await dropped('sotto_sfu_stun_malformed_total', undefined, [broken]);
    const noUser = Buffer.concat([Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), randomBytes(12)]);
    await dropped('sotto_sfu_stun_malformed_total', undefined, [noUser]);
});

test('RTP, RTCP and DTLS from an unknown address', async () => {
    const rtp = Buffer.concat([Buffer.from([0x80, 96]), randomBytes(200)]);
    const rtcp = Buffer.concat([Buffer.from([0x80, 200, 0, 6]), randomBytes(40)]);
    const hello = Buffer.concat([Buffer.from([22, 0xfe, 0xfd]), randomBytes(100)]);
    await dropped(drops, 'reason="unknown_address"', [rtp, rtcp, hello]);
});

test('datagrams that are nothing', async () => {
    await dropped(drops, 'reason="unknown_kind"', [Buffer.from([200]), Buffer.from([70, 1, 2, 3]), randomBytes(600).fill(255, 0, 1)]);
    await dropped(drops, 'reason="too_large"', [Buffer.alloc(3000, 0x80)]);
});

test('media before keys and DTLS garbage after a good check make no trouble', async () => {
    const { sdp } = await signald.request('subscribe', { room, participant: 77, audioSlots: 1, videoSlots: 1 });
    const [ufrag, pwd] = credentials(sdp);
    answers.length = 0;
    await send(bindingRequest(`${ufrag}:peer`, pwd));
    await until('the check is answered', () => answers.length > 0);
    await dropped(drops, 'reason="no_keys"', [Buffer.concat([Buffer.from([0x80, 96]), randomBytes(200)])]);
    const failures = await sfud.metric('sotto_sfu_dtls_failures_total');
    for (let i = 0; i < 20; i++) await send(Buffer.concat([Buffer.from([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, i, 0, 100]), randomBytes(100)]));
    await goesOn();
    assert.ok(await sfud.metric('sotto_sfu_dtls_failures_total') <= failures + 1);
    await signald.request('leave', { room, participant: 77 });
});

test('DTLS with another fingerprint than the SDP said', async () => {
    const mallory = await Peer.open(signald, room, 3);
    const failures = await sfud.metric('sotto_sfu_dtls_failures_total');
    await mallory.publish({
        munge: (sdp) => sdp.replaceAll(/(a=fingerprint:sha-256 )(..)/g, (_, head, byte) => head + (byte === 'AA' ? 'BB' : 'AA')),
    });
    await until('it is refused', () => signald.last('disconnected', (e) => e.participant === 3));
    assert.equal(await sfud.metric('sotto_sfu_dtls_failures_total'), failures + 1);
    assert.ok(!signald.last('connected', (e) => e.participant === 3));
    await mallory.close();
    await goesOn();
});

test('requests that are none', async () => {
    const refused = (t, members, code) => assert.rejects(signald.request(t, members), { code });
    await refused('publish', { room, participant: 9, sdp: 'v=0' }, 'bad_request');
    await refused('publish', { room, participant: 9, sdp: 'nonsense' }, 'bad_request');
    await refused('publish', { room, participant: 0, sdp: 'v=0' }, 'bad_request');
    await refused('publish', { room: 'no-uuid', participant: 9, sdp: 'v=0' }, 'bad_request');
    await refused('subscribe', { room, participant: 9, audioSlots: 0, videoSlots: 0 }, 'bad_request');
    await refused('answer', { room, participant: 9, sdp: 'v=0' }, 'not_participant');
    await refused('answer', { room, participant: 2, sdp: 'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n' }, 'bad_request');
    await refused('dance', { room, participant: 9 }, 'bad_request');
    await signald.request('leave', { room, participant: 999 }); // leaving twice is no error
    await signald.request('close', { room: randomUUID() });
    signald.raw('{"t":"publish","id":');
    signald.raw('[]');
    await goesOn();
    assert.equal(await sfud.metric('sotto_sfu_rooms'), 1, 'nothing was left behind');
});

test('an address that takes part in one call cannot be taken by guessing', async () => {
    // A flood of checks with random users from one socket: counted, and no state for any of them.
    const transports = await sfud.metric('sotto_sfu_transports');
    const knocks = Array.from({ length: 200 }, () => bindingRequest(`${randomBytes(6).toString('base64')}:peer`, 'x'.repeat(32)));
    await dropped('sotto_sfu_stun_auth_failures_total', undefined, knocks, 100); // the kernel may lose some
    assert.equal(await sfud.metric('sotto_sfu_transports'), transports);
});

// ---- floods, and the pair in the room loses nothing ----

/**
 * Does it, and checks that no packet of the pair was lost meanwhile, no picture froze, and everything goes on. What a machine loses
 * that has no time for its sockets, or for a picture, is not what is asked.
 */
async function unnoticed(act) {
    const sum = (received, key) => Object.values(received).reduce((n, r) => n + r[key], 0);
    const before = await ben.received();
    const machine = watchMachine();
    await act();
    await goesOn();
    const now = await ben.received();
    const { full, calm, text } = machine.end();
    for (const [key, judged] of [['lost', full === 0], ['freezes', calm]]) {
        if (judged) assert.equal(sum(now, key), sum(before, key), key);
        else if (sum(now, key) !== sum(before, key)) console.log(`not judged: ${sum(now, key) - sum(before, key)} ${key}; ${text}`);
    }
}

/** In gusts, each of which has left before the next: what is flooded is sfud, not this process. */
async function flood(messages, from = socket) {
    for (let i = 0; i < messages.length; i += 100) {
        await Promise.all(messages.slice(i, i + 100).map((m) => new Promise((resolve) => from.send(m, port, '127.0.0.1', resolve))));
    }
}

test('a flood of checks that know the user but not the password: so many are looked at, and no more', async () => {
    const [ufrag] = credentials(ann.answerSdp);
    const refused = await sfud.metric('sotto_sfu_refused_total', 'what="stun_rate"');
    answers.length = 0;
    await unnoticed(() => flood(Array.from({ length: 5000 }, () => bindingRequest(`${ufrag}:peer`, 'x'.repeat(32)))));
    await until('the rate is counted', async () => (await sfud.metric('sotto_sfu_refused_total', 'what="stun_rate"')) >= refused + 1000);
    assert.equal(answers.length, 0);
});

test('no answer is larger than its question, however small that is', async () => {
    const { sdp } = await signald.request('subscribe', { room, participant: 79, audioSlots: 1, videoSlots: 1 });
    const [ufrag, pwd] = credentials(sdp);
    await until('strangers have their rate again', async () => {
        answers.length = 0;
        await send(bindingRequest(`${ufrag}:p`, pwd));
        return until('an answer', () => answers.length > 0, 500).catch(() => false);
    });
    assert.ok(answers.every((a) => a.length <= bindingRequest(`${ufrag}:p`, pwd).length));
    await signald.request('leave', { room, participant: 79 });
});

test('DTLS fragments that never end', async () => {
    const { sdp } = await signald.request('subscribe', { room, participant: 80, audioSlots: 1, videoSlots: 1 });
    const [ufrag, pwd] = credentials(sdp);
    const own = createSocket('udp4');
    own.on('message', (message) => answers.push(message));
    answers.length = 0;
    await flood([bindingRequest(`${ufrag}:peer`, pwd)], own);
    await until('the check is answered', () => answers.length > 0);
    const fragment = (i) => {
        const body = Buffer.alloc(112);
        body.set([1, i % 2, 255, 255, 0, i % 7, (i >> 8) & 255, i & 255, 0, 0, 0, 100]); // ClientHello of 130,000 bytes, a hundred of them
        return Buffer.concat([Buffer.from([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, (i >> 8) & 255, i & 255, 0, body.length]), body]);
    };
    await unnoticed(() => flood(Array.from({ length: 3000 }, (_, i) => fragment(i)), own));
    own.close();
    await signald.request('leave', { room, participant: 80 });
});

const framed = (data) => Buffer.concat([Buffer.from([data.length >> 8, data.length & 255]), data]);

test('connections that say nothing, half of something, nonsense, or checks of nobody', async () => {
    const closed = () => sfud.metric('sotto_sfu_tcp_closed_total', 'reason="unproven"');
    const before = await closed();
    const [ufrag, pwd] = credentials(ann.answerSdp);
    const says = [
        () => null,
        () => Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        () => framed(Buffer.alloc(100, 0x80)),
        () => framed(bindingRequest('nobody00:peer', 'x'.repeat(32))),
        () => framed(bindingRequest(`${ufrag}:peer`, pwd)).subarray(0, -1), // all but its last byte
        () => Buffer.from([8]), // half of a length
        () => Buffer.from([0xff, 0xff, 0, 1]), // longer than any packet
    ];
    await unnoticed(async () => {
        const ends = Array.from({ length: 200 }, (_, i) => new Promise((resolve) => {
            const tcp = connect(port, '127.0.0.1', () => {
                const first = says[i % says.length]();
                if (first) tcp.write(first);
            });
            tcp.on('error', () => {}).on('close', resolve).resume();
        }));
        await Promise.all(ends);
    });
    await until('they are counted', async () => (await closed()) >= before + 200);
    await until('none is kept', async () => (await sfud.metric('sotto_sfu_tcp_connections')) === 0);
});

test('connections that are reset behind a good check: nobody is bound to what is gone', async () => {
    const accepted = () => sfud.metric('sotto_sfu_tcp_accepted_total');
    const before = await accepted();
    await unnoticed(async () => {
        for (let i = 0; i < 50; i++) {
            const { sdp } = await signald.request('subscribe', { room, participant: 81, audioSlots: 1, videoSlots: 1 });
            const [ufrag, pwd] = credentials(sdp);
            await new Promise((resolve) => {
                const tcp = connect(port, '127.0.0.1', () => tcp.write(framed(bindingRequest(`${ufrag}:peer`, pwd)), () => tcp.resetAndDestroy()));
                tcp.on('error', () => {}).on('close', resolve);
            });
        }
    });
    await signald.request('leave', { room, participant: 81 });
    await until('they came', async () => (await accepted()) >= before + 50);
    await until('none is kept', async () => (await sfud.metric('sotto_sfu_tcp_connections')) === 0);
});

// ---- descriptions ----

/** An offer (or answer) of that many m-lines, of that many bytes each. */
const lines = (n, line) => `v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n${`${line}\r\n`.repeat(n)}`;
const VIDEO = 'm=video 9 UDP/TLS/RTP/SAVPF 96';
const MONSTERS = {
    'thousands of m-lines': lines(2000, VIDEO),
    'as many, each a track': lines(400, `${VIDEO}\r\na=mid:1\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\na=ssrc:1 cname:c\r\na=rtcp-mux`),
    'thousands of attributes of one m-line': lines(1, `${VIDEO}\r\n${'a=rtpmap:96 VP8/90000\r\n'.repeat(2700)}a=x`),
    'thousands of SSRCs': lines(1, `${VIDEO}\r\n${Array.from({ length: 2600 }, (_, i) => `a=ssrc:${i + 1} cname:c`).join('\r\n')}`),
    'one line without an end': `v=0\r\na=${'x'.repeat(60_000)}`,
    'too large a text': lines(1, `${VIDEO}\r\na=${'y'.repeat(100_000)}`),
    'binary': `v=0\r\n${String.fromCharCode(...Array.from({ length: 5000 }, (_, i) => ((i * 7) % 255) + 1))}`,
};

for (const [what, sdp] of Object.entries(MONSTERS)) {
    test(`a description of ${what}: refused, counted, at once`, async () => {
        const refused = () => sfud.metric('sotto_sfu_refused_total', 'what="request"');
        const [before, rooms, clock] = [await refused(), await sfud.metric('sotto_sfu_rooms'), stopwatch()];
        const asked = { publish: 82, watch: 83, answer: 2 };
        await unnoticed(async () => {
            for (const [t, participant] of Object.entries(asked)) {
                for (let i = 0; i < 10; i++) await assert.rejects(signald.request(t, { room, participant, sdp }), { code: /^(bad_request|too_large)$/ });
            }
        });
        assert.equal((await refused()) - before, 30);
        clock.within(10_000, 'refused');
        assert.equal(await sfud.metric('sotto_sfu_rooms'), rooms);
    });
}

test('small checks of many addresses: their bookkeeping is bounded', async () => {
    const size = () => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${sfud.pid}/status`, 'utf8'))[1]);
    const [ufrag] = credentials(ann.answerSdp);
    const gust = async () => {
        for (let i = 0; i < 20; i++) {
            const one = createSocket('udp4');
            await new Promise((resolve) => one.bind(0, `127.0.${i + 1}.1`, resolve)); // another /24 each
            await flood(Array.from({ length: 100 }, () => bindingRequest(`${ufrag}:peer`, 'x'.repeat(32))), one);
            one.close();
        }
    };
    await unnoticed(gust);
    const before = size();
    await unnoticed(gust);
    if (!/lib[at]san/.test(readFileSync(`/proc/${sfud.pid}/maps`, 'utf8'))) assert.ok(size() - before < 1024, `${size() - before} KiB`);
});
