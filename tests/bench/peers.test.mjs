// The peers of the bench harness: each starts, does what it is there for, stops, and leaves nothing; two of a kind live side
// by side; what isn't installed is told with what to do.
import assert from 'node:assert/strict';
import { accessSync, chmodSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import { cpuOf, runs, start as startProcess, until, useLogDir } from '../../bench/lib/proc.mjs';
import * as coturn from '../../bench/peers/coturn.mjs';
import * as ejabberd from '../../bench/peers/ejabberd.mjs';
import * as nginx from '../../bench/peers/nginx.mjs';
import * as pgbench from '../../bench/peers/pgbench.mjs';
import * as postgres from '../../bench/peers/postgres.mjs';
import { childSeconds, fillTemplate, packageVersion, program } from '../../bench/peers/service.mjs';
import * as vips from '../../bench/peers/vips.mjs';
import { Probe } from '../../bench/peers/xmpp_probe.mjs';

/** Sockets of this machine that listen or are bound: "tcp 127.0.0.1:4711". From /proc, as no tool is needed for it. */
function listening() {
    const found = new Set();
    for (const [file, state] of [['tcp', '0A'], ['tcp6', '0A'], ['udp', '07']]) {
        for (const line of readFileSync(`/proc/net/${file}`, 'utf8').trim().split('\n').slice(1)) {
            const [, local, , st] = line.trim().split(/\s+/);
            if (st === state) found.add(`${file} ${local}`);
        }
    }
    return found;
}
const port = (number) => number.toString(16).toUpperCase().padStart(4, '0');
const listensOn = (number) => [...listening()].filter((each) => each.endsWith(`:${port(number)}`));

let ctx;
let undo;
beforeEach(() => {
    const dir = mkdtempSync(join(tmpdir(), 'sotto-peers-'));
    chmodSync(dir, 0o755);
    useLogDir(dir);
    undo = [];
    ctx = { dir, cpus: {}, defer: (fn) => undo.push(fn), step: () => {}, params: {} };
});
afterEach(async () => {
    for (const fn of undo.reverse()) await fn();
    rmSync(ctx.dir, { recursive: true, force: true });
});

/** Processes that know of the folder: by their arguments or environment, wherever they hang in the tree (epmd). */
function knowing(dir) {
    const read = (file) => {
        try {
            return readFileSync(file, 'latin1');
        } catch {
            return '';
        }
    };
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
    return pids.filter((pid) => read(`/proc/${pid}/environ`).includes(dir) || read(`/proc/${pid}/cmdline`).includes(dir));
}

/** After stop(): no process of it, no port, and nothing but logs in its folder. */
function assertGone(pids, ports) {
    assert.deepEqual(pids.filter(runs), [], 'processes are left');
    assert.deepEqual(knowing(ctx.dir), [], 'processes outside its tree are left');
    for (const number of ports) assert.deepEqual(listensOn(number), [], `port ${number} is still taken`);
    const left = readdirSync(ctx.dir).filter((name) => !name.endsWith('.log'));
    assert.deepEqual(left, [], 'files are left');
}

const isReadable = (path) => {
    try {
        accessSync(path, constants.R_OK);
        return true;
    } catch {
        return false;
    }
};

/** What other programs must not find changed by a peer. */
const outside = () =>
    ['/var/lib/ejabberd', '/var/log/ejabberd', '/var/lib/nginx', '/var/log/nginx', '/var/lib/turn', '/var/log/turnserver', '/var/lib/postgresql']
        .filter(isReadable)
        .flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)))
        .sort();

describe('PostgreSQL', () => {
    test('answers durably set, takes statements, and leaves nothing', async () => {
        const were = outside();
        const db = await postgres.start(ctx);
        assert.deepEqual(await db.sql('SHOW fsync'), [['on']]);
        assert.deepEqual(await db.sql('SHOW synchronous_commit'), [['on']]);
        assert.deepEqual(await db.sql('SHOW full_page_writes'), [['on']]);
        await db.script('CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, $$one$$), (2, $$two$$);');
        assert.deepEqual(await db.sql('SELECT a, b FROM t ORDER BY a'), [['1', 'one'], ['2', 'two']]);
        await assert.rejects(db.sql('SELECT nothing FROM nowhere'), /nowhere/);
        const pids = db.pids();
        assert.ok(pids.length > 1 && cpuOf(pids) > 0);
        await db.stop();
        assertGone(pids, []);
        assert.deepEqual(outside(), were);
    });

    test('settings are taken, and a wrong one is told', async () => {
        const db = await postgres.start(ctx, { settings: { work_mem: "'7MB'" } });
        assert.deepEqual(await db.sql('SHOW work_mem'), [['7MB']]);
        await assert.rejects(postgres.start(ctx, { settings: { no_such_setting: 'on' } }), /no_such_setting/);
    });

    test('by TCP it wants the password', async () => {
        const db = await postgres.start(ctx, { tcp: true });
        const psql = (password) =>
            startProcess({ name: 'psql', cmd: 'psql', args: ['-h', '127.0.0.1', '-p', String(db.tcp.port), '-U', db.user, '-d', db.database, '-w', '-c', 'SELECT 1'], env: { PGPASSWORD: password } }).exited;
        assert.equal((await psql(db.tcp.password)).code, 0);
        assert.notEqual((await psql('wrong')).code, 0);
        await db.stop();
        assertGone([], [db.tcp.port]);
    });

    test('two live side by side', async () => {
        const [a, b] = await Promise.all([postgres.start(ctx), postgres.start(ctx)]);
        await a.sql('CREATE TABLE only_here ()');
        await assert.rejects(b.sql('SELECT * FROM only_here'), /does not exist/);
        await a.stop();
        assert.deepEqual(await b.sql('SELECT 1'), [['1']]);
    });
});

