import { Emitter } from "./emitter";
import type { SottoError} from "./errors";
import { asSottoError } from "./errors";
import type { LocalMedia } from "./media";
import { P2PTransport } from "./p2p";
import { Roster, type Participant } from "./participants";
import { SfuTransport } from "./sfu";
import { StatsMeter, type CallStats, type Quality, type TrackStats } from "./stats";
import type { LinkState, SendFlags, Transport, TransportHost } from "./transport";
import type {
  CallerInfo,
  CallPath,
  CallRecord,
  CallReply,
  Media,
  ServerEvents,
  ViewRequest,
  WireParticipant,
} from "./types";

export type CallState =
  | "idle" /* Made, nothing sent. */
  | "outgoing" /* Rings at the others. */
  | "incoming" /* Rings here. */
  | "connecting" /* Answered; media isn't there yet. */
  | "active"
  | "reconnecting" /* Media was there and is interrupted. */
  | "ended";

/** Why it ended: the server's words, and `media_denied` and the like where it never began. */
export type EndReason = string;

export interface CallOptions {
  /** How long peer to peer may take to connect before both move to the SFU. */
  fallbackAfterMs: number;
  iceTransportPolicy: RTCIceTransportPolicy;
  /** Diagnosis: no candidates are exchanged between the two, so that the SFU has to carry it. */
  blockP2P: boolean;
  statsEveryMs: number;
}

export const DEFAULT_CALL_OPTIONS: CallOptions = {
  fallbackAfterMs: 8_000,
  iceTransportPolicy: "all",
  blockP2P: false,
  statsEveryMs: 5_000,
};

/** What a call needs from its surroundings; tests bring their own. */
export interface CallContext {
  userId: string;
  request<T>(type: string, data: object, flags?: SendFlags): Promise<T>;
  online(): boolean;
  createPeer(configuration: RTCConfiguration): RTCPeerConnection;
  iceServers(): Promise<RTCIceServer[]>;
  createMedia(): LocalMedia;
  now(): number;
  options: CallOptions;
}

export interface CallTarget {
  userId?: string;
  conversationId?: string;
}

export interface CallEvents {
  /** Anything a screen shows may have changed: read the call's properties again. */
  change: undefined;
  state: { state: CallState; previous: CallState };
  ended: { reason: EndReason };
  stats: CallStats;
  /** Something that doesn't end the call: a camera that can't be opened, for one. */
  problem: SottoError;
}

/** A call is given up when peer to peer was connected once and stays broken for this long. */
const BROKEN_P2P_MS = 8_000;
/** TURN credentials are renewed this long before they run out. */
const RENEW_BEFORE_MS = 60_000;
/** The old connections are kept this long at most while the call moves to the SFU. */
const MOVE_MS = 8_000;

/**
 * One call, from the first ring to the end, whichever way its media goes. Its transports come and
 * go (peer to peer, then the SFU) under the same id; what a screen shows stays.
 */
export class Call extends Emitter<CallEvents> implements TransportHost {
  callId = "";
  conversationId: string | null = null;
  readonly direction: "outgoing" | "incoming";
  media: Media;
  mode: "p2p" | "sfu" = "p2p";
  state: CallState = "idle";
  endReason: EndReason | null = null;
  /** Some device of the other side rings. */
  ringing = false;
  from: CallerInfo | null = null;
  expiresAt: number | null = null;
  /** ms since the epoch; what the shown time counts from. */
  answeredAt: number | null = null;
  endedAt: number | null = null;
  path: CallPath | null = null;
  quality: Quality = "unknown";
  lastStats: CallStats | null = null;
  iceServers: RTCIceServer[] = [];
  cameraError: SottoError | null = null;
  readonly roster: Roster;
  private readonly context: CallContext;
  private readonly local: LocalMedia;
  private transport: Transport | null = null;
  private retiring: Transport | null = null;
  private meter = new StatsMeter();
  private muted = false;
  private cameraOn = false;
  private linkedOnce = false;
  private p2pUserId: string | null = null;
  private builds = 0;
  private early: (() => void)[] = [];
  private fallbackTimer: ReturnType<typeof setTimeout> | undefined;
  private moveTimer: ReturnType<typeof setTimeout> | undefined;
  private statsTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(context: CallContext, direction: "outgoing" | "incoming", media: Media) {
    super();
    this.context = context;
    this.direction = direction;
    this.media = media;
    this.local = context.createMedia();
    this.roster = new Roster(context.userId);
  }

