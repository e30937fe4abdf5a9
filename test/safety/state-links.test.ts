import { rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
/** What of the state directory is read, written, made or renamed by name, and what the link there leads to. */
const places = [
  ["base.json", "directory"],
  ["base.json", "file"],
  ["index.new", "file"],
  ["locks", "directory"],
  ["stage", "directory"],
  ["backup", "directory"],
  [".", "directory"],
] as const;

/** File tools cannot tell a link from its target: without a shell this is not promised. */
describe.each(kinds.filter(({ isFull }) => isFull))("$name", ({ strategy, open }) => {
  it("writes nothing through a link in its own state directory (S25)", { timeout: 120_000 }, async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const options = { strategy, signal, onConflict: "overwrite" } as const;
    layOut(join(directory, "source"), { a: "1", b: "2" });
    await apply(mirrorOf(directory), session, options);
    const state = join(rootDirectory, ".agb-sync");
    const outside = join(rootDirectory, "../canary");
    for (const [place, kind] of places) {
      rmSync(outside, { recursive: true, force: true });
      if (kind === "directory") layOut(outside, { inside: "must not change" });
      else writeFileSync(outside, "must not change");
      const target = place === "." ? state : join(state, place);
      rmSync(target, { recursive: true, force: true });
      symlinkSync(outside, target);
      const before = look(join(rootDirectory, ".."));
      writeFileSync(join(rootDirectory, "b"), `edited for ${place}`);
      writeFileSync(join(directory, "source/a"), `${place} ${kind}`);
      // It may be refused or done: nothing may reach the canary.
      await apply(mirrorOf(directory), session, { ...options, lockTimeoutMs: 0 }).catch(() => undefined);
      const after = look(join(rootDirectory, ".."));
      const isCanary = ([path]: readonly [string, string]) => path.startsWith("canary");
      expect(Object.entries(after).filter(isCanary), place).toEqual(Object.entries(before).filter(isCanary));
      rmSync(target, { recursive: true, force: true });
    }
    await apply(mirrorOf(directory), session, options);
    await session.close();
  });
});
