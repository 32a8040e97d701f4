import type { Cursor, Session } from "./types";

/** Where the session lives. The browser's store is shared by its tabs; tests use memory. */
export interface SessionStore {
  load(): Session | null;
  save(session: Session | null): void;
  loadCursor(): Cursor | null;
  saveCursor(cursor: Cursor | null): void;
  /** Calls back when another tab signs in or out. */
  watch(changed: () => void): () => void;
}

export class MemoryStore implements SessionStore {
  private session: Session | null = null;
  private cursor: Cursor | null = null;

  load(): Session | null {
    return this.session;
  }
  save(session: Session | null): void {
    this.session = session;
    if (!session) this.cursor = null;
  }
  loadCursor(): Cursor | null {
    return this.cursor;
  }
  saveCursor(cursor: Cursor | null): void {
    this.cursor = cursor;
  }
  watch(): () => void {
    return () => {};
  }
}

export class BrowserStore implements SessionStore {
  /** Stands in where storage is forbidden, as in some private windows: a session is one page long. */
  private readonly memory = new Map<string, string>();

  constructor(private readonly prefix = "sotto") {}

  load(): Session | null {
    const text = this.read("session");
    if (!text) return null;
    try {
      const session = JSON.parse(text) as Partial<Session>;
      const whole = session.accessToken && session.refreshToken && session.user?.id;
      return whole ? (session as Session) : null;
    } catch {
      return null;
    }
  }

  save(session: Session | null): void {
    this.write("session", session ? JSON.stringify(session) : null);
    if (!session) this.saveCursor(null);
  }

  loadCursor(): Cursor | null {
    const text = this.read("cursor");
    try {
      return text ? (JSON.parse(text) as Cursor) : null;
    } catch {
      return null;
    }
  }

  saveCursor(cursor: Cursor | null): void {
    this.write("cursor", cursor === null ? null : JSON.stringify(cursor));
  }

  watch(changed: () => void): () => void {
    const listener = (event: StorageEvent): void => {
      if (event.key === `${this.prefix}.session` || event.key === null) changed();
    };
    window.addEventListener("storage", listener);
    return () => {
      window.removeEventListener("storage", listener);
    };
  }

  private read(name: string): string | null {
    try {
      return localStorage.getItem(`${this.prefix}.${name}`);
    } catch {
      return this.memory.get(name) ?? null;
    }
  }

  private write(name: string, value: string | null): void {
    try {
      if (value === null) localStorage.removeItem(`${this.prefix}.${name}`);
      else localStorage.setItem(`${this.prefix}.${name}`, value);
    } catch {
      if (value === null) this.memory.delete(name);
      else this.memory.set(name, value);
    }
  }
}
