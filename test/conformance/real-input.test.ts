import { cpSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
const packages = fileURLToPath(new URL("../../node_modules", import.meta.url));
const trees = "trees: [{ source: one, path: one }, { source: two, path: two }]\n";

function filesBelow(directory: string): string[] {
  return Object.entries(look(directory))
    .filter(([, what]) => /^\d+ [0-9a-f]{64}$/.test(what))
    .map(([path]) => path);
}

describe.each(kinds.filter(({ strategy }) => strategy === "batch"))(
  "two installed packages, $name",
  ({ strategy, open }) => {
    it("arrive byte for byte, and a plan then names exactly what changed", { timeout: 120_000 }, async () => {
      const { session, rootDirectory } = await open();
      const directory = temporaryDirectory();
      cpSync(join(packages, "lodash"), join(directory, "one"), { recursive: true });
      cpSync(join(packages, "ajv"), join(directory, "two"), { recursive: true });
      // Neither package holds anything but text.
      writeFileSync(
        join(directory, "one/every.bin"),
        Buffer.from(Array.from({ length: 70_000 }, (_, at) => (at * 7) % 256)),
      );
      const count = filesBelow(directory).length;
      expect(count).toBeGreaterThan(1000);
      await apply(manifestOf(directory, trees), session, { strategy, signal });
      for (const tree of ["one", "two"]) expect(look(join(rootDirectory, tree))).toEqual(look(join(directory, tree)));

      const unique = new Map<string, string[]>();
      for (const path of filesBelow(join(directory, "one"))) {
        const text = readFileSync(join(directory, "one", path)).toString("base64");
        unique.set(text, [...(unique.get(text) ?? []), path]);
      }
      const files = [...unique.values()].flatMap((paths) => (paths.length === 1 ? paths : [])).toSorted();
      const at = (path: string) => join(directory, "one", path);
      const edited = files.slice(0, 20);
      const renamed = files.slice(20, 30);
      const deleted = files.slice(30, 40);
      for (const path of edited) writeFileSync(at(path), `edited: ${path}`);
      for (const path of renamed) renameSync(at(path), `${at(path)}.renamed`);
      for (const path of deleted) rmSync(at(path));
      for (let index = 0; index < 5; index += 1) writeFileSync(at(`added${index}`), `added ${index}`);

      const { plan } = await makePlan(manifestOf(directory, trees), session, { strategy, signal });
      const named = (op: string) =>
        plan.steps
          .flatMap(({ step }) => (step.op === op ? [step.op === "move" ? step.from : step.path] : []))
          .toSorted();
      const inOne = (paths: readonly string[]) => paths.map((path) => `one/${path}`).toSorted();
      const added = Array.from({ length: 5 }, (_, index) => `added${index}`);
      expect(named("write")).toEqual(inOne([...edited, ...added]));
      expect(named("move")).toEqual(inOne(renamed));
      expect(named("delete")).toEqual(inOne(deleted));
      await apply(manifestOf(directory, trees), session, { strategy, signal });
      for (const tree of ["one", "two"]) expect(look(join(rootDirectory, tree))).toEqual(look(join(directory, tree)));
      expect((await makePlan(manifestOf(directory, trees), session, { strategy, signal })).plan.steps).toEqual([]);
    });
  },
);
