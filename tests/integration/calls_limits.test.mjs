// The limit on ringing people: starts and invitations of one user in a minute.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Socket, http, newUser } from '../lib/client.mjs';
import { startStack } from '../lib/stack.mjs';

let stack;
before(async () => {
    stack = await startStack({ 'calls.start_per_minute': '3' });
});
after(() => stack.down());

test('the fourth ring in a minute is refused, for this user only', async () => {
    const [a, b] = await Promise.all([newUser(stack), newUser(stack)]);
    const [x, y] = await Promise.all([Socket.open(stack, a.token), Socket.open(stack, b.token)]);
    for (let i = 0; i < 2; i++) {
        const { callId } = (await x.request('call_start', { userId: b.userId })).data;
        await x.request('hang_up', { callId });
    }
    const { callId } = (await x.request('call_start', { userId: b.userId })).data;
    const invite = await x.request('call_invite', { callId, userIds: [b.userId] });
    assert.equal(invite.error.code, 'rate_limited');
    assert.ok(invite.error.retryAfterMs > 0);
    await x.request('hang_up', { callId });
    assert.equal((await x.request('call_start', { userId: b.userId })).error.code, 'rate_limited');
    const posted = await http(stack, 'POST', '/v1/calls', { token: a.token, body: { userId: b.userId } });
    assert.equal(posted.status, 429);
    assert.ok(Number(posted.headers.get('retry-after')) > 0);
    assert.ok((await y.request('call_start', { userId: a.userId })).ok);
    await Promise.all([x.close(), y.close()]);
});
