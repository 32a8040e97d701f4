// The peer for thumbnails: Debian's vipsthumbnail, one call a size and image, as its manual page shows it. Also makes the
// images that it and Sotto are measured with, so that none has to be in the repository.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BenchError, start as startProcess } from '../lib/proc.mjs';
import { childSeconds, packageVersion, privateFolder, program, serviceUser, writeForService } from './service.mjs';

const exec = promisify(execFile);

export const packageName = 'libvips-tools';
export const version = () => packageVersion(packageName);

/** Longest edges in pixels: what Sotto's media service makes of each image. */
export const SIZES = [96, 320, 1080];

/**
 * A shell script that makes all sizes of all images one after the other and then prints the CPU time of its children
 * (`times`). One thread an image: the harness counts CPU time, and threads only add to it. Rotation by EXIF is
 * vipsthumbnail's default; a JPEG is decoded at a reduced scale by its own means. `strip` removes EXIF and GPS from a JPEG.
 * From a WebP Debian's 8.14 doesn't remove them (the position of the photo stays in), so JPEG it is, which is cheaper, too.
 */
function script(vipsthumbnail, images, out, sizes, format) {
    const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const lines = images.flatMap((image) =>
        sizes.map((size) => `${vipsthumbnail} --vips-concurrency=1 -s ${size}x${size}\\> -o ${quote(`${out}/%s_${size}.${format}`)} ${quote(image)} || exit 9`));
    return ['#!/bin/sh', ...lines, 'times', ''].join('\n');
}

/**
 * Makes thumbnails of the images (paths), pinned to ctx.cpus.server.
 * format: what follows the name, with vips' options in brackets.
 * → { images, cpu_s, wall_s, out: folder with <name>_<size>.<format> }
 */
export async function thumbnails(ctx, images, { sizes = SIZES, format = 'jpg[strip,Q=80]', cpus = ctx.cpus?.server } = {}) {
    const vipsthumbnail = program('vipsthumbnail', packageName);
    const folder = privateFolder(ctx, 'thumbnails', 0o755);
    const file = writeForService(join(folder.path, 'run.sh'), script(vipsthumbnail, images, folder.path, sizes, format), 0o755);
    const begun = performance.now();
    const running = startProcess({ name: 'vips', cmd: '/bin/sh', args: [file], cpus, user: serviceUser()?.name, cwd: folder.path });
    const { code } = await running.exited;
    if (code !== 0) throw new BenchError('vipsthumbnail failed', running.log().trim().slice(-500));
    return { images: images.length, cpu_s: childSeconds(running.log()), wall_s: (performance.now() - begun) / 1000, out: folder.path };
}

/** Width, height and whether there is EXIF in it, as vips sees a file. */
export async function look(file) {
    const vipsheader = program('vipsheader', packageName);
    const { stdout } = await exec(vipsheader, ['-a', file]);
    const field = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(stdout)?.[1];
    return { width: Number(field('width')), height: Number(field('height')), exif: /^exif-/m.test(stdout), gps: /exif-ifd3-GPS/i.test(stdout) };
}

/**
 * EXIF with orientation 6 (a phone held upright) and a position: TIFF, big-endian, IFD0 with the GPS IFD behind it
 * (EXIF 2.32 section 4.6), as an APP1 segment.
 */
function exifSegment() {
    const entry = (tag, type, count, value) => {
        const b = Buffer.alloc(12);
        b.writeUInt16BE(tag, 0);
        b.writeUInt16BE(type, 2);
        b.writeUInt32BE(count, 4);
        value.copy(b, 8);
        return b;
    };
    const short = (n) => Buffer.from([n >> 8, n & 255, 0, 0]);
    const long = (n) => Buffer.from([n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255]);
    const ifd = (entries) => Buffer.concat([short(entries.length).subarray(0, 2), ...entries, long(0)]);
    const gpsAt = 8 + 2 + 2 * 12 + 4;
    const dataAt = gpsAt + 2 + 4 * 12 + 4;
    const degrees = (...parts) => Buffer.concat(parts.flatMap((n) => [long(n), long(1)]));
    const tiff = Buffer.concat([
        Buffer.from('MM\0*'), long(8),
        ifd([entry(0x0112, 3, 1, short(6)), entry(0x8825, 4, 1, long(gpsAt))]),
        ifd([entry(1, 2, 2, Buffer.from('N\0\0\0')), entry(2, 5, 3, long(dataAt)), entry(3, 2, 2, Buffer.from('E\0\0\0')), entry(4, 5, 3, long(dataAt + 24))]),
        degrees(52, 31, 12), degrees(13, 24, 18),
    ]);
    const body = Buffer.concat([Buffer.from('Exif\0\0'), tiff]);
    return Buffer.concat([Buffer.from([0xff, 0xe1, (body.length + 2) >> 8, (body.length + 2) & 255]), body]);
}

/** Puts the EXIF segment behind the JPEG's first two bytes. */
function withExif(file) {
    const jpeg = readFileSync(file);
    if (jpeg.readUInt16BE(0) !== 0xffd8) throw new Error(`${file} is no JPEG`);
    writeFileSync(file, Buffer.concat([jpeg.subarray(0, 2), exifSegment(), jpeg.subarray(2)]));
}

/** One image of 4000x3000 like a photo: clouds of Perlin noise at three scales, and the grain of a sensor. → its path */
async function makePhoto(run, path) {
    const bands = [];
    for (const [i, cell] of [700, 260, 90].entries()) {
        await run('perlin', path('cloud.v'), '4000', '3000', '--cell-size', String(cell));
        await run('linear', path('cloud.v'), path('scaled.v'), '90', '128');
        await run('gaussnoise', path('grain.v'), '4000', '3000', '--sigma', '4', '--mean', '0');
        await run('add', path('scaled.v'), path('grain.v'), path(`band${i}.v`));
        bands.push(path(`band${i}.v`));
    }
    await run('bandjoin', bands.join(' '), path('joined.v'));
    await run('cast', path('joined.v'), path('bytes.v'), 'uchar');
    await run('copy', path('bytes.v'), path('photo.v'), '--interpretation', 'srgb');
    return path('photo.v');
}

/** What makes another image of the first one: a different one to every decoder and cache, and cheap to have. */
const CHANGES = [['copy'], ['flip', 'horizontal'], ['rot', 'd180'], ['flip', 'vertical']];

/**
 * Makes images in ctx.dir: up to four JPEGs of 4000x3000 with EXIF orientation and GPS, and a PNG and a WebP of 2000x1500.
 * → { jpeg: [paths], png: [path], webp: [path] }
 */
export async function makeImages(ctx, { jpegs = 2 } = {}) {
    const vips = program('vips', packageName);
    const folder = join(ctx.dir, 'images');
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const path = (name) => join(folder, name);
    const run = (...args) => exec(vips, args, { cwd: folder });
    const photo = await makePhoto(run, path);
    const jpeg = [];
    for (const [i, [operation, ...how]] of CHANGES.slice(0, jpegs).entries()) {
        await run(operation, photo, path('changed.v'), ...how);
        jpeg.push(path(`photo${i}.jpg`));
        await run('jpegsave', path('changed.v'), jpeg.at(-1), '--Q', '88');
        withExif(jpeg.at(-1));
    }
    await run('resize', photo, path('half.v'), '0.5');
    await run('pngsave', path('half.v'), path('screen.png'));
    await run('webpsave', path('half.v'), path('picture.webp'), '--Q', '85');
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.v'))) rmSync(path(name));
    return { jpeg, png: [path('screen.png')], webp: [path('picture.webp')] };
}
