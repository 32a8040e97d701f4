import { Backoff } from "./backoff";
import { Emitter } from "./emitter";
import { SottoError } from "./errors";
import type { Cursor, ServerEvents, ServerEventType } from "./types";

/** Close codes of the contract. */
export const CLOSE = {
  sessionRevoked: 4001,
  rateLimited: 4003,
  protocolError: 4004,
  replaced: 4009,
  restarting: 1012,
  overloaded: 1013,
} as const;

export type SocketStatus =
  | "closed" /* Not asked to connect. */
  | "connecting"
  | "open" /* `connected` came; what was missed may still be on its way. */
  | "waiting" /* Lost; tries again by itself. */
  | "replaced" /* Another tab of this device took over; connect() takes it back. */
  | "signedOut";

export interface SocketState {
  status: SocketStatus;
  /** When `waiting`: ms since the epoch of the next try. */
  retryAt?: number;
}

/** Every event of the server by its own name, and what the socket itself has to say. */
export type SocketEvents = ServerEvents & {
  state: SocketState;
  /** Up to date after a (re)connect: `connected` and everything missed have been handed out. */
  resumed: ServerEvents["connected"];
};

export interface SocketOptions {
  /** ws:// or wss:// URL of the socket, without a query. */
  url: string;
  ticket: () => Promise<string>;
  loadCursor: () => Cursor | null;
  saveCursor: (cursor: Cursor) => void;
  createSocket?: (url: string, protocols: string[]) => WebSocket;
  backoff?: Backoff;
  requestTimeoutMs?: number;
}

export interface RequestFlags {
  /**
   * What to do while there is no connection. `fail` refuses at once (a call_start must not ring
   * minutes later); `queue` waits for the next connection, because what it says is still true
   * then; `resend` also repeats it when the connection broke before the answer: only for frames
   * that do nothing the second time.
   */
  offline?: "fail" | "queue" | "resend";
  timeoutMs?: number;
}

interface Frame {
  id: string;
  type: string;
  text: string;
  offline: "fail" | "queue" | "resend";
  sent: boolean;
  timer: ReturnType<typeof setTimeout>;
  resolve: (data: unknown) => void;
  reject: (error: SottoError) => void;
}

interface IncomingFrame {
  type: string;
  id?: string;
  ok?: boolean;
  data?: unknown;
  error?: { code?: string; message?: string; retryAfterMs?: number };
  cursor?: Cursor;
  retryAfterMs?: number;
}

const ACK_DELAY_MS = 250;
const PONG_WAIT_MS = 8_000;
const CONNECT_WAIT_MS = 15_000;

/**
 * The socket: connects with a ticket, resumes from the cursor, answers requests, and comes back by
 * itself. Events are handed out in the order the server sent them.
 */
export class Socket extends Emitter<SocketEvents> {
  private readonly options: SocketOptions;
  private readonly backoff: Backoff;
  private socket: WebSocket | null = null;
  private current: SocketState = { status: "closed" };
  private generation = 0;
  private sequence = 0;
  private readonly frames = new Map<string, Frame>();
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private watchTimer: ReturnType<typeof setTimeout> | undefined;
  private ackTimer: ReturnType<typeof setTimeout> | undefined;
  private unacked: Cursor | null = null;
  private heartbeatMs = 30_000;
  private retryAfterMs = 0;
  private lastConnected: ServerEvents["connected"] | null = null;

  constructor(options: SocketOptions) {
    super();
    this.options = options;
    this.backoff = options.backoff ?? new Backoff();
  }

  get state(): SocketState {
    return this.current;
  }

  get connected(): boolean {
    return this.current.status === "open";
  }

  /** Connects now, also in the middle of a wait (the network is back, the user pressed retry). */
  connect(): void {
    if (this.current.status === "open" || this.current.status === "connecting") return;
    clearTimeout(this.retryTimer);
    void this.open();
  }

  /** Looks at once whether the connection still stands: after sleep, or a change of network. */
  check(): void {
    if (this.current.status === "waiting") this.connect();
    else if (this.current.status === "open") this.probe();
  }

