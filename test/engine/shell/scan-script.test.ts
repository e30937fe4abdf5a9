import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { prunesOf } from "../../../src/engine/find-records.ts";
import type { Dialect } from "../../../src/engine/shell/dialect.ts";
import { dialectOf } from "../../../src/engine/shell/dialect.ts";
import type { ScanAnswer } from "../../../src/engine/shell/parse-scan.ts";
import { parseScan } from "../../../src/engine/shell/parse-scan.ts";
import type { ScanScriptInput } from "../../../src/engine/shell/scan-script.ts";
import { scanScript } from "../../../src/engine/shell/scan-script.ts";
import { shellProgram } from "../../../src/transport/shell-program.ts";
import type { Entry } from "../../../src/tree/entry.ts";
import { runIn, type TestShell, testShells } from "../../helpers/shells.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const programs = ["base64", "sha256sum", "find", "sort", "xargs", "tar", "mv-T", "head", "tail", "wc", "cut", "tr"];
const gnuPrograms = ["sha256sum-z", "comm", "sed", "grep", "gnu-find"];
const portablePrograms = ["stat", "awk", "sed", "readlink", "portable-list"];

function dialectWith(commands: readonly string[]): Dialect {
  const dialect = dialectOf({ shell: true, transfer: false, commands: new Set([...programs, ...commands]) });
  if ("lacks" in dialect) throw new Error(`it lacks ${dialect.lacks.join(", ")}`);
  return dialect;
}

const portable = dialectWith(portablePrograms);
const gnu = dialectWith(gnuPrograms);
/** Every shell with each dialect that its programs speak. */
const cases = testShells.flatMap((shell) =>
  (shell.path === undefined ? [gnu, portable] : [portable]).map((dialect) => ({
    name: `${shell.name}, ${dialect.name}`,
    shell,
    dialect,
  })),
);

const oddNames = [
  "a\nb",
  "-n",
  " x ",
  "$(touch x)",
  "`touch y`",
  "back\\slash",
  "'q'",
  '"q"',
  "*",
  "?[a]",
  "é",
  "👩‍👩‍👧‍👦",
  "x".repeat(255),
  "f 644 1 2 3",
  "z",
  "=i",
  "#",
];

/** A root with names and things of every sort, and what it holds by Node's own look at it. */
function oddTree() {
  const root = join(temporaryDirectory(), "work space");
  mkdirSync(root);
  for (const name of oddNames) {
    mkdirSync(join(root, "d", name), { recursive: true });
    writeFileSync(join(root, "d", name, name), name.repeat(3));
  }
  writeFileSync(join(root, "empty"), "");
  writeFileSync(join(root, "zeros"), Buffer.alloc(100_000));
  mkdirSync(join(root, "nothing in it"));
  symlinkSync("nowhere//at all", join(root, "link"));
  symlinkSync("d", join(root, "link to a directory"));
  symlinkSync("a\nb\n", join(root, "link with\na break"));
  execFileSync("mkfifo", [join(root, "pipe")]);
  chmodSync(join(root, "empty"), 0o4711);
  chmodSync(join(root, "nothing in it"), 0o1750);
  return root;
}

function oracle(root: string, below = ""): ReadonlyMap<string, Entry> {
  const found = new Map<string, Entry>();
  for (const name of readdirSync(join(root, below))) {
    const path = below === "" ? name : `${below}/${name}`;
    if (path === ".agb-sync") continue;
    const stat = lstatSync(join(root, path));
    const mode = stat.mode & 0o7777;
    if (stat.isDirectory()) {
      found.set(path, { kind: "directory", mode });
      for (const [deeper, entry] of oracle(root, path)) found.set(deeper, entry);
    } else if (stat.isFile()) found.set(path, { kind: "file", mode, sizeBytes: stat.size });
    else if (stat.isSymbolicLink()) found.set(path, { kind: "link", target: readlinkSync(join(root, path)) });
    else found.set(path, { kind: "special" });
  }
  return found;
}

const common = {
  compresses: true,
  sessionId: "s-1",
  prunes: [],
  expected: undefined,
  needsUnmanaged: true,
  hashUpToBytes: 1_000_000,
  checksum: false,
};

async function scan(shell: TestShell, input: Omit<ScanScriptInput, keyof typeof common> & Partial<ScanScriptInput>) {
  const { status, stdout, stderr } = runIn(shell, scanScript({ ...common, ...input }), "/");
  return { status, stderr, answer: status === 0 ? await parseScan(stdout.trimEnd()) : undefined };
}

