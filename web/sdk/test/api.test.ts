import { beforeEach, expect, test, vi } from "vitest";
import { Api, describeDevice, uuid } from "../src/api";
import { SottoError } from "../src/errors";
import { MemoryStore } from "../src/store";
import type { Lock } from "../src/tabs";
import type { Session } from "../src/types";

const session = (n: number, expiresAt = Date.now() + 900_000): Session => ({
  accessToken: `access${n}`,
  refreshToken: `refresh${n}`,
  expiresAt,
  deviceId: "d",
  user: { id: "u", username: "alice" },
});

const answer = (status: number, body: object = {}, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers });

let store: MemoryStore;
let asked: { path: string; token: string | null; body: unknown }[];
let respond: (path: string, token: string | null) => Response | Promise<Response>;
let signedOut: number;

function api(lock?: Lock): Api {
  return new Api({
    store,
    ...(lock ? { lock } : {}),
    onSignedOut: () => {
      signedOut += 1;
    },
    fetch: async (input, init) => {
      const path = input as string;
      const headers = new Headers(init?.headers);
      const token = headers.get("Authorization")?.replace("Bearer ", "") ?? null;
      const body: unknown = init?.body ? JSON.parse(init.body as string) : undefined;
      asked.push({ path, token, body });
      return respond(path, token);
    },
  });
}

beforeEach(() => {
  store = new MemoryStore();
  asked = [];
  signedOut = 0;
  respond = () => answer(200);
});

test("ten requests that meet a 401 at once share one refresh", async () => {
  store.save(session(1));
  respond = (path, token) => {
    if (path === "/v1/auth/refresh") {
      return answer(200, { accessToken: "access2", refreshToken: "refresh2", expiresIn: 900 });
    }
    return token === "access2" ? answer(200, { items: [] }) : answer(401, { code: "unauthorized" });
  };
  const client = api();
  await Promise.all(Array.from({ length: 10 }, () => client.devices()));
  const refreshes = asked.filter(({ path }) => path === "/v1/auth/refresh");
  expect(refreshes).toHaveLength(1);
  expect(refreshes[0]?.body).toEqual({ refreshToken: "refresh1" });
  expect(store.load()?.refreshToken).toBe("refresh2");
});

test("a token that another tab has already renewed is used, not renewed again", async () => {
  store.save(session(1));
  const client = api();
  respond = (path, token) => {
    if (path === "/v1/auth/refresh") throw new Error("must not be asked");
    if (token === "access2") return answer(200, { items: [] });
    store.save(session(2)); // The other tab, while our request was on its way.
    return answer(401);
  };
  await client.devices();
  expect(asked.map(({ token }) => token)).toEqual(["access1", "access2"]);
});

test("a token about to end is renewed before it is used", async () => {
  store.save(session(1, Date.now() + 10_000));
  respond = (path) =>
    path === "/v1/auth/refresh"
      ? answer(200, { accessToken: "access2", refreshToken: "refresh2", expiresIn: 900 })
      : answer(200, { items: [] });
  await api().devices();
  expect(asked.map(({ path }) => path)).toEqual(["/v1/auth/refresh", "/v1/devices"]);
});

test("a refused refresh signs out, once", async () => {
  store.save(session(1));
  respond = () => answer(401, { code: "unauthorized" });
  const client = api();
  const results = await Promise.allSettled([client.devices(), client.me()]);
  expect(results.every(({ status }) => status === "rejected")).toBe(true);
  expect(store.load()).toBeNull();
  expect(signedOut).toBe(1);
});

test.each([429, 500, 503])("a refresh answered with %i keeps the session", async (status) => {
  store.save(session(1));
  respond = (path) => (path === "/v1/auth/refresh" ? answer(status) : answer(401));
  await expect(api().devices()).rejects.toMatchObject({ status });
  expect(store.load()).not.toBeNull();
  expect(signedOut).toBe(0);
});

