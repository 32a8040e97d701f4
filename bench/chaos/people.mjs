// The people of a soak: registered once, several devices each, taken by workloads so that nobody is in two of them at once.
import { Device, Refused } from './device.mjs';
import { poll } from './time.mjs';

const PASSWORD = 'correct horse battery';

export class Person {
    taken = false;
    devices = [];

    constructor(world, n) {
        Object.assign(this, { world, n, username: `soak${String(n).padStart(4, '0')}`, password: PASSWORD });
    }

    async register() {
        const first = new Device(this.world, this, 'phone');
        const made = await first.ask('POST', '/v1/auth/register', {
            body: { email: `${this.username}@example.org`, username: this.username, password: PASSWORD, displayName: `Soak ${this.n}` },
            ms: 60_000,
        });
        if (made.status !== 201) throw new Refused('register', made.body ?? made.status);
        this.userId = made.body.user.id;
        this.devices.push(first);
        await first.login();
    }

    async addDevice(name) {
        const device = new Device(this.world, this, name);
        await device.login();
        this.devices.push(device);
        return device;
    }

    get phone() {
        return this.devices[0];
    }
}

export class People {
    all = [];
    /** Devices that were signed out for good during the soak: their logs count as well. */
    gone = [];

    constructor(world) {
        this.world = world;
    }

    /** Registers n people; every third has one device, the others two or three. A few at a time, as passwords are hashed with their real cost. */
    async fill(n, tell) {
        const todo = Array.from({ length: n }, (_, i) => new Person(this.world, i + 1));
        let done = 0;
        const worker = async () => {
            for (let person; (person = todo.shift()); ) {
                await person.register();
                for (const name of ['laptop', 'tablet'].slice(0, person.n % 3)) await person.addDevice(name);
                this.all.push(person);
                tell?.(++done, n);
            }
        };
        await Promise.all([worker(), worker()]);
        this.all.sort((a, b) => a.n - b.n);
        for (const device of this.devices()) device.connect();
        const live = await poll(() => this.devices().every((d) => d.live), 30_000);
        if (!live) throw new Error('not all devices could connect');
    }

    devices() {
        return this.all.flatMap((p) => p.devices);
    }

    /** n people whom nobody else has, by chance; null when there aren't so many. They have at least `devices` devices each. */
    take(n, random, { devices = 1 } = {}) {
        const free = this.all.filter((p) => !p.taken && !p.reserved && p.devices.length >= devices && p.phone.live);
        if (free.length < n) return null;
        const taken = random.shuffled(free).slice(0, n);
        for (const p of taken) p.taken = true;
        return taken;
    }

    release(people) {
        for (const p of people) p.taken = false;
    }

    async close() {
        await Promise.all(this.devices().map((d) => d.close()));
    }
}
