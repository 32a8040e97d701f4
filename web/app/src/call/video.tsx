import { useEffect, useRef } from "preact/hooks";

interface VideoProps {
  stream: MediaStream;
  testId: string;
  user?: string;
  label: string;
  mirrored?: boolean;
  hidden?: boolean;
  contain?: boolean;
}

/** Always silent: what is heard is played by AudioSink, so a picture may come and go. */
export function Video(props: VideoProps) {
  const { stream, testId, user, label, mirrored = false, hidden = false } = props;
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = element.current;
    if (!video) return;
    if (video.srcObject !== stream) video.srcObject = stream;
    video.muted = true; // Preact sets the attribute too late for autoplay.
    if (!hidden) void video.play().catch(() => {});
  }, [stream, hidden]);
  return (
    <video
      ref={element}
      class={`video ${mirrored ? "mirrored" : ""} ${hidden ? "video-hidden" : ""}`}
      data-testid={testId}
      data-user={user}
      aria-label={label}
      autoplay
      playsInline
      muted
    />
  );
}

/** Plays every audio track of the call, seen by nobody. */
export function AudioSink({ tracks }: { tracks: MediaStreamTrack[] }) {
  return (
    <>
      {tracks.map((track) => (
        <AudioTrack key={track.id} track={track} />
      ))}
    </>
  );
}

function AudioTrack({ track }: { track: MediaStreamTrack }) {
  const element = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    const audio = element.current;
    if (!audio) return undefined;
    audio.srcObject = new MediaStream([track]);
    void audio.play().catch(() => {});
    return () => {
      audio.srcObject = null;
    };
  }, [track]);
  return <audio ref={element} autoplay />;
}