  /* What a screen reads */

  get localStream(): MediaStream {
    return this.local.stream;
  }
  get audioOn(): boolean {
    return !this.muted;
  }
  get videoOn(): boolean {
    return this.cameraOn;
  }
  get participants(): Participant[] {
    return this.roster.others();
  }
  get live(): boolean {
    return this.state !== "ended";
  }
  get sfuGeneration(): number {
    return this.transport instanceof SfuTransport
      ? this.builds - 1 + this.transport.generation
      : this.builds;
  }

  /** What has to be played to hear everyone. In a group these are slots, not persons. */
  audioTracks(): MediaStreamTrack[] {
    return this.transport?.audio() ?? [];
  }

  /** Figures of what is received of one person. */
  async participantStats(userId: string): Promise<TrackStats> {
    const participant = this.roster.byUser(userId);
    if (!participant || !this.transport) return { framesDecoded: 0, audioEnergy: 0 };
    return this.transport.trackStats(participant.participantId);
  }

  /** One summary of everything: {framesDecoded, audioEnergy} a user name, path and quality. */
  async getStats(): Promise<{ path: CallPath | null; remotes: Record<string, TrackStats> }> {
    const remotes: Record<string, TrackStats> = {};
    for (const participant of this.participants) {
      if (!participant.joined) continue;
      remotes[participant.username] = await this.participantStats(participant.userId);
    }
    return { path: this.path, remotes };
  }

  /* TransportHost */

  get iceTransportPolicy(): RTCIceTransportPolicy {
    return this.context.options.iceTransportPolicy;
  }
  get blockP2P(): boolean {
    return this.context.options.blockP2P;
  }
  audioTrack(): MediaStreamTrack | null {
    return this.local.audioTrack;
  }
  videoTrack(): MediaStreamTrack | null {
    return this.local.videoTrack;
  }
  request<T>(type: string, data: object, flags?: SendFlags): Promise<T> {
    return this.context.request<T>(type, data, flags);
  }
  createPeer(configuration: RTCConfiguration): RTCPeerConnection {
    return this.context.createPeer(configuration);
  }
  async freshIceServers(): Promise<RTCIceServer[]> {
    const end = credentialsEnd(this.iceServers);
    if (end === null || end - this.context.now() > RENEW_BEFORE_MS) return this.iceServers;
    try {
      this.iceServers = await this.context.iceServers();
    } catch {
      // No server just now: the old ones may still do, and STUN needs no credentials.
    }
    return this.iceServers;
  }

  /* What a person does */

  /** Opens the microphone (and camera) first, so that nobody is rung by someone who can't talk. */
  async start(target: CallTarget, mode: "auto" | "p2p" | "sfu" = "auto"): Promise<void> {
    this.setState("outgoing");
    if (!(await this.openMedia(this.media === "video"))) return;
    try {
      const reply = await this.request<CallReply>("call_start", {
        ...target,
        media: this.media,
        mode,
      });
      this.begun(reply);
    } catch (error) {
      const { code } = asSottoError(error);
      this.finish(code === "call_ended" ? "failed" : code);
    }
  }

  /** Rings here: filled by the event, decided by accept() or decline(). */
  offered(event: ServerEvents["incoming_call"]): void {
    this.callId = event.callId;
    this.conversationId = event.conversationId ?? null;
    this.from = event.from;
    this.iceServers = event.iceServers ?? [];
    this.mode = event.mode === "sfu" ? "sfu" : "p2p";
    this.expiresAt = event.expiresAt ? Date.parse(event.expiresAt) : null;
    this.roster.add({
      participantId: "",
      userId: event.from.userId,
      ...(event.from.username === undefined ? {} : { username: event.from.username }),
      ...(event.from.displayName === undefined ? {} : { displayName: event.from.displayName }),
    });
    for (const participant of event.participants ?? []) this.roster.add(participant);
    if (this.state === "idle") this.setState("incoming");
  }

