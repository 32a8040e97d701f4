import { Api, type Credentials, type Registration } from "./api";
import type { Call } from "./call";
import { DEFAULT_CALL_OPTIONS, type CallOptions, type CallState } from "./call_types";
import { Calls } from "./calls";
import { readDiagnostics } from "./diagnostics";
import { LocalMedia } from "./media";
import { Socket } from "./socket";
import { BrowserStore, type SessionStore } from "./store";
import type { TrackStats } from "./stats";
import { TabChannel } from "./tabs";
import type { CallPath, Session, User } from "./types";

export interface ClientOptions {
  /** Origin of the server; the page's own where it isn't said. */
  baseUrl?: string;
  store?: SessionStore;
  call?: Partial<CallOptions>;
}

export interface DiagnosticsReport {
  state: CallState;
  callId: string;
  path: CallPath | null;
  sfuGeneration: number;
  remotes: Record<string, TrackStats>;
}

/** Everything of Sotto for one page: the session, the socket and the calls. */
export class SottoClient {
  readonly api: Api;
  readonly socket: Socket;
  readonly calls: Calls;
  private readonly store: SessionStore;
  private readonly tabs: TabChannel;
  private readonly watchers = new Set<(session: Session | null) => void>();
  private known: string | null;

  constructor(options: ClientOptions = {}) {
    const baseUrl = options.baseUrl ?? location.origin;
    this.store = options.store ?? new BrowserStore();
    this.tabs = new TabChannel();
    this.known = this.store.load()?.deviceId ?? null;
    this.api = new Api({
      baseUrl,
      store: this.store,
      onSignedOut: () => {
        this.sessionChanged();
      },
    });
    this.socket = new Socket({
      url: `${baseUrl.replace(/^http/, "ws")}/v1/ws`,
      ticket: () => this.api.ticket(),
      loadCursor: () => this.store.loadCursor(),
      saveCursor: (cursor) => {
        this.store.saveCursor(cursor);
      },
    });
    const session = (): string => this.store.load()?.user.id ?? "";
    this.calls = new Calls({
      socket: this.socket,
      tabs: this.tabs,
      lookUp: (callId) => this.api.call(callId),
      context: {
        get userId() {
          return session();
        },
        request: (type, data, flags) => this.socket.request(type, data, flags),
        online: () => this.socket.connected,
        createPeer: (configuration) => new RTCPeerConnection(configuration),
        iceServers: () => this.api.iceServers(),
        createMedia: () => new LocalMedia(),
        now: Date.now,
        options: { ...DEFAULT_CALL_OPTIONS, ...readDiagnostics(), ...options.call },
      },
    });
    this.socket.on("state", (state) => {
      if (state.status === "signedOut") this.api.forget();
      // Another tab took the socket; while a call is here, this one needs it more.
      if (state.status === "replaced" && this.calls.current?.live) this.socket.connect();
    });
    this.store.watch(() => {
      this.sessionChanged();
    });
    this.watchNetwork();
  }

  get session(): Session | null {
    return this.store.load();
  }

  get user(): User | null {
    return this.session?.user ?? null;
  }

  get online(): boolean {
    return this.socket.connected;
  }

  /** The call that is on, if any. */
  get call(): Call | null {
    return this.calls.current;
  }

  /** Goes online when there is a session from an earlier visit. */
  resume(): void {
    if (this.session) this.socket.connect();
  }

  async register(registration: Registration): Promise<Session> {
    await this.api.register(registration);
    return this.login({ login: registration.username, password: registration.password });
  }

  async login(credentials: Credentials): Promise<Session> {
    const session = await this.api.login(credentials);
    this.sessionChanged();
    return session;
  }

  async logout(everywhere = false): Promise<void> {
    this.calls.endAll();
    await this.api.logout(everywhere);
  }

  /** Hears of sign-in and sign-out, in this tab or another. */
  onSession(watcher: (session: Session | null) => void): () => void {
    this.watchers.add(watcher);
    return () => {
      this.watchers.delete(watcher);
    };
  }

  /** Figures of the current call, for tests and for people who look for a fault. */
  async diagnostics(): Promise<DiagnosticsReport | null> {
    const { call } = this;
    if (!call) return null;
    const { path, remotes } = await call.getStats();
    const { state, callId, sfuGeneration } = call;
    return { state, callId, path, sfuGeneration, remotes };
  }

  private sessionChanged(): void {
    const session = this.session;
    const device = session?.deviceId ?? null;
    if (device !== this.known) {
      this.known = device;
      this.calls.endAll();
      this.socket.close();
      if (device) this.socket.connect();
    }
    for (const watcher of this.watchers) watcher(session);
  }

  private watchNetwork(): void {
    window.addEventListener("online", () => {
      this.socket.check();
    });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState !== "visible") return;
      if (this.socket.state.status === "replaced") this.socket.connect();
      else this.socket.check();
    });
  }
}
