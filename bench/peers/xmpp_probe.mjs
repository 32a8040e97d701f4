// The smallest XMPP client over WebSocket (RFC 7395) that can prove an ejabberd works: login, a message, the archive, a room.
// Load comes from sotto-load-xmpp, never from here.
import { WebSocket } from 'ws';

const FRAMING = 'urn:ietf:params:xml:ns:xmpp-framing';

/** A logged-in session: `send(xml)`, `wait(regexp, ms)` → the first stanza that matches (each is given out once), `close()`. */
export class Probe {
    #socket;
    #seen = [];
    #waiters = [];

    /** Fails with "refused" when the server does not know the user or the password. */
    static async login(server, user, resource = 'probe') {
        const probe = new Probe();
        await probe.#open(server);
        await probe.#openStream(server.domain, /<stream:features/);
        const plain = Buffer.from(`\0${user.name}\0${user.password}`).toString('base64');
        probe.send(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plain}</auth>`);
        if (/<failure/.test(await probe.wait(/<success|<failure/))) {
            probe.close();
            throw new Error(`${user.name} was refused`);
        }
        await probe.#openStream(server.domain, /<stream:features/);
        probe.send(`<iq type='set' id='bind' xmlns='jabber:client'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`);
        probe.jid = /<jid>([^<]+)<\/jid>/.exec(await probe.wait(/id='bind'/))[1];
        probe.send("<presence xmlns='jabber:client'/>");
        return probe;
    }

    async #open(server) {
        this.#socket = new WebSocket(server.wsUrl, 'xmpp');
        this.#socket.on('message', (data) => this.#arrived(String(data)));
        await new Promise((resolve, reject) => this.#socket.once('open', resolve).once('error', reject));
        this.#socket.on('error', () => {}); // a session that breaks is told by a wait that ends in vain
    }

    async #openStream(domain, until) {
        this.send(`<open xmlns='${FRAMING}' to='${domain}' version='1.0'/>`);
        return this.wait(until);
    }

    #arrived(xml) {
        const at = this.#waiters.findIndex((waiter) => waiter.pattern.test(xml));
        if (at < 0) return void this.#seen.push(xml);
        this.#waiters.splice(at, 1)[0].resolve(xml);
    }

    send(xml) {
        this.#socket.send(xml);
    }

    wait(pattern, ms = 60_000) {
        const at = this.#seen.findIndex((xml) => pattern.test(xml));
        if (at >= 0) return Promise.resolve(this.#seen.splice(at, 1)[0]);
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error(`no ${pattern} in ${ms} ms; had ${this.#seen.join('\n')}`)), ms);
            this.#waiters.push({ pattern, resolve: (xml) => (clearTimeout(timer), resolve(xml)) });
        });
    }

    close() {
        this.#socket.terminate();
    }
}
