import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { runByCode } from "../../../src/transport/agb/code-shell.ts";
import { serialisedBytes } from "../../../src/transport/agb/text-chunks.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const signal = new AbortController().signal;
const python = ["/usr/bin/python3", "/usr/local/bin/python3"].find((path) => existsSync(path));

/** run_code with this machine's Python; `shape` makes the answer of what was printed. */
function callerOf(shape: (printed: string) => unknown) {
  return {
    call: async (_tool: string, { code }: Readonly<Record<string, unknown>>) => {
      const { stdout } = await promisify(execFile)(python ?? "", ["-c", String(code)]);
      const answer = shape(stdout);
      return typeof answer === "string" ? answer : JSON.stringify(answer);
    },
  };
}

const flat = callerOf((printed) => ({ result: [], stdout: [printed], stderr: [], executionError: null }));

describe.skipIf(python === undefined)("a command by run_code", () => {
  it.each<readonly [layout: string, shape: (printed: string) => unknown]>([
    [
      "flat lists",
      (printed) => ({ result: [], stdout: [printed.slice(0, 30), printed.slice(30)], executionError: null }),
    ],
    ["lists in logs", (printed) => ({ logs: { stdout: [printed], stderr: [] }, results: [] })],
    ["plain text", (printed) => `some words\n${printed}`],
    ["content", (printed) => ({ content: [{ type: "text", text: printed }] })],
  ])("gives output, errors and status in an answer of %s", async (_layout, shape) => {
    const command = "printf 'ä\\n\"x\"'; echo no >&2; exit 3";
    expect(await runByCode(callerOf(shape), { command, timeoutMs: 10_000 }, signal)).toEqual({
      stdout: 'ä\n"x"',
      stderr: "no\n",
      exitCode: 3,
    });
  });

  it("runs where and with what it is told", async () => {
    const cwd = temporaryDirectory();
    const request = { command: 'printf %s "$PWD $WORD"', cwd, env: { WORD: "it's\n\\ok" }, timeoutMs: 10_000 };
    expect(await runByCode(flat, request, signal)).toMatchObject({ stdout: `${cwd} it's\n\\ok`, exitCode: 0 });
  });

  it("tells a signal as a shell would", async () => {
    expect(await runByCode(flat, { command: "kill -9 $$", timeoutMs: 10_000 }, signal)).toMatchObject({
      exitCode: 137,
    });
  });

  it("ends what takes too long, with its children", async () => {
    const request = { command: "sleep 60 & sleep 60", timeoutMs: 200 };
    await expect(runByCode(flat, request, signal)).rejects.toMatchObject({ code: "TIMEOUT", retryable: false });
  });
});

describe("an answer of run_code", () => {
  it.each([
    [{ result: [], stdout: [], executionError: "sh: 1: exec: python3: not found" }, "NOT_POSSIBLE_HERE"],
    [{ result: [], stdout: [], executionError: "the kernel died" }, "TOOL_FAILED"],
    [{ logs: { stdout: [] }, error: { name: "MemoryError", value: "x" } }, "TOOL_FAILED"],
    [{ result: [], stdout: ["agb-sync-"], executionError: null }, "BAD_ANSWER"],
    [{}, "BAD_ANSWER"],
  ])("%j is %s", async (answer, code) => {
    const call = async () => JSON.stringify(answer);
    await expect(runByCode({ call }, { command: "x", timeoutMs: 1 }, signal)).rejects.toMatchObject({ code });
  });

  it.each([
    ["bytes in base64", () => randomBytes(40_000).toString("base64")],
    ["quotes and line breaks", () => '"\n'.repeat(25_000)],
  ])("is asked for in a message that holds a long command of %s", async (_name, command) => {
    let sizeBytes = 0;
    const call = async (_tool: string, args: Readonly<Record<string, unknown>>) => {
      sizeBytes = serialisedBytes(JSON.stringify(args));
      return "";
    };
    await expect(runByCode({ call }, { command: command(), timeoutMs: 1 }, signal)).rejects.toMatchObject({
      code: "BAD_ANSWER",
    });
    expect(sizeBytes).toBeLessThan(60_000);
  });
});
