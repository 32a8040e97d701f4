// What breaks, when, and for how long: made of a seed before the soak begins, so that it can be printed and made again.
import { Random } from './random.mjs';

/**
 * The kinds of trouble: `target` is what it strikes (two events never hold the same target at once), `hold` how many
 * seconds it lasts before it is repaired, `about` what happens.
 */
export const KINDS = {
    'kill signald': { target: 'signald', hold: [0.2, 2], about: 'kill -9, started again' },
    'kill sfud': { target: 'sfud', hold: [0.2, 2], about: 'kill -9, started again: its rooms are gone' },
    'kill coturn': { target: 'coturn', hold: [0.2, 2], about: 'kill -9, started again: its allocations are gone' },
    'kill postgres': { target: 'postgres', hold: [0.2, 2], about: 'kill -9 of the postmaster, started again: recovery from the log' },
    'pause signald': { target: 'signald', hold: [1, 4], about: 'SIGSTOP, SIGCONT' },
    'pause sfud': { target: 'sfud', hold: [1, 4], about: 'SIGSTOP, SIGCONT' },
    'pause coturn': { target: 'coturn', hold: [1, 4], about: 'SIGSTOP, SIGCONT' },
    'pause postgres': { target: 'postgres', hold: [1, 4], about: 'SIGSTOP, SIGCONT of all its processes' },
    'restart signald': { target: 'signald', hold: [0, 0.5], about: 'SIGTERM and started again, as in an upgrade' },
    'restart sfud': { target: 'sfud', hold: [0, 0.5], about: 'SIGTERM and started again' },
    'restart coturn': { target: 'coturn', hold: [0, 0.5], about: 'SIGTERM and started again' },
    'restart postgres': { target: 'postgres', hold: [0, 1], about: 'a fast shutdown and started again' },
    'drop sockets': { target: 'sockets', hold: [0, 0], about: 'WebSockets of half of the clients are reset' },
    'stall sockets': { target: 'sockets', hold: [2, 8], about: 'nothing passes on half of the WebSockets, then all of it' },
    'half-open sockets': { target: 'sockets', hold: [1, 1], about: 'half of the WebSockets die on one side only' },
    'cut link': { target: 'link', hold: [1, 8], about: 'the control link is reset and refused' },
    'stall link': { target: 'link', hold: [1, 6], about: 'nothing passes on the control link, then all of it' },
    'cut media': { target: 'media', hold: [1, 4], about: 'no datagram passes between clients and the SFU' },
    'lossy media': { target: 'media', hold: [3, 8], about: 'every tenth datagram between clients and the SFU is lost' },
};

/** Seconds from the begin of one event to the earliest begin of the next. */
const GAPS = { gentle: [10, 22], hard: [2, 9] };

/** Of a soak that is at least that long, the last part kills nothing: processes live long enough there to see whether their memory climbs. */
const CALM = { from: 300, share: 0.4 };
const spares = (kind) => !/^(kill|restart) /.test(kind);

/**
 * The events of a soak, by their earliest time: [{ n, at, kind, target, hold }], all times in seconds. Every kind comes
 * once before any comes again. `gentle`: the runner also waits for the system to be well, so two never overlap.
 */
export function makeSchedule({ seed, seconds, mode, kinds = Object.keys(KINDS) }) {
    if (mode === 'none') return [];
    const random = new Random(`chaos/${seed}`);
    const [low, high] = GAPS[mode];
    const quietEnd = Math.min(20, seconds / 4); // the last events shall be over when the soak is
    const events = [];
    const calmFrom = seconds >= CALM.from ? seconds * (1 - CALM.share) : Infinity;
    let bag = [];
    for (let at = random.between(4, 8); at < seconds - quietEnd; at += random.between(low, high)) {
        const calm = at >= calmFrom;
        if (calm) bag = bag.filter(spares);
        if (bag.length === 0) bag = random.shuffled(calm ? kinds.filter(spares) : kinds);
        if (bag.length === 0) break;
        const kind = bag.shift();
        const { target, hold } = KINDS[kind];
        events.push({ n: events.length + 1, at: round(at), kind, target, hold: round(random.between(...hold)) });
    }
    return events;
}

const round = (seconds) => Math.round(seconds * 10) / 10;
