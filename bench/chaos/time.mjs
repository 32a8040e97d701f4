// Waiting, for conditions and for nothing else to do.

export const sleep = (ms, signal) =>
    new Promise((resolve) => {
        const timer = setTimeout(done, ms);
        function done() {
            clearTimeout(timer);
            signal?.removeEventListener('abort', done);
            resolve();
        }
        if (signal?.aborted) done();
        else signal?.addEventListener('abort', done);
    });

/** Polls until the probe gives something truthy, which is returned; null when the time is over. Errors of the probe count as "not yet". */
export async function poll(probe, ms, everyMs = 50) {
    const end = Date.now() + ms;
    for (;;) {
        const value = await Promise.resolve()
            .then(probe)
            .catch(() => null);
        if (value) return value;
        if (Date.now() >= end) return null;
        await sleep(everyMs);
    }
}

/** The promise's value; throws when it takes longer. */
export function within(ms, what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what}: nothing in ${ms} ms`)), ms);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** 75 → "1:15". */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, '0')}`;
