import { computed, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Conversation } from "@sotto/sdk";
import {
  client,
  conversationName,
  conversations,
  known,
  loadConversations,
  loadFailed,
  meet,
  peopleQuery as query,
  personOf,
  selection,
  session,
  socketState,
  startCall,
  startGroupCall,
  type Person,
} from "../state";
import { t } from "../strings";
import { Avatar } from "../ui/avatar";
import { CheckIcon, CloseIcon, Mark, PhoneIcon, SearchIcon, VideoIcon } from "../ui/icons";
import { LoadFailed, Skeleton } from "../ui/loading";
import { CallList } from "./history";

const found = signal<Person[]>([]);
const searchedFor = signal("");
const searchFailed = signal(false);
const open = signal<string | null>(null);

/** People one knows, in the order of the last contact, and what the search adds to them. */
const shown = computed<Person[]>(() => {
  const text = query.value.trim().toLowerCase();
  const me = session.value?.user.id;
  const order = [...known.value.values()].filter((person) => person.id !== me && person.username);
  if (!text) return order;
  const matches = (person: Person): boolean =>
    person.username.toLowerCase().includes(text) ||
    person.displayName.toLowerCase().includes(text);
  const result = new Map(order.filter(matches).map((person) => [person.id, person]));
  for (const person of found.value) {
    if (person.id !== me && matches(person)) result.set(person.id, person);
  }
  return [...result.values()];
});

const groups = computed<Conversation[]>(() => {
  const text = query.value.trim().toLowerCase();
  return (conversations.value ?? []).filter(
    (item) => item.type === "group" && conversationName(item).toLowerCase().includes(text),
  );
});

export function PeoplePage() {
  useSearch();
  return (
    <main class="people">
      <section class="people-list" aria-label={t().people}>
        <header class="page-head">
          <h1>{t().people}</h1>
        </header>
        <div class="search">
          <SearchIcon />
          <input
            id="people-search"
            type="search"
            data-testid="people-search"
            placeholder={t().searchPeople}
            aria-label={t().searchPeople}
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            value={query.value}
            onInput={(event) => {
              query.value = event.currentTarget.value;
            }}
            onKeyDown={(event) => {
              if (event.key === "Escape") query.value = "";
            }}
          />
          <kbd aria-hidden="true">/</kbd>
        </div>
        <List />
        <GroupBar />
      </section>
      <Detail />
    </main>
  );
}

function List() {
  const people = shown.value;
  const text = query.value.trim();
  if (conversations.value === null && !text && people.length === 0) {
    if (loadFailed.value) return <LoadFailed retry={() => void loadConversations()} />;
    return <Skeleton />;
  }
  if (people.length === 0 && groups.value.length === 0) {
    if (text && searchedFor.value !== text) return <Skeleton />;
    return (
      <div class="empty" role="status">
        {text ? (
          <p>{searchFailed.value ? t().searchFailed : t().nobodyFound(text)}</p>
        ) : (
          <>
            <h2>{t().noPeopleTitle}</h2>
            <p>{t().noPeopleText}</p>
          </>
        )}
      </div>
    );
  }
  return (
    <ul class="rows">
      {people.map((person) => (
        <PersonRow key={person.id} person={person} />
      ))}
      {groups.value.map((group) => (
        <GroupRow key={group.id} group={group} />
      ))}
    </ul>
  );
}

