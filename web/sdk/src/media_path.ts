import type { CallOptions } from "./call_types";
import { Emitter } from "./emitter";
import { MediaEncryption, type MediaKey } from "./encryption";
import { SottoError, asSottoError } from "./errors";
import { P2PTransport } from "./p2p";
import type { PipeReport } from "./frame_pipes";
import type { Roster } from "./participants";
import { SfuTransport, VIDEO_SLOTS } from "./sfu";
import { StatsMeter, type CallStats, type TrackStats } from "./stats";
import type { LinkState, Transport, TransportHost } from "./transport";
import type { ServerEvents, VideoSlot, ViewRequest } from "./types";
import { ViewKeeper, type VideoSource } from "./view";

/** Peer to peer that was connected once is given up when it stays broken for this long. */
const BROKEN_P2P_MS = 8_000;
/** The old connections are kept this long at most while the call moves to the SFU. */
const MOVE_MS = 8_000;
/** The first figures come soon, so that a short call has a path too. */
const FIRST_STATS_MS = 200;

export interface MediaPathEvents {
  connected: undefined;
  interrupted: undefined;
  /** Nothing can carry this call any more. */
  lost: undefined;
  /** Streams of participants, or what is to be played, have changed. */
  tracks: undefined;
  stats: CallStats;
  problem: SottoError;
}

/**
 * The way the media of one call takes: peer to peer first where that is allowed, then the SFU. It
 * decides when to ask for the fallback, keeps the old way until the new one carries, puts tracks
 * into the participants' streams, and measures.
 */
export class MediaPath extends Emitter<MediaPathEvents> {
  private readonly host: TransportHost;
  private readonly options: CallOptions;
  private readonly roster: Roster;
  private readonly now: () => number;
  private transport: Transport | null = null;
  private retiring: Transport | null = null;
  private meter = new StatsMeter();
  private p2pUserId: string | null = null;
  private linkedOnce = false;
  private closed = false;
  private builds = 0;
  private view: ViewRequest[] | null = null;
  private readonly views: ViewKeeper;
  private cipher: MediaEncryption | null = null;
  private unsafe = false;
  private fallbackTimer: ReturnType<typeof setTimeout> | undefined;
  private moveTimer: ReturnType<typeof setTimeout> | undefined;
  private statsTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(host: TransportHost, options: CallOptions, roster: Roster, now: () => number) {
    super();
    this.host = host;
    this.options = options;
    this.roster = roster;
    this.now = now;
    const room = {
      participantId: (userId: string): string | null => {
        const person = roster.byUser(userId);
        return person?.joined && person.video && person.participantId ? person.participantId : null;
      },
      speaking: (userId: string): boolean => roster.byUser(userId)?.speaking ?? false,
      slots: (): VideoSlot[] =>
        this.transport instanceof SfuTransport ? this.transport.slots.videos : [],
    };
    this.views = new ViewKeeper(room, VIDEO_SLOTS, (view) => {
      this.setView(view);
    });
  }

  get kind(): "p2p" | "sfu" | null {
    return this.transport?.kind ?? null;
  }

  /** How often connections to the SFU were built: 0 while peer to peer. */
  get sfuGeneration(): number {
    const { transport } = this;
    return transport instanceof SfuTransport
      ? this.builds - 1 + transport.generation
      : this.builds;
  }

  audioTracks(): MediaStreamTrack[] {
    return this.transport?.audio() ?? [];
  }

  async trackStats(userId: string): Promise<TrackStats> {
    const participant = this.roster.byUser(userId);
    if (!participant || !this.transport) return { framesDecoded: 0, audioEnergy: 0 };
    return this.transport.trackStats(participant.participantId);
  }

  useP2P(caller: boolean): void {
    if (this.transport || this.closed) return;
    const others = this.roster.others();
    this.p2pUserId = (others.find((person) => person.joined) ?? others[0])?.userId ?? null;
    const transport = new P2PTransport(this.host, caller);
    this.adopt(transport);
    this.armFallback("timeout", this.options.fallbackAfterMs);
    transport.start();
  }

  useSfu(): void {
    if (this.transport instanceof SfuTransport || this.closed) return;
    clearTimeout(this.fallbackTimer);
    if (this.unsafe) {
      this.emit("lost", undefined);
      return;
    }
    const before = this.transport;
    if (before?.link === "connected") {
      // Faces stay on screen until the SFU carries the call.
      this.retiring = before;
      this.moveTimer = setTimeout(() => {
        this.retire();
      }, MOVE_MS);
    } else before?.close();
    this.builds += 1;
    const transport = new SfuTransport(this.host, this.options.videoCodec, this.cipher);
    if (this.view) transport.setView(this.view);
    this.adopt(transport);
    transport.start();
  }

  onFallback(reason: string): void {
    if (!(this.transport instanceof SfuTransport)) this.useSfu();
    else if (reason === "sfu_restarted") this.transport.rebuild();
  }

  onDescription(event: ServerEvents["call_description"]): void {
    if (this.transport instanceof P2PTransport) {
      void this.transport.onDescription(event.description);
    }
  }

  onCandidate(event: ServerEvents["ice_candidate"]): void {
    if (this.transport instanceof P2PTransport) void this.transport.onCandidate(event.candidate);
  }

  onSlots(event: ServerEvents["sfu_slots"]): void {
    if (this.transport instanceof SfuTransport) this.transport.onSlots(event);
  }

  setView(video: ViewRequest[]): void {
    this.view = video;
    if (this.transport instanceof SfuTransport) this.transport.setView(video);
  }

  /** The element shows this person: from now on only what is shown is asked for. */
  watch(userId: string, element: Element, source: VideoSource): () => void {
    return this.views.watch(userId, element, source);
  }

