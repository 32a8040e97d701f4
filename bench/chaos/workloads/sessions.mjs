// Signing in and out: a new device that connects, renews its token, takes many tickets, and goes.
import { Device } from '../device.mjs';
import { pace, runScript, Stuck } from '../script.mjs';
import { poll, sleep } from '../time.mjs';
import { DIRECT } from '../windows.mjs';

export function sessions() {
    let world, random, paced;
    const counts = { logins: 0, refreshes: 0, tickets: 0, logouts: 0, revoked: 0, wrongPasswords: 0 };

    async function refused(device) {
        const answer = await device.ask('POST', '/v1/auth/login', {
            body: { username: device.person.username, password: 'not the password', device: { name: 'thief' } },
        });
        if (answer.status !== 401 && answer.status !== 503) throw new Stuck(`a wrong password got ${answer.status}`);
        counts.wrongPasswords++;
    }

    async function renew(device) {
        const before = device.refreshToken;
        await device.refresh();
        counts.refreshes++;
        const me = await device.http('GET', '/v1/users/me');
        if (me.status !== 200 || me.body.username !== device.person.username) throw new Stuck(`users/me after a refresh: ${me.status}`);
        if (device.refreshToken === before) throw new Stuck('a refresh gave the same token');
    }

    async function tickets(device) {
        const seen = new Set();
        for (let i = 0; i < 5; i++) {
            const answer = await device.http('POST', '/v1/ws-ticket');
            if (answer.status !== 200) throw new Stuck(`ws-ticket: ${answer.status}`);
            seen.add(answer.body.token);
            counts.tickets++;
        }
        if (seen.size !== 5) throw new Stuck('the same ticket twice');
    }

    /** Signs out: by itself, or revoked from the person's phone; then its token and its socket are dead. */
    async function signOut(device) {
        const phone = device.person.phone;
        const own = random.chance(0.5);
        const answer = own ? await device.http('POST', '/v1/auth/logout') : await phone.http('DELETE', `/v1/devices/${device.deviceId}`);
        if (![200, 204, 404].includes(answer.status)) throw new Stuck(`sign out: ${answer.status}`);
        counts[own ? 'logouts' : 'revoked']++;
        const closed = await poll(() => device.sockets.at(-1).closedAt, 8000);
        if (!closed) throw new Stuck(`${device.label}: its socket lives on after the sign-out`);
        const { status } = await device.ask('GET', '/v1/users/me', { token: device.token });
        if (status !== 401) throw new Stuck(`a token that was signed out got ${status}`);
    }

    async function script(person) {
        const device = new Device(world, person, `guest-${world.serial()}`);
        try {
            await device.login();
            counts.logins++;
            device.connect();
            if (!(await poll(() => device.live, 40_000))) throw new Stuck(`${device.label} could not connect`);
            if (random.chance(0.3)) await refused(device);
            for (let i = random.int(3); i >= 0; i--) {
                await renew(device);
                await sleep(random.between(100, 1000));
            }
            await tickets(device);
            device.wanted = false; // when the server closes its socket it stays closed
            await signOut(device);
        } finally {
            await device.close();
            if (device.deviceId) {
                await person.phone.http('DELETE', `/v1/devices/${device.deviceId}`).catch(() => {}); // whatever went wrong
                world.people.gone.push(device);
            }
        }
    }

    return {
        name: 'sessions',
        about: 'logins, refreshes, tickets, sign-outs and revoked devices',
        start(w) {
            world = w;
            random = world.random.fork('sessions');
            paced = pace(world, random, world.rate(0.15), 4, () => {
                const people = world.people.take(1, random);
                return people && runScript(world, 'sessions', people, DIRECT, () => script(people[0]));
            });
        },
        stop: () => paced.stop(),
        figures: () => counts,
        books: () => [],
    };
}
