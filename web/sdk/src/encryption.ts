import { Emitter } from "./emitter";
import { SottoError } from "./errors";
import type { FrameKind } from "./frame_crypto";
import { NO_DROPS, type PipeOptions, type PipeReport } from "./frame_pipes";
import type { VideoCodec } from "./encodings";

/** A media key of a call: 16 bytes or more that only its participants know. */
export interface MediaKey {
  /** 0–255. Frames name it, so that old and new keys can be in use at the same time. */
  keyId: number;
  key: Uint8Array;
}

export type ToWorker =
  | { type: "key"; id: number; keyId: number; key: Uint8Array; send: boolean }
  | { type: "forget"; keyId: number }
  | { type: "number"; number: number }
  | {
      type: "streams";
      readable: ReadableStream;
      writable: WritableStream;
      options: PipeOptions;
    };

type FromWorker =
  | { type: "done"; id: number; error?: string }
  | { type: "report"; report: PipeReport };

export type WorkerLike = Pick<Worker, "postMessage" | "terminate"> & {
  onmessage: ((event: MessageEvent) => void) | null;
};

/** Chromium's older way to the frames (before 141), for which a connection has to be made. */
interface WithEncodedStreams {
  createEncodedStreams?: () => { readable: ReadableStream; writable: WritableStream };
}

/** Codecs whose packets still are what they were when the frame is encrypted. H.264 and AV1 packets
 *  are cut along the structure of the frame, which is then noise. */
export const ENCRYPTABLE: VideoCodec[] = ["vp8", "vp9"];

export interface EncryptionEvents {
  report: PipeReport;
}

/** How this browser lets scripts at encoded frames, if it does. */
export function encryptionWay(): "script" | "streams" | null {
  if (typeof RTCRtpScriptTransform !== "undefined") return "script";
  if (typeof RTCRtpSender === "undefined") return null;
  return "createEncodedStreams" in RTCRtpSender.prototype ? "streams" : null;
}

function makeWorker(): Worker {
  return new Worker(new URL("./frame_worker.ts", import.meta.url), { type: "module" });
}

/**
 * End-to-end encryption of a call's frames, as the page sees it: the keys go to a worker, and so
 * does every sender and receiver before its first frame. From then on nothing is sent in the clear:
 * without a key there is silence.
 */
export class MediaEncryption extends Emitter<EncryptionEvents> {
  last: PipeReport = { sealed: 0, opened: 0, dropped: NO_DROPS, unreadable: [], readable: [] };
  private readonly worker: WorkerLike;
  private readonly way: "script" | "streams";
  private readonly joined = new WeakSet<object>();
  private readonly waiting = new Map<number, (error?: string) => void>();
  private requests = 0;

  /** Throws `encryption_unsupported` where the browser has no encoded transforms. */
  constructor(worker?: () => WorkerLike, way = encryptionWay()) {
    super();
    if (!way) throw new SottoError("encryption_unsupported");
    this.way = way;
    this.worker = (worker ?? makeWorker)();
    this.worker.onmessage = ({ data }) => {
      this.hear(data as FromWorker);
    };
  }

  /** What a connection has to be made with. */
  get configuration(): RTCConfiguration {
    return this.way === "streams" ? ({ encodedInsertableStreams: true } as RTCConfiguration) : {};
  }

  /** Frames are sent with it, unless `send` is false: for a key that the others don't have yet. */
  setKey({ keyId, key }: MediaKey, send = true): Promise<void> {
    this.requests += 1;
    const id = this.requests;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, (error) => {
        if (error === undefined) resolve();
        else reject(new SottoError("bad_media_key", { detail: error }));
      });
      this.post({ type: "key", id, keyId, key, send });
    });
  }

  forgetKey(keyId: number): void {
    this.post({ type: "forget", keyId });
  }

  /** Which participant of the call we are: part of the key that our frames are sealed with. */
  setNumber(number: number): void {
    this.post({ type: "number", number });
  }

  protectSender(sender: RTCRtpSender, kind: FrameKind, codec: string): void {
    this.join(sender, { direction: "send", kind, codec });
  }

  protectReceiver(receiver: RTCRtpReceiver): void {
    const kind = receiver.track.kind === "video" ? "video" : "audio";
    this.join(receiver, { direction: "receive", kind, codec: "" });
  }

  close(): void {
    this.worker.terminate();
    for (const settle of this.waiting.values()) settle("closed");
    this.waiting.clear();
    this.removeAll();
  }

  private join(end: RTCRtpSender | RTCRtpReceiver, options: PipeOptions): void {
    if (this.joined.has(end)) return;
    this.joined.add(end);
    if (this.way === "script") {
      end.transform = new RTCRtpScriptTransform(this.worker as Worker, options);
      return;
    }
    const streams = (end as WithEncodedStreams).createEncodedStreams?.();
    if (!streams) throw new SottoError("encryption_unsupported");
    const { readable, writable } = streams;
    this.post({ type: "streams", readable, writable, options }, [readable, writable]);
  }

  private post(message: ToWorker, transfer: Transferable[] = []): void {
    this.worker.postMessage(message, transfer);
  }

  private hear(message: FromWorker): void {
    if (message.type === "done") {
      this.waiting.get(message.id)?.(message.error);
      this.waiting.delete(message.id);
      return;
    }
    this.last = message.report;
    this.emit("report", message.report);
  }
}
