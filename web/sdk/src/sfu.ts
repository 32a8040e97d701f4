import { Backoff } from "./backoff";
import { Emitter } from "./emitter";
import type { VideoCodec } from "./encodings";
import type { MediaEncryption } from "./encryption";
import { asSottoError, type SottoError } from "./errors";
import { addCamera, addMicrophone, codecFor, fitCamera } from "./publish";
import { SlotMap } from "./slots";
import { recordsOf, type StatsMap, type TrackStats } from "./stats";
import {
  inboundStats,
  type LinkState,
  type SendFlags,
  type Transport,
  type TransportEvents,
  type TransportHost,
} from "./transport";
import type { ServerEvents, ViewRequest } from "./types";

export const AUDIO_SLOTS = 3;
export const VIDEO_SLOTS = 9;

const HEAL_MS = 2_500;
const RESTART_MS = 5_000;
const CONNECT_MS = 12_000;
const ASK: SendFlags = { offline: "queue", timeoutMs: 8_000 };

/** Refusals after which trying again can't help. */
const FINAL = new Set(["call_not_found", "call_ended", "not_participant", "forbidden"]);

type Which = "publish" | "subscribe";

interface PublishReply {
  sdp: string;
  /** Which participant we are: the CSRC of what we send. */
  participant?: number;
}

interface Side {
  which: Which;
  peer: RTCPeerConnection;
}

/**
 * Two peer connections to the forwarding unit: one that publishes (we offer) and one that
 * subscribes (it offers) with a fixed number of slots. When a connection is lost, ICE is restarted;
 * when that doesn't help, or the unit itself was restarted, both are built anew, again and again
 * until the call ends.
 */
export class SfuTransport extends Emitter<TransportEvents> implements Transport {
  readonly kind = "sfu";
  link: LinkState = "connecting";
  /** How many times the pair of connections was built: 1 for a call without trouble. */
  generation = 0;
  readonly slots = new SlotMap();
  private readonly host: TransportHost;
  private publish: Side | null = null;
  private subscribe: Side | null = null;
  private audioSender: RTCRtpSender | null = null;
  private videoSender: RTCRtpSender | null = null;
  private view: ViewRequest[] | null = null;
  private subscribed = false;
  private encryption: MediaEncryption | null;
  private healTimer: ReturnType<typeof setTimeout> | undefined;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly backoff = new Backoff({ baseMs: 400, maxMs: 3_000 });

  /** With `encryption` every frame goes through it, both ways. */
  constructor(
    host: TransportHost,
    private readonly codec: VideoCodec = "vp8",
    encryption: MediaEncryption | null = null,
  ) {
    super();
    this.host = host;
    this.encryption = encryption;
  }

  start(): void {
    this.rebuild();
  }

  close(): void {
    if (this.link === "closed") return;
    this.generation += 1;
    this.dropPeers();
    this.link = "closed";
    this.removeAll();
  }

  /** Both connections anew: the unit lost its state, or a connection could not be saved. */
  rebuild(): void {
    if (this.link === "closed") return;
    this.generation += 1;
    const generation = this.generation;
    this.dropPeers();
    this.slots.clear();
    this.subscribed = false;
    this.setLink(this.link === "connecting" ? "connecting" : "interrupted");
    this.build(generation).catch((error: unknown) => {
      this.buildFailed(generation, asSottoError(error));
    });
  }

  async updateTracks(): Promise<void> {
    await this.audioSender?.replaceTrack(this.host.audioTrack());
    const { videoSender } = this;
    if (!videoSender) return;
    await videoSender.replaceTrack(this.host.videoTrack());
    await this.fitCamera(videoSender);
  }

  /** From now on encrypted: connections that have sent in the clear are not used any more. */
  encrypt(encryption: MediaEncryption): void {
    if (this.encryption === encryption) return;
    this.encryption = encryption;
    this.rebuild();
  }

  recover(): void {
    if (this.link === "closed") return;
    this.tellView();
    if (this.link === "connected") return;
    if (this.publish && this.subscribe) this.restart();
  }

