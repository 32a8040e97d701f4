import { useEffect, useRef } from "preact/hooks";
import type { Call, Participant } from "@sotto/sdk";
import { watchCalls } from "../state";
import { t } from "../strings";
import { Avatar } from "../ui/avatar";
import { MicOffIcon } from "../ui/icons";
import { Video } from "./video";

export function RemoteTile({ call, person, span, low, full }: {
  call: Call;
  person: Participant;
  span?: number;
  /** In the bottom row, where the bar is. */
  low?: boolean;
  full?: boolean;
}) {
  watchCalls();
  const showsVideo =
    person.joined &&
    person.video &&
    !person.unreadable &&
    person.stream.getVideoTracks().length > 0;
  const name = person.displayName || person.username;
  const tile = useRef<HTMLElement>(null);
  const { userId } = person;
  useEffect(() => {
    if (!tile.current) return undefined;
    return call.watch(userId, tile.current);
  }, [call, userId]);
  return (
    <figure
      ref={tile}
      class={`tile ${full ? "tile-full" : ""} ${low ? "tile-low" : ""} ${person.speaking ? "tile-speaking" : ""}`}
      style={span ? { gridColumn: `span ${span}` } : undefined}
      data-testid="tile"
      data-user={person.username}
      data-speaking={String(person.speaking)}
    >
      <Video
        stream={person.stream}
        testId="remote-video"
        user={person.username}
        label={name}
        hidden={!showsVideo}
      />
      {!showsVideo && (
        <div class={`tile-face ${person.joined || full ? "" : "tile-face-ringing"}`}>
          <Avatar name={name} seed={person.username} size="xl" />
          {!person.joined && !full && <p class="tile-state">{t().ringing}</p>}
          {person.unreadable && <p class="tile-state" data-testid="unreadable">{t().unreadable}</p>}
        </div>
      )}
      {!full && (
        <figcaption class="tile-name">
          {person.joined && !person.audio && (
            <span role="img" aria-label={t().muted}>
              <MicOffIcon />
            </span>
          )}
          <span>{name}</span>
          {person.speaking && <span class="sr-only">{t().isSpeaking}</span>}
        </figcaption>
      )}
      {full && person.joined && !person.audio && (
        <figcaption class="tile-name tile-name-muted">
          <MicOffIcon />
          <span>{t().muted}</span>
        </figcaption>
      )}
    </figure>
  );
}

export function OwnTile({ call, name, seed, span, alone = false, unseen = 0 }: {
  call: Call;
  /** How many people have no tile of their own. */
  unseen?: number;
  name: string;
  seed: string;
  span: number;
  /** In the last row of a wide screen: in the middle of it, not larger than everybody else. */
  alone?: boolean;
}) {
  watchCalls();
  return (
    <figure class="tile tile-low" style={{ gridColumn: alone ? "3 / span 2" : `span ${span}` }} data-testid="own-tile">
      {call.videoOn ? (
        <Video stream={call.localStream} testId="local-video" label={t().you} mirrored />
      ) : (
        <div class="tile-face">
          <Avatar name={name} seed={seed} size="xl" />
        </div>
      )}
      <figcaption class="tile-name">
        {!call.audioOn && (
          <span role="img" aria-label={t().muted}>
            <MicOffIcon />
          </span>
        )}
        <span>{t().you}</span>
      </figcaption>
      {unseen > 0 && <p class="tile-more">{t().morePeople(unseen)}</p>}
    </figure>
  );
}
