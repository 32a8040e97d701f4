// One device of a person: signs in, keeps a WebSocket as a client should (its cursor, pings, backoff with jitter),
// and writes down everything durable that it was told and every ring, for the books.
import WebSocket from 'ws';
import { sleep } from './time.mjs';

const PING_EVERY_MS = 3000;
const PING_ANSWER_MS = 4000; // so a dead socket is known after 7 s
const HTTP_MS = 8000;

/** The server never answered: what was asked may have been done, or not. */
export class Lost extends Error {}

/** The server said no. */
export class Refused extends Error {
    constructor(what, error) {
        super(`${what}: ${error?.code ?? error} ${error?.message ?? ''}`.trim());
        this.code = error?.code ?? String(error);
        this.retryAfterMs = error?.retryAfterMs;
    }
}

export class Device {
    #socket = null;
    #replies = new Map();
    #nextId = 1;
    #waiters = new Set();
    #stopping = new AbortController();
    #ackedAt = 0;
    wanted = false;
    live = false;
    /** The last durable event that was taken. */
    cursor = 0;
    /** Everything durable, in the order it came: {cursor, type, callId, how, at}. */
    log = [];
    /** What is wrong by itself, without comparing: {at, what}. */
    faults = [];
    /** Every socket that there was: {n, openedAt, syncedAt, closedAt, code}. */
    sockets = [];
    counts = { connects: 0, refreshes: 0, logins: 0, resyncs: 0, stale: 0 };

    constructor(world, person, name) {
        Object.assign(this, { world, person, name });
        this.random = world.random.fork(`device/${person.username}/${name}`);
        this.handlers = new Map();
    }

    // ---- HTTP ----

    /** One request as it is: {status, body}; throws Lost when there is no answer. */
    async ask(method, path, { body, token, headers = {}, ms = HTTP_MS } = {}) {
        try {
            const response = await fetch(this.world.url + path, {
                method,
                headers: {
                    ...(token ? { authorization: `Bearer ${token}` } : {}),
                    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
                    ...headers,
                },
                body: body === undefined ? undefined : JSON.stringify(body),
                signal: AbortSignal.timeout(ms),
            });
            const text = await response.text();
            return { status: response.status, body: text ? JSON.parse(text) : null, retryAfter: Number(response.headers.get('retry-after') ?? 0) };
        } catch (error) {
            throw new Lost(`${method} ${path}: ${error.cause?.code ?? error.message}`);
        }
    }

    async login() {
        const { username, password } = this.person;
        const device = { name: this.name, platform: 'soak', ...(this.deviceId ? { id: this.deviceId } : {}) };
        const answer = await this.ask('POST', '/v1/auth/login', { body: { username, password, device } });
        if (answer.status !== 200) throw new Refused('login', answer.body ?? answer.status);
        this.#session(answer.body);
        this.counts.logins++;
    }

