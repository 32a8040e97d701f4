// Usable without a mouse, without eyes and on a phone: axe finds nothing, the keyboard reaches everything, nothing scrolls sideways.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, test } from 'node:test';
import { startStack, until } from '../lib/stack.mjs';
import { Person, closeBrowsers, newBrowser } from './lib/people.mjs';

const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
let stack;
before(async () => {
    stack = await startStack();
});
afterEach(closeBrowsers);
after(() => stack.down());

/** Fails with what axe finds against WCAG 2.2 AA, and where. */
async function accessible(page, where) {
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
        const { violations } = await window.axe.run(document, { runOnly: { type: 'tag', values: tags } });
        return violations.map((v) => `${v.id}: ${v.help} at ${v.nodes.map((n) => n.target.join(' ')).slice(0, 3).join(', ')}`);
    });
    assert.deepEqual(found, [], where);
}

/** Nothing is wider than the window. */
async function fits(page, where) {
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(content <= window, `${where}: ${content} px of content in ${window}`);
}

for (const colorScheme of ['light', 'dark']) {
    test(`every page passes axe and fits 360 pixels, ${colorScheme}`, async () => {
        const viewport = { width: 360, height: 720 };
        const browser = await newBrowser();
        const context = await browser.newContext({ viewport, colorScheme, locale: 'en-US' });
        const page = await context.newPage();
        await page.goto(stack.url);
        for (const [link, submit] of [[null, 'login-submit'], ['to-register', 'register-submit']]) {
            if (link) await page.getByTestId(link).click();
            await page.getByTestId(submit).waitFor();
            await accessible(page, submit);
            await fits(page, submit);
        }
        const [ann, ben] = await Promise.all([Person.arrive(stack, { name: 'ann', viewport }), Person.arrive(stack, { name: 'ben', viewport })]);
        await ann.page.emulateMedia({ colorScheme });
        await ben.page.emulateMedia({ colorScheme });
        await ann.find(ben);
        await accessible(ann.page, 'people');
        await fits(ann.page, 'people');
        await ann.see(`call-video-${ben.username}`).click();
        await ben.see('incoming-card').waitFor();
        await accessible(ben.page, 'incoming call');
        await fits(ben.page, 'incoming call');
        await ben.accept();
        await ann.hearsAndSees([ben]);
        await ann.page.mouse.move(100, 100);
        await ann.see('hangup').waitFor();
        await accessible(ann.page, 'in a call');
        await fits(ann.page, 'in a call');
        await ann.hangUp();
        for (const nav of ['history', 'settings']) {
            await ann.see(`nav-${nav}`).click();
            await ann.see(nav === 'history' ? 'history-row' : 'device-row').first().waitFor();
            await accessible(ann.page, nav);
            await fits(ann.page, nav);
        }
    });
}

test('a call by keyboard alone: search, call, answer, mute by M, camera by V, hang up', async () => {
    const [ann, ben] = await Promise.all([Person.arrive(stack, { name: 'ann' }), Person.arrive(stack, { name: 'ben' })]);
    const focused = (page) => page.evaluate(() => document.activeElement?.closest('[data-testid]')?.getAttribute('data-testid') ?? '');
    /** Presses Tab until the control with this test id has the focus. */
    const tabTo = async (person, testId) => {
        for (let i = 0; i < 40; i++) {
            if ((await focused(person.page)) === testId) return;
            await person.page.keyboard.press('Tab');
        }
        assert.fail(`Tab never reaches ${testId}`);
    };
    await ann.page.keyboard.press('/');
    await until('the search has the focus', async () => (await focused(ann.page)) === 'people-search');
    await ann.page.keyboard.type(ben.username);
    await ann.see(`person-${ben.username}`).waitFor();
    await tabTo(ann, `call-video-${ben.username}`);
    await ann.page.keyboard.press('Enter');
    await ben.see('incoming-card').waitFor();
    await tabTo(ben, 'accept-video');
    await ben.page.keyboard.press('Enter');
    await Promise.all([ann.hearsAndSees([ben]), ben.hearsAndSees([ann])]);
    const label = (testId) => ann.see(testId).getAttribute('aria-label');
    for (const [key, testId] of [['m', 'mute'], ['v', 'camera']]) {
        const before = await label(testId);
        await ann.page.keyboard.press(key);
        await until(`${testId} changed`, async () => (await label(testId)) !== before);
    }
    await tabTo(ann, 'hangup');
    await ann.page.keyboard.press('Enter');
    await until('ben sees the end', async () => ['ended', 'none'].includes(await ben.callState()));
});
