import { expect, it } from "vitest";
import { quoted, shortened } from "../../src/manifest/quoted.ts";

it.each([
  ["a", '"a"'],
  ['a"b\n', '"a\\"b\\n"'],
  ["a".repeat(100), `"${"a".repeat(100)}"`],
  ["a".repeat(50) + "b".repeat(51), `"${"a".repeat(50)}${"b".repeat(10)}…${"b".repeat(30)}"`],
  ["🙂".repeat(101), `"${"🙂".repeat(60)}…${"🙂".repeat(30)}"`],
])("a name is quoted, and shortened if it is very long: %#", (name, expected) => {
  expect(quoted(name)).toBe(expected);
  expect(JSON.stringify(shortened(name))).toBe(expected);
});
