// When something was the matter: the times around the events of chaos in which a client may be refused or left waiting.

/**
 * How long after the system is well some client may still feel it, by what was struck: clients know after 7 s that a socket
 * is dead and try again within 3; signald's connections to PostgreSQL try again every 5 s at most; clients of a server that
 * was away come back within 3 s, those of the SFU connect anew.
 */
export const AFTERMATH_MS = { sockets: 10_000, signald: 5000, postgres: 6000, link: 3000, sfud: 4000, media: 3000, coturn: 2000 };

/** What a call of two by host candidates hangs on, and what one on the SFU does. */
export const DIRECT = ['signald', 'postgres', 'sockets'];
export const ON_SFU = [...DIRECT, 'sfud', 'link', 'media'];

export class Windows {
    list = [];

    /** Opens a window; close it by setting `to`. */
    open(event, at = Date.now()) {
        const window = { ...event, from: at, repairedAt: null, wellAt: null };
        this.list.push(window);
        return window;
    }

    /** The windows that overlap the time, with the aftermath. `fits` narrows by event. */
    during(from, to = Date.now(), fits = () => true) {
        return this.list.filter((w) => w.from <= to && (w.wellAt === null || w.wellAt + AFTERMATH_MS[w.target] >= from) && fits(w));
    }

    /** Those of these targets only; all when none are named. */
    of(targets) {
        return targets ? (w) => targets.includes(w.target) : () => true;
    }

    /** The share of the time in which something was struck or could be felt. */
    share(from, to, step = 100) {
        let n = 0;
        let hit = 0;
        for (let at = from; at < to; at += step) {
            n++;
            if (this.struck(at, at)) hit++;
        }
        return n === 0 ? 0 : hit / n;
    }

    struck(from, to, fits) {
        return this.during(from, to, fits).length > 0;
    }

    get current() {
        return this.list.filter((w) => w.wellAt === null);
    }
}
