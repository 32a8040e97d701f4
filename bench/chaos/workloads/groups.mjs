// Group calls on the SFU: people join, leave, come back, and the last one out ends it.
import { readFileSync } from 'node:fs';
import { act, ended, pace, rings, runScript, start, Stuck } from '../script.mjs';
import { sleep } from '../time.mjs';
import { ON_SFU } from '../windows.mjs';

/** A browser's offer: makes a real transport in sfud, without media behind it. */
export const OFFER = readFileSync(new URL('../../../tests/data/sdp/chromium_publish.sdp', import.meta.url), 'utf8').replace(/\r?\n/g, '\r\n');

export function groups() {
    let world, random, paced;
    const counts = { scripts: 0, joins: 0, rejoins: 0, declines: 0, invitations: 0, withMedia: 0 };

    async function conversation(people) {
        const [first, ...others] = people;
        const made = await first.phone.http('POST', '/v1/conversations', {
            body: { type: 'group', name: `group of ${people.length}`, memberIds: others.map((p) => p.userId) },
            headers: { 'idempotency-key': `soak-group-${world.serial()}` },
        });
        if (![200, 201].includes(made.status)) throw new Stuck(`conversation: ${made.status}`);
        return made.body.id;
    }

    /** On the SFU, with real endpoints where the call has media. */
    async function publish(callId, device, media) {
        if (media) {
            await media.join(device, callId);
            return;
        }
        const reply = await act(world, callId, 'publish', device, 'sfu_publish', { sdp: OFFER });
        if (!/^v=0/.test(reply.sdp)) throw new Stuck('sfu_publish: no answer in the reply');
    }

    async function script(people, guest) {
        const media = world.media && random.chance(0.6) ? await world.media.group(random) : null;
        counts.withMedia += media ? 1 : 0;
        const conversationId = await conversation(people);
        const [first, ...others] = people;
        const { callId } = await start(world, first.phone, { conversationId, media: 'video' }, { workload: 'groups', plan: media ? 'group media' : 'group', touched: ON_SFU });
        try {
            await publish(callId, first.phone, media);
            const inside = [first.phone];
            const refuser = others.length > 2 && random.chance(0.3) ? others.pop() : null;
            for (const person of others) {
                const device = random.pick(await rings(world, callId, person));
                await act(world, callId, 'accept', device, 'accept_call');
                await publish(callId, device, media);
                inside.push(device);
                counts.joins++;
            }
            if (refuser) {
                await act(world, callId, 'decline', random.pick(await rings(world, callId, refuser)), 'decline_call');
                counts.declines++;
            }
            if (guest) await invite(callId, guest, inside, media);
            await media?.check();
            await sleep(random.between(500, 4000));
            if (inside.length > 2) await leaveAndReturn(callId, inside, media);
            await media?.check();
            for (const device of random.shuffled(inside)) {
                await media?.leave(device);
                await act(world, callId, 'hang_up', device, 'hang_up');
            }
            await ended(world, callId, people.concat(guest ?? []));
        } finally {
            await media?.close();
        }
    }

    async function invite(callId, guest, inside, media) {
        await act(world, callId, 'invite', inside[0], 'call_invite', { userIds: [guest.userId] });
        counts.invitations++;
        const device = random.pick(await rings(world, callId, guest));
        await act(world, callId, 'accept', device, 'accept_call');
        await publish(callId, device, media);
        inside.push(device);
    }

    async function leaveAndReturn(callId, inside, media) {
        const device = random.pick(inside);
        await media?.leave(device);
        await act(world, callId, 'leave', device, 'hang_up');
        await sleep(random.between(100, 800));
        await act(world, callId, 'join', device, 'call_join');
        await publish(callId, device, media);
        counts.rejoins++;
    }

    return {
        name: 'groups',
        about: 'group calls on the SFU: joins, declines, invitations, leaving and coming back (with media)',
        start(w) {
            world = w;
            random = world.random.fork('groups');
            paced = pace(world, random, world.rate(0.15), world.most(0.2), () => {
                const size = 3 + random.int(2);
                const people = world.people.take(size + 1, random);
                if (!people) return null;
                counts.scripts++;
                const guest = random.chance(0.4) ? people.at(-1) : null;
                return runScript(world, 'groups', people, ON_SFU, () => script(people.slice(0, size), guest));
            });
        },
        stop: () => paced.stop(),
        figures: () => counts,
        books: () => [],
    };
}
