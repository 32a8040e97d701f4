import { useEffect, useRef, useState } from "preact/hooks";
import type { Call } from "@sotto/sdk";
import { client, known, notify, personOf, session, watchCalls, type Person } from "../state";
import { t } from "../strings";
import { Avatar } from "../ui/avatar";
import { AddPersonIcon, CloseIcon } from "../ui/icons";

export function InvitePanel({ call, onClose }: { call: Call; onClose: () => void }) {
  watchCalls();
  const [text, setText] = useState("");
  const [found, setFound] = useState<Person[]>([]);
  const [asked, setAsked] = useState<string[]>([]);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    input.current?.focus();
  }, []);
  useEffect(() => {
    const wanted = text.trim();
    if (!wanted) {
      setFound([]);
      return undefined;
    }
    const timer = setTimeout(() => {
      client.api
        .findUsers(wanted)
        .then((users) => {
          setFound(users.map(personOf));
        })
        .catch(() => {});
    }, 180);
    return () => {
      clearTimeout(timer);
    };
  }, [text]);

  const present = new Set([
    session.value?.user.id ?? "",
    ...call.participants.map((person) => person.userId),
  ]);
  const wanted = text.trim().toLowerCase();
  const pool = new Map([...known.value.values(), ...found].map((person) => [person.id, person]));
  const people = [...pool.values()].filter(
    (person) =>
      person.username &&
      (!present.has(person.id) || asked.includes(person.id)) &&
      (person.username.toLowerCase().includes(wanted) ||
        person.displayName.toLowerCase().includes(wanted)),
  );

  const invite = (person: Person): void => {
    setAsked([...asked, person.id]);
    input.current?.focus(); // The button just used goes away.
    call.invite([person.id]).catch(() => {
      setAsked((now) => now.filter((id) => id !== person.id));
      notify(t().errors.other, "warn");
    });
  };

  const close = (): void => {
    onClose();
    document.querySelector<HTMLElement>('.control[data-testid="invite"]')?.focus();
  };
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => {
      if (event.key === "Escape") close();
    };
    window.addEventListener("keydown", listener);
    return () => {
      window.removeEventListener("keydown", listener);
    };
  }, []);

  return (
    <div
      class="sheet"
      role="dialog"
      aria-label={t().inviteTitle}
      data-testid="invite-panel"
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.key === "Escape") close();
      }}
    >
      <div class="sheet-head">
        <h2>{t().inviteTitle}</h2>
        <button type="button" class="icon-button" aria-label={t().close} onClick={close}>
          <CloseIcon />
        </button>
      </div>
      <input
        ref={input}
        type="search"
        class="sheet-search"
        data-testid="invite-search"
        placeholder={t().inviteSearch}
        aria-label={t().inviteSearch}
        autocomplete="off"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
        }}
      />
      <ul class="rows">
        {people.slice(0, 20).map((person) => (
          <li key={person.id} class="row">
            <Avatar name={person.displayName} seed={person.username} />
            <span class="row-text">
              <span class="row-title">{person.displayName}</span>
              <span class="row-sub">@{person.username}</span>
            </span>
            {asked.includes(person.id) ? (
              <span class="badge">{t().invited}</span>
            ) : (
              <button
                type="button"
                class="icon-button"
                aria-label={`${t().invite}: ${person.displayName}`}
                data-testid={`invite-${person.username}`}
                onClick={() => {
                  invite(person);
                }}
              >
                <AddPersonIcon />
              </button>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}
