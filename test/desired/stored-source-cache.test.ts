import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { readLocalSources } from "../../src/reconcile/make-plan.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
const trees = "trees: [{ source: source, path: . }]\n";
const secret = "files: [{ path: .env, source: secret.env, sensitive: true }]\n";

/** A project whose files are old enough to be remembered. */
async function project(text = trees + secret) {
  const directory = temporaryDirectory();
  layOut(directory, { "source/a": "1", "source/b": "2", "secret.env": "TOKEN=1" });
  await wait(60);
  const cacheDirectory = join(temporaryDirectory(), "cache");
  const manifest = manifestOf(directory, text);
  const read = async (options: { checksum?: boolean } = {}, from: Manifest = manifest) => {
    const { tree } = await readLocalSources(from, { signal, cacheDirectory, ...options });
    const entry = tree.get(workspacePath("a"));
    return entry?.kind === "file" ? entry.digest : undefined;
  };
  const cacheFile = () => join(cacheDirectory, readdirSync(cacheDirectory)[0] ?? "");
  return { directory, cacheDirectory, read, cacheFile };
}

describe("digests of sources from run to run", () => {
  it("are believed for the very same version of a file, but not with checksum", async () => {
    const { read, cacheFile } = await project();
    expect(await read()).toBe(digestOf("1"));
    const text = readFileSync(cacheFile(), "utf8");
    expect(statSync(cacheFile()).mode & 0o777).toBe(0o600);
    // A false digest is the proof that the file is not read again.
    writeFileSync(cacheFile(), text.replaceAll(digestOf("1"), digestOf("false")));
    expect(await read()).toBe(digestOf("false"));
    expect(await read({ checksum: true })).toBe(digestOf("1"));
  });

  it("are not believed for other bytes of the same size and times (W31)", async () => {
    const { directory, read } = await project();
    await read();
    const file = join(directory, "source/a");
    const { atime, mtime } = statSync(file);
    writeFileSync(file, "9");
    utimesSync(file, atime, mtime);
    expect(await read()).toBe(digestOf("9"));
  });

  it("hold nothing of what is sensitive (S35), nor of files that have gone", async () => {
    const { directory, read, cacheFile } = await project();
    await read();
    expect(readFileSync(cacheFile(), "utf8")).toContain(join(directory, "source/b"));
    expect(readFileSync(cacheFile(), "utf8")).not.toContain("secret");
    rmSync(join(directory, "source/b"));
    await read();
    expect(readFileSync(cacheFile(), "utf8")).not.toContain(join(directory, "source/b"));
  });

  it.each([
    ["damaged", (file: string) => writeFileSync(file, readFileSync(file, "utf8").slice(0, -3))],
    ["of another kind", (file: string) => writeFileSync(file, "something else")],
    ["missing", (file: string) => rmSync(file)],
  ])("are read anew where the file is %s", async (_what, spoil) => {
    const { read, cacheFile } = await project();
    await read();
    spoil(cacheFile());
    expect(await read()).toBe(digestOf("1"));
    expect(readFileSync(cacheFile(), "utf8")).toContain(digestOf("1"));
  });

  it("are no reason to fail where they cannot be kept", async () => {
    const { cacheDirectory, read } = await project();
    writeFileSync(cacheDirectory, "a file is in the way");
    expect(await read()).toBe(digestOf("1"));
    expect(existsSync(join(cacheDirectory, "sources"))).toBe(false);
  });
});
