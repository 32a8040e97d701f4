// The few statistics that the page states. Repeats are few (three, as a rule), so: medians, and the half range as spread.

/** The middle value (the mean of the two middle ones); null of none. */
export function median(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (sorted.length === 0) return null;
    const mid = sorted.length >> 1;
    return sorted.length % 2 ? sorted[mid] : (sorted[mid - 1] + sorted[mid]) / 2;
}

/** Half the range over the median, as a share: 0.03 is "± 3 %". Null when it can't be known (fewer than two values). */
export function spread(values) {
    const known = values.filter(Number.isFinite);
    const mid = median(known);
    if (known.length < 2 || !mid) return null;
    return (Math.max(...known) - Math.min(...known)) / 2 / Math.abs(mid);
}

/**
 * Below this a difference between two runs is never called a change. Two runs of one commit on a shared machine differed by up to
 * 16 %, once by 26 %, although the repeats within each agreed to a few percent: the machine's speed drifts from one minute to the
 * next.
 */
export const MIN_NOISE = 0.3;

/** What was measured once has no spread, so more is allowed for. */
export const NOISE_ONCE = 0.35;

/** ours/theirs for each repeat in which both have a value above 0: what disturbed the machine then disturbed both. */
export function pairedRatios(ours, theirs) {
    const ratios = [];
    for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
        if (ours[i] > 0 && theirs[i] > 0) ratios.push(ours[i] / theirs[i]);
    }
    return ratios;
}

/**
 * The noise of a scenario: the spread, over repeats, of our main figure normalised by the floor's of the same repeat
 * (of the figure itself where there is no floor), and never less than MIN_NOISE; NOISE_ONCE where there is one repeat only.
 */
export function noiseOf(main, floor) {
    const paired = floor ? pairedRatios(main, floor) : [];
    return Math.max(MIN_NOISE, spread(paired.length > 1 ? paired : main) ?? NOISE_ONCE);
}

/** The value with the median main figure stands for its repeats where values can't be averaged (histograms). */
export function middleBy(items, key) {
    const sorted = [...items].sort((a, b) => key(a) - key(b));
    return sorted[(sorted.length - 1) >> 1];
}
