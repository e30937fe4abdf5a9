import { describe, expect, it } from "vitest";
import { parseMissingTools, removableTools } from "../../src/emulator/parse-missing-tools.ts";
import { UsageError } from "../../src/errors.ts";

describe("--without", () => {
  it.each([
    ["shell", ["shell"]],
    ["shell,run_code,file_transfer", ["shell", "run_code", "file_transfer"]],
    [" get_metrics , ,shell", ["get_metrics", "shell"]],
    ["", []],
  ])("reads %j", (text, names) => {
    expect(parseMissingTools(text)).toEqual(names);
  });

  it.each([["shel"], ["shell;run_code"], ["Shell"], ["toString"], ["shell,nothing"]])(
    "refuses %j and names the known",
    (text) => {
      const refused = () => parseMissingTools(text);
      expect(refused).toThrow(
        expect.objectContaining({ constructor: UsageError, hint: expect.stringContaining("write_file") }),
      );
      expect(refused).toThrow(
        expect.objectContaining({ message: expect.stringContaining(text.split(",").at(-1) ?? "") }),
      );
    },
  );

  it("suggests what is close", () => {
    expect(() => parseMissingTools("shel")).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("did you mean shell?") }),
    );
  });

  it("knows every tool and the transfer", () => {
    expect(removableTools).toEqual(expect.arrayContaining(["shell", "run_code", "get_metrics", "file_transfer"]));
  });
});
