import type { Emitter } from "./emitter";
import type { SottoError } from "./errors";
import type { StatsMap, TrackStats } from "./stats";

/** What a transport needs from its call: the tracks to send, and a way to talk to the server. */
export interface TransportHost {
  readonly callId: string;
  readonly iceServers: RTCIceServer[];
  readonly iceTransportPolicy: RTCIceTransportPolicy;
  readonly blockP2P: boolean;
  audioTrack(): MediaStreamTrack | null;
  videoTrack(): MediaStreamTrack | null;
  request<T>(type: string, data: object, flags?: SendFlags): Promise<T>;
  createPeer(configuration: RTCConfiguration): RTCPeerConnection;
  /** Servers whose credentials are good for a while yet; asks for new ones where they aren't. */
  freshIceServers(): Promise<RTCIceServer[]>;
}

export interface SendFlags {
  offline?: "fail" | "queue" | "resend";
  timeoutMs?: number;
}

/** How the media of a call stands, whichever way it goes. */
export type LinkState = "connecting" | "connected" | "interrupted" | "failed" | "closed";

export interface TransportEvents {
  link: LinkState;
  /** The tracks or who they belong to have changed: read remoteVideo() and audio() again. */
  tracks: undefined;
  error: SottoError;
}

export interface Transport extends Emitter<TransportEvents> {
  readonly kind: "p2p" | "sfu";
  readonly link: LinkState;
  start(): void;
  close(): void;
  /** Puts the host's present tracks on the wire (mute, camera on or off). */
  updateTracks(): Promise<void>;
  /** The network may have changed: restart ICE unless media flows. */
  recover(): void;
  /** The video that comes from this participant, if any. */
  remoteVideo(participantId: string): MediaStreamTrack | null;
  /** The audio that comes from this participant at this moment. */
  remoteAudio(participantId: string): MediaStreamTrack | null;
  /** Everything to be played, whoever speaks in it. */
  audio(): MediaStreamTrack[];
  stats(): Promise<StatsMap[]>;
  trackStats(participantId: string): Promise<TrackStats>;
}

export async function inboundStats(receivers: (RTCRtpReceiver | undefined)[]): Promise<TrackStats> {
  const totals: TrackStats = { framesDecoded: 0, audioEnergy: 0 };
  for (const receiver of receivers) {
    if (!receiver) continue;
    const report = await receiver.getStats();
    report.forEach((record: { type: string; framesDecoded?: number; totalAudioEnergy?: number }) => {
      if (record.type !== "inbound-rtp") return;
      totals.framesDecoded += record.framesDecoded ?? 0;
      totals.audioEnergy += record.totalAudioEnergy ?? 0;
    });
  }
  return totals;
}
