import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Calls } from "../src/calls";
import { Socket } from "../src/socket";
import type { TabChannel, TabMessage } from "../src/tabs";
import type { CallRecord } from "../src/types";
import { FakeServer, FakeSocket, fakeContext, installFakes, settle } from "./fakes";

let socket: Socket;
let server: FakeServer;
let calls: Calls;
let otherTab: (message: TabMessage) => void;
let posted: TabMessage[];
let records: Record<string, Partial<CallRecord>>;

beforeEach(async () => {
  installFakes();
  FakeSocket.made = [];
  posted = [];
  records = {};
  server = new FakeServer();
  server.answers.call_start = { callId: "mine", mode: "p2p", participants: [] };
  server.answers.accept_call = { callId: "c1", mode: "p2p" };
  socket = new Socket({
    url: "ws://host/v1/ws",
    ticket: () => Promise.resolve("T"),
    loadCursor: () => null,
    saveCursor: () => {},
    createSocket: (url, protocols) => new FakeSocket(url, protocols) as unknown as WebSocket,
  });
  const tabs = {
    post: (message: TabMessage) => posted.push(message),
    listen: (handler: (message: TabMessage) => void) => {
      otherTab = handler;
    },
    close: () => {},
  };
  calls = new Calls({
    socket,
    tabs: tabs as unknown as TabChannel,
    context: fakeContext(server),
    lookUp: (callId) => Promise.resolve(records[callId] as CallRecord),
  });
  socket.connect();
  await settle();
  connected();
});
afterEach(() => {
  socket.close();
});

function connected(listed: object[] = []): void {
  FakeSocket.last.hear("connected", { userId: "me", deviceId: "d", calls: listed });
  FakeSocket.last.hear("synced", {});
}

function ring(callId = "c1", userId = "bob"): void {
  FakeSocket.last.hear("incoming_call", {
    callId,
    from: { userId, username: userId, deviceId: "x" },
    media: "video",
    mode: "p2p",
    iceServers: [],
  });
}

test("rings once, tells the caller that it rings, and stops with the call", () => {
  const rang = vi.fn();
  calls.on("incoming", rang);
  ring();
  ring(); // Sent again after a reconnect.
  expect(rang).toHaveBeenCalledOnce();
  expect(FakeSocket.last.of("call_ringing")[0]?.data).toEqual({ callId: "c1" });
  FakeSocket.last.hear("call_ended", { callId: "c1", reason: "cancelled" });
  expect(calls.ringing).toHaveLength(0);
  ring(); // A late one, for a call that is over: no ghost.
  expect(calls.ringing).toHaveLength(0);
});

test("answered on another device: gone at once, and said so", () => {
  const elsewhere = vi.fn();
  calls.on("handledElsewhere", elsewhere);
  ring();
  FakeSocket.last.hear("call_handled_elsewhere", { callId: "c1", outcome: "accepted" });
  expect(calls.ringing).toHaveLength(0);
  expect(elsewhere.mock.calls[0]?.[0]).toMatchObject({ outcome: "accepted" });
});

test("taken in another tab of this browser: stops ringing here", () => {
  ring();
  otherTab({ type: "call_taken", callId: "c1" });
  expect(calls.ringing).toHaveLength(0);
});

test("accepting makes it the current call, tells the tabs, and ends the one before", async () => {
  const first = calls.start({ userId: "cleo" }, "audio");
  await settle();
  ring();
  const [second] = calls.ringing;
  if (!second) throw new Error("it doesn't ring");
  await calls.accept(second, "video");
  expect(first.state).toBe("ended");
  expect(calls.current).toBe(second);
  expect(posted).toEqual([{ type: "call_taken", callId: "c1" }]);
});

test("a decline is final, also for a repeat of the ring", () => {
  ring();
  const [call] = calls.ringing;
  if (call) calls.decline(call);
  ring();
  expect(calls.ringing).toHaveLength(0);
  expect(server.of("decline_call")).toHaveLength(1);
});

