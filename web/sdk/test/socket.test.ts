import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Backoff } from "../src/backoff";
import { SottoError } from "../src/errors";
import { Socket, readRetryAfter, type SocketState } from "../src/socket";
import type { Cursor } from "../src/types";
import { FakeSocket, settle } from "./fakes";

let cursor: Cursor | null;
let tickets: number;
let ticketError: SottoError | null;
let states: SocketState["status"][];

function socket(): Socket {
  const made = new Socket({
    url: "wss://host/v1/ws",
    ticket: () => {
      tickets += 1;
      return ticketError ? Promise.reject(ticketError) : Promise.resolve(`T${tickets}`);
    },
    loadCursor: () => cursor,
    saveCursor: (next) => {
      cursor = next;
    },
    createSocket: (url, protocols) => new FakeSocket(url, protocols) as unknown as WebSocket,
    backoff: new Backoff({ random: () => 1 }),
  });
  made.on("state", ({ status }) => {
    states.push(status);
  });
  return made;
}

async function opened(): Promise<Socket> {
  const made = socket();
  made.connect();
  await settle();
  FakeSocket.last.hear("connected", { userId: "u", deviceId: "d", heartbeatSeconds: 30 });
  FakeSocket.last.hear("synced", { cursor: 1 });
  return made;
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSocket.made = [];
  cursor = null;
  tickets = 0;
  ticketError = null;
  states = [];
});
afterEach(() => {
  vi.useRealTimers();
});

test("the ticket goes into the subprotocol, the cursor into the address", async () => {
  cursor = 41;
  const made = socket();
  made.connect();
  await settle();
  expect(FakeSocket.last.url).toBe("wss://host/v1/ws?since=41");
  expect(FakeSocket.last.protocols).toEqual(["sotto.v1", "ticket.T1"]);
  expect(made.connected).toBe(false);
  FakeSocket.last.hear("connected");
  expect(made.connected).toBe(true);
});

test("a lost connection comes back with a new ticket and the newest cursor", async () => {
  const made = await opened();
  const resumed = vi.fn();
  made.on("resumed", resumed);
  FakeSocket.last.hear("call_ended", { callId: "c", reason: "missed" }, { cursor: 7 });
  FakeSocket.last.lose();
  expect(made.state.status).toBe("waiting");
  await vi.advanceTimersByTimeAsync(500);
  expect(FakeSocket.made).toHaveLength(2);
  expect(FakeSocket.last.url).toContain("since=7");
  expect(FakeSocket.last.protocols[1]).toBe("ticket.T2");
  FakeSocket.last.hear("connected");
  expect(resumed).not.toHaveBeenCalled();
  FakeSocket.last.hear("synced", {});
  expect(resumed).toHaveBeenCalledOnce();
});

test("waits grow while the server is away, and start again after a success", async () => {
  const made = await opened();
  const waits: number[] = [];
  made.on("state", ({ retryAt }) => {
    if (retryAt !== undefined) waits.push(retryAt - Date.now());
  });
  for (let n = 0; n < 3; n += 1) {
    FakeSocket.last.lose();
    await vi.advanceTimersByTimeAsync(waits.at(-1) ?? 0);
  }
  expect(waits).toEqual([500, 1000, 2000]);
  FakeSocket.last.hear("connected");
  FakeSocket.last.lose();
  expect(waits.at(-1)).toBe(500);
});

test("a restarting server is left alone for as long as it says", async () => {
  const made = await opened();
  FakeSocket.last.lose(1012, '{"retryAfterMs":3000}');
  expect(made.state.retryAt).toBe(Date.now() + 3500);
  expect(readRetryAfter('{"retryAfterMs": 1500}')).toBe(1500);
  expect(readRetryAfter("retryAfterMs=20")).toBe(20);
  expect(readRetryAfter("bye")).toBe(0);
});

test("4001 and a refused ticket sign out; neither tries again", async () => {
  await opened();
  FakeSocket.last.lose(4001);
  expect(states.at(-1)).toBe("signedOut");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(tickets).toBe(1);
  ticketError = new SottoError("unauthorized", { status: 401 });
  socket().connect();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(states.filter((status) => status === "signedOut")).toHaveLength(2);
  expect(FakeSocket.made).toHaveLength(1);
});

