import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import type { Entry } from "../../src/tree/entry.ts";
import { treeDigest } from "../../src/tree/tree-digest.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { kinds } from "../helpers/kinds.ts";
import { manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const sha256 = (data: string) => createHash("sha256").update(data).digest("hex");
const treeOf = (entries: Readonly<Record<string, Entry>>) =>
  new Map(Object.entries(entries).map(([path, entry]) => [workspacePath(path), entry]));
const file = (text: string, mode = 0o644): Entry => ({
  kind: "file",
  mode,
  sizeBytes: text.length,
  digest: `sha256:${sha256(text)}`,
});

describe("the digest of a tree", () => {
  it("is what the page beside the schemas says", () => {
    const inner = sha256(`f 0644 ${sha256("x")} ﬀ\0f 0755 ${sha256("")} 𝒜\0`);
    const records = `f 0600 ${sha256("y")} a\0d 0750 ${inner} b\0l - ${sha256("a")} c\0s - - d\0`;
    const tree = treeOf({
      d: { kind: "special" },
      "b/𝒜": file("", 0o755),
      b: { kind: "directory", mode: 0o750 },
      c: { kind: "link", target: "a" },
      "b/ﬀ": file("x"),
      a: file("y", 0o600),
    });
    expect(treeDigest(tree)).toBe(`sha256:${sha256(records)}`);
    expect(treeDigest(new Map())).toBe(`sha256:${sha256("")}`);
  });

  it("does not depend on the order, and tells any difference", () => {
    const name = fc.constantFrom("a", "b", "a/b", "a/c", "b/a/c", "é", "👩", "ﬀ");
    const entry = fc.constantFrom<Entry>(
      file("1"),
      file("2"),
      file("1", 0o755),
      { kind: "link", target: "1" },
      { kind: "link", target: "2" },
      { kind: "special" },
    );
    const anyTree = fc.dictionary(name, entry, { noNullPrototype: true });
    fc.assert(
      fc.property(anyTree, anyTree, (one, other) => {
        const isTree = (entries: object) =>
          Object.keys(entries).every((path) => !Object.keys(entries).some((more) => more.startsWith(`${path}/`)));
        fc.pre(isTree(one) && isTree(other));
        expect(treeDigest(new Map([...treeOf(one)].toReversed()))).toBe(treeDigest(treeOf(one)));
        expect(treeDigest(treeOf(one)) === treeDigest(treeOf(other))).toBe(isDeepStrictEqual(one, other));
      }),
    );
  });

  it.each(kinds.filter(({ isFull }) => isFull))(
    "is that of the recipe for others: $name",
    async ({ open, strategy }) => {
      const directory = temporaryDirectory();
      mkdirSync(join(directory, "app/deep"), { recursive: true });
      for (const name of ["a b", "$(x)", "é", "𝒜", "ﬀ"]) writeFileSync(join(directory, "app/deep", name), name);
      symlinkSync("deep/é", join(directory, "app/link"));
      const text = 'trees: [{ source: app, path: app }]\ndirectories: [{ path: empty, mode: "0700" }]';
      const manifest = manifestOf(directory, text);
      const { session, rootDirectory } = await open();
      const { signal } = new AbortController();
      const { workspaceDigest } = await apply(manifest, session, { strategy, signal });
      const recipe = join(import.meta.dirname, "../../examples/ci/digest.py");
      expect(execFileSync("python3", [recipe, rootDirectory], { encoding: "utf8" })).toBe(`${workspaceDigest}\n`);
      await session.close();
    },
  );
});
