// Thumbnails of photos: three sizes, turned as EXIF says, without EXIF and position.
import { readdirSync } from 'node:fs';
import { join, parse } from 'node:path';
import { NotThere } from '../lib/not_there.mjs';
import * as vips from '../peers/vips.mjs';

/**
 * Issue 7 fills this in: the thumbnailer of mediad over the same files.
 * @param {{jpeg: string[], png: string[], webp: string[]}} images what makeImages made
 * @returns a function (paths) → { cpu_s (the children's and the service's), wall_s, out: folder of <name>_<size>.<format> }
 */
// eslint-disable-next-line no-unused-vars
async function ours(ctx, images) {
    throw new NotThere('issue 7 adds the thumbnails of Sotto');
}

/** Sizes that a longest edge gives, and nothing of EXIF left: else the work wasn't done. → null or what is wrong */
async function fault(out, names) {
    for (const name of names) {
        for (const size of vips.SIZES) {
            const file = readdirSync(out).find((each) => each.startsWith(`${name}_${size}.`));
            if (!file) return `no thumbnail ${size} of ${name}`;
            const { width, height, exif } = await vips.look(join(out, file));
            if (Math.max(width, height) !== size) return `${file} is ${width}x${height}`;
            if (name.startsWith('photo') && height < width) return `${file} is not turned as EXIF says`;
            if (exif) return `${file} still has EXIF`;
        }
    }
    return null;
}

const repeated = (paths, times) => Array.from({ length: times }, () => paths).flat();

async function measure(contender, ctx) {
    ctx.step('making the images');
    const images = await vips.makeImages(ctx, { jpegs: ctx.params.jpegs });
    const make = contender === 'vips' ? (paths) => vips.thumbnails(ctx, paths) : await ours(ctx, images);
    ctx.step('thumbnails');
    const done = {};
    for (const kind of ['jpeg', 'png', 'webp']) {
        const paths = repeated(images[kind], ctx.params.rounds);
        done[kind] = { ...(await make(paths)), images: paths.length };
    }
    let why = null;
    for (const kind of ['jpeg', 'png', 'webp']) why ??= await fault(done[kind].out, images[kind].map((path) => parse(path).name));
    const ms = (kind) => (done[kind].cpu_s / done[kind].images) * 1000;
    const cpu_s = done.jpeg.cpu_s + done.png.cpu_s + done.webp.cpu_s;
    const wall_s = done.jpeg.wall_s + done.png.wall_s + done.webp.wall_s;
    return {
        figures: { cpu_ms_per_image: ms('jpeg'), cpu_ms_per_png: ms('png'), cpu_ms_per_webp: ms('webp') },
        units: done.jpeg.images,
        window_s: done.jpeg.wall_s,
        server: { cpu_s, cores_busy: cpu_s / wall_s },
        generator: { cpu_s: 0, busy: 0 },
        throughput: done.jpeg.images / done.jpeg.wall_s,
        valid: why === null,
        why: why ?? '',
    };
}

export default {
    name: 'thumbnail',
    title: 'Thumbnails of a photo',
    about: `A 12-megapixel JPEG with EXIF orientation and position becomes thumbnails of ${vips.SIZES.join(', ')} pixels; a PNG and a WebP of 3 megapixels beside it.`,
    waitsFor: 'thumbnails (issue 7)',
    unit: 'image, all sizes',
    main: 'cpu_ms_per_image',
    better: 'less',
    figures: {
        cpu_ms_per_image: { title: 'CPU a 12-megapixel JPEG, three sizes', unit: 'ms', better: 'less' },
        cpu_ms_per_png: { title: 'CPU a 3-megapixel PNG, three sizes', unit: 'ms', better: 'less' },
        cpu_ms_per_webp: { title: 'CPU a 3-megapixel WebP, three sizes', unit: 'ms', better: 'less' },
    },
    params: { jpegs: 2, rounds: 5 },
    smoke: { jpegs: 1, rounds: 1 },
    repeats: 2,
    contenders: ['ours', 'vips'],
    measure,
    fairness: [
        'vipsthumbnail is a command: each size of each image pays for a process and decodes anew. A program that links libvips would not; its manual knows no way to make several sizes in one call.',
        'vipsthumbnail writes JPEG (quality 80), because from a WebP its version in Debian 12 does not remove EXIF and position as it is told to.',
        'There is no sandbox around vipsthumbnail; Sotto pays for one.',
        'The photos are made of noise at several scales: harder to compress than a sky, softer than leaves.',
    ],
};
