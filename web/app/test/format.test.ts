import { expect, test } from "vitest";
import { clock, dayOf, duration, hueOf, initials } from "../src/format";

test.each([
  [0, "0:00"],
  [7.9, "0:07"],
  [247, "4:07"],
  [3847, "1:04:07"],
  [-3, "0:00"],
])("the clock shows %d s as %s", (seconds, text) => {
  expect(clock(seconds)).toBe(text);
});

test.each([
  [0, "0 s"],
  [59.6, "1 min"],
  [247, "4 min 7 s"],
  [7265, "2 h 1 min"],
])("a duration of %d s is %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test("days are named as people name them", () => {
  const words = { today: "Today", yesterday: "Yesterday" };
  const now = new Date(2026, 10, 21, 9, 0);
  expect(dayOf(new Date(2026, 10, 21, 0, 1), "en", words, now)).toBe("Today");
  expect(dayOf(new Date(2026, 10, 20, 23, 59), "en", words, now)).toBe("Yesterday");
  expect(dayOf(new Date(2026, 10, 3), "en", words, now)).toBe("Tuesday, November 3");
  expect(dayOf(new Date(2025, 0, 3), "en", words, now)).toContain("2025");
});

test("initials work in any script and never fail", () => {
  expect(initials("Alice Martin")).toBe("AM");
  expect(initials("bob")).toBe("B");
  expect(initials("élodie.durand")).toBe("ÉD");
  expect(initials("😀 smile")).toBe("😀S");
  expect(initials("  ")).toBe("?");
  expect(hueOf("alice")).toBe(hueOf("alice"));
});
