import { useEffect } from "preact/hooks";
import type { CallRecord } from "@sotto/sdk";
import { dayOf, duration, timeOfDay } from "../format";
import {
  conversationName,
  conversations,
  known,
  loadHistory,
  records,
  recordsCursor,
  recordsFailed,
  session,
  startCall,
  type Person,
} from "../state";
import { language, t } from "../strings";
import { Avatar } from "../ui/avatar";
import { InIcon, OutIcon, PhoneIcon, VideoIcon } from "../ui/icons";
import { LoadFailed, Skeleton } from "../ui/loading";

export function HistoryPage() {
  useEffect(() => {
    void loadHistory();
  }, []);
  return (
    <main class="page">
      <header class="page-head">
        <h1>{t().history}</h1>
      </header>
      <CallList />
    </main>
  );
}

/** The calls of this user, newest first, under the days they were on. */
export function CallList({ withUser }: { withUser?: string }) {
  const all = records.value;
  if (all === null && recordsFailed.value) {
    return <LoadFailed retry={() => void loadHistory()} />;
  }
  if (all === null) {
    return <Skeleton />;
  }
  const items = withUser
    ? all.filter((item) => item.participants.some((one) => one.userId === withUser)).slice(0, 8)
    : all;
  if (items.length === 0) {
    return withUser ? (
      <p class="quiet">{t().noCallsWith}</p>
    ) : (
      <div class="empty">
        <h2>{t().historyEmptyTitle}</h2>
        <p>{t().historyEmptyText}</p>
      </div>
    );
  }
  return (
    <>
      {byDay(items).map(([day, calls]) => (
        <section key={day} aria-label={day}>
          <h2 class="day">{day}</h2>
          <ul class="rows">
            {calls.map((record) => (
              <HistoryRow key={record.callId} record={record} />
            ))}
          </ul>
        </section>
      ))}
      {!withUser && recordsCursor.value && (
        <button type="button" class="button more" onClick={() => void loadHistory(true)}>
          {t().more}
        </button>
      )}
    </>
  );
}

function HistoryRow({ record }: { record: CallRecord }) {
  const me = session.value?.user.id ?? "";
  const outgoing = record.initiatorId === me;
  const others = othersOf(record, me);
  const name = nameOf(record, others);
  const missed = isMissed(record, me);
  const direction = outgoing ? t().outgoing : t().incoming;
  const at = new Date(record.startedAt);
  const only = others.length === 1 ? others[0] : undefined;
  return (
    <li
      class={`row ${missed ? "row-missed" : ""}`}
      data-testid="history-row"
      data-reason={record.reason ?? record.status}
      data-path={record.path ?? ""}
    >
      <Avatar name={name} seed={only?.username ?? record.callId} />
      <span class="row-text">
        <span class="row-title">{name}</span>
        <span class="row-sub">
          <span class="direction" role="img" aria-label={direction} title={direction}>
            {outgoing ? <OutIcon /> : <InIcon />}
          </span>
          <span>
            <span class="kind">{kindOf(record)}</span>
            {describe(record, me)}
          </span>
        </span>
      </span>
      <time class="row-time" dateTime={record.startedAt}>
        {timeOfDay(at, language.value)}
      </time>
      <button
        type="button"
        class="icon-button"
        aria-label={
          record.media === "video" ? t().callVideoTo(name) : t().callAudioTo(name)
        }
        title={t().callBack}
        onClick={() => {
          const target = only ?? targetOf(record);
          if (target) startCall(target, record.media);
        }}
      >
        {record.media === "video" ? <VideoIcon /> : <PhoneIcon />}
      </button>
    </li>
  );
}

function targetOf({ conversationId }: CallRecord): { conversationId: string } | null {
  return conversationId ? { conversationId } : null;
}

function othersOf(record: CallRecord, me: string): Person[] {
  return record.participants
    .filter((one) => one.userId !== me)
    .map(
      (one) =>
        known.value.get(one.userId) ?? {
          id: one.userId,
          username: one.username ?? "",
          displayName: one.displayName ?? one.username ?? "",
        },
    );
}

function nameOf(record: CallRecord, others: Person[]): string {
  if (others.length !== 1) {
    const group = conversations.value?.find((item) => item.id === record.conversationId);
    if (group?.type === "group") return conversationName(group);
  }
  return (
    others
      .map((one) => one.displayName)
      .filter(Boolean)
      .join(", ") || t().groupCall
  );
}

/** Missed is what rang here and nobody of this user's devices took. */
export function isMissed(record: CallRecord, me: string): boolean {
  if (record.initiatorId === me || record.status !== "ended") return false;
  const mine = record.participants.find((one) => one.userId === me);
  if (mine?.state === "missed") return true;
  return record.reason === "missed" || record.reason === "cancelled";
}

export function kindOf(record: CallRecord): string {
  return record.media === "video" ? t().videoCall : t().audioCall;
}

/** What became of it, in words: "4 min 7 s · direct". */
export function describe(record: CallRecord, me: string): string {
  const words = t().reason;
  const out = record.initiatorId === me;
  if (record.status !== "ended") return words[record.status];
  const outcomes: Record<string, string> = {
    missed: out ? words.missedOut : words.missedIn,
    declined: out ? words.declinedOut : words.declinedIn,
    busy: out ? words.busyOut : words.busyIn,
    cancelled: out ? words.cancelledOut : words.cancelledIn,
    unreachable: words.unreachable,
    failed: words.failed,
  };
  const parts = [isMissed(record, me) ? words.missedIn : outcomes[record.reason ?? ""]];
  if (record.answeredAt && record.durationSeconds != null) {
    parts.push(duration(record.durationSeconds));
    if (record.path) parts.push(t().path[record.path]);
  }
  return parts.filter(Boolean).join(" · ");
}

function byDay(items: CallRecord[]): [string, CallRecord[]][] {
  const days = new Map<string, CallRecord[]>();
  for (const item of items) {
    const day = dayOf(new Date(item.startedAt), language.value, t());
    days.set(day, [...(days.get(day) ?? []), item]);
  }
  return [...days];
}
