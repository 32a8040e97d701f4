import { signal } from "@preact/signals";
import { en, type Strings } from "./en";
import { fr } from "./fr";

export type Language = "en" | "fr";
export const LANGUAGES: Record<Language, { name: string; strings: Strings }> = {
  en: { name: "English", strings: en },
  fr: { name: "Français", strings: fr },
};

const KEY = "sotto.language";

function firstLanguage(): Language {
  let saved: string | null = null;
  try {
    saved = localStorage.getItem(KEY);
  } catch {
    // No storage: the browser's language decides.
  }
  const wanted = [saved ?? "", ...(navigator.languages ?? [])].map((tag) => tag.slice(0, 2));
  return (wanted.find((tag) => tag in LANGUAGES) as Language | undefined) ?? "en";
}

export const language = signal<Language>(firstLanguage());

/** The texts of the chosen language. Reading it in a component redraws that on a change. */
export function t(): Strings {
  return LANGUAGES[language.value].strings;
}

export function setLanguage(next: Language): void {
  language.value = next;
  document.documentElement.lang = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // Kept for this page only.
  }
}
