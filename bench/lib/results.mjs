// From samples to a result: medians, ratios of the same repeat, noise, and whether it counts. The shape is schema 1 of the history.
import { median, middleBy, noiseOf, pairedRatios, spread } from './stats.mjs';

const keyOf = (name) => `vs_${name.replaceAll('-', '_')}`;

/** More than half of the repeats must count. */
function groupOf(samples, scenario, crashed = samples.filter((s) => s.crashed)) {
    const good = samples.filter((s) => s.valid);
    const valid = good.length * 2 > samples.length;
    const figures = {};
    const spreads = {};
    for (const key of Object.keys(scenario.figures)) {
        const values = good.map((s) => s.figures[key]).filter(Number.isFinite);
        if (values.length === 0) continue;
        figures[key] = median(values);
        spreads[key] = spread(values);
    }
    const whys = [...new Set(samples.filter((s) => !s.valid).map((s) => s.why))];
    return { figures, spread: spreads, valid, why: whys.join(' | '), counted: good.length, of: samples.length, ...(crashed.length && { crashed: true }) };
}

/** The main figure by repeat (NaN where a repeat doesn't count), for pairing. */
function byRepeat(samples, main, repeats) {
    const values = Array(repeats).fill(NaN);
    for (const s of samples) if (s.valid) values[s.repeat] = s.figures[main];
    return values;
}

const withoutCurves = (latency) =>
    latency && Object.fromEntries(Object.entries(latency).map(([what, { cdf, ...rest }]) => [what, rest])); // eslint-disable-line no-unused-vars

/** A contender's part of the result: the middle sample lends what can't be averaged. */
function contenderOf(samples, scenario) {
    const headline = samples.filter((s) => s.variant === (samples.some((x) => x.variant === scenario.headline) ? scenario.headline : s.variant));
    const group = groupOf(headline, scenario);
    const good = headline.filter((s) => s.valid);
    const middle = good.length ? middleBy(good, (s) => s.figures[scenario.main]) : null;
    const med = (read) => median(good.map(read).filter((v) => v !== undefined && v !== null)) ?? undefined;
    return {
        ...group,
        server_cpu_per_unit_ns: med((s) => s.units > 0 && s.server ? (s.server.cpu_s / s.units) * 1e9 : undefined),
        database_cpu_per_unit_ns: med((s) => s.units > 0 && s.server?.database_cpu_s !== undefined ? (s.server.database_cpu_s / s.units) * 1e9 : undefined),
        throughput: med((s) => s.throughput ?? (s.window_s > 0 ? s.units / s.window_s : undefined)),
        memory_per_unit_bytes: med((s) => s.server?.memory_per_unit_bytes),
        rss_bytes: med((s) => s.server?.rss_bytes),
        cores_busy: med((s) => s.server?.cores_busy),
        loss: med((s) => s.loss),
        generator: { busy: med((s) => s.generator?.busy), cpu_s: med((s) => s.generator?.cpu_s), late_ms: med((s) => s.generator?.late_ms) },
        latency_us: middle?.latency_us,
        extra: middle?.extra,
        samples: samples.map((s) => ({ ...s, latency_us: withoutCurves(s.latency_us) })),
    };
}

/** For each variant and contender: figures, spread, valid, and the curves of the middle sample. */
function variantsOf(scenario, samples, contenders) {
    const keys = (scenario.variants ?? []).map((v) => v.key).filter((key) => samples.some((s) => s.variant === key));
    if (keys.length === 0) return undefined;
    return keys.map((key) => ({
        key,
        params: scenario.variants.find((v) => v.key === key).params,
        contenders: Object.fromEntries(contenders.map((name) => {
            const own = samples.filter((s) => s.variant === key && s.contender === name);
            const good = own.filter((s) => s.valid);
            return [name, { ...groupOf(own, scenario), latency_us: good.length ? middleBy(good, (s) => s.figures[scenario.main]).latency_us : undefined }];
        })),
    }));
}

/** Does the whole count? Ours must, and every other contender but those that the scenario allows to fail. */
function verdict(scenario, parts, contenders) {
    const allowed = new Set(scenario.mayFail ?? []);
    const bad = contenders.filter((name) => !parts[name].valid);
    const fatal = bad.filter((name) => !allowed.has(name));
    const none = bad.length === contenders.length;
    const why = contenders.filter((name) => parts[name].why).map((name) => `${name}: ${parts[name].why}${parts[name].valid ? ` (${parts[name].counted} of ${parts[name].of} repeats count)` : ''}`);
    return { valid: fatal.length === 0 && !none, why: why.join('; ') };
}

