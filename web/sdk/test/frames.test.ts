// @vitest-environment node
import { beforeEach, expect, test } from "vitest";
import {
  FrameCrypto,
  FrameError,
  OVERHEAD_BYTES,
  ReplayWindow,
  clearBytes,
  ratchetKey,
} from "../src/frame_crypto";
import { FramePipes, type EncodedFrame } from "../src/frame_pipes";

/** Node 18 has it in a module only. */
async function webCrypto(): Promise<Crypto> {
  const name = "node:crypto"; // Not to be found by the types of a page.
  const module = (await import(/* @vite-ignore */ name)) as { webcrypto: Crypto };
  return module.webcrypto;
}
const crypto = await webCrypto();
const KEY = Uint8Array.from({ length: 16 }, (_, index) => index);
const OTHER = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
const frame = Uint8Array.from({ length: 100 }, (_, index) => index * 2);

function made(): FrameCrypto {
  return new FrameCrypto(crypto.subtle, (into) => {
    crypto.getRandomValues(into);
  });
}

let ann: FrameCrypto;
let ben: FrameCrypto;
beforeEach(async () => {
  [ann, ben] = [made(), made()];
  await ann.setKey(1, KEY);
  await ben.setKey(1, KEY);
});

async function sealed(clear = 10, sender = 7): Promise<Uint8Array> {
  const data = await ann.encrypt(frame, clear, sender);
  if (!data) throw new Error("no key");
  return data;
}

/** The fault that a frame is refused for. */
async function fault(who: FrameCrypto, data: Uint8Array): Promise<string> {
  try {
    await who.decrypt(data);
    return "none";
  } catch (error) {
    if (error instanceof FrameError) return error.fault;
    throw error;
  }
}

test.each([0, 1, 3, 10, 100])("comes back with %i bytes in the clear, and nothing else of it", async (clear) => {
  const data = await sealed(clear);
  expect(data).toHaveLength(frame.length + OVERHEAD_BYTES);
  expect(data.slice(0, clear)).toEqual(frame.slice(0, clear));
  if (clear < 90) expect(data.slice(clear, 100)).not.toEqual(frame.slice(clear));
  expect(await ben.decrypt(data)).toEqual({ frame, sender: 7 });
});

test("the same frame twice is two different ones, with a nonce each", async () => {
  const [one, two] = [await sealed(), await sealed()];
  expect(one.slice(10)).not.toEqual(two.slice(10));
  const again = made(); // A page that was loaded again begins at the same counter.
  await again.setKey(1, KEY);
  const first = await again.encrypt(frame, 10, 7);
  expect(first?.slice(-18, -10)).not.toEqual(one.slice(-18, -10));
});

test("every single changed byte is noticed, the clear ones and the trailer's too", async () => {
  const data = await sealed();
  for (let at = 0; at < data.length; at += 1) {
    const bent = data.slice();
    bent[at] = (bent[at] ?? 0) ^ 0x10;
    expect(await fault(ben, bent), `byte ${at}`).toMatch(/wrong_key|no_key|malformed/);
  }
  expect(await fault(ben, data)).toBe("none"); // None of that has spoilt the real one.
});

test("every shorter one is refused, as are frames that were never encrypted", async () => {
  const data = await sealed();
  for (let length = 0; length < data.length; length += 1) {
    expect(await fault(ben, data.slice(0, length))).toMatch(/wrong_key|no_key|malformed/);
  }
  expect(await fault(ben, frame)).toMatch(/no_key|malformed/);
});

test("another group's key, another sender's number, an unknown key id", async () => {
  const cleo = made();
  await cleo.setKey(1, OTHER);
  expect(await fault(cleo, await sealed())).toBe("wrong_key");
  const posing = await sealed();
  posing[posing.length - 3] = 8; // sender 7 says that he is 8
  expect(await fault(ben, posing)).toBe("wrong_key");
  await ann.setKey(2, OTHER);
  expect(await fault(ben, await sealed())).toBe("no_key");
});

test("replayed frames are refused; late ones aren't", async () => {
  const [one, two, three] = [await sealed(), await sealed(), await sealed()];
  for (const data of [three, one, two]) expect(await fault(ben, data)).toBe("none");
  for (const data of [one, two, three]) expect(await fault(ben, data)).toBe("replayed");
});

test("the replay window: in order, out of order, far behind, across its end", () => {
  const window = new ReplayWindow();
  expect([0, 5, 3, 3, 5, 0].map((n) => window.take(n))).toEqual([true, true, true, false, false, false]);
  expect(window.take(2000)).toBe(true);
  expect([976, 977, 977, 1999].map((n) => window.take(n))).toEqual([false, true, false, true]);
  expect(window.take(0xffffffff)).toBe(true);
  expect(window.take(2000)).toBe(false);
});

