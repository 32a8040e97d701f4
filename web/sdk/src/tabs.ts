/** What the tabs of one browser share: a lock, so that only one of them refreshes a token, and a
 *  channel, so that a call taken in one tab stops ringing in the others. */
export interface Lock {
  run<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** Falls back to a lock within this page where the browser has no Web Locks. */
export class TabLock implements Lock {
  private readonly tails = new Map<string, Promise<unknown>>();

  run<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (typeof navigator !== "undefined" && "locks" in navigator) {
      return navigator.locks.request(name, work) as Promise<T>;
    }
    const result = (this.tails.get(name) ?? Promise.resolve()).then(work, work);
    this.tails.set(
      name,
      result.catch(() => {}),
    );
    return result;
  }
}

export interface TabMessage {
  type: "call_taken";
  callId: string;
}

export class TabChannel {
  private readonly channel: BroadcastChannel | null;

  constructor(name = "sotto") {
    this.channel = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel(name);
  }

  post(message: TabMessage): void {
    this.channel?.postMessage(message);
  }

  listen(handler: (message: TabMessage) => void): void {
    this.channel?.addEventListener("message", (event: MessageEvent<TabMessage>) => {
      handler(event.data);
    });
  }

  close(): void {
    this.channel?.close();
  }
}
