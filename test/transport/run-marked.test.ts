import { execFileSync, spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { runMarked } from "../../src/transport/run-marked.ts";
import type { ShellResult } from "../../src/transport/transport.ts";

const { signal } = new AbortController();

/** A shell whose answer is what `change` makes of the true one, as the service hands it on. */
async function ask(
  command: string,
  change: (result: ShellResult) => ShellResult = (result) => result,
): Promise<string> {
  const shell = async (request: { readonly command: string }) => {
    const { status, stdout, stderr } = spawnSync("sh", ["-c", request.command], { encoding: "utf8" });
    return change({ stdout, stderr, exitCode: status ?? -1 });
  };
  return await runMarked(shell, { command, timeoutMs: 1000, repeatable: true }, "try", signal);
}

const cut = (stdout: (text: string) => string) => (result: ShellResult) => ({
  ...result,
  stdout: stdout(result.stdout),
});

describe("the answer of a shell", () => {
  it.each(["", "one", "two\nlines", " blanks at both ends ", "a mark 0 3"])(
    "%j comes as it was printed",
    async (text) => {
      expect(await ask(`printf %s '${text}'`)).toBe(text);
    },
  );

  it.each<[string, (text: string) => string]>([
    ["without anything", () => ""],
    ["without our mark", (text) => text.split("\n").slice(0, -2).join("\n")],
    ["without the end of our mark", (text) => text.trimEnd().slice(0, -2)],
    ["without its beginning", (text) => text.slice(3)],
    ["with a hole in it", (text) => text.replace("hole", "")],
    ["with something in it that nobody printed", (text) => text.replace("hole", "hole, more")],
    ["with another's mark", (text) => text.replace(/agb-sync-[0-9a-f]+/, "agb-sync-000000000000000000")],
    ["with something behind it in its line", (text) => `${text.trimEnd()}more\n`],
  ])("%s is a failure, whatever the service says of it (S39)", async (_what, change) => {
    await expect(ask("echo before; echo hole; echo after", cut(change))).rejects.toMatchObject({ code: "BAD_ANSWER" });
  });

  it("is a failure when the command failed, although the service calls it a success", async () => {
    const succeeded = (result: ShellResult) => ({ ...result, exitCode: 0 });
    const failing = "echo out; echo 'x: Permission denied' >&2; exit 3";
    await expect(ask(failing, succeeded)).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
    await expect(ask("exit 7", succeeded)).rejects.toMatchObject({ code: "TOOL_FAILED" });
    expect(execFileSync("sh", ["-c", ":"]).toString()).toBe("");
  });

  it("is believed when it is whole, although the service calls it a failure", async () => {
    expect(await ask("echo fine", (result) => ({ ...result, exitCode: 1 }))).toBe("fine");
  });
});
