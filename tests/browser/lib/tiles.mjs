// How large a remote picture is shown, and what size of it comes.
import { until } from '../../lib/stack.mjs';

/** Watches the one remote picture from now on: `window.picture` is its height, the longest pause and what has been seen. */
export function watch() {
    const video = document.querySelector('video[data-testid=remote-video]');
    window.picture = { height: 0, pause: 0, frames: 0 };
    let last = null;
    const next = (now) => {
        window.picture.height = video.videoHeight;
        window.picture.frames++;
        if (last !== null) window.picture.pause = Math.max(window.picture.pause, now - last);
        last = now;
        video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
}

/** The page's rules besides its own; a constructed sheet, as its policy allows no inline style. */
function restyle(text) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(text.replaceAll(';', ' !important;'));
    document.adoptedStyleSheets = [sheet];
}

/** `text` restyles that person's page from now on; '' takes it back. */
export const style = (person, text) => person.page.evaluate(restyle, text);

/** Waits until the picture that `watch` looks at has so many lines. */
export const isHigh = (person, wanted) =>
    until(`${wanted} lines`, () => person.page.evaluate((h) => window.picture.height === h, wanted), 15_000)
        .catch(async (error) => Promise.reject(new Error(`${error.message}; ${JSON.stringify(await person.page.evaluate(() => window.picture))}`)));