    #session({ accessToken, refreshToken, deviceId }) {
        this.token = accessToken;
        this.refreshToken = refreshToken;
        this.deviceId = deviceId;
    }

    /** Renews the tokens; those who want that at the same time share it, as a token can be spent only once. */
    refresh() {
        this.refreshing ??= this.#refreshOnce().finally(() => (this.refreshing = null));
        return this.refreshing;
    }

    /** Spends the refresh token. When the answer is lost the token may be spent: then only a login helps (reuse is strict). */
    async #refreshOnce() {
        const spent = this.refreshToken;
        this.refreshToken = null;
        try {
            if (!spent) throw new Refused('refresh', 'no refresh token');
            const answer = await this.ask('POST', '/v1/auth/refresh', { body: { refreshToken: spent } });
            if (answer.status === 503) this.refreshToken = spent;
            if (answer.status !== 200) throw new Refused('refresh', answer.body ?? answer.status);
            this.#session({ deviceId: this.deviceId, ...answer.body });
            this.counts.refreshes++;
        } catch (error) {
            if (this.refreshToken) throw error;
            this.world.note('relogin', `${this.label}: ${error.message}`);
            await this.login();
        }
    }

    /** A request that may be made again: repeats while the server is away (10 s at most), renews the token once. */
    async http(method, path, options = {}) {
        const end = Date.now() + 10_000;
        let renewed = false;
        for (;;) {
            const answer = await this.ask(method, path, { ...options, token: this.token }).catch((error) => error);
            if (answer.status === 401 && !renewed) {
                renewed = true;
                await this.refresh();
            } else if ((answer instanceof Lost || answer.status === 503 || answer.body?.code === 'idempotency_in_flight') && Date.now() < end) {
                await sleep(Math.max((answer.retryAfter ?? 0) * 1000, 200 + this.random.between(0, 600)), this.#stopping.signal);
            } else if (answer instanceof Error) {
                throw answer;
            } else {
                return answer;
            }
        }
    }

    /** The port that its socket comes from, for who cuts it. */
    get localPort() {
        return this.#socket?._socket?.localPort;
    }

    get label() {
        return `${this.person.username}/${this.name}`;
    }

    // ---- the socket ----

    /** Connects, and again whenever the socket is gone, until `away()` or `close()`. */
    connect() {
        if (this.wanted) return;
        this.wanted = true;
        this.running = this.#run();
    }

    async #run() {
        let tries = 0;
        while (this.wanted) {
            try {
                await this.#openOnce();
                tries = 0;
                await this.#closed;
            } catch (error) {
                if (!(error instanceof Lost) && !(error instanceof Refused)) throw error;
            }
            this.live = false;
            this.#giveUp();
            if (!this.wanted) break;
            await sleep(this.random.between(50, Math.min(250 * 2 ** tries++, 3000)), this.#stopping.signal);
        }
    }

    #closed = null;

    async #openOnce() {
        const ticket = await this.http('POST', '/v1/ws-ticket');
        if (ticket.status !== 200) throw new Refused('ws-ticket', ticket.body ?? ticket.status);
        if (!this.wanted) return;
        const ws = new WebSocket(`ws://127.0.0.1:${this.world.socketPort}/v1/ws?since=${this.cursor}`, ['sotto.v1', `ticket.${ticket.body.token}`], {
            handshakeTimeout: 5000,
            perMessageDeflate: false,
        });
        const record = { n: this.sockets.length + 1, openedAt: null, syncedAt: null, closedAt: null, code: null };
        this.#socket = ws;
        this.#closed = new Promise((resolve) => {
            ws.on('close', (code) => {
                Object.assign(record, { closedAt: Date.now(), code });
                resolve(code);
            });
        });
        ws.on('error', () => {});
        ws.on('message', (data) => {
            if (this.#socket === ws && ws.readyState === WebSocket.OPEN) this.#take(JSON.parse(data.toString()), record);
        });
        await new Promise((resolve, reject) => {
            ws.on('open', resolve);
            this.#closed.then(() => reject(new Lost('the socket did not open')));
        });
        this.sockets.push(record);
        this.counts.connects++;
        this.#keepAlive(ws);
    }

    #keepAlive(ws) {
        const timer = setInterval(() => {
            this.request('ping', {}, PING_ANSWER_MS).catch(() => {
                if (this.#socket !== ws || ws.readyState !== WebSocket.OPEN) return;
                this.counts.stale++;
                ws.terminate();
            });
            this.#ack();
        }, PING_EVERY_MS);
        ws.on('close', () => clearInterval(timer));
    }

    #ack() {
        if (this.cursor <= this.#ackedAt || !this.live) return;
        const cursor = this.cursor;
        this.request('ack', { cursor })
            .then(() => (this.#ackedAt = cursor))
            .catch(() => {});
    }

    /** Everyone who waits for an answer on a socket that is gone hears that it is lost. */
    #giveUp() {
        for (const { reject } of this.#replies.values()) reject(new Lost('the socket is gone'));
        this.#replies.clear();
    }

    /** Cut by ourselves, as when a phone changes its network; it comes back by itself. */
    breakSocket() {
        this.#socket?.terminate();
    }

    /** Closes and stays away until connect(). */
    async away() {
        this.wanted = false;
        this.#socket?.close();
        const ws = this.#socket;
        const timer = setTimeout(() => ws?.terminate(), 1500);
        await this.running;
        clearTimeout(timer);
        this.live = false;
    }

    async close() {
        this.#stopping.abort();
        await this.away();
    }

    /** Sends a frame; its reply's data, or Refused, or Lost. */
    request(type, data = {}, ms = 8000) {
        const ws = this.#socket;
        if (!ws || ws.readyState !== WebSocket.OPEN) return Promise.reject(new Lost(`${type}: no socket`));
        const id = `r${this.#nextId++}`;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#replies.delete(id);
                reject(new Lost(`${type}: no reply in ${ms} ms`));
            }, ms);
            const end = (fn) => (value) => {
                clearTimeout(timer);
                fn(value);
            };
            this.#replies.set(id, {
                reject: end(reject),
                take: (frame) => (frame.ok ? end(resolve)(frame.data) : end(reject)(new Refused(type, frame.error))),
            });
            ws.send(JSON.stringify({ type, id, data }));
        });
    }

    // ---- what comes ----

    #take(frame, record) {
        if (frame.type === 'reply') {
            const waiting = this.#replies.get(frame.id);
            this.#replies.delete(frame.id);
            waiting?.take(frame);
            return;
        }
        if (frame.cursor !== undefined && !this.durable(frame, `socket ${record.n}`)) return;
        if (frame.type === 'connected') record.openedAt = Date.now();
        else if (frame.type === 'synced') this.#synced(frame.data, record);
        else if (frame.type === 'resync_required') void this.#resync();
        this.world.ledger.heard(this, frame, record);
        for (const handler of this.handlers.get(frame.type) ?? []) handler(frame.data);
        for (const waiter of [...this.#waiters]) waiter(frame);
    }

    #synced({ truncated }, record) {
        record.syncedAt = Date.now();
        this.live = true;
        if (truncated) this.faults.push({ at: Date.now(), what: 'synced says truncated, and nothing is old enough to be gone' });
    }

    /** Takes a durable event into the log; false (and a fault) when it came before or out of order. */
    durable(frame, how) {
        const { cursor, type, data } = frame;
        if (!(cursor > this.cursor)) {
            this.faults.push({ at: Date.now(), what: `${type} with cursor ${cursor} came by ${how} after ${this.cursor}` });
            return false;
        }
        this.cursor = cursor;
        this.log.push({ cursor, type, callId: data.callId, how, at: Date.now() });
        return true;
    }

    /** Pulls what follows by GET /v1/sync, page by page. */
    async pull() {
        let taken = 0;
        for (;;) {
            const { status, body } = await this.http('GET', `/v1/sync?since=${this.cursor}&limit=20`);
            if (status !== 200) throw new Refused('sync', body ?? status);
            for (const item of body.items) {
                if (this.durable(item, 'sync')) this.world.ledger.heard(this, item, null);
                taken++;
            }
            if (body.nextCursor === null) return taken;
        }
    }

    async #resync() {
        this.counts.resyncs++;
        await this.pull().catch(() => this.breakSocket());
        this.#ackedAt = 0;
        this.#ack();
    }

    on(type, handler) {
        this.handlers.set(type, [...(this.handlers.get(type) ?? []), handler]);
        return () => this.handlers.set(type, this.handlers.get(type).filter((h) => h !== handler));
    }

    /** The next frame that fits, from now on; Lost when none comes in time. Survives reconnects. */
    next(type, fits = () => true, ms = 8000) {
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#waiters.delete(waiter);
                reject(new Lost(`${this.label}: no ${type} in ${ms} ms`));
            }, ms);
            const waiter = (frame) => {
                if (frame.type !== type || !fits(frame.data)) return;
                clearTimeout(timer);
                this.#waiters.delete(waiter);
                resolve(frame.data);
            };
            this.#waiters.add(waiter);
        });
    }

    /** The socket that was open from before `from` until after `to`, synced all the time; undefined when there was none. */
    steady(from, to) {
        return this.sockets.find((s) => s.syncedAt && s.syncedAt < from && (s.closedAt === null || s.closedAt > to));
    }
}
