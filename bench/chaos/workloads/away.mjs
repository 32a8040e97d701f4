// A device is away while its person is called and put into groups, and then catches up: by its socket, or by GET /v1/sync.
import { act, ended, pace, rings, runScript, start, Stuck } from '../script.mjs';
import { poll, sleep } from '../time.mjs';
import { DIRECT } from '../windows.mjs';

export function away() {
    let world, random, paced;
    const counts = { scripts: 0, bySocket: 0, bySync: 0, events: 0 };

    async function meanwhile(a, b) {
        for (let i = 1 + random.int(3); i > 0; i--) {
            const { callId } = await start(world, b.phone, { userId: a.userId }, { workload: 'away', plan: 'while away', touched: DIRECT });
            const [device] = await rings(world, callId, a);
            await act(world, callId, 'decline', device, 'decline_call');
            await ended(world, callId, [a, b]);
        }
        const made = await b.phone.http('POST', '/v1/conversations', {
            body: { type: 'group', name: 'while you were away', memberIds: [a.userId] },
            headers: { 'idempotency-key': `soak-away-${world.serial()}` },
        });
        if (![200, 201].includes(made.status)) throw new Stuck(`conversation: ${made.status}`);
    }

    async function script(a, b) {
        const absent = a.devices.at(-1);
        await absent.away();
        const before = absent.log.length;
        try {
            await meanwhile(a, b);
            await sleep(random.between(500, 5000));
        } finally {
            if (random.chance(0.5)) {
                counts.bySync++;
                await absent.pull().catch(() => {}); // then what the sync didn't get comes by the socket
            } else {
                counts.bySocket++;
            }
            absent.connect();
        }
        if (!(await poll(() => absent.live, 40_000))) throw new Stuck(`${absent.label} did not come back`);
        const got = absent.log.length - before;
        counts.events += got;
        if (got < 3) throw new Stuck(`${absent.label} was away for at least 3 events and got ${got}`);
    }

    return {
        name: 'away',
        about: 'devices that were away catch up by cursor, on the socket or by GET /v1/sync',
        start(w) {
            world = w;
            random = world.random.fork('away');
            paced = pace(world, random, world.rate(0.1), 4, () => {
                const people = world.people.take(2, random, { devices: 2 });
                if (!people) return null;
                counts.scripts++;
                return runScript(world, 'away', people, DIRECT, () => script(...people));
            });
        },
        stop: () => paced.stop(),
        figures: () => counts,
        books: () => [],
    };
}