  async accept(media: Media = this.media): Promise<void> {
    if (this.state !== "incoming") return;
    this.media = media;
    this.setState("connecting");
    if (!(await this.openMedia(media === "video"))) return;
    try {
      const reply = await this.request<CallReply>(
        "accept_call",
        { callId: this.callId, media },
        { offline: "resend", timeoutMs: 15_000 },
      );
      this.answered(reply);
    } catch (error) {
      const { code } = asSottoError(error);
      this.finish(code === "conflict" || code === "call_ended" ? "handled_elsewhere" : code);
    }
  }

  decline(): void {
    if (this.state !== "incoming") return;
    this.sendAway("decline_call");
    this.finish("declined");
  }

  /** Ends it here at once; the server is told, if need be when the connection is back. */
  hangUp(): void {
    if (this.state === "ended") return;
    if (this.state === "incoming") {
      this.decline();
      return;
    }
    const answered = this.answeredAt !== null;
    if (this.callId) this.sendAway("hang_up");
    this.finish(answered ? "completed" : "cancelled");
  }

  /** Into a call that runs already: a group one I was invited to, or mine after a reload. */
  async join(callId: string, withVideo: boolean): Promise<void> {
    this.callId = callId;
    this.setState("connecting");
    if (!(await this.openMedia(withVideo))) return;
    await this.rejoin(true);
  }

  async invite(userIds: string[]): Promise<void> {
    const reply = await this.request<{ participants?: WireParticipant[] }>("call_invite", {
      callId: this.callId,
      userIds,
    });
    for (const participant of reply.participants ?? []) this.roster.add(participant);
    this.changed();
  }

  setMuted(muted: boolean): void {
    this.muted = muted;
    const track = this.local.audioTrack;
    if (track) track.enabled = !muted;
    this.tellUpdate({ audio: !muted });
    this.changed();
  }

  async setCamera(on: boolean): Promise<void> {
    if (on === this.cameraOn || this.state === "ended") return;
    try {
      if (on) await this.local.openCamera();
      else this.local.closeCamera();
      this.cameraOn = on;
      this.cameraError = null;
    } catch (error) {
      this.cameraError = asSottoError(error);
      this.emit("problem", this.cameraError);
    }
    await this.transport?.updateTracks();
    this.tellUpdate({ video: this.cameraOn });
    this.changed();
  }

  async setView(video: ViewRequest[]): Promise<void> {
    if (this.transport instanceof SfuTransport) await this.transport.setView(video);
  }

  /* What the server says */

  /** The server's answer to call_start or call_join. */
  begun(reply: CallReply): void {
    this.takeReply(reply);
    if (this.state === "ended") {
      this.sendAway("hang_up"); // Hung up while call_start was on its way.
      return;
    }
    if (reply.joined || reply.status === "active") this.answered(reply);
    else this.flushEarly();
    this.changed();
  }

  onRinging(): void {
    this.ringing = true;
    this.changed();
  }

  onAccepted(event: ServerEvents["call_accepted"]): void {
    this.whenReady(() => {
      if (event.userId !== this.context.userId) this.roster.markJoined(event.userId);
      if (this.state === "incoming") {
        this.changed(); // Somebody else of a group has answered; it rings on here.
        return;
      }
      this.answeredAt ??= this.context.now();
      if (this.state !== "outgoing") {
        this.changed();
        return;
      }
      this.setState("connecting");
      if (this.mode === "sfu") this.useSfu();
      else this.useP2P(true);
    });
  }

  onDescription(event: ServerEvents["call_description"]): void {
    this.whenReady(() => {
      if (this.transport instanceof P2PTransport) {
        void this.transport.onDescription(event.description);
      }
    });
  }

  onCandidate(event: ServerEvents["ice_candidate"]): void {
    this.whenReady(() => {
      if (this.transport instanceof P2PTransport) void this.transport.onCandidate(event.candidate);
    });
  }

