// The world of a soak: a private stack with its relays, its people, the ledger, and what workloads need to know.
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { startStack } from '../../tests/lib/stack.mjs';
import { Ledger } from './ledger.mjs';
import { Media } from './media.mjs';
import { Parts } from './parts.mjs';
import { People } from './people.mjs';
import { Probe } from './probe.mjs';
import { Random } from './random.mjs';
import { MediaRelay, TcpRelay } from './relays.mjs';
import { Windows } from './windows.mjs';
import { poll } from './time.mjs';

const RING_S = 10;
const GRACE_S = 20;

/**
 * What differs from the defaults of `sottoctl config init`, and why: everybody comes from one address here, so the limits
 * of an address are off; a ring, the grace and access tokens are shorter so that missed calls, lost people and expired
 * tokens fit into a run.
 */
const SETTINGS = {
    'auth.dev_mode': 'no',
    'auth.bcrypt_cost': '12',
    'auth.access_ttl': '3m',
    'auth.register_per_hour': '0',
    'auth.login_per_minute': '0',
    'auth.login_account_per_minute': '0',
    'auth.refresh_per_minute': '0',
    'auth.change_per_minute': '0',
    'auth.lookup_per_minute': '60',
    'auth.ticket_per_minute': '0',
    'http.address_requests_per_minute': '0',
    'http.user_requests_per_minute': '1000',
    'calls.start_per_minute': '120',
    'calls.ring_timeout': `${RING_S}s`,
    'calls.grace': `${GRACE_S}s`,
    'log.level': 'info',
};

export class World {
    windows = new Windows();
    ledger = new Ledger();
    /** Errors of the soak itself, and a system that did not get well: nothing goes on after one. */
    failures = [];
    ringMs = RING_S * 1000;
    graceMs = GRACE_S * 1000;
    media = null;
    #serial = 0;
    #well = Promise.resolve();

    constructor(options, status) {
        Object.assign(this, { options, status, random: new Random(`world/${options.seed}`) });
        this.people = new People(this);
        this.failed = new Promise((resolve) => (this.#failed = resolve));
    }
    #failed;

    /** The stack, with the relays in their places. */
    async up() {
        const quick = this.options.smoke ? { 'auth.dev_mode': 'yes', 'auth.bcrypt_cost': '4' } : {};
        this.stack = await startStack({ ...SETTINGS, ...quick });
        this.url = this.stack.url;
        this.relays = {
            sockets: await new TcpRelay().listen(this.stack.base + 1),
            link: await new TcpRelay().listen(this.stack.base + 3),
            media: await new MediaRelay(this.stack.base + 10, this.random.fork('media relay')).listen(),
        };
        this.socketPort = this.relays.sockets.port;
        this.parts = new Parts(this.stack, { sfud: { SOTTO_SFU_LINK_PORT: String(this.relays.link.port) } });
        await this.parts.stop('sfud');
        await this.parts.start('sfud');
        let nodes = null;
        const linked = await poll(async () => (nodes = await this.metric('sotto_sfu_nodes')) > 0 && this.relays.link.open > 0, 15_000);
        if (!linked) throw new Error(`sfud did not come by the relay of the control link: ${nodes} nodes, ${this.relays.link.open} connections\n${this.log('sfud').slice(-1500)}`);
    }

    async fill(users, tell) {
        if (this.options.media) this.media = await Media.start(this);
        await this.people.fill(users + 2, tell);
        this.probe = new Probe(this, this.people.all.slice(-2));
    }

    /** Scripts a minute for a workload with this share of the load. */
    rate(share) {
        return this.options.callsPerMinute * share;
    }

    /** Scripts at once, so that they don't take everybody. */
    most(share) {
        return Math.max(2, Math.floor((this.options.users / 2) * share));
    }

    serial() {
        return `${this.options.seed}-${++this.#serial}`;
    }

    say(text) {
        this.status?.line(text);
    }

    note(kind, text) {
        this.ledger.notes.push({ at: Date.now(), kind, text });
    }

    fail(error) {
        this.failures.push(error);
        this.#failed(error);
    }

    /** Waits until a round of the probe is good; ms since now, or null. One at a time: there is one probe. */
    well(ms) {
        const from = Date.now();
        const mine = this.#well.then(() => this.probe.untilWell(ms)).then((took) => (took === null ? null : Date.now() - from));
        this.#well = mine.catch(() => {});
        return mine;
    }

    /** A metric's value, summed over its labels unless they are named. */
    async metric(name, labels, url = this.stack.metricsUrl) {
        const text = await getOnce(url);
        return text
            .split('\n')
            .filter((l) => (labels ? l.startsWith(`${name}{${labels}} `) : l.startsWith(`${name} `) || l.startsWith(`${name}{`)))
            .reduce((sum, l) => sum + Number(l.slice(l.lastIndexOf(' '))), 0);
    }

    sfuMetric(name, labels) {
        return this.metric(name, labels, this.stack.sfuMetricsUrl);
    }

    log(part) {
        return readFileSync(`${this.stack.dir}/log/${part}.log`, 'utf8');
    }

    /** Ends everything, whatever state it is in. Fails when a sanitizer said something on the way out. */
    async down() {
        await this.people.close().catch(() => {});
        await this.media?.stop().catch((error) => this.failures.push(error));
        for (const part of ['signald', 'sfud', 'coturn', 'postgres']) this.parts?.signal(part, 'SIGCONT');
        for (const relay of Object.values(this.relays ?? {})) relay.close();
        await this.stack?.down();
    }
}

/** GET on a connection that is closed after it: none of ours is left among the server's descriptors. */
function getOnce(url) {
    return new Promise((resolve, reject) => {
        const request = get(url, { agent: false, timeout: 3000 }, (response) => {
            let text = '';
            response.setEncoding('utf8');
            response.on('data', (chunk) => (text += chunk));
            response.on('end', () => resolve(text));
            response.on('error', reject);
        });
        request.on('timeout', () => request.destroy(new Error(`${url} took too long`)));
        request.on('error', reject);
    });
}
