// Conversations: made, made twice with one key, opened by both sides of a pair at once, listed.
import { pace, runScript, Stuck } from '../script.mjs';
import { poll } from '../time.mjs';
import { DIRECT } from '../windows.mjs';

export function conversations() {
    let world, random, paced;
    const counts = { groups: 0, pairs: 0, repeats: 0 };
    const names = new Map(); // name → id, of every group of ours whose making was answered

    const post = (person, body, key) =>
        person.phone.http('POST', '/v1/conversations', { body, headers: key ? { 'idempotency-key': key } : {} });
    const made = (answer) => {
        if (![200, 201].includes(answer.status)) throw new Stuck(`conversation: ${answer.status} ${answer.body?.code ?? ''}`);
        return answer.body.id;
    };

    async function group(people) {
        const name = `soak conversation ${world.serial()}`;
        const body = { type: 'group', name, memberIds: people.slice(1).map((p) => p.userId) };
        const from = Date.now();
        const key = name.replaceAll(' ', '-');
        const id = made(await post(people[0], body, key));
        const again = made(await post(people[0], body, key));
        if (again !== id) throw new Stuck(`the same key made ${id} and ${again}`);
        counts.repeats++;
        counts.groups++;
        names.set(name, id);
        const told = (p) => p.devices.every((d) => !d.live || d.log.some((e) => e.type === 'conversation_updated' && e.at >= from));
        if (!(await poll(() => people.every(told), 6000))) throw new Stuck('not everybody was told of a conversation');
        const list = await people.at(-1).phone.http('GET', '/v1/conversations?limit=5');
        if (!list.body?.items?.some((c) => c.id === id)) throw new Stuck('a new conversation is not first in its members\' lists');
    }

    async function pair([a, b]) {
        const both = [post(a, { type: 'direct', memberIds: [b.userId] }), post(b, { type: 'direct', memberIds: [a.userId] })];
        const [x, y] = (await Promise.all(both)).map(made);
        if (x !== y) throw new Stuck(`two conversations of one pair: ${x}, ${y}`);
        counts.pairs++;
    }

    return {
        name: 'conversations',
        about: 'conversations made once whatever is repeated, and their members told',
        start(w) {
            world = w;
            random = world.random.fork('conversations');
            paced = pace(world, random, world.rate(0.15), 4, () => {
                const alone = random.chance(0.4);
                const people = world.people.take(alone ? 2 : 2 + random.int(3), random);
                return people && runScript(world, 'conversations', people, DIRECT, () => (alone ? pair(people) : group(people)));
            });
        },
        stop: () => paced.stop(),
        figures: () => counts,
        /** Each name once in PostgreSQL, and every one that was answered is there under the id that was told. */
        async books() {
            const rows = await world.stack.sql("SELECT name, count(*), min(id::text) FROM conversations WHERE name LIKE 'soak conversation %' GROUP BY name");
            const there = new Map(rows.map(([name, n, id]) => [name, { n: Number(n), id }]));
            const faults = rows.filter(([, n]) => n !== '1').map(([name, n]) => `${name} was made ${n} times`);
            for (const [name, id] of names) if (there.get(name)?.id !== id) faults.push(`${name} was told as ${id} and is ${there.get(name)?.id ?? 'not there'}`);
            const pairs = await world.stack.sql(
                "SELECT count(*) FROM (SELECT array_agg(m.user_id ORDER BY m.user_id) u FROM conversations c JOIN conversation_members m ON m.conversation_id = c.id WHERE c.type = 'direct' GROUP BY c.id) x GROUP BY u HAVING count(*) > 1",
            );
            if (pairs.length > 0) faults.push(`${pairs.length} pairs have more than one direct conversation`);
            return [{ name: 'conversations', ok: faults.length === 0, text: `${names.size} groups made once each, ${counts.pairs} pairs opened from both sides`, faults }];
        },
    };
}