test("rotation: old frames are still read for a while, then the key is gone", async () => {
  const old = await sealed();
  await ben.setKey(2, OTHER, false);
  expect(await fault(made(), old)).toBe("no_key");
  await ann.setKey(2, OTHER);
  expect(await fault(ben, await sealed())).toBe("none");
  expect(await fault(ben, old)).toBe("none");
  const older = (await ben.encrypt(frame, 0, 9)) ?? frame; // Still with key 1: 2 was not for sending.
  expect(older[older.length - 2]).toBe(1);
  for (const keyId of [3, 4, 5, 6]) await ben.setKey(keyId, OTHER);
  expect(await fault(ben, old)).toBe("no_key");
  ann.forgetKey(2);
  expect(await ann.encrypt(frame, 0, 7)).toBeNull();
});

test("a ratcheted key is the same everywhere, and another one", async () => {
  const next = await ratchetKey(KEY, crypto.subtle);
  expect(next).toHaveLength(16);
  expect(next).toEqual(await ratchetKey(KEY, crypto.subtle));
  expect(next).not.toEqual(KEY);
  await expect(made().setKey(1, KEY.slice(0, 15))).rejects.toThrow();
  await expect(made().setKey(256, KEY)).rejects.toThrow();
});

test("clear bytes: what packets and the forwarding unit read", () => {
  const vp8key = new Uint8Array(50);
  expect(clearBytes("video", "vp8", vp8key)).toBe(10);
  expect(clearBytes("video", "vp8", Uint8Array.of(1, 2, 3, 4, 5))).toBe(3);
  expect(clearBytes("video", "vp8", new Uint8Array(4))).toBe(4);
  expect(clearBytes("video", "vp9", vp8key)).toBe(0);
  expect(clearBytes("audio", "opus", vp8key)).toBe(1);
  expect(clearBytes("audio", "opus", new Uint8Array())).toBe(0);
});

/* The pipes of a page */

interface Out {
  frames: EncodedFrame[];
  push: (data: Uint8Array, more?: Partial<EncodedFrame>) => Promise<void>;
}

function pipe(pipes: FramePipes, direction: "send" | "receive", keyframes = {}): Out {
  const frames: EncodedFrame[] = [];
  const work = pipes.pipe({ direction, kind: "video", codec: "vp8" }, keyframes);
  const push = (data: Uint8Array, more: Partial<EncodedFrame> = {}): Promise<void> =>
    work({ data: data.slice().buffer, ...more }, (done) => frames.push(done));
  return { frames, push };
}

test("without key or number nothing is sent; the first key asks for a keyframe", async () => {
  const pipes = new FramePipes(made());
  let asked = 0;
  const out = pipe(pipes, "send", { generateKeyFrame: () => Promise.resolve((asked += 1)) });
  await out.push(frame);
  pipes.setNumber(7);
  await out.push(frame);
  expect(out.frames).toHaveLength(0);
  expect(pipes.report().dropped.no_send_key).toBe(2);
  await pipes.setKey(1, KEY, true);
  await pipes.setKey(2, OTHER, true);
  expect(asked).toBe(1);
  await out.push(frame);
  expect(out.frames).toHaveLength(1);
  expect(pipes.report().sealed).toBe(1);
});

test("what can't be read is dropped, counted and told by number; reading it again asks for a keyframe", async () => {
  const pipes = new FramePipes(made());
  let asked = 0;
  const input = pipe(pipes, "receive", { sendKeyFrameRequest: () => Promise.resolve((asked += 1)) });
  await input.push(await sealed());
  await input.push(Uint8Array.of(1, 2, 3), { getMetadata: () => ({ contributingSources: [9] }) });
  expect(pipes.report()).toMatchObject({
    opened: 0,
    dropped: { no_key: 1, malformed: 1 },
    unreadable: [7, 9],
    readable: [],
  });
  await pipes.setKey(1, KEY, false);
  await input.push(await sealed(), { type: "delta" });
  await input.push(await sealed(), { type: "delta" });
  expect(asked).toBe(1);
  expect(new Uint8Array(input.frames[0]?.data ?? new ArrayBuffer(0))).toEqual(frame);
  expect(pipes.report()).toMatchObject({ opened: 2, unreadable: [], readable: [7] });
});

test("a frame that the server puts into somebody else's place is refused", async () => {
  const pipes = new FramePipes(made());
  await pipes.setKey(1, KEY, false);
  const input = pipe(pipes, "receive");
  await input.push(await sealed(10, 7), { getMetadata: () => ({ contributingSources: [8] }) });
  await input.push(await sealed(10, 7), { getMetadata: () => ({ contributingSources: [7] }) });
  await input.push(await sealed(10, 7), { getMetadata: () => ({ contributingSources: [] }) });
  expect(input.frames).toHaveLength(2);
  expect(pipes.report().dropped.misplaced).toBe(1);
});
