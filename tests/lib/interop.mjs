// WHIP and WHEP clients that are not ours (aiortc, GStreamer), run as programs, and what is asked of the pictures that they decode.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { until } from './stack.mjs';

const folder = new URL('interop/', import.meta.url).pathname;
/** Debian's own: aiortc and GStreamer are packages of it. */
const python = process.env.SOTTO_TEST_PYTHON || '/usr/bin/python3';

/** One program; `events` are the lines that it wrote. */
export class Foreign {
    /** @param {'aiortc'|'gstreamer'} client @param {'publish'|'watch'} way */
    constructor(client, way, url, token, codec = 'VP8') {
        this.name = `${client} ${way} ${codec}`;
        this.events = [];
        this.errors = '';
        this.child = spawn(python, [`${folder}${client}_peer.py`, way, url, token, codec], {
            stdio: ['pipe', 'pipe', 'pipe'],
            env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
        });
        createInterface({ input: this.child.stdout }).on('line', (line) => this.events.push(JSON.parse(line)));
        this.child.stderr.on('data', (text) => (this.errors += text));
        this.child.stdin.on('error', () => {}); // it may have ended by itself
        this.exited = new Promise((resolve) => this.child.once('exit', (code, signal) => resolve(code ?? signal)));
        this.exited.then((code) => (this.code = code));
    }

    last(event) {
        return this.events.findLast((e) => e.event === event);
    }

    /** Waits for what `probe` gives; fails at once when the program has ended. */
    async until(what, probe, ms = 25_000) {
        try {
            return await until(`${this.name}: ${what}`, () => {
                const value = probe();
                if (!value && this.code !== undefined) throw new Error(`${this.name} ended with ${this.code} before: ${what}`);
                return value;
            }, ms);
        } catch (error) {
            error.message += `\nlast: ${JSON.stringify(this.last('stats'))} ${JSON.stringify(this.last('refused'))}\n${this.errors.slice(-3000)}`;
            throw error;
        }
    }

    /** Its session is made; {resource, answer}. */
    opened() {
        return this.until('its session is made', () => this.last('open'));
    }

    /** Its ICE and DTLS are up. */
    connected() {
        return this.until('connected', () => this.last('stats')?.state === 'connected');
    }

    /** Decodes `n` more pictures that differ from each other, and hears something. */
    async decodes(n = 15) {
        const first = this.last('stats') ?? { frames: 0, different: 0 };
        const fits = (s) => s?.frames >= first.frames + n && s.different >= first.different + n / 2 && s.loudness > 1000;
        return this.until(`decodes ${n} pictures and sound`, () => fits(this.last('stats')) && this.last('stats'));
    }

    send(word) {
        this.child.stdin.write(`${word}\n`);
    }

    async remove() {
        this.send('delete');
        return (await this.until('its session is ended', () => this.last('deleted'))).status;
    }

    /** Ends the program, which may not have failed. */
    async close() {
        if (this.code === undefined) this.child.stdin.end();
        const timer = setTimeout(() => this.child.kill('SIGKILL'), 30_000);
        const code = await this.exited;
        clearTimeout(timer);
        assert.equal(code, 0, `${this.name} ended with ${code}\n${this.errors.slice(-3000)}`);
    }
}

/** The seven bars of the television test picture, of whatever brightness. */
export function isBars(bars) {
    const names = bars.map((rgb) => rgb.map((v) => (v > 100 ? 1 : 0)).join(''));
    return names.join(' ') === '111 110 011 010 101 100 001';
}
