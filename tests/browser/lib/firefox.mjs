// A person in Debian's Firefox, driven over WebDriver BiDi: what Person is for Chromium.
import { setTimeout as delay } from 'node:timers/promises';
import puppeteer from 'puppeteer-core';
import { newUser } from '../../lib/client.mjs';
import { until } from '../../lib/stack.mjs';
import { Person } from './people.mjs';

const browsers = new Set();

export async function closeFirefoxes() {
    await Promise.all([...browsers].map((b) => Promise.race([b.close(), delay(5000, null, { ref: false })]).catch(() => {})));
    browsers.clear();
}

export class FirefoxPerson extends Person {
    static async arrive(stack, { name = 'fox', query = '' } = {}) {
        const person = new FirefoxPerson();
        person.stack = stack;
        person.account = await newUser(stack, name);
        person.username = person.account.username;
        person.browser = await puppeteer.launch({
            browser: 'firefox',
            executablePath: '/usr/bin/firefox-esr',
            headless: true,
            defaultViewport: { width: 960, height: 640 },
            extraPrefsFirefox: {
                'media.navigator.streams.fake': true,
                'media.navigator.permission.disabled': true,
                'media.peerconnection.ice.loopback': true,
                'media.autoplay.default': 0,
                'intl.locale.requested': 'en-US',
                'intl.accept_languages': 'en-US',
            },
        });
        browsers.add(person.browser);
        person.page = await person.browser.newPage();
        person.console = [];
        person.page.on('console', (message) => person.console.push(`${message.type()} ${message.text()}`));
        person.page.on('pageerror', (error) => person.console.push(`pageerror ${error.stack}`));
        await person.page.goto(`${stack.url}/${query ? `?${query}` : ''}`);
        await person.see('login-username').fill(person.username);
        await person.see('login-password').fill(person.account.password);
        await person.see('login-submit').click();
        await person.see('people-search').waitFor();
        await until(`${name}'s socket`, () => person.page.evaluate(() => window.sotto?.online === true));
        return person;
    }

    /** The part of Playwright's locator that Person uses. */
    see(testId) {
        const locator = this.page.locator(`[data-testid="${testId}"]`).setTimeout(20_000);
        return { fill: (text) => locator.fill(text), click: () => locator.click(), waitFor: () => locator.wait() };
    }
}
