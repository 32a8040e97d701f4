import { batch, computed, signal } from "@preact/signals";
import {
  SottoClient,
  type Call,
  type CallRecord,
  type Conversation,
  type Media,
  type Session,
  type SocketState,
  type User,
} from "@sotto/sdk";
import { mediaHelp } from "./call/media_help";
import { announce } from "./notification";
import { Ringer } from "./ring";
import { t } from "./strings";

export type Route = "people" | "history" | "settings";

export interface Notice {
  id: number;
  text: string;
  tone: "info" | "warn";
}

/** Somebody to call: found by a search, or known from conversations and calls. */
export type Person = Pick<User, "id" | "username"> & { displayName: string };

export const client = new SottoClient();
export const session = signal<Session | null>(client.session);
export const socketState = signal<SocketState>(client.socket.state);
export const networkOnline = signal(navigator.onLine);
export const route = signal<Route>(readRoute());
export const notices = signal<Notice[]>([]);
export const conversations = signal<Conversation[] | null>(null);
export const records = signal<CallRecord[] | null>(null);
export const recordsCursor = signal<string | null>(null);
export const recordsFailed = signal(false);
export const loadFailed = signal(false);
export const selection = signal<Person[]>([]);
/** What is typed into the search for people; a call that is started has found its person. */
export const peopleQuery = signal("");
export const orphan = signal<string | null>(null);

/** Calls are live objects; a count that goes up says that one of them has changed. */
const version = signal(0);
const currentCall = signal<Call | null>(null);
const ringingCalls = signal<Call[]>([]);

export const call = computed(() => ({ version: version.value, call: currentCall.value }));
export const ringing = computed(() => ({ version: version.value, calls: ringingCalls.value }));

/**
 * Calls and participants are live objects that change under the same reference. A component that
 * reads one says so with this, and is drawn again when any of them has changed.
 */
export function watchCalls(): void {
  void version.value;
}

/** Displayed names of everyone this page has met, by user id. */
export const known = signal<ReadonlyMap<string, Person>>(new Map());

const ringer = new Ringer();
let noticeId = 0;
let changePending = false;

export function notify(text: string, tone: Notice["tone"] = "info", ms = 6000): void {
  noticeId += 1;
  const id = noticeId;
  notices.value = [...notices.value.slice(-2), { id, text, tone }];
  setTimeout(() => {
    dismissNotice(id);
  }, ms);
}

