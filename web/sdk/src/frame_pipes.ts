import { FrameCrypto, FrameError, clearBytes, type FrameFault, type FrameKind } from "./frame_crypto";

/** What the page tells the worker about one sender's or receiver's frames. */
export interface PipeOptions {
  direction: "send" | "receive";
  kind: FrameKind;
  /** Of what is sent, where the browser doesn't say it with the frame: vp8, vp9, opus. */
  codec: string;
}

/** misplaced: it stands in the slot of somebody else than who made it. no_send_key: ours, held back
 *  because there is no key (or number) yet; never sent in the clear. */
export type DropReason = FrameFault | "misplaced" | "no_send_key";

export type DropCounts = Record<DropReason, number>;

export interface PipeReport {
  sealed: number;
  opened: number;
  dropped: DropCounts;
  /** Numbers of participants of whom something came since the report before, and nothing of it
   *  could be read. */
  unreadable: number[];
  /** And of whom something could. */
  readable: number[];
}

export const NO_DROPS: DropCounts = {
  no_key: 0,
  wrong_key: 0,
  replayed: 0,
  malformed: 0,
  misplaced: 0,
  no_send_key: 0,
};

/** The members of RTCEncodedVideoFrame and RTCEncodedAudioFrame that are used. */
export interface EncodedFrame {
  data: ArrayBuffer;
  type?: string;
  getMetadata?(): { contributingSources?: number[]; mimeType?: string };
}

/** The members of RTCRtpScriptTransformer that are used beside its streams. */
export interface Keyframes {
  generateKeyFrame?(): Promise<unknown>;
  sendKeyFrameRequest?(): Promise<unknown>;
}

type Emit = (frame: EncodedFrame) => void;

/** Every stream of frames of one page, under the same keys. What can't be sealed isn't sent, what
 *  can't be opened isn't shown; both are counted. */
export class FramePipes {
  private readonly crypto: FrameCrypto;
  private number: number | null = null;
  private canSend = false;
  private sealed = 0;
  private opened = 0;
  private readonly dropped: DropCounts = { ...NO_DROPS };
  private readonly failed = new Set<number>();
  private readonly heard = new Set<number>();
  private readonly videoSenders = new Set<Keyframes>();

  constructor(crypto: FrameCrypto = new FrameCrypto()) {
    this.crypto = crypto;
  }

  async setKey(keyId: number, key: Uint8Array, send: boolean): Promise<void> {
    await this.crypto.setKey(keyId, key, send);
    if (!send || this.canSend) return;
    this.canSend = true;
    // What was held back had the keyframe that everything since is built on.
    for (const sender of this.videoSenders) sender.generateKeyFrame?.().catch(() => {});
    this.videoSenders.clear();
  }

  forgetKey(keyId: number): void {
    this.crypto.forgetKey(keyId);
  }

  setNumber(number: number): void {
    this.number = number;
  }

  /** What becomes of the frames of one sender or receiver, in order. */
  pipe(options: PipeOptions, keyframes: Keyframes = {}): (frame: EncodedFrame, emit: Emit) => Promise<void> {
    if (options.direction === "receive") return this.receiving(options, keyframes);
    if (options.kind === "video" && !this.canSend) this.videoSenders.add(keyframes);
    return (frame, emit) => this.seal(options, frame, emit);
  }

  /** What happened since the beginning, and who could be read since the report before. */
  report(): PipeReport {
    const { sealed, opened } = this;
    const unreadable = [...this.failed].filter((number) => !this.heard.has(number));
    const readable = [...this.heard];
    this.failed.clear();
    this.heard.clear();
    return { sealed, opened, dropped: { ...this.dropped }, unreadable, readable };
  }

  private async seal({ kind, codec }: PipeOptions, frame: EncodedFrame, emit: Emit): Promise<void> {
    const data = new Uint8Array(frame.data);
    const spoken = frame.getMetadata?.().mimeType?.toLowerCase().replace(/^\w+\//, "");
    const clear = clearBytes(kind, spoken ?? codec, data);
    const sealed =
      this.number === null ? null : await this.crypto.encrypt(data, clear, this.number);
    if (sealed === null) {
      this.dropped.no_send_key += 1;
      return;
    }
    frame.data = sealed.buffer;
    this.sealed += 1;
    emit(frame);
  }

  private receiving(
    { kind }: PipeOptions,
    keyframes: Keyframes,
  ): (frame: EncodedFrame, emit: Emit) => Promise<void> {
    let broken = false;
    return async (frame, emit) => {
      const ok = await this.open(frame);
      if (!ok) {
        broken = true;
        return;
      }
      if (broken && kind === "video" && frame.type === "delta") {
        keyframes.sendKeyFrameRequest?.().catch(() => {});
      }
      broken = false;
      emit(frame);
    };
  }

  private async open(frame: EncodedFrame): Promise<boolean> {
    const sources = frame.getMetadata?.().contributingSources ?? [];
    try {
      const { frame: plain, sender } = await this.crypto.decrypt(new Uint8Array(frame.data));
      if (sources.length > 0 && !sources.includes(sender)) return this.refuse("misplaced", sender);
      frame.data = plain.buffer;
      this.opened += 1;
      this.heard.add(sender);
      return true;
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      return this.refuse(error.fault, error.sender ?? sources[0] ?? null);
    }
  }

  private refuse(reason: DropReason, sender: number | null): false {
    this.dropped[reason] += 1;
    if (sender !== null) this.failed.add(sender);
    return false;
  }
}
