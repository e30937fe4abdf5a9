import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/connect.ts";
import { INDEX_PATH, SessionIndex } from "../../../src/engine/embedded/session-index.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { digestOf } from "../../../src/tree/digest.ts";
import { workspacePath } from "../../../src/tree/workspace-path.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();
const options = { strategy: "batch", signal } as const;
const path = workspacePath("a\nb");

const second = 1_000_000_000n;
const version = { size: 1n, mtimeNs: 5n * second, ctimeNs: 100n * second + 7n, ino: 9n };
const digest = digestOf("1");

describe("the index", () => {
  it.each([
    { name: "long after its last change", readAtMs: 101_000, isKnown: true },
    { name: "in the moment of its last change", readAtMs: 100_000, isKnown: false },
    { name: "shortly after its last change", readAtMs: 100_015, isKnown: false },
    { name: "before its last change, by a clock that was set", readAtMs: 95_000, isKnown: false },
    {
      name: "a second after its last change, on a disk that counts seconds",
      readAtMs: 101_000,
      ns: 0n,
      isKnown: false,
    },
    { name: "long after its last change, on a disk that counts seconds", readAtMs: 103_000, ns: 0n, isKnown: true },
  ])("of a file that was read $name: $isKnown (W31)", ({ readAtMs, ns = 7n, isKnown }) => {
    const seen = { ...version, ctimeNs: 100n * second + ns };
    const index = new SessionIndex();
    index.remember(path, { digest, version: seen, readAtMs });
    expect(SessionIndex.parse(index.format()).find(path, seen)).toBe(isKnown ? digest : undefined);
  });

  it.each([{ size: 2n }, { mtimeNs: 6n }, { ctimeNs: 100n }, { ino: 1n }])("does not know %o of it (W31)", (other) => {
    const index = new SessionIndex();
    index.remember(path, { digest, version, readAtMs: 200_000 });
    expect(index.find(path, { ...version, ...other })).toBeUndefined();
  });

  it("forgets a version when a later reading cannot be trusted", () => {
    const index = new SessionIndex();
    index.remember(path, { digest, version, readAtMs: 200_000 });
    index.remember(path, { digest: digestOf("2"), version, readAtMs: 100_000 });
    expect(index.find(path, version)).toBeUndefined();
  });

  it.each(["", '1700000000000000\n"a"\0x\0y\nend', "agb-sync index 2\0a\0b", "agb-sync index 2\0a\0b\0c\0"])(
    "knows nothing when it is damaged or of another version: %j",
    (text) => {
      expect(SessionIndex.parse(text).format()).toBe(new SessionIndex().format());
    },
  );
});

it("the index is carried over for the files that a commit does not touch", async () => {
  const directory = temporaryDirectory();
  const local = join(directory, "session");
  const session = await connect({ local, env: {}, cwd: "/", signal });
  layOut(join(directory, "source"), { "sub/untouched": "1", edited: "1" });
  await apply(mirrorOf(directory), session, options);
  const writtenAtMs = Date.now();
  while (Date.now() - writtenAtMs < 30) await turn();
  for (const text of ["2", "3"]) {
    writeFileSync(join(directory, "source/edited"), text);
    await apply(mirrorOf(directory), session, options);
    const transport = session.openWorkspace("/tmp/workspace").transport;
    const chunks: Uint8Array[] = [];
    for await (const chunk of transport.readFile(INDEX_PATH, signal)) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toContain(`sub/untouched\0`);
  }
});
