import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { drift } from "../../src/reconcile/drift.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { breakLock } from "../../src/state/lock.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { triesAll } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

const places = [
  "base.json",
  "journal.json",
  "locks/x.json",
  "locks",
  "backup",
  "stage",
  "stage/content",
  "counter",
  "index",
  "index.1",
  "base.2.new",
];

const oddities: Readonly<Record<string, (path: string) => void>> = {
  directory: (path) => mkdirSync(join(path, "in/it"), { recursive: true }),
  file: (path) => writeFileSync(path, "of somebody"),
  FIFO: (path) => void execFileSync("mkfifo", [path]),
  "dangling link": (path) => symlinkSync("nowhere", path),
  "link to /dev/zero": (path) => symlinkSync("/dev/zero", path),
  "link to a directory": (path) => symlinkSync("/tmp", path),
  "huge file": (path) => {
    writeFileSync(path, "");
    truncateSync(path, 700 * 1024 * 1024);
  },
};

/** A file where a file belongs is the business of who parses it; a huge one where a directory belongs is one more file. */
const cases = places.flatMap((place, row) =>
  Object.keys(oddities).flatMap((kind, column) => (triesAll || (row * 2 + column) % 7 === 0 ? [{ place, kind }] : [])),
);

describe.each(kinds)("$name", ({ strategy, isFull, open }) => {
  // File tools tell neither a link from its target nor a FIFO from a file before they open it.
  const possible = cases.filter(({ kind }) => isFull || ["directory", "file", "huge file"].includes(kind));

  it("goes on whatever stands in the place of its state (S31)", { timeout: 600_000 }, async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const options = { strategy, signal, onConflict: "overwrite", lockTimeoutMs: 5000 } as const;
    const { transport } = session.openWorkspace("/tmp/workspace");
    let round = 0;
    layOut(join(directory, "source"), { a: "0", "d/b": "0" });
    await apply(mirrorOf(directory), session, options);
    for (const { place, kind } of possible) {
      round += 1;
      const label = `${kind} at ${place}`;
      const path = join(rootDirectory, ".agb-sync", place);
      rmSync(path, { recursive: true, force: true });
      mkdirSync(dirname(path), { recursive: true });
      oddities[kind]?.(path);
      writeFileSync(join(rootDirectory, "a"), `theirs ${round}`);
      layOut(join(directory, "source"), { a: `ours ${round}`, "d/b": `${round}` });
      try {
        const planned = await makePlan(mirrorOf(directory), session, options);
        expect(planned.plan.steps, label).not.toEqual([]);
        await drift(mirrorOf(directory), session, options);
        if (place.startsWith("locks")) await breakLock(transport, signal);
        const report = await apply(mirrorOf(directory), session, options);
        expect([report.verified, report.conflicts], label).toEqual([true, []]);
        const isTold = place === "base.json" && kind !== "file";
        expect(planned.plan.warnings.join(), label).toContain(isTold ? "base" : "");
      } catch (error) {
        throw new Error(label, { cause: error });
      }
      expect(look(rootDirectory, { modes: false }), label).toEqual(look(join(directory, "source"), { modes: false }));
      expect((await makePlan(mirrorOf(directory), session, options)).plan.steps, label).toEqual([]);
      const isFile = lstatSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
      expect(isFile || (place !== "base.json" && place !== "counter"), label).toBe(true);
    }
    await session.close();
  });
});
