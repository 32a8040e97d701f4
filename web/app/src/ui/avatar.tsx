import { hueOf, initials } from "../format";

interface AvatarProps {
  name: string;
  /** What the colour is drawn from: stays the same when the shown name changes. */
  seed?: string;
  size?: "s" | "m" | "l" | "xl";
}

export function Avatar({ name, seed, size = "m" }: AvatarProps) {
  return (
    <span
      class={`avatar avatar-${size}`}
      style={{ "--hue": String(hueOf(seed ?? name)) }}
      aria-hidden="true"
    >
      {initials(name)}
    </span>
  );
}
