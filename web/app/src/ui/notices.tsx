import { dismissNotice, notices } from "../state";
import { t } from "../strings";
import { CloseIcon } from "./icons";

/** Short messages that go by themselves; a screen reader says them when it has a moment. */
export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <div key={notice.id} class={`notice notice-${notice.tone}`} data-testid="notice">
          <span>{notice.text}</span>
          <button
            type="button"
            class="icon-button small"
            aria-label={t().close}
            onClick={() => {
              dismissNotice(notice.id);
            }}
          >
            <CloseIcon />
          </button>
        </div>
      ))}
    </div>
  );
}
