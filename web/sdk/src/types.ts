/** Shapes of the wire contract that this library reads and writes. Unknown fields are ignored. */

export type Media = "audio" | "video";
export type CallMode = "auto" | "p2p" | "sfu";
export type CallPath = "p2p" | "turn" | "sfu";
export type FallbackReason = "ice_failed" | "timeout" | "policy";

export interface User {
  id: string;
  username: string;
  displayName?: string;
  avatarMediaId?: string;
  statusText?: string;
  lastSeenAt?: string;
}

/** What is kept between page loads. `expiresAt` is the access token's end, in ms since the epoch. */
export interface Session {
  accessToken: string;
  refreshToken: string;
  expiresAt: number;
  lifetimeMs?: number;
  deviceId: string;
  user: User;
}

export interface Device {
  id: string;
  name?: string;
  platform?: string;
  createdAt?: string;
  lastActiveAt?: string;
  current?: boolean;
}

export interface Member {
  userId: string;
  username: string;
  displayName?: string;
  role?: string;
}

export interface Conversation {
  id: string;
  type: "direct" | "group" | "room";
  name?: string | null;
  members: Member[];
  createdAt?: string;
  updatedAt?: string;
}

export interface CallRecordParticipant {
  userId: string;
  username?: string;
  displayName?: string;
  deviceId?: string | null;
  joinedAt?: string | null;
  leftAt?: string | null;
  state: string;
}

export interface CallRecord {
  callId: string;
  conversationId?: string | null;
  initiatorId: string;
  media: Media;
  status: "ringing" | "active" | "ended";
  reason?: string | null;
  path?: CallPath | null;
  mode?: "p2p" | "sfu";
  startedAt: string;
  answeredAt?: string | null;
  endedAt?: string | null;
  durationSeconds?: number | null;
  participants: CallRecordParticipant[];
}

export interface Page<T> {
  items: T[];
  nextCursor?: string | null;
}

export interface DeviceAddress {
  userId: string;
  deviceId?: string;
}

/** A participant as the server tells it. `number` is the CSRC of its media in this call. */
export interface WireParticipant {
  participantId: string;
  number?: number;
  userId: string;
  username?: string;
  displayName?: string;
  deviceId?: string | null;
  audio?: boolean;
  video?: boolean;
  state?: string;
}

export interface CallerInfo extends DeviceAddress {
  username?: string;
  displayName?: string;
}

export interface CallReply {
  callId: string;
  conversationId?: string;
  iceServers?: RTCIceServer[];
  expiresAt?: string;
  mode?: "p2p" | "sfu" | "auto";
  media?: Media;
  status?: "ringing" | "active" | "ended";
  /** True when the other side was ringing us already: this start counts as the accept. */
  joined?: boolean;
  participants?: WireParticipant[];
}

export interface AudioSlot {
  slot: number;
  mid: string;
  participantId: string | null;
  csrc?: number | null;
}

export interface VideoSlot extends AudioSlot {
  source?: string | null;
  paused?: boolean;
  width?: number;
  height?: number;
}

export interface ViewRequest {
  slot: number;
  participantId: string | null;
  source?: string;
  maxHeight?: number;
  priority?: number;
}

/** What the SFU counted of a track that we publish. Totals since it began; absent: not known. */
export interface PublishedTrackStats {
  source: "camera" | "microphone" | "screen" | "screenAudio";
  packets: number;
  /** Of payload. */
  bytes: number;
  lost: number;
  lossPercent?: number;
  bitrateKbps?: number;
  jitterMs?: number;
  rttMs?: number;
  /** Packets that the SFU asked for again. */
  nacks?: number;
  /** Keyframes that it asked for. */
  plis?: number;
  height?: number;
  framesPerSecond?: number;
  freezes?: number;
  /** Packets come. */
  live: boolean;
}

/** What the SFU counted of everything that it sends to us. */
export interface SubscribedStats {
  packets: number;
  bytes: number;
  resent?: number;
  /** Of the slot where it is worst. */
  lossPercent?: number;
  bitrateKbps?: number;
  jitterMs?: number;
  rttMs?: number;
  /** What the way to this device is thought to carry. */
  estimateKbps?: number;
  nacks?: number;
  plis?: number;
  layerSwitches?: number;
  /** That carry somebody. */
  slots?: number;
  /** For lack of bandwidth. */
  pausedSlots?: number;
}

/** How our own media goes as the SFU sees it: about every 5 s, in calls over it. */
export interface ServerCallStats {
  callId: string;
  path: "sfu";
  publish?: PublishedTrackStats[];
  subscribe?: SubscribedStats;
}

export interface ConnectedCall {
  callId: string;
  mode?: "p2p" | "sfu" | "auto";
  status?: "ringing" | "active";
}

/** Cursors are opaque: they are only ever handed back. */
export type Cursor = string | number;

/** Events from the server, by type. */
export interface ServerEvents {
  connected: {
    userId: string;
    deviceId: string;
    sessionId?: string;
    heartbeatSeconds?: number;
    calls?: ConnectedCall[];
  };
  synced: { cursor?: Cursor };
  resync_required: { cursor?: Cursor };
  session_revoked: { reason?: string };
  conversation_updated: { conversationId?: string } & Record<string, unknown>;
  incoming_call: {
    callId: string;
    conversationId?: string;
    from: CallerInfo;
    media: Media;
    mode?: "p2p" | "sfu" | "auto";
    expiresAt?: string;
    iceServers?: RTCIceServer[];
    description?: RTCSessionDescriptionInit;
    participants?: WireParticipant[];
  };
  call_ringing: { callId: string; userId: string; deviceId?: string };
  call_accepted: { callId: string; userId: string; deviceId?: string; media?: Media };
  call_handled_elsewhere: { callId: string; outcome: "accepted" | "declined"; deviceId?: string };
  call_ended: { callId: string; reason: string; durationSeconds?: number };
  call_description: {
    callId: string;
    from: DeviceAddress;
    description: RTCSessionDescriptionInit;
  };
  ice_candidate: { callId: string; from: DeviceAddress; candidate: RTCIceCandidateInit | null };
  call_fallback: { callId: string; mode: "sfu"; reason: string };
  participant_joined: { callId: string; participant: WireParticipant };
  participant_left: { callId: string; participant: WireParticipant };
  participant_updated: { callId: string; participant: WireParticipant };
  sfu_slots: { callId: string; audio: AudioSlot[]; video: VideoSlot[] };
  active_speakers: { callId: string; speakers: { participantId: string; level: number }[] };
  call_stats: ServerCallStats;
}

export type ServerEventType = keyof ServerEvents;
