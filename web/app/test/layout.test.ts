import { expect, test } from "vitest";
import { rowsFor, spansFor } from "../src/call/layout";

test.each([false, true])("every grid from one to nine is full (portrait: %s)", (portrait) => {
  for (let tiles = 1; tiles <= 9; tiles += 1) {
    const rows = rowsFor(tiles, portrait);
    expect(rows.reduce((sum, row) => sum + row, 0)).toBe(tiles);
    const spans = spansFor(tiles, portrait);
    expect(spans).toHaveLength(tiles);
    expect(spans.reduce((sum, span) => sum + span, 0)).toBe(6 * rows.length);
  }
});

test("wide screens get wide rows, tall screens tall columns", () => {
  expect(rowsFor(2, false)).toEqual([2]);
  expect(rowsFor(2, true)).toEqual([1, 1]);
  expect(rowsFor(9, false)).toEqual([3, 3, 3]);
  expect(rowsFor(40, false)).toEqual([3, 3, 3]);
  expect(rowsFor(0, false)).toEqual([1]);
});
