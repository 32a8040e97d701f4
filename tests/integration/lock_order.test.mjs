// SQL functions that meet on the same rows: whoever comes second waits; nobody is a deadlock's victim.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { newUser } from '../lib/client.mjs';
import { startStack, until } from '../lib/stack.mjs';

let stack;
before(async () => {
    stack = await startStack();
    await stack.stop('signald'); // its own housekeeping stays out of it
});
after(() => stack.down());

const count = async (sql) => Number((await stack.sql(`SELECT count(*) ${sql}`))[0][0]);
const others = 'FROM pg_stat_activity WHERE pid <> pg_backend_pid()';

/** Runs `call` between two statements of another transaction: it has to wait for that one, whatever it holds itself. */
async function between(first, call, then) {
    const gate = stack.sql('BEGIN; SELECT pg_advisory_xact_lock(42); SELECT pg_sleep(60) /* gate */').catch(() => {});
    await until('the gate', async () => (await count(`${others} AND query LIKE '%/* gate */%' AND wait_event = 'PgSleep'`)) === 1);
    const one = stack.sql(`BEGIN; ${first}; SELECT pg_advisory_xact_lock(42) /* one */; ${then}; COMMIT`);
    await until('the first statement', async () => (await count(`${others} AND query LIKE '%/* one */%' AND wait_event = 'advisory'`)) === 1);
    const two = stack.sql(`${call} /* two */`);
    const outcome = Promise.allSettled([one, two]);
    await until('the call waits', async () => (await count(`${others} AND query LIKE '%/* two */%' AND wait_event_type = 'Lock'`)) === 1);
    await stack.sql(`SELECT pg_terminate_backend(pid) ${others} AND query LIKE '%/* gate */%'`);
    await gate;
    for (const settled of await outcome) assert.equal(settled.status, 'fulfilled', String(settled.reason));
}

/** Users that only the database knows. */
async function rows(n) {
    const made = await stack.sql(`WITH made AS MATERIALIZED (
        SELECT (SELECT account_register(id, id || '@example.org', left(replace(id::text, '-', ''), 32), 'x', 'x')) AS r, id
          FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, ${n})) AS ids)
        SELECT id FROM made WHERE r IS NOT NULL ORDER BY id`);
    return made.map(([id]) => id);
}

test('a device that is seen and a sign-out everywhere', async () => {
    await stack.start('signald');
    const user = await newUser(stack);
    await stack.stop('signald');
    await between(
        `SELECT 1 FROM users WHERE id = '${user.userId}' FOR NO KEY UPDATE`,
        `SELECT user_seen('${user.userId}', '${user.deviceId}')`,
        `SELECT 1 FROM devices WHERE id = '${user.deviceId}' FOR NO KEY UPDATE`,
    );
});

test('the sweep of old sessions and a refresh with an old token', async () => {
    await stack.start('signald');
    const user = await newUser(stack);
    await stack.stop('signald');
    const mine = `session_id IN (SELECT id FROM sessions WHERE user_id = '${user.userId}')`;
    await stack.sql(`UPDATE refresh_tokens SET expires_at = now() - interval '1 day' WHERE ${mine}`);
    await between(
        `SELECT 1 FROM devices WHERE id = '${user.deviceId}' FOR NO KEY UPDATE`,
        'SELECT account_sweep()',
        `SELECT 1 FROM refresh_tokens WHERE ${mine} FOR UPDATE`,
    );
    assert.equal(await count(`FROM refresh_tokens WHERE ${mine}`), 0);
    assert.equal(await count(`FROM sessions WHERE user_id = '${user.userId}' AND revoked_reason = 'expired'`), 1);
});

test('the purge of inboxes and an event to several users', async () => {
    const users = await rows(20);
    const list = `ARRAY['${users.join("','")}']::uuid[]`;
    await stack.sql(`SELECT inbox_append_users(${list}, 'x', '{}'), inbox_append_users(${list}, 'x', '{}')`);
    await stack.sql(`UPDATE inbox SET created_at = now() - interval '60 days' WHERE cursor = 1 AND user_id = ANY (${list})`);
    await between(
        `SELECT inbox_append('${users[0]}', NULL, 'x', '{}')`,
        "SELECT inbox_purge(interval '30 days', 5000)",
        `SELECT inbox_append_users(${list}, 'x', '{}')`,
    );
    assert.equal(await count(`FROM inbox_counters WHERE user_id = ANY (${list}) AND purged = 1`), 20);
    assert.equal(await count(`FROM inbox WHERE user_id = ANY (${list}) AND cursor = 1`), 0);
    assert.equal(await count(`FROM inbox WHERE user_id = ANY (${list}) AND cursor = 2`), 20);
});

test('who left and does not come when invited again keeps the time at which he left', async () => {
    const [a, b, c] = await rows(3);
    const call = (await stack.sql('SELECT uuid_v7()'))[0][0];
    await stack.sql(`INSERT INTO devices (id, user_id, name, platform) SELECT u, u, 'x', 'x' FROM unnest(ARRAY['${a}','${b}','${c}']::uuid[]) u`);
    await stack.sql(`SELECT call_create('${call}', '${a}', '${a}', NULL, '${b}', 'audio', 'auto', 60000000, 64)`);
    await stack.sql(`SELECT call_invite('${call}', ARRAY['${c}']::uuid[], 60000000, 64)`);
    for (const u of [b, c]) {
        await stack.sql(`SELECT call_accept('${call}', '${u}', '${u}')`);
        await stack.sql(`SELECT call_party_set('${call}', '${u}', '${u}', 'left', 1700000000000000)`);
        await stack.sql(`SELECT call_invite('${call}', ARRAY['${u}']::uuid[], 60000000, 64)`);
    }
    await stack.sql(`SELECT call_party_set('${call}', '${b}', NULL, 'missed', 1800000000000000)`);
    await stack.sql(`SELECT call_end('${call}', 'completed', 'sfu', NULL, 1800000000000000)`);
    const left = await stack.sql(`SELECT state, extract(epoch FROM left_at)::bigint FROM call_participants WHERE call_id = '${call}' AND user_id <> '${a}'`);
    assert.deepEqual(left, [['missed', '1700000000'], ['missed', '1700000000']]);
});
