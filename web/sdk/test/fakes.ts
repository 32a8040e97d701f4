import { vi } from "vitest";
import { DEFAULT_CALL_OPTIONS, type CallContext, type CallOptions } from "../src/call_types";
import { SottoError } from "../src/errors";
import { LocalMedia } from "../src/media";

/** Browser pieces that jsdom doesn't have, small and under the tests' control. */
export class FakeTrack {
  private static count = 0;
  readonly id: string;
  enabled = true;
  stopped = false;
  constructor(readonly kind: "audio" | "video") {
    FakeTrack.count += 1;
    this.id = `${kind}${FakeTrack.count}`;
  }
  stop(): void {
    this.stopped = true;
  }
}

export class FakeStream {
  private tracks: FakeTrack[];
  constructor(tracks: FakeTrack[] = []) {
    this.tracks = [...tracks];
  }
  getTracks(): FakeTrack[] {
    return [...this.tracks];
  }
  getAudioTracks(): FakeTrack[] {
    return this.tracks.filter((track) => track.kind === "audio");
  }
  getVideoTracks(): FakeTrack[] {
    return this.tracks.filter((track) => track.kind === "video");
  }
  addTrack(track: FakeTrack): void {
    this.tracks.push(track);
  }
  removeTrack(track: FakeTrack): void {
    this.tracks = this.tracks.filter((one) => one !== track);
  }
}

interface Init {
  direction?: string;
  sendEncodings?: object[];
}

interface FakeTransceiver {
  mid: string | null;
  direction: string;
  sender: {
    track: unknown;
    transform?: unknown;
    encodings: object[];
    replaceTrack: (track: unknown) => Promise<void>;
    getParameters: () => { encodings: object[] };
    setParameters: (parameters: { encodings: object[] }) => Promise<void>;
  };
  receiver: { track: FakeTrack; transform?: unknown; getStats: () => Promise<Map<string, object>> };
}

/** A peer connection that follows the signalling states of the specification and nothing else. */
export class FakePeer {
  static made: FakePeer[] = [];
  signalingState = "stable";
  connectionState = "new";
  iceConnectionState = "new";
  localDescription: RTCSessionDescriptionInit | null = null;
  remoteDescription: RTCSessionDescriptionInit | null = null;
  transceivers: FakeTransceiver[] = [];
  candidates: RTCIceCandidateInit[] = [];
  restarts = 0;
  onnegotiationneeded: (() => void) | null = null;
  onicecandidate: ((event: { candidate: unknown }) => void) | null = null;
  onconnectionstatechange: (() => void) | null = null;
  oniceconnectionstatechange: (() => void) | null = null;
  ontrack: (() => void) | null = null;

  constructor(public configuration: RTCConfiguration) {
    FakePeer.made.push(this);
  }

  addTransceiver(what: unknown, init: Init = {}): FakeTransceiver {
    const kind = typeof what === "string" ? what : (what as FakeTrack).kind;
    const transceiver = this.transceiver(kind as "audio" | "video", init.direction ?? "sendrecv");
    transceiver.sender.track = typeof what === "string" ? null : what;
    transceiver.sender.encodings = init.sendEncodings ?? [{}];
    queueMicrotask(() => this.onnegotiationneeded?.());
    return transceiver;
  }
  getTransceivers(): FakeTransceiver[] {
    return this.transceivers;
  }
  getReceivers(): FakeTransceiver["receiver"][] {
    return this.transceivers.map((item) => item.receiver);
  }
  createOffer(): Promise<RTCSessionDescriptionInit> {
    return Promise.resolve({ type: "offer", sdp: "v=0\r\na=candidate:1 host\r\n" });
  }
  createAnswer(): Promise<RTCSessionDescriptionInit> {
    return Promise.resolve({ type: "answer", sdp: "v=0\r\n" });
  }
  async setLocalDescription(given?: RTCSessionDescriptionInit): Promise<void> {
    const offering = this.signalingState === "stable";
    this.localDescription =
      given ?? (offering ? await this.createOffer() : await this.createAnswer());
    this.signalingState = this.localDescription.type === "offer" ? "have-local-offer" : "stable";
  }
  setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    this.remoteDescription = description;
    if (description.type === "offer") {
      this.signalingState = "have-remote-offer"; // With the implicit rollback of §4.4.1.5.
      if (this.transceivers.length === 0) {
        const mids = (description.sdp ?? "").match(/a=mid:\S+/g) ?? ["a=mid:0", "a=mid:1"];
        for (const [index, line] of mids.entries()) {
          const item = this.transceiver(index === 0 ? "audio" : "video", "recvonly");
          item.mid = line.slice("a=mid:".length);
        }
      }
    } else this.signalingState = "stable";
    this.ontrack?.();
    return Promise.resolve();
  }
  addIceCandidate(candidate: RTCIceCandidateInit): Promise<void> {
    this.candidates.push(candidate);
    return Promise.resolve();
  }
  getConfiguration(): RTCConfiguration {
    return this.configuration;
  }
  setConfiguration(configuration: RTCConfiguration): void {
    this.configuration = configuration;
  }
  restartIce(): void {
    this.restarts += 1;
    this.onnegotiationneeded?.();
  }
  getStats(): Promise<Map<string, object>> {
    return Promise.resolve(
      new Map<string, object>([
        ["T", { id: "T", type: "transport", selectedCandidatePairId: "P" }],
        ["P", { id: "P", type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R" }],
        ["L", { id: "L", type: "local-candidate", candidateType: "host" }],
        ["R", { id: "R", type: "remote-candidate", candidateType: "host" }],
      ]),
    );
  }
  close(): void {
    this.signalingState = "closed";
    this.connectionState = "closed";
  }
  become(state: string): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }

  private transceiver(kind: "audio" | "video", direction: string): FakeTransceiver {
    const transceiver: FakeTransceiver = {
      mid: String(this.transceivers.length),
      direction,
      sender: {
        track: null,
        encodings: [],
        getParameters: () => ({ encodings: transceiver.sender.encodings }),
        setParameters: ({ encodings }) => {
          transceiver.sender.encodings = encodings;
          return Promise.resolve();
        },
        replaceTrack: (track: unknown) => {
          transceiver.sender.track = track;
          return Promise.resolve();
        },
      },
      receiver: {
        track: new FakeTrack(kind),
        getStats: () =>
          Promise.resolve(
            new Map([
              ["i", { type: "inbound-rtp", framesDecoded: 10, totalAudioEnergy: 0.5 }],
            ]) as Map<string, object>,
          ),
      },
    };
    this.transceivers.push(transceiver);
    return transceiver;
  }
}

