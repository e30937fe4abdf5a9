import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { untrueOutcomes } from "../helpers/against-disk.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const before = { edited: "old", gone: "deleted", "from/moved": "moves along", keep: "k" };
const after = { edited: "new", added: "added", "to/moved": "moves along", keep: "k" };

describe("a call that claims success and does nothing", () => {
  it.each([
    { what: "a replaced file", end: "destination", path: "edited" },
    { what: "a new file", end: "destination", path: "added" },
    { what: "a moved file", end: "destination", path: "to/moved" },
    { what: "a deleted file", end: "source", path: "gone" },
  ])("is not reported as applied: $what (S15, S34)", async ({ end, path }) => {
    let lies = 0;
    let isArmed = false;
    const emulator = await startEmulator({
      missingTools: ["shell", "run_code"],
      onRequest: ({ tool, args }) => {
        if (!isArmed || tool !== "move_file" || args?.[end] !== `/tmp/workspace/${path}`) return undefined;
        lies += 1;
        return "lie";
      },
    });
    try {
      const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
      const session = await connect({ env, cwd: "/", signal, spec: { image: "agb-code-space-1", labels: {} } });
      const directory = temporaryDirectory();
      layOut(join(directory, "source"), before);
      await apply(mirrorOf(directory), session, { strategy: "steps", signal });
      layOut(join(directory, "source"), after);
      isArmed = true;
      const report = await apply(mirrorOf(directory), session, { strategy: "steps", signal });
      expect(lies).toBeGreaterThan(0);
      const root = join(emulator.sessionRoot(session.id), "tmp/workspace");
      expect(untrueOutcomes(root, report.outcomes, { modes: false })).toEqual([]);
      const about = report.outcomes.filter(({ step }) => (step.op === "move" ? step.to : step.path) === path);
      expect(about.map(({ result }) => result.status)).toEqual(["failed"]);
      expect(report.verified).toBe(false);
      await session.close();
    } finally {
      await emulator.close();
    }
  });
});
