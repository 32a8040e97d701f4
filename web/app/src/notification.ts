/** The system's own notification of a call, for when this page can't be seen. Only ever shown where
 *  the person has allowed it in the settings. */
export type Permission = "unsupported" | "default" | "granted" | "denied";

let shown: Notification | null = null;

export function permission(): Permission {
  return typeof Notification === "undefined" ? "unsupported" : Notification.permission;
}

export async function askPermission(): Promise<Permission> {
  if (permission() === "default") await Notification.requestPermission();
  return permission();
}

/** Shows the text while the page is hidden; null takes it away. */
export function announce(text: string | null): void {
  if (text === null) {
    shown?.close();
    shown = null;
    return;
  }
  if (shown || permission() !== "granted" || document.visibilityState === "visible") return;
  try {
    shown = new Notification(text, { icon: "/mark.svg", tag: "sotto-call", requireInteraction: true });
    shown.onclick = () => {
      window.focus();
      announce(null);
    };
  } catch {
    // Some phones only let a service worker show them.
  }
}
