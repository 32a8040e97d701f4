import { SottoError, problemOf } from "./errors";
import type { SessionStore } from "./store";
import { TabLock, type Lock } from "./tabs";
import type { CallRecord, Conversation, Device, Page, Session, User } from "./types";

/** Refresh this long before the access token ends, so that requests seldom meet a 401. */
const EARLY_REFRESH_MS = 60_000;

export interface ApiOptions {
  /** Origin of the server; empty for the page's own. */
  baseUrl?: string;
  store: SessionStore;
  lock?: Lock;
  fetch?: typeof fetch;
  now?: () => number;
  /** Called once when the session is gone for good (revoked, or refused to refresh). */
  onSignedOut?: () => void;
}

export interface RequestOptions {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  query?: Record<string, string | number | undefined>;
  /** Without a token: sign-in and the like. */
  anonymous?: boolean;
  /** Sent as Idempotency-Key, so that a repeat can't create twice. */
  idempotent?: boolean;
  signal?: AbortSignal;
}

interface TokenAnswer {
  accessToken: string;
  refreshToken: string;
  expiresIn: number;
  deviceId?: string;
  user?: User;
}

export interface Registration {
  email: string;
  username: string;
  password: string;
  displayName?: string;
}

export interface Credentials {
  /** A user name, or an e-mail address when it holds an @. */
  login: string;
  password: string;
  device?: { name: string; platform: string };
}

export class Api {
  readonly baseUrl: string;
  private readonly store: SessionStore;
  private readonly lock: Lock;
  private readonly fetchFn: typeof fetch;
  private readonly now: () => number;
  private readonly onSignedOut: () => void;
  private refreshing: Promise<Session> | null = null;

  constructor(options: ApiOptions) {
    this.baseUrl = (options.baseUrl ?? "").replace(/\/$/, "");
    this.store = options.store;
    this.lock = options.lock ?? new TabLock();
    this.fetchFn = options.fetch ?? ((input, init) => fetch(input, init));
    this.now = options.now ?? Date.now;
    this.onSignedOut = options.onSignedOut ?? (() => {});
  }

  get session(): Session | null {
    return this.store.load();
  }

  /* Accounts */

  async register(registration: Registration): Promise<User> {
    const answer = await this.request<{ user: User }>("/v1/auth/register", {
      method: "POST",
      body: registration,
      anonymous: true,
      idempotent: true,
    });
    return answer.user;
  }

  async login(credentials: Credentials): Promise<Session> {
    const { login, password, device } = credentials;
    const answer = await this.request<TokenAnswer>("/v1/auth/login", {
      method: "POST",
      anonymous: true,
      body: {
        ...(login.includes("@") ? { email: login } : { username: login }),
        password,
        device: device ?? describeDevice(),
      },
    });
    if (!answer.user || !answer.deviceId) throw new SottoError("bad_answer");
    const session = this.sessionOf(answer, answer.user, answer.deviceId);
    this.store.save(session);
    return session;
  }

  /** Signs out here. The session is gone on this side whatever the server says. */
  async logout(everywhere = false): Promise<void> {
    try {
      await this.request(everywhere ? "/v1/auth/logout-all" : "/v1/auth/logout", {
        method: "POST",
      });
    } finally {
      this.forget();
    }
  }

  forget(): void {
    if (!this.store.load()) return;
    this.store.save(null);
    this.onSignedOut();
  }

  async ticket(): Promise<string> {
    const answer = await this.request<{ token: string }>("/v1/ws-ticket", { method: "POST" });
    return answer.token;
  }

  me(): Promise<User> {
    return this.request<User>("/v1/users/me");
  }

  user(id: string): Promise<User> {
    return this.request<User>(`/v1/users/${encodeURIComponent(id)}`);
  }

  async findUsers(username: string, signal?: AbortSignal): Promise<User[]> {
    try {
      const answer = await this.request<Page<User> | User[] | User>("/v1/users", {
        query: { username },
        ...(signal ? { signal } : {}),
      });
      if (Array.isArray(answer)) return answer;
      return "items" in answer ? answer.items : [answer];
    } catch (error) {
      if (error instanceof SottoError && error.status === 404) return [];
      throw error;
    }
  }

  async devices(): Promise<Device[]> {
    const answer = await this.request<Page<Device>>("/v1/devices");
    return answer.items;
  }