test("two tabs renew one after the other: the second uses what the first got", async () => {
  store.save(session(1));
  const tails = new Map<string, Promise<unknown>>();
  const lock: Lock = {
    run: (name, work) => {
      const result = (tails.get(name) ?? Promise.resolve()).then(work);
      tails.set(name, result);
      return result;
    },
  };
  respond = (path, token) => {
    if (path === "/v1/auth/refresh") {
      return answer(200, { accessToken: "access2", refreshToken: "refresh2", expiresIn: 900 });
    }
    return token === "access2" ? answer(200, { items: [] }) : answer(401);
  };
  await Promise.all([api(lock).devices(), api(lock).devices()]);
  expect(asked.filter(({ path }) => path === "/v1/auth/refresh")).toHaveLength(1);
});

test("one page shares one refresh even where there is no lock", async () => {
  store.save(session(1));
  const none: Lock = { run: (_name, work) => work() };
  respond = (path, token) => {
    if (path === "/v1/auth/refresh") {
      return answer(200, { accessToken: "access2", refreshToken: "refresh2", expiresIn: 900 });
    }
    return token === "access2" ? answer(200, { items: [] }) : answer(401);
  };
  const client = api(none);
  await Promise.all([client.devices(), client.me()]);
  expect(asked.filter(({ path }) => path === "/v1/auth/refresh")).toHaveLength(1);
});

test("no network during a refresh keeps the session", async () => {
  store.save(session(1));
  respond = (path) => {
    if (path === "/v1/auth/refresh") throw new TypeError("failed to fetch");
    return answer(401);
  };
  await expect(api().devices()).rejects.toMatchObject({ code: "network" });
  expect(store.load()).not.toBeNull();
  expect(signedOut).toBe(0);
});

test("problem+json becomes a typed error; a proxy's page too", async () => {
  respond = () =>
    answer(
      422,
      {
        code: "bad_request",
        detail: "no",
        requestId: "r1",
        errors: [{ field: "email", message: "is taken" }],
      },
      { "Retry-After": "3" },
    );
  const error = await api()
    .register({ email: "a@b", username: "alice", password: "password" })
    .catch((caught: unknown) => caught as SottoError);
  expect(error).toBeInstanceOf(SottoError);
  expect(error).toMatchObject({
    code: "bad_request",
    status: 422,
    requestId: "r1",
    retryAfterMs: 3000,
    fields: [{ field: "email", message: "is taken" }],
  });
  respond = () => new Response("<html>", { status: 502 });
  await expect(api().login({ login: "a", password: "b" })).rejects.toMatchObject({
    code: "unavailable",
    temporary: true,
  });
});

test("signing in with an e-mail address or a user name", async () => {
  respond = () =>
    answer(200, {
      accessToken: "a",
      refreshToken: "r",
      expiresIn: 900,
      deviceId: "d",
      user: { id: "u", username: "alice" },
    });
  await api().login({ login: "alice", password: "p" });
  await api().login({ login: "alice@example.org", password: "p" });
  expect(asked[0]?.body).toMatchObject({ username: "alice" });
  expect(asked[1]?.body).toMatchObject({ email: "alice@example.org" });
  expect(asked[1]?.body).not.toHaveProperty("username");
});

test("a search that finds nobody is an empty list", async () => {
  store.save(session(1));
  respond = () => answer(404, { code: "not_found" });
  expect(await api().findUsers("x")).toEqual([]);
});

test("uuid() makes version 4 ids", () => {
  vi.spyOn(crypto, "getRandomValues").mockImplementation((array) => {
    (array as Uint8Array).fill(0xff);
    return array;
  });
  expect(uuid()).toBe("ffffffff-ffff-4fff-bfff-ffffffffffff");
});

test.each([
  ["Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "Firefox on Linux"],
  ["Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/130.0 Safari/537.36 Edg/130.0", "Edge on Windows"],
  ["Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36", "Chrome on Android"],
  ["something else", "Browser"],
])("a device is named after its browser and system", (agent, name) => {
  expect(describeDevice(agent)).toEqual({ name, platform: "web" });
});
