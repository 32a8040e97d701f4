import { expect, test } from "vitest";
import { LANGUAGES } from "../src/strings";

/** Paths of every text, functions called with a sample. */
function texts(node: unknown, path = ""): [string, string][] {
  if (typeof node === "string") return [[path, node]];
  if (typeof node === "function") {
    return [[path, String((node as (sample: unknown) => unknown)("sample"))]];
  }
  return Object.entries(node as object).flatMap(([key, value]) => texts(value, `${path}.${key}`));
}

test("every language has every text, and none is empty but where English is", () => {
  const english = texts(LANGUAGES.en.strings);
  const french = new Map(texts(LANGUAGES.fr.strings));
  expect([...french.keys()].sort()).toEqual(english.map(([path]) => path).sort());
  for (const [path, text] of english) {
    expect(french.get(path) === "", path).toBe(text === "");
  }
});