  onSlots(event: ServerEvents["sfu_slots"]): void {
    this.slots.update(event.audio, event.video);
    this.emit("tracks", undefined);
  }

  /** Which participants the video slots should carry, said again to every new connection. Without
   *  it the server fills them. */
  setView(video: ViewRequest[]): void {
    this.view = video;
    this.tellView();
  }

  remoteVideo(participantId: string): MediaStreamTrack | null {
    return this.receiverOf(this.slots.videoMid(participantId))?.track ?? null;
  }

  remoteAudio(participantId: string): MediaStreamTrack | null {
    return this.receiverOf(this.slots.audioMid(participantId))?.track ?? null;
  }

  /** All audio slots: who is in them changes while they play. */
  audio(): MediaStreamTrack[] {
    return (this.subscribe?.peer.getReceivers() ?? [])
      .map((receiver) => receiver.track)
      .filter((track) => track.kind === "audio");
  }

  async stats(): Promise<StatsMap[]> {
    const sides = [this.publish, this.subscribe].filter((side) => side !== null);
    return Promise.all(sides.map(async ({ peer }) => recordsOf(await peer.getStats())));
  }

  trackStats(participantId: string): Promise<TrackStats> {
    return inboundStats([
      this.receiverOf(this.slots.audioMid(participantId)),
      this.receiverOf(this.slots.videoMid(participantId)),
    ]);
  }

  /* Building */

  private async build(generation: number): Promise<void> {
    await this.host.freshIceServers();
    if (generation !== this.generation) return;
    this.publish = this.open("publish", generation);
    this.subscribe = this.open("subscribe", generation);
    this.healTimer = setTimeout(() => {
      if (generation === this.generation) this.rebuild();
    }, CONNECT_MS);
    await Promise.all([
      this.offerPublish(this.publish.peer, false),
      this.answerSubscribe(this.subscribe.peer, generation),
    ]);
    if (generation !== this.generation) return;
    this.subscribed = true;
    this.tellView();
  }

  private tellView(): void {
    if (!this.subscribed || !this.view) return;
    const data = { callId: this.host.callId, video: this.view };
    this.host.request("sfu_view", data, ASK).catch((error: unknown) => {
      // Said again when the socket, or the unit, is back.
      console.debug("sotto: view not taken", error);
    });
  }

  private async fitCamera(sender: RTCRtpSender): Promise<void> {
    await fitCamera(sender, codecFor(this.codec, this.encryption));
  }

  private buildFailed(generation: number, error: SottoError): void {
    if (generation !== this.generation || this.link === "closed") return;
    this.dropPeers();
    if (FINAL.has(error.code)) {
      this.emit("error", error);
      this.setLink("failed");
      return;
    }
    if (this.link === "connected") this.setLink("interrupted");
    this.retryTimer = setTimeout(
      () => {
        if (generation === this.generation) this.rebuild();
      },
      this.backoff.next(error.retryAfterMs ?? 300),
    );
  }

  private open(which: Which, generation: number): Side {
    const peer = this.host.createPeer({
      iceServers: this.host.iceServers,
      iceTransportPolicy: this.host.iceTransportPolicy,
      bundlePolicy: "max-bundle",
      ...this.encryption?.configuration,
    });
    peer.onconnectionstatechange = () => {
      if (generation === this.generation) this.onConnection();
    };
    if (which === "subscribe") {
      peer.ontrack = () => {
        if (generation === this.generation) this.emit("tracks", undefined);
      };
      return { which, peer };
    }
    this.audioSender = addMicrophone(peer, this.host.audioTrack(), this.encryption);
    this.videoSender = addCamera(peer, this.host.videoTrack(), this.codec, this.encryption);
    return { which, peer };
  }

