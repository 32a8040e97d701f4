/**
 * End-to-end encryption of encoded frames, after the pattern of SFrame (RFC 9605) with a layout of
 * our own at the frame's end, where no codec looks:
 *
 *     clear bytes | ciphertext | tag (16) | salt (8) | counter (4) | sender (4) | key id (1) | clear (1)
 *
 * AES-128-GCM. Each sender has a key and an IV base of his own, derived by HKDF-SHA-256 from the
 * group's media key and his number in the call. The nonce is that base XOR (salt, counter): the
 * salt is random for each run of an encryptor, so a page that is loaded again never repeats one.
 * The clear bytes and everything behind the tag are authenticated.
 *
 * No browser API besides WebCrypto: it runs in a worker, and in Node for the tests.
 */

export const TAG_BYTES = 16;
const SALT_BYTES = 8;
const TRAILER_BYTES = SALT_BYTES + 4 + 4 + 1 + 1;
export const OVERHEAD_BYTES = TAG_BYTES + TRAILER_BYTES;
/** Old keys that are kept for what is still under way when the key changes. */
const KEYS_KEPT = 4;
/** Senders whose keys and windows are kept: more than a call has, and a bound against made-up ones. */
const SENDERS_KEPT = 512;
/** How far back a frame may come late and still count as new (frames of all kinds of a sender). */
const WINDOW = 1024;
const MAX_COUNTER = 0xffffffff;

export type FrameKind = "audio" | "video";

/** Why a frame could not be taken. no_key: a key id that was never set here. wrong_key: it doesn't
 *  authenticate. replayed: it was here before. malformed: no frame of this scheme, most likely one
 *  that was sent unencrypted. */
export type FrameFault = "no_key" | "wrong_key" | "replayed" | "malformed";

export class FrameError extends Error {
  constructor(
    readonly fault: FrameFault,
    /** Whose it claims to be; null where it can't be read. */
    readonly sender: number | null,
  ) {
    super(fault);
  }
}

interface SenderKey {
  key: CryptoKey;
  ivBase: Uint8Array;
}

interface Group {
  secret: CryptoKey;
  senders: Map<number, Promise<SenderKey>>;
}

/**
 * How many bytes at the frame's start stay clear, so that what handles the packets between encoder
 * and decoder still works: VP8's frame tag and, in a keyframe, its start code and size (RFC 6386
 * §9.1: the forwarding unit and the receiving browser read them), Opus' TOC byte (RFC 6716 §3.1).
 * VP9's packets carry all that is needed in the descriptor.
 */
export function clearBytes(kind: FrameKind, codec: string, frame: Uint8Array): number {
  if (kind === "audio") return Math.min(1, frame.length);
  if (codec !== "vp8") return 0;
  const keyframe = ((frame[0] ?? 1) & 1) === 0;
  return Math.min(keyframe ? 10 : 3, frame.length);
}

/** The next key of a chain, for whoever rotates without a new exchange: from the new one the old
 *  can't be found, so who comes in later can't read what was before. */
export async function ratchetKey(
  key: Uint8Array,
  subtle: SubtleCrypto = globalThis.crypto.subtle,
): Promise<Uint8Array> {
  const secret = await subtle.importKey("raw", key, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await derive(subtle, secret, "sotto media ratchet", key.length));
}

/** The keys of one call, and both directions. */
export class FrameCrypto {
  private readonly groups = new Map<number, Group>();
  private readonly windows = new Map<string, ReplayWindow>();
  private readonly salt: Uint8Array;
  private sendKeyId: number | null = null;
  private counter = 0;

  constructor(
    private readonly subtle: SubtleCrypto = globalThis.crypto.subtle,
    random: (into: Uint8Array) => void = (into) => globalThis.crypto.getRandomValues(into),
  ) {
    const salt = new Uint8Array(SALT_BYTES);
    random(salt);
    this.salt = salt;
  }

  /** Frames are sent with it from now on, unless `send` is false: then it only opens what comes. */
  async setKey(keyId: number, key: Uint8Array, send = true): Promise<void> {
    if (!Number.isInteger(keyId) || keyId < 0 || keyId > 255) throw new RangeError("key id");
    if (key.length < 16) throw new RangeError("media key shorter than 16 bytes");
    const secret = await this.subtle.importKey("raw", key, "HKDF", false, ["deriveBits"]);
    this.groups.delete(keyId); // So that the newest stand last.
    this.groups.set(keyId, { secret, senders: new Map() });
    if (send) this.sendKeyId = keyId;
    for (const old of [...this.groups.keys()].slice(0, -KEYS_KEPT)) {
      if (old !== this.sendKeyId) this.groups.delete(old);
    }
  }

  /** Somebody left: what is sent with this key is no longer taken. */
  forgetKey(keyId: number): void {
    this.groups.delete(keyId);
    if (this.sendKeyId === keyId) this.sendKeyId = null;
  }

