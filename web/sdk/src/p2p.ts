import { Emitter } from "./emitter";
import { asSottoError } from "./errors";
import { recordsOf, type StatsMap, type TrackStats } from "./stats";
import {
  inboundStats,
  type LinkState,
  type Transport,
  type TransportEvents,
  type TransportHost,
} from "./transport";

/** A disconnect often heals by itself within this time; then ICE is restarted. */
const HEAL_MS = 2_000;
const BITRATE_VIDEO = 2_000_000;

/**
 * One peer connection to the other person, by the "perfect negotiation" pattern of the WebRTC
 * specification (§10.7): either side may offer at any time; when two offers meet, the polite side
 * takes its own back. The caller makes the first offer and is the impolite one. Both kinds of
 * media are negotiated from the start, so turning a camera on later needs no negotiation.
 */
export class P2PTransport extends Emitter<TransportEvents> implements Transport {
  readonly kind = "p2p";
  link: LinkState = "connecting";
  private readonly host: TransportHost;
  private readonly polite: boolean;
  private readonly peer: RTCPeerConnection;
  private makingOffer = false;
  private ignoreOffer = false;
  private answering = false;
  private wasConnected = false;
  private healTimer: ReturnType<typeof setTimeout> | undefined;
  private early: RTCIceCandidateInit[] = [];
  private work: Promise<void> = Promise.resolve();

  constructor(host: TransportHost, caller: boolean) {
    super();
    this.host = host;
    this.polite = !caller;
    this.peer = host.createPeer({
      iceServers: host.iceServers,
      iceTransportPolicy: host.iceTransportPolicy,
      bundlePolicy: "max-bundle",
    });
    this.peer.onnegotiationneeded = () => {
      void this.negotiate();
    };
    this.peer.onicecandidate = ({ candidate }) => {
      this.sendCandidate(candidate);
    };
    this.peer.onconnectionstatechange = () => {
      this.onConnection();
    };
    this.peer.oniceconnectionstatechange = () => {
      // Earlier than connectionState in some browsers.
      if (this.peer.iceConnectionState === "failed") this.onConnection();
    };
    this.peer.ontrack = () => {
      this.emit("tracks", undefined);
    };
  }

  start(): void {
    if (this.polite) return; // The caller offers first; its offer brings the transceivers.
    this.peer.addTransceiver(this.host.audioTrack() ?? "audio", { direction: "sendrecv" });
    this.peer.addTransceiver(this.host.videoTrack() ?? "video", {
      direction: "sendrecv",
      sendEncodings: [{ maxBitrate: BITRATE_VIDEO }],
    });
  }

  close(): void {
    if (this.link === "closed") return;
    clearTimeout(this.healTimer);
    this.peer.onnegotiationneeded = null;
    this.peer.onicecandidate = null;
    this.peer.onconnectionstatechange = null;
    this.peer.oniceconnectionstatechange = null;
    this.peer.ontrack = null;
    this.peer.close();
    this.link = "closed";
    this.removeAll();
  }

  async updateTracks(): Promise<void> {
    await this.setTracks();
  }

  recover(): void {
    const state = this.peer.connectionState;
    if (state === "connected" || state === "closed" || !this.wasConnected) return;
    void this.restart();
  }

  remoteVideo(): MediaStreamTrack | null {
    return this.receiver("video")?.track ?? null;
  }

  remoteAudio(): MediaStreamTrack | null {
    return this.receiver("audio")?.track ?? null;
  }

  audio(): MediaStreamTrack[] {
    const track = this.remoteAudio();
    return track ? [track] : [];
  }

  async stats(): Promise<StatsMap[]> {
    return [recordsOf(await this.peer.getStats())];
  }

  trackStats(): Promise<TrackStats> {
    return inboundStats([this.receiver("audio"), this.receiver("video")]);
  }

  /** A description from the other side. They are taken one after the other, in order. */
  onDescription(description: RTCSessionDescriptionInit): Promise<void> {
    this.work = this.work.then(() => this.takeDescription(description)).catch((error: unknown) => {
      if (this.link !== "closed") this.emit("error", asSottoError(error));
    });
    return this.work;
  }

  onCandidate(candidate: RTCIceCandidateInit | null): Promise<void> {
    if (this.host.blockP2P || !candidate?.candidate) return Promise.resolve();
    this.work = this.work.then(() => this.takeCandidate(candidate));
    return this.work;
  }

  private async restart(): Promise<void> {
    const iceServers = await this.host.freshIceServers();
    if (this.link === "closed" || this.peer.connectionState === "connected") return;
    if (iceServers !== this.peer.getConfiguration().iceServers) {
      this.peer.setConfiguration({ ...this.peer.getConfiguration(), iceServers });
    }
    this.peer.restartIce();
  }

