import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../../src/errors.ts";
import { codeOfToolText } from "../../../src/transport/agb/error-text.ts";
import { toolError } from "../../../src/transport/agb/tool-caller.ts";
import { EmbeddedTransport } from "../../../src/transport/embedded/embedded-transport.ts";
import { runMarked } from "../../../src/transport/run-marked.ts";
import { quoteForShell } from "../../../src/transport/shell-quote.ts";
import { codeOfStderr } from "../../../src/transport/stderr-reason.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const signal = new AbortController().signal;
const words = [
  "timeout",
  "[timeout]",
  "timed out",
  "permission denied",
  "no space left on device",
  "is a directory",
  "not a directory",
  "directory not empty",
  "No such file or directory",
  "file exists",
  "unknown tool",
  "tool shell not found",
  "session not found",
  "agb-sync: leads outside",
  ", error: Permission denied",
  "Execution failed. Error code:1 Error message: x",
  "throttling",
  "a",
  "ä b",
  ": ",
  "'",
];
const hostileName = fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 3 }).map((parts) => parts.join(" "));
const hostilePath = fc.array(hostileName, { minLength: 1, maxLength: 3 }).map((names) => `/w/${names.join("/")}`);

/** What the tools say of a path, and what it means. */
const texts: readonly (readonly [text: (path: string) => string, code: ErrorCode])[] = [
  [(path) => `Failed to get file status: ${path}, error: No such file or directory`, "NOT_FOUND"],
  [(path) => `Failed to write file: ${path}, error: Permission denied`, "PERMISSION_DENIED"],
  [(path) => `Failed to write file: ${path}, error: No space left on device`, "NO_SPACE"],
  [(path) => `Failed to list directory: ${path}, error: Not a directory`, "NOT_A_DIRECTORY"],
  [(path) => `Failed to read file: ${path}, error: Is a directory`, "IS_A_DIRECTORY"],
  [(path) => `Failed to create directory: ${path}, error: File exists`, "ALREADY_EXISTS"],
  [(path) => `Failed to read file: ${path}, error: Input/output error`, "TOOL_FAILED"],
  [(path) => `Failed to read file: ${path}, error: [timeout]`, "TIMEOUT"],
  [(path) => `File not found: ${path}`, "NOT_FOUND"],
  [(path) => `ENOENT: no such file or directory, open '${path}'`, "NOT_FOUND"],
  [(path) => `Path ${path} does not exist`, "NOT_FOUND"],
  [(path) => `Directory already exists: ${path}`, "ALREADY_EXISTS"],
  [(path) => `Permission denied: ${path}`, "PERMISSION_DENIED"],
  [(path) => `Request timed out: ${path}`, "TIMEOUT"],
  [(path) => `Cannot delete directory with remove: ${path}`, "TOOL_FAILED"],
];

describe("an error of a tool", () => {
  it.each([
    ["Failed to get file status: /w/timeout.py, error: No such file or directory", "NOT_FOUND"],
    ["Failed to create directory: /workspace, error: Permission denied", "PERMISSION_DENIED"],
    ["[timeout]", "TIMEOUT"],
    ["timeout", "TIMEOUT"],
    ["Command execution timeout after 1000 ms", "TIMEOUT"],
    ["cannot read timeout.py", "TOOL_FAILED"],
    ["Unknown tool: get_file_info", "NOT_POSSIBLE_HERE"],
    ["tool get_file_info not found", "NOT_POSSIBLE_HERE"],
    ["Tool 'get_file_info' is not supported", "NOT_POSSIBLE_HERE"],
    ["InvalidTool.NotFound", "NOT_POSSIBLE_HERE"],
    ["Resource [Tool] is not found", "NOT_POSSIBLE_HERE"],
    ["Tool not found", "NOT_POSSIBLE_HERE"],
    ["Tool `get_file_info` does not exist", "NOT_POSSIBLE_HERE"],
    ["Tool: get_file_info not registered", "NOT_POSSIBLE_HERE"],
    ["cannot find tool get_file_info", "NOT_POSSIBLE_HERE"],
    ["no server found for tool [get_file_info]", "NOT_POSSIBLE_HERE"],
    ["tool another not found", "TOOL_FAILED"],
    ["invalid tool arguments", "TOOL_FAILED"],
    ["tool get_file_info is not available now, try again", "TOOL_FAILED"],
    ["tool server not found", "TOOL_FAILED"],
    ["the context is not found", "TOOL_FAILED"],
  ])("%j means %s", (text, code) => {
    expect(codeOfToolText("get_file_info", text, [])).toBe(code);
  });

  it("means the same whatever the path is called", () => {
    const property = fc.property(hostilePath, fc.constantFrom(...texts), (path, [text, code]) => {
      const wrapped = `Execution failed. Error code:-32602 Error message: ${text(path)}`;
      expect(toolError("get_file_info", { path }, text(path)).code).toBe(code);
      expect(toolError("get_file_info", { path }, wrapped).code).toBe(code);
    });
    fc.assert(property, { numRuns: 500 });
  });

  it("means the same whatever both ends of a move are called", () => {
    const property = fc.property(hostilePath, hostileName, (source, more) => {
      const destination = `${source} ${more}`;
      const text = `cannot move ${source} to ${destination}: No such file or directory`;
      expect(toolError("move_file", { source, destination }, text).code).toBe("NOT_FOUND");
    });
    fc.assert(property);
  });
});

describe("an error of a command", () => {
  it.each([
    ["mv: cannot move './permission denied/x': No such file", "NOT_FOUND"],
    ["sh: 1: cannot create ./is a directory/x: Directory nonexistent", "NOT_FOUND"],
    ["base64: write error: No space left on device\n", "NO_SPACE"],
    [
      "tar: ./x: Cannot open: Permission denied\ntar: Exiting with failure status due to previous errors",
      "PERMISSION_DENIED",
    ],
    ["mv: cannot overwrite non-directory './permission denied' with directory 'x'", "TOOL_FAILED"],
    ["agb-sync: leads outside", "OUTSIDE_ROOT"],
    ["timed out", "TIMEOUT"],
    ["File exists", "ALREADY_EXISTS"],
    ["sh: 1: sha256sum: not found", "TOOL_FAILED"],
    ["", "TOOL_FAILED"],
  ])("%j means %s", (text, code) => {
    expect(codeOfStderr(text)).toBe(code);
  });

  it("means the same whatever the names are, with this machine's programs", async () => {
    const { shell } = new EmbeddedTransport({ directory: temporaryDirectory(), root: "/" });
    const name = fc.oneof(
      hostileName,
      hostileName.map((text) => `${text}\n${text}`),
    );
    const property = fc.asyncProperty(
      name,
      fc.constantFrom("mv -T", "cat", "rmdir", "cp -T"),
      async (text, program) => {
        const names = `${quoteForShell(`./${text}/x`)} ${program.endsWith("T") ? quoteForShell(`./${text} y`) : ""}`;
        await expect(
          runMarked(shell, { command: `${program} ${names}`, timeoutMs: 10_000 }, "try", signal),
        ).rejects.toMatchObject({ code: "NOT_FOUND" });
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
});
