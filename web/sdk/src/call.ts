import type { CallContext, CallEvents, CallState, CallTarget, EndReason } from "./call_types";
import { Emitter } from "./emitter";
import { asSottoError, type SottoError } from "./errors";
import type { PipeReport } from "./frame_pipes";
import { credentialsEnd } from "./ice_servers";
import type { LocalMedia } from "./media";
import { MediaPath } from "./media_path";
import { Roster, type Participant } from "./participants";
import type { CallStats, Quality, TrackStats } from "./stats";
import type { SendFlags, TransportHost } from "./transport";
import type {
  CallerInfo,
  CallPath,
  CallRecord,
  CallReply,
  Media,
  ServerCallStats,
  ServerEvents,
  ViewRequest,
  WireParticipant,
} from "./types";
import type { VideoSource } from "./view";

/** TURN credentials are renewed this long before they run out. */
const RENEW_BEFORE_MS = 60_000;
/** How long after its end a ringing that the server can't end any more ends by itself. */
const EXPIRY_SLACK_MS = 3_000;

/**
 * One call, from the first ring to the end, whichever way its media goes. Its transports come and
 * go (peer to peer, then the SFU) under the same id; what a screen shows stays.
 */
export class Call extends Emitter<CallEvents> implements TransportHost {
  callId = "";
  conversationId: string | null = null;
  /** Whom start() was asked to call: known before the server answers, and after everyone has gone. */
  target: CallTarget | null = null;
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
  private readonly carrier: MediaPath;
  private muted = false;
  private cameraOn = false;
  private cameraBusy = false;
  private expiryTimer: ReturnType<typeof setTimeout> | undefined;
  private early: (() => void)[] = [];

  constructor(context: CallContext, direction: "outgoing" | "incoming", media: Media) {
    super();
    this.context = context;
    this.direction = direction;
    this.media = media;
    this.local = context.createMedia();
    this.roster = new Roster(context.userId);
    this.carrier = new MediaPath(this, context.options, this.roster, () => context.now());
    this.watchCarrier();
    const { mediaKey } = context.options;
    if (mediaKey) {
      this.carrier.setMediaKey(mediaKey, true).catch((error: unknown) => {
        this.emit("problem", asSottoError(error));
      });
    }
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
    return this.carrier.sfuGeneration;
  }

  /** What has to be played to hear everyone. In a group these are slots, not persons. */
  audioTracks(): MediaStreamTrack[] {
    return this.carrier.audioTracks();
  }

  /** Figures of what is received of one person. */
  participantStats(userId: string): Promise<TrackStats> {
    return this.carrier.trackStats(userId);
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
    this.target = target;
    this.conversationId = target.conversationId ?? null;
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
    this.watchExpiry();
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
    this.cameraOn = on;
    this.changed();
    // While the device is still being opened, only the wish is noted; who opens it looks again.
    if (this.cameraBusy) return;
    this.cameraBusy = true;
    try {
      await this.followCamera();
      this.cameraError = null;
    } catch (error) {
      this.cameraOn = false;
      this.cameraError = asSottoError(error);
      this.emit("problem", this.cameraError);
    }
    this.cameraBusy = false;
    if (!this.live) return;
    await this.carrier.updateTracks();
    this.tellUpdate({ video: this.cameraOn });
    this.changed();
  }

  /** Who should be in which video slot, for those who don't leave that to watch(). */
  setView(video: ViewRequest[]): void {
    this.carrier.setView(video);
  }

  /** The element shows this person. Once this is used only pictures that are on the screen are
   *  received, each as large as its element; the function that is returned ends it. */
  watch(userId: string, element: Element, source: VideoSource = "camera"): () => void {
    return this.carrier.watch(userId, element, source);
  }

  /** Encrypts what goes over the SFU end to end, from the first key on. The newest key that may be
   *  sent with (`send`) seals; the last few open. */
  setMediaKey(keyId: number, key: Uint8Array, { send = true } = {}): Promise<void> {
    return this.carrier.setMediaKey({ keyId, key }, send);
  }

  /** What is sealed with it can't be read here any more. */
  forgetMediaKey(keyId: number): void {
    this.carrier.forgetMediaKey(keyId);
  }

