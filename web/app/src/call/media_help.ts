import { t } from "../strings";

/** What stands between a person and his microphone, and how to put it right; null for other reasons. */
export function mediaHelp(reason: string): { title: string; how: string } | null {
  const words = t();
  switch (reason) {
    case "media_denied":
      return { title: words.mediaDenied, how: words.mediaDeniedHow };
    case "media_missing":
      return { title: words.mediaMissing, how: words.mediaMissingHow };
    case "media_busy":
      return { title: words.mediaBusy, how: words.mediaBusyHow };
    case "media_insecure":
      return { title: words.mediaInsecure, how: words.mediaInsecureHow };
    default:
      return null;
  }
}
