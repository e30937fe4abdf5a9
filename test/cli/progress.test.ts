import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { converse, hasTerminal, keys } from "./terminal.ts";

function project(): string {
  const cwd = temporaryDirectory();
  const session = "session: { image: i, name: progress }";
  layOut(cwd, { "agb-sync.yaml": `version: 1\nroot: /tmp/w\n${session}\nfiles: [{ path: a.txt, content: a }]\n` });
  return cwd;
}

describe("progress", () => {
  it("ends with what an apply cost, as a table, with -v", async () => {
    const emulator = await sharedEmulator();
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const { code, stderr } = await run(["apply", "-v"], { cwd: project(), env });
    const table = stderr.slice(stderr.indexOf("strategy  "));
    const [, time = ""] = /^in all {4}( *\d.*?s) {2}\d+ requests$/m.exec(table) ?? [];
    const row = (what: string) => `${what.padEnd(10)}[ \\d.ms]{${time.length}}  (1 request|\\d+ requests)\\n`;
    expect([code, table]).toEqual([
      0,
      expect.stringMatching(
        new RegExp(
          `^strategy {2}batch: .+\\nsent {6}\\d.*B\\nreceived {2}\\d.*B\\nretries {3}\\d+\\n${row("sources")}${row("scan")}${row("commit")}${row("in all")}$`,
        ),
      ),
    ]);
    expect(stderr).not.toMatch(/\b1 requests/);
  });

  it.skipIf(!hasTerminal)("goes from its line before anything else is printed", async () => {
    const emulator = await sharedEmulator({ latencyMs: 300 });
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const { code, raw, unasked } = await converse(["apply"], project(), [["scanning", keys.ctrlC]], env);
    expect([code, unasked]).toEqual([130, []]);
    expect(raw).toMatch(
      /(?:scanning the session|reading sources)(?:\^C)?\u001b\[1G\u001b\[2Kstopping after the step in hand/,
    );
    expect(raw).toMatch(/\ninterrupted; nothing was changed\n$/);
  });
});
