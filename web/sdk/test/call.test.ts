import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Call } from "../src/call";
import type { CallOptions, CallState } from "../src/call_types";
import { SottoError } from "../src/errors";
import type { CallRecord, ServerEvents } from "../src/types";
import type { FakeTrack} from "./fakes";
import { FakePeer, FakeServer, fakeContext, fakeDevices, installFakes, settle } from "./fakes";

const BOB = { participantId: "pb", number: 2, userId: "bob", username: "bob" };

let server: FakeServer;

beforeEach(() => {
  vi.useFakeTimers();
  installFakes();
  server = new FakeServer();
  server.answers = {
    call_start: { callId: "c1", mode: "p2p", iceServers: [{ urls: "stun:x" }], participants: [BOB] },
    accept_call: { callId: "c1", mode: "p2p", participants: [{ ...BOB, state: "joined" }] },
    sfu_publish: { sdp: "v=0\r\n", participant: 1 },
    sfu_subscribe: { sdp: "v=0\r\na=mid:0\r\na=mid:1\r\n" },
  };
});
afterEach(() => {
  vi.useRealTimers();
});

const incoming = (more: object = {}): ServerEvents["incoming_call"] => ({
  callId: "c1",
  from: { userId: "bob", username: "bob", deviceId: "b1" },
  media: "video",
  mode: "p2p",
  iceServers: [],
  ...more,
});

async function outgoing(options: Partial<CallOptions> = {}): Promise<Call> {
  const call = new Call(fakeContext(server, options), "outgoing", "video");
  await call.start({ userId: "bob" });
  return call;
}

/** A call of ours that Bob has taken; its peer connection is FakePeer.made[0]. */
async function accepted(options: Partial<CallOptions> = {}): Promise<Call> {
  const call = await outgoing(options);
  call.onAccepted({ callId: "c1", userId: "bob" });
  await settle();
  return call;
}

function peer(index = 0): FakePeer {
  const found = FakePeer.made[index];
  if (!found) throw new Error(`no peer connection ${index}`);
  return found;
}

test("outgoing: rings, is taken, connects, is hung up", async () => {
  const call = new Call(fakeContext(server), "outgoing", "video");
  const states: CallState[] = [];
  call.on("state", ({ state }) => states.push(state));
  await call.start({ userId: "bob" });
  expect(server.of("call_start")[0]?.data).toEqual({ userId: "bob", media: "video", mode: "auto" });
  expect(FakePeer.made).toHaveLength(0);
  call.onRinging();
  expect(call.ringing).toBe(true);
  call.onAccepted({ callId: "c1", userId: "bob" });
  await settle();
  expect(server.of("call_description")[0]?.data.description).toMatchObject({ type: "offer" });
  peer().become("connected");
  call.hangUp();
  expect(states).toEqual(["outgoing", "connecting", "active", "ended"]);
  expect(call.endReason).toBe("completed");
  expect(server.of("hang_up")).toHaveLength(1);
  expect(peer().connectionState).toBe("closed");
});

test("incoming: taken with audio only, answers the offer", async () => {
  const call = new Call(fakeContext(server), "incoming", "video");
  call.offered(incoming());
  expect(call.state).toBe("incoming");
  await call.accept("audio");
  expect(server.of("accept_call")[0]?.data).toEqual({ callId: "c1", media: "audio" });
  expect(call.videoOn).toBe(false);
  expect(server.of("call_description")).toHaveLength(0);
  call.onDescription({ callId: "c1", from: BOB, description: { type: "offer", sdp: "v=0" } });
  await settle();
  expect(server.of("call_description")[0]?.data.description).toMatchObject({ type: "answer" });
  expect(peer().transceivers.map((item) => item.direction)).toEqual(["sendrecv", "sendrecv"]);
  peer().become("connected");
  expect(call.state).toBe("active");
});

test("an offer that overtakes the answer to accept_call is kept for it", async () => {
  let release: (value: object) => void = () => {};
  server.answers.accept_call = () => new Promise<object>((resolve) => (release = resolve));
  const call = new Call(fakeContext(server), "incoming", "video");
  call.offered(incoming());
  const accepting = call.accept("video");
  await settle();
  call.onDescription({ callId: "c1", from: BOB, description: { type: "offer", sdp: "v=0" } });
  call.onCandidate({ callId: "c1", from: BOB, candidate: { candidate: "cand", sdpMid: "0" } });
  release({ callId: "c1", mode: "p2p" });
  await accepting;
  await settle();
  expect(peer().remoteDescription?.type).toBe("offer");
  expect(peer().candidates).toHaveLength(1);
});