  /** Counts of the encryption; null where there is none. */
  get encryption(): PipeReport | null {
    return this.carrier.encryption;
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
      this.connect(true);
    });
  }

  onDescription(event: ServerEvents["call_description"]): void {
    this.whenReady(() => {
      this.carrier.onDescription(event);
    });
  }

  onCandidate(event: ServerEvents["ice_candidate"]): void {
    this.whenReady(() => {
      this.carrier.onCandidate(event);
    });
  }

  onFallback(event: ServerEvents["call_fallback"]): void {
    this.whenReady(() => {
      this.mode = "sfu";
      // Not answered yet: it will start there.
      if (this.state === "incoming" || this.state === "outgoing") return;
      this.carrier.onFallback(event.reason);
    });
  }

  onParticipant(kind: "joined" | "left" | "updated", wire: WireParticipant): void {
    if (kind === "left") this.roster.left(wire);
    else this.roster.add(kind === "joined" ? { ...wire, state: "joined" } : wire);
    this.carrier.bindTracks();
    this.changed();
    if (kind === "joined" && wire.userId !== this.context.userId) {
      this.onAccepted({ callId: this.callId, userId: wire.userId });
    }
  }

  onSlots(event: ServerEvents["sfu_slots"]): void {
    this.carrier.onSlots(event);
  }

  onSpeakers(event: ServerEvents["active_speakers"]): void {
    this.roster.speaking(event.speakers);
    this.changed();
  }

  onServerStats(event: ServerCallStats): void {
    this.emit("serverStats", event);
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
    this.carrier.recover();
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
      if (fresh || this.carrier.kind === null) {
        this.answered(reply);
        // After a reload there is nobody who would make an offer to this new connection.
        if (this.mode === "p2p") this.carrier.askFallback("ice_failed");
      } else if (reply.mode === "sfu") this.carrier.useSfu();
      this.tellUpdate({ audio: this.audioOn, video: this.cameraOn });
    } catch (error) {
      const { code, temporary } = asSottoError(error);
      if (!temporary || fresh) this.finish(code === "call_ended" ? "completed" : code);
    }
  }

  /** Opens or closes the camera until it is as the person wants it by now. */
  private async followCamera(): Promise<void> {
    while (this.live && this.cameraOn !== (this.local.videoTrack !== null)) {
      if (this.cameraOn) await this.local.openCamera();
      else this.local.closeCamera();
    }
  }

  /** What is pressed while the browser still asks for permission counts: nobody who sees "muted"
   *  is heard. */
  private async openMedia(video: boolean): Promise<boolean> {
    this.cameraOn = video;
    this.cameraBusy = true;
    try {
      const { cameraError } = await this.local.open(video);
      const track = this.local.audioTrack;
      if (track) track.enabled = !this.muted;
      if (cameraError) {
        this.cameraOn = false;
        this.cameraError = cameraError;
        this.emit("problem", cameraError);
      }
      this.cameraBusy = false;
      if (this.cameraOn && !video) {
        this.cameraOn = false;
        void this.setCamera(true);
      } else if (!this.cameraOn) this.local.closeCamera();
    } catch (error) {
      this.cameraBusy = false;
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

  /** The server says when it stops ringing; where it can't be heard, this does. */
  private watchExpiry(): void {
    if (this.expiresAt === null) return;
    const left = Math.max(0, this.expiresAt - this.context.now()) + EXPIRY_SLACK_MS;
    this.expiryTimer = setTimeout(() => {
      if (this.state === "incoming" && !this.context.online()) this.finish("missed");
    }, left);
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
    this.connect(false);
    this.flushEarly();
  }

  private connect(caller: boolean): void {
    if (this.mode === "sfu") this.carrier.useSfu();
    else this.carrier.useP2P(caller);
    this.tellUpdate({ audio: this.audioOn, video: this.cameraOn });
  }

  private watchCarrier(): void {
    this.carrier.on("connected", () => {
      this.setState("active");
    });
    this.carrier.on("interrupted", () => {
      if (this.state === "active") this.setState("reconnecting");
    });
    this.carrier.on("lost", () => {
      this.finish("failed");
    });
    this.carrier.on("tracks", () => {
      this.changed();
    });
    this.carrier.on("stats", (stats) => {
      this.measured(stats);
    });
    this.carrier.on("problem", (error) => {
      this.emit("problem", error);
    });
  }

  private measured(stats: CallStats): void {
    this.path = stats.path;
    this.quality = stats.quality;
    this.lastStats = stats;
    this.emit("stats", stats);
    this.changed();
    if (!this.context.online()) return;
    this.request("call_stats", { callId: this.callId, ...stats }).catch(() => {
      // Only figures: the next ones come in five seconds.
    });
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

  /** Events may overtake the reply that gives this call its id and its servers. */
  private whenReady(work: () => void): void {
    const ready = this.callId !== "" && (this.direction === "outgoing" || this.carrier.kind !== null);
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
    this.carrier.close();
    this.local.close();
    this.early = [];
    clearTimeout(this.expiryTimer);
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
    this.carrier.rosterChanged();
    this.emit("change", undefined);
  }
}