function PersonRow({ person }: { person: Person }) {
  const { id, username, displayName } = person;
  const chosen = selection.value.some((one) => one.id === id);
  return (
    <li
      class={`row ${open.value === id ? "row-open" : ""}`}
      data-testid={`person-${username}`}
    >
      <label class="pick">
        <Avatar name={displayName} seed={username} />
        <input
          type="checkbox"
          class="pick-box"
          checked={chosen}
          data-testid={`group-select-${username}`}
          aria-label={t().selectFor(displayName)}
          onChange={() => {
            selection.value = chosen
              ? selection.value.filter((one) => one.id !== id)
              : [...selection.value, person];
          }}
        />
        <span class="pick-mark" aria-hidden="true">
          <CheckIcon />
        </span>
      </label>
      <button
        type="button"
        class="row-text"
        aria-pressed={open.value === id}
        onClick={() => {
          meet([person]);
          open.value = open.value === id ? null : id;
        }}
      >
        <span class="row-title">{displayName}</span>
        <span class="row-sub">@{username}</span>
      </button>
      <button
        type="button"
        class="icon-button"
        data-testid={`call-audio-${username}`}
        aria-label={t().callAudioTo(displayName)}
        onClick={() => {
          startCall(person, "audio");
        }}
      >
        <PhoneIcon />
      </button>
      <button
        type="button"
        class="icon-button"
        data-testid={`call-video-${username}`}
        aria-label={t().callVideoTo(displayName)}
        onClick={() => {
          startCall(person, "video");
        }}
      >
        <VideoIcon />
      </button>
    </li>
  );
}

function GroupRow({ group }: { group: Conversation }) {
  const name = conversationName(group);
  return (
    <li class="row" data-testid={`group-${group.id}`}>
      <Avatar name={name} seed={group.id} />
      <span class="row-text">
        <span class="row-title">{name}</span>
        <span class="row-sub">{t().members(group.members.length)}</span>
      </span>
      <button
        type="button"
        class="icon-button"
        aria-label={t().callVideoTo(name)}
        onClick={() => {
          startCall({ conversationId: group.id }, "video");
        }}
      >
        <VideoIcon />
      </button>
    </li>
  );
}

function GroupBar() {
  const chosen = selection.value;
  if (chosen.length === 0) return null;
  return (
    <div class="group-bar" role="region" aria-label={t().startGroup}>
      <div class="group-faces" aria-hidden="true">
        {chosen.slice(0, 4).map((person) => (
          <Avatar key={person.id} name={person.displayName} seed={person.username} size="s" />
        ))}
      </div>
      <span class="group-count" role="status">
        {t().selected(chosen.length)}
      </span>
      <button
        type="button"
        class="icon-button"
        aria-label={t().clearSelection}
        onClick={() => {
          selection.value = [];
        }}
      >
        <CloseIcon />
      </button>
      <button
        type="button"
        class="button primary"
        data-testid="group-start"
        onClick={() => void startGroupCall(chosen)}
      >
        <VideoIcon />
        {t().startGroup}
      </button>
    </div>
  );
}

function Detail() {
  const person = open.value ? known.value.get(open.value) : undefined;
  if (!person) {
    return (
      <aside class="detail detail-empty">
        <Mark />
        <h2>{t().chooseTitle}</h2>
        <p>{t().chooseText}</p>
      </aside>
    );
  }
  return (
    <aside class="detail" aria-label={person.displayName}>
      <div class="detail-head">
        <Avatar name={person.displayName} seed={person.username} size="xl" />
        <h2>{person.displayName}</h2>
        <p>@{person.username}</p>
        <div class="detail-actions">
          <button
            type="button"
            class="button"
            onClick={() => {
              startCall(person, "audio");
            }}
          >
            <PhoneIcon />
            {t().audioCall}
          </button>
          <button
            type="button"
            class="button primary"
            onClick={() => {
              startCall(person, "video");
            }}
          >
            <VideoIcon />
            {t().videoCall}
          </button>
        </div>
      </div>
      <h3>{t().recentWith}</h3>
      <CallList withUser={person.id} />
    </aside>
  );
}

/** Asks the server a moment after the last key; what an older question brings is dropped. */
function useSearch(): void {
  const text = query.value.trim();
  const online = socketState.value.status === "open";
  useEffect(() => {
    if (!text) {
      found.value = [];
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      client.api
        .findUsers(text, abort.signal)
        .then((users) => {
          found.value = users.map(personOf);
          searchedFor.value = text;
          searchFailed.value = false;
        })
        .catch(() => {
          if (abort.signal.aborted) return;
          searchedFor.value = text;
          searchFailed.value = true;
        });
    }, 180);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, online && searchFailed.peek()]);
}
