// Somebody who is in the room by right turns on it: his storms are bounded and counted, the pair beside him misses no packet, and
// sfud grows no larger. What is sent, and how, is in sfu_abuse_insider.py; the table of all attacks is in docs/operations.md.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { watchMachine } from '../lib/machine.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

const DROPPED = 'sotto_sfu_dropped_packets_total';
const room = randomUUID();
let signald, sfud, ann, ben, mallory;

/** sfu_abuse_insider.py. */
class Insider {
    #answers = [];
    #errors = '';

    constructor() {
        this.child = spawn(process.env.SOTTO_TEST_PYTHON || '/usr/bin/python3', [new URL('sfu_abuse_insider.py', import.meta.url).pathname], {
            stdio: ['pipe', 'pipe', 'pipe'],
            env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
        });
        this.child.stderr.on('data', (text) => (this.#errors += text));
        createInterface({ input: this.child.stdout }).on('line', (line) => this.#answers.shift()?.resolve(JSON.parse(line)));
        this.exited = new Promise((resolve) => this.child.once('exit', resolve));
        this.exited.then((code) => this.#answers.splice(0).forEach((a) => a.reject(new Error(`the insider ended with ${code}\n${this.#errors}`))));
    }

    async ask(command) {
        this.child.stdin.write(`${JSON.stringify(command)}\n`);
        const answer = await new Promise((resolve, reject) => this.#answers.push({ resolve, reject }));
        assert.equal(answer.error, undefined);
        return answer;
    }

    /** A peer connection of his; `request` is what answers its offer. */
    async join(way, request, participant) {
        const { sdp } = await this.ask({ do: 'offer', way });
        await this.ask({ do: 'answer', way, sdp: (await signald.request(request, { room, participant, sdp })).sdp });
    }

    storm(way, what, n) {
        return this.ask({ do: 'storm', way, what, n });
    }

    async close() {
        this.child.stdin.end();
        assert.equal(await this.exited, 0, this.#errors);
    }
}

before(async () => {
    signald = new FakeSignald();
    await signald.listen();
    sfud = await startSfud(signald, { publisher_packets: 1000 });
    ann = await Peer.open(signald, room, 1);
    await ann.publish();
    ben = await Peer.open(signald, room, 2);
    await ben.subscribe(1, 1);
    await goesOn();
    mallory = new Insider();
    await mallory.join('publish', 'publish', 3);
    await mallory.join('watch', 'watch', 4);
});
after(async () => {
    await mallory?.close();
    await closeBrowser();
    await sfud.stop();
    signald.close();
});

async function goesOn() {
    const first = await ben.received();
    await until('ben sees ann go on', async () => {
        const { v0 } = await ben.received();
        return v0?.from.includes(1) && v0.frames > (first.v0?.frames ?? 0) + 3;
    });
}

/** Does it; ben lost nothing of ann's meanwhile. Returns how long it took, in seconds. */
async function unnoticed(act) {
    await goesOn();
    const before = await ben.received(), start = performance.now(), machine = watchMachine();
    await act();
    const seconds = (performance.now() - start) / 1000;
    await goesOn();
    const now = await ben.received();
    const { full, text } = machine.end();
    // What a machine loses that has no time for its sockets is not what is asked.
    if (full > 0) console.log(`not judged: ${text}`);
    else for (const mid of Object.keys(before)) assert.equal(now[mid].lost, before[mid].lost, `${mid} lost`);
    return seconds;
}

const total = async (counters) => (await Promise.all(counters.map(([name, labels]) => sfud.metric(name, labels)))).reduce((a, b) => a + b);
const dropped = (...reasons) => reasons.map((reason) => [DROPPED, `reason="${reason}"`]);

/** The storm, unnoticed, and counted: at least that share of it. Returns the seconds that it took. */
async function storm(way, what, n, counters, share = 0.5) {
    const before = await total(counters);
    const seconds = await unnoticed(() => mallory.storm(way, what, n));
    await until(`${what} is counted`, async () => (await total(counters)) >= before + n * share);
    return seconds;
}

const REFUSED = [
    // what, who, counted as, at least this share of it
    ['replay', 'publish', dropped('srtp_replay')],
    ['wrong_key', 'publish', dropped('srtp_auth')],
    ['padding', 'publish', dropped('malformed')],
    ['headers', 'publish', dropped('malformed', 'srtp_auth')],
    ['elements', 'publish', dropped('malformed')],
    ['reports', 'publish', dropped('malformed'), 0.3],
    ['reports', 'watch', dropped('malformed'), 0.3],
    ['twcc', 'watch', dropped('malformed'), 0.3],
    ['ssrcs', 'publish', dropped('unknown_ssrc')], // behind the reports: a peer connection has so many SSRCs, and then no more
];

for (const [what, way, counters, share] of REFUSED) {
    test(`${what} of one who ${way}es: dropped and counted`, () => storm(way, what, 1500, counters, share));
}

test('a publisher is taken so many packets a second, and no more', async (t) => {
    const counted = () => total(dropped('publisher_rate'));
    const [forwarded, before] = [await sfud.metric('sotto_sfu_forwarded_packets_total'), await counted()];
    const seconds = await unnoticed(() => mallory.storm('publish', 'flood', 6000));
    if (seconds > 4) return t.diagnostic(`${seconds} s: that was no flood`); // he was not given the time for one
    await until('the flood is counted', async () => (await counted()) >= before + 600);
    assert.ok((await sfud.metric('sotto_sfu_forwarded_packets_total')) - forwarded < 1000 * (seconds + 2) * 2 + 6000);
});

test('NACK storms on video: so many retransmissions a second, and no more', async () => {
    const received = ['sotto_sfu_nacks_total', 'direction="received"'], rtx = ['sotto_sfu_rtx_packets_total', 'direction="sent"'];
    const before = await sfud.metric(...rtx), start = performance.now();
    await storm('watch', 'nacks', 1000, [received], 100);
    const sent = (await sfud.metric(...rtx)) - before;
    const seconds = (performance.now() - start) / 1000;
    assert.ok(sent > 0, 'what is there is sent');
    assert.ok(sent <= 300 + 1000 * seconds, `${sent} in ${seconds} s`); // SUBSCRIBER_RESENDS_BURST, _SECOND
});

test('PLI and FIR storms on video: the publisher is asked twice a second at most', async () => {
    const received = ['sotto_sfu_plis_total', 'direction="received"'], sent = ['sotto_sfu_plis_total', 'direction="sent"'];
    const before = await sfud.metric(...sent), asked = (await ann.sent()).video.plis, start = performance.now();
    await storm('watch', 'plis', 500, [received], 20);
    const [passed, came] = [(await sfud.metric(...sent)) - before, (await ann.sent()).video.plis - asked];
    const seconds = (performance.now() - start) / 1000;
    const most = seconds / 0.5 + 2; // PLI_MIN_INTERVAL_US
    assert.ok(passed >= 1, 'one is passed on');
    assert.ok(passed <= most, `${passed} in ${seconds} s`);
    assert.ok(came <= most);
});

const TAKEN = [
    // what can be taken, and is worth nothing
    ['extensions', 'publish'],
    ['jumps', 'publish'],
    ['remb', 'watch'], // the last: no bandwidth is no pictures
];
for (const [what, way] of TAKEN) {
    test(`${what}: taken as they are, and nobody notices`, () => storm(way, what, 1000, [['sotto_sfu_received_packets_total']], 0.9));
}

/** Bytes that sfud holds; null where a sanitizer keeps what was freed. */
function held() {
    if (/lib[at]san/.test(readFileSync(`/proc/${sfud.pid}/maps`, 'utf8'))) return null;
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${sfud.pid}/status`, 'utf8'))[1]) * 1024;
}

test('all of it once more takes no more memory', async (t) => {
    const storms = [...REFUSED, ...TAKEN, ['flood', 'publish'], ['nacks', 'watch'], ['plis', 'watch']];
    const before = held();
    await unnoticed(async () => {
        for (const [what, way] of storms) await mallory.storm(way, what, 1500);
    });
    if (before === null) return; // what matters then is said when it ends
    const grown = held() - before;
    t.diagnostic(`sfud grew by ${grown} of ${before} bytes`);
    assert.ok(grown < 2 ** 20, `${grown} bytes`);
});
