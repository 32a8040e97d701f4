import { vi } from "vitest";

/** What the app's modules look for when they are loaded and jsdom doesn't have. */
class EmptyStream {
  getTracks(): [] {
    return [];
  }
  getAudioTracks(): [] {
    return [];
  }
  getVideoTracks(): [] {
    return [];
  }
}
vi.stubGlobal("MediaStream", EmptyStream);
vi.stubGlobal("BroadcastChannel", undefined);
HTMLMediaElement.prototype.play = () => Promise.resolve();
