import { lstatSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { type Emulator, startEmulator } from "../../src/emulator/start-emulator.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { run } from "../helpers/cli.ts";
import { openOn } from "../helpers/kinds.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const services: readonly { readonly name: string; readonly strategy: "steps" | "batch"; options: EmulatorOptions }[] = [
  { name: "AGB with shell, batch", strategy: "batch", options: {} },
  { name: "AGB with shell, steps", strategy: "steps", options: {} },
  { name: "AGB without shell, steps", strategy: "steps", options: { missingTools: ["shell", "run_code"] } },
];
const commands = [
  ["plan"],
  ["plan", "--diff"],
  ["plan", "--out", "p.json"],
  ["plan", "--checksum"],
  ["status"],
  ["verify"],
  ["validate"],
  ["backups", "list"],
];
const mutating = new Set(["write_file", "create_directory", "move_file", "delete_file", "edit_file"]);

/** Everything in a session's tree: names, inodes, sizes and all times but those of reading. */
function snapshot(directory: string): readonly string[] {
  const lines: string[] = [];
  const visit = (path: string) => {
    const { mode, ino, size, mtimeMs, ctimeMs } = lstatSync(path);
    lines.push([path, mode, ino, size, mtimeMs, ctimeMs].join(" "));
    if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
  };
  visit(directory);
  return lines;
}

describe.each(services)("$name", ({ strategy, options }) => {
  let emulator: Emulator;
  beforeAll(async () => {
    emulator = await startEmulator(options);
  });
  afterAll(async () => await emulator.close());

  it("commands that only look change nothing in the session (S16)", { timeout: 120_000 }, async () => {
    const { session, rootDirectory } = await openOn(emulator);
    const cwd = temporaryDirectory();
    layOut(join(cwd, "source"), { a: "1", b: "2", "d/c": "3" });
    writeFileSync(
      join(cwd, "agb-sync.yaml"),
      "version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: . }]\n",
    );
    await apply(mirrorOf(cwd), session, { strategy, signal: new AbortController().signal });
    await session.close();
    writeFileSync(join(rootDirectory, "a"), "edited");
    writeFileSync(join(cwd, "source/b"), "changed");
    const before = snapshot(emulator.sessionRoot(session.id));
    const sent = emulator.requests.length;
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    for (const command of commands) {
      const [name = ""] = command;
      const how = ["plan", "verify", "status"].includes(name) ? ["--strategy", strategy] : [];
      const where = name === "validate" ? [] : ["--session", session.id];
      const { code, stderr } = await run([...command, ...where, ...how], { cwd, env });
      expect([0, 2], `${command.join(" ")}: ${stderr}`).toContain(code);
      expect(snapshot(emulator.sessionRoot(session.id)), command.join(" ")).toEqual(before);
    }
    const tools = emulator.requests.slice(sent).map(({ tool }) => tool ?? "");
    expect(tools.filter((tool) => mutating.has(tool))).toEqual([]);
  });
});
