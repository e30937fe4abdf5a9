import { once } from "node:events";
import { mkdirSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import type { Local } from "../helpers/workspace.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

/**
 * The kernel's own account of a directory: names that came into it, left it, or were removed. What is put over another by
 * one rename comes once; whatever is missing for a moment, however short, leaves as well.
 */
async function comingsAndGoings(directory: string, work: () => Promise<void>): Promise<readonly string[]> {
  const seen: string[] = [];
  const watcher = watch(directory);
  watcher.on("change", (type, name) => {
    if (type === "rename") seen.push(String(name));
  });
  await work();
  // All that was there before this one has been told when this one is.
  const last = once(watcher, "change");
  writeFileSync(join(directory, "last"), "");
  await last;
  while (!seen.includes("last")) await once(watcher, "change");
  watcher.close();
  return seen.slice(0, seen.indexOf("last"));
}

const replaced: Readonly<
  Record<string, { readonly theirs: Local | undefined; readonly first: Local; readonly second: Local }>
> = {
  "a file of ours": { theirs: undefined, first: "one", second: "two" },
  "a file that somebody edited": { theirs: "theirs", first: "one", second: "two" },
  "a link of ours": { theirs: undefined, first: { link: "one" }, second: { link: "two" } },
};

describe.skipIf(process.platform !== "linux").each(kinds.filter(({ isFull }) => isFull))(
  "$name",
  ({ strategy, open }) => {
    it.each(Object.entries(replaced))(
      "%s is never missing while it is replaced (S3)",
      async (_what, { theirs, first, second }) => {
        const { session, rootDirectory } = await open();
        const directory = temporaryDirectory();
        const options = { strategy, signal, onConflict: "overwrite" } as const;
        layOut(join(directory, "source"), { d: { directory: true }, "d/it": first, "d/other": "o" });
        await apply(mirrorOf(directory), session, options);
        mkdirSync(join(directory, "source/d"), { recursive: true });
        if (typeof theirs === "string") writeFileSync(join(rootDirectory, "d/it"), theirs);
        layOut(join(directory, "source"), { d: { directory: true }, "d/it": second, "d/other": "o" });
        const seen = await comingsAndGoings(join(rootDirectory, "d"), async () => {
          const { verified } = await apply(mirrorOf(directory), session, options);
          expect(verified).toBe(true);
        });
        expect(seen).toEqual(["it"]);
        expect(look(rootDirectory)["d/it"]).toBe(look(join(directory, "source"))["d/it"]);
        await session.close();
      },
    );
  },
);
