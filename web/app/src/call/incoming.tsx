import { useEffect, useRef } from "preact/hooks";
import type { Call } from "@sotto/sdk";
import { client, isGroup, nameOfCall, ringing, watchCalls } from "../state";
import { t } from "../strings";
import { Avatar } from "../ui/avatar";
import { HangUpIcon, PhoneIcon, VideoIcon } from "../ui/icons";

/** What rings, over everything else. More than one at a time is rare, and stacks. */
export function IncomingCards() {
  const { calls } = ringing.value;
  if (calls.length === 0) return null;
  return (
    <div class="incoming-layer">
      {calls.map((call) => (
        <IncomingCard key={call.callId} call={call} />
      ))}
    </div>
  );
}

export function IncomingCard({ call }: { call: Call }) {
  watchCalls();
  const name = nameOfCall(call);
  const card = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // A sign for the keyboard, without taking the focus out of what is being typed.
    const typing = document.activeElement?.matches("input, textarea");
    if (!typing) card.current?.querySelector<HTMLElement>(".answer")?.focus();
  }, []);
  return (
    <div
      ref={card}
      class="card incoming"
      role="alertdialog"
      aria-labelledby={`in-${call.callId}`}
      aria-describedby={`ink-${call.callId}`}
      data-testid="incoming-card"
      data-call={call.callId}
    >
      <div class="incoming-who">
        <span class="ripple">
          <Avatar name={name} seed={call.from?.username ?? name} size="l" />
        </span>
        <div>
          <p class="incoming-name" id={`in-${call.callId}`}>
            {t().isCalling(name)}
          </p>
          <p class="row-sub" id={`ink-${call.callId}`}>
            {kindOf(call)}
          </p>
        </div>
      </div>
      <div class="incoming-actions">
        <Action
          testId="decline"
          tone="no"
          label={t().decline}
          icon={<HangUpIcon />}
          onClick={() => {
            client.calls.decline(call);
          }}
        />
        <Action
          testId="accept-audio"
          tone="yes"
          label={t().acceptAudio}
          icon={<PhoneIcon />}
          onClick={() => void client.calls.accept(call, "audio")}
          main={call.media === "audio"}
        />
        <Action
          testId="accept-video"
          tone="yes"
          label={t().acceptVideo}
          icon={<VideoIcon />}
          onClick={() => void client.calls.accept(call, "video")}
          main={call.media === "video"}
        />
      </div>
    </div>
  );
}

interface ActionProps {
  testId: string;
  tone: "yes" | "no";
  label: string;
  icon: preact.ComponentChildren;
  onClick: () => void;
  main?: boolean;
}

function Action({ testId, tone, label, icon, onClick, main = false }: ActionProps) {
  return (
    <button
      type="button"
      class={`round-action ${tone} ${main ? "answer" : ""}`}
      data-testid={testId}
      onClick={onClick}
    >
      <span class="round">{icon}</span>
      <span class="round-label">{label}</span>
    </button>
  );
}

function kindOf(call: Call): string {
  if (isGroup(call)) return t().incomingGroup;
  return call.media === "video" ? t().incomingVideo : t().incomingAudio;
}
