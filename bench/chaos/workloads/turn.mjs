// TURN: two allocations with credentials of signald's, datagrams between them, and the allocations given back.
import { pace, runScript, Stuck } from '../script.mjs';
import { poll, sleep } from '../time.mjs';
import { TurnAllocation } from '../turn_client.mjs';

const DATAGRAMS = 50;
const TOUCHED = ['signald', 'postgres', 'coturn'];

/** Two allocations that may send to each other; used by the probe too. */
export async function turnPair(device) {
    const servers = await device.http('GET', '/v1/ice-servers');
    if (servers.status !== 200) throw new Stuck(`ice-servers: ${servers.status}`);
    const pair = [new TurnAllocation(servers.body.iceServers), new TurnAllocation(servers.body.iceServers)];
    try {
        for (const one of pair) await one.open();
        await pair[0].permit(pair[1].relayed);
        await pair[1].permit(pair[0].relayed);
    } catch (error) {
        await Promise.all(pair.map((one) => one.close()));
        throw new Stuck(error.message);
    }
    return pair;
}

export function turn() {
    let world, random, paced;
    const counts = { pairs: 0, sent: 0, received: 0, abandoned: 0 };
    const faults = [];

    async function script(person) {
        const from = Date.now();
        const [x, y] = await turnPair(person.phone);
        const tag = Buffer.from(`soak ${world.serial()} `);
        let received = 0;
        y.onData((data) => {
            if (data.subarray(0, tag.length).equals(tag)) received++;
            else faults.push('a datagram that nobody sent to there');
        });
        for (let i = 0; i < DATAGRAMS; i++) {
            x.send(y.relayed, Buffer.concat([tag, Buffer.alloc(1000, i)]));
            await sleep(20); // the pace of a voice: datagrams all at once would measure socket buffers
        }
        await poll(() => received === DATAGRAMS, 1500);
        const given = await Promise.all([x.close(), y.close()]);
        if (!world.windows.struck(from, Date.now(), world.windows.of(TOUCHED))) {
            counts.pairs++;
            counts.sent += DATAGRAMS;
            counts.received += received;
            if (given.includes(false)) faults.push('an allocation could not be given back');
        }
        counts.abandoned += given.filter((g) => !g).length;
    }

    return {
        name: 'turn',
        about: 'TURN allocations by credentials of signald, datagrams relayed between them',
        start(w) {
            world = w;
            random = world.random.fork('turn');
            paced = pace(world, random, world.rate(0.1), 4, () => {
                const people = world.people.take(1, random);
                return people && runScript(world, 'turn', people, TOUCHED, () => script(people[0]));
            });
        },
        stop: () => paced.stop(),
        figures: () => counts,
        books: () => {
            const wrong = [...faults];
            if (counts.sent !== counts.received) wrong.push(`${counts.sent - counts.received} datagrams were lost with nothing the matter`);
            return [{ name: 'relayed datagrams', ok: wrong.length === 0, text: `${counts.sent} sent by TURN = ${counts.received} received, in ${counts.pairs} pairs outside of chaos`, faults: wrong }];
        },
    };
}
