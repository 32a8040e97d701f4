import type { VideoCodec } from "./encodings";
import type { MediaKey, WorkerLike } from "./encryption";
import type { SottoError } from "./errors";
import type { LocalMedia } from "./media";
import type { CallStats } from "./stats";
import type { SendFlags } from "./transport";
import type { ServerCallStats } from "./types";

export type CallState =
  | "idle" /* Made, nothing sent. */
  | "outgoing" /* Rings at the others. */
  | "incoming" /* Rings here. */
  | "connecting" /* Answered; media isn't there yet. */
  | "active"
  | "reconnecting" /* Media was there and is interrupted. */
  | "ended";

/** Why it ended: the server's words, and `media_denied` and the like where it never began. */
export type EndReason = string;

export interface CallOptions {
  /** How long peer to peer may take to connect before both move to the SFU. */
  fallbackAfterMs: number;
  iceTransportPolicy: RTCIceTransportPolicy;
  /** Diagnosis: no candidates are exchanged between the two, so that the SFU has to carry it. */
  blockP2P: boolean;
  statsEveryMs: number;
  /** What the camera is sent with over the SFU. VP8 is what every browser has and what is sent in
   *  three sizes; VP9 and AV1 carry their sizes in one stream (SVC). */
  videoCodec: VideoCodec;
  /** Every call's media key, for tests and for callers with one key; else Call.setMediaKey(). */
  mediaKey?: MediaKey;
  /** Makes the worker that encrypts, where the bundler can't find it by itself. */
  frameWorker?: () => WorkerLike;
}

export const DEFAULT_CALL_OPTIONS: CallOptions = {
  fallbackAfterMs: 8_000,
  iceTransportPolicy: "all",
  blockP2P: false,
  statsEveryMs: 5_000,
  videoCodec: "vp8",
};

/** What a call needs from its surroundings; tests bring their own. */
export interface CallContext {
  userId: string;
  request<T>(type: string, data: object, flags?: SendFlags): Promise<T>;
  online(): boolean;
  createPeer(configuration: RTCConfiguration): RTCPeerConnection;
  iceServers(): Promise<RTCIceServer[]>;
  createMedia(): LocalMedia;
  now(): number;
  options: CallOptions;
}

export interface CallTarget {
  userId?: string;
  conversationId?: string;
}

export interface CallEvents {
  /** Anything a screen shows may have changed: read the call's properties again. */
  change: undefined;
  state: { state: CallState; previous: CallState };
  ended: { reason: EndReason };
  stats: CallStats;
  /** The same call as the SFU sees it; not of calls peer to peer. */
  serverStats: ServerCallStats;
  /** Something that doesn't end the call: a camera that can't be opened, for one. */
  problem: SottoError;
}
