import { expect, test } from "vitest";
import { Backoff } from "../src/backoff";

test("the ceiling doubles from half a second to twenty", () => {
  const backoff = new Backoff({ random: () => 1 });
  const waits = Array.from({ length: 8 }, () => backoff.next());
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16000, 20000, 20000]);
});

test("full jitter: anything from nothing to the ceiling", () => {
  const draws = [0, 0.5, 0.999];
  const backoff = new Backoff({ random: () => draws.shift() ?? 0 });
  expect([backoff.next(), backoff.next(), backoff.next()]).toEqual([0, 500, 1998]);
});

test("a server's wish is a lower bound, and success starts again", () => {
  const backoff = new Backoff({ random: () => 0.5 });
  expect(backoff.next(3000)).toBe(3250);
  backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(250);
});

test("many failures in a row neither overflow nor grow past the limit", () => {
  const backoff = new Backoff({ random: () => 1 });
  for (let n = 0; n < 2000; n += 1) backoff.next();
  expect(backoff.next()).toBe(20_000);
});
