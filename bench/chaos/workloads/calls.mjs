// Calls of two people: answered, declined, cancelled, missed, busy, answered on two devices at once, both calling at once,
// and answered with a socket that breaks in between.
import { act, ended, pace, rings, runScript, start, Stuck } from '../script.mjs';
import { poll, sleep } from '../time.mjs';
import { DIRECT } from '../windows.mjs';

const WEIGHTS = { answer: 40, decline: 10, cancel: 10, miss: 6, busy: 8, elsewhere: 10, glare: 6, resume: 10 };

export function calls() {
    let world, random, paced;
    const made = Object.fromEntries(Object.keys(WEIGHTS).map((plan) => [plan, 0]));

    const scripts = {
        async answer([a, b]) {
            const media = world.media && random.chance(0.6) ? await world.media.direct(random) : null;
            try {
                const { callId, device } = await answered(a, b, media);
                await talk(callId, a.phone, device, media);
                await hangUp(callId, random.chance(0.5) ? a.phone : device, [a, b]);
            } finally {
                await media?.close();
            }
        },
        async decline([a, b]) {
            const { callId } = await call(a, { userId: b.userId }, 'decline');
            const devices = await rings(world, callId, b);
            await act(world, callId, 'decline', random.pick(devices), 'decline_call');
            await ended(world, callId, [a, b]);
        },
        async cancel([a, b]) {
            const { callId } = await call(a, { userId: b.userId }, 'cancel');
            await rings(world, callId, b);
            await sleep(random.between(200, 1500));
            await act(world, callId, 'cancel', a.phone, 'hang_up');
            await ended(world, callId, [a, b]);
        },
        async miss([a, b]) {
            const { callId } = await call(a, { userId: b.userId }, 'miss');
            await rings(world, callId, b);
            await ended(world, callId, [a, b], world.ringMs + 6000);
        },
        async busy([a, b, c]) {
            const { callId, device } = await answered(a, b);
            const other = await call(c, { userId: a.userId }, 'busy');
            await ended(world, other.callId, [c]);
            await hangUp(callId, device, [a, b]);
        },
        async elsewhere([a, b]) {
            const { callId } = await call(a, { userId: b.userId }, 'elsewhere');
            const first = await rings(world, callId, b);
            await poll(() => ringing(callId, b).length >= b.devices.filter((d) => d.live).length, 2000, 10);
            const devices = ringing(callId, b);
            const replies = await Promise.all(devices.map((d) => act(world, callId, 'accept', d, 'accept_call', {}, { allow: ['conflict'] })));
            const winners = devices.filter((_, i) => !replies[i].refused);
            if (winners.length !== 1 && first.length > 1) throw new Stuck(`${winners.length} devices won of ${devices.length}`);
            await talk(callId, a.phone, winners[0]);
            await hangUp(callId, winners[0], [a, b]);
        },
        async glare([a, b]) {
            const replies = await Promise.allSettled([call(a, { userId: b.userId }, 'glare'), call(b, { userId: a.userId }, 'glare')]);
            const got = replies.filter((r) => r.status === 'fulfilled').map((r) => r.value);
            if (got.length !== 2) throw new Stuck(replies.find((r) => r.reason)?.reason.message);
            if (got[0].callId !== got[1].callId) throw new Stuck(`two calls: ${got.map((r) => r.callId).join(', ')}`);
            await sleep(random.between(300, 1500));
            await hangUp(got[0].callId, random.pick([a, b]).phone, [a, b]);
        },
        async resume([a, b]) {
            const { callId, device } = await answered(a, b);
            const lost = random.pick([a.phone, device]);
            const other = lost === device ? a.phone : device;
            const sockets = lost.sockets.length;
            const told = other.next('participant_updated', (d) => d.callId === callId && d.participant.state === 'reconnecting', 6000);
            lost.breakSocket();
            await told;
            if (!(await poll(() => lost.live && lost.sockets.length > sockets, 40_000))) throw new Stuck(`${lost.label} did not come back`);
            await talk(callId, a.phone, device);
            await hangUp(callId, lost, [a, b]);
        },
    };

    const call = (person, data, plan) => start(world, person.phone, data, { workload: 'calls', plan, touched: plan.endsWith('turn') ? [...DIRECT, 'coturn'] : DIRECT });
    const ringing = (callId, person) => person.devices.filter((d) => d.live && world.ledger.calls.get(callId)?.rings.some((r) => r.device === d));
    const hangUp = async (callId, device, people) => {
        await act(world, callId, 'hang_up', device, 'hang_up');
        await ended(world, callId, people);
    };

    /** As browsers take them before a call; without a relay nobody needs them. */
    async function iceServers(person, media) {
        if (media.path !== 'turn') return [];
        const answer = await person.phone.http('GET', '/v1/ice-servers');
        if (answer.status !== 200) throw new Stuck(`ice-servers: ${answer.status}`);
        return answer.body.iceServers;
    }

    /** a calls b, who answers on one of his devices. */
    async function answered(a, b, media = null) {
        const offer = media ? { type: 'offer', sdp: await media.offer(await iceServers(a, media)) } : undefined;
        const { callId } = await call(a, { userId: b.userId, description: offer }, media ? `answer ${media.path}` : 'answer');
        const accepted = a.phone.next('call_accepted', (d) => d.callId === callId, 20_000);
        accepted.catch(() => {});
        const device = random.pick(await rings(world, callId, b));
        const answer = media ? { type: 'answer', sdp: await media.answer(await iceServers(b, media)) } : undefined;
        await act(world, callId, 'accept', device, 'accept_call', { description: answer });
        const told = await accepted;
        if (media) await media.connect(told.description?.sdp);
        return { callId, device };
    }

    /** Candidates both ways (each must arrive), and how the call goes. */
    async function talk(callId, x, y, media = null) {
        for (const [from, to] of [[x, y], [y, x]]) {
            const candidate = `candidate:${random.int(1e9)} 1 udp 2122260223 192.0.2.${1 + random.int(250)} ${1024 + random.int(60000)} typ host`;
            const came = to.next('ice_candidate', (d) => d.callId === callId && d.candidate?.candidate === candidate, 20_000);
            came.catch(() => {});
            await act(world, callId, 'candidate', from, 'ice_candidate', { candidate: { candidate, sdpMid: '0', sdpMLineIndex: 0 } });
            await came;
        }
        await sleep(Math.min(1000 + random.exponential(3000), 12_000));
        await media?.check();
        await act(world, callId, 'stats', x, 'call_stats', { path: media?.path ?? 'p2p', rttMs: 20, lossPercent: 0 });
    }

    return {
        name: 'calls',
        about: 'calls of two: answered (with media), declined, cancelled, missed, busy, two devices, glare, a socket that breaks',
        start(w) {
            world = w;
            random = world.random.fork('calls');
            paced = pace(world, random, world.rate(0.7), world.most(0.5), () => {
                const plan = random.weighted(WEIGHTS);
                const people = world.people.take(plan === 'busy' ? 3 : 2, random, { devices: plan === 'elsewhere' ? 2 : 1 });
                if (!people) return null;
                made[plan]++;
                return runScript(world, 'calls', people, plan === 'answer' ? [...DIRECT, 'coturn'] : DIRECT, () => scripts[plan](people));
            });
        },
        stop: () => paced.stop(),
        figures: () => ({ scripts: paced.started, ...made }),
        books: () => [],
    };
}
