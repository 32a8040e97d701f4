import {
  captureSize,
  encodingsFor,
  fitEncodings,
  preferCodec,
  withoutModes,
  type VideoCodec,
} from "./encodings";
import { ENCRYPTABLE, type MediaEncryption } from "./encryption";

/** The camera's codec. What is encrypted end to end has fewer to choose from. */
export function codecFor(wished: VideoCodec, encryption: MediaEncryption | null): VideoCodec {
  return encryption && !ENCRYPTABLE.includes(wished) ? "vp8" : wished;
}

/** A transceiver that sends microphone sound, through the encryption where there is one. */
export function addMicrophone(
  peer: RTCPeerConnection,
  track: MediaStreamTrack | null,
  encryption: MediaEncryption | null,
): RTCRtpSender {
  const { sender } = peer.addTransceiver(track ?? "audio", { direction: "sendonly" });
  encryption?.protectSender(sender, "audio", "opus");
  return sender;
}

/** A transceiver that sends the camera in all the sizes it may have. The track may come later. */
export function addCamera(
  peer: RTCPeerConnection,
  track: MediaStreamTrack | null,
  wished: VideoCodec,
  encryption: MediaEncryption | null,
): RTCRtpSender {
  const codec = codecFor(wished, encryption);
  const sendEncodings = encodingsFor(codec, captureSize(track));
  const transceiver = addWith(peer, track ?? "video", sendEncodings);
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.("video")?.codecs ?? [];
  // Where there is nothing to choose from the browser's own order has to do.
  if (codecs.length > 0 && "setCodecPreferences" in transceiver) {
    transceiver.setCodecPreferences(
      preferCodec(codecs, codec, encryption ? ENCRYPTABLE : undefined),
    );
  }
  encryption?.protectSender(transceiver.sender, "video", codec);
  return transceiver.sender;
}

function addWith(
  peer: RTCPeerConnection,
  what: MediaStreamTrack | "video",
  sendEncodings: RTCRtpEncodingParameters[],
): RTCRtpTransceiver {
  try {
    return peer.addTransceiver(what, { direction: "sendonly", sendEncodings });
  } catch {
    const plain = withoutModes(sendEncodings);
    return peer.addTransceiver(what, { direction: "sendonly", sendEncodings: plain });
  }
}

/** Sizes and bandwidths for the track that is sent now, and for what the answer has left of them. */
export async function fitCamera(sender: RTCRtpSender, wished: VideoCodec): Promise<void> {
  for (const change of [<T>(same: T): T => same, withoutModes]) {
    const parameters = sender.getParameters?.();
    if (!parameters?.encodings?.length) return;
    const size = captureSize(sender.track);
    parameters.encodings = change(fitEncodings(parameters.encodings, wished, size));
    try {
      await sender.setParameters(parameters);
      return;
    } catch {
      // Without the scalability mode then, and after that as it was negotiated.
    }
  }
}
