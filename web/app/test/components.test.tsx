import "./setup";
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Call, DEFAULT_CALL_OPTIONS, LocalMedia, SottoError, type CallRecord } from "@sotto/sdk";
import { EndedPage } from "../src/call/ended";
import { IncomingCard } from "../src/call/incoming";
import { PathPill } from "../src/call/pill";
import { AuthPage } from "../src/pages/auth";
import { CallList, describe as describeCall, isMissed } from "../src/pages/history";
import { client, known, notify, records, session } from "../src/state";
import { setLanguage } from "../src/strings";
import { Notices } from "../src/ui/notices";

let root: HTMLElement;

beforeEach(() => {
  setLanguage("en");
  document.body.innerHTML = "";
  root = document.body.appendChild(document.createElement("div"));
  session.value = {
    accessToken: "a",
    refreshToken: "r",
    expiresAt: 0,
    deviceId: "d",
    user: { id: "me", username: "alice" },
  };
  known.value = new Map([["bob", { id: "bob", username: "bob", displayName: "Bob Keller" }]]);
});
afterEach(() => {
  render(null, root);
});

async function show(what: preact.ComponentChild): Promise<void> {
  await act(() => {
    render(what, root);
  });
}

function find<T extends HTMLElement = HTMLElement>(testId: string): T {
  const found = root.querySelector<T>(`[data-testid="${testId}"]`);
  if (!found) throw new Error(`no ${testId} in ${root.innerHTML}`);
  return found;
}

