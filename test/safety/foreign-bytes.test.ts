import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import type { Session } from "../../src/session.ts";
import { kinds } from "../helpers/kinds.ts";
import { thorough } from "../helpers/tries-all.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

const standings = ["ours", "drifted", "foreign", "ignored", "special"] as const;
const things = ["file", "link", "directory", "empty directory", "closed directory", "nothing"] as const;
const rules = ["skip", "keep", "overwrite", "prune: all", "prune: all, overwrite", "absent", "moves"] as const;

type Thing = (typeof things)[number];
type Case = {
  readonly standing: (typeof standings)[number];
  /** What stands at `x/t`. */
  readonly there: Thing;
  /** What is declared there. */
  readonly wanted: Thing;
  readonly rule: (typeof rules)[number];
};

const cases: readonly Case[] = standings
  .flatMap((standing) =>
    things.flatMap((there) =>
      things.flatMap((wanted) => rules.map((rule): Case => ({ standing, there, wanted, rule }))),
    ),
  )
  .filter(({ standing, there, wanted, rule }) => {
    // What is to go, or to go elsewhere, is not declared where it was.
    if ((rule === "absent" || rule === "moves") && wanted !== "nothing") return false;
    if (there === "nothing") return standing === "drifted" || (standing === "ours" && wanted !== "nothing");
    // What an ignore rule covers cannot be declared; a FIFO is what it is.
    if (standing === "ignored")
      return there === "file" || there === "directory" ? wanted === "nothing" || there !== "file" : false;
    return standing !== "special" || there === "file" || there === "directory";
  });

/** Lays `thing` at `path`, every byte of it known by `mark`. */
function lay(path: string, thing: Thing, mark: string): void {
  mkdirSync(dirname(path), { recursive: true });
  if (thing === "file") writeFileSync(path, `${mark} file`);
  if (thing === "link") symlinkSync(`${mark} target`, path);
  if (!thing.endsWith("directory")) return;
  mkdirSync(path);
  if (thing === "empty directory") return;
  mkdirSync(join(path, "e"));
  writeFileSync(join(path, "n"), `${mark} n`);
  writeFileSync(join(path, "e/d"), `${mark} d`);
  if (thing === "closed directory") chmodSync(path, 0o555);
}

/** The manifest's entries for `thing` at `x/t`. */
function entriesOf(thing: Thing, mark: string): string {
  const file = (path: string, name: string) => `  - { path: ${path}, content: "${mark} ${name}" }\n`;
  switch (thing) {
    case "nothing":
      return "";
    case "file":
      return `files:\n${file("x/t", "file")}`;
    case "link":
      return `links: [{ path: x/t, target: "${mark} target" }]\n`;
    case "empty directory":
      return "directories: [{ path: x/t }]\n";
    case "directory":
      return `files:\n${file("x/t/n", "n")}${file("x/t/e/d", "d")}`;
    case "closed directory":
      return `directories: [{ path: x/t, mode: "0555" }]\nfiles:\n${file("x/t/n", "n")}${file("x/t/e/d", "d")}`;
  }
}

/** Somebody changes what was ours, in every way that leaves bytes of his own. */
function edit(path: string, there: Thing): void {
  if (there === "nothing") return rmSync(path, { recursive: true, force: true });
  if (there === "file") return writeFileSync(path, "foreign file");
  if (there === "link") {
    rmSync(path);
    return symlinkSync("foreign target", path);
  }
  chmodSync(path, 0o755);
  writeFileSync(join(path, "added"), "foreign added");
  if (there !== "empty directory") writeFileSync(join(path, "e/d"), "foreign d");
  if (there === "closed directory") chmodSync(path, 0o555);
}

/** Everything below a directory that is no directory: path to bytes, target or "special". A plain walk of the disk. */
function walk(directory: string, inner = ""): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of existsSync(directory) ? readdirSync(join(directory, inner)) : []) {
    const path = join(inner, name);
    const full = join(directory, path);
    const stats = lstatSync(full);
    if (stats.isDirectory()) for (const [below, what] of walk(directory, path)) found.set(below, what);
    else if (stats.isSymbolicLink()) found.set(path, `-> ${readlinkSync(full)}`);
    else found.set(path, stats.isFile() ? readFileSync(full, "utf8") : "special");
  }
  return found;
}

/** The bytes of others by where they are: all that is not ours, agb-sync's own state apart. */
function foreignIn(root: string): ReadonlyMap<string, string> {
  return new Map(
    [...walk(root)].filter(([path, what]) => !path.startsWith(".agb-sync/") && /foreign|special/.test(what)),
  );
}

