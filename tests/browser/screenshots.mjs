// Takes the pictures of docs/screens with a stack of its own: `node tests/browser/screenshots.mjs` (make screenshots).
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { http, login } from '../lib/client.mjs';
import { startStack } from '../lib/stack.mjs';
import { writeFace } from './lib/faces.mjs';
import { Person, closeBrowsers, newBrowser } from './lib/people.mjs';

const out = new URL('../../docs/screens/', import.meta.url).pathname;
mkdirSync(out, { recursive: true });
const desktop = { width: 1200, height: 760 };
const phone = { width: 390, height: 780 };
const shot = (page, name) => page.screenshot({ path: `${out}${name}.png`, animations: 'disabled' });

const stack = await startStack({ 'calls.ring_timeout': '60s' });
const password = 'correct horse battery';
/** Someone with a name and a face, at the app. */
async function arrive(who, displayName, viewport) {
    const username = displayName.toLowerCase().replace(/[^a-z]+/g, '.');
    await http(stack, 'POST', '/v1/auth/register', { body: { email: `${username}@example.org`, username, password, displayName } });
    const account = { ...(await login(stack, username, password, 'Laptop')), username, password };
    const camera = join(stack.dir, `face${who}.y4m`);
    writeFace(camera, who);
    return Person.arrive(stack, { account, viewport, browser: await newBrowser({ camera }) });
}
try {
    const browser = await newBrowser();
    for (const [scheme, viewport, suffix] of [
        ['light', desktop, ''],
        ['dark', phone, '-phone-dark'],
    ]) {
        const context = await browser.newContext({ viewport, colorScheme: scheme, locale: 'en-US' });
        const page = await context.newPage();
        await page.goto(stack.url);
        await page.getByTestId('login-submit').waitFor();
        await shot(page, `sign-in${suffix}`);
        await page.getByTestId('to-register').click();
        await page.getByTestId('register-submit').waitFor();
        await shot(page, `register${suffix}`);
        await context.close();
    }

    const ada = await arrive(0, 'Ada Martin', desktop);
    const grace = await arrive(1, 'Grace Keller', phone);
    const alan = await arrive(2, 'Alan Dubois', desktop);
    const joan = await arrive(3, 'Joan Osei', desktop);
    await ada.videoCall(grace);
    await grace.see('incoming-card').waitFor();
    await shot(grace.page, 'incoming-phone');
    await shot(ada.page, 'ringing');
    await grace.accept();
    await Promise.all([ada.hearsAndSees([grace]), grace.hearsAndSees([ada])]);
    await ada.page.mouse.move(300, 300);
    await shot(ada.page, 'call');
    await grace.page.mouse.move(100, 300);
    await shot(grace.page, 'call-phone');
    await ada.see('call-path').click();
    await shot(ada.page, 'call-numbers');
    await ada.hangUp();
    await ada.see('people-search').waitFor();

    await ada.groupCall([grace, alan, joan]);
    await alan.see('incoming-card').waitFor();
    await shot(alan.page, 'incoming');
    await Promise.all([grace.accept(), alan.accept(), joan.accept()]);
    await Promise.all([ada.hearsAndSees([grace, alan, joan], 40_000), grace.hearsAndSees([ada, alan, joan], 40_000)]);
    await ada.page.mouse.move(300, 320);
    await shot(ada.page, 'group');
    await shot(grace.page, 'group-phone');
    for (const person of [joan, grace, alan, ada]) await person.hangUp().catch(() => {});
    await ada.see('people-search').waitFor();
    await ada.find(alan);
    await shot(ada.page, 'people-search');
    await ada.see('people-search').fill('');
    await shot(ada.page, 'people');
    await shot(grace.page, 'people-phone');
    for (const [nav, name] of [
        ['history', 'history'],
        ['settings', 'settings'],
    ]) {
        await ada.see(`nav-${nav}`).click();
        await (nav === 'history' ? ada.see('history-row').first() : ada.see('device-row').first()).waitFor();
        await shot(ada.page, name);
        await ada.page.emulateMedia({ colorScheme: 'dark' });
        await shot(ada.page, `${name}-dark`);
        await ada.page.emulateMedia({ colorScheme: 'light' });
    }
} finally {
    await closeBrowsers();
    await stack.down();
}