async function type(testId: string, text: string): Promise<void> {
  const input = find<HTMLInputElement>(testId);
  await act(() => {
    input.value = text;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

async function click(element: HTMLElement): Promise<void> {
  await act(async () => {
    element.click();
    await Promise.resolve();
  });
}

function ringing(): Call {
  const call = new Call(
    {
      userId: "me",
      request: () => Promise.resolve({} as never),
      online: () => true,
      createPeer: () => {
        throw new Error("no media here");
      },
      iceServers: () => Promise.resolve([]),
      createMedia: () => new LocalMedia(undefined),
      now: () => 0,
      options: DEFAULT_CALL_OPTIONS,
    },
    "incoming",
    "video",
  );
  call.offered({ callId: "c1", from: { userId: "bob", username: "bob" }, media: "video" });
  return call;
}

test("sign in: what is missing is said beside its field, and the focus goes there", async () => {
  await show(<AuthPage />);
  await click(find("login-submit"));
  const name = find<HTMLInputElement>("login-username");
  expect(name.getAttribute("aria-invalid")).toBe("true");
  expect(document.getElementById(name.getAttribute("aria-describedby") ?? "")?.textContent).toBe(
    "Please fill this in.",
  );
  expect(document.activeElement).toBe(name);
});

test("sign in: a wrong pair is one neutral sentence", async () => {
  vi.spyOn(client, "login").mockRejectedValue(new SottoError("unauthorized", { status: 401 }));
  await show(<AuthPage />);
  await type("login-username", "alice");
  await type("login-password", "wrong");
  await click(find("login-submit"));
  expect(find("login-error").textContent).toBe("User name or password is wrong.");
});

test.each([
  ["account_exists", 409, "username", "That is already taken."],
  ["bad_request", 400, "email", "That doesn't look like an e-mail address."],
])("register: %s stands beside its field, in our words", async (code, status, field, words) => {
  vi.spyOn(client, "register").mockRejectedValue(
    new SottoError(code, { status, fields: [{ field, message: "is wrong" }] }),
  );
  await show(<AuthPage />);
  await click(find("to-register"));
  await type("register-username", "alice");
  await type("register-email", "a@example.org");
  await type("register-password", "long enough");
  await click(find("register-submit"));
  expect(document.getElementById(`d-${field}`)?.textContent).toBe(words);
});

test("the password can be shown", async () => {
  await show(<AuthPage />);
  const eye = root.querySelector<HTMLElement>('[aria-label="Show password"]');
  if (eye) await click(eye);
  expect(find<HTMLInputElement>("login-password").type).toBe("text");
});

test("incoming card: says who, and each button does its own thing", async () => {
  const accept = vi.spyOn(client.calls, "accept").mockResolvedValue();
  const decline = vi.spyOn(client.calls, "decline").mockReturnValue();
  const call = ringing();
  await show(<IncomingCard call={call} />);
  const card = find("incoming-card");
  expect(card.getAttribute("role")).toBe("alertdialog");
  expect(card.textContent).toContain("Bob Keller is calling");
  await click(find("accept-audio"));
  await click(find("accept-video"));
  await click(find("decline"));
  expect(accept.mock.calls).toEqual([
    [call, "audio"],
    [call, "video"],
  ]);
  expect(decline).toHaveBeenCalledWith(call);
});

test("the pill says path and quality in words and opens to numbers", async () => {
  const call = ringing();
  call.path = "turn";
  call.quality = "weak";
  call.lastStats = { path: "turn", quality: "weak", rttMs: 610, lossPercent: 9, freezes: 0 };
  await show(<PathPill call={call} />);
  const pill = find("call-path");
  expect(pill.textContent).toBe("relayed · weak");
  expect(pill.dataset.path).toBe("turn");
  await click(pill);
  expect(find("call-numbers").textContent).toContain("610 ms");
  expect(pill.getAttribute("aria-expanded")).toBe("true");
});

test("a refused microphone is explained, and the page stays until it is read", async () => {
  const call = ringing();
  call.onEnded("media_denied");
  await show(<EndedPage call={call} />);
  expect(root.textContent).toContain("may not use your microphone");
  expect(root.textContent).toContain("Allow microphone");
});

test("notices are announced and can be closed", async () => {
  notify("Answered on another device");
  await show(<Notices />);
  expect(find("notice").textContent).toContain("Answered on another device");
  expect(root.querySelector('[aria-live="polite"]')).not.toBeNull();
  const close = find("notice").querySelector("button");
  if (close) await click(close);
  expect(root.querySelector('[data-testid="notice"]')).toBeNull();
});

const record = (more: Partial<CallRecord>): CallRecord => ({
  callId: "c",
  initiatorId: "me",
  media: "video",
  status: "ended",
  reason: "completed",
  path: "p2p",
  startedAt: "2026-11-20T10:00:00.000Z",
  answeredAt: "2026-11-20T10:00:05.000Z",
  durationSeconds: 247,
  participants: [
    { userId: "me", state: "left" },
    { userId: "bob", state: "left" },
  ],
  ...more,
});

test("history tells in words what became of a call", async () => {
  expect(describeCall(record({}), "me")).toBe("4 min 7 s · direct");
  const unanswered = { reason: "missed", path: null, answeredAt: null, durationSeconds: 0 };
  expect(describeCall(record(unanswered), "me")).toBe("no answer");
  const theirs = record({ ...unanswered, initiatorId: "bob", media: "audio" });
  expect(describeCall(theirs, "me")).toBe("missed");
  expect(isMissed(theirs, "me")).toBe(true);
  expect(isMissed(record(unanswered), "me")).toBe(false);

  records.value = [record({}), theirs];
  await show(<CallList />);
  const rows = [...root.querySelectorAll<HTMLElement>('[data-testid="history-row"]')];
  expect(rows.map((row) => [row.dataset.reason, row.dataset.path])).toEqual([
    ["completed", "p2p"],
    ["missed", ""],
  ]);
  expect(rows[0]?.textContent).toContain("Bob Keller");
  expect(rows[1]?.textContent).toContain("Audio call");
});

test("an empty history says what will be here", async () => {
  records.value = [];
  await show(<CallList />);
  expect(root.textContent).toContain("No calls yet");
});

test("another language changes every text at once", async () => {
  await show(<AuthPage />);
  await act(() => {
    setLanguage("fr");
  });
  expect(find("login-submit").textContent).toBe("Se connecter");
  expect(document.documentElement.lang).toBe("fr");
});
