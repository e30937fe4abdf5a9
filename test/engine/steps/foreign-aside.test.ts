import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { StepsEngine } from "../../../src/engine/steps/steps-engine.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { forwarding } from "../../helpers/forwarding.ts";
import { kinds } from "../../helpers/kinds.ts";
import { withWorkspace } from "../../helpers/with-workspace.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();
const options = { strategy: "steps", signal, allowMassDelete: true } as const;

/** What somebody writes at the path just before it is taken from there, and just after. */
type Edit = { readonly path: "edited" | "gone"; readonly before: string; readonly after?: string };

const edits: readonly (Edit & { readonly stays: string; readonly backup: readonly string[] })[] = [
  { path: "edited", before: "theirs", stays: "theirs", backup: [] },
  { path: "edited", before: "theirs", after: "newer", stays: "newer", backup: ["theirs"] },
  { path: "gone", before: "theirs", stays: "theirs", backup: [] },
  { path: "gone", before: "theirs", after: "newer", stays: "newer", backup: ["theirs"] },
];

describe.each(kinds.filter(({ strategy }) => strategy === "steps"))("$name", ({ open }) => {
  it.each(edits)(
    "what the plan did not see comes back, or goes to the backup: $path, $before, $after (S19, S20)",
    async ({ path, before, after, stays, backup }) => {
      const { session, rootDirectory: root } = await open();
      const directory = temporaryDirectory();
      layOut(join(directory, "source"), { edited: "old", gone: "1", more: "2" });
      await apply(mirrorOf(directory), session, options);
      layOut(join(directory, "source"), { edited: "new", more: "2" });
      let isDone = false;
      const altered = withWorkspace(session, (workspace) => {
        const inner = workspace.transport;
        const transport = forwarding(inner, {
          move: async (from, to, ...rest) => {
            const isIt = !isDone && (path === "gone" ? from === path : to === path);
            if (!isIt) return await inner.move(from, to, ...rest);
            isDone = true;
            writeFileSync(join(root, path), before);
            await inner.move(from, to, ...rest);
            if (after !== undefined) writeFileSync(join(root, path), after);
          },
        });
        return { transport, steps: new StepsEngine(transport, 4), batch: undefined };
      });
      const report = await apply(mirrorOf(directory), altered, options);
      expect(report.verified).toBe(false);
      expect(readFileSync(join(root, path), "utf8")).toBe(stays);
      const kept = readdirSync(join(root, ".agb-sync"), { recursive: true, encoding: "utf8" })
        .filter((name) => name.startsWith("backup/") && name.endsWith(`/${path}`))
        .map((name) => readFileSync(join(root, ".agb-sync", name), "utf8"));
      expect(kept).toEqual(backup);
      await session.close();
    },
  );
});