/** What became of bytes that were nobody's to destroy: those that are neither in place, nor moved along, nor in a backup. */
function lost(root: string, before: ReadonlyMap<string, string>): readonly string[] {
  const now = walk(root);
  const kept = new Map<string, string>();
  for (const [path, what] of now) {
    const [, inBackup] = /^\.agb-sync\/backup\/[^/]+\/(.*)$/s.exec(path) ?? [];
    if (inBackup !== undefined) kept.set(inBackup, what);
  }
  return [...before].flatMap(([path, what]) => {
    const places = [now.get(path), now.get(path.replace(/^x\//, "y/")), kept.get(path)];
    return places.includes(what) ? [] : [`${path} (${what})`];
  });
}

/** Tries one case below `root`; gives what is wrong, in words. */
async function tryOut(session: Session, local: string, one: Case, root: string, strategy: "steps" | "batch") {
  const { standing, there, wanted, rule } = one;
  const directory = temporaryDirectory();
  const manifest = (text: string): Manifest =>
    parseManifest(`version: 1\nroot: ${root}\n${text}`, { file: "agb-sync.yaml", directory, env: {} });
  const options = { strategy, signal, allowMassDelete: true } as const;
  const place = join(local, "x/t");
  const anchor = "trees: []\nabsent: [never.there]\n";
  const wasOurs = standing === "ours" || standing === "drifted";
  const first = wasOurs ? entriesOf(standing === "drifted" && there === "nothing" ? "file" : there, "our") : "";
  await apply(manifest(`${anchor}${first}`), session, options);
  mkdirSync(join(local, "x"), { recursive: true });
  writeFileSync(join(local, "x/other"), "foreign other");
  if (standing === "drifted") edit(place, there);
  if (standing === "foreign") lay(place, there, "foreign");
  if (standing === "ignored") {
    lay(place, there, "foreign");
    if (there === "directory") writeFileSync(join(place, "e/ignored"), "foreign ignored");
  }
  if (standing === "special") {
    if (there === "directory") lay(place, there, "foreign");
    execFileSync("mkfifo", [there === "directory" ? join(place, "e/fifo") : place]);
  }
  const before = foreignIn(local);
  const head = [
    standing === "ignored" ? `ignore: [${there === "file" ? "/x/t" : "ignored"}]` : "",
    rule === "skip" || rule === "keep" || rule === "overwrite" ? `onConflict: ${rule}` : "",
    rule === "prune: all, overwrite" ? "onConflict: overwrite" : "",
    rule.startsWith("prune: all") ? "prune: all" : "",
    rule === "moves" ? "moves: [{ from: x/t, to: y/t }]" : "",
    `absent: [never.there${rule === "absent" ? ", x/t" : ""}]`,
  ];
  const second = manifest(`${head.filter((line) => line !== "").join("\n")}\n${entriesOf(wanted, "new")}`);
  const wrong: string[] = [];
  for (const turn of ["first", "second"]) {
    const report = await apply(second, session, options);
    const failed = report.outcomes.filter(({ result }) => result.status === "failed");
    if (failed.length > 0) wrong.push(`${turn} apply failed: ${JSON.stringify(failed)}`);
    const gone = lost(local, before);
    if (gone.length > 0) wrong.push(`${turn} apply lost ${gone.join(", ")}`);
    const ignored = join(local, there === "file" ? "x/t" : "x/t/e/ignored");
    if (standing === "ignored" && rule !== "moves" && !existsSync(ignored))
      wrong.push(`${turn} apply touched what is ignored`);
  }
  // Nobody said that it may go: it is where it was, and not merely in a backup (S9).
  const isUnasked = (path: string) =>
    rule === "skip" ||
    rule === "keep" ||
    (rule === "prune: all" && standing === "drifted" && /^x\/t(?:\/e\/d)?$/.test(path));
  const moved = [...before].filter(([path, what]) => isUnasked(path) && walk(local).get(path) !== what);
  if (moved.length > 0) wrong.push(`not in place any more: ${moved.map(([path]) => path).join(", ")}`);
  const { plan } = await makePlan(second, session, options);
  if (plan.steps.length > 0) wrong.push(`the next plan is not empty: ${JSON.stringify(plan.steps)}`);
  const named = [...plan.conflicts, ...plan.unsupported].map(({ path }) => path);
  const isAsWanted =
    [...walk(local)].some(([path, what]) => path.startsWith("x/t") && what.includes("new ")) ||
    (wanted.endsWith("directory") && existsSync(place) && lstatSync(place).isDirectory()) ||
    wanted === "nothing";
  if (!isAsWanted && named.length + plan.warnings.length === 0 && rule !== "keep")
    wrong.push("what is not done is not named");
  return wrong;
}

describe.each(kinds)("$name", ({ name, strategy, isFull, open }) => {
  it("keeps every byte that is not ours, in place or in the backup (S8 to S10, S19, S36)", {
    timeout: thorough(120_000, 1_200_000),
  }, async () => {
    const oneOf = name.startsWith("embedded")
      ? thorough(9, 1)
      : name === "AGB with shell, steps"
        ? thorough(131, 4)
        : thorough(61, 2);
    const possible = cases.filter(
      ({ standing, there, wanted }) =>
        isFull ||
        (standing !== "special" && [there, wanted].every((thing) => thing !== "link" && thing !== "closed directory")),
    );
    const { session, rootDirectory } = await open();
    const wrong: string[] = [];
    for (const [number, one] of possible.entries()) {
      if (number % oneOf !== 0) continue;
      const local = `${rootDirectory}-${number}`;
      const label = JSON.stringify(one);
      const found = await tryOut(session, local, one, `/tmp/workspace-${number}`, strategy).catch((error: unknown) => [
        String(error),
      ]);
      wrong.push(...found.map((what) => `${label}: ${what}`));
    }
    await session.close();
    expect(wrong.join("\n")).toBe("");
  });
});
