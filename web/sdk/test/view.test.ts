import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { VideoSlot, ViewRequest } from "../src/types";
import { ViewKeeper, heightFor } from "../src/view";

/** jsdom lays nothing out: elements have the size that a test gives them. */
class Tile {
  readonly element = document.createElement("div");
  constructor(
    public width: number,
    public height: number,
  ) {
    this.element.getBoundingClientRect = () => ({ width: this.width, height: this.height }) as DOMRect;
  }
}

let sent: ViewRequest[][];
let speaking: Set<string>;
let dark: Set<string>;
let slots: VideoSlot[];
let sights: ((entries: { target: Element; isIntersecting: boolean }[]) => void)[];

function keeper(count = 3): ViewKeeper {
  const room = {
    participantId: (userId: string) => (dark.has(userId) ? null : `p-${userId}`),
    speaking: (userId: string) => speaking.has(userId),
    slots: () => slots,
  };
  return new ViewKeeper(room, count, (view) => sent.push(view));
}

const last = (): ViewRequest[] | undefined => sent.at(-1);
const heights = (): (number | undefined)[] | undefined => last()?.map((item) => item.maxHeight);

beforeEach(() => {
  vi.useFakeTimers();
  [sent, speaking, dark, slots, sights] = [[], new Set(), new Set(), [], []];
  vi.stubGlobal("devicePixelRatio", 1);
  vi.stubGlobal(
    "IntersectionObserver",
    class {
      constructor(listener: (typeof sights)[number]) {
        sights.push(listener);
      }
      observe(): void {}
      unobserve(): void {}
      disconnect(): void {}
    },
  );
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("the height is what the screen can show, in steps, a tenth forgiven", () => {
  expect(heightFor(320, 180, 1)).toBe(180);
  expect(heightFor(320, 180, 2)).toBe(360);
  expect(heightFor(320, 199, 1)).toBe(180);
  expect(heightFor(320, 201, 1)).toBe(270);
  expect(heightFor(1280, 400, 1)).toBe(720); // a wide tile is covered: the picture is cut above and below
  expect(heightFor(300, 800, 1, 9 / 16)).toBe(720);
  expect(heightFor(10, 10, 1)).toBe(90);
  expect(heightFor(9000, 9000, 3)).toBe(2160);
});

test("many changes are one view; nothing new is not said again", () => {
  const views = keeper();
  const tile = new Tile(1280, 720);
  views.watch("ann", tile.element, "camera");
  tile.width = 640;
  tile.height = 360;
  views.changed();
  expect(sent).toHaveLength(0);
  vi.advanceTimersByTime(150);
  expect(sent).toEqual([
    [{ slot: 0, participantId: "p-ann", source: "camera", maxHeight: 360, priority: 0 }],
  ]);
  tile.height = 363;
  views.changed();
  vi.advanceTimersByTime(1000);
  expect(sent).toHaveLength(1);
});

test("what isn't on the screen isn't asked for, and comes back to its own slot's place", () => {
  const views = keeper();
  const [ann, ben] = [new Tile(640, 360), new Tile(640, 360)];
  views.watch("ann", ann.element, "camera");
  views.watch("ben", ben.element, "camera");
  vi.advanceTimersByTime(150);
  expect(last()?.map((item) => [item.participantId, item.slot])).toEqual([["p-ann", 0], ["p-ben", 1]]);
  sights[0]?.([{ target: ann.element, isIntersecting: false }]);
  vi.advanceTimersByTime(150);
  expect(last()?.map((item) => [item.participantId, item.slot])).toEqual([["p-ben", 1]]);
  ben.height = 0;
  views.changed();
  vi.advanceTimersByTime(150);
  expect(last()).toEqual([{ slot: 0, participantId: null }]); // [] would have the server choose.
  dark.add("ann");
  sights[0]?.([{ target: ann.element, isIntersecting: true }]);
  vi.advanceTimersByTime(150);
  expect(sent).toHaveLength(3); // His camera is off: still nothing to ask for.
});

test("who speaks comes first, also where there are more faces than slots", () => {
  const views = keeper(2);
  for (const name of ["ann", "ben", "cleo"]) views.watch(name, new Tile(640, 360).element, "camera");
  vi.advanceTimersByTime(150);
  expect(last()?.map((item) => item.participantId)).toEqual(["p-ann", "p-ben"]);
  speaking.add("cleo");
  views.changed();
  vi.advanceTimersByTime(150);
  expect(last()?.map((item) => [item.participantId, item.slot, item.priority])).toEqual([
    ["p-ann", 0, 0],
    ["p-cleo", 1, 20],
  ]);
});

test("who has a slot already keeps it; screens are asked for beside cameras", () => {
  slots = [
    { slot: 2, mid: "5", participantId: "p-ann", source: "camera", width: 720, height: 1280 },
  ];
  const views = keeper();
  views.watch("ann", new Tile(360, 360).element, "camera");
  views.watch("ann", new Tile(640, 360).element, "screen");
  vi.advanceTimersByTime(150);
  expect(last()?.map((item) => [item.slot, item.source])).toEqual([[0, "screen"], [2, "camera"]]);
  expect(heights()).toEqual([360, 630]); // upright: a square tile needs more of its height
});

test("the largest element of a person decides; the last one that goes ends it", () => {
  const views = keeper();
  const ends = [
    views.watch("ann", new Tile(320, 180).element, "camera"),
    views.watch("ann", new Tile(1280, 720).element, "camera"),
  ];
  vi.advanceTimersByTime(150);
  expect(heights()).toEqual([720]);
  ends[1]?.();
  vi.advanceTimersByTime(150);
  expect(heights()).toEqual([180]);
  ends[0]?.();
  vi.advanceTimersByTime(150);
  expect(last()).toEqual([{ slot: 0, participantId: null }]);
});

test("a page that watches nothing sends no view: the server fills the slots", () => {
  const views = keeper();
  views.changed();
  vi.advanceTimersByTime(1000);
  expect(sent).toHaveLength(0);
});
