import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { type Local, layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;

type Case = {
  readonly what: string;
  readonly before: Readonly<Record<string, Local>>;
  readonly after: Readonly<Record<string, Local>>;
  readonly absent?: string;
  readonly needsLinks?: true;
  /** What is a directory and is to be something else. */
  readonly isDirectory?: string;
};

const cases: readonly Case[] = [
  { what: "a directory becomes a file", before: { "d/a": "1", "d/s/b": "2" }, after: { d: "file" }, isDirectory: "d" },
  {
    what: "a directory becomes a link",
    before: { "d/a": "1", e: "2" },
    after: { d: { link: "e" }, e: "2" },
    needsLinks: true,
    isDirectory: "d",
  },
  {
    what: "an empty directory becomes a file",
    before: { d: { directory: true } },
    after: { d: "file" },
    isDirectory: "d",
  },
  { what: "a file becomes a directory", before: { d: "1" }, after: { "d/a": "1", "d/s/b": "2" } },
  {
    what: "a link becomes a directory",
    before: { d: { link: "e" }, e: "2" },
    after: { "d/a": "1", e: "2" },
    needsLinks: true,
  },
  {
    what: "what was in it moves out",
    before: { "d/a": "1", "d/b": "2" },
    after: { d: "file", "e/a": "1", "e/b": "2" },
    isDirectory: "d",
  },
  { what: "what was in it becomes the file", before: { "d/a": "1" }, after: { d: "1" }, isDirectory: "d" },
  { what: "the file goes into the directory", before: { d: "1" }, after: { "d/d": "1" } },
  { what: "two change places", before: { "d/a": "1", f: "2" }, after: { d: "2", "f/a": "1" }, isDirectory: "d" },
  {
    what: "it is declared absent",
    before: { "d/a": "1", "x/y": "2" },
    after: { d: "file" },
    absent: "x",
    isDirectory: "d",
  },
];

/** A name that is not UTF-8 cannot be sent: no deletion is made while it is there (S13). */
const obstacle = (source: string) => Buffer.concat([Buffer.from(`${source}/obstacle-`), Buffer.from([0xff])]);

describe.each(kinds)("a run without deletions, $name", (kind) => {
  it("waits with every deletion that a change of kind implies, and carries it out later (S43)", async () => {
    const some = cases.filter(({ needsLinks }) => needsLinks !== true || kind.isFull);
    const both = (side: "before" | "after") =>
      Object.fromEntries(
        some.flatMap((one, index) => Object.entries(one[side]).map(([path, what]) => [`${index}/${path}`, what])),
      );
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    const { session, rootDirectory } = await kind.open();
    const app = join(rootDirectory, "app");
    const gone = some.flatMap(({ absent }, index) => (absent === undefined ? [] : [`app/${index}/${absent}`]));
    const manifest = manifestOf(directory, `trees: [{ source: source, path: app }]\nabsent: ${JSON.stringify(gone)}\n`);
    const options = { signal, strategy: kind.strategy };
    layOut(source, both("before"));
    await apply(manifestOf(directory, "trees: [{ source: source, path: app }]\n"), session, options);
    const old = look(app);
    layOut(source, { ...both("after"), always: "1" });
    writeFileSync(obstacle(source), "x");
    for (let round = 0; round < 2; round += 1) {
      const report = await apply(manifest, session, options);
      expect([report.conflicts, report.unreadable.length]).toEqual([[], 1]);
      expect(report.outcomes.filter(({ step }) => step.op === "delete")).toEqual([]);
      expect(look(app)).toMatchObject(old);
    }
    expect(existsSync(join(app, "always"))).toBe(true);
    rmSync(obstacle(source));
    const { conflicts, plan } = await apply(manifest, session, options);
    const names = some.flatMap(({ isDirectory }, index) =>
      isDirectory === undefined ? [] : [`app/${index}/${isDirectory}`],
    );
    // Where directories cannot be removed, those that are in the way stay as they are, and that is said.
    const stuck = new Set(plan.unsupported.map(({ path }): string => path));
    expect([conflicts, names.filter((path) => !stuck.has(path))]).toEqual([[], kind.isFull ? names : []]);
    const isThere = JSON.stringify(look(app)) === JSON.stringify(look(source));
    const next = await makePlan(manifest, session, options);
    expect([isThere, next.plan.steps.length]).toEqual([kind.isFull, 0]);
  });
});
