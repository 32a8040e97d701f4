// Generated blocks in pages that people write: <!-- bench:begin NAME --> … <!-- bench:end NAME -->; README's has no NAME.
import { BenchError } from './proc.mjs';

const begin = (name) => `<!-- bench:begin${name === 'bench' ? '' : ` ${name}`} -->`;
const end = (name) => `<!-- bench:end${name === 'bench' ? '' : ` ${name}`} -->`;

/** The page with each block's text between its markers; a block whose markers are missing or twice there is an error. */
export function replaceBlocks(page, text, blocks) {
    let out = text;
    for (const [name, body] of Object.entries(blocks)) {
        const [from, to] = [out.indexOf(begin(name)), out.indexOf(end(name))];
        const once = out.indexOf(begin(name), from + 1) < 0 && out.indexOf(end(name), to + 1) < 0;
        if (from < 0 || to < from || !once) throw new BenchError(`${page} needs one ${begin(name)} and one ${end(name)} after it`, 'the figures go between them');
        out = `${out.slice(0, from + begin(name).length)}\n${body.trim()}\n${out.slice(to)}`;
    }
    return out;
}
