import { useRef, useState } from "preact/hooks";
import type { TargetedEvent, TargetedKeyboardEvent, TargetedPointerEvent } from "preact";
import type { Call } from "@sotto/sdk";
import { watchCalls } from "../state";
import { t } from "../strings";
import { Video } from "./video";

type Corner = "tl" | "tr" | "bl" | "br";

/** One's own picture: small, and put into whichever corner is out of the way. */
export function OwnPicture({ call }: { call: Call }) {
  watchCalls();
  const [corner, setCorner] = useState<Corner>("br");
  const [drag, setDrag] = useState<{ x: number; y: number } | null>(null);
  const from = useRef({ x: 0, y: 0 });
  if (!call.videoOn) return null;

  const down = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    event.currentTarget.setPointerCapture(event.pointerId);
    from.current = { x: event.clientX, y: event.clientY };
    setDrag({ x: 0, y: 0 });
  };
  const move = (event: TargetedPointerEvent<HTMLDivElement>): void => {
    if (!drag) return;
    setDrag({ x: event.clientX - from.current.x, y: event.clientY - from.current.y });
  };
  const up = (event: TargetedEvent<HTMLDivElement>): void => {
    if (!drag) return;
    const box = event.currentTarget.getBoundingClientRect();
    const right = box.left + box.width / 2 > window.innerWidth / 2;
    const low = box.top + box.height / 2 > window.innerHeight / 2;
    setDrag(null);
    setCorner(`${low ? "b" : "t"}${right ? "r" : "l"}`);
  };
  const key = (event: TargetedKeyboardEvent<HTMLDivElement>): void => {
    const next: Record<string, Corner> = {
      ArrowUp: `t${corner[1] as "l" | "r"}`,
      ArrowDown: `b${corner[1] as "l" | "r"}`,
      ArrowLeft: `${corner[0] as "t" | "b"}l`,
      ArrowRight: `${corner[0] as "t" | "b"}r`,
    };
    const to = next[event.key];
    if (!to) return;
    event.preventDefault();
    setCorner(to);
  };

  return (
    <div
      class={`own own-${corner} ${drag ? "own-dragged" : ""}`}
      style={drag ? { transform: `translate(${drag.x}px, ${drag.y}px)` } : undefined}
      role="group"
      tabIndex={0}
      aria-label={t().ownPicture}
      onPointerDown={down}
      onPointerMove={move}
      onPointerUp={up}
      onPointerCancel={up}
      onKeyDown={key}
    >
      <Video stream={call.localStream} testId="local-video" label={t().you} mirrored />
    </div>
  );
}