test("replaced by another tab: no fight, but connect() takes it back", async () => {
  const made = await opened();
  FakeSocket.last.lose(4009);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(made.state.status).toBe("replaced");
  expect(FakeSocket.made).toHaveLength(1);
  made.connect();
  await settle();
  expect(FakeSocket.made).toHaveLength(2);
});

test("a reply finds its request; an error carries its code", async () => {
  const made = await opened();
  const first = made.request("hang_up", { callId: "c" });
  const second = made.request("call_start", { userId: "u" });
  const [a, b] = FakeSocket.last.sent;
  FakeSocket.last.refuse(b?.id ?? "", { code: "busy", message: "in a call", retryAfterMs: 5 });
  FakeSocket.last.reply(a?.id ?? "", { done: true });
  expect(await first).toEqual({ done: true });
  await expect(second).rejects.toMatchObject({ code: "busy", retryAfterMs: 5 });
});

test("no answer is a timeout", async () => {
  const made = await opened();
  const request = made.request("call_start", {});
  const failed = expect(request).rejects.toMatchObject({ code: "timeout" });
  await vi.advanceTimersByTimeAsync(10_000);
  await failed;
});

test("offline: a call_start is refused, a hang_up waits", async () => {
  const made = await opened();
  FakeSocket.last.lose();
  await expect(made.request("call_start", {})).rejects.toMatchObject({ code: "offline" });
  const hangUp = made.request("hang_up", { callId: "c" }, { offline: "resend" });
  await vi.advanceTimersByTimeAsync(500);
  FakeSocket.last.hear("connected");
  const frame = FakeSocket.last.of("hang_up")[0];
  FakeSocket.last.reply(frame?.id ?? "");
  expect(await hangUp).toEqual({});
});

test("broken before the answer: only what may be repeated is repeated", async () => {
  const made = await opened();
  const once = made.request("call_description", {}, { offline: "queue" });
  const failed = expect(once).rejects.toMatchObject({ code: "offline" });
  const again = made.request("hang_up", {}, { offline: "resend" });
  FakeSocket.last.lose();
  await failed;
  await vi.advanceTimersByTimeAsync(500);
  FakeSocket.last.hear("connected");
  expect(FakeSocket.last.sent.map(({ type }) => type)).toEqual(["hang_up"]);
  FakeSocket.last.reply(FakeSocket.last.sent[0]?.id ?? "");
  await again;
});

test("cursors are acknowledged together, and an unacknowledged one isn't lost", async () => {
  await opened();
  for (const n of [2, 3, 4]) FakeSocket.last.hear("conversation_updated", {}, { cursor: n });
  await vi.advanceTimersByTimeAsync(250);
  expect(FakeSocket.last.of("ack").map(({ data }) => data.cursor)).toEqual([4]);
  expect(cursor).toBe(4);
});

test("silence is probed with a ping, and a dead connection is given up", async () => {
  const made = await opened();
  await vi.advanceTimersByTimeAsync(30_000);
  const [ping] = FakeSocket.last.of("ping");
  expect(ping).toBeDefined();
  FakeSocket.last.reply(ping?.id ?? "");
  await vi.advanceTimersByTimeAsync(29_000);
  expect(made.connected).toBe(true);
  await vi.advanceTimersByTimeAsync(9_200);
  expect(made.state.status).toBe("waiting");
});

test("frames that are no JSON, or of unknown types, do no harm", async () => {
  const made = await opened();
  FakeSocket.last.onmessage?.({ data: "{" });
  FakeSocket.last.hear("from_the_future", { x: 1 });
  FakeSocket.last.reply("c999");
  expect(made.connected).toBe(true);
});

test("close() ends everything and nothing comes back", async () => {
  const made = await opened();
  const waiting = made.request("hang_up", {}, { offline: "resend" });
  const failed = expect(waiting).rejects.toMatchObject({ code: "closed" });
  made.close();
  await failed;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.made).toHaveLength(1);
});
