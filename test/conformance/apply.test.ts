import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ProgressListener } from "../../src/progress.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { drift } from "../../src/reconcile/drift.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { thorough } from "../helpers/tries-all.ts";
import type { Local } from "../helpers/workspace.ts";
import { layOut, manifestOf, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;

/** What a session of this kind can be held to: without a shell neither modes nor the end of directories. */
function lookFor(isFull: boolean, directory: string): Record<string, string> {
  const found = look(directory, { modes: isFull });
  return isFull ? found : Object.fromEntries(Object.entries(found).filter(([, what]) => what !== "directory"));
}

const hostile: Record<string, Local> = {
  "new\nline": "1",
  "quote'\"`": "2",
  "-rf": "3",
  " blanks ": "4",
  "$(touch x)": "5",
  "back\\slash": "6",
  "\u{1f469}\u200d\u{1f4bb}\u{1f1e9}\u{1f1ea}": "7",
  "*?[a]": "8",
  ["n".repeat(255)]: "9",
  [`${`${"d".repeat(249)}/`.repeat(12)}end`]: "10",
  empty: "",
  "empty directory": { directory: true },
  "all bytes": Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  executable: { bytes: "#!/bin/sh\n", mode: 0o755 },
  "a link": { link: "empty" },
  "CR LF": "a\r\nb\r\n",
  bom: "\ufeffx",
  "no newline": "x",
};

describe.each(kinds)("$name", ({ name, strategy, isFull, open }) => {
  const options = { strategy, signal } as const;

  it("makes the session hold what is declared, then has nothing to do (S1, S5)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const entries = isFull
      ? hostile
      : Object.fromEntries(
          Object.entries(hostile).filter(([name, what]) => typeof what === "string" && !name.includes("\n")),
        );
    layOut(join(directory, "source"), entries);
    const report = await apply(mirrorOf(directory), session, options);
    expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
    expect(report.verified).toBe(true);
    expect(look(rootDirectory, { modes: isFull })).toEqual(look(join(directory, "source"), { modes: isFull }));
    const next = await makePlan(mirrorOf(directory), session, options);
    expect(next.plan.steps).toEqual([]);
    expect(next.isSettled).toBe(true);
  });

  it("turns any tree into any other (S1, S5)", { timeout: thorough(120_000, 600_000) }, async () => {
    const names = fc.constantFrom("a", "b", "c d", "ü", "-e");
    const contents = fc.constantFrom<Local>(
      "",
      "1",
      "22",
      "longer\n".repeat(50),
      ...(isFull ? [{ link: "a" }, { directory: true } as const, { bytes: "x", mode: 0o755 }] : []),
    );
    const trees = fc.dictionary(
      fc
        .array(names, { minLength: 1, maxLength: 3 })
        // Without a shell no directory can be removed, so none may stand where a file is wanted later.
        .map((parts) => (isFull ? parts.join("/") : parts.join(".d/"))),
      contents,
      { maxKeys: 8 },
    );
    await fc.assert(
      fc.asyncProperty(trees, trees, fc.boolean(), async (one, other, detectMoves) => {
        const { session, rootDirectory } = await open();
        const directory = temporaryDirectory();
        for (const tree of [one, other]) {
          const possible = withoutClashes(tree);
          layOut(join(directory, "source"), { ...possible, anchor: "always here" });
          const report = await apply(mirrorOf(directory), session, { ...options, detectMoves, allowMassDelete: true });
          expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
          expect(lookFor(isFull, rootDirectory)).toEqual(lookFor(isFull, join(directory, "source")));
        }
        expect((await makePlan(mirrorOf(directory), session, options)).plan.steps).toEqual([]);
      }),
      { numRuns: thorough(name.startsWith("embedded") ? 15 : 4, 40) },
    );
  });

  it("names exactly what changed: writes, moves, deletes, creates", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`d${i % 3}/f${i}`, `content ${i}`])));
    await apply(mirrorOf(directory), session, options);
    for (let i = 0; i < 5; i += 1) writeFileSync(join(source, `d${i % 3}/f${i}`), `edited ${i}`);
    for (let i = 5; i < 9; i += 1) renameSync(join(source, `d${i % 3}/f${i}`), join(source, `d${i % 3}/renamed${i}`));
    for (let i = 9; i < 12; i += 1) rmSync(join(source, `d${i % 3}/f${i}`));
    for (let i = 0; i < 2; i += 1) writeFileSync(join(source, `d0/new${i}`), `new ${i}`);
    const { plan } = await makePlan(mirrorOf(directory), session, options);
    const count = (op: string) => plan.steps.filter(({ step }) => step.op === op).length;
    expect({ write: count("write"), move: count("move"), delete: count("delete") }).toEqual({
      write: 7,
      move: 4,
      delete: 3,
    });
    const told: unknown[] = [];
    const onEvent: ProgressListener = (event) => {
      if (event.type === "step") told[event.index] = told[event.index] === undefined ? event.result : "told twice";
    };
    const { outcomes } = await apply(mirrorOf(directory), session, { ...options, onEvent });
    expect(told).toEqual(outcomes.map(({ result }) => result));
    expect(look(rootDirectory, { modes: isFull })).toEqual(look(source, { modes: isFull }));
  });

  it("accepts an edit that made a file what is declared, and takes it for its own from then on (S21)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, { edited: "old", other: "1" });
    await apply(mirrorOf(directory), session, options);
    writeFileSync(join(rootDirectory, "edited"), "new");
    writeFileSync(join(rootDirectory, "added"), "the same");
    layOut(source, { edited: "new", added: "the same", other: "2" });
    const report = await apply(mirrorOf(directory), session, options);
    expect(report.conflicts).toEqual([]);
    expect(report.plan.steps).toMatchObject([{ step: { op: "write", path: "other" } }]);
    layOut(source, { edited: "newer", other: "2" });
    const next = await apply(mirrorOf(directory), session, { ...options, allowMassDelete: true });
    expect(next.conflicts).toEqual([]);
    expect(Object.keys(look(rootDirectory))).toEqual(["edited", "other"]);
    expect(readFileSync(join(rootDirectory, "edited"), "utf8")).toBe("newer");
  });

  it("neither overwrites nor deletes what was edited in the session (S8, S9, S20)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, { edited: "1", removed: "2", other: "3" });
    await apply(mirrorOf(directory), session, options);
    writeFileSync(join(rootDirectory, "edited"), "the agent's");
    writeFileSync(join(rootDirectory, "removed"), "the agent's too");
    writeFileSync(join(rootDirectory, "made"), "only here");
    layOut(source, { edited: "1 new", other: "3 new", made: "wanted" });
    const report = await apply(mirrorOf(directory), session, options);
    expect(report.conflicts.map(({ path }) => path)).toEqual(["edited", "made", "removed"]);
    expect(readFileSync(join(rootDirectory, "edited"), "utf8")).toBe("the agent's");
    expect(readFileSync(join(rootDirectory, "removed"), "utf8")).toBe("the agent's too");
    expect(readFileSync(join(rootDirectory, "made"), "utf8")).toBe("only here");
    expect(readFileSync(join(rootDirectory, "other"), "utf8")).toBe("3 new");
  });

  it("overwrites only after a backup, keeps only what was asked to be kept (S19)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(rootDirectory, { a: "theirs", b: "theirs as well" });
    const manifest = manifestOf(
      directory,
      "files:\n  - { path: a, content: ours, onConflict: overwrite }\n  - { path: b, content: ours, onConflict: keep }\n",
    );
    const report = await apply(manifest, session, options);
    expect(report.conflicts).toEqual([]);
    expect(readFileSync(join(rootDirectory, "a"), "utf8")).toBe("ours");
    expect(readFileSync(join(rootDirectory, "b"), "utf8")).toBe("theirs as well");
    expect(report.backupPath).toBeDefined();
    expect(readFileSync(join(rootDirectory, report.backupPath ?? "", "a"), "utf8")).toBe("theirs");
    expect((await makePlan(manifest, session, options)).plan).toMatchObject({ steps: [], conflicts: [] });
  });

  it("seeds a file once and never looks at it again", async () => {
    const { session, rootDirectory } = await open();
    const manifest = manifestOf(temporaryDirectory(), "files: [{ path: notes, content: seed, ifPresent: keep }]\n");
    await apply(manifest, session, options);
    writeFileSync(join(rootDirectory, "notes"), "mine now");
    const report = await apply(manifest, session, options);
    expect(report).toMatchObject({ conflicts: [], outcomes: [] });
    const without = manifestOf(temporaryDirectory(), "files: []\n");
    await apply(without, session, options);
    expect(readFileSync(join(rootDirectory, "notes"), "utf8")).toBe("mine now");
  });

  it("removes what is ours from a directory and keeps the rest (S10)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { "d/ours": "1", keep: "2" });
    await apply(mirrorOf(directory), session, options);
    writeFileSync(join(rootDirectory, "d/theirs"), "3");
    layOut(join(directory, "source"), { keep: "2" });
    await apply(mirrorOf(directory), session, options);
    expect(existsSync(join(rootDirectory, "d/ours"))).toBe(false);
    expect(readFileSync(join(rootDirectory, "d/theirs"), "utf8")).toBe("3");
  });

  it("stops when a source is suddenly empty, and when too much would go (S12, S14)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, `${i}`])));
    await apply(mirrorOf(directory), session, options);
    layOut(source, {});
    await expect(apply(mirrorOf(directory), session, options)).rejects.toMatchObject({ code: "GUARD" });
    layOut(source, { f0: "0" });
    await expect(apply(mirrorOf(directory), session, options)).rejects.toMatchObject({ code: "GUARD" });
    expect(Object.keys(look(rootDirectory))).toHaveLength(20);
    await apply(mirrorOf(directory), session, { ...options, allowMassDelete: true });
    expect(Object.keys(look(rootDirectory))).toEqual(["f0"]);
  });

  it("never reads, sends or deletes what is ignored (S36)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { "a.txt": "1", "x.log": "2", "node_modules/m/index.js": "3" });
    layOut(rootDirectory, { "node_modules/other/index.js": "theirs", "y.log": "theirs" });
    const manifest = mirrorOf(directory, 'ignore: [node_modules/, "*.log"]\nprune: all\n');
    const report = await apply(manifest, session, options);
    expect(report.outcomes.map(({ step }) => (step.op === "move" ? step.to : step.path))).toEqual(["a.txt"]);
    expect(Object.keys(look(rootDirectory))).toEqual([
      "a.txt",
      "node_modules",
      "node_modules/other",
      "node_modules/other/index.js",
      "y.log",
    ]);
  });

  it("leaves a directory that holds something ignored, and says so where a file is wanted (S5, S10, S36)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { "a.txt": "1", "b/c.txt": "2" });
    layOut(rootDirectory, { "foo/node_modules/index.js": "theirs", "bar/node_modules/index.js": "theirs" });
    const manifest = (more: string) => mirrorOf(directory, `ignore: [node_modules/]\nprune: all\n${more}`);
    await apply(manifest(""), session, options);
    expect((await makePlan(manifest(""), session, options)).plan.steps).toEqual([]);
    const wanted = manifest("files: [{ path: foo, content: x }]\nonConflict: overwrite\n");
    const report = await apply(wanted, session, options);
    expect(report.conflicts.map(({ path }) => path)).toEqual(["foo"]);
    expect(Object.keys(look(rootDirectory)).filter((path) => path.includes("index"))).toHaveLength(2);
  });

  it("sets a damaged base aside and goes on (S31)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { a: "1", b: "2", c: "3" });
    await apply(mirrorOf(directory), session, options);
    const file = join(rootDirectory, ".agb-sync/base.json");
    const whole = readFileSync(file, "utf8");
    const damaged = {
      "cut short": whole.split("\n").slice(0, 2).join("\n"),
      "with a line too many": `${whole}x\n`,
      "with a digest that is none": whole.replaceAll("sha256:", "sha255:"),
      "no JSON": "\u0000\u0001",
    };
    for (const [what, text] of Object.entries(damaged)) {
      writeFileSync(file, text);
      writeFileSync(join(directory, "source/a"), what);
      rmSync(join(directory, "source/c"), { force: true });
      const { report, plan } = await applied(directory);
      expect(plan.warnings.join(), what).toMatch(/base/);
      // Nothing is known to be ours: what differs is a conflict, and nothing is deleted.
      expect(
        report.conflicts.map(({ path }) => path),
        what,
      ).toEqual(["a"]);
      expect(existsSync(join(rootDirectory, "c")), what).toBe(true);
      await apply(mirrorOf(directory), session, { ...options, onConflict: "overwrite" });
      expect(readFileSync(join(rootDirectory, "a"), "utf8")).toBe(what);
    }

    async function applied(from: string) {
      const { plan } = await makePlan(mirrorOf(from), session, options);
      return { plan, report: await apply(mirrorOf(from), session, options) };
    }
  });

  it("never leaves a path empty while it replaces somebody's bytes (S3, S19)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const names = Array.from({ length: 40 }, (_, index) => `f${index}`);
    layOut(join(directory, "source"), Object.fromEntries(names.map((name) => [name, `ours ${name}`])));
    layOut(rootDirectory, Object.fromEntries(names.map((name) => [name, `theirs ${name}`])));
    const reader = spawn("sh", ["-c", "while [ ! -e stop ]; do for f in f*; do [ -e $f ] || echo $f; done; done"], {
      cwd: rootDirectory,
    });
    let missing = "";
    reader.stdout.on("data", (text) => (missing += String(text)));
    await apply(mirrorOf(directory), session, { ...options, onConflict: "overwrite" });
    writeFileSync(join(rootDirectory, "stop"), "");
    await once(reader, "close");
    // File tools alone make no second name: there the old file goes first.
    expect(isFull ? missing : "").toBe("");
    const backups = join(rootDirectory, ".agb-sync/backup");
    const [backup = ""] = readdirSync(backups);
    for (const name of names) expect(readFileSync(join(backups, backup, name), "utf8")).toBe(`theirs ${name}`);
  });

  it("reports drift and changes nothing by looking (S16)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { a: "1", b: "2" });
    await apply(mirrorOf(directory), session, options);
    expect(await drift(mirrorOf(directory), session, options)).toEqual([]);
    writeFileSync(join(rootDirectory, "a"), "edited");
    rmSync(join(rootDirectory, "b"));
    const before = look(rootDirectory);
    const changes = await drift(mirrorOf(directory), session, options);
    expect(changes.map(({ path, after }) => [path, after?.kind])).toEqual([
      ["a", "file"],
      ["b", undefined],
    ]);
    expect(look(rootDirectory)).toEqual(before);
  });

  it.runIf(isFull)("applies modes, and works in read-only directories", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const text = (content: string) =>
      `directories: [{ path: closed, mode: "0555" }]\nfiles:\n  - { path: closed/f, content: "${content}", mode: "0400" }\n`;
    await apply(manifestOf(directory, text("1")), session, options);
    const report = await apply(manifestOf(directory, text("2")), session, options);
    expect(report.outcomes.every(({ result }) => result.status === "applied")).toBe(true);
    expect(readFileSync(join(rootDirectory, "closed/f"), "utf8")).toBe("2");
    expect(look(rootDirectory)["closed"]).toBe("555 directory");
    chmodSync(join(rootDirectory, "closed/f"), 0o644);
    const { plan } = await makePlan(manifestOf(directory, text("2")), session, options);
    expect(plan.steps.map(({ step }) => step)).toMatchObject([{ op: "set-mode", path: "closed/f", mode: 0o400 }]);
  });

  it("does declared moves once", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    mkdirSync(join(rootDirectory, "old"), { recursive: true });
    writeFileSync(join(rootDirectory, "old/theirs"), "bytes");
    const manifest = manifestOf(directory, "moves: [{ from: old, to: place/new }]\n");
    await apply(manifest, session, options);
    expect(readFileSync(join(rootDirectory, "place/new/theirs"), "utf8")).toBe("bytes");
    expect((await makePlan(manifest, session, options)).plan.steps).toEqual([]);
  });

  it("removes what is declared absent, with a backup of what is not ours", async () => {
    const { session, rootDirectory } = await open();
    layOut(rootDirectory, { "junk.tmp": "x", "keep.txt": "y" });
    const manifest = manifestOf(temporaryDirectory(), "absent: [junk.tmp]\n");
    const report = await apply(manifest, session, options);
    expect(Object.keys(look(rootDirectory))).toEqual(["keep.txt"]);
    expect(readFileSync(join(rootDirectory, report.backupPath ?? "", "junk.tmp"), "utf8")).toBe("x");
  });
});

/** Drops what cannot be laid out because a file is where a directory is needed. */
function withoutClashes(tree: Record<string, Local>): Record<string, Local> {
  const paths = Object.keys(tree).toSorted();
  return Object.fromEntries(
    Object.entries(tree).filter(([path]) => !paths.some((other) => other !== path && other.startsWith(`${path}/`))),
  );
}
