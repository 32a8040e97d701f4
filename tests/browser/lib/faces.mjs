// Drawn faces as camera pictures (YUV4MPEG2), so that screenshots show people and not a test pattern.
import { writeFileSync } from 'node:fs';

const width = 640;
const height = 360;
const frames = 8;

/** Background top and bottom, skin, shirt, hair. */
const palettes = [
    [[214, 196, 178], [120, 140, 150], [226, 180, 150], [60, 90, 110], [70, 50, 40]],
    [[150, 170, 160], [70, 90, 95], [160, 110, 85], [150, 70, 60], [30, 25, 25]],
    [[205, 190, 210], [110, 95, 130], [240, 205, 180], [70, 110, 90], [180, 140, 80]],
    [[180, 200, 215], [80, 100, 125], [110, 75, 55], [200, 170, 90], [20, 18, 18]],
];

const inEllipse = (x, y, rx, ry) => (x / rx) ** 2 + (y / ry) ** 2 < 1;

/** The colour at a point of a face whose middle is (cx, cy). */
function colour([top, bottom, skin, shirt, hair], x, y, cx, cy) {
    const [dx, dy] = [x - cx, y - cy];
    if (inEllipse(dx, dy + 18, 70, 84) && dy < -28 + 10 * Math.cos(dx / 30)) return hair;
    if (inEllipse(dx, dy, 62, 80)) {
        if (inEllipse(Math.abs(dx) - 24, dy + 8, 5, 5)) return [35, 30, 30];
        const mouth = dy - 30 + dx ** 2 / 70;
        if (Math.abs(dx) < 24 && mouth > 0 && mouth < 5) return skin.map((c) => c * 0.65);
        return skin;
    }
    if (Math.abs(dx) < 26 && dy > 60 && dy < 110) return skin.map((c) => c * 0.88);
    if (inEllipse(dx, y - height - 40, 170, 150)) return shirt;
    const t = y / height;
    const light = 1 - 0.12 * Math.abs(x / width - 0.3);
    return top.map((c, i) => (c * (1 - t) + bottom[i] * t) * light);
}

/** Each point of a plane `scale` times as wide and high. */
function enlarged(plane, width, scale) {
    if (scale === 1) return plane;
    const large = Buffer.alloc(plane.length * scale * scale);
    const wide = width * scale;
    for (let i = 0; i < large.length; i++) large[i] = plane[Math.floor(i / wide / scale) * width + Math.floor((i % wide) / scale)];
    return large;
}

/** Writes person number `who` (0–3), nodding gently, to a .y4m file for --use-file-for-fake-video-capture: 640×360, or `scale` times that. */
export function writeFace(file, who, scale = 1) {
    const parts = [Buffer.from(`YUV4MPEG2 W${width * scale} H${height * scale} F8:1 Ip A1:1 C420jpeg\n`)];
    for (let n = 0; n < frames; n++) {
        const turn = (2 * Math.PI * n) / frames;
        const [cx, cy] = [width / 2 + 6 * Math.sin(turn), height * 0.42 + 2 * Math.cos(turn)];
        const luma = Buffer.alloc(width * height);
        const chroma = [Buffer.alloc(luma.length / 4), Buffer.alloc(luma.length / 4)];
        for (let y = 0; y < height; y++) {
            for (let x = 0; x < width; x++) {
                const [r, g, b] = colour(palettes[who], x, y, cx, cy);
                const at = (y >> 1) * (width / 2) + (x >> 1);
                luma[y * width + x] = 0.257 * r + 0.504 * g + 0.098 * b + 16;
                chroma[0][at] = -0.148 * r - 0.291 * g + 0.439 * b + 128;
                chroma[1][at] = 0.439 * r - 0.368 * g - 0.071 * b + 128;
            }
        }
        const planes = chroma.map((plane) => enlarged(plane, width / 2, scale));
        parts.push(Buffer.from('FRAME\n'), enlarged(luma, width, scale), ...planes);
    }
    writeFileSync(file, Buffer.concat(parts));
}
