import { describe, expect, it } from "vitest";
import { behaviours, parseBehaviour } from "../../src/emulator/parse-behaviour.ts";
import { UsageError } from "../../src/errors.ts";

describe("--behave", () => {
  it.each([
    [["umask=027", "move-onto-existing=replace"], { verdicts: { umask: 0o027, moveOntoExisting: "replace" } }],
    [["shell-failure=C", "data=string"], { shellFailureForm: "C", dataAs: "string", verdicts: {} }],
    [["max-age=2m", "idle=5s", "clock-speed=60"], { maxAgeMs: 120_000, idleMs: 5000, clockSpeed: 60, verdicts: {} }],
    [
      ["bad-key=401", "without-commands=tar+gzip"],
      { badKeyStatus: 401, withoutCommands: ["tar", "gzip"], verdicts: {} },
    ],
    [[], {}],
  ])("reads %j", (items, expected) => {
    expect(parseBehaviour(items)).toEqual(expected);
  });

  it.each([
    [["umaks=027"], "there is no", "did you mean umask?"],
    [["umask"], "--behave umask: the value", undefined],
    [["umask=999"], "octal", undefined],
    [["move-onto-existing=maybe"], "fail, replace", undefined],
    [["toString=1"], "there is no", expect.stringContaining("use one of")],
  ])("refuses %j", (items, message, hint) => {
    expect(() => parseBehaviour(items)).toThrow(
      expect.objectContaining({ constructor: UsageError, message: expect.stringContaining(message), hint }),
    );
  });

  it.each(Object.keys(behaviours).filter((name) => name !== "without-commands"))("refuses nonsense for %s", (name) => {
    expect(() => parseBehaviour([`${name}=no such thing`])).toThrow(UsageError);
  });
});