describe('pgbench, the floor of messages', () => {
    test('as many rows as it says, in one commit a batch', async () => {
        const db = await pgbench.startDatabase(ctx);
        const run = await pgbench.run(ctx, db, 'message_direct.sql', { variables: { conversations: 50, bytes: 300, batch: 5 }, clients: 2, seconds: 1 });
        const [[messages, bytes]] = await db.sql('SELECT count(*), min(length(content)) FROM messages');
        const [[inbox]] = await db.sql('SELECT count(*) FROM inbox');
        assert.equal(Number(messages), run.transactions * 5);
        assert.equal(Number(inbox), run.transactions * 5);
        assert.equal(bytes, '300');
        assert.equal(run.latency.count, run.transactions);
        assert.ok(run.latency.p50 > 0 && run.latency.p50 <= run.latency.p99 && run.latency.p99 <= run.latency.max);
        assert.ok(run.database_cpu_s >= 0 && run.generator_cpu_s >= 0, 'a run may be shorter than a tick of their clock');
        const before = cpuOf(db.pids());
        await until('work of the database is in its CPU time', async () => {
            await db.sql('SELECT count(*) FROM generate_series(1, 300000)');
            return cpuOf(db.pids()) > before;
        });
    });

    test('rooms and recoveries run, and a page is a page', async () => {
        const db = await pgbench.startDatabase(ctx);
        await pgbench.run(ctx, db, 'message_room.sql', { variables: { conversations: 1, bytes: 10, batch: 1 }, clients: 1, seconds: 1 });
        await db.sql('TRUNCATE messages');
        await db.script(pgbench.filled('recovery_fill.sql', { users: 3, messages: 100, bytes: 20 }));
        assert.deepEqual(await db.sql('SELECT count(*) FROM inbox i JOIN messages m ON m.seq = (i.data->>$$s$$)::bigint AND m.conversation_id = (i.data->>$$c$$)::uuid'), [['300']]);
        const page = await pgbench.run(ctx, db, 'recovery_page.sql', { variables: { users: 3, messages: 100, page: 50 }, clients: 1, seconds: 1 });
        assert.ok(page.transactions > 0);
        const [[rows]] = await db.sql("SELECT count(*) FROM inbox WHERE user_id = bench_id(2, 1) AND cursor > 50");
        assert.equal(rows, '50');
    });

    test('a script that fails is told', async () => {
        const db = await postgres.start(ctx); // without the tables
        await assert.rejects(pgbench.run(ctx, db, 'message_room.sql', { variables: { conversations: 1, bytes: 10, batch: 1 }, seconds: 1 }), /message_room\.sql failed.*does not exist/s);
    });
});

