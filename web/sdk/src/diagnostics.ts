import type { CallOptions } from "./call_types";
import type { VideoCodec } from "./encodings";
import type { MediaKey } from "./encryption";

/** Settings that a person who looks for a fault can give in the address or, from a script, as
 *  `window.sottoTest`: `?ice=relay` only uses TURN, `?p2p=off` never connects directly,
 *  `?fallback=2000` gives peer to peer that many ms. */
export interface Diagnostics {
  fallbackAfterMs?: number;
  iceTransportPolicy?: RTCIceTransportPolicy;
  blockP2P?: boolean;
  /** Only from a script. */
  videoCodec?: VideoCodec;
  /** Only from a script: keys don't belong into addresses. */
  mediaKey?: MediaKey;
}

declare global {
  var sottoTest: Diagnostics | undefined;
}

export function readDiagnostics(
  search = globalThis.location?.search ?? "",
  page: Diagnostics | undefined = globalThis.sottoTest,
): Partial<CallOptions> {
  const query = new URLSearchParams(search);
  const found: Partial<CallOptions> = {};
  if (query.get("ice") === "relay") found.iceTransportPolicy = "relay";
  if (query.get("p2p") === "off") found.blockP2P = true;
  const fallback = Number(query.get("fallback"));
  if (Number.isFinite(fallback) && fallback > 0) found.fallbackAfterMs = fallback;
  return { ...found, ...page };
}
