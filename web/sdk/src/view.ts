import type { VideoSlot, ViewRequest } from "./types";

export type VideoSource = "camera" | "screen";

/** Changes are gathered for this long: a window being resized is many of them. */
const GATHER_MS = 150;
/** Heights are asked for in these steps, a tenth too little counts as enough: nobody sees it, and
 *  a tile that grows by a pixel switches nothing. */
const STEP = 90;
const ENOUGH = 0.9;
const MAX_HEIGHT = 2160;
const SPEAKER_PRIORITY = 20;
const ASPECT = 16 / 9;

interface Watched {
  userId: string;
  source: VideoSource;
  element: Element;
  visible: boolean;
}

/** Who is in the call, and what the server last said of the slots. */
export interface ViewRoom {
  /** The participant to ask for; null while he has no picture to show. */
  participantId(userId: string): string | null;
  speaking(userId: string): boolean;
  slots(): VideoSlot[];
}

/** Pixels that an element of this size needs of a picture that covers it. */
export function heightFor(
  width: number,
  height: number,
  ratio: number,
  aspect: number = ASPECT,
): number {
  const needed = Math.max(height, width / aspect) * ratio * ENOUGH;
  return Math.min(MAX_HEIGHT, Math.max(STEP, Math.ceil(needed / STEP) * STEP));
}

/**
 * Asks the forwarding unit for what is on the screen and nothing else: who has a visible element
 * gets a video slot, in the height that the element has on this screen, and who speaks comes first
 * where bandwidth is short. A person keeps his slot for as long as he is shown.
 */
export class ViewKeeper {
  private readonly watched = new Set<Watched>();
  private readonly slotOf = new Map<string, number>();
  private used = false;
  private sent = "";
  private timer: ReturnType<typeof setTimeout> | undefined;
  private sizes: ResizeObserver | undefined;
  private sights: IntersectionObserver | undefined;

  constructor(
    private readonly room: ViewRoom,
    private readonly slots: number,
    private readonly send: (view: ViewRequest[]) => void,
  ) {}

  /** The element shows this person from now on, until the returned function is called. */
  watch(userId: string, element: Element, source: VideoSource): () => void {
    const item: Watched = { userId, source, element, visible: true };
    this.used = true;
    this.watched.add(item);
    this.observe(element);
    this.changed();
    return () => {
      this.watched.delete(item);
      if ([...this.watched].every((other) => other.element !== element)) {
        this.sizes?.unobserve(element);
        this.sights?.unobserve(element);
      }
      this.changed();
    };
  }

  /** People came, went, or speak: the view may be another one. */
  changed(): void {
    if (!this.used || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.tell();
    }, GATHER_MS);
  }

  close(): void {
    clearTimeout(this.timer);
    this.used = false;
    this.watched.clear();
    this.sizes?.disconnect();
    this.sights?.disconnect();
    globalThis.document?.removeEventListener("visibilitychange", this.onVisibility);
  }

  private tell(): void {
    const view = this.view();
    const text = JSON.stringify(view);
    if (!this.used || text === this.sent) return;
    this.sent = text;
    this.send(view);
  }

  /** What is asked for: the largest element of each picture decides. */
  private view(): ViewRequest[] {
    const wanted = new Map<string, ViewRequest & { key: string }>();
    for (const item of this.watched) {
      const participantId = this.room.participantId(item.userId);
      const maxHeight = participantId === null ? 0 : this.height(item, participantId);
      if (participantId === null || maxHeight === 0) continue;
      const key = `${participantId} ${item.source}`;
      const known = wanted.get(key);
      if (known && (known.maxHeight ?? 0) >= maxHeight) continue;
      const priority = this.room.speaking(item.userId) ? SPEAKER_PRIORITY : 0;
      const { source } = item;
      wanted.set(key, { key, slot: 0, participantId, source, maxHeight, priority });
    }
    return this.place([...wanted.values()]);
  }

  private height({ element, visible, source }: Watched, participantId: string): number {
    if (!visible || globalThis.document?.visibilityState === "hidden") return 0;
    const { width, height } = element.getBoundingClientRect();
    if (width < 1 || height < 1) return 0;
    const slot = this.room
      .slots()
      .find((one) => one.participantId === participantId && (one.source ?? "camera") === source);
    const aspect = slot?.width && slot.height ? slot.width / slot.height : ASPECT;
    return heightFor(width, height, globalThis.devicePixelRatio || 1, aspect);
  }

  private place(all: (ViewRequest & { key: string })[]): ViewRequest[] {
    // Who speaks is shown even where there are more faces than slots.
    all.sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
    const wanted = all.slice(0, this.slots);
    const keys = new Set(wanted.map((item) => item.key));
    for (const key of this.slotOf.keys()) if (!keys.has(key)) this.slotOf.delete(key);
    const taken = new Set(this.slotOf.values());
    const placed: ViewRequest[] = [];
    for (const { key, ...request } of wanted) {
      let slot: number | null = this.slotOf.get(key) ?? null;
      if (slot === null) {
        // Where the server has him already, there he stays.
        const { participantId, source } = request;
        const there = this.room
          .slots()
          .find((one) => one.participantId === participantId && (one.source ?? "camera") === source);
        const free = there && there.slot < this.slots && !taken.has(there.slot);
        slot = free ? there.slot : firstFree(taken, this.slots);
      }
      if (slot === null) continue;
      taken.add(slot);
      this.slotOf.set(key, slot);
      placed.push({ ...request, slot });
    }
    // An empty view would leave the slots to the server; nobody in one of them empties all.
    if (placed.length === 0) return [{ slot: 0, participantId: null }];
    return placed.sort((a, b) => a.slot - b.slot);
  }

  private observe(element: Element): void {
    if (typeof ResizeObserver !== "undefined") {
      this.sizes ??= new ResizeObserver(() => {
        this.changed();
      });
      this.sizes.observe(element);
    }
    if (typeof IntersectionObserver === "undefined") return;
    if (!this.sights) {
      this.sights = new IntersectionObserver((entries) => {
        this.onSight(entries);
      });
      globalThis.document?.addEventListener("visibilitychange", this.onVisibility);
    }
    this.sights.observe(element);
  }

  private readonly onVisibility = (): void => {
    this.changed();
  };

  private onSight(entries: IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting } of entries) {
      for (const item of this.watched) if (item.element === target) item.visible = isIntersecting;
    }
    this.changed();
  }
}

function firstFree(taken: Set<number>, slots: number): number | null {
  for (let slot = 0; slot < slots; slot += 1) if (!taken.has(slot)) return slot;
  return null;
}
