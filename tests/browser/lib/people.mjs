// People in real Chromiums: one browser process each, driven through what a person sees (and `window.sotto` for figures).
import { chromium } from 'playwright-core';
import { http, newUser } from '../../lib/client.mjs';
import { until } from '../../lib/stack.mjs';

const flags = [
    '--use-fake-device-for-media-stream',
    '--use-fake-ui-for-media-stream',
    '--no-sandbox',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-gpu',
    '--no-first-run',
    '--autoplay-policy=no-user-gesture-required',
];

const browsers = new Set();

/** `camera` is a .y4m file to show in place of the test pattern. */
export async function newBrowser({ camera } = {}) {
    const args = camera ? [...flags, `--use-file-for-fake-video-capture=${camera}`] : flags;
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args });
    browsers.add(browser);
    return browser;
}

export async function closeBrowsers() {
    await Promise.all([...browsers].map((b) => b.close().catch(() => {})));
    browsers.clear();
}

/** What a page of a test knows about its own connections, before the app's first line: `window.peers`, and how often a description was set. */
function watchPeers({ mediaKey, videoCodec }) {
    window.peers = [];
    window.negotiations = 0;
    const Native = RTCPeerConnection;
    window.RTCPeerConnection = class extends Native {
        constructor(...args) {
            super(...args);
            window.peers.push(this);
        }
        setRemoteDescription(...args) {
            window.negotiations++;
            return super.setRemoteDescription(...args);
        }
    };
    // An encoder that is short of time leaves pictures out: which size comes shall hang on us alone.
    const parametersOf = RTCRtpSender.prototype.getParameters;
    RTCRtpSender.prototype.getParameters = function () {
        const parameters = parametersOf.call(this);
        return this.track?.kind === 'video' ? { ...parameters, degradationPreference: 'maintain-resolution' } : parameters;
    };
    if (mediaKey?.older) delete window.RTCRtpScriptTransform;
    window.sottoTest = {
        ...(videoCodec && { videoCodec }),
        ...(mediaKey && { mediaKey: { keyId: mediaKey.keyId, key: Uint8Array.from(mediaKey.key) } }),
    };
}

/**
 * A person at the app, logged in through the form. `query` goes into the URL (`ice=relay`, `p2p=off`); `mediaKey` ({keyId, key: bytes})
 * encrypts her calls end to end, with `older: true` the way that Chromium had before RTCRtpScriptTransform; `videoCodec` is what she sends.
 */
export class Person {
    static async arrive(stack, { name = 'p', account, query = '', browser, mediaKey, videoCodec, viewport = { width: 960, height: 640 } } = {}) {
        const person = new Person();
        person.stack = stack;
        person.account = account ?? (await newUser(stack, name));
        person.username = person.account.username;
        person.browser = browser ?? (await newBrowser());
        person.context = await person.browser.newContext({ viewport, locale: 'en-US' });
        await person.context.grantPermissions(['camera', 'microphone', 'notifications'], { origin: stack.url });
        person.page = await person.context.newPage();
        person.console = [];
        person.page.on('console', (message) => person.console.push(`${message.type()} ${message.text()}`));
        person.page.on('pageerror', (error) => person.console.push(`pageerror ${error.stack}`));
        await person.page.addInitScript(watchPeers, { mediaKey, videoCodec });
        await person.page.goto(`${stack.url}/${query ? `?${query}` : ''}`);
        await person.see('login-username').fill(person.username);
        await person.see('login-password').fill(person.account.password);
        await person.see('login-submit').click();
        await person.see('people-search').waitFor();
        await until(`${name}'s socket`, () => person.page.evaluate(() => window.sotto?.online === true));
        return person;
    }

    see(testId) {
        return this.page.getByTestId(testId);
    }

    async find(other) {
        await this.see('people-search').fill(other.username);
        await this.see(`person-${other.username}`).waitFor();
    }

    async videoCall(other) {
        await this.find(other);
        await this.see(`call-video-${other.username}`).click();
    }

    /** Starts a group call with everyone named, through the people list. */
    async groupCall(others) {
        for (const other of others) {
            await this.find(other);
            await this.see(`group-select-${other.username}`).click();
        }
        await this.see('group-start').click();
    }

    async accept(media = 'video') {
        await this.see('incoming-card').waitFor();
        await this.see(`accept-${media}`).click();
    }

    async hangUp() {
        await this.page.mouse.move(200 + Math.random() * 50, 200); // the bar hides after three still seconds
        await this.see('hangup').click({ timeout: 4000 });
    }

    /** What the current call measures: {state, path, callId, remotes: {username: {framesDecoded, audioEnergy}}}. */
    stats() {
        return this.page.evaluate(() => window.sotto?.diagnostics?.() ?? null);
    }

    async callState() {
        return (await this.stats())?.state ?? 'none';
    }

    async #media(others) {
        const stats = await this.stats();
        return others.map((o) => stats?.remotes?.[o.username] ?? { framesDecoded: 0, audioEnergy: 0 });
    }

    /** Waits for the first frame and the first sound of each of the others; what is measured then. */
    firstMedia(others, ms = 20_000) {
        return until(
            `${this.username} gets media of ${others.map((o) => o.username)}`,
            async () => {
                const all = await this.#media(others);
                return all.every((m) => m.framesDecoded > 0 && m.audioEnergy > 0) && all;
            },
            ms,
        ).catch(async (error) => {
            error.message += `\n${JSON.stringify(await this.stats())}\n${this.console.slice(-25).join('\n')}`;
            throw error;
        });
    }

    /** Waits until frames are decoded and audio is heard from each of the others, and both still grow. */
    async hearsAndSees(others, ms = 20_000) {
        const first = await this.firstMedia(others, ms);
        await until(
            `media of ${others.map((o) => o.username)} goes on at ${this.username}`,
            async () => {
                const all = await this.#media(others);
                return all.every((m, i) => m.framesDecoded > first[i].framesDecoded + 5 && m.audioEnergy > first[i].audioEnergy);
            },
            ms,
        );
    }

    /** Sums over everything that this page receives of video now: packets and decoded frames. */
    received() {
        return this.page.evaluate(async () => {
            const sum = { packets: 0, frames: 0 };
            for (const peer of window.peers.filter((p) => p.connectionState === 'connected')) {
                for (const report of (await peer.getStats()).values()) {
                    if (report.type !== 'inbound-rtp' || report.kind !== 'video') continue;
                    sum.packets += report.packetsReceived;
                    sum.frames += report.framesDecoded ?? 0;
                }
            }
            return sum;
        });
    }

    /** Waits until `count` new pictures of each of the others were drawn in their tiles. */
    async draws(others, count = 5, ms = 90_000) {
        const users = others.map((o) => o.username);
        const drawn = this.page.evaluate(
            ([names, n, limit]) =>
                Promise.all(
                    names.map((name) => {
                        const video = document.querySelector(`video[data-testid=remote-video][data-user="${name}"]`);
                        return new Promise((resolve) => {
                            let left = n;
                            const next = () => (--left < 0 ? resolve('drawn') : video.requestVideoFrameCallback(next));
                            setTimeout(() => resolve(`${n - left} pictures of ${name}`), limit);
                            next();
                        });
                    }),
                ),
            [users, count, ms],
        );
        for (const result of await drawn) if (result !== 'drawn') throw new Error(`${this.username} saw ${result} in ${ms} ms`);
    }

    /** The newest record of GET /v1/calls. */
    async lastRecord() {
        const answer = await http(this.stack, 'GET', '/v1/calls?limit=1', { token: this.account.token });
        return answer.body.items[0];
    }
}