describe('ejabberd', () => {
    test('stores and delivers, by its archive and in rooms; leaves no epmd, no file, no port', async () => {
        const were = outside();
        const ports = listening();
        const server = await ejabberd.start(ctx, { users: 4 });
        const [anna, bert] = [await Probe.login(server, server.user(0)), await Probe.login(server, server.user(3))];
        anna.send(`<message to='${server.user(3).jid}' type='chat' id='m1' xmlns='jabber:client'><body>good day</body></message>`);
        await bert.wait(/id='m1'.*good day/);
        bert.send("<iq type='set' id='q' xmlns='jabber:client'><query xmlns='urn:xmpp:mam:2'/></iq>");
        await bert.wait(/urn:xmpp:mam:2.*good day/);
        assert.deepEqual(await server.db.sql('SELECT username, bare_peer, kind, txt FROM archive ORDER BY username'),
            [['u0', 'u3@bench.test', 'chat', 'good day'], ['u3', 'u0@bench.test', 'chat', 'good day']]);
        for (const each of [anna, bert]) {
            each.send(`<presence xmlns='jabber:client' to='den@${server.roomService}/${each === anna ? 'anna' : 'bert'}'><x xmlns='http://jabber.org/protocol/muc'/></presence>`);
            await each.wait(/code='110'/);
        }
        anna.send(`<message to='den@${server.roomService}' type='groupchat' id='m2' xmlns='jabber:client'><body>all of you</body></message>`);
        await bert.wait(/id='m2'.*all of you/);
        const pids = [...server.pids(), ...server.databasePids()];
        assert.ok(server.rss() > 10e6);
        const fresh = [...listening()].filter((each) => !ports.has(each) && !each.startsWith('udp'));
        const own = [server.c2sPort, server.wsPort, server.wssPort, server.db.tcp.port].map((each) => `tcp 0100007F:${port(each)}`);
        assert.deepEqual(own.filter((each) => !fresh.includes(each)), [], 'it listens on 127.0.0.1');
        anna.close();
        bert.close();
        await server.stop();
        assertGone(pids, [server.c2sPort, server.wsPort, server.wssPort, server.db.tcp.port]);
        assert.deepEqual(outside(), were);
    });

    test('as the page says of it: it waits for the archive, but delivers and acknowledges what the archive refused', async () => {
        const server = await ejabberd.start(ctx, { users: 2 });
        const [anna, bert] = [await Probe.login(server, server.user(0)), await Probe.login(server, server.user(1))];
        const say = (id) => anna.send(`<message to='${server.user(1).jid}' type='chat' id='${id}' xmlns='jabber:client'><body>${id}</body></message>`);
        anna.send("<enable xmlns='urn:xmpp:sm:3'/>");
        await anna.wait(/<enabled/);
        const database = server.databasePids();
        const signal = (name) => database.filter(runs).forEach((pid) => process.kill(pid, name)); // one of its helpers may have ended
        signal('SIGSTOP');
        say('while-frozen');
        const frozen = await bert.wait(/while-frozen/, 700).then(() => 'delivered', () => 'waits');
        signal('SIGCONT');
        assert.equal(frozen, 'waits');
        await until('both copies are kept', async () => Number(await server.db.sql('SELECT count(*) FROM archive')) === 2);
        await server.db.sql('ALTER TABLE archive RENAME TO hidden');
        say('unkept');
        anna.send("<r xmlns='urn:xmpp:sm:3'/>");
        await bert.wait(/unkept/);
        await anna.wait(/<a h='2'/);
        assert.deepEqual(await server.db.sql("SELECT count(*) FROM hidden WHERE txt = 'unkept'"), [['0']]);
        anna.close();
        bert.close();
    });

    test('a wrong password is refused, a user added later gets in; two live side by side', async () => {
        const [a, b] = await Promise.all([ejabberd.start(ctx, { users: 1 }), ejabberd.start(ctx, { users: 2 })]);
        await assert.rejects(Probe.login(a, { name: 'u0', password: 'guessed' }), /refused/);
        await assert.rejects(Probe.login(a, a.user(2)), /refused/);
        await a.addUsers(1);
        const late = await Probe.login(a, a.user(1));
        const other = await Probe.login(b, b.user(1));
        late.send(`<message to='${a.user(1).jid}' type='chat' id='m9' xmlns='jabber:client'><body>to myself</body></message>`);
        await late.wait(/to myself/);
        assert.deepEqual(await b.db.sql('SELECT count(*) FROM archive'), [['0']]);
        late.close();
        other.close();
    });
});

describe('nginx', () => {
    test('takes files, gives them back, whole and in ranges; leaves nothing', async () => {
        const were = outside();
        const server = await nginx.start(ctx);
        const body = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) & 255));
        const put = await fetch(`${server.url}/deep/er/f0`, { method: 'PUT', body });
        assert.equal(put.status, 201);
        assert.deepEqual(readFileSync(join(server.root, 'deep/er/f0')), body);
        const whole = await fetch(`${server.url}/deep/er/f0`);
        assert.deepEqual(Buffer.from(await whole.arrayBuffer()), body);
        const part = await fetch(`${server.url}/deep/er/f0`, { headers: { range: 'bytes=10-19' } });
        assert.equal(part.status, 206);
        assert.deepEqual(Buffer.from(await part.arrayBuffer()), body.subarray(10, 20));
        assert.equal((await fetch(`${server.url}/nothing`)).status, 404);
        const pids = server.pids();
        assert.ok(pids.length >= 2, 'a master and a worker');
        await server.stop();
        assertGone(pids, [server.port, server.tlsPort]);
        assert.deepEqual(outside(), were);
    });

    test('two live side by side', async () => {
        const [a, b] = await Promise.all([nginx.start(ctx), nginx.start(ctx)]);
        await fetch(`${a.url}/x`, { method: 'PUT', body: 'a' });
        assert.equal((await fetch(`${b.url}/x`)).status, 404);
        await a.stop();
        assert.equal((await fetch(`${b.url}/x`)).status, 404);
    });
});