  onFallback(event: ServerEvents["call_fallback"]): void {
    this.whenReady(() => {
      if (this.state === "incoming" || this.state === "outgoing") {
        this.mode = "sfu"; // Not answered yet: it will start there.
        return;
      }
      if (this.transport instanceof SfuTransport) {
        if (event.reason === "sfu_restarted") this.transport.rebuild();
        return;
      }
      this.mode = "sfu";
      this.useSfu();
    });
  }

  onParticipant(kind: "joined" | "left" | "updated", wire: WireParticipant): void {
    if (kind === "left") this.roster.left(wire);
    else this.roster.add(kind === "joined" ? { ...wire, state: "joined" } : wire);
    this.bindTracks();
    this.changed();
    if (kind === "joined" && wire.userId !== this.context.userId) {
      this.onAccepted({ callId: this.callId, userId: wire.userId });
    }
  }

  onSlots(event: ServerEvents["sfu_slots"]): void {
    if (this.transport instanceof SfuTransport) this.transport.onSlots(event);
  }

  onSpeakers(event: ServerEvents["active_speakers"]): void {
    this.roster.speaking(event.speakers);
    this.changed();
  }

  onEnded(reason: EndReason): void {
    this.finish(reason);
  }

  /** The socket is back. Media that flows isn't touched. */
  async onResumed(listed: boolean, lookUp: () => Promise<CallRecord>): Promise<void> {
    if (!this.callId || this.state === "ended") return;
    if (!listed) {
      let record: CallRecord;
      try {
        record = await lookUp();
      } catch (error) {
        if (asSottoError(error).status >= 400 && asSottoError(error).status < 500) {
          this.finish("failed");
        }
        return;
      }
      if (record.status === "ended") {
        this.finish(record.reason ?? "completed");
        return;
      }
      if (this.state !== "incoming" && this.state !== "outgoing") await this.rejoin(false);
    }
    this.transport?.recover();
  }

  /* Inside */

  private async rejoin(fresh: boolean): Promise<void> {
    try {
      const reply = await this.request<CallReply>(
        "call_join",
        { callId: this.callId },
        { offline: "resend", timeoutMs: 15_000 },
      );
      this.takeReply(reply);
      if (fresh || !this.transport) {
        this.answered(reply);
        // After a reload there is nobody who would make an offer to this new connection.
        if (this.mode === "p2p") this.askFallback("ice_failed");
      } else if (reply.mode === "sfu" && this.transport.kind === "p2p") this.useSfu();
      this.tellUpdate({ audio: this.audioOn, video: this.cameraOn });
    } catch (error) {
      const { code, temporary } = asSottoError(error);
      if (!temporary || fresh) this.finish(code === "call_ended" ? "completed" : code);
    }
  }

  private async openMedia(video: boolean): Promise<boolean> {
    try {
      const { cameraError } = await this.local.open(video);
      this.cameraOn = this.local.videoTrack !== null;
      if (cameraError) {
        this.cameraError = cameraError;
        this.emit("problem", cameraError);
      }
    } catch (error) {
      if (!this.live) return false;
      const problem = asSottoError(error);
      this.emit("problem", problem);
      // Without a microphone here it goes on ringing: another device may take it.
      if (this.from && this.answeredAt === null) this.setState("incoming");
      else this.finish(problem.code);
      return false;
    }
    if (!this.live) return false;
    this.changed();
    return true;
  }

  private takeReply(reply: CallReply): void {
    this.callId = reply.callId || this.callId;
    this.conversationId = reply.conversationId ?? this.conversationId;
    if (reply.iceServers?.length) this.iceServers = reply.iceServers;
    if (reply.expiresAt) this.expiresAt = Date.parse(reply.expiresAt);
    if (reply.mode) this.mode = reply.mode === "sfu" ? "sfu" : "p2p";
    for (const participant of reply.participants ?? []) this.roster.add(participant);
  }

