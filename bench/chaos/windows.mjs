// When something was the matter: the times around the events of chaos in which a client may be refused or left waiting.

/** Clients know after 7 s that a socket is dead and try again within 3: so long after the system is well one may still be away. */
export const AFTERMATH_MS = 10_000;

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
        return this.list.filter((w) => w.from <= to && (w.wellAt === null || w.wellAt + AFTERMATH_MS >= from) && fits(w));
    }

    struck(from, to, fits) {
        return this.during(from, to, fits).length > 0;
    }

    get current() {
        return this.list.filter((w) => w.wellAt === null);
    }
}
