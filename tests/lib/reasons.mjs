// What failed in a TAP stream, as short as can be: where only the end of an output is kept, that has to be enough to begin with.

/** An error's lines that tell most: the first, and of a difference those that differ. */
function gist(lines) {
    const text = lines.map((line) => line.trim()).filter(Boolean);
    const differ = text.slice(1).filter((line) => /^[+-] /.test(line) && !/^[+-] (actual|expected)/.test(line));
    return (differ.length > 0 ? [text[0], ...differ] : text).slice(0, 4).map((line) => line.slice(0, 160));
}

/** The YAML block below line i: the lines of each member. */
function detailsOf(lines, i) {
    const details = {};
    const indent = /^ *(?=---$)/.exec(lines[i + 1] ?? '')?.[0];
    if (indent === undefined) return details;
    let key;
    for (let at = i + 2; at < lines.length && lines[at] !== `${indent}...`; at++) {
        const [, name, value] = /^(\w+): ?(.*)$/.exec(lines[at].startsWith(indent) ? lines[at].slice(indent.length) : '') ?? [];
        if (name) details[(key = name)] = /^\|-?$/.test(value) ? [] : [value.replace(/^'(.*)'$/, '$1')];
        else details[key]?.push(lines[at]);
    }
    return details;
}

/** What else is known of a file that didn't end as it should: how it did, what it said of it, and in which test it was. */
function ending(lines, i, { exitCode: [code] = [], signal: [signal] = [] }) {
    const said = lines.filter((line) => /^# .*(Error|ERROR)/.test(line)).slice(0, 1);
    const last = lines.slice(0, i).findLast((line) => /^ *# Subtest: (?!.*\.test\.mjs$)/.test(line));
    return [`it ended with code ${code ?? '?'}, signal ${signal ?? '?'}`, ...said, ...(last ? [last] : [])];
}

/**
 * @param {string} tap what node's runner said of a file
 * @param {string} root a prefix of paths that is left out
 * @returns {string[][]} for each failed test: its title and where it failed, then up to four lines of its error. A test of
 *   which only parts failed is told by these.
 */
export function reasonsOf(tap, root = '') {
    const lines = tap.split('\n');
    const found = [];
    lines.forEach((line, i) => {
        const title = /^ *not ok (?:\d+ )?- (.*)$/.exec(line)?.[1];
        if (title === undefined) return;
        const details = detailsOf(lines, i);
        const { failureType: [type] = [], location: [location] = [], error = [], stack = [] } = details;
        const whole = error.length === 0 || error[0] === 'test failed'; // a file, not a test
        if (type === 'subtestsFailed' || (whole && found.length > 0)) return;
        const near = stack.map((each) => /\(?(?:file:\/\/)?(\/[^():]*:\d+)(:\d+)?\)?$/.exec(each)?.[1]).find((each) => each?.includes('.test.mjs')) ?? location;
        const where = near && !whole ? ` (${near.replace(root, '')})` : '';
        found.push([`${title.replaceAll('\\#', '#').replace(root, '').slice(0, 140)}${where}`, ...gist(whole ? ending(lines, i, details) : error)]);
    });
    return found;
}