export function dismissNotice(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function meet(people: Iterable<Person>): void {
  const next = new Map(known.value);
  for (const person of people) next.set(person.id, person);
  known.value = next;
}

export function personOf(user: {
  id?: string;
  userId?: string;
  username?: string | undefined;
  displayName?: string | null | undefined;
}): Person {
  const username = user.username ?? "";
  return {
    id: user.id ?? user.userId ?? "",
    username,
    displayName: user.displayName?.trim() ? user.displayName : username,
  };
}

/* Routes: in the hash, so that the back button works and a reload stays. */

function readRoute(): Route {
  const name = location.hash.replace(/^#\/?/, "");
  return name === "history" || name === "settings" ? name : "people";
}

export function go(to: Route): void {
  location.hash = to === "people" ? "/" : `/${to}`;
}

/* Calls */

/** Calls somebody, or a group. Whom one calls is remembered: the name stands on the screen before
 *  the server has said anything. */
export function startCall(target: Person | { conversationId: string }, media: Media): void {
  if (currentCall.value?.live) return;
  peopleQuery.value = "";
  if ("conversationId" in target) client.calls.start(target, media);
  else {
    if (target.username) meet([target]);
    client.calls.start({ userId: target.id }, media);
  }
}

/** A group call with these people: in the group they already have, or in a new one. It has no
 *  name of its own; everyone sees the names of the others. */
export async function startGroupCall(people: Person[]): Promise<void> {
  const ids = people.map((person) => person.id);
  const wanted = new Set([...ids, session.value?.user.id ?? ""]);
  try {
    let group = (conversations.value ?? []).find(
      ({ type, name, members }) =>
        type === "group" &&
        !name &&
        members.length === wanted.size &&
        members.every((member) => wanted.has(member.userId)),
    );
    if (!group) {
      group = await client.api.createConversation({ type: "group", memberIds: ids });
      conversations.value = [group, ...(conversations.value ?? [])];
    }
    selection.value = [];
    startCall({ conversationId: group.id }, "video");
  } catch {
    notify(t().errors.other, "warn");
  }
}

export function closeEndedCall(): void {
  if (currentCall.value) client.calls.dismissEnded(currentCall.value);
}

function changed(): void {
  if (changePending) return;
  changePending = true;
  queueMicrotask(() => {
    changePending = false;
    batch(() => {
      version.value += 1;
      ringingCalls.value = [...client.calls.ringing];
      currentCall.value = client.calls.current;
    });
    updateTone();
  });
}

function updateTone(): void {
  const active = currentCall.value?.live ?? false;
  if (ringingCalls.value.length > 0 && !active) ringer.set("incoming");
  else if (currentCall.value?.state === "outgoing" && currentCall.value.ringing) {
    ringer.set("outgoing");
  } else ringer.set(null);
  const first = ringingCalls.value[0];
  const text = first ? t().isCalling(nameOfCall(first)) : null;
  document.title = text ?? t().app;
  announce(text);
}

/** Who is calling while it rings here; after that, who is in the call besides me. */
export function nameOfCall(of: Call): string {
  const conversation = conversations.value?.find((item) => item.id === of.conversationId);
  if (of.state !== "incoming" && conversation?.type === "group") {
    return conversationName(conversation);
  }
  const other = otherOf(of);
  if (other && (of.state === "incoming" || of.participants.length <= 1)) return other.displayName;
  const names = of.participants.map(
    (item) => known.value.get(item.userId)?.displayName ?? item.displayName,
  );
  return names.filter(Boolean).join(", ") || t().groupCall;
}

/** Who called me, or whom I have called; also after he has left or declined. Null for a group. */
export function otherOf(of: Call): Person | null {
  const { from, target } = of;
  const met = known.value.get(from?.userId ?? target?.userId ?? "");
  if (met) return met;
  const other = from ? personOf(from) : null;
  return other?.displayName ? other : null;
}

export function isGroup(of: Call): boolean {
  const conversation = conversations.value?.find((item) => item.id === of.conversationId);
  return conversation?.type === "group" || of.participants.length > 1;
}

function watchCall(of: Call): void {
  of.on("change", changed);
  of.on("problem", (error) => {
    if (of.state === "ended" || !error.code.startsWith("media_")) return;
    if (of.state !== "incoming" && of.answeredAt === null && of.localStream.getTracks().length === 0) {
      const help = of.direction === "incoming" ? mediaHelp(error.code) : null;
      if (help) notify(`${help.title}. ${help.how}`, "warn", 15_000);
      return; // The call's own page explains it.
    }
    notify(t().cameraProblem, "warn");
  });
  of.on("ended", ({ reason }) => {
    if (of.direction === "incoming" && of.answeredAt === null) {
      if (reason === "missed" || reason === "cancelled") notify(t().missedFrom(nameOfCall(of)));
    }
    // The record is written by the time the history is read.
    void loadHistory();
    void loadConversations();
  });
}

/* Lists */

let moreLoading = false;

export async function loadConversations(): Promise<void> {
  if (!session.value) return;
  try {
    const page = await client.api.conversations();
    conversations.value = page.items;
    loadFailed.value = false;
    meet(page.items.flatMap((item) => item.members.map(personOf)));
  } catch {
    loadFailed.value = conversations.value === null;
  }
}

export async function loadHistory(more = false): Promise<void> {
  if (!session.value || (more && moreLoading)) return;
  const cursor = more ? (recordsCursor.value ?? undefined) : undefined;
  moreLoading ||= more;
  try {
    const page = await client.api.calls(cursor);
    // Where nothing of the newest page was known, there may be a gap: then only the page stays.
    const ids = new Set(page.items.map((record) => record.callId));
    const gap = !more && !(records.value ?? []).some((record) => ids.has(record.callId));
    const before = gap ? [] : (records.value ?? []);
    records.value = more ? mergeRecords(before, page.items) : mergeRecords(page.items, before);
    // The newest page again doesn't take back what was paged to.
    if (more || records.value.length <= page.items.length) {
      recordsCursor.value = page.nextCursor ?? null;
    }
    recordsFailed.value = false;
    await meetStrangers(page.items);
  } catch {
    recordsFailed.value = true;
    if (more) notify(t().loadFailed, "warn");
  } finally {
    if (more) moreLoading = false;
  }
}

/** `first`, and of `rest` what isn't in it. */
export function mergeRecords(first: CallRecord[], rest: CallRecord[]): CallRecord[] {
  const ids = new Set(first.map((record) => record.callId));
  return [...first, ...rest.filter((record) => !ids.has(record.callId))];
}

/** Call records carry ids; the names of people not met yet are looked up once. */
async function meetStrangers(items: CallRecord[]): Promise<void> {
  const named = items
    .flatMap((item) => item.participants)
    .filter((participant) => participant.username)
    .map(personOf);
  if (named.length > 0) meet(named);
  const ids = new Set(items.flatMap((item) => item.participants.map((one) => one.userId)));
  const missing = [...ids].filter((id) => !known.value.has(id)).slice(0, 20);
  const found = await Promise.allSettled(missing.map((id) => client.api.user(id)));
  meet(found.flatMap((one) => (one.status === "fulfilled" ? [personOf(one.value)] : [])));
}

export function conversationName(conversation: Conversation): string {
  if (conversation.type !== "direct" && conversation.name) return conversation.name;
  return conversation.members
    .filter((member) => member.userId !== session.value?.user.id)
    .map((member) => personOf(member).displayName)
    .join(", ");
}

/** Wires the client to the signals. Called once, by main. */
export function begin(): void {
  client.onSession((next) => {
    const lost = session.value !== null && next === null;
    session.value = next;
    if (!next) {
      conversations.value = null;
      records.value = null;
      recordsCursor.value = null;
      orphan.value = null;
      selection.value = [];
      known.value = new Map();
      if (lost) notify(t().signedOut);
    } else meet([personOf(next.user)]);
  });
  client.socket.on("state", (state) => {
    socketState.value = state;
  });
  client.socket.on("resumed", () => {
    void loadConversations();
    void loadHistory();
  });
  client.socket.on("conversation_updated", () => {
    void loadConversations();
  });
  client.calls.on("current", (next) => {
    if (next?.direction === "outgoing") watchCall(next);
    changed();
  });
  client.calls.on("incoming", (incoming) => {
    meet([personOf(incoming.from ?? {})].filter((person) => person.id && person.username));
    watchCall(incoming);
    changed();
  });
  client.calls.on("handledElsewhere", ({ outcome }) => {
    notify(outcome === "accepted" ? t().answeredElsewhere : t().declinedElsewhere);
    changed();
  });
  client.calls.on("orphan", ({ callId }) => {
    orphan.value = callId;
  });
  window.addEventListener("hashchange", () => {
    route.value = readRoute();
  });
  for (const type of ["online", "offline"]) {
    window.addEventListener(type, () => {
      networkOnline.value = navigator.onLine;
    });
  }
  if (session.value) meet([personOf(session.value.user)]);
  client.resume();
}
