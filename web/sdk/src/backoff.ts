/** Full-jitter backoff: each wait is drawn evenly between 0 and a ceiling that doubles. So a
 *  thousand clients that lost the server in one second don't come back in one second. */
export interface BackoffOptions {
  baseMs?: number;
  maxMs?: number;
  random?: () => number;
}

export class Backoff {
  private attempt = 0;
  private readonly baseMs: number;
  private readonly maxMs: number;
  private readonly random: () => number;

  constructor(options: BackoffOptions = {}) {
    this.baseMs = options.baseMs ?? 500;
    this.maxMs = options.maxMs ?? 20_000;
    this.random = options.random ?? Math.random;
  }

  get attempts(): number {
    return this.attempt;
  }

  /** The next wait in ms, never under `atLeastMs` (a server's retryAfterMs). */
  next(atLeastMs = 0): number {
    const ceiling = Math.min(this.maxMs, this.baseMs * 2 ** Math.min(this.attempt, 16));
    this.attempt += 1;
    return atLeastMs + Math.round(this.random() * ceiling);
  }

  reset(): void {
    this.attempt = 0;
  }
}
