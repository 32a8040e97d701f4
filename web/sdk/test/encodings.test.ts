import { expect, test } from "vitest";
import { bitrateFor, encodingsFor, fitEncodings, preferCodec, sizesFor } from "../src/encodings";

const HD = { width: 1280, height: 720 };
const modes = (list: object[]): unknown[] =>
  list.map((item) => (item as { scalabilityMode?: string }).scalabilityMode);

test("a 720p capture is sent in three sizes, the smallest first, each with its bandwidth", () => {
  const made = encodingsFor("vp8", HD);
  expect(made.map((item) => item.rid)).toEqual(["q", "h", "f"]);
  expect(made.map((item) => item.scaleResolutionDownBy)).toEqual([4, 2, 1]);
  expect(made.map((item) => item.active)).toEqual([true, true, true]);
  expect(made.map((item) => item.maxBitrate)).toEqual([150_000, 500_000, 1_700_000]);
});

test.each([
  [1920, 1080, 3],
  [720, 1280, 3], // a phone held upright
  [960, 540, 3],
  [640, 480, 2],
  [640, 360, 2],
  [1920, 300, 2], // a quarter of it would be of no use
  [320, 180, 1],
])("%i×%i is worth %i sizes, the last of them whole; the others are off", (width, height, sizes) => {
  expect(sizesFor({ width, height })).toBe(sizes);
  const made = encodingsFor("vp8", { width, height });
  expect(made.map((item) => item.active)).toEqual([true, sizes > 1, sizes > 2]);
  const scales = made.slice(0, sizes).map((item) => item.scaleResolutionDownBy);
  expect(scales).toEqual([4, 2, 1].slice(3 - sizes));
});

test("VP9 and AV1 are one stream with layers inside", () => {
  expect(encodingsFor("vp9", HD)).toHaveLength(1);
  expect(modes(encodingsFor("vp9", HD))).toEqual(["L3T3_KEY"]);
  expect(modes(encodingsFor("av1", { width: 640, height: 360 }))).toEqual(["L2T3_KEY"]);
  expect(encodingsFor("av1", HD)[0]).toMatchObject({ active: true, scaleResolutionDownBy: 1 });
  expect(encodingsFor("av1", HD)[0]?.rid).toBeUndefined();
});

test("an answer without simulcast leaves the full size, not a quarter", () => {
  const [first] = encodingsFor("vp8", HD);
  const fitted = fitEncodings(first ? [first] : [], "vp8", HD);
  expect(fitted).toMatchObject([{ rid: "q", active: true, scaleResolutionDownBy: 1, maxBitrate: 1_700_000 }]);
});

test("bandwidth grows with the picture and is less for newer codecs", () => {
  const rates = [160, 320, 640, 960, 1280, 1920, 3840].map((width) =>
    bitrateFor({ width, height: (width * 9) / 16 }),
  );
  expect(rates).toEqual([...rates].sort((a, b) => a - b));
  expect(rates[0]).toBeGreaterThanOrEqual(80_000);
  expect(rates.at(-1)).toBe(3_000_000);
  expect(bitrateFor(HD, "av1")).toBeLessThan(bitrateFor(HD, "vp9"));
});

test("the wished codec comes first; `only` keeps what repairs it", () => {
  const all = ["video/VP8", "video/rtx", "video/H264", "video/VP9", "video/AV1"].map((mimeType) => ({ mimeType }));
  const names = (list: { mimeType: string }[]): string[] => list.map((item) => item.mimeType.slice(6));
  expect(names(preferCodec(all, "vp9"))).toEqual(["VP9", "VP8", "rtx", "H264", "AV1"]);
  expect(names(preferCodec(all, "vp8", ["vp8", "vp9"]))).toEqual(["VP8", "rtx", "VP9"]);
});
