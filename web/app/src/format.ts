/** "4:07" or "1:04:07". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60];
  const hours = Math.floor(whole / 3600);
  const text = `${parts[0]}:${String(parts[1]).padStart(2, "0")}`;
  return hours > 0 ? `${hours}:${text.padStart(5, "0")}` : text;
}

/** "4 min 7 s": for eyes and screen readers alike. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const rest = whole % 60;
  const parts = [
    hours > 0 ? `${hours} h` : "",
    minutes > 0 ? `${minutes} min` : "",
    rest > 0 && hours === 0 ? `${rest} s` : "",
  ].filter(Boolean);
  return parts.join(" ") || "0 s";
}

export function timeOfDay(at: Date, language: string): string {
  return at.toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit" });
}

export function dayOf(
  at: Date,
  language: string,
  words: { today: string; yesterday: string },
  now = new Date(),
  short = false,
): string {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  if (at.getTime() >= midnight) return words.today;
  if (at.getTime() >= midnight - 86_400_000) return words.yesterday;
  return at.toLocaleDateString(language, {
    ...(short ? {} : { weekday: "long" }),
    day: "numeric",
    month: short ? "short" : "long",
    ...(at.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }),
  });
}

/** One or two letters that stand for a name, whatever script it is in. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u).filter(Boolean);
  const letters = [words[0], words.length > 1 ? words[words.length - 1] : undefined]
    .map((word) => (word ? [...word][0] : undefined))
    .filter((letter) => letter !== undefined);
  return letters.join("").toUpperCase() || "?";
}

/** A steady hue for a name: the same person looks the same everywhere. */
export function hueOf(name: string): number {
  let hash = 7;
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) % 360;
  return hash;
}