export interface Sent {
  type: string;
  data: Record<string, unknown>;
}

type Answer = object | SottoError | (() => Promise<object>);

/** A server that answers every request from a table, and remembers what was asked. */
export class FakeServer {
  sent: Sent[] = [];
  answers: Record<string, Answer> = {};
  online = true;

  readonly request = <T>(type: string, data: object): Promise<T> => {
    this.sent.push({ type, data: data as Record<string, unknown> });
    const answer = this.answers[type] ?? {};
    if (answer instanceof SottoError) return Promise.reject(answer);
    return (typeof answer === "function" ? answer() : Promise.resolve(answer)) as Promise<T>;
  };

  of(type: string): Sent[] {
    return this.sent.filter((frame) => frame.type === type);
  }
}

export function fakeDevices(fail: Partial<Record<"audio" | "video", string>> = {}): {
  getUserMedia: (constraints: MediaStreamConstraints) => Promise<MediaStream>;
} {
  return {
    getUserMedia: (constraints) => {
      const kinds = (["audio", "video"] as const).filter((kind) => constraints[kind]);
      const broken = kinds.find((kind) => fail[kind]);
      if (broken) return Promise.reject(Object.assign(new Error(), { name: fail[broken] }));
      const tracks = kinds.map((kind) => new FakeTrack(kind));
      return Promise.resolve(new FakeStream(tracks) as unknown as MediaStream);
    },
  };
}

export function fakeContext(
  server: FakeServer,
  options: Partial<CallOptions> = {},
  devices = fakeDevices(),
): CallContext {
  return {
    userId: "me",
    request: server.request,
    online: () => server.online,
    createPeer: (configuration) =>
      new FakePeer(configuration) as unknown as RTCPeerConnection,
    iceServers: () => Promise.resolve([{ urls: "turn:new", username: "9999999999:p" }]),
    createMedia: () => new LocalMedia(devices, new FakeStream() as unknown as MediaStream),
    now: () => Date.now(),
    options: { ...DEFAULT_CALL_OPTIONS, ...options },
  };
}

export function installFakes(): void {
  FakePeer.made = [];
  vi.stubGlobal("MediaStream", FakeStream);
}

/** Lets everything run that waits for promises only. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 25; turn += 1) await Promise.resolve();
}

export class FakeSocket {
  static made: FakeSocket[] = [];
  sent: { type: string; id: string; data: Record<string, unknown> }[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  closedWith: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    FakeSocket.made.push(this);
  }
  static get last(): FakeSocket {
    const last = FakeSocket.made.at(-1);
    if (!last) throw new Error("no socket was opened");
    return last;
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as FakeSocket["sent"][number]);
  }
  close(code?: number): void {
    this.closedWith = code;
  }
  hear(type: string, data: object = {}, more: object = {}): void {
    this.onmessage?.({ data: JSON.stringify({ type, data, ...more }) });
  }
  reply(id: string, data: object = {}): void {
    this.onmessage?.({ data: JSON.stringify({ type: "reply", id, ok: true, data }) });
  }
  refuse(id: string, error: object): void {
    this.onmessage?.({ data: JSON.stringify({ type: "reply", id, ok: false, error }) });
  }
  lose(code = 1006, reason = ""): void {
    this.onclose?.({ code, reason });
  }
  of(type: string): FakeSocket["sent"] {
    return this.sent.filter((frame) => frame.type === type);
  }
}
