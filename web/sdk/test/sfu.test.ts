import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Call } from "../src/call";
import type { CallOptions } from "../src/call_types";
import type { ToWorker, WorkerLike } from "../src/encryption";
import type { PipeReport } from "../src/frame_pipes";
import { FakePeer, FakeServer, fakeContext, installFakes, settle } from "./fakes";

const BOB = { participantId: "pb", number: 2, userId: "bob", username: "bob", state: "joined", video: true };
const KEY = new Uint8Array(16);

/** A worker that takes every key. */
class FakeWorker implements WorkerLike {
  static made: FakeWorker[] = [];
  sent: ToWorker[] = [];
  ended = false;
  onmessage: ((event: MessageEvent) => void) | null = null;
  constructor() {
    FakeWorker.made.push(this);
  }
  postMessage(message: ToWorker): void {
    this.sent.push(message);
    if (message.type === "key") queueMicrotask(() => this.say({ type: "done", id: message.id }));
  }
  terminate(): void {
    this.ended = true;
  }
  say(data: object): void {
    this.onmessage?.({ data } as MessageEvent);
  }
  report(more: Partial<PipeReport>): void {
    const dropped = { no_key: 0, wrong_key: 0, replayed: 0, malformed: 0, misplaced: 0, no_send_key: 0 };
    const report = { sealed: 0, opened: 0, dropped, unreadable: [], readable: [], ...more };
    this.say({ type: "report", report });
  }
}

class FakeTransform {
  constructor(
    readonly worker: unknown,
    readonly options: unknown,
  ) {}
}

let server: FakeServer;
const frameWorker = (): WorkerLike => new FakeWorker();