test("candidates that overtake the offer are kept for it, in order", async () => {
  const call = new Call(fakeContext(server), "incoming", "video");
  call.offered(incoming());
  await call.accept("video");
  for (const candidate of ["first", "second"]) {
    call.onCandidate({ callId: "c1", from: BOB, candidate: { candidate, sdpMid: "0" } });
  }
  await settle();
  expect(peer().candidates).toHaveLength(0);
  call.onDescription({ callId: "c1", from: BOB, description: { type: "offer", sdp: "v=0" } });
  await settle();
  expect(peer().candidates).toMatchObject([{ candidate: "first" }, { candidate: "second" }]);
});

test("glare: a start that joins the other's call acts as the accept", async () => {
  server.answers.call_start = {
    callId: "theirs",
    mode: "p2p",
    joined: true,
    participants: [{ ...BOB, state: "joined" }],
  };
  const call = await outgoing();
  expect(call.callId).toBe("theirs");
  expect(call.state).toBe("connecting");
  expect(call.answeredAt).not.toBeNull();
  await settle();
  expect(server.of("call_description")).toHaveLength(0); // The one who was first makes the offer.
  call.onDescription({ callId: "theirs", from: BOB, description: { type: "offer", sdp: "v=0" } });
  await settle();
  expect(server.of("call_description")[0]?.data).toMatchObject({ callId: "theirs" });
});

test.each(["busy", "offline", "rate_limited"])("call_start refused with %s ends the call", async (code) => {
  server.answers.call_start = new SottoError(code);
  const call = await outgoing();
  expect(call.state).toBe("ended");
  expect(call.endReason).toBe(code);
});

test("hung up while call_start was on its way: the call that came of it is ended too", async () => {
  let release: (value: object) => void = () => {};
  server.answers.call_start = () => new Promise<object>((resolve) => (release = resolve));
  const call = new Call(fakeContext(server), "outgoing", "audio");
  const starting = call.start({ userId: "bob" });
  await settle();
  call.hangUp();
  expect(server.of("hang_up")).toHaveLength(0);
  release({ callId: "c9", mode: "p2p" });
  await starting;
  expect(server.of("hang_up")[0]?.data).toEqual({ callId: "c9" });
  expect(call.state).toBe("ended");
});

test("no microphone: nobody is rung, and the reason says what to do", async () => {
  const devices = fakeDevices({ audio: "NotAllowedError" });
  const call = new Call(fakeContext(server, {}, devices), "outgoing", "audio");
  await call.start({ userId: "bob" });
  expect(call.endReason).toBe("media_denied");
  expect(server.sent).toHaveLength(0);
});

test("no microphone here: an incoming call rings on, for another device", async () => {
  const devices = fakeDevices({ audio: "NotFoundError" });
  const call = new Call(fakeContext(server, {}, devices), "incoming", "audio");
  const problems: string[] = [];
  call.on("problem", ({ code }) => problems.push(code));
  call.offered(incoming());
  await call.accept("audio");
  expect(call.state).toBe("incoming");
  expect(problems).toEqual(["media_missing"]);
  expect(server.of("decline_call")).toHaveLength(0);
});

test("a camera that can't be had leaves an audio call", async () => {
  const devices = fakeDevices({ video: "NotReadableError" });
  const call = new Call(fakeContext(server, {}, devices), "outgoing", "video");
  await call.start({ userId: "bob" });
  expect(call.state).toBe("outgoing");
  expect(call.videoOn).toBe(false);
  expect(call.cameraError?.code).toBe("media_busy");
});

test("not connected in time: asks for the fallback and moves to the SFU in the same call", async () => {
  const call = await accepted({ fallbackAfterMs: 2000 });
  await vi.advanceTimersByTimeAsync(1999);
  expect(server.of("call_fallback")).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(server.of("call_fallback")[0]?.data).toEqual({ callId: "c1", reason: "timeout" });
  await settle();
  expect(peer(0).connectionState).toBe("closed");
  expect(server.of("sfu_publish")).toHaveLength(1);
  expect(server.of("sfu_subscribe")[0]?.data).toEqual({ callId: "c1", audioSlots: 3, videoSlots: 9 });
  call.onFallback({ callId: "c1", mode: "sfu", reason: "timeout" }); // The event comes too.
  expect(FakePeer.made).toHaveLength(3);
  peer(1).become("connected");
  expect(call.state).toBe("connecting");
  peer(2).become("connected");
  expect(call.state).toBe("active");
  await vi.advanceTimersByTimeAsync(200);
  expect(call.path).toBe("sfu");
  expect(call.sfuGeneration).toBe(1);
});