  revokeDevice(id: string): Promise<void> {
    return this.request(`/v1/devices/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  /* Conversations and calls */

  conversations(cursor?: string): Promise<Page<Conversation>> {
    return this.request<Page<Conversation>>("/v1/conversations", { query: { limit: 50, cursor } });
  }

  createConversation(body: {
    type: "direct" | "group";
    memberIds: string[];
    name?: string;
  }): Promise<Conversation> {
    return this.request<Conversation>("/v1/conversations", {
      method: "POST",
      body,
      idempotent: true,
    });
  }

  calls(cursor?: string): Promise<Page<CallRecord>> {
    return this.request<Page<CallRecord>>("/v1/calls", { query: { limit: 30, cursor } });
  }

  call(id: string): Promise<CallRecord> {
    return this.request<CallRecord>(`/v1/calls/${encodeURIComponent(id)}`);
  }

  async iceServers(): Promise<RTCIceServer[]> {
    const answer = await this.request<{ iceServers: RTCIceServer[] }>("/v1/ice-servers");
    return answer.iceServers;
  }

  /* The machinery */

  /** One request. A 401 refreshes the token once and asks again; other errors are thrown. */
  async request<T = void>(path: string, options: RequestOptions = {}): Promise<T> {
    const key = options.idempotent ? uuid() : undefined;
    if (options.anonymous) return this.read<T>(await this.send(path, options, null, key));

    let session = this.store.load();
    if (!session) throw new SottoError("unauthorized", { status: 401 });
    if (this.dueForRefresh(session)) {
      session = await this.refresh(session).catch((error: unknown) => {
        // The old token may have a little left, and a server that is away says so by itself.
        if (error instanceof SottoError && error.status === 401) throw error;
        return session as Session;
      });
    }
    let response = await this.send(path, options, session, key);
    if (response.status === 401) {
      session = await this.refresh(session);
      response = await this.send(path, options, session, key);
      if (response.status === 401) this.forget();
    }
    return this.read<T>(response);
  }

  /** A minute before the end, or at half-time of tokens that don't live that long. */
  private dueForRefresh({ expiresAt, lifetimeMs }: Session): boolean {
    const early = Math.min(EARLY_REFRESH_MS, (lifetimeMs ?? Infinity) / 2);
    return expiresAt - this.now() < early;
  }

  /** A new pair of tokens in place of `stale`. Many callers share one flight, and the tabs of the
   *  browser share one lock: a spent refresh token used twice would sign the user out. */
  refresh(stale: Session): Promise<Session> {
    this.refreshing ??= this.lock
      .run("sotto.refresh", () => this.refreshLocked(stale))
      .finally(() => {
        this.refreshing = null;
      });
    return this.refreshing;
  }

  private async refreshLocked(stale: Session): Promise<Session> {
    const current = this.store.load();
    if (!current) throw new SottoError("unauthorized", { status: 401 });
    if (current.accessToken !== stale.accessToken) return current; // Another tab was first.
    const response = await this.send(
      "/v1/auth/refresh",
      { method: "POST", body: { refreshToken: current.refreshToken } },
      null,
    );
    if (response.status === 400 || response.status === 401 || response.status === 403) {
      const error = await problemOf(response);
      this.forget();
      throw error;
    }
    const answer = await this.read<TokenAnswer>(response);
    const session = this.sessionOf(answer, current.user, current.deviceId);
    this.store.save(session);
    return session;
  }

  private sessionOf(answer: TokenAnswer, user: User, deviceId: string): Session {
    return {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken,
      expiresAt: this.now() + answer.expiresIn * 1000,
      lifetimeMs: answer.expiresIn * 1000,
      user: answer.user ?? user,
      deviceId: answer.deviceId ?? deviceId,
    };
  }

  private async send(
    path: string,
    options: RequestOptions,
    session: Session | null,
    idempotencyKey?: string,
  ): Promise<Response> {
    const headers: Record<string, string> = { Accept: "application/json" };
    if (session) headers.Authorization = `Bearer ${session.accessToken}`;
    if (options.body !== undefined) headers["Content-Type"] = "application/json";
    if (idempotencyKey) headers["Idempotency-Key"] = idempotencyKey;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const suffix = query.toString() ? `?${query.toString()}` : "";
    try {
      return await this.fetchFn(`${this.baseUrl}${path}${suffix}`, {
        method: options.method ?? "GET",
        headers,
        cache: "no-store",
        credentials: "omit",
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        ...(options.signal ? { signal: options.signal } : {}),
      });
    } catch (cause) {
      if (options.signal?.aborted) throw new SottoError("aborted", { cause });
      throw new SottoError("network", { detail: "The server can't be reached.", cause });
    }
  }

  private async read<T>(response: Response): Promise<T> {
    if (!response.ok) throw await problemOf(response);
    if (response.status === 204) return undefined as T;
    const text = await response.text();
    return (text ? JSON.parse(text) : undefined) as T;
  }
}

/** crypto.randomUUID() exists only in secure contexts; getRandomValues() is everywhere. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20]
    .reverse()
    .reduce((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, hex);
}

/** "Firefox on Linux": what a person finds this device by in the list of devices. */
export function describeDevice(agent = globalThis.navigator?.userAgent ?? ""): {
  name: string;
  platform: string;
} {
  const browsers: [RegExp, string][] = [
    [/Edg\//, "Edge"],
    [/OPR\//, "Opera"],
    [/Firefox\//, "Firefox"],
    [/Chrom(e|ium)\//, "Chrome"],
    [/Safari\//, "Safari"],
  ];
  const systems: [RegExp, string][] = [
    [/Android/, "Android"],
    [/iPhone|iPad/, "iOS"],
    [/Windows/, "Windows"],
    [/Mac OS X/, "macOS"],
    [/CrOS/, "ChromeOS"],
    [/Linux/, "Linux"],
  ];
  const browser = browsers.find(([pattern]) => pattern.test(agent))?.[1] ?? "Browser";
  const system = systems.find(([pattern]) => pattern.test(agent))?.[1];
  return { name: system ? `${browser} on ${system}` : browser, platform: "web" };
}
