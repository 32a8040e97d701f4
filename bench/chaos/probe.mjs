// Is the system well? Not by what it says of itself alone: two people who do nothing else call each other, end to end.
import { Lost, Refused } from './device.mjs';
import { OFFER } from './workloads/groups.mjs';
import { turnPair } from './workloads/turn.mjs';
import { poll, sleep, within } from './time.mjs';

const ROUND_MS = 6000;

export class Probe {
    constructor(world, [a, b]) {
        Object.assign(this, { world, a, b });
        a.reserved = b.reserved = true;
    }

    devices() {
        return [this.a.phone, this.b.phone];
    }

    /** Everything that says of itself that it is ready. */
    async ready() {
        const [signald, sfud] = await Promise.all([get(`${this.world.url}/readyz`), get(this.world.stack.sfuMetricsUrl.replace('/metrics', '/healthz'))]);
        return signald === 200 && sfud === 200;
    }

    /** A call over the SFU from the first word to the record, and two TURN allocations. Throws what is not well. */
    async round() {
        if (!(await this.ready())) throw new Error('not ready');
        if (!this.a.phone.live || !this.b.phone.live) throw new Error('a socket of the probe is away');
        await this.call();
        const pair = await turnPair(this.a.phone);
        await Promise.all(pair.map((one) => one.close()));
    }

    async call() {
        const { ledger } = this.world;
        const [x, y] = [this.a.phone, this.b.phone];
        const rang = y.next('incoming_call', () => true, ROUND_MS);
        rang.catch(() => {});
        const { callId } = await x.request('call_start', { userId: this.b.userId, media: 'audio', mode: 'sfu' }, ROUND_MS);
        Object.assign(ledger.step(callId, 'start', x, true), { workload: 'probe', plan: 'probe', callerId: this.a.userId });
        const step = async (what, device, type, data = {}) => {
            try {
                const reply = await device.request(type, { callId, ...data }, ROUND_MS);
                ledger.step(callId, what, device, true);
                return reply;
            } catch (error) {
                ledger.step(callId, what, device, error instanceof Lost ? null : false, error.code);
                throw error;
            }
        };
        await rang;
        await step('accept', y, 'accept_call');
        await this.#onSfu(callId, step);
        await step('hang_up', x, 'hang_up');
        const told = await poll(() => [this.a, this.b].every((p) => ledger.calls.get(callId).ends.some((e) => e.device === p.phone && e.cursor)), ROUND_MS, 10);
        if (!told) throw new Error('not told of the end');
    }

    /** With media where there are endpoints: both hear and see each other through the SFU. */
    async #onSfu(callId, step) {
        const { media } = this.world;
        if (!media) {
            await step('publish', this.a.phone, 'sfu_publish', { sdp: OFFER });
            return;
        }
        const group = media.group();
        media.totals.groups--;
        try {
            for (const device of this.devices()) await group.join(device, callId);
            await group.flows();
        } finally {
            await group.close();
        }
    }

    /** What the probe has open from a round that broke off is hung up. */
    async tidy() {
        for (const person of [this.a, this.b]) {
            const answer = await person.phone.ask('GET', '/v1/calls?limit=3', { token: person.phone.token }).catch(() => null);
            if (answer?.status === 401) await person.phone.refresh().catch(() => {});
            for (const record of answer?.body?.items ?? []) {
                if (record.status === 'ended') continue;
                this.world.ledger.call(record.callId).callerId ??= record.initiatorId;
                const what = record.status === 'active' ? 'hang_up' : person === this.a ? 'cancel' : 'decline';
                await person.phone
                    .request('hang_up', { callId: record.callId }, 3000)
                    .then(() => this.world.ledger.step(record.callId, what, person.phone, null))
                    .catch(() => this.world.ledger.step(record.callId, what, person.phone, null));
            }
        }
    }

    /** Rounds until one is good; ms it took from now, or null when none was within the time. */
    async untilWell(ms) {
        const from = Date.now();
        while (Date.now() - from < ms) {
            try {
                await within(3 * ROUND_MS, 'a round of the probe', this.round());
                return Date.now() - from;
            } catch (error) {
                this.last = error;
                if (!(error instanceof Lost) && !(error instanceof Refused) && !(error instanceof Error)) throw error;
                await this.tidy();
                await sleep(100); // between rounds that fail: a round itself is the wait for what it means
            }
        }
        return null;
    }
}

async function get(url) {
    try {
        const response = await fetch(url, { signal: AbortSignal.timeout(2000) });
        await response.arrayBuffer();
        return response.status;
    } catch {
        return 0;
    }
}
