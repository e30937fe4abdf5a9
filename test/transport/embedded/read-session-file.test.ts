import {
  appendFileSync,
  closeSync,
  lstatSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hashLarge, hashOwn, hashSmall } from "../../../src/transport/embedded/read-session-file.ts";
import { Turns } from "../../../src/transport/embedded/turns.ts";
import { digestOf } from "../../../src/tree/digest.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();
const MIB = 1024 * 1024;

/** Hashes a file of three pieces; before each piece `change` may happen to it. */
async function hashed(change: (piece: number, file: string) => void) {
  const file = join(temporaryDirectory(), "file");
  writeFileSync(file, Buffer.alloc(3 * MIB - 5, "a"));
  utimesSync(file, 1, 1);
  const descriptor = openSync(file, "r");
  let piece = 0;
  const turns = new Turns();
  const watched: Turns = Object.assign(Object.create(turns), {
    next: async () => {
      change(piece++, file);
      await turns.next();
    },
  });
  try {
    const reading = await hashLarge(descriptor, watched, signal);
    return { reading, file, pieces: piece };
  } finally {
    closeSync(descriptor);
  }
}

function overwrite(file: string, at: number, text: string): void {
  const descriptor = openSync(file, "r+");
  writeSync(descriptor, text, at);
  closeSync(descriptor);
}

describe("a large file that changes between two pieces (S24)", () => {
  it("that holds still is hashed in one go", async () => {
    const { reading, pieces } = await hashed(() => undefined);
    expect([reading?.digest, pieces]).toEqual([digestOf(Buffer.alloc(3 * MIB - 5, "a")), 4]);
  });

  it.each<[string, (file: string) => void]>([
    [
      "before where it was read, with the same size and time",
      (file) => {
        overwrite(file, 10, "changed");
        utimesSync(file, 1, 1);
      },
    ],
    ["behind where it was read, with the same size", (file) => overwrite(file, 2 * MIB, "changed")],
    ["by growing", (file) => appendFileSync(file, "more")],
    ["by growing by several pieces", (file) => appendFileSync(file, Buffer.alloc(2 * MIB, "b"))],
  ])("%s, is read again: the digest is of one state", async (_what, change) => {
    const { reading, file } = await hashed((piece, path) => {
      if (piece === 1) change(path);
    });
    const text = readFileSync(file);
    expect(reading?.digest).toBe(digestOf(text));
    expect(reading?.version.size).toBe(BigInt(text.byteLength));
  });

  it("and never holds still, is not hashed at all", async () => {
    const { reading } = await hashed((_piece, path) => overwrite(path, 10, `${Math.random()}`));
    expect(reading).toBeUndefined();
  });
});

describe("a small file", () => {
  it("that was exchanged since it was looked at is not hashed as that (S24)", () => {
    const directory = temporaryDirectory();
    const [file, other] = [join(directory, "file"), join(directory, "other")];
    writeFileSync(file, "one");
    writeFileSync(other, "two");
    const before = lstatSync(file, { bigint: true });
    expect(hashSmall(file, before)?.digest).toBe(digestOf("one"));
    utimesSync(other, statSync(file).atime, statSync(file).mtime);
    renameSync(other, file);
    expect(hashSmall(file, before)).toBeUndefined();
    expect(hashOwn(file)?.digest).toBe(digestOf("two"));
  });
});
