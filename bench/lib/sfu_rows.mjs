// The rows of the forwarding unit's table (bench/sfu): each is a scenario as bench/run knows them, most of them one of
// bench/scenarios at other settings, measured by the same runner.
import broadcast from '../scenarios/sfu-broadcast.mjs';
import meeting from '../scenarios/sfu-meeting.mjs';
import scale from '../scenarios/sfu-scale.mjs';
import link from './sfu_browser.mjs';
import capacity from './sfu_capacity.mjs';
import memory from './sfu_memory.mjs';
import { FIGURES, MEMORY } from './sfu_load.mjs';

const row = (key, scenario, own) => ({ fairness: [], variants: null, waitsFor: null, mayFail: [], ...scenario, name: `sfu-${key}`, repeats: 5, ...own });
const people = (n, rooms) => ({ key: `meeting-of-${n}`, params: { people: n, rooms } });
const sizes = (...ns) => ns.map((n) => ({ key: `n${n}`, params: { rooms: 1, subscribers: n } }));
const suite = (key, title, profile, contenders) => row(key, broadcast, {
    fairness: broadcast.fairness.map((text) => (profile === 'cm' ? text.replace(/^AEAD_AES_128_GCM/, title) : text)), title: `1 → 100, ${title}`, about: `${broadcast.about} Everybody allows ${title} only.`, contenders,
    params: { subscribers: 100, seconds: 4, warmup: 1.5, profile }, quick: { seconds: 1, warmup: 0.5 }, countCheck: undefined,
});

/** By key, in the table's order. `quick` is what --quick changes of a row. */
export const ROWS = {
    gcm: suite('gcm', 'AEAD_AES_128_GCM', 'gcm', ['ours', 'floor', 'janus', 'janus-installed']),
    cm: suite('cm', 'AES128_CM_HMAC_SHA1_80', 'cm', ['ours', 'floor', 'janus']),
    meetings: row('meetings', meeting, {
        about: 'Rooms in which everybody sends (1.5 Mbit/s of VP8, and Opus) and sees and hears all the others: four rooms of 4, two of 8, one of 16.',
        contenders: ['ours', 'janus'], variants: [people(4, 4), people(8, 2), people(16, 1)], headline: 'meeting-of-8',
        params: { people: 8, rooms: 2, seconds: 3, warmup: 1.5 }, quick: { seconds: 1, warmup: 0.5 },
    }),
    capacity: row('capacity', capacity, { repeats: 3, quick: { budget_s: 15, seconds: 1, warmup: 0.5, close: 1.3 } }),
    memory: row('memory', memory({ ...FIGURES, ...MEMORY }), { quick: { more: 100, warmup: 1 } }),
    growth: row('growth', scale, {
        title: 'Cost as subscribers grow', about: 'What a forwarded packet costs with 10 to 400 subscribers of one publisher, on one core.',
        repeats: 3, mayFail: ['janus'], contenders: ['ours', 'floor', 'janus'],
        variants: sizes(10, 50, 100, 200, 400), headline: 'n100', plots: undefined,
        params: { rooms: 1, subscribers: 100, seconds: 2.5, warmup: 0.7 }, quick: { seconds: 1, warmup: 0.4 }, quickVariants: sizes(10, 100),
    }),
    link: row('link', link, { repeats: 3, quick: { warmup: 6, seconds: 8 } }),
};

/** A row as --quick measures it: once, and less of it. */
export const quickened = ({ quick, quickVariants, ...scenario }) => ({
    ...scenario, repeats: 1, params: { ...scenario.params, ...quick }, variants: quickVariants ?? scenario.variants,
    headline: quickVariants ? quickVariants.at(-1).key : scenario.headline,
    contenders: scenario.contenders.filter((name) => name !== 'janus-installed' && name !== 'janus-set'),
});