test("glare: their ring, that comes while our start is on its way, becomes our call", async () => {
  let release: (value: object) => void = () => {};
  server.answers.call_start = () => new Promise<object>((resolve) => (release = resolve));
  const rang = vi.fn();
  calls.on("incoming", rang);
  const call = calls.start({ userId: "bob" }, "video");
  await settle();
  ring("theirs");
  expect(rang).not.toHaveBeenCalled();
  release({ callId: "theirs", joined: true, mode: "p2p", participants: [] });
  await settle();
  expect(call.callId).toBe("theirs");
  expect(call.state).toBe("connecting");
  expect(rang).not.toHaveBeenCalled();
});

test("somebody else's ring while our start is on its way rings after it", async () => {
  let release: (value: object) => void = () => {};
  server.answers.call_start = () => new Promise<object>((resolve) => (release = resolve));
  calls.start({ userId: "bob" }, "video");
  await settle();
  ring("c7", "cleo");
  release({ callId: "mine", mode: "p2p" });
  await settle();
  expect(calls.ringing.map(({ callId }) => callId)).toEqual(["c7"]);
});

test("back after a while: a ring that ended meanwhile is gone", async () => {
  ring();
  records.c1 = { status: "ended", reason: "missed" };
  FakeSocket.last.lose();
  socket.connect();
  await settle();
  connected();
  await settle();
  expect(calls.ringing).toHaveLength(0);
});

test("a call the server knows and this page doesn't (it was reloaded) is offered again", async () => {
  const orphan = vi.fn();
  calls.on("orphan", orphan);
  FakeSocket.last.lose();
  socket.connect();
  await settle();
  connected([{ callId: "old", status: "active", mode: "p2p" }]);
  expect(orphan).toHaveBeenCalledWith({ callId: "old" });
});

async function reloadedInCallWith(userId: string): Promise<void> {
  records.old = {
    status: "active",
    participants: [{ userId: "me" }, { userId }] as CallRecord["participants"],
  };
  connected([{ callId: "old", status: "active", mode: "p2p" }]);
  await settle();
}

test("after a reload: calling the same person returns to the call, somebody else leaves it", async () => {
  await reloadedInCallWith("bob");
  const back = calls.start({ userId: "bob" }, "audio");
  expect(back.callId).toBe("old");
  expect(back.target).toEqual({ userId: "bob" });
  back.hangUp();

  calls.dismissEnded(back);
  records.older = records.old ?? {};
  connected([{ callId: "older", status: "active", mode: "p2p" }]);
  await settle();
  calls.start({ userId: "cleo" }, "audio");
  expect(FakeSocket.last.of("hang_up").at(-1)?.data).toEqual({ callId: "older" });
});

test("after a reload: the offer to return goes when that call ends", async () => {
  await reloadedInCallWith("bob");
  const orphan = vi.fn();
  calls.on("orphan", orphan);
  FakeSocket.last.hear("call_ended", { callId: "old", reason: "completed" });
  expect(orphan).toHaveBeenCalledWith({ callId: null });
});

test("what the SFU counts reaches the call that it is about", async () => {
  const call = calls.start({ userId: "bob" }, "video");
  await settle();
  const seen = vi.fn();
  call.on("serverStats", seen);
  const subscribe = { packets: 9, bytes: 900, estimateKbps: 1200 };
  const stats = { callId: call.callId, path: "sfu", subscribe };
  FakeSocket.last.hear("call_stats", { ...stats, callId: "another" });
  expect(seen).not.toHaveBeenCalled();
  FakeSocket.last.hear("call_stats", stats);
  expect(seen).toHaveBeenCalledWith(stats);
});

test("one call at a time", () => {
  const first = calls.start({ userId: "bob" }, "video");
  expect(calls.start({ userId: "cleo" }, "video")).toBe(first);
});
