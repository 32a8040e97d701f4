import { useEffect, useState } from "preact/hooks";
import { client, networkOnline, orphan, socketState } from "../state";
import { t } from "../strings";

/** The thin bars on top: no connection, another tab, a call one is still in. */
export function Bars() {
  return (
    <>
      <ConnectionBar />
      {orphan.value && socketState.value.status !== "replaced" && (
        <div class="bar bar-call" role="status">
          <span>{t().orphan}</span>
          <button
            type="button"
            class="link-button"
            onClick={() => {
              if (orphan.value) client.calls.join(orphan.value, true);
            }}
          >
            {t().returnToCall}
          </button>
          <button
            type="button"
            class="link-button"
            onClick={() => {
              client.calls.leaveOrphan();
            }}
          >
            {t().leaveCall}
          </button>
        </div>
      )}
    </>
  );
}

export function ConnectionBar() {
  const { status } = socketState.value;
  const lost = useLasting(status === "waiting" || status === "connecting", 800);
  if (status === "replaced") {
    return (
      <div class="bar" role="status" data-testid="offline-bar">
        <span>{t().replaced}</span>
        <button
          type="button"
          class="link-button"
          onClick={() => {
            client.socket.connect();
          }}
        >
          {t().useHere}
        </button>
      </div>
    );
  }
  if (!lost && networkOnline.value) return null;
  return (
    <div class="bar" role="status" data-testid="offline-bar">
      <span>{networkOnline.value ? t().reconnectingBar : t().offline}</span>
      {networkOnline.value && status === "waiting" && (
        <button
          type="button"
          class="link-button"
          onClick={() => {
            client.socket.connect();
          }}
        >
          {t().retryNow}
        </button>
      )}
    </div>
  );
}

/** True once `value` has been true for `ms`: a reconnect that takes a blink shows nothing. */
function useLasting(value: boolean, ms: number): boolean {
  const [lasting, setLasting] = useState(false);
  useEffect(() => {
    if (!value) {
      setLasting(false);
      return undefined;
    }
    const timer = setTimeout(() => {
      setLasting(true);
    }, ms);
    return () => {
      clearTimeout(timer);
    };
  }, [value, ms]);
  return lasting;
}