  private async negotiate(): Promise<void> {
    if (this.polite && !this.peer.remoteDescription) return;
    try {
      this.makingOffer = true;
      await this.peer.setLocalDescription();
      this.sendDescription();
    } catch (error) {
      if (this.link !== "closed") this.emit("error", asSottoError(error));
    } finally {
      this.makingOffer = false;
    }
  }

  private async takeDescription(description: RTCSessionDescriptionInit): Promise<void> {
    if (this.link === "closed") return;
    const stable = this.peer.signalingState === "stable" || this.answering;
    const collision = description.type === "offer" && (this.makingOffer || !stable);
    this.ignoreOffer = !this.polite && collision;
    if (this.ignoreOffer) return;
    this.answering = description.type === "answer";
    try {
      await this.peer.setRemoteDescription(this.filtered(description));
    } finally {
      this.answering = false;
    }
    for (const candidate of this.early.splice(0)) await this.takeCandidate(candidate);
    if (description.type !== "offer") return;
    await this.setTracks();
    await this.peer.setLocalDescription();
    this.sendDescription();
  }

  private async takeCandidate(candidate: RTCIceCandidateInit): Promise<void> {
    if (this.link === "closed") return;
    if (!this.peer.remoteDescription) {
      this.early.push(candidate);
      return;
    }
    try {
      await this.peer.addIceCandidate(candidate);
    } catch (error) {
      // One of an offer we ignored, or of a generation that is over: others will do.
      if (!this.ignoreOffer) console.debug("sotto: candidate refused", error);
    }
  }

  /** Puts our tracks on the negotiated transceivers and opens both directions. */
  private async setTracks(): Promise<void> {
    for (const transceiver of this.peer.getTransceivers()) {
      const video = transceiver.receiver.track.kind === "video";
      const track = video ? this.host.videoTrack() : this.host.audioTrack();
      if (transceiver.sender.track !== track) await transceiver.sender.replaceTrack(track);
      if (transceiver.direction !== "sendrecv") transceiver.direction = "sendrecv";
    }
  }

  private sendDescription(): void {
    const description = this.peer.localDescription;
    if (!description || this.link === "closed") return;
    this.host
      .request(
        "call_description",
        { callId: this.host.callId, description: this.filtered(description) },
        { offline: "queue", timeoutMs: 30_000 },
      )
      .catch((error: unknown) => {
        console.debug("sotto: description not sent", error);
      });
  }

  private sendCandidate(candidate: RTCIceCandidate | null): void {
    if (this.host.blockP2P) return;
    const data = candidate
      ? {
          candidate: candidate.candidate,
          sdpMid: candidate.sdpMid,
          sdpMLineIndex: candidate.sdpMLineIndex,
        }
      : null;
    this.host
      .request(
        "ice_candidate",
        { callId: this.host.callId, candidate: data },
        { offline: "queue", timeoutMs: 30_000 },
      )
      .catch(() => {
        // Lost with the connection: ICE is restarted after it is back, if it is needed at all.
      });
  }

  /** Without candidates where direct connections are switched off for diagnosis. */
  private filtered(description: RTCSessionDescriptionInit): RTCSessionDescriptionInit {
    const { type, sdp } = description;
    if (!this.host.blockP2P || !sdp) return sdp === undefined ? { type } : { type, sdp };
    return { type, sdp: sdp.replace(/^a=candidate:.*\r?\n/gm, "") };
  }

  private onConnection(): void {
    const state = this.peer.connectionState;
    const ice = this.peer.iceConnectionState;
    clearTimeout(this.healTimer);
    if (state === "connected") {
      this.wasConnected = true;
      this.setLink("connected");
    } else if (state === "failed" || ice === "failed") {
      if (this.wasConnected) void this.restart();
      this.setLink("failed");
    } else if (state === "disconnected") {
      this.setLink("interrupted");
      // The polite side waits longer, so that as a rule only one of them restarts.
      this.healTimer = setTimeout(
        () => {
          this.recover();
        },
        this.polite ? HEAL_MS * 2 : HEAL_MS,
      );
    }
  }

  private setLink(link: LinkState): void {
    if (this.link === link || this.link === "closed") return;
    this.link = link;
    this.emit("link", link);
  }

  private receiver(kind: "audio" | "video"): RTCRtpReceiver | undefined {
    return this.peer
      .getTransceivers()
      .map((transceiver) => transceiver.receiver)
      .find((receiver) => receiver.track.kind === kind);
  }
}