beforeEach(() => {
  vi.useFakeTimers();
  installFakes();
  FakeWorker.made = [];
  server = new FakeServer();
  server.answers = {
    call_start: { callId: "c1", mode: "sfu", status: "active", participants: [BOB] },
    sfu_publish: { sdp: "v=0\r\n", participant: 1 },
    sfu_subscribe: { sdp: "v=0\r\na=mid:0\r\na=mid:1\r\n" },
  };
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function started(options: Partial<CallOptions> = {}): Promise<Call> {
  const call = new Call(fakeContext(server, options), "outgoing", "video");
  await call.start({ conversationId: "g" }, "sfu");
  await settle();
  return call;
}

function camera(peer = 0): FakePeer["transceivers"][number]["sender"] {
  const found = FakePeer.made[peer]?.transceivers[1]?.sender;
  if (!found) throw new Error("no camera");
  return found;
}

const transforms = (peer: number): unknown[] =>
  (FakePeer.made[peer]?.transceivers ?? []).flatMap(({ sender, receiver }) =>
    [sender.transform, receiver.transform].filter(Boolean),
  );

test("the camera is published in three sizes", async () => {
  await started();
  expect(camera().encodings).toMatchObject([{ rid: "q" }, { rid: "h" }, { rid: "f", scaleResolutionDownBy: 1 }]);
});

test("an SVC codec is published once, with its layers", async () => {
  await started({ videoCodec: "vp9" });
  expect(camera().encodings).toMatchObject([{ scalabilityMode: "L3T3_KEY", scaleResolutionDownBy: 1 }]);
});

test("a unit that takes one size gets the full one", async () => {
  server.answers.sfu_publish = () => {
    camera().encodings.splice(1); // What the browser does with an answer without simulcast.
    return Promise.resolve({ sdp: "v=0\r\n" });
  };
  await started();
  expect(camera().encodings).toMatchObject([{ scaleResolutionDownBy: 1, maxBitrate: 1_700_000 }]);
});

test("the view is sent when there is a connection to show it on, and again to each new one", async () => {
  const call = await started();
  const element = document.createElement("div");
  element.getBoundingClientRect = () => ({ width: 320, height: 180 }) as DOMRect;
  const stop = call.watch("bob", element);
  await vi.advanceTimersByTimeAsync(150);
  const view = { callId: "c1", video: [{ slot: 0, participantId: "pb", source: "camera", maxHeight: 180, priority: 0 }] };
  expect(server.of("sfu_view").map((frame) => frame.data)).toEqual([view]);
  call.onFallback({ callId: "c1", mode: "sfu", reason: "sfu_restarted" });
  await settle();
  expect(server.of("sfu_view").map((frame) => frame.data)).toEqual([view, view]);
  call.onSpeakers({ callId: "c1", speakers: [{ participantId: "pb", level: 20 }] });
  await vi.advanceTimersByTimeAsync(150);
  expect(server.of("sfu_view")[2]?.data.video).toMatchObject([{ priority: 20 }]);
  stop();
  await vi.advanceTimersByTimeAsync(150);
  expect(server.of("sfu_view")[3]?.data.video).toEqual([{ slot: 0, participantId: null }]);
  call.hangUp();
});

test("a call without a media key has no worker", async () => {
  const call = await started({ frameWorker });
  expect(FakeWorker.made).toHaveLength(0);
  expect(call.encryption).toBeNull();
  expect(transforms(0)).toHaveLength(0);
});

test("with a media key every sender and receiver goes through the worker before the answer", async () => {
  vi.stubGlobal("RTCRtpScriptTransform", FakeTransform);
  const call = await started({ frameWorker, mediaKey: { keyId: 3, key: KEY } });
  const worker = FakeWorker.made[0];
  expect(worker?.sent).toMatchObject([
    { type: "key", keyId: 3, send: true },
    { type: "number", number: 1 },
  ]);
  expect(transforms(0)).toMatchObject([
    { worker, options: { direction: "send", kind: "audio", codec: "opus" } },
    { worker, options: { direction: "send", kind: "video", codec: "vp8" } },
  ]);
  expect(transforms(1)).toMatchObject([
    { options: { direction: "receive", kind: "audio" } },
    { options: { direction: "receive", kind: "video" } },
  ]);
  call.hangUp();
  expect(worker?.ended).toBe(true);
});

test("a first key in the middle of a call: what has sent in the clear is replaced", async () => {
  vi.stubGlobal("RTCRtpScriptTransform", FakeTransform);
  const call = await started({ frameWorker, videoCodec: "av1" });
  expect(FakePeer.made).toHaveLength(2);
  await call.setMediaKey(1, KEY);
  await settle();
  expect(FakePeer.made.slice(0, 2).map((peer) => peer.connectionState)).toEqual(["closed", "closed"]);
  expect(transforms(2)).toHaveLength(2);
  expect(camera(2).encodings).toHaveLength(3); // AV1 can't be encrypted: VP8 in three sizes.
  await call.setMediaKey(2, KEY, { send: false });
  expect(FakePeer.made).toHaveLength(4);
  expect(FakeWorker.made[0]?.sent.at(-1)).toMatchObject({ keyId: 2, send: false });
  call.hangUp();
});

test("who can't be read is marked and told once, and unmarked when he can", async () => {
  vi.stubGlobal("RTCRtpScriptTransform", FakeTransform);
  const call = await started({ frameWorker, mediaKey: { keyId: 3, key: KEY } });
  const problems: string[] = [];
  call.on("problem", ({ code }) => problems.push(code));
  const worker = FakeWorker.made[0];
  const bob = call.participants[0];
  worker?.report({ unreadable: [2, 77] });
  expect(bob?.unreadable).toBe(true);
  worker?.report({ unreadable: [2] });
  worker?.report({}); // Nothing came: as it was.
  expect(bob?.unreadable).toBe(true);
  worker?.report({ readable: [2], opened: 9 });
  expect(bob?.unreadable).toBe(false);
  expect(problems).toEqual(["encryption_unreadable"]);
  expect(call.encryption?.opened).toBe(9);
  call.hangUp();
});

test("a browser without encoded transforms: the key is refused, and nothing goes out in the clear", async () => {
  const call = await started({ frameWorker });
  await expect(call.setMediaKey(1, KEY)).rejects.toMatchObject({ code: "encryption_unsupported" });
  expect(call.endReason).toBe("failed");
  FakePeer.made = [];
  const second = await started({ frameWorker, mediaKey: { keyId: 1, key: KEY } });
  expect(second.endReason).toBe("failed");
  expect(FakePeer.made).toHaveLength(0);
});
