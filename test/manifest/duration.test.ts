import { expect, it } from "vitest";
import { parseDuration } from "../../src/manifest/duration.ts";

it.each([
  ["500ms", 500],
  ["90s", 90_000],
  ["5m", 300_000],
  ["1h", 3_600_000],
  [" 5m ", 300_000],
  ["0s", 0],
  ["999999999h", 999_999_999 * 3_600_000],
])("%j is a duration", (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

it.each(["", "5", "m", "5 m", "5M", "-5m", "1.5h", "1h30m", "5min", "9999999999s", "0x5s", "\u0665s", "5toString"])(
  "%j is none",
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);
