import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren } from "preact";
import type { Call } from "@sotto/sdk";
import { clock } from "../format";
import { isGroup, nameOfCall, otherOf, personOf, session, watchCalls } from "../state";
import { t } from "../strings";
import { Avatar } from "../ui/avatar";
import { ConnectionBar } from "../ui/bars";
import {
  AddPersonIcon,
  HangUpIcon,
  MicIcon,
  MicOffIcon,
  VideoIcon,
  VideoOffIcon,
} from "../ui/icons";
import { EndedPage } from "./ended";
import { InvitePanel } from "./invite";
import { MAX_TILES, rowsFor, spansFor } from "./layout";
import { OwnPicture } from "./own";
import { PathPill } from "./pill";
import { OwnTile, RemoteTile } from "./tile";
import { AudioSink, Video } from "./video";

/** The call, over the whole window: nothing but faces, and a bar that goes when it isn't needed. */
export function CallScreen({ call }: { call: Call }) {
  watchCalls();
  const [inviting, setInviting] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const stirring = useStirring(call.state === "active" && !inviting);
  useShortcuts(call, inviting);
  useLayoutEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    root.current?.focus();
    return () => {
      // Back to where the call was started from, once the page behind can be reached again.
      requestAnimationFrame(() => {
        if (document.activeElement === document.body) before?.focus();
      });
    };
  }, []);

  const name = nameOfCall(call);
  const ended = call.state === "ended";
  return (
    <div
      ref={root}
      class={`call ${stirring ? "" : "call-still"}`}
      role="dialog"
      aria-modal="true"
      aria-label={t().callWith(name)}
      tabIndex={-1}
    >
      <AudioSink tracks={call.audioTracks()} />
      {ended ? (
        <EndedPage call={call} />
      ) : (
        <>
          <Stage call={call} name={name} />
          <header class="call-head">
            <div class="call-title">
              <strong>{name}</strong>
              <StateLine call={call} />
            </div>
            <PathPill call={call} />
          </header>
          <div class="call-bars">
            <ConnectionBar />
          </div>
          <Controls
            call={call}
            onInvite={() => {
              setInviting(!inviting);
            }}
            inviting={inviting}
          />
          {inviting && (
            <InvitePanel
              call={call}
              onClose={() => {
                setInviting(false);
              }}
            />
          )}
        </>
      )}
    </div>
  );
}

function Stage({ call, name }: { call: Call; name: string }) {
  watchCalls();
  const people = call.participants;
  const portrait = useMedia("(orientation: portrait)");
  const user = session.value?.user;
  const me = user ? personOf(user) : { displayName: "", username: "" };
  const waiting = call.state === "outgoing" || (call.state === "connecting" && !isGroup(call));
  if (people.length <= 1 && !(isGroup(call) && call.state !== "outgoing")) {
    const person = people[0];
    return (
      <div class="stage stage-one">
        {call.videoOn && waiting && (
          <div class="stage-preview">
            <Video stream={call.localStream} testId="local-preview" label={t().you} mirrored />
          </div>
        )}
        {person && !waiting ? (
          <RemoteTile call={call} person={person} full />
        ) : (
          <div class="tile-face tile-face-waiting">
            <span class={call.state === "outgoing" ? "ripple" : ""}>
              <Avatar name={name} seed={person?.username ?? otherOf(call)?.username ?? name} size="xl" />
            </span>
            <p class="waiting-name">{name}</p>
          </div>
        )}
        {!waiting && <OwnPicture call={call} />}
      </div>
    );
  }
  // Where not everyone has a place, who is in the call goes before whom it still rings for.
  const shown = [...people]
    .sort((a, b) => Number(b.joined) - Number(a.joined))
    .slice(0, MAX_TILES - 1)
    .sort((a, b) => people.indexOf(a) - people.indexOf(b));
  const spans = spansFor(shown.length + 1, portrait);
  const lowFrom = spans.length - (rowsFor(spans.length, portrait).at(-1) ?? 1);
  return (
    <div class="stage stage-grid">
      {shown.map((person, index) => (
        <RemoteTile
          key={person.userId}
          call={call}
          person={person}
          span={spans[index] ?? 2}
          low={index >= lowFrom}
        />
      ))}
      <OwnTile
        call={call}
        name={me.displayName}
        seed={me.username}
        span={spans[shown.length] ?? 2}
        alone={!portrait && shown.length > 1 && spans[shown.length] === 6}
        unseen={people.length - shown.length}
      />
    </div>
  );
}

function StateLine({ call }: { call: Call }) {
  watchCalls();
  const seconds = useSeconds(call.answeredAt);
  const text = stateText(call);
  return (
    <span class="call-state" data-testid="call-state" data-state={call.state}>
      <span role="status" class={text ? "" : "sr-only"}>
        {text || t().inCall}
      </span>
      {!text && <span aria-hidden="true">{clock(seconds)}</span>}
    </span>
  );
}

