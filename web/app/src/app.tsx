import { useEffect } from "preact/hooks";
import type { Call } from "@sotto/sdk";
import { CallScreen } from "./call/screen";
import { IncomingCards } from "./call/incoming";
import { AuthPage } from "./pages/auth";
import { HistoryPage } from "./pages/history";
import { PeoplePage } from "./pages/people";
import { SettingsPage } from "./pages/settings";
import { call, go, route, session, type Route } from "./state";
import { t } from "./strings";
import { Bars } from "./ui/bars";
import { ClockIcon, GearIcon, Mark, PeopleIcon } from "./ui/icons";
import { Notices } from "./ui/notices";

export function App() {
  const signedIn = session.value !== null;
  const current = call.value.call;
  useSearchShortcut();
  return (
    <>
      {signedIn ? (
        <div class="shell" inert={current !== null}>
          <Nav />
          <div class="main">
            <Bars />
            <Page />
          </div>
        </div>
      ) : (
        <AuthPage />
      )}
      {signedIn && current && <CallScreen key={keyOf(current)} call={current} />}
      {signedIn && <IncomingCards />}
      <Notices />
    </>
  );
}

const keys = new WeakMap<Call, number>();
let lastKey = 0;

/** One screen for the whole call, also from before the server gave it its id. */
function keyOf(of: Call): number {
  const key = keys.get(of) ?? (lastKey += 1);
  keys.set(of, key);
  return key;
}

function Page() {
  if (route.value === "history") return <HistoryPage />;
  if (route.value === "settings") return <SettingsPage />;
  return <PeoplePage />;
}

function Nav() {
  const items: { to: Route; label: string; icon: typeof ClockIcon }[] = [
    { to: "people", label: t().people, icon: PeopleIcon },
    { to: "history", label: t().history, icon: ClockIcon },
    { to: "settings", label: t().settings, icon: GearIcon },
  ];
  return (
    <nav class="nav" aria-label={t().mainMenu}>
      <span class="nav-mark">
        <Mark />
      </span>
      {items.map(({ to, label, icon: Icon }) => (
        <a
          key={to}
          class="nav-item"
          href={to === "people" ? "#/" : `#/${to}`}
          data-testid={`nav-${to}`}
          aria-current={route.value === to ? "page" : undefined}
        >
          <Icon />
          <span>{label}</span>
        </a>
      ))}
    </nav>
  );
}

/** "/" goes to the search, from wherever one is, unless one is typing. */
function useSearchShortcut(): void {
  useEffect(() => {
    const listener = (event: KeyboardEvent): void => {
      const typing = (event.target as HTMLElement | null)?.closest("input, textarea, select");
      if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || !session.value) return;
      event.preventDefault();
      go("people");
      requestAnimationFrame(() => {
        document.getElementById("people-search")?.focus();
      });
    };
    window.addEventListener("keydown", listener);
    return () => {
      window.removeEventListener("keydown", listener);
    };
  }, []);
}