  /** The frame as it travels, or null as long as there is no key to send with. */
  async encrypt(frame: Uint8Array, clear: number, sender: number): Promise<Uint8Array | null> {
    const keyId = this.sendKeyId;
    if (keyId === null || clear > frame.length) return null;
    if (this.counter > MAX_COUNTER) throw new RangeError("frames of a salt are used up");
    const trailer = new Uint8Array(TRAILER_BYTES);
    const view = new DataView(trailer.buffer);
    trailer.set(this.salt);
    view.setUint32(SALT_BYTES, this.counter);
    view.setUint32(SALT_BYTES + 4, sender);
    trailer[SALT_BYTES + 8] = keyId;
    trailer[SALT_BYTES + 9] = clear;
    this.counter += 1; // Taken before anything is awaited: no two frames share one.
    const { key, ivBase } = await this.senderKey(keyId, sender);
    const head = frame.subarray(0, clear);
    const sealed = await this.subtle.encrypt(
      this.parameters(ivBase, head, trailer),
      key,
      frame.subarray(clear),
    );
    return joined(head, new Uint8Array(sealed), trailer);
  }

  /** The frame as it was made, and who made it. Throws FrameError. */
  async decrypt(data: Uint8Array): Promise<{ frame: Uint8Array; sender: number }> {
    if (data.length < OVERHEAD_BYTES) throw new FrameError("malformed", null);
    const trailer = data.subarray(data.length - TRAILER_BYTES);
    const view = new DataView(trailer.buffer, trailer.byteOffset, TRAILER_BYTES);
    const counter = view.getUint32(SALT_BYTES);
    const sender = view.getUint32(SALT_BYTES + 4);
    const keyId = trailer[SALT_BYTES + 8] ?? 0;
    const clear = trailer[SALT_BYTES + 9] ?? 0;
    if (clear + OVERHEAD_BYTES > data.length) throw new FrameError("malformed", null);
    if (!this.groups.has(keyId)) throw new FrameError("no_key", sender);
    const { key, ivBase } = await this.senderKey(keyId, sender);
    const head = data.subarray(0, clear);
    let opened: ArrayBuffer;
    try {
      const sealed = data.subarray(clear, data.length - TRAILER_BYTES);
      opened = await this.subtle.decrypt(this.parameters(ivBase, head, trailer), key, sealed);
    } catch {
      throw new FrameError("wrong_key", sender);
    }
    // Only what is authentic may move a window.
    if (!this.window(keyId, sender, trailer).take(counter)) throw new FrameError("replayed", sender);
    return { frame: joined(head, new Uint8Array(opened)), sender };
  }

  private parameters(ivBase: Uint8Array, head: Uint8Array, trailer: Uint8Array): AesGcmParams {
    const iv = new Uint8Array(ivBase);
    for (let i = 0; i < iv.length; i += 1) iv[i] = (iv[i] ?? 0) ^ (trailer[i] ?? 0);
    return { name: "AES-GCM", iv, additionalData: joined(head, trailer), tagLength: TAG_BYTES * 8 };
  }

  private senderKey(keyId: number, sender: number): Promise<SenderKey> {
    const group = this.groups.get(keyId);
    if (!group) return Promise.reject(new FrameError("no_key", sender));
    const known = group.senders.get(sender);
    if (known) return known;
    const made = this.deriveSender(group.secret, sender);
    group.senders.set(sender, made);
    dropOldest(group.senders, SENDERS_KEPT);
    return made;
  }

  private async deriveSender(secret: CryptoKey, sender: number): Promise<SenderKey> {
    const bits = await derive(this.subtle, secret, `sotto media sender ${sender}`, 16 + 12);
    const key = await this.subtle.importKey("raw", bits.slice(0, 16), "AES-GCM", false, [
      "encrypt",
      "decrypt",
    ]);
    return { key, ivBase: new Uint8Array(bits.slice(16)) };
  }

  private window(keyId: number, sender: number, trailer: Uint8Array): ReplayWindow {
    const name = `${keyId} ${sender} ${trailer.subarray(0, SALT_BYTES).join(" ")}`;
    let window = this.windows.get(name);
    if (!window) {
      window = new ReplayWindow();
      this.windows.set(name, window);
      dropOldest(this.windows, SENDERS_KEPT);
    }
    return window;
  }
}

/** Which of the newest WINDOW counters have been here; older ones count as if they had. */
export class ReplayWindow {
  private newest = -1;
  private readonly seen = new Uint8Array(WINDOW);

  take(counter: number): boolean {
    if (counter <= this.newest - WINDOW) return false;
    if (counter > this.newest) {
      const from = Math.max(this.newest + 1, counter - WINDOW + 1);
      for (let at = from; at <= counter; at += 1) this.seen[at % WINDOW] = 0;
      this.newest = counter;
    } else if (this.seen[counter % WINDOW]) return false;
    this.seen[counter % WINDOW] = 1;
    return true;
  }
}

function derive(
  subtle: SubtleCrypto,
  secret: CryptoKey,
  info: string,
  length: number,
): Promise<ArrayBuffer> {
  return subtle.deriveBits(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: new TextEncoder().encode(info) },
    secret,
    length * 8,
  );
}

function dropOldest<K>(map: Map<K, unknown>, keep: number): void {
  for (const key of map.keys()) {
    if (map.size <= keep) return;
    map.delete(key);
  }
}

function joined(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
