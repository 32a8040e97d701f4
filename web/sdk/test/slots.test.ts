import { expect, test } from "vitest";
import { SlotMap } from "../src/slots";

function filled(): SlotMap {
  const map = new SlotMap();
  map.update(
    [
      { slot: 0, mid: "0", participantId: "a", csrc: 1 },
      { slot: 1, mid: "1", participantId: null },
    ],
    [
      { slot: 0, mid: "3", participantId: "b", source: "screen" },
      { slot: 1, mid: "4", participantId: "b", source: "camera" },
      { slot: 2, mid: "5", participantId: "a", paused: true },
    ],
  );
  return map;
}

test("finds the m-line of a participant, for each kind", () => {
  expect(filled().audioMid("a")).toBe("0");
  expect(filled().videoMid("a")).toBe("5");
  expect(filled().audioMid("b")).toBeNull();
  expect(filled().videoMid("nobody")).toBeNull();
});

test("prefers the camera where there is a shared screen too", () => {
  expect(filled().videoMid("b")).toBe("4");
  expect(filled().videoMid("b", "screen")).toBe("3");
});

test("an update replaces; a missing half leaves what was", () => {
  const map = filled();
  map.update([{ slot: 0, mid: "0", participantId: "b" }], undefined);
  expect(map.audioMid("a")).toBeNull();
  expect(map.audioMid("b")).toBe("0");
  expect(map.videoMid("a")).toBe("5");
  expect(map.videoPaused("a")).toBe(true);
  map.clear();
  expect(map.videoMid("a")).toBeNull();
});
