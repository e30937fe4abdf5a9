import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { thorough } from "../helpers/tries-all.ts";
import { manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

type Thing = string | { readonly link: string };

type Case = {
  readonly name: string;
  readonly manifest: string;
  /** What somebody put there before agb-sync came: the text of a file, or where a link leads. */
  readonly there: Readonly<Record<string, Thing>>;
  /** What stands there after the apply, and where it was before; null: it was made. The rest is in the backup. */
  readonly left: Readonly<Record<string, string | null>>;
  readonly needsDirectories?: true;
};

const things = {
  "a link to nowhere": { link: "missing" },
  "a link to a file": { link: "held.txt" },
  "a link to its own directory": { link: "." },
  "a file": "theirs",
} as const;

const cases: readonly Case[] = Object.entries(things).flatMap(([what, thing]): readonly Case[] => [
  { name: `${what} is absent`, manifest: "absent: [l]", there: { l: thing }, left: {} },
  {
    name: `${what} becomes a file`,
    manifest: "files: [{ path: l, content: x }]",
    there: { l: thing },
    left: { l: null },
  },
  { name: `${what} is moved`, manifest: "moves: [{ from: l, to: m }]", there: { l: thing }, left: { m: "l" } },
  ...inDirectories(what, thing),
]);

/** Cases in which directories go or give way, for sessions that can remove them. */
function inDirectories(what: string, thing: Thing): readonly Case[] {
  const needs = { needsDirectories: true } as const;
  return [
    {
      name: `a directory with ${what} is absent`,
      manifest: "absent: [d]",
      there: { "d/l": thing, "d/f": "f" },
      left: {},
      ...needs,
    },
    {
      name: `a directory with ${what} becomes a file`,
      manifest: "files: [{ path: d, content: x }]",
      there: { "d/e/l": thing, "d/f": "f", "d/z": "z" },
      left: { d: null },
      ...needs,
    },
    {
      name: `${what} becomes a directory`,
      manifest: "files: [{ path: l/f, content: x }]",
      there: { l: thing },
      left: { "l/f": null },
    },
    {
      name: `${what} is pruned`,
      manifest: "prune: all\nfiles: [{ path: f, content: x }]",
      there: { l: thing, "d/l": thing, g: "g" },
      left: { f: null },
      ...needs,
    },
    {
      name: `a directory with ${what} is moved`,
      manifest: "moves: [{ from: d, to: m }]",
      there: { "d/l": thing },
      left: { "m/l": "d/l" },
      ...needs,
    },
  ];
}

/** Files by their bytes and links by where they lead; directories left out. */
function holds(directory: string): Record<string, string> {
  const found = Object.entries(look(directory, { modes: false })).filter(([, what]) => what !== "directory");
  return Object.fromEntries(found);
}

/** There a link looks like what it leads to, and no directory can be removed. */
function isPossibleWithoutShell({ there, needsDirectories }: Case): boolean {
  return needsDirectories !== true && Object.values(there).every((what) => typeof what === "string");
}

describe.each(kinds)("$name", ({ name, strategy, isFull, open }) => {
  // Every case is tried somewhere in the usual run: all of them in the embedded session, where they take no time.
  const share = name.startsWith("embedded") ? 1 : thorough(4, 1);
  const possible = cases.filter((one) => isFull || isPossibleWithoutShell(one));
  describe.each([true, false])("what is neither declared nor in base, backup: %s (S8, S19, S34)", (backup) => {
    it.each(possible.filter((_, index) => (index + Number(backup)) % share === 0))(
      "$name",
      async ({ manifest, there, left }) => {
        const { session, rootDirectory } = await open();
        const directory = temporaryDirectory();
        for (const [path, what] of Object.entries(there)) {
          mkdirSync(dirname(join(rootDirectory, path)), { recursive: true });
          if (typeof what === "string") writeFileSync(join(rootDirectory, path), what);
          else symlinkSync(what.link, join(rootDirectory, path));
        }
        const found = holds(rootDirectory);
        const options = { strategy, signal, backup, onConflict: "overwrite", allowMassDelete: true } as const;
        const declared = manifestOf(directory, `${manifest}\n`);
        const report = await apply(declared, session, options);
        expect(report.conflicts).toEqual([]);
        expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
        expect(Object.keys(holds(rootDirectory))).toEqual(Object.keys(left));
        const moved = Object.entries(left).flatMap(([path, from]) => (from === null ? [] : [[path, found[from]]]));
        expect(holds(rootDirectory)).toMatchObject(Object.fromEntries(moved));
        const stayed = new Set(Object.values(left));
        const gone = Object.entries(found).filter(([path]) => backup && !stayed.has(path));
        const kept = report.backupPath === undefined ? {} : holds(join(rootDirectory, report.backupPath));
        expect(kept).toEqual(Object.fromEntries(gone));
        // What was moved is nobody's to delete, then as before.
        const next = await makePlan(declared, session, options);
        expect([next.plan.steps, next.plan.conflicts]).toEqual([[], []]);
      },
    );
  });
});
