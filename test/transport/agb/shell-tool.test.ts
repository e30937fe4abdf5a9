import { describe, expect, it } from "vitest";
import { runShell } from "../../../src/transport/agb/shell-tool.ts";
import { toolError } from "../../../src/transport/agb/tool-caller.ts";

const signal = new AbortController().signal;
const request = { command: "cat timeout.py", timeoutMs: 1000 };

/** A shell tool that fails with this text. */
async function failing(text: string) {
  const call = async (tool: string, args: Readonly<Record<string, unknown>>) => {
    throw toolError(tool, args, text);
  };
  return await runShell({ call }, request, signal);
}

describe("a command that failed as a tool error", () => {
  it.each([
    [
      "form B",
      JSON.stringify({ stdout: "timeout\n", stderr: "[timeout]", exit_code: 3 }),
      { stdout: "timeout\n", stderr: "[timeout]", exitCode: 3 },
    ],
    [
      "form B with errorCode",
      JSON.stringify({ stdout: "timed out", stderr: "", errorCode: 124 }),
      { stdout: "timed out", stderr: "", exitCode: 124 },
    ],
    [
      "form C",
      "Execution failed. Error code:1 Error message: cat: timeout.py: No such file or directory",
      { stdout: "", stderr: "cat: timeout.py: No such file or directory", exitCode: 1 },
    ],
  ])("is a result in %s, whatever words it holds", async (_name, text, result) => {
    expect(await failing(text)).toEqual(result);
  });

  it.each([
    ["Execution failed. Error code:-1 Error message: [timeout]"],
    ["command execution timeout"],
    ["Error in response: Execution failed. Error code:-1 Error message: timeout"],
    [JSON.stringify({ stdout: "", stderr: "[timeout]", errorCode: -1 })],
  ])("%s is a timeout", async (text) => {
    await expect(failing(text)).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  it("is no timeout when the tool repeats a command of that name", async () => {
    await expect(failing("could not start: cat timeout.py")).rejects.toMatchObject({ code: "TOOL_FAILED" });
  });
});
