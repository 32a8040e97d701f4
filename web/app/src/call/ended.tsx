import { useEffect } from "preact/hooks";
import type { Call } from "@sotto/sdk";
import { clock } from "../format";
import { closeEndedCall, isGroup, nameOfCall, otherOf, startCall } from "../state";
import { t } from "../strings";
import { Avatar } from "../ui/avatar";
import { PhoneIcon } from "../ui/icons";
import { mediaHelp } from "./media_help";

const QUIET_MS = 1500;
const TOLD_MS = 5000;

/** How it ended. What went well goes by itself at once, the rest after it could be read; what has
 *  to be put right by the person (permissions) stays. */
export function EndedPage({ call }: { call: Call }) {
  const reason = call.endReason ?? "completed";
  const help = mediaHelp(reason);
  const name = nameOfCall(call);
  const well = reason === "completed" || reason === "cancelled";
  useEffect(() => {
    if (help) return undefined;
    const timer = setTimeout(closeEndedCall, well ? QUIET_MS : TOLD_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [help === null, well]);

  const again = (): void => {
    const group = isGroup(call);
    const only = otherOf(call);
    const { conversationId } = call;
    closeEndedCall();
    if (only && !(group && conversationId)) startCall(only, call.media);
    else if (conversationId) startCall({ conversationId }, call.media);
  };

  return (
    <div class="ended">
      <Avatar name={name} seed={otherOf(call)?.username ?? name} size="xl" />
      <h1>{name}</h1>
      <p class="call-state" role="status" data-testid="call-state" data-state="ended">
        {help ? help.title : endText(reason)}
        {call.answeredAt !== null && call.endedAt !== null && (
          <span> · {clock((call.endedAt - call.answeredAt) / 1000)}</span>
        )}
      </p>
      {help && <p class="ended-help">{help.how}</p>}
      {!well && (
        <div class="button-row">
          <button type="button" class="button on-dark" onClick={closeEndedCall}>
            {t().back}
          </button>
          <button type="button" class="button primary" onClick={again}>
            <PhoneIcon />
            {t().callAgain}
          </button>
        </div>
      )}
    </div>
  );
}

function endText(reason: string): string {
  const words = t().ended;
  return reason in words ? words[reason as keyof typeof words] : words.other;
}