/**
 * @param {object} scenario
 * @param {{samples: object[], params: object, contenders: string[], repeats: number, started: Date, options: object}} run
 * @returns {object} the result as `--json` prints it and the history keeps it
 */
export function resultOf(scenario, { samples, params, contenders, repeats, started, options }) {
    const of = (name) => samples.filter((s) => s.contender === name);
    const parts = Object.fromEntries(contenders.map((name) => [name, contenderOf(of(name), scenario)]));
    const headline = (name) => of(name).filter((s) => s.variant === null || s.variant === scenario.headline);
    const main = Object.fromEntries(contenders.map((name) => [name, byRepeat(headline(name), scenario.main, repeats)]));
    const ratios = {};
    const ratioSpread = {};
    for (const name of contenders.filter((n) => n !== 'ours' && main.ours)) {
        const paired = parts.ours.valid && parts[name].valid ? pairedRatios(main.ours, main[name]) : [];
        if (paired.length === 0) continue;
        ratios[keyOf(name)] = median(paired);
        ratioSpread[keyOf(name)] = spread(paired);
    }
    const lead = main.ours ? 'ours' : contenders[0];
    const ours = main.ours ? parts.ours : null;
    return {
        scenario: scenario.name, title: scenario.title, about: scenario.about, unit: scenario.unit, main: scenario.main, better: scenario.better,
        waits_for: scenario.waitsFor ?? null,
        figures: ours?.figures ?? {}, ratios, ratio_spread: ratioSpread,
        ...verdict(scenario, parts, contenders),
        params, repeats, smoke: !!options.smoke,
        host: options.host, commit: options.commit, dirty: options.dirty, versions: options.versions,
        server_cpu_per_unit: { value: ours?.server_cpu_per_unit_ns ?? null, unit: `ns a ${scenario.unit}` },
        throughput: ours?.throughput ?? null, latency_us: ours?.latency_us ?? null, loss: ours?.loss ?? null,
        memory_per_unit_bytes: ours?.memory_per_unit_bytes ?? null,
        generator: (ours ?? parts[lead])?.generator ?? null,
        contenders: parts, variants: variantsOf(scenario, samples, contenders), headline: scenario.variants ? scenario.headline : undefined,
        described: scenario.figures, fairness: scenario.fairness,
        noise: noiseOf(main[lead], lead === 'ours' ? main.floor : null),
        seconds: (Date.now() - started.getTime()) / 1000, started: started.toISOString(),
    };
}

/** The faults of a result's shape: what the tests and the history check before they believe it. */
export function schemaFaults(r) {
    const faults = [];
    const need = (key, ok) => ok(r[key]) || faults.push(`${key} is ${JSON.stringify(r[key])?.slice(0, 60)}`);
    const text = (v) => typeof v === 'string' && v !== '';
    const object = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);
    for (const key of ['scenario', 'title', 'main', 'commit', 'started']) need(key, text);
    for (const key of ['figures', 'ratios', 'params', 'host', 'contenders', 'described', 'server_cpu_per_unit']) need(key, object);
    for (const key of ['valid', 'dirty', 'smoke']) need(key, (v) => typeof v === 'boolean');
    for (const key of ['noise', 'seconds', 'repeats']) need(key, Number.isFinite);
    need('better', (v) => v === 'less' || v === 'more');
    need('why', (v) => typeof v === 'string');
    if (!r.valid && !r.why) faults.push('it is not valid and does not say why');
    if (r.valid && !r.waits_for && !Number.isFinite(r.figures?.[r.main])) faults.push('it is valid without a main figure');
    for (const [key, ratio] of Object.entries(r.ratios ?? {})) if (!(/^vs_[a-z_]+$/.test(key) && ratio > 0)) faults.push(`ratio ${key} is ${ratio}`);
    for (const [name, c] of Object.entries(r.contenders ?? {})) {
        if (!Array.isArray(c.samples) || typeof c.valid !== 'boolean') faults.push(`contender ${name} has no samples`);
    }
    return faults;
}
