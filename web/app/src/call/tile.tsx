import type { Call, Participant } from "@sotto/sdk";
import { watchCalls } from "../state";
import { t } from "../strings";
import { Avatar } from "../ui/avatar";
import { MicOffIcon } from "../ui/icons";
import { Video } from "./video";

export function RemoteTile({ person, span, full }: {
  person: Participant;
  span?: number;
  full?: boolean;
}) {
  watchCalls();
  const showsVideo = person.joined && person.video && person.stream.getVideoTracks().length > 0;
  const name = person.displayName || person.username;
  return (
    <figure
      class={`tile ${full ? "tile-full" : ""} ${person.speaking ? "tile-speaking" : ""}`}
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
        <div class="tile-face">
          <Avatar name={name} seed={person.username} size="xl" />
          {!person.joined && !full && <p class="tile-state">{t().ringing}</p>}
        </div>
      )}
      {!full && (
        <figcaption class="tile-name">
          {!person.audio && (
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

export function OwnTile({ call, name, seed, span }: {
  call: Call;
  name: string;
  seed: string;
  span: number;
}) {
  watchCalls();
  return (
    <figure class="tile" style={{ gridColumn: `span ${span}` }} data-testid="own-tile">
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
    </figure>
  );
}