test("connected in time: no fallback", async () => {
  await accepted();
  peer().become("connected");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.of("call_fallback")).toHaveLength(0);
});

test("ICE that fails asks at once; a refusal is tried again while the call lives", async () => {
  server.answers.call_fallback = new SottoError("sfu_unavailable", { retryAfterMs: 1500 });
  const call = await accepted();
  peer().become("failed");
  await settle();
  expect(server.of("call_fallback")[0]?.data).toMatchObject({ reason: "ice_failed" });
  expect(call.state).toBe("connecting");
  server.answers.call_fallback = {};
  await vi.advanceTimersByTimeAsync(1500);
  expect(server.of("call_fallback")).toHaveLength(2);
  await settle();
  expect(server.of("sfu_publish")).toHaveLength(1);
});

test("interrupted: says so, restarts ICE, and is active again when it heals", async () => {
  const call = await accepted();
  peer().become("connected");
  peer().become("disconnected");
  expect(call.state).toBe("reconnecting");
  await vi.advanceTimersByTimeAsync(2000);
  expect(peer().restarts).toBe(1);
  peer().become("connected");
  expect(call.state).toBe("active");
  await vi.advanceTimersByTimeAsync(20_000);
  expect(server.of("call_fallback")).toHaveLength(0);
});

test("peer to peer that stays broken is given up for the SFU", async () => {
  await accepted();
  peer().become("connected");
  peer().become("disconnected");
  await vi.advanceTimersByTimeAsync(7_900);
  expect(server.of("call_fallback")).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(100);
  expect(server.of("call_fallback")[0]?.data).toEqual({ callId: "c1", reason: "ice_failed" });
});

test("credentials that have run out are replaced before ICE is restarted", async () => {
  const username = `${Math.floor(Date.now() / 1000) + 600}:p`;
  server.answers.call_start = {
    callId: "c1",
    mode: "p2p",
    iceServers: [{ urls: "turn:old", username }],
    participants: [BOB],
  };
  await accepted();
  peer().become("connected");
  peer().become("disconnected");
  await vi.advanceTimersByTimeAsync(2000);
  expect(peer().configuration.iceServers?.[0]?.urls).toBe("turn:old");
  peer().become("connected");
  await vi.advanceTimersByTimeAsync(560_000);
  peer().become("disconnected");
  await vi.advanceTimersByTimeAsync(2000);
  expect(peer().configuration.iceServers?.[0]?.urls).toBe("turn:new");
  expect(peer().restarts).toBe(2);
});

test("a third person: the old connection stays until the SFU carries the call", async () => {
  const call = await accepted();
  peer().become("connected");
  call.onFallback({ callId: "c1", mode: "sfu", reason: "third_party" });
  await settle();
  expect(peer(0).connectionState).toBe("connected");
  expect(call.state).toBe("active");
  expect(call.participants[0]?.stream.getTracks()).toHaveLength(2);
  peer(1).become("connected");
  peer(2).become("connected");
  expect(peer(0).connectionState).toBe("closed");
  expect(call.state).toBe("active");
});

async function onSfu(): Promise<Call> {
  server.answers.call_start = { callId: "c1", mode: "sfu", participants: [BOB] };
  const call = await accepted();
  peer(0).become("connected");
  peer(1).become("connected");
  return call;
}

test("slots give participants their tracks, and take them away again", async () => {
  const call = await onSfu();
  const bob = call.participants[0];
  expect(bob?.stream.getTracks()).toHaveLength(0);
  call.onSlots({
    callId: "c1",
    audio: [{ slot: 0, mid: "0", participantId: "pb" }],
    video: [{ slot: 0, mid: "1", participantId: "pb" }],
  });
  const kinds = bob?.stream.getTracks().map((track) => track.kind);
  expect(kinds?.sort()).toEqual(["audio", "video"]);
  expect((await call.getStats()).remotes.bob).toEqual({ framesDecoded: 20, audioEnergy: 1 });
  call.onSlots({ callId: "c1", audio: [], video: [] });
  expect(bob?.stream.getTracks()).toHaveLength(0);
  expect(call.audioTracks()).toHaveLength(1); // The slot plays on, whoever is in it.
});

