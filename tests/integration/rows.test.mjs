// The compare-and-sets of the schema by themselves: what a second server, or one that is late, asks of rows that moved on.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, test } from 'node:test';
import { newUser } from '../lib/client.mjs';
import { startStack } from '../lib/stack.mjs';

let stack, a, b, c;
before(async () => {
    stack = await startStack();
    [a, b, c] = await Promise.all([newUser(stack), newUser(stack), newUser(stack)]); // with a device each
    await stack.stop('signald'); // nobody else looks at the rows made here
});
after(() => stack.down());

const one = async (text) => (await stack.sql(text))[0];
const value = async (text) => (await one(text))?.[0];
const count = async (from) => Number(await value(`SELECT count(*) ${from}`));

/** A call of a to b, which rings. */
async function ringing(a, b) {
    const call = await value('SELECT uuid_v7()');
    await stack.sql(`SELECT call_create('${call}', '${a.userId}', '${a.deviceId}', NULL, '${b.userId}', 'audio', 'auto', 60000000, 8)`);
    return call;
}
const accept = async (call, who, device = who.deviceId) => one(`SELECT outcome, number FROM call_accept('${call}', '${who.userId}', '${device}')`);
const now = "(extract(epoch FROM now()) * 1000000)::bigint";
const party = (call, who, state, device = who.deviceId) => value(`SELECT call_party_set('${call}', '${who.userId}', '${device}', '${state}', ${now})`);
const end = async (call, reason, path = 'NULL', at = now) => JSON.parse(await value(`SELECT call_end('${call}', '${reason}', ${path}, NULL, ${at})`));
const partyRow = (call, who) => one(`SELECT state, device_id, left_at IS NOT NULL FROM call_participants WHERE call_id = '${call}' AND user_id = '${who.userId}'`);
const inboxed = (call, who, type) => count(`FROM inbox WHERE user_id = '${who.userId}' AND type = '${type}' AND data->>'callId' = '${call}'`);

test('the first device to accept has it; only its own repeat is granted', async () => {
    const call = await ringing(a, b);
    assert.deepEqual(await accept(call, b), ['joined', '2']);
    const answered = await value(`SELECT answered_at FROM calls WHERE id = '${call}'`);
    assert.deepEqual(await accept(call, b), ['joined', '2']);
    assert.equal((await accept(call, b, randomUUID()))[0], 'lost');
    assert.deepEqual(await partyRow(call, b), ['joined', b.deviceId, 'f']);
    assert.equal(await value(`SELECT answered_at FROM calls WHERE id = '${call}'`), answered);
    await end(call, 'completed');
    assert.equal((await accept(call, b))[0], 'ended');
    assert.equal(await value(`SELECT status FROM calls WHERE id = '${call}'`), 'ended');
});

test('who declined, or is in another call, does not get in', async () => {
    const call = await ringing(a, b);
    assert.equal(await party(call, b, 'declined'), 't');
    assert.equal((await accept(call, b))[0], 'lost');
    await end(call, 'declined');
    const first = await ringing(a, b);
    const second = await ringing(c, b);
    assert.equal((await accept(first, b))[0], 'joined');
    assert.equal((await accept(second, b))[0], 'busy');
    assert.equal((await partyRow(second, b))[0], 'ringing');
    await end(second, 'missed');
    await assert.rejects(ringing(b, c), /ERROR: +busy/);
    await Promise.all([end(first, 'completed'), end(second, 'missed')]);
});

test('who is in the conversation but was not invited does not meet in its call', async () => {
    const call = await ringing(a, b);
    await stack.sql(`DELETE FROM call_participants WHERE call_id = '${call}' AND user_id = '${b.userId}'`);
    await assert.rejects(ringing(b, a), /not_invited/);
    await end(call, 'cancelled');
});

test('a participant changes only from the state that the change is about', async () => {
    const call = await ringing(a, b);
    assert.equal(await party(call, b, 'left'), 'f'); // has not joined
    await accept(call, b);
    assert.equal(await party(call, b, 'missed'), 'f'); // does not ring any more
    assert.equal(await party(call, b, 'declined'), 'f');
    assert.equal(await inboxed(call, b, 'call_handled_elsewhere'), 0); // one device: nobody to tell
    assert.equal(await party(call, b, 'left', randomUUID()), 'f'); // another device of his
    assert.deepEqual(await partyRow(call, b), ['joined', b.deviceId, 'f']);
    assert.equal(await party(call, b, 'left'), 't');
    assert.deepEqual(await partyRow(call, b), ['left', b.deviceId, 't']);
    await end(call, 'completed');
    const over = await ringing(a, b);
    await stack.sql(`UPDATE calls SET status = 'ended', reason = 'missed', ended_at = now() WHERE id = '${over}'`);
    await stack.sql(`UPDATE call_participants SET state = 'left' WHERE call_id = '${over}' AND state = 'joined'`);
    assert.equal(await party(over, b, 'declined'), 'f');
    assert.equal((await partyRow(over, b))[0], 'ringing');
});