  /** This side has accepted (or joined, or glare did it): media may start. */
  private answered(reply: CallReply): void {
    this.takeReply(reply);
    if (this.state === "ended") {
      this.sendAway("hang_up");
      return;
    }
    this.answeredAt ??= this.context.now();
    if (this.from) this.roster.markJoined(this.from.userId);
    this.setState("connecting");
    if (this.mode === "sfu") this.useSfu();
    else this.useP2P(false);
    this.tellUpdate({ audio: this.audioOn, video: this.cameraOn });
    this.flushEarly();
  }

  private useP2P(caller: boolean): void {
    if (this.transport) return;
    const others = this.participants;
    this.p2pUserId = (others.find((person) => person.joined) ?? others[0])?.userId ?? null;
    const transport = new P2PTransport(this, caller);
    this.adopt(transport);
    clearTimeout(this.fallbackTimer);
    this.fallbackTimer = setTimeout(() => {
      this.askFallback("timeout");
    }, this.context.options.fallbackAfterMs);
    transport.start();
    if (caller) this.tellUpdate({ audio: this.audioOn, video: this.cameraOn });
  }

  private useSfu(): void {
    if (this.transport instanceof SfuTransport || this.state === "ended") return;
    clearTimeout(this.fallbackTimer);
    const before = this.transport;
    this.mode = "sfu";
    if (before?.link === "connected") {
      // Faces stay on screen until the SFU carries the call.
      this.retiring?.close();
      this.retiring = before;
      this.moveTimer = setTimeout(() => {
        this.retire();
      }, MOVE_MS);
    } else before?.close();
    this.builds += 1;
    const transport = new SfuTransport(this);
    this.adopt(transport);
    transport.start();
  }

  private adopt(transport: Transport): void {
    this.transport = transport;
    this.meter = new StatsMeter();
    transport.on("link", (link) => {
      if (transport === this.transport) this.onLink(link);
    });
    transport.on("tracks", () => {
      if (transport !== this.transport) return;
      this.bindTracks();
      this.changed();
    });
    transport.on("error", (error) => {
      this.emit("problem", error);
    });
  }

  private onLink(link: LinkState): void {
    const p2p = this.transport?.kind === "p2p";
    if (link === "connected") {
      clearTimeout(this.fallbackTimer);
      this.linkedOnce = true;
      this.retire();
      this.bindTracks();
      this.setState("active");
      this.scheduleStats(200);
    } else if (link === "failed" && p2p && !this.linkedOnce) {
      this.askFallback("ice_failed");
    } else if (link === "interrupted" || link === "failed") {
      if (this.state === "active") this.setState("reconnecting");
      if (p2p) {
        clearTimeout(this.fallbackTimer);
        this.fallbackTimer = setTimeout(() => {
          this.askFallback("ice_failed");
        }, BROKEN_P2P_MS);
      } else if (link === "failed") {
        this.finish("failed");
      }
    }
  }

  private askFallback(reason: "ice_failed" | "timeout"): void {
    clearTimeout(this.fallbackTimer);
    if (this.state === "ended" || this.transport?.kind !== "p2p") return;
    this.request("call_fallback", { callId: this.callId, reason }, { offline: "queue" })
      .then(() => {
        this.useSfu();
      })
      .catch((error: unknown) => {
        const failure = asSottoError(error);
        if (this.state === "ended" || this.transport?.kind !== "p2p") return;
        if (["call_ended", "call_not_found", "not_participant"].includes(failure.code)) {
          this.finish("failed");
          return;
        }
        // No SFU just now: peer to peer may still make it, and then this timer is off.
        this.fallbackTimer = setTimeout(
          () => {
            this.askFallback(reason);
          },
          Math.max(1_000, failure.retryAfterMs ?? 0),
        );
      });
  }

  private retire(): void {
    clearTimeout(this.moveTimer);
    this.retiring?.close();
    this.retiring = null;
  }