test("the SFU was restarted: both connections anew, and again until it works", async () => {
  const call = await onSfu();
  server.answers.sfu_publish = new SottoError("sfu_unavailable");
  call.onFallback({ callId: "c1", mode: "sfu", reason: "sfu_restarted" });
  await settle();
  expect(call.state).toBe("reconnecting");
  server.answers.sfu_publish = { sdp: "v=0\r\n" };
  await vi.advanceTimersByTimeAsync(3000);
  const fresh = FakePeer.made.filter((one) => one.connectionState === "new");
  expect(fresh).toHaveLength(2);
  for (const one of fresh) one.become("connected");
  expect(call.state).toBe("active");
  expect(call.sfuGeneration).toBeGreaterThan(1);
});

test("the SFU lost the network: ICE restart first, new connections when that is refused", async () => {
  const call = await onSfu();
  peer(0).become("disconnected");
  expect(call.state).toBe("reconnecting");
  await vi.advanceTimersByTimeAsync(2500);
  expect(server.of("sfu_ice_restart")[0]?.data).toMatchObject({ which: "publish" });
  expect(FakePeer.made).toHaveLength(2);
  server.answers.sfu_ice_restart = new SottoError("conflict");
  peer(0).become("disconnected");
  await vi.advanceTimersByTimeAsync(2500);
  expect(FakePeer.made).toHaveLength(4);
});

test("thrown out of the SFU's room ends the call", async () => {
  const call = await onSfu();
  server.answers.sfu_publish = new SottoError("not_participant");
  call.onFallback({ callId: "c1", mode: "sfu", reason: "sfu_restarted" });
  await settle();
  expect(call.state).toBe("ended");
});

const record = (more: Partial<CallRecord>): CallRecord => ({
  callId: "c1",
  initiatorId: "me",
  media: "video",
  status: "active",
  startedAt: "",
  participants: [],
  ...more,
});

test("resume: a call the server knows is left alone while media flows", async () => {
  const call = await accepted();
  peer().become("connected");
  const sent = server.sent.length;
  await call.onResumed(true, () => Promise.reject(new Error("must not be asked")));
  expect(peer().restarts).toBe(0);
  expect(server.sent).toHaveLength(sent);
});

test("resume: a broken connection is restarted", async () => {
  const call = await accepted();
  peer().become("connected");
  peer().become("disconnected");
  await call.onResumed(true, () => Promise.reject(new Error("must not be asked")));
  await settle();
  expect(peer().restarts).toBe(1);
});

test("resume: a call that ended meanwhile ends here, with its reason", async () => {
  const call = await accepted();
  await call.onResumed(false, () => Promise.resolve(record({ status: "ended", reason: "missed" })));
  expect(call.endReason).toBe("missed");
});

test("resume: a call that forgot us is joined again", async () => {
  server.answers.call_join = { callId: "c1", mode: "p2p" };
  const call = await accepted();
  peer().become("connected");
  await call.onResumed(false, () => Promise.resolve(record({})));
  expect(server.of("call_join")).toHaveLength(1);
  expect(call.state).toBe("active");
  expect(FakePeer.made).toHaveLength(1);
});

test("mute and camera: the track, the wire and the server", async () => {
  const call = await accepted();
  const [audio, video] = call.localStream.getTracks() as unknown as FakeTrack[];
  call.setMuted(true);
  expect(audio?.enabled).toBe(false);
  expect(server.of("call_update").at(-1)?.data).toEqual({ callId: "c1", audio: false });
  await call.setCamera(false);
  expect(video?.stopped).toBe(true);
  expect(peer().transceivers[1]?.sender.track).toBeNull();
  expect(server.of("call_update").at(-1)?.data).toEqual({ callId: "c1", video: false });
  await call.setCamera(true);
  expect(peer().transceivers[1]?.sender.track).not.toBeNull();
});

test("what is pressed while the browser asks for the devices counts", async () => {
  const call = new Call(fakeContext(server), "outgoing", "video");
  const started = call.start({ userId: "bob" });
  expect(call.videoOn).toBe(true);
  call.setMuted(true);
  await call.setCamera(false);
  await started;
  const [audio] = call.localStream.getAudioTracks();
  expect(audio?.enabled).toBe(false);
  expect(call.localStream.getVideoTracks()).toHaveLength(0);
  expect(call.videoOn).toBe(false);
});

