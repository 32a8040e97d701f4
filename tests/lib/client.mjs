// A bare client of the wire contract for integration tests: HTTP by fetch, the socket by ws. Nothing of the SDK.
import { randomBytes } from 'node:crypto';
import WebSocket from 'ws';
import { PATIENCE } from './machine.mjs';

/** One HTTP call: {status, body, headers}. Objects become JSON; strings go as they are. */
export async function http(stack, method, path, { token, body, headers = {} } = {}) {
    const response = await fetch((stack.url ?? stack) + path, {
        method,
        headers: {
            ...(token ? { authorization: `Bearer ${token}` } : {}),
            ...(body !== undefined ? { 'content-type': 'application/json' } : {}),
            ...headers,
        },
        body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await response.text();
    let parsed = null;
    try {
        parsed = text ? JSON.parse(text) : null;
    } catch {
        parsed = text;
    }
    return { status: response.status, body: parsed, headers: response.headers };
}

export const uniqueName = (prefix = 'u') => `${prefix}${randomBytes(5).toString('hex')}`;

/** Registers a fresh user and logs in on one device. */
export async function newUser(stack, prefix = 'u') {
    const username = uniqueName(prefix);
    const password = 'correct horse battery';
    const made = await http(stack, 'POST', '/v1/auth/register', {
        body: { email: `${username}@example.org`, username, password, displayName: username },
    });
    if (made.status !== 201) throw new Error(`register: ${made.status} ${JSON.stringify(made.body)}`);
    const session = await login(stack, username, password);
    return { ...session, username, password, userId: made.body.user.id };
}

export async function login(stack, username, password, device = 'test') {
    const answer = await http(stack, 'POST', '/v1/auth/login', {
        body: { username, password, device: { name: device, platform: 'test' } },
    });
    if (answer.status !== 200) throw new Error(`login: ${answer.status} ${JSON.stringify(answer.body)}`);
    return { token: answer.body.accessToken, refreshToken: answer.body.refreshToken, deviceId: answer.body.deviceId, userId: answer.body.user.id };
}

/** A socket that collects events; `request` resolves with the reply frame, `event` with the next match (also past ones). */
export class Socket {
    static async open(stack, token, { since } = {}) {
        const ticket = await http(stack, 'POST', '/v1/ws-ticket', { token });
        if (ticket.status !== 200) throw new Error(`ticket: ${ticket.status}`);
        const socket = new Socket(stack.wsUrl + (since === undefined ? '' : `?since=${since}`), ['sotto.v1', `ticket.${ticket.body.token}`]);
        await socket.event('connected');
        return socket;
    }

    constructor(url, protocols = []) {
        this.events = [];
        this.waiters = [];
        this.replies = new Map();
        this.nextId = 1;
        this.ws = new WebSocket(url, protocols);
        this.closed = new Promise((resolve) => {
            this.ws.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
            this.ws.on('unexpected-response', (_request, response) => {
                let text = '';
                response.on('data', (chunk) => (text += chunk));
                response.on('end', () => resolve({ status: response.statusCode, text }));
            });
            this.ws.on('error', () => {});
        });
        this.ws.on('message', (data) => this.#take(JSON.parse(data.toString())));
    }

    #take(frame) {
        if (frame.type === 'reply' && this.replies.has(frame.id)) {
            this.replies.get(frame.id)(frame);
            this.replies.delete(frame.id);
            return;
        }
        this.events.push(frame);
        this.waiters = this.waiters.filter((waiter) => !waiter());
    }

    /** Sends a frame and resolves with its reply. */
    request(type, data = {}, ms = 5000) {
        const id = `r${this.nextId++}`;
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => reject(new Error(`no reply to ${type} in ${ms * PATIENCE} ms`)), ms * PATIENCE);
            this.replies.set(id, (frame) => {
                clearTimeout(timer);
                resolve(frame);
            });
            this.ws.send(JSON.stringify({ type, id, data }));
        });
    }

    /** The first event of the type (and matching the filter) that nobody took yet. */
    event(type, filter = () => true, ms = 5000) {
        const pick = () => {
            const i = this.events.findIndex((e) => e.type === type && filter(e.data));
            return i < 0 ? null : this.events.splice(i, 1)[0];
        };
        return new Promise((resolve, reject) => {
            const found = pick();
            if (found) return resolve(found);
            const timer = setTimeout(() => {
                this.waiters = this.waiters.filter((w) => w !== waiter);
                reject(new Error(`no ${type} in ${ms * PATIENCE} ms; have: ${this.events.map((e) => e.type).join(' ')}`));
            }, ms * PATIENCE);
            const waiter = () => {
                const event = pick();
                if (!event) return false;
                clearTimeout(timer);
                resolve(event);
                return true;
            };
            this.waiters.push(waiter);
        });
    }

    has(type, filter = () => true) {
        return this.events.some((e) => e.type === type && filter(e.data));
    }

    close() {
        this.ws.close();
        return this.closed;
    }
}
