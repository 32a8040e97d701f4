// A scenario's parameters: its defaults, --smoke's tiny ones, --duration, and --set over all of them.
import { UsageError, unknown } from './args.mjs';

function coerce(name, text, like) {
    if (typeof like === 'number') {
        const n = Number(text);
        if (text.trim() === '' || !Number.isFinite(n) || n < 0) throw new UsageError(`--set ${name}=${text}`, `needs a number, as its default ${like}`);
        return n;
    }
    if (typeof like === 'boolean') {
        if (!['true', 'false', 'yes', 'no', '1', '0'].includes(text)) throw new UsageError(`--set ${name}=${text}`, 'needs yes or no');
        return ['true', 'yes', '1'].includes(text);
    }
    return text;
}

/**
 * The parameters of a run. A `--set` wins over a variant's own value, too: see `variantParams`.
 * @returns {{params: object, pinned: object}} pinned: what the command line named
 */
export function paramsOf(scenario, options) {
    const params = { ...scenario.params, ...(options.smoke ? scenario.smoke : {}) };
    const pinned = {};
    if (options.duration !== null && options.duration !== undefined) {
        if ('seconds' in params) pinned.seconds = options.duration;
    }
    for (const [name, text] of Object.entries(options.set ?? {})) {
        if (!(name in params)) throw unknown(`parameter of ${scenario.name}`, name, Object.keys(params));
        pinned[name] = coerce(name, text, params[name]);
    }
    return { params: { ...params, ...pinned }, pinned };
}

/** The parameters of one variant; --smoke's come last but for those of the command line. */
export function variantParams(params, variant, pinned, smoke = {}) {
    return variant ? { ...params, ...variant.params, ...smoke, ...pinned } : params;
}

/** Contenders to measure: all, or ours, the floors and the peers that --peer names. */
export function contendersOf(scenario, peers = []) {
    const own = scenario.waitsFor ? scenario.contenders.filter((name) => name !== 'ours') : scenario.contenders;
    if (peers.length === 0) return own;
    for (const peer of peers) {
        if (!scenario.contenders.includes(peer)) throw unknown(`peer of ${scenario.name}`, peer, own.filter((name) => name !== 'ours'));
    }
    return own.filter((name) => name === 'ours' || name.startsWith('floor') || peers.includes(name));
}