test("the camera follows the last press, and is opened once", async () => {
  const call = await accepted();
  await call.setCamera(false);
  void call.setCamera(true);
  void call.setCamera(false);
  await settle();
  expect(call.videoOn).toBe(false);
  expect(call.localStream.getVideoTracks()).toHaveLength(0);
});

test("a ring that nobody can end any more ends by itself", async () => {
  const call = new Call(fakeContext(server), "incoming", "video");
  call.offered(incoming({ expiresAt: new Date(Date.now() + 60_000).toISOString() }));
  await vi.advanceTimersByTimeAsync(70_000);
  expect(call.state).toBe("incoming"); // The server is there: its word counts.
  const lost = new Call(fakeContext(server), "incoming", "video");
  lost.offered(incoming({ expiresAt: new Date(Date.now() + 60_000).toISOString() }));
  server.online = false;
  await vi.advanceTimersByTimeAsync(70_000);
  expect(lost.endReason).toBe("missed");
});

test("the devices are released at the end, however it comes", async () => {
  const call = await accepted();
  const tracks = call.localStream.getTracks() as unknown as FakeTrack[];
  call.onEnded("declined");
  expect(tracks.every(({ stopped }) => stopped)).toBe(true);
  expect(call.endReason).toBe("declined");
  expect(server.of("hang_up")).toHaveLength(0);
  call.onEnded("missed");
  expect(call.endReason).toBe("declined");
});

test("p2p=off: no candidate goes out, in or by the SDP", async () => {
  const call = await accepted({ blockP2P: true });
  peer().onicecandidate?.({ candidate: { candidate: "c", sdpMid: "0", sdpMLineIndex: 0 } });
  call.onCandidate({ callId: "c1", from: BOB, candidate: { candidate: "c", sdpMid: "0" } });
  await settle();
  expect(server.of("ice_candidate")).toHaveLength(0);
  expect(peer().candidates).toHaveLength(0);
  const sent = server.of("call_description")[0]?.data.description as RTCSessionDescriptionInit;
  expect(sent.sdp).not.toContain("candidate");
});

test("when two offers meet, the caller keeps his and the callee takes his back", async () => {
  const caller = await accepted();
  expect(peer().signalingState).toBe("have-local-offer");
  caller.onDescription({ callId: "c1", from: BOB, description: { type: "offer", sdp: "v=0" } });
  await settle();
  expect(peer().signalingState).toBe("have-local-offer");
  expect(peer().remoteDescription).toBeNull();

  const callee = new Call(fakeContext(server), "incoming", "video");
  callee.offered(incoming());
  await callee.accept("video");
  callee.onDescription({ callId: "c1", from: BOB, description: { type: "offer", sdp: "v=0" } });
  await settle();
  peer(1).restartIce();
  callee.onDescription({ callId: "c1", from: BOB, description: { type: "offer", sdp: "v=0 2" } });
  await settle();
  expect(peer(1).remoteDescription?.sdp).toBe("v=0 2");
  expect(peer(1).signalingState).toBe("stable");
});

test("participants: one who leaves is gone, one who updates is changed", async () => {
  const call = await onSfu();
  call.onParticipant("joined", { participantId: "pc", userId: "cleo", username: "cleo", number: 3 });
  expect(call.participants.map(({ username }) => username)).toEqual(["bob", "cleo"]);
  call.onParticipant("updated", { participantId: "pc", userId: "cleo", audio: false });
  call.onSpeakers({ callId: "c1", speakers: [{ participantId: "pb", level: -20 }] });
  expect(call.participants.map(({ audio, speaking }) => [audio, speaking])).toEqual([
    [true, true],
    [false, false],
  ]);
  call.onParticipant("left", { participantId: "pb", userId: "bob" });
  expect(call.participants.map(({ username }) => username)).toEqual(["cleo"]);
});

test("while a group rings here, another's answer doesn't start our clock", () => {
  const call = new Call(fakeContext(server), "incoming", "video");
  call.offered(incoming({ mode: "sfu" }));
  call.onParticipant("joined", { participantId: "pc", userId: "cleo", username: "cleo" });
  expect(call.state).toBe("incoming");
  expect(call.answeredAt).toBeNull();
});

test("figures go to the server right after connecting and then every five seconds", async () => {
  await accepted();
  peer().become("connected");
  await vi.advanceTimersByTimeAsync(200);
  expect(server.of("call_stats")[0]?.data).toMatchObject({ callId: "c1", path: "p2p" });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(server.of("call_stats")).toHaveLength(3);
});
