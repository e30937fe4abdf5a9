import {
  appendFileSync,
  chmodSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { readSources } from "../../../src/desired/read-sources.ts";
import { FindListing } from "../../../src/engine/embedded/find-listing.ts";
import { restStamp } from "../../../src/engine/embedded/rest-stamp.ts";
import type { ScanRequest } from "../../../src/engine/engine.ts";
import { JOURNAL_PATH } from "../../../src/state/journal.ts";
import { EmbeddedTransport } from "../../../src/transport/embedded/embedded-transport.ts";
import { BASE_PATH } from "../../../src/tree/base.ts";
import { largeSession } from "./large-session.ts";

const { signal } = new AbortController();

/** A large session, applied and at rest, and what tells whether it is known to be. */
async function prepare() {
  const { root, local, source, cacheDirectory, manifest, applyOnce } = largeSession();
  const transport = new EmbeddedTransport({ directory: local, root: "/tmp/workspace" });
  const holds = async (more: Partial<ScanRequest> = {}) => {
    const expected = (await readSources(manifest, { signal })).digest;
    const request: ScanRequest = {
      isIgnored: () => false,
      ignorePatterns: manifest.ignore,
      expected,
      wanted: new Map(),
      needsUnmanaged: false,
      checksum: false,
      ...more,
    };
    const listed = await FindListing.start(transport, manifest.ignore)?.output(signal);
    const base = transport.readText(BASE_PATH);
    if (listed === undefined || base === undefined) throw new Error("no listing, or no base");
    return restStamp(cacheDirectory, transport, request, { base, journal: undefined, listed })?.holds;
  };
  await applyOnce();
  await wait(50);
  return { root, source, cacheDirectory, applyOnce, holds };
}

describe.runIf(process.platform === "linux")("a large session at rest", () => {
  it("is known to be from the first apply on that finds nothing to do, and changes nothing in it (S16)", async () => {
    const { root, cacheDirectory, applyOnce, holds } = await prepare();
    expect(await holds()).toBe(false);
    const before = statSync(join(root, ".agb-sync")).mtimeMs;
    expect(await applyOnce()).toBe(0);
    expect(await holds()).toBe(true);
    expect(await applyOnce()).toBe(0);
    expect(statSync(join(root, ".agb-sync")).mtimeMs).toBe(before);
    expect(readdirSync(cacheDirectory).filter((name) => name.startsWith("rest-"))).toHaveLength(1);
    expect(await holds({ needsUnmanaged: true })).toBe(false);
    expect(await holds({ checksum: true })).toBeUndefined();
    expect(await holds({ expected: undefined })).toBeUndefined();
  });

  it.each<[string, (root: string) => void]>([
    ["bytes of the same length under the old time", (root) => forge(join(root, "d1/f1"))],
    ["a mode", (root) => chmodSync(join(root, "d1/f1"), 0o755)],
    ["a file that has gone", (root) => rmSync(join(root, "d1/f1"))],
    ["a link that leads elsewhere", (root) => relink(join(root, "link"))],
    ["a directory of another name", (root) => renameSync(join(root, "d1"), join(root, "d1x"))],
    ["a base that is not the last apply's", (root) => appendFileSync(join(root, BASE_PATH), "\n")],
  ])("is not taken to be because of %s", async (_name, change) => {
    const { root, applyOnce, holds } = await prepare();
    await applyOnce();
    expect(await holds()).toBe(true);
    change(root);
    expect(await holds()).toBe(false);
  });

  it("is looked at as a whole where an apply was cut off, and applied to when the source changed", async () => {
    const { root, source, applyOnce, holds } = await prepare();
    await applyOnce();
    writeFileSync(join(root, JOURNAL_PATH), "");
    expect(await applyOnce()).toBe(0);
    rmSync(join(root, JOURNAL_PATH));
    writeFileSync(join(source, "d1/f1"), "new");
    expect(await applyOnce()).toBe(1);
    expect(await holds()).toBe(false);
    rmSync(join(root, "d1/f1"));
    expect(await applyOnce()).toBe(1);
    expect(await applyOnce()).toBe(0);
  });
});

function forge(file: string): void {
  const { atime, mtime } = statSync(file);
  writeFileSync(file, "X");
  utimesSync(file, atime, mtime);
}

function relink(path: string): void {
  rmSync(path);
  symlinkSync("d2", path);
}
