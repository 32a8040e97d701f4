/** What is sent of a camera: which codec, in how many sizes, with how much bandwidth each. */

export type VideoCodec = "vp8" | "vp9" | "av1" | "h264";

export interface FrameSize {
  width: number;
  height: number;
}

/** RIDs of the three sizes, the smallest first: a quarter, a half, the full one. */
export const RIDS = ["q", "h", "f"] as const;

/** Pixels of a capture that is worth three sizes, and two: below, libwebrtc leaves out the last
 *  encodings, whatever their scale (a 640×480 camera sent in three arrives with 240 lines). */
const THREE_SIZES = 960 * 540;
const TWO_SIZES = 480 * 270;
/** A picture's smaller side below which a size has no use: nobody looks at 160×90. */
const SMALLEST = 120;
/** Bits a second of a picture, by its pixels: about what VP8 needs for a talking head at 30 fps. */
const RATES: [pixels: number, bps: number][] = [
  [320 * 180, 150_000],
  [640 * 360, 500_000],
  [960 * 540, 1_000_000],
  [1280 * 720, 1_700_000],
  [1920 * 1080, 3_000_000],
];
/** VP9 and AV1 say the same with less. */
const LEANER: Record<VideoCodec, number> = { vp8: 1, h264: 1, vp9: 0.8, av1: 0.7 };

export function bitrateFor({ width, height }: FrameSize, codec: VideoCodec = "vp8"): number {
  const pixels = width * height;
  let [belowPixels, belowRate] = RATES[0] ?? [1, 1];
  let rate = (belowRate * pixels) / belowPixels;
  for (const [atPixels, atRate] of RATES.slice(1)) {
    if (pixels <= belowPixels) break;
    const part = Math.min(1, (pixels - belowPixels) / (atPixels - belowPixels));
    rate = belowRate + part * (atRate - belowRate);
    [belowPixels, belowRate] = [atPixels, atRate];
  }
  return Math.round(Math.max(80_000, rate * LEANER[codec]) / 1000) * 1000;
}

/** VP9 and AV1 carry their sizes in one stream (SVC); the others are sent once a size. */
export function isScalable(codec: VideoCodec): boolean {
  return codec === "vp9" || codec === "av1";
}

/** How many sizes a capture is worth: each is half of the next, and the smallest must be of use. */
export function sizesFor({ width, height }: FrameSize): 1 | 2 | 3 {
  const side = Math.min(width, height);
  const pixels = width * height;
  if (side / 4 >= SMALLEST && pixels >= THREE_SIZES) return 3;
  return side / 2 >= SMALLEST && pixels >= TWO_SIZES ? 2 : 1;
}

export function scalabilityFor(codec: VideoCodec, size: FrameSize): string {
  // K-SVC: between keyframes the sizes don't depend on each other, so each can be left alone.
  return isScalable(codec) && sizesFor(size) > 1 ? `L${sizesFor(size)}T3_KEY` : "L1T3";
}

/** `sendEncodings` of the camera's transceiver. Its number is fixed by the first offer, so where
 *  the codec is sent once a size there are always three; fitEncodings() turns those off that a
 *  small capture has no use for. */
export function encodingsFor(codec: VideoCodec, size: FrameSize): RTCRtpEncodingParameters[] {
  const count = isScalable(codec) ? 1 : RIDS.length;
  const made: RTCRtpEncodingParameters[] = Array.from({ length: count }, (_, index) =>
    count === 1 ? {} : { rid: RIDS[index] ?? "f" },
  );
  return fitEncodings(made, codec, size);
}

/** The same encodings, each with the scale, the bandwidth and the layers that are right for a
 *  capture of this size; those that it isn't worth are off, from the last one on. Where the other
 *  end took one size only, that is the full one. */
export function fitEncodings<T extends RTCRtpEncodingParameters>(
  encodings: T[],
  codec: VideoCodec,
  size: FrameSize,
): T[] {
  const sizes = Math.min(sizesFor(size), encodings.length);
  return encodings.map((encoding, index) => {
    const scale = 2 ** Math.max(0, sizes - 1 - index);
    const scaled = { width: size.width / scale, height: size.height / scale };
    const fitted = {
      ...encoding,
      active: index < sizes,
      scaleResolutionDownBy: scale,
      maxBitrate: bitrateFor(scaled, codec),
    };
    return Object.assign(fitted, { scalabilityMode: scalabilityFor(codec, size) });
  });
}

/** Without what a browser may refuse: a scalability mode that its encoder doesn't have. */
export function withoutModes<T extends RTCRtpEncodingParameters>(encodings: T[]): T[] {
  return encodings.map((encoding) => {
    const plain: T & { scalabilityMode?: string } = { ...encoding };
    delete plain.scalabilityMode;
    return plain;
  });
}

/** What the camera really gives; what is asked of it where that isn't known yet. */
export function captureSize(track: MediaStreamTrack | null): FrameSize {
  const { width, height } = track?.getSettings?.() ?? {};
  return width && height ? { width, height } : { width: 1280, height: 720 };
}

/** Capabilities with the wished codec first, for setCodecPreferences(); the others stay as what to
 *  fall back to. `only`: these mime types and what repairs them. */
export function preferCodec<T extends { mimeType: string }>(
  available: T[],
  codec: VideoCodec,
  only?: VideoCodec[],
): T[] {
  const name = (item: T): string => item.mimeType.toLowerCase().replace(/^video\//, "");
  const helpers = ["rtx", "red", "ulpfec", "flexfec-03"];
  const kept = only
    ? available.filter((item) => [...only, ...helpers].includes(name(item)))
    : available;
  const wished = kept.filter((item) => name(item) === codec);
  return [...wished, ...kept.filter((item) => name(item) !== codec)];
}
