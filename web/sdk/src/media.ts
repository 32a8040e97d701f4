import { SottoError } from "./errors";

/** Camera and microphone of this device. The camera is released, light and all, when it is off. */
export interface MediaDevicesLike {
  getUserMedia(constraints: MediaStreamConstraints): Promise<MediaStream>;
}

const AUDIO: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

const VIDEO: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30, max: 30 },
  facingMode: "user",
};

export class LocalMedia {
  /** One stream object for the whole call: a <video> that shows it never needs a new one. */
  readonly stream: MediaStream;
  private ended = false;

  constructor(
    private readonly devices: MediaDevicesLike | undefined = globalThis.navigator?.mediaDevices,
    stream: MediaStream = new MediaStream(),
  ) {
    this.stream = stream;
  }

  get audioTrack(): MediaStreamTrack | null {
    return this.stream.getAudioTracks()[0] ?? null;
  }

  get videoTrack(): MediaStreamTrack | null {
    return this.stream.getVideoTracks()[0] ?? null;
  }

  /**
   * Opens microphone and, where asked, camera. A camera that can't be had doesn't stop the call:
   * it goes on with audio and `cameraError` says why. No microphone does stop it.
   */
  async open(video: boolean): Promise<{ cameraError?: SottoError }> {
    if (!video) {
      await this.add({ audio: AUDIO });
      return {};
    }
    try {
      await this.add({ audio: AUDIO, video: VIDEO });
      return {};
    } catch (error) {
      const cameraError = mediaError(error);
      if (this.ended) throw cameraError;
      await this.add({ audio: AUDIO });
      return { cameraError };
    }
  }

  async openCamera(): Promise<MediaStreamTrack> {
    const present = this.videoTrack;
    if (present) return present;
    await this.add({ video: VIDEO });
    const track = this.videoTrack;
    if (!track) throw new SottoError("media_missing");
    return track;
  }

  closeCamera(): void {
    for (const track of this.stream.getVideoTracks()) {
      track.stop();
      this.stream.removeTrack(track);
    }
  }

  close(): void {
    this.ended = true;
    for (const track of this.stream.getTracks()) {
      track.stop();
      this.stream.removeTrack(track);
    }
  }

  private async add(constraints: MediaStreamConstraints): Promise<void> {
    if (!this.devices) throw new SottoError("media_insecure");
    let opened: MediaStream;
    try {
      opened = await this.devices.getUserMedia(constraints);
    } catch (error) {
      throw mediaError(error);
    }
    for (const track of opened.getTracks()) {
      if (this.ended) track.stop(); // Hung up while the browser was still asking.
      else this.stream.addTrack(track);
    }
    if (this.ended) throw new SottoError("aborted");
  }
}

/** media_denied: the user or the system said no. media_missing: there is no such device.
 *  media_busy: another program holds it. media_insecure: the page isn't served securely. */
export function mediaError(error: unknown): SottoError {
  if (error instanceof SottoError) return error;
  const name = error instanceof Error ? error.name : "";
  const codes: Record<string, string> = {
    NotAllowedError: "media_denied",
    SecurityError: "media_denied",
    NotFoundError: "media_missing",
    OverconstrainedError: "media_missing",
    NotReadableError: "media_busy",
    AbortError: "media_busy",
  };
  return new SottoError(codes[name] ?? "media_missing", {
    detail: error instanceof Error ? error.message : undefined,
    cause: error,
  });
}