  /** Gives every participant's stream the tracks that carry him now. Until the SFU has a picture,
   *  the old connection's stays. */
  private bindTracks(): void {
    for (const participant of this.participants) {
      const carriers = [this.transport, this.retiring].filter(
        (carrier) =>
          carrier && (carrier.kind === "sfu" || participant.userId === this.p2pUserId),
      );
      const find = (
        pick: (carrier: Transport) => MediaStreamTrack | null,
      ): MediaStreamTrack | null => {
        for (const carrier of carriers) {
          const track = carrier && pick(carrier);
          if (track) return track;
        }
        return null;
      };
      setTracks(
        participant.stream,
        find((carrier) => carrier.remoteVideo(participant.participantId)),
        find((carrier) => carrier.remoteAudio(participant.participantId)),
      );
    }
  }

  private tellUpdate(update: { audio?: boolean; video?: boolean }): void {
    if (!this.callId || this.answeredAt === null || this.state === "ended") return;
    this.request("call_update", { callId: this.callId, ...update }, { offline: "resend" }).catch(
      () => {
        // The next change, or the next rejoin, says it again.
      },
    );
  }

  private sendAway(type: "hang_up" | "decline_call"): void {
    this.request(type, { callId: this.callId }, { offline: "resend", timeoutMs: 60_000 }).catch(
      () => {
        // Ended there already, or by the server when the grace is over.
      },
    );
  }

  private scheduleStats(delay = this.context.options.statsEveryMs): void {
    clearTimeout(this.statsTimer);
    this.statsTimer = setTimeout(() => {
      void this.measure().finally(() => {
        if (this.live) this.scheduleStats();
      });
    }, delay);
  }

  private async measure(): Promise<void> {
    const { transport } = this;
    if (!transport || !this.live) return;
    const reports = await transport.stats();
    if (transport !== this.transport || !this.live || transport.link !== "connected") return;
    const stats = this.meter.measure(
      reports,
      this.context.now(),
      transport.kind === "sfu" ? "sfu" : undefined,
    );
    this.path = stats.path;
    this.quality = stats.quality;
    this.lastStats = stats;
    this.emit("stats", stats);
    this.changed();
    if (!this.context.online()) return;
    const report: Partial<CallStats> = { ...stats };
    if (report.quality === "unknown") delete report.quality;
    await this.request("call_stats", { callId: this.callId, ...report }).catch(() => {
      // Only figures: the next ones come in five seconds.
    });
  }

  /** Events may overtake the reply that gives this call its id and its servers. */
  private whenReady(work: () => void): void {
    const ready = this.callId !== "" && (this.direction === "outgoing" || this.transport !== null);
    if (ready || this.state === "incoming") work();
    else this.early.push(work);
  }

  private flushEarly(): void {
    for (const work of this.early.splice(0)) work();
  }

  private finish(reason: EndReason): void {
    if (this.state === "ended") return;
    this.endReason = reason;
    this.endedAt = this.context.now();
    for (const timer of [this.fallbackTimer, this.moveTimer, this.statsTimer]) clearTimeout(timer);
    this.retire();
    this.transport?.close();
    this.local.close();
    this.early = [];
    this.setState("ended");
    this.emit("ended", { reason });
  }

  private setState(state: CallState): void {
    const previous = this.state;
    if (previous === state || previous === "ended") return;
    this.state = state;
    this.emit("state", { state, previous });
    this.changed();
  }

  private changed(): void {
    this.emit("change", undefined);
  }
}

/** When the first of the TURN credentials runs out, in ms since the epoch: coturn's shared-secret
 *  scheme has the time in the user name, `seconds:pseudonym`. Null where none has one. */
export function credentialsEnd(servers: RTCIceServer[]): number | null {
  const ends = servers
    .map((server) => /^(\d{9,11}):/.exec(server.username ?? "")?.[1])
    .filter((seconds) => seconds !== undefined)
    .map((seconds) => Number(seconds) * 1000);
  return ends.length > 0 ? Math.min(...ends) : null;
}

function setTracks(stream: MediaStream, ...wanted: (MediaStreamTrack | null)[]): void {
  for (const track of stream.getTracks()) {
    if (!wanted.includes(track)) stream.removeTrack(track);
  }
  for (const track of wanted) {
    if (track && !stream.getTracks().includes(track)) stream.addTrack(track);
  }
}