  /** The unit answers with its candidates in the SDP and finds ours by their checks: it is
   *  ICE-lite, so nothing is trickled. */
  private async offerPublish(peer: RTCPeerConnection, restart: boolean): Promise<void> {
    await peer.setLocalDescription(await peer.createOffer(restart ? { iceRestart: true } : {}));
    const sdp = peer.localDescription?.sdp ?? "";
    const data = { callId: this.host.callId, sdp };
    const answer = restart
      ? await this.host.request<PublishReply>("sfu_ice_restart", { ...data, which: "publish" }, ASK)
      : await this.host.request<PublishReply>("sfu_publish", data, ASK);
    if (peer.signalingState === "closed") return;
    if (answer.participant !== undefined) this.encryption?.setNumber(answer.participant);
    await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    if (this.publish?.peer === peer && this.videoSender) await this.fitCamera(this.videoSender);
  }

  private async answerSubscribe(peer: RTCPeerConnection, generation: number): Promise<void> {
    const offer = await this.host.request<{ sdp: string }>(
      "sfu_subscribe",
      { callId: this.host.callId, audioSlots: AUDIO_SLOTS, videoSlots: VIDEO_SLOTS },
      ASK,
    );
    if (generation === this.generation) await this.answer(peer, offer.sdp);
  }

  private async answer(peer: RTCPeerConnection, sdp: string): Promise<void> {
    if (peer.signalingState === "closed") return;
    await peer.setRemoteDescription({ type: "offer", sdp });
    for (const receiver of peer.getReceivers()) this.encryption?.protectReceiver(receiver);
    await peer.setLocalDescription(await peer.createAnswer());
    await this.host.request(
      "sfu_answer",
      { callId: this.host.callId, sdp: peer.localDescription?.sdp ?? "" },
      ASK,
    );
  }

  /* Keeping it up */

  private onConnection(): void {
    const states = [this.publish, this.subscribe].map((side) => side?.peer.connectionState);
    if (states.every((state) => state === "connected")) {
      clearTimeout(this.healTimer);
      this.backoff.reset();
      this.setLink("connected");
      return;
    }
    if (states.includes("failed")) {
      this.rebuild();
      return;
    }
    if (states.includes("disconnected")) {
      this.setLink("interrupted");
      clearTimeout(this.healTimer);
      this.healTimer = setTimeout(() => {
        this.restart();
      }, HEAL_MS);
    }
  }

  private restart(): void {
    const generation = this.generation;
    clearTimeout(this.healTimer);
    this.healTimer = setTimeout(() => {
      if (generation === this.generation) this.rebuild();
    }, RESTART_MS);
    this.restartIce().catch(() => {
      // Most likely the unit no longer knows us: only a new pair of connections helps.
      if (generation === this.generation) this.rebuild();
    });
  }

  private async restartIce(): Promise<void> {
    const { publish, subscribe } = this;
    const iceServers = await this.host.freshIceServers();
    for (const side of [publish, subscribe]) {
      if (!side || side.peer.signalingState === "closed") continue;
      side.peer.setConfiguration({ ...side.peer.getConfiguration(), iceServers });
    }
    if (publish && publish.peer.connectionState !== "connected") {
      await this.offerPublish(publish.peer, true);
    }
    if (subscribe && subscribe.peer.connectionState !== "connected") {
      const offer = await this.host.request<{ sdp: string }>(
        "sfu_ice_restart",
        { callId: this.host.callId, which: "subscribe" },
        ASK,
      );
      await this.answer(subscribe.peer, offer.sdp);
    }
  }

  private dropPeers(): void {
    clearTimeout(this.healTimer);
    clearTimeout(this.retryTimer);
    for (const side of [this.publish, this.subscribe]) {
      if (!side) continue;
      side.peer.onconnectionstatechange = null;
      side.peer.ontrack = null;
      side.peer.close();
    }
    this.publish = null;
    this.subscribe = null;
    this.audioSender = null;
    this.videoSender = null;
  }

  private receiverOf(mid: string | null): RTCRtpReceiver | undefined {
    if (mid === null) return undefined;
    return this.subscribe?.peer.getTransceivers().find((item) => item.mid === mid)?.receiver;
  }

  private setLink(link: LinkState): void {
    if (this.link === link || this.link === "closed") return;
    this.link = link;
    this.emit("link", link);
  }
}