  /** People came, went, speak, or turned their cameras on or off. */
  rosterChanged(): void {
    this.views.changed();
  }

  get encryption(): PipeReport | null {
    return this.cipher?.last ?? null;
  }

  /** The first key turns encryption on; connections to the SFU that are there are made anew. */
  async setMediaKey(key: MediaKey, send: boolean): Promise<void> {
    if (this.closed) return;
    await this.encrypt().setKey(key, send);
  }

  forgetMediaKey(keyId: number): void {
    this.cipher?.forgetKey(keyId);
  }

  /** What goes over the SFU is encrypted from now on; without a key, nothing goes. */
  encrypt(): MediaEncryption {
    if (this.cipher) return this.cipher;
    let cipher: MediaEncryption;
    try {
      cipher = new MediaEncryption(this.options.frameWorker);
    } catch (error) {
      // Asked for and not to be had: then nothing goes over the SFU, rather than in the clear.
      this.unsafe = true;
      if (this.kind === "sfu") this.emit("lost", undefined);
      throw error;
    }
    this.cipher = cipher;
    cipher.on("report", (report) => {
      this.onReport(report);
    });
    if (this.transport instanceof SfuTransport) this.transport.encrypt(cipher);
    return cipher;
  }

  async updateTracks(): Promise<void> {
    await this.transport?.updateTracks();
  }

  recover(): void {
    this.transport?.recover();
  }

  /** Asks the server to move both sides to the SFU; again and again while it can't. */
  askFallback(reason: "ice_failed" | "timeout"): void {
    clearTimeout(this.fallbackTimer);
    if (this.closed || this.kind !== "p2p") return;
    this.host
      .request("call_fallback", { callId: this.host.callId, reason }, { offline: "queue" })
      .then(() => {
        this.useSfu();
      })
      .catch((error: unknown) => {
        const { code, retryAfterMs = 0 } = asSottoError(error);
        if (this.closed || this.kind !== "p2p") return;
        if (["call_ended", "call_not_found", "not_participant"].includes(code)) {
          this.emit("lost", undefined);
          return;
        }
        // No SFU just now: peer to peer may still make it, and then this timer is off.
        this.armFallback(reason, Math.max(1_000, retryAfterMs));
      });
  }

  /** Gives every participant's stream the tracks that carry him now. Until the SFU has a picture,
   *  the old connection's stays. */
  bindTracks(): void {
    for (const participant of this.roster.others()) {
      const carriers = [this.transport, this.retiring].filter(
        (carrier) => carrier?.kind === "sfu" || participant.userId === this.p2pUserId,
      );
      const first = (
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
        first((carrier) => carrier.remoteVideo(participant.participantId)),
        first((carrier) => carrier.remoteAudio(participant.participantId)),
      );
    }
  }

  close(): void {
    this.closed = true;
    for (const timer of [this.fallbackTimer, this.moveTimer, this.statsTimer]) clearTimeout(timer);
    this.retire();
    this.views.close();
    this.transport?.close();
    this.cipher?.close();
    this.removeAll();
  }

  /** Who can't be read is marked, and told once. */
  private onReport({ unreadable, readable }: PipeReport): void {
    for (const person of this.roster.others()) {
      const { number } = person;
      if (number === null || person.unreadable === unreadable.includes(number)) continue;
      if (person.unreadable && !readable.includes(number)) continue;
      person.unreadable = !person.unreadable;
      if (person.unreadable) {
        this.emit("problem", new SottoError("encryption_unreadable", { detail: person.username }));
      }
      this.emit("tracks", undefined);
    }
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
      this.emit("tracks", undefined);
    });
    transport.on("error", (error) => {
      this.emit("problem", error);
    });
  }

  private onLink(link: LinkState): void {
    const p2p = this.kind === "p2p";
    if (link === "connected") {
      clearTimeout(this.fallbackTimer);
      this.linkedOnce = true;
      this.retire();
      this.bindTracks();
      this.emit("connected", undefined);
      this.scheduleStats(FIRST_STATS_MS);
    } else if (link === "failed" && p2p && !this.linkedOnce) {
      this.askFallback("ice_failed");
    } else if (link === "interrupted" || link === "failed") {
      this.emit("interrupted", undefined);
      if (p2p) this.armFallback("ice_failed", BROKEN_P2P_MS);
      else if (link === "failed") this.emit("lost", undefined);
    }
  }

  private armFallback(reason: "ice_failed" | "timeout", delay: number): void {
    clearTimeout(this.fallbackTimer);
    this.fallbackTimer = setTimeout(() => {
      this.askFallback(reason);
    }, delay);
  }

  private retire(): void {
    clearTimeout(this.moveTimer);
    this.retiring?.close();
    this.retiring = null;
  }

  private scheduleStats(delay = this.options.statsEveryMs): void {
    clearTimeout(this.statsTimer);
    this.statsTimer = setTimeout(() => {
      void this.measure().finally(() => {
        if (!this.closed) this.scheduleStats();
      });
    }, delay);
  }

  private async measure(): Promise<void> {
    const { transport } = this;
    if (!transport) return;
    const reports = await transport.stats();
    if (transport !== this.transport || this.closed || transport.link !== "connected") return;
    const fixed = transport.kind === "sfu" ? "sfu" : undefined;
    this.emit("stats", this.meter.measure(reports, this.now(), fixed));
  }
}

function setTracks(stream: MediaStream, ...wanted: (MediaStreamTrack | null)[]): void {
  for (const track of stream.getTracks()) {
    if (!wanted.includes(track)) stream.removeTrack(track);
  }
  for (const track of wanted) {
    if (track && !stream.getTracks().includes(track)) stream.addTrack(track);
  }
}
