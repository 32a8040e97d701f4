/** One error type for everything that can go wrong: a problem+json answer, a refused frame,
 *  no network, or a device that may not be used. `code` is stable and meant for programs. */
export interface FieldError {
  field: string;
  message: string;
}

export interface SottoErrorInit {
  status?: number | undefined;
  detail?: string | undefined;
  requestId?: string | undefined;
  retryAfterMs?: number | undefined;
  fields?: FieldError[] | undefined;
  cause?: unknown;
}

export class SottoError extends Error {
  readonly code: string;
  readonly status: number;
  readonly requestId: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly fields: FieldError[];

  constructor(code: string, init: SottoErrorInit = {}) {
    super(init.detail ?? code, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = "SottoError";
    this.code = code;
    this.status = init.status ?? 0;
    this.requestId = init.requestId;
    this.retryAfterMs = init.retryAfterMs;
    this.fields = init.fields ?? [];
  }

  /** True where the same request may succeed later without being changed. */
  get temporary(): boolean {
    return (
      this.status >= 500 ||
      [
        "offline",
        "timeout",
        "unavailable",
        "sfu_unavailable",
        "overloaded",
        "rate_limited",
        "network",
      ].includes(this.code)
    );
  }
}

interface Problem {
  code?: string;
  title?: string;
  detail?: string;
  requestId?: string;
  errors?: FieldError[];
}

/** Reads an answer that isn't 2xx. A proxy's HTML page becomes a plain code by its status. */
export async function problemOf(response: Response): Promise<SottoError> {
  let problem: Problem = {};
  try {
    problem = (await response.json()) as Problem;
  } catch {
    // Not JSON: the status alone has to do.
  }
  const retry = Number(response.headers.get("Retry-After"));
  return new SottoError(problem.code ?? codeOfStatus(response.status), {
    status: response.status,
    detail: problem.detail ?? problem.title,
    requestId: problem.requestId ?? response.headers.get("X-Request-Id") ?? undefined,
    retryAfterMs: Number.isFinite(retry) && retry > 0 ? retry * 1000 : undefined,
    fields: Array.isArray(problem.errors) ? problem.errors : undefined,
  });
}

function codeOfStatus(status: number): string {
  const codes: Record<number, string> = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    410: "gone",
    413: "too_large",
    429: "rate_limited",
  };
  return codes[status] ?? (status >= 500 ? "unavailable" : "bad_request");
}

export function asSottoError(error: unknown): SottoError {
  if (error instanceof SottoError) return error;
  return new SottoError("internal", {
    detail: error instanceof Error ? error.message : String(error),
    cause: error,
  });
}