function treeOf(answer: ScanAnswer | undefined): Extract<ScanAnswer, { kind: "tree" }> {
  if (answer?.kind !== "tree") throw new Error(`the answer is ${answer?.kind ?? "an error"}`);
  return answer;
}

const entriesOf = (answer: ScanAnswer | undefined) =>
  new Map([...treeOf(answer).found].map(([path, { entry }]): [string, Entry] => [path, entry]));

describe.each(cases)("a scan by $name", ({ shell, dialect }) => {
  it("lists what is there, whatever its name, and hashes it (S1, S27)", async () => {
    const root = oddTree();
    mkdirSync(join(root, ".agb-sync/stage"), { recursive: true });
    const { answer, stderr } = await scan(shell, { dialect, root });
    expect(stderr).toBe("");
    expect(entriesOf(answer)).toEqual(oracle(root));
    const { digests } = treeOf(answer);
    expect(digests.size).toBeGreaterThan(oddNames.length - 3);
    for (const [path, digest] of digests) {
      const hex = createHash("sha256")
        .update(readFileSync(join(root, path)))
        .digest("hex");
      expect([path, digest]).toEqual([path, `sha256:${hex}`]);
    }
  });

  it("leaves out what the patterns match, and says where", async () => {
    const root = oddTree();
    mkdirSync(join(root, "d/node_modules/deep"), { recursive: true });
    writeFileSync(join(root, "d/node_modules/deep/secret.txt"), "x");
    writeFileSync(join(root, "d/b.log"), "x");
    const { prunes } = prunesOf(["node_modules/", "*.log"]);
    const { answer } = await scan(shell, { dialect, root, prunes });
    const expected = new Map([...oracle(root)].filter(([path]) => !/node_modules|\.log$/.test(path)));
    expect(entriesOf(answer)).toEqual(expected);
    expect(treeOf(answer).leftOut.toSorted()).toEqual(["d/b.log", "d/node_modules"]);
  });

  it.each([
    { name: "nothing there", make: () => undefined, kind: "missing" },
    { name: "a file", make: (path: string) => writeFileSync(path, ""), kind: "notdir" },
    { name: "a link to a directory", make: (path: string) => symlinkSync("/tmp", path), kind: "notdir" },
    { name: "a link to nothing", make: (path: string) => symlinkSync("nowhere", path), kind: "notdir" },
  ])("says that the root is $kind for $name", async ({ make, kind }) => {
    const root = join(temporaryDirectory(), "a 'root'");
    make(root);
    const { answer } = await scan(shell, { dialect, root });
    expect(answer).toEqual({ kind });
  });

  it("answers `same` only for the base, the index and the tree that it was made from", async () => {
    const root = oddTree();
    const state = join(root, ".agb-sync");
    mkdirSync(state);
    const expected = `sha256:${"1".repeat(64)}` as const;
    const made = runIn(
      shell,
      shellProgram(dialect.values([]), dialect.program, "list | index >.agb-sync/index.7"),
      root,
    );
    expect(made).toEqual({ status: 0, stdout: "", stderr: "" });
    const count =
      Number(runIn(shell, shellProgram(dialect.values([]), dialect.program, "list | count"), root).stdout) - 1;
    const header = { version: 1, sessionId: "s-1", root, generation: 7, desired: expected, count };
    const store = (changed: Partial<typeof header>) =>
      writeFileSync(join(state, "base.json"), `${JSON.stringify({ ...header, ...changed })}\n`);
    const kindNow = async (more: Partial<ScanScriptInput> = {}) =>
      (await scan(shell, { dialect, root, expected, ...more })).answer?.kind;

    store({});
    expect(await kindNow()).toBe("same");
    expect(await kindNow({ checksum: true })).toBe("tree");
    expect(await kindNow({ expected: `sha256:${"2".repeat(64)}` })).toBe("tree");
    expect(await kindNow({ sessionId: "s-2" })).toBe("tree");
    for (const changed of [
      { sessionId: "s-2" },
      { root: "/" },
      { generation: 6 },
      { count: count - 1 },
      { version: 2 },
    ]) {
      store(changed);
      expect([changed, await kindNow()]).toEqual([changed, "tree"]);
    }
    store({});
    writeFileSync(join(state, "journal.json"), "{}\n");
    expect(await kindNow()).toBe("tree");
    execFileSync("rm", [join(state, "journal.json")]);
    writeFileSync(join(root, "more"), "");
    expect(await kindNow()).toBe("tree");
    expect(await kindNow({ needsUnmanaged: false })).toBe("same");
    writeFileSync(join(root, "d", "é", "é"), "edited");
    expect(await kindNow({ needsUnmanaged: false })).toBe("tree");
  });
});
