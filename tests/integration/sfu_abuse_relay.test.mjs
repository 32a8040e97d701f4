// The relay's port among strangers, and somebody on the way between two nodes who keeps, changes and repeats what passes: all of
// it is refused and counted, and those who are watched over the link notice nothing.
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { watchMachine } from '../lib/machine.mjs';
import { FakeSignald, startSfud } from '../lib/sfu.mjs';
import { Peer, closeBrowser } from '../lib/sfu_pages.mjs';
import { until } from '../lib/stack.mjs';

const dir = mkdtempSync(join(tmpdir(), 'sotto-abuse-'));
const room = randomUUID();
const REFUSED = 'sotto_sfu_relay_refused_total';
let home, branch, way, ann, ben;

class Node {
    constructor(name) {
        this.name = name;
    }

    async start() {
        this.signald = new FakeSignald();
        await this.signald.listen();
        const secret = join(dir, 'secret');
        this.sfud = await startSfud(this.signald, { node: this.name, relay_address: '127.0.0.1', relay_port: 0, relay_secret_file: secret });
        return this;
    }

    async relay(node, port, isBranch) {
        return (await this.signald.request('relay', { room, node: node.name, branch: isBranch, ...(port && { address: '127.0.0.1', port }) })).port;
    }

    async stop() {
        await this.sfud.stop();
        this.signald.close();
    }
}

/** Between two ports: each end takes the way for the other. `meddle(datagram, send, to)` sees all that passes to that one. */
class Way {
    meddle = null;
    passed = 0;

    async open() {
        this.ends = await Promise.all([0, 1].map((i) => this.#end(i)));
        this.ports = this.ends.map((end) => end.address().port);
        this.to = [0, 0]; // the real ports
    }

    async #end(i) {
        const socket = createSocket('udp4');
        socket.on('message', (datagram) => {
            const send = (what) => this.ends[1 - i].send(what, this.to[1 - i], '127.0.0.1');
            this.passed++;
            send(datagram);
            this.meddle?.(datagram, send, 1 - i);
        });
        await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
        return socket;
    }

    close() {
        for (const end of this.ends) end.close();
    }
}

before(async () => {
    writeFileSync(join(dir, 'secret'), randomBytes(48).toString('base64'), { mode: 0o600 });
    [home, branch] = await Promise.all([new Node('home').start(), new Node('branch').start()]);
    way = new Way();
    await way.open();
    way.to[1] = await home.relay(branch, 0, false); // the branch takes ports[0] for the home, the home ports[1] for the branch
    way.to[0] = await branch.relay(home, way.ports[0], true);
    await home.relay(branch, way.ports[1], false);
    ann = await Peer.open(home.signald, room, 1);
    await ann.publish();
    ben = await Peer.open(branch.signald, room, 2);
    await ben.subscribe(1, 1);
    await goesOn();
});
after(async () => {
    await closeBrowser();
    await Promise.all([home.stop(), branch.stop()]);
    way.close();
    rmSync(dir, { recursive: true });
});

async function goesOn() {
    const first = await ben.received();
    await until('ben sees ann over the link', async () => {
        const { v0 } = await ben.received();
        return v0?.from.includes(1) && v0.frames > (first.v0?.frames ?? 0) + 5;
    }, 20_000);
}

/** Does it; ben loses nothing meanwhile, the link stays, and `by` datagrams at least are counted by that node. */
async function refused(node, by, act) {
    const before = await node.sfud.metric(REFUSED), seen = await ben.received(), machine = watchMachine();
    await act();
    await until(`${by} are counted`, async () => (await node.sfud.metric(REFUSED)) >= before + by());
    await goesOn();
    const now = await ben.received();
    const { full, text } = machine.end();
    // What a machine loses that has no time for its sockets is not what is asked.
    if (full > 0) console.log(`not judged: ${text}`);
    else for (const mid of Object.keys(seen)) assert.equal(now[mid].lost, seen[mid].lost, mid);
    for (const n of [home, branch]) assert.equal(await n.sfud.metric('sotto_sfu_relay_links'), 1, n.name);
}

/** Until so many more have passed. */
const pass = async (n) => {
    const from = way.passed;
    await until(`${n} pass`, () => way.passed >= from + n, 20_000);
};

test('strangers at the port: hellos, frames and noise', async () => {
    const socket = createSocket('udp4'), answers = [];
    socket.on('message', (m) => answers.push(m));
    const kinds = [randomBytes(101), Buffer.concat([Buffer.from('53520101', 'hex'), randomBytes(97)]), Buffer.concat([Buffer.from('53520102', 'hex'), randomBytes(200)]), Buffer.alloc(1), Buffer.alloc(1600, 0x53)];
    const sent = 2000;
    await refused(home, () => sent / 2, async () => {
        for (let i = 0; i < sent; i += 50) {
            const gust = Array.from({ length: 50 }, (_, k) => kinds[(i + k) % kinds.length]);
            await Promise.all(gust.map((m) => new Promise((resolve) => socket.send(m, way.to[1], '127.0.0.1', resolve))));
        }
    });
    assert.equal(answers.length, 0, 'no answer to a stranger');
    socket.close();
});

test('replayed on the way, ten times each, both ways', async () => {
    const repeated = [0, 0], kept = [[], []]; // to the branch, to the home
    await refused(home, () => repeated[1] * 0.8, () =>
        refused(branch, () => repeated[0] / 2, async () => { // the kernel may lose some
            way.meddle = (datagram, send, to) => {
                const old = kept[to];
                old.push(datagram);
                for (const again of [datagram, old[0], old[old.length >> 1], ...old.slice(-7)]) {
                    send(again);
                    repeated[to]++;
                }
            };
            await pass(500);
            way.meddle = null;
        }));
    assert.ok(repeated[0] > 2000 && repeated[1] > 10, String(repeated));
});

test('changed on the way: one bit, the end cut off, bytes added; each beside the true one', async () => {
    let forged = 0;
    await refused(branch, () => forged / 2, async () => {
        way.meddle = (datagram, send, to) => {
            if (to === 1) return;
            const flipped = Buffer.from(datagram);
            flipped[forged % datagram.length] ^= 1 << forged % 8;
            for (const bad of [flipped, datagram.subarray(0, -1), Buffer.concat([datagram, Buffer.alloc(3)]), datagram.subarray(0, 12)]) {
                send(bad);
                forged++;
            }
        };
        await pass(500);
        way.meddle = null;
    });
});
