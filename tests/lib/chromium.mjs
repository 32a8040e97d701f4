// A real Chromium of its own, with a fake camera and microphone, and pages that may use them.
import { chromium } from 'playwright-core';

const executablePath = process.env.SOTTO_TEST_CHROMIUM || '/usr/bin/chromium';
const FLAGS = [
    '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--autoplay-policy=no-user-gesture-required',
    // A page that nobody looks at plays on at full rate.
    '--disable-backgrounding-occluded-windows', '--disable-renderer-backgrounding', '--disable-background-timer-throttling',
];

/** `camera`: a .y4m file to show in place of the test pattern. */
export const launchChromium = ({ camera } = {}) =>
    chromium.launch({ executablePath, args: camera ? [...FLAGS, `--use-file-for-fake-video-capture=${camera}`] : FLAGS });

/** An empty page at http://localhost, which may use camera and microphone, with this function called in it. */
export async function emptyPage(browser, code) {
    const context = await browser.newContext({ permissions: ['camera', 'microphone'] });
    const page = await context.newPage();
    await page.route('**/*', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>peer</title>' }));
    await page.goto('http://localhost/');
    if (code) await page.evaluate(code);
    return page;
}
