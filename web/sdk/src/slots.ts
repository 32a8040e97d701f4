import type { AudioSlot, VideoSlot } from "./types";

/** Who is in which slot of the subscribing connection, as `sfu_slots` last said. A slot is one
 *  m-line for the life of the connection, so its `mid` finds its receiver. */
export class SlotMap {
  private audio: AudioSlot[] = [];
  private video: VideoSlot[] = [];

  update(audio: AudioSlot[] | undefined, video: VideoSlot[] | undefined): void {
    if (Array.isArray(audio)) this.audio = audio;
    if (Array.isArray(video)) this.video = video;
  }

  get videos(): VideoSlot[] {
    return this.video;
  }

  clear(): void {
    this.audio = [];
    this.video = [];
  }

  audioMid(participantId: string): string | null {
    return this.audio.find((slot) => slot.participantId === participantId)?.mid ?? null;
  }

  /** The camera first: a participant may be in a second slot with a shared screen. */
  videoMid(participantId: string, source = "camera"): string | null {
    const mine = this.video.filter((slot) => slot.participantId === participantId);
    return (mine.find((slot) => (slot.source ?? "camera") === source) ?? mine[0])?.mid ?? null;
  }

  videoPaused(participantId: string): boolean {
    return this.video.find((slot) => slot.participantId === participantId)?.paused ?? false;
  }
}