  close(): void {
    this.generation += 1;
    clearTimeout(this.retryTimer);
    this.drop(1000);
    this.failFrames(() => true, new SottoError("closed"));
    this.setState({ status: "closed" });
  }

  request<T = unknown>(type: string, data: object, flags: RequestFlags = {}): Promise<T> {
    const offline = flags.offline ?? "fail";
    if (!this.connected && offline === "fail") {
      return Promise.reject(new SottoError("offline", { detail: "There is no connection." }));
    }
    if (this.current.status === "signedOut" || this.current.status === "closed") {
      return Promise.reject(new SottoError("offline", { detail: "There is no connection." }));
    }
    this.sequence += 1;
    const id = `c${this.sequence}`;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(
        () => {
          this.frames.delete(id);
          reject(new SottoError("timeout", { detail: `No answer to ${type}.` }));
        },
        flags.timeoutMs ?? (offline === "fail" ? (this.options.requestTimeoutMs ?? 10_000) : 60_000),
      );
      const frame: Frame = {
        id,
        type,
        text: JSON.stringify({ type, id, data }),
        offline,
        sent: false,
        timer,
        resolve: resolve as (data: unknown) => void,
        reject,
      };
      this.frames.set(id, frame);
      if (this.connected) this.transmit(frame);
    });
  }

  /* Connecting */

  private async open(): Promise<void> {
    this.generation += 1;
    const generation = this.generation;
    this.setState({ status: "connecting" });
    let ticket: string;
    try {
      ticket = await this.options.ticket();
    } catch (error) {
      if (generation !== this.generation) return;
      if (error instanceof SottoError && error.status === 401) {
        this.signOut();
        return;
      }
      this.retryAfterMs = error instanceof SottoError ? (error.retryAfterMs ?? 0) : 0;
      this.wait();
      return;
    }
    if (generation !== this.generation) return;
    const since = this.options.loadCursor();
    const query = since === null ? "" : `?since=${encodeURIComponent(String(since))}`;
    const protocols = ["sotto.v1", `ticket.${ticket}`];
    const make = this.options.createSocket ?? ((url, list) => new WebSocket(url, list));
    const socket = make(this.options.url + query, protocols);
    this.socket = socket;
    this.arm(CONNECT_WAIT_MS, () => {
      this.lost(socket, 1006, 0);
    });
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (socket === this.socket && typeof event.data === "string") this.read(event.data);
    };
    socket.onclose = (event: CloseEvent) => {
      this.lost(socket, event.code, readRetryAfter(event.reason));
    };
  }

  private lost(socket: WebSocket, code: number, retryAfterMs: number): void {
    if (socket !== this.socket) return;
    this.drop(code === 1006 ? undefined : 1000);
    this.failFrames(
      (frame) => frame.offline === "fail" || (frame.sent && frame.offline === "queue"),
      new SottoError("offline", { detail: "The connection was lost." }),
    );
    if (code === CLOSE.sessionRevoked) {
      this.signOut();
      return;
    }
    if (code === CLOSE.replaced) {
      this.generation += 1;
      this.setState({ status: "replaced" });
      return;
    }
    if (retryAfterMs > 0) this.retryAfterMs = retryAfterMs;
    this.wait();
  }

  private wait(): void {
    const delay = this.backoff.next(this.retryAfterMs);
    this.retryAfterMs = 0;
    this.setState({ status: "waiting", retryAt: Date.now() + delay });
    this.retryTimer = setTimeout(() => {
      void this.open();
    }, delay);
  }

  private signOut(): void {
    this.generation += 1;
    this.failFrames(() => true, new SottoError("unauthorized", { status: 401 }));
    this.setState({ status: "signedOut" });
  }

  private drop(code: number | undefined): void {
    clearTimeout(this.watchTimer);
    clearTimeout(this.ackTimer);
    this.ackTimer = undefined;
    const socket = this.socket;
    this.socket = null;
    this.lastConnected = null;
    if (!socket) return;
    socket.onmessage = null;
    socket.onclose = null;
    try {
      socket.close(code);
    } catch {
      // Already closed.
    }
  }

  /* Frames */

  private read(text: string): void {
    let frame: IncomingFrame;
    try {
      frame = JSON.parse(text) as IncomingFrame;
    } catch {
      return;
    }
    this.heard();
    if (frame.type === "reply") {
      this.settle(frame);
      return;
    }
    const data = (frame.data ?? {}) as never;
    if (frame.type === "connected") this.welcomed(data);
    if (frame.cursor !== undefined) this.advance(frame.cursor);
    if (frame.type === "resync_required" || frame.type === "synced") {
      const cursor = (data as { cursor?: Cursor }).cursor;
      if (cursor !== undefined) this.advance(cursor);
    }
    this.emit(frame.type as ServerEventType, data);
    if (frame.type === "synced" && this.lastConnected) {
      this.emit("resumed", this.lastConnected);
    }
  }

  private welcomed(data: ServerEvents["connected"]): void {
    this.lastConnected = data;
    this.heartbeatMs = Math.max(5, data.heartbeatSeconds ?? 30) * 1000;
    this.backoff.reset();
    this.setState({ status: "open" });
    this.heard();
    for (const frame of [...this.frames.values()]) this.transmit(frame);
  }

  private settle(reply: IncomingFrame): void {
    const frame = reply.id === undefined ? undefined : this.frames.get(reply.id);
    if (!frame) return;
    this.frames.delete(frame.id);
    clearTimeout(frame.timer);
    if (reply.ok) {
      frame.resolve(reply.data ?? {});
      return;
    }
    const error = reply.error ?? {};
    frame.reject(
      new SottoError(error.code ?? "internal", {
        detail: error.message,
        retryAfterMs: error.retryAfterMs,
      }),
    );
  }

  private transmit(frame: Frame): void {
    frame.sent = true;
    this.socket?.send(frame.text);
  }

  private failFrames(which: (frame: Frame) => boolean, error: SottoError): void {
    for (const frame of [...this.frames.values()]) {
      if (!which(frame)) continue;
      this.frames.delete(frame.id);
      clearTimeout(frame.timer);
      frame.reject(error);
    }
  }

  /* Cursor: taken in memory at once, told to the server a moment later, many in one. */

  private advance(cursor: Cursor): void {
    this.options.saveCursor(cursor);
    this.unacked = cursor;
    this.ackTimer ??= setTimeout(() => {
      this.ackTimer = undefined;
      if (this.unacked === null || !this.connected) return;
      const cursorNow = this.unacked;
      this.unacked = null;
      this.request("ack", { cursor: cursorNow }).catch(() => {
        // Not acknowledged: the same events come again and are taken again.
      });
    }, ACK_DELAY_MS);
  }

  /* Heartbeat: the browser answers the server's pings unseen, so this side asks on its own when
   * nothing was heard for a while, and gives up when even that isn't answered. */

  private heard(): void {
    if (this.current.status !== "open") return;
    this.arm(this.heartbeatMs, () => {
      this.probe();
    });
  }

  private probe(): void {
    const socket = this.socket;
    if (!socket) return;
    this.arm(PONG_WAIT_MS, () => {
      this.lost(socket, 1006, 0);
    });
    this.request("ping", {}, { timeoutMs: PONG_WAIT_MS + 1000 }).catch(() => {
      // The watch decides.
    });
  }

  private arm(delay: number, expired: () => void): void {
    clearTimeout(this.watchTimer);
    this.watchTimer = setTimeout(expired, delay);
  }

  private setState(state: SocketState): void {
    this.current = state;
    this.emit("state", state);
  }
}

/** A restarting server says in its close reason how long to stay away: `{"retryAfterMs": 1500}`,
 *  or `retryAfterMs=1500`. */
export function readRetryAfter(reason: string): number {
  const found = /retryAfterMs"?\s*[:=]\s*(\d{1,6})/.exec(reason);
  return found ? Number(found[1]) : 0;
}