test('a call ends once: the first reason, path and time stay', async () => {
    const call = await ringing(a, b);
    await accept(call, b);
    await stack.sql(`UPDATE calls SET path = 'turn', started_at = now() - interval '1 hour', answered_at = now() - interval '50 s' WHERE id = '${call}'`);
    const first = await end(call, 'completed');
    assert.equal(first.durationSeconds, 50);
    assert.deepEqual(await end(call, 'failed', "'p2p'", `${now} + 60000000`), first);
    assert.deepEqual(await one(`SELECT reason, path FROM calls WHERE id = '${call}'`), ['completed', 'turn']);
    assert.deepEqual(await partyRow(call, a), ['left', a.deviceId, 't']);
    assert.equal(await inboxed(call, a, 'call_ended'), 1);
    await stack.sql(`SELECT call_set_mode('${call}', 'sfu', 'sfu', 'node')`);
    assert.deepEqual(await one(`SELECT mode, path, sfu_node FROM calls WHERE id = '${call}'`), ['p2p', 'turn', '']);
    await assert.rejects(stack.sql(`SELECT call_invite('${call}', ARRAY['${c.userId}']::uuid[], 60000000, 8)`), /call_ended/);
});

test('a call that is over is over for those who were in it, and nothing for others', async () => {
    const call = await ringing(a, b);
    await end(call, 'cancelled');
    const tombstone = (who) => stack.sql(`SELECT call_tombstone('${call}', '${who.userId}')`);
    assert.deepEqual(await tombstone(b), [['ended']]);
    assert.deepEqual(await tombstone(c), []);
});

test('a late acknowledgement does not take a device back', async () => {
    const ack = (cursor) => value(`SELECT inbox_ack('${a.userId}', '${a.deviceId}', ${cursor})`);
    const last = Number(await value(`SELECT last_cursor FROM inbox_counters WHERE user_id = '${a.userId}'`));
    assert.ok(last > 1);
    assert.equal(Number(await ack(last)), last);
    assert.equal(Number(await ack(1)), last);
    assert.equal(Number(await ack(last + 100)), last); // nor to what isn't there
});

test('an end that was no conversation has no duration', async () => {
    const call = await ringing(a, b);
    await accept(call, b); // in the same moment as the caller cancelled
    await stack.sql(`UPDATE calls SET started_at = now() - interval '1 hour', answered_at = now() - interval '50 s' WHERE id = '${call}'`);
    assert.equal((await end(call, 'cancelled')).durationSeconds, 0);
    assert.equal(await value(`SELECT answered_at IS NULL FROM calls WHERE id = '${call}'`), 't');
});

test('an invitation leaves alone those who are in, and bounds how many there are', async () => {
    const call = await ringing(a, b);
    await accept(call, b);
    const users = (...who) => `ARRAY[${who.map((p) => `'${p.userId}'`)}]::uuid[]`;
    await assert.rejects(stack.sql(`SELECT call_invite('${call}', ${users(c)}, 60000000, 2)`), /too_many_participants/);
    assert.equal(await partyRow(call, c), undefined);
    const rung = JSON.parse(await value(`SELECT call_invite('${call}', ${users(a, b, c)}, 60000000, 3)`));
    assert.deepEqual(rung.map((p) => p.userId), [c.userId]);
    assert.deepEqual(await partyRow(call, b), ['joined', b.deviceId, 'f']);
    const answered = await value(`SELECT answered_at FROM calls WHERE id = '${call}'`);
    assert.deepEqual(await accept(call, c), ['joined', '3']);
    assert.equal(await value(`SELECT answered_at FROM calls WHERE id = '${call}'`), answered, 'the first answer began it');
    await end(call, 'completed');
});

test('a sign-in whose password changed while it was verified comes to nothing', async () => {
    const finish = (hash) =>
        stack.sql(`SELECT device_id FROM account_login_finish('${a.userId}', ${hash}, NULL, '${randomUUID()}', 'late', 'test', '${randomUUID()}', sha256('${randomUUID()}'), 60, 20)`);
    const current = await value(`SELECT password_hash FROM users WHERE id = '${a.userId}'`);
    await stack.sql(`UPDATE users SET password_hash = 'another' WHERE id = '${a.userId}'`);
    assert.deepEqual(await finish(`'${current}'`), []);
    assert.equal(await count(`FROM devices WHERE name = 'late'`), 0);
    assert.equal((await finish(`'another'`)).length, 1);
});

test('a refresh token of a suspended account is refused even where its session lives on', async () => {
    const hash = `sha256('${randomUUID()}')`;
    await stack.sql(`UPDATE refresh_tokens SET hash = ${hash} WHERE session_id = (SELECT id FROM sessions WHERE user_id = '${c.userId}' AND revoked_at IS NULL LIMIT 1)`);
    await stack.sql(`UPDATE users SET suspended_at = now() WHERE id = '${c.userId}'`);
    const spend = () => value(`SELECT outcome FROM account_refresh(${hash}, sha256('${randomUUID()}'), 60)`);
    assert.equal(await spend(), 'refused');
    await stack.sql(`UPDATE users SET suspended_at = NULL WHERE id = '${c.userId}'`);
    assert.equal(await spend(), 'ok');
});
