import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { listBackups, restoreBackup } from "../../src/state/backups.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const id = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f";
/** Larger than any process number. */
const nobody = "99999999";

/** As a batch that was killed in the session leaves its stage, and as work by file calls does. */
const left = {
  [id]: {
    pid: nobody,
    "o/0/top": "replaced",
    "o/4/d/e/deep": "deleted",
    "o/7/d/other": "replaced, too",
    "h/2/x": "moving",
  },
  [`s-${id}`]: { "o/0/d/one": "1", "o/1/d/one/below": "2", "h/0/circle": "3" },
};

describe.each(kinds)("$name", ({ strategy, open }) => {
  it.each(Object.entries(left))(
    "rescues what a killed apply had set aside, by its paths: %s (S42)",
    async (stage, files) => {
      const { session, rootDirectory } = await open();
      const directory = temporaryDirectory();
      const options = { strategy, signal } as const;
      layOut(join(directory, "source"), { a: "1" });
      await apply(mirrorOf(directory), session, options);
      layOut(join(rootDirectory, ".agb-sync/stage", stage), files);
      writeFileSync(join(directory, "source/a"), "2");
      await apply(mirrorOf(directory), session, options);
      const { transport } = session.openWorkspace("/tmp/workspace");
      const names = await listBackups(transport, signal);
      expect(names.map((name) => Number(name.slice(-6)))).toEqual(names.map((_, index) => index + 1));
      const kept = Object.entries(files).filter(([path]) => path.includes("/"));
      for (const [path, text] of kept) {
        const place = path.split("/").slice(2).join("/");
        const found = names.map((name) => join(rootDirectory, ".agb-sync/backup", name, place)).filter(isThere);
        expect(
          found.map((file) => readFileSync(file, "utf8")),
          place,
        ).toEqual([text]);
      }
      for (const name of names)
        expect((await restoreBackup(transport, name, [], new Date(), signal)).failed).toEqual([]);
      expect(readdirSync(rootDirectory).toSorted()).toEqual(
        [".agb-sync", "a", ...new Set(kept.map(([path]) => path.split("/")[2] ?? ""))].toSorted(),
      );
      await session.close();
    },
  );
});

function isThere(path: string): boolean {
  try {
    return existsSync(path) && readFileSync(path) !== undefined;
  } catch {
    return false;
  }
}