function stateText(call: Call): string {
  switch (call.state) {
    case "outgoing":
      if (call.localStream.getTracks().length === 0) return t().startingCamera;
      return call.ringing ? t().ringing : t().calling;
    case "connecting":
      return t().connecting;
    case "reconnecting":
      return t().reconnecting;
    case "active":
      return call.participants.some((person) => person.joined) ? "" : t().waitingForOthers;
    default:
      return "";
  }
}

interface ControlsProps {
  call: Call;
  inviting: boolean;
  onInvite: () => void;
}

function Controls({ call, inviting, onInvite }: ControlsProps) {
  watchCalls();
  const canInvite = call.state === "active" || call.state === "reconnecting";
  return (
    <div class="controls" role="toolbar" aria-label={t().callControls}>
      <Control
        testId="mute"
        label={call.audioOn ? t().mute : t().unmute}
        shortcut="M"
        off={!call.audioOn}
        onClick={() => {
          call.setMuted(call.audioOn);
        }}
      >
        {call.audioOn ? <MicIcon /> : <MicOffIcon />}
      </Control>
      <Control
        testId="camera"
        label={call.videoOn ? t().cameraOff : t().cameraOn}
        shortcut="V"
        off={!call.videoOn}
        onClick={() => void call.setCamera(!call.videoOn)}
      >
        {call.videoOn ? <VideoIcon /> : <VideoOffIcon />}
      </Control>
      <Control
        testId="invite"
        label={t().invite}
        off={false}
        disabled={!canInvite}
        expanded={inviting}
        onClick={onInvite}
      >
        <AddPersonIcon />
      </Control>
      <Control
        testId="hangup"
        label={t().hangUp}
        danger
        off={false}
        onClick={() => {
          call.hangUp();
        }}
      >
        <HangUpIcon />
      </Control>
    </div>
  );
}

interface ControlProps {
  testId: string;
  label: string;
  off: boolean;
  onClick: () => void;
  children: ComponentChildren;
  shortcut?: string;
  danger?: boolean;
  disabled?: boolean;
  expanded?: boolean;
}

function Control(props: ControlProps) {
  const { testId, label, off, onClick, children, shortcut, danger, disabled, expanded } = props;
  return (
    <button
      type="button"
      class={`control ${off ? "control-off" : ""} ${danger ? "control-danger" : ""}`}
      data-testid={testId}
      data-off={String(off)}
      aria-label={label}
      aria-keyshortcuts={shortcut}
      aria-expanded={expanded}
      title={shortcut ? `${label} (${shortcut})` : label}
      disabled={disabled}
      onClick={onClick}
    >
      {children}
      <span class="control-label">{label}</span>
    </button>
  );
}

function useShortcuts(call: Call, inviting: boolean): void {
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => {
      if (inviting || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      if ((event.target as HTMLElement | null)?.closest("input, textarea")) return;
      const key = event.key.toLowerCase();
      if (key === "m") call.setMuted(call.audioOn);
      if (key === "v") void call.setCamera(!call.videoOn);
    };
    window.addEventListener("keydown", listener);
    return () => {
      window.removeEventListener("keydown", listener);
    };
  }, [call, inviting]);
}

/** True while somebody moves, types or touches, and for three seconds after. */
function useStirring(mayRest: boolean): boolean {
  const [stirring, setStirring] = useState(true);
  useEffect(() => {
    if (!mayRest) {
      setStirring(true);
      return undefined;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stir = (): void => {
      clearTimeout(timer);
      setStirring(true);
      timer = setTimeout(() => {
        setStirring(false);
      }, 3000);
    };
    stir();
    const events = ["pointermove", "pointerdown", "keydown", "focusin"];
    for (const type of events) window.addEventListener(type, stir);
    return () => {
      clearTimeout(timer);
      for (const type of events) window.removeEventListener(type, stir);
    };
  }, [mayRest]);
  return stirring;
}

function useSeconds(since: number | null): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (since === null) return undefined;
    const timer = setInterval(() => {
      setNow(Date.now());
    }, 500);
    return () => {
      clearInterval(timer);
    };
  }, [since]);
  return since === null ? 0 : (Math.max(now, since) - since) / 1000;
}

function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => window.matchMedia?.(query).matches ?? false);
  useEffect(() => {
    const list = window.matchMedia?.(query);
    if (!list) return undefined;
    const listener = (): void => {
      setMatches(list.matches);
    };
    list.addEventListener("change", listener);
    return () => {
      list.removeEventListener("change", listener);
    };
  }, [query]);
  return matches;
}
