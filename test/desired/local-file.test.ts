import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, realpathSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { localContent, readLocalFile } from "../../src/desired/local-file.ts";
import type { Content } from "../../src/tree/content.ts";
import { memoryContent } from "../../src/tree/content.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";

const MIB = 1024 * 1024;

function fileOf(bytes: Uint8Array | string): string {
  const file = join(temporaryDirectory(), "file");
  writeFileSync(file, bytes);
  return file;
}

async function bytesOf(content: Content): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of content.open()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const sizes = [0, 1, 1000, 64 * 1024, 64 * 1024 + 1, MIB - 1, MIB, MIB + 1, 3 * MIB];

describe("reading a local file", () => {
  it.each(sizes)("gives the digest of %d bytes, and small ones themselves", async (sizeBytes) => {
    const bytes = Buffer.from(Array.from({ length: sizeBytes }, (_, at) => (at * 7) % 251));
    const file = fileOf(bytes);
    const reading = readLocalFile(file, 64 * 1024);
    expect([reading.digest, reading.version.sizeBytes]).toEqual([digestOf(bytes), sizeBytes]);
    expect(reading.bytes?.equals(bytes)).toBe(sizeBytes <= 64 * 1024 ? true : undefined);
    const content = localContent(file, reading.digest, sizeBytes, true);
    expect((await bytesOf(content)).equals(bytes)).toBe(true);
    expect((await bytesOf(content)).equals(bytes)).toBe(true);
    expect([content.sizeBytes, content.sensitive]).toEqual([sizeBytes, true]);
  });

  it("keeps bytes apart from the next reading", () => {
    const { bytes } = readLocalFile(fileOf("one"), 10);
    readLocalFile(fileOf("two"), 10);
    expect(bytes?.toString()).toBe("one");
  });

  it("gives one state of a file that grows meanwhile, or says that it changed (S24)", async () => {
    const file = fileOf("x".repeat(MIB));
    const append = `const fs = require("node:fs"); console.log("started"); for (let n = 0; n < 4096; n += 1) fs.appendFileSync(process.argv[1], "x".repeat(1024));`;
    const writer = spawn(process.execPath, ["-e", append, file]);
    onTestFinished(() => void writer.kill("SIGKILL"));
    const ended = once(writer, "close");
    await once(writer.stdout, "data");
    const readings: string[] = [];
    while (writer.exitCode === null && readings.length < 1000) {
      try {
        const { digest, version } = readLocalFile(file, 0);
        readings.push(digest === digestOf("x".repeat(version.sizeBytes)) ? "whole" : "torn");
      } catch (error) {
        readings.push(error instanceof Error && "code" in error ? String(error.code) : "other");
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    await ended;
    expect(readings.length).toBeGreaterThan(0);
    expect(readings.filter((reading) => reading !== "whole" && reading !== "SOURCE_CHANGED")).toEqual([]);
    expect(readLocalFile(file, 0).digest).toBe(digestOf("x".repeat(5 * MIB)));
  });

  it.runIf(process.platform === "linux")("gives up on a file that never is what it says it is", () => {
    expect(() => readLocalFile("/proc/self/stat", 0, { realPath: realpathSync("/proc/self/stat") })).toThrow(
      expect.objectContaining({ code: "SOURCE_CHANGED", message: "/proc/self/stat changed while it was read" }),
    );
  });
});

describe("sending a local file", () => {
  it.each([
    ["small", 1000],
    ["large", 3 * MIB],
  ])("stops when it is no longer what was hashed: %s", async (_name, sizeBytes) => {
    const file = fileOf("x".repeat(sizeBytes));
    const { digest } = readLocalFile(file, 0);
    const content = localContent(file, digest, sizeBytes, false);
    const changes: readonly (() => void)[] = [
      () => writeFileSync(file, "y".repeat(sizeBytes)),
      () => writeFileSync(file, `${"x".repeat(sizeBytes)}x`),
      () => truncateSync(file, sizeBytes - 1),
      () => truncateSync(file, 0),
    ];
    for (const change of changes) {
      change();
      await expect(bytesOf(content)).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
    }
    writeFileSync(file, "x".repeat(sizeBytes));
    utimesSync(file, 0, 0);
    expect((await bytesOf(content)).byteLength).toBe(sizeBytes);
  });

  it("stops when it changes on the way (S24)", async () => {
    for (const change of [
      (file: string) => appendFileSync(file, "x"),
      (file: string) => truncateSync(file, 2 * MIB),
      (file: string) => writeFileSync(file, "y".repeat(3 * MIB)),
    ]) {
      const file = fileOf("x".repeat(3 * MIB));
      const { digest } = readLocalFile(file, 0);
      const opened = localContent(file, digest, 3 * MIB, false).open();
      const chunks = opened[Symbol.asyncIterator]();
      await chunks.next();
      change(file);
      const rest = async () => {
        for (let next = await chunks.next(); next.done !== true; next = await chunks.next());
      };
      await expect(rest()).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
    }
  });

  it("gives what is in memory as it is", async () => {
    const content = memoryContent(Buffer.from("abc"), false);
    expect([content.digest, content.sizeBytes, (await bytesOf(content)).toString()]).toEqual([
      digestOf("abc"),
      3,
      "abc",
    ]);
    expect(await bytesOf(memoryContent(Buffer.alloc(0), true))).toHaveLength(0);
  });
});
