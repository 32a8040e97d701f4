// Finds the scenarios and looks at their shape when they are loaded, so that a mistake is told by its name and place.
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { unknown } from './args.mjs';
import { ROOT } from './host.mjs';

/** The order of the page and of --list: media first, then signaling, messages, files, accounts, and the generator. */
const ORDER = ['sfu-broadcast', 'sfu-meeting', 'sfu-join-storm', 'sfu-bad-link', 'sfu-scale', 'call-setup', 'call-churn', 'ws-idle', 'ws-storm',
    'login', 'message-direct', 'message-room', 'message-recovery', 'upload', 'download', 'thumbnail', 'turn-relay', 'generator'];
const rank = (name) => (ORDER.indexOf(name) + 1 || ORDER.length + 1);
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** The faults of a scenario's shape, as sentences; empty when it is well. */
export function faultsOf(s, file) {
    if (!isObject(s)) return ['has no default export with a scenario'];
    const faults = [];
    const check = (ok, text) => ok || faults.push(text);
    check(s.name === file, `its name is '${s.name}', its file ${file}.mjs`);
    for (const key of ['title', 'about', 'unit', 'main']) check(typeof s[key] === 'string' && s[key], `needs the text '${key}'`);
    check(['less', 'more'].includes(s.better), "better must be 'less' or 'more'");
    check(s.waitsFor === null || s.waitsFor === undefined || typeof s.waitsFor === 'string', 'waitsFor must be null or say what it waits for');
    check(isObject(s.params), "needs 'params', the defaults");
    check(isObject(s.smoke), "needs 'smoke', the tiny parameters");
    for (const key of Object.keys(isObject(s.smoke) && isObject(s.params) ? s.smoke : {})) check(key in s.params, `smoke names ${key}, which is not in params`);
    check(Array.isArray(s.contenders) && s.contenders.length > 0, "needs 'contenders'");
    check(typeof s.measure === 'function', "needs 'measure(contender, ctx)'");
    check(s.repeats === undefined || (Number.isInteger(s.repeats) && s.repeats > 0), 'repeats must be a whole number');
    check(isObject(s.figures) && isObject(s.figures?.[s.main]), `'figures' must describe the main figure '${s.main}'`);
    for (const [key, f] of Object.entries(isObject(s.figures) ? s.figures : {})) {
        check(typeof f?.title === 'string' && typeof f?.unit === 'string', `figure ${key} needs title and unit`);
    }
    if (s.variants) {
        check(Array.isArray(s.variants) && s.variants.every((v) => v.key && isObject(v.params)), 'variants need key and params');
        check(Array.isArray(s.variants) && s.variants.some((v) => v.key === s.headline), `headline '${s.headline}' is not the key of a variant`);
    }
    check(s.fairness === undefined || Array.isArray(s.fairness), 'fairness must be a list of sentences');
    check(s.plots === undefined || typeof s.plots === 'function', 'plots must be a function');
    return faults;
}

/**
 * All scenarios of a folder, in the page's order.
 * @returns {Promise<{scenarios: object[], broken: {name: string, why: string}[]}>}
 */
export async function loadScenarios(dir = join(ROOT, 'bench/scenarios')) {
    let files = [];
    try {
        files = readdirSync(dir).filter((f) => f.endsWith('.mjs'));
    } catch {
        // no folder: no scenarios
    }
    const scenarios = [];
    const broken = [];
    for (const file of files) {
        const name = basename(file, '.mjs');
        try {
            const { default: scenario } = await import(pathToFileURL(join(dir, file)));
            const faults = faultsOf(scenario, name);
            if (faults.length > 0) broken.push({ name, why: faults.join('; ') });
            else scenarios.push({ repeats: 3, fairness: [], variants: null, waitsFor: null, mayFail: [], ...scenario });
        } catch (error) {
            broken.push({ name, why: `can't be loaded: ${error.message}` });
        }
    }
    scenarios.sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));
    return { scenarios, broken };
}

/** The scenarios of these names; a name that is unknown or broken is a usage error. */
export function pick(loaded, names) {
    return names.map((name) => {
        const found = loaded.scenarios.find((s) => s.name === name);
        if (found) return found;
        const bad = loaded.broken.find((b) => b.name === name);
        if (bad) throw new Error(`scenario ${name} is broken: ${bad.why}`);
        throw unknown('scenario', name, loaded.scenarios.map((s) => s.name), '(bench/run --list tells all)');
    });
}

/** "ready", or what it waits for. */
export const stateOf = (s) => (s.waitsFor ? `waits for ${s.waitsFor}: peers only` : 'ready');
