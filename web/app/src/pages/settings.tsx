import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Device } from "@sotto/sdk";
import { dayOf, timeOfDay } from "../format";
import { askPermission, permission } from "../notification";
import { client, notify, personOf, session } from "../state";
import { LANGUAGES, language, setLanguage, t, type Language } from "../strings";
import { Avatar } from "../ui/avatar";
import { DeviceIcon } from "../ui/icons";

export function SettingsPage() {
  const user = session.value?.user;
  if (!user) return null;
  const person = personOf(user);
  return (
    <main class="page">
      <header class="page-head">
        <h1>{t().settings}</h1>
      </header>
      <section class="card panel" aria-labelledby="s-profile">
        <h2 id="s-profile">{t().profile}</h2>
        <div class="profile">
          <Avatar name={person.displayName} seed={person.username} size="l" />
          <div>
            <p class="row-title">{person.displayName}</p>
            <p class="row-sub">@{person.username}</p>
          </div>
        </div>
      </section>
      <Devices />
      <Notifications />
      <section class="card panel" aria-labelledby="s-language">
        <h2 id="s-language">{t().language}</h2>
        <div class="segments" role="radiogroup" aria-labelledby="s-language">
          {Object.entries(LANGUAGES).map(([tag, { name }]) => (
            <label key={tag} class="segment">
              <input
                type="radio"
                name="language"
                checked={language.value === tag}
                onChange={() => {
                  setLanguage(tag as Language);
                }}
              />
              <span lang={tag}>{name}</span>
            </label>
          ))}
        </div>
      </section>
      <section class="card panel" aria-labelledby="s-session">
        <h2 id="s-session">{t().session}</h2>
        <div class="button-row">
          <button
            type="button"
            class="button"
            data-testid="sign-out"
            onClick={() => void client.logout().catch(() => {})}
          >
            {t().signOut}
          </button>
          <button
            type="button"
            class="button danger"
            data-testid="sign-out-all"
            onClick={() => void client.logout(true).catch(() => {})}
          >
            {t().signOutAll}
          </button>
        </div>
      </section>
    </main>
  );
}

function Devices() {
  const devices = useSignal<Device[] | null>(null);
  const failed = useSignal(false);
  const load = (): void => {
    client.api
      .devices()
      .then((list) => {
        devices.value = list;
        failed.value = false;
      })
      .catch(() => {
        failed.value = true;
      });
  };
  useEffect(load, []);

  const revoke = (device: Device): void => {
    const before = devices.value;
    devices.value = (before ?? []).filter((one) => one.id !== device.id);
    client.api
      .revokeDevice(device.id)
      .then(() => {
        notify(t().revoked);
      })
      .catch(() => {
        devices.value = before;
        notify(t().errors.other, "warn");
      });
  };

  return (
    <section class="card panel" aria-labelledby="s-devices">
      <h2 id="s-devices">{t().devices}</h2>
      <p class="quiet">{t().devicesText}</p>
      {failed.value && (
        <div role="alert">
          <p>{t().loadFailed}</p>
          <button type="button" class="button" onClick={load}>
            {t().retry}
          </button>
        </div>
      )}
      {!failed.value && devices.value === null && (
        <div class="row skeleton" aria-busy="true">
          <span class="bone bone-round" />
          <span class="bone bone-line" />
        </div>
      )}
      <ul class="rows">
        {(devices.value ?? []).map((device) => (
          <DeviceRow key={device.id} device={device} onRevoke={revoke} />
        ))}
      </ul>
    </section>
  );
}

function Notifications() {
  const state = useSignal(permission());
  if (state.value === "unsupported") return null;
  return (
    <section class="card panel" aria-labelledby="s-notifications">
      <div class="panel-head">
        <h2 id="s-notifications">{t().notifications}</h2>
        {state.value === "granted" && <span class="badge">{t().notificationsOn}</span>}
      </div>
      <p class="quiet">
        {state.value === "denied" ? t().notificationsDenied : t().notificationsText}
      </p>
      {state.value === "default" && (
        <div class="button-row">
          <button
            type="button"
            class="button"
            onClick={() =>
              void askPermission().then((next) => {
                state.value = next;
              })
            }
          >
            {t().notificationsAllow}
          </button>
        </div>
      )}
    </section>
  );
}

function DeviceRow({ device, onRevoke }: { device: Device; onRevoke: (device: Device) => void }) {
  const here = device.current ?? device.id === session.value?.deviceId;
  const name = device.name ?? device.platform ?? "";
  const seen = device.lastActiveAt ? new Date(device.lastActiveAt) : null;
  const when = seen
    ? `${dayOf(seen, language.value, t(), new Date(), true)} ${timeOfDay(seen, language.value)}`
    : "";
  return (
    <li class="row" data-testid="device-row" data-current={String(here)}>
      <span class="device-icon">
        <DeviceIcon />
      </span>
      <span class="row-text">
        <span class="row-title">{name}</span>
        <span class="row-sub">{here ? t().activeNow : t().lastActive(when)}</span>
      </span>
      {here ? (
        <span class="badge">{t().thisDevice}</span>
      ) : (
        <button
          type="button"
          class="button small danger"
          aria-label={t().revokeDevice(name)}
          onClick={() => {
            onRevoke(device);
          }}
        >
          {t().revoke}
        </button>
      )}
    </li>
  );
}