describe('coturn', () => {
    test('answers on its port alone, and leaves nothing', async () => {
        const were = outside();
        const [a, b] = await Promise.all([coturn.start(ctx, { relays: 50 }), coturn.start(ctx, { relays: 50 })]);
        await until('both answer', async () => (await coturn.answersStun(a.port)) && (await coturn.answersStun(b.port)));
        const pids = [...a.pids(), ...b.pids()];
        await a.stop();
        assert.ok(!(await coturn.answersStun(a.port)));
        await until('the other one answers', () => coturn.answersStun(b.port));
        await b.stop();
        assertGone(pids, [a.port, b.port]);
        assert.deepEqual(outside(), were);
    });
});

describe('vipsthumbnail', () => {
    let images;
    let place;
    before(async () => {
        place = mkdtempSync(join(tmpdir(), 'sotto-images-'));
        chmodSync(place, 0o755);
        images = await vips.makeImages({ dir: place }, { jpegs: 1 });
    });
    after(() => rmSync(place, { recursive: true, force: true }));

    test('the photo is one: large, turned by EXIF, with a position', async () => {
        const { width, height, exif, gps } = await vips.look(images.jpeg[0]);
        assert.deepEqual({ width, height, exif, gps }, { width: 4000, height: 3000, exif: true, gps: true });
    });

    test('three sizes, turned, without EXIF, and their CPU time', async () => {
        const made = await vips.thumbnails(ctx, [...images.jpeg, ...images.png]);
        assert.ok(made.cpu_s > 0.02, `${made.cpu_s} s`); // twelve megapixels thrice are more than that anywhere
        const sizes = await Promise.all(vips.SIZES.map((size) => vips.look(join(made.out, `photo0_${size}.jpg`))));
        assert.deepEqual(sizes.map(({ width, height, exif }) => [width, height, exif]), [[72, 96, false], [240, 320, false], [810, 1080, false]]);
        assert.equal((await vips.look(join(made.out, 'screen_320.jpg'))).width, 320);
    });

    test('a file that is no image is told', async () => {
        await assert.rejects(vips.thumbnails(ctx, [new URL(import.meta.url).pathname]), /vipsthumbnail failed/);
    });
});

describe('what is missing', () => {
    const path = process.env.PATH;
    afterEach(() => (process.env.PATH = path));

    test('every peer names the package and what to do', async () => {
        process.env.PATH = ctx.dir;
        const starts = [
            ['postgresql', () => postgres.start(ctx)],
            ['ejabberd', () => ejabberd.start(ctx)],
            ['nginx-light', () => nginx.start(ctx)],
            ['coturn', () => coturn.start(ctx)],
            ['libvips-tools', () => vips.thumbnails(ctx, ['x.jpg'])],
        ];
        for (const [name, start] of starts) {
            await assert.rejects(start(), (error) => error.message.includes(name) && error.message.includes('run deploy/packages --bench'), name);
        }
        assert.deepEqual(readdirSync(ctx.dir), [], 'nothing was begun');
    });

    test('a program in /usr/sbin is found by users whose PATH lacks it', () => {
        process.env.PATH = '/usr/bin';
        assert.match(program('nginx', 'nginx-light'), /nginx$/);
    });

    test('each peer knows its version', async () => {
        for (const peer of [postgres, ejabberd, nginx, coturn, vips]) assert.match(await peer.version(), /^[\d:.]+/, peer.packageName);
        assert.equal(await packageVersion('no-such-package-at-all'), null);
    });
});

describe('small parts', () => {
    test('a template with a hole, or with a value too many, is a mistake', async () => {
        const file = join(ctx.dir, 'template.log');
        await startProcess({ name: 'sh', cmd: '/bin/sh', args: ['-c', `printf 'a {{one}} b {{two}}' > ${file}`] }).exited;
        await until('the template is written', () => existsSync(file));
        assert.equal(fillTemplate(file, { one: 1, two: 'zwei' }), 'a 1 b zwei');
        assert.throws(() => fillTemplate(file, { one: 1 }), /two/);
        assert.throws(() => fillTemplate(file, { one: 1, two: 2, three: 3 }), /three/);
    });

    test('CPU times of a shell are read', () => {
        assert.equal(childSeconds('noise\n0m0.01s 0m0.02s\n1m2.50s 0m0.25s\n'), 62.75);
        assert.throws(() => childSeconds('no times here'), /no times/);
    });
});
