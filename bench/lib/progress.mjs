// Says on stderr what goes on: one live line on a terminal, a line a step elsewhere. Never a word on stdout.
/** Where nobody watches: lines that differ in numbers only come at most so often. */
const COUNTING_MS = 5000;
const FRAMES = [...'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'];

/** 75 → "1:15" */
export const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, '0')}`;

/** @param {{stream?: import('node:tty').WriteStream, estimate?: number}} o estimate: seconds that the whole is thought to take */
export function makeProgress({ stream = process.stderr, estimate = null } = {}) {
    const started = Date.now();
    const live = stream.isTTY;
    let line = '';
    let frame = 0;
    let last = '';
    let counted = { shape: '', at: 0 };
    /** Does it only count on from the line before, and was that just now? */
    const countsOn = (where, text) => {
        const shape = `${where.k} ${text.replace(/\d+/g, '#')}`;
        const now = Date.now();
        if (/\d+ of \d+/.test(text) && shape === counted.shape && now - counted.at < COUNTING_MS) return true;
        counted = { shape, at: now };
        return false;
    };
    const elapsed = () => (Date.now() - started) / 1000;
    const total = () => (estimate ? ` of about ${clock(estimate)}` : '');
    const draw = () => {
        if (!line) return;
        const text = `${FRAMES[frame++ % FRAMES.length]} ${clock(elapsed())}${total()}  ${line}`;
        stream.write(`\r\x1b[2K${[...text].slice(0, (stream.columns ?? 100) - 1).join('')}`);
    };
    const timer = live ? setInterval(draw, 120) : null;
    timer?.unref();
    const clear = () => live && stream.write('\r\x1b[2K');
    return {
        elapsed,
        /** where: { scenario, contender, variant, repeat, repeats, k, n } */
        step(where, text) {
            const variant = where.variant ? ` ${where.variant}` : '';
            line = `${where.scenario}  ${where.k}/${where.n}  ${where.contender}${variant}, repeat ${where.repeat} of ${where.repeats}: ${text}`;
            if (live && !text.startsWith('does not count')) draw();
            else if (line !== last && !(!live && countsOn(where, text))) clear(), stream.write(`  ${clock(elapsed())}  ${line}\n`);
            last = line;
        },
        /** Takes the live line away so that something can be printed; the next step brings it back. */
        pause() {
            line = '';
            clear();
        },
        /** A line that stays. */
        say(text) {
            clear();
            stream.write(`${text}\n`);
        },
        stop() {
            if (timer) clearInterval(timer);
            line = '';
            clear();
        },
    };
}
