import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { AgbSyncError } from "../../src/errors.ts";
import { cliPath } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { Watched } from "./watched.ts";

const SECRET = "nobody asked for this";
const source = { "a/f": "1", "a/deep/g": "2", "b/h": "3", top: "4" };

/** Watches `source`, beside which lies `secret` with the same names in it. */
async function watched(options: Parameters<Watched["start"]>[1] = {}): Promise<Watched> {
  const watch = new Watched();
  layOut(join(watch.directory, "secret"), { f: SECRET, "deep/g": SECRET, g: SECRET, new: SECRET, "a/f": SECRET });
  await watch.start(source, { safetyMs: 200, ...options });
  return watch;
}

/** Waits until an edit that was made after everything else has arrived, and gives what the session holds then. */
async function after(watch: Watched, path = "top"): Promise<string> {
  writeFileSync(join(watch.source, path), "the last edit");
  await watch.until(() => read(join(watch.root, path)) === "the last edit");
  return contentsOf(watch.root);
}

/** Everything that the files below a directory hold, its state included. */
function contentsOf(directory: string): string {
  const inside = readdirSync(directory, { recursive: true, withFileTypes: true });
  return inside.flatMap((entry) => (entry.isFile() ? read(join(entry.parentPath, entry.name)) : [])).join("\n");
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function problemsOf(watch: Watched): string {
  return watch
    .all("problem")
    .map(({ error }) => [error.message, error instanceof AgbSyncError ? error.hint : ""].join("; "))
    .join("\n");
}

/** Puts a link in the place of a directory of the source. */
type Swap = (directory: string, target: string) => void;
const byHand: Swap = (directory, target) => {
  rmSync(directory, { recursive: true });
  symlinkSync(target, directory);
};
const byRename: Swap = (directory, target) => {
  symlinkSync(target, `${directory}.new`);
  renameSync(directory, `${directory}.old`);
  renameSync(`${directory}.new`, directory);
  rmSync(`${directory}.old`, { recursive: true });
};

describe("a directory that becomes a link while it is watched (W33)", () => {
  it.each<[string, string, string, Swap]>([
    ["out of the source", "a", "../secret", byHand],
    ["out of the source by an absolute target", "a", "ABSOLUTE", byHand],
    ["out of the source by rename", "a", "../secret", byRename],
    ["below another one", "a/deep", "../../secret", byHand],
    ["that leads to itself", "a", "a", byHand],
  ])("%s: nothing behind it is read or sent", async (_name, directory, target, swap) => {
    const watch = await watched();
    const place = join(watch.source, directory);
    swap(place, target === "ABSOLUTE" ? join(watch.directory, "secret") : target);
    expect(await after(watch)).not.toContain(SECRET);
    writeFileSync(join(watch.directory, "secret/f"), `${SECRET}, again`);
    expect(await after(watch, "b/h")).not.toContain(SECRET);
    rmSync(place);
    mkdirSync(place);
    writeFileSync(join(place, "back"), "5");
    await watch.until(() => read(join(watch.root, directory, "back")) === "5");
    await watch.settled();
  });
});

describe("a directory that becomes a link to another one of the tree", () => {
  it.each<[string, (watch: Watched) => void]>([
    ["by hand", ({ source: top }) => byHand(join(top, "a"), "b")],
    ["by rename, with more in it", ({ source: top }) => byRename(join(top, "a"), "b")],
    ["below another one", ({ source: top }) => byHand(join(top, "a/deep"), "../b")],
  ])("%s: arrives as that, at once and without a warning", async (_name, swap) => {
    const watch = await watched({ safetyMs: 60_000 });
    swap(watch);
    await watch.settled(3000);
    expect([watch.all("warning"), watch.all("problem")]).toEqual([[], []]);
  });
});

describe("the way to a source that becomes a link while it is watched", () => {
  const manifest = `files:
  - { path: named, source: conf/f }
  - { path: made, source: conf/f, template: true }
  - { path: other, source: conf/deep/g }
`;

  it("ends nowhere else for single files and templates, and is taken again when it is back", async () => {
    const watch = new Watched();
    layOut(join(watch.directory, "secret"), { f: SECRET, "deep/g": SECRET });
    layOut(join(watch.directory, "conf"), { f: "5", "deep/g": "6" });
    watch.manifest = manifest;
    await watch.start(source, { safetyMs: 200 });
    renameSync(join(watch.directory, "conf"), join(watch.directory, "away"));
    symlinkSync("secret", join(watch.directory, "conf"));
    expect(await after(watch)).not.toContain(SECRET);
    writeFileSync(join(watch.directory, "secret/f"), `${SECRET}, again`);
    expect(await after(watch, "b/h")).not.toContain(SECRET);
    expect(problemsOf(watch)).toContain("conf, which has become a link to secret");
    rmSync(join(watch.directory, "conf"));
    renameSync(join(watch.directory, "away"), join(watch.directory, "conf"));
    writeFileSync(join(watch.directory, "conf/f"), "7");
    await watch.until(() => read(join(watch.root, "named")) === "7" && read(join(watch.root, "made")) === "7");
  });

  it("ends nowhere else for a tree", async () => {
    const watch = await watched();
    renameSync(watch.source, join(watch.directory, "away"));
    symlinkSync("secret", watch.source);
    await watch.until(() => problemsOf(watch).includes("source, which has become a link to secret"));
    expect(contentsOf(watch.root)).not.toContain(SECRET);
    rmSync(watch.source);
    renameSync(join(watch.directory, "away"), watch.source);
    expect(await after(watch)).not.toContain(SECRET);
    await watch.settled();
  });

  it("may turn elsewhere where it was a link all along", async () => {
    const watch = new Watched();
    layOut(join(watch.directory, "v1"), { f: "5" });
    layOut(join(watch.directory, "v2"), { f: "6" });
    symlinkSync("v1", join(watch.directory, "current"));
    watch.manifest = "files: [{ path: named, source: current/f }]\n";
    await watch.start(source, { safetyMs: 200 });
    symlinkSync("v2", join(watch.directory, "next"));
    renameSync(join(watch.directory, "next"), join(watch.directory, "current"));
    await watch.until(() => read(join(watch.root, "named")) === "6");
    expect(watch.all("problem")).toEqual([]);
  });
});

/** Where an ordinary user may mount something: in a name space of their own. */
const canMount = process.env["CRASH_MATRIX"] === "full" && spawnSync("unshare", ["-rm", "true"]).status === 0;

describe.runIf(canMount)("a directory on which something is mounted while it is watched", () => {
  const MOUNTING = `
    until grep -q Ready out; do sleep 0.05; done
    mount --bind secret source/a
    sleep 1
    echo edited > source/b/h
    until grep -q edited local/tmp/workspace/b/h; do sleep 0.05; done
    cat local/tmp/workspace/a/f
    umount source/a
    echo back > source/a/f
    until grep -q back local/tmp/workspace/a/f; do sleep 0.05; done`;

  it("is left out until it is as it was", { timeout: 60_000 }, async () => {
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), source);
    layOut(join(directory, "secret"), { f: SECRET });
    const text = "version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: . }]\n";
    writeFileSync(join(directory, "agb-sync.yaml"), text);
    const watching = `'${process.execPath}' '${cliPath}' watch --local local --rescan 1s > out 2>&1 &`;
    const script = `${watching}\ntrap "kill $!" EXIT\n${MOUNTING}`;
    const { stdout } = await promisify(execFile)("unshare", ["-rm", "sh", "-c", script], { cwd: directory });
    expect([stdout, contentsOf(directory.concat("/local"))]).toEqual(["1", expect.not.stringContaining(SECRET)]);
    expect(read(join(directory, "out"))).toContain("a is left out: a file system was mounted on it");
  });
});
