import { renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { versionOf } from "../../src/desired/file-version.ts";
import { readLocalFile } from "../../src/desired/local-file.ts";
import { SourceCache } from "../../src/desired/source-cache.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";

const digest = digestOf("x");
/** A change that a file system which counts whole seconds would write so. */
const wholeSecond = (ageMs: number) => Math.floor((Date.now() - ageMs) / 1000) * 1000;
const fraction = (ageMs: number) => Math.floor((Date.now() - ageMs) / 1000) * 1000 + 1;

describe("a version of a file", () => {
  it.each<[string, () => number, boolean]>([
    ["changed this very moment", () => Date.now(), false],
    ["changed in the future, by a clock that was set back", () => Date.now() + 3_600_001, false],
    ["changed less than two seconds ago, as far as whole seconds tell", () => wholeSecond(500), false],
    ["changed some seconds ago, in whole seconds", () => wholeSecond(4000), true],
    ["changed some seconds ago", () => fraction(4000), true],
    ["changed long ago", () => fraction(86_400_000), true],
  ])("%s: is believed later: %3$s (W31)", (_name, changedMs, isBelieved) => {
    const cache = new SourceCache();
    const version = { key: "1 2 3 4", sizeBytes: 1, mode: 0o644, changedMs: changedMs() };
    cache.remember("/f", version, digest);
    expect([cache.find("/f", version), cache.racy.has("/f"), cache.known.has("/f")]).toEqual([
      isBelieved ? digest : undefined,
      !isBelieved,
      isBelieved,
    ]);
  });

  it("that is too young drives out what was known of the file, and is known once it is old enough", () => {
    const cache = new SourceCache();
    const old = { key: "old", sizeBytes: 1, mode: 0o644, changedMs: fraction(4000) };
    cache.remember("/f", old, digest);
    cache.remember("/f", { ...old, key: "young", changedMs: Date.now() }, digest);
    expect([cache.find("/f", old), [...cache.racy]]).toEqual([undefined, ["/f"]]);
    cache.remember("/f", { ...old, key: "young" }, digest);
    expect([cache.find("/f", { ...old, key: "young" }), cache.find("/f", old), cache.racy.size]).toEqual([
      digest,
      undefined,
      0,
    ]);
  });
});

describe("a file that changes between listing and reading (S24)", () => {
  it.each([10, 70_000, 1024 * 1024, 3 * 1024 * 1024])("is told as what was read, with %d bytes", (sizeBytes) => {
    const file = join(temporaryDirectory(), "f");
    writeFileSync(file, "a".repeat(sizeBytes));
    const listed = versionOf(statSync(file));
    // The same size, and another inode, so that the times make no difference.
    const other = `${file}.new`;
    writeFileSync(other, "b".repeat(sizeBytes));
    renameSync(other, file);
    const reading = readLocalFile(file, 100_000, { listed, attempts: 1 });
    expect([reading.digest, reading.version]).toEqual([digestOf("b".repeat(sizeBytes)), versionOf(statSync(file))]);
  });

  it.each([-1, 1, 2_000_000])("also when it has %d bytes more by then", (more) => {
    const file = join(temporaryDirectory(), "f");
    const sizeBytes = 1024 * 1024 + 5;
    writeFileSync(file, "a".repeat(sizeBytes));
    const listed = versionOf(statSync(file));
    writeFileSync(file, "b".repeat(sizeBytes + more));
    const { digest: found, version } = readLocalFile(file, 0, { listed, attempts: 1 });
    expect([found, version.sizeBytes]).toEqual([digestOf("b".repeat(sizeBytes + more)), sizeBytes + more]);
  });
});
