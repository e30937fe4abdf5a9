import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ArchiveEntry, packArchive } from "../../../src/engine/shell/archive.ts";
import { type CommitScriptInput, commitCommand, stageOf } from "../../../src/engine/shell/commit-script.ts";
import { dialectOf } from "../../../src/engine/shell/dialect.ts";
import { runIn, type TestShell, testShells } from "../../helpers/shells.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const programs = "base64 sha256sum find sort xargs tar mv-T head tail wc cut tr stat awk sed readlink portable-list";
const dialect = dialectOf({ shell: true, transfer: false, commands: new Set(programs.split(" ")) });
const hash = createHash("sha256").digest("hex");

const headerOf = (root: string, generation: number, count: number, sessionId = "s-1") =>
  JSON.stringify({ version: 1, sessionId, root, generation, desired: null, count });
const recordOf = (name: string, bytes: string) => JSON.stringify([name, "f", 0o644, bytes.length, `sha256:${hash}`]);

/** A root with base of generation 1, which knows `old`. */
function rootWithBase(): string {
  const root = join(temporaryDirectory(), "a 'root'");
  mkdirSync(join(root, ".agb-sync"), { recursive: true });
  writeFileSync(join(root, "old"), "1");
  writeFileSync(join(root, ".agb-sync/base.json"), `${headerOf(root, 1, 1)}\n${recordOf("old", "1")}\n`);
  return root;
}

type Work = {
  readonly ops?: string;
  readonly checks?: string;
  readonly input?: Partial<CommitScriptInput>;
  /** What it puts into place: a staged file of the root. */
  readonly name?: string;
};

/** A commit that adds one file, or does what it is told, and what it said. */
async function commit(shell: TestShell, root: string, work: Work = {}) {
  if ("lacks" in dialect) throw new Error("no dialect");
  const { name = "new" } = work;
  const file = (path: string, text: string): ArchiveEntry => ({
    kind: "file",
    name: path,
    mode: 0o644,
    sizeBytes: Buffer.byteLength(text),
    async *open() {
      yield Buffer.from(text);
    },
  });
  const lists = "after pre checked removed adopted others verify verify-removed base-removed".split(" ");
  const entries = [
    file(`t/${name}`, name),
    file("ops", work.ops ?? `o 0 '' '' W n ${name}\ncheckpoint\n`),
    file("checks", work.checks ?? ""),
    file("placed", `./${name}\0`),
    file("base-added", `${recordOf(name, name)}\n`),
    ...lists.map((list) => file(list, "")),
  ];
  const archive = await packArchive(entries, { compresses: true, onBytes: () => undefined });
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive.open()) chunks.push(chunk);
  const place = { root, applyId: randomUUID(), isFresh: false };
  const command = commitCommand({
    ...place,
    dialect,
    isCompressed: true,
    delivery: { kind: "inline", base64: Buffer.concat(chunks).toString("base64") },
    archiveSha256: archive.sha256,
    stagedSha256: "",
    preSha256: "",
    checkedSha256: "",
    removedSha256: "",
    adoptedSha256: "",
    baseGeneration: 1,
    baseStart: `${JSON.stringify({ version: 1, sessionId: "s-1", root }).slice(0, -1)},`,
    unusableBaseSha256: "",
    baseHeader: headerOf(root, 2, 2),
    baseCount: 2,
    ticketStart: '{"owner":"o","expiresAt":',
    backupTime: "20260102T030405Z",
    ...work.input,
  });
  const { stdout } = runIn(shell, command, "/");
  return { said: stdout.trimEnd().split("\n"), stage: stageOf(place), id: place.applyId };
}

const state = (root: string, name: string) => join(root, ".agb-sync", name);
const linesOf = (root: string, name: string) => readFileSync(state(root, name), "utf8").trimEnd().split("\n");

describe.each(testShells)("a commit in place by $name", (shell) => {
  it("does the work, writes base and the index, and leaves nothing but its report", async () => {
    const root = rootWithBase();
    const { said, stage } = await commit(shell, root);
    expect(said).toEqual(["done", "end"]);
    expect(readFileSync(join(root, "new"), "utf8")).toBe("new");
    const expected = [headerOf(root, 2, 2), recordOf("old", "1"), recordOf("new", "new")];
    expect(linesOf(root, "base.json")).toEqual(expected);
    expect(readFileSync(state(root, "index.2"), "utf8")).toContain("./new//f 644 3 ");
    expect(readdirSync(state(root, "")).toSorted()).toEqual([".gitignore", "base.json", "index.2", "locks", "stage"]);
    expect(readdirSync(state(root, "locks"))).toEqual([]);
    expect(readdirSync(stage).filter((name) => !/^(?:commit|log)/.test(name))).toEqual(["pid", "report"]);
  });

  it("leaves a journal of what it put into place when it is killed, and adds to one (S31, S40)", async () => {
    const root = rootWithBase();
    const killed = "o 0 '' '' W n new\nkill -KILL $$\n";
    expect((await commit(shell, root, { ops: killed })).said[0]).toBe("died");
    expect(existsSync(join(root, "new"))).toBe(true);
    expect(linesOf(root, "journal.json")).toEqual([headerOf(root, 2, 2), recordOf("new", "new")]);
    const again = await commit(shell, root, { name: "other", ops: "kill -KILL $$\n" });
    expect(again.said[0]).toBe("died");
    const both = [headerOf(root, 2, 2), recordOf("new", "new"), recordOf("other", "other")];
    expect(linesOf(root, "journal.json")).toEqual(both);
    const last = await commit(shell, root, { name: "third", ops: "o 0 '' '' W n third\ncheckpoint\n" });
    expect([last.said[0], existsSync(state(root, "journal.json"))]).toEqual(["done", false]);
  });

  it("forgets a journal that base has overtaken, or that is not of this root", async () => {
    const headers = [() => headerOf("/elsewhere", 2, 1), (root: string) => headerOf(root, 1, 1), () => "{}", () => ""];
    for (const header of headers) {
      const root = rootWithBase();
      const stale = header(root);
      writeFileSync(state(root, "journal.json"), `${stale}\n${recordOf("stale", "x")}\n`);
      await commit(shell, root, { ops: "kill -KILL $$\n" });
      expect(linesOf(root, "journal.json")).toEqual([headerOf(root, 2, 2), recordOf("new", "new")]);
    }
  });

  it("keeps the journal and gives the ticket up to whoever asked when something was not done", async () => {
    const root = rootWithBase();
    writeFileSync(join(root, "new"), "foreign");
    const { said, id } = await commit(shell, root);
    expect(said).toEqual(["partial", "0 0 appeared ", "end"]);
    expect(readdirSync(state(root, "locks"))).toEqual([`${id}.json`]);
    expect(existsSync(state(root, "journal.json"))).toBe(true);
    expect(linesOf(root, "base.json")[0]).toBe(headerOf(root, 1, 1));
  });

  const refusals: readonly {
    readonly name: string;
    readonly work?: Work;
    readonly prepare?: (root: string) => void;
    readonly said: string;
  }[] = [
    { name: "another base", work: { input: { baseGeneration: 2 } }, said: "stale" },
    { name: "a base of another session", work: { input: { baseStart: "{other" } }, said: "stale" },
    { name: "a base that is gone", prepare: (root) => writeFileSync(state(root, "base.json"), ""), said: "stale" },
    { name: "a path that is not free", work: { checks: "A old\n" }, said: "stale" },
    { name: "an archive that is damaged", work: { input: { archiveSha256: hash } }, said: "damaged" },
    { name: "files other than the plan saw", work: { input: { preSha256: "1".repeat(64) } }, said: "stale" },
    {
      name: "staged files other than were sent",
      work: { input: { preSha256: "1".repeat(64), stagedSha256: "1".repeat(64) } },
      said: "damaged",
    },
    {
      name: "another's ticket",
      prepare: (root) => {
        mkdirSync(state(root, "locks"));
        writeFileSync(state(root, "locks/other.json"), "x\n".repeat(100));
      },
      said: `locked\n0 all locked ${Buffer.from("x\n".repeat(100)).toString("base64")}\nend`,
    },
  ];
  it.each(refusals)("changes nothing for $name", async ({ work, prepare, said }) => {
    const root = rootWithBase();
    prepare?.(root);
    const answer = await commit(shell, root, work);
    expect(answer.said.join("\n").slice(0, said.length)).toBe(said);
    expect(readdirSync(root).toSorted()).toEqual([".agb-sync", "old"]);
    const tickets = existsSync(state(root, "locks")) ? readdirSync(state(root, "locks")) : [];
    expect(tickets.filter((name) => name !== "other.json")).toEqual([]);
    expect(existsSync(state(root, "journal.json"))).toBe(false);
  });

  it("sets aside what stands in the place of its own files, and says so", async () => {
    const root = rootWithBase();
    mkdirSync(state(root, "journal.json"));
    symlinkSync("/etc/passwd", state(root, "counter"));
    symlinkSync("..", state(root, "locks"));
    writeFileSync(state(root, "backup"), "mine");
    const { said } = await commit(shell, root);
    expect(said).toEqual(["done", "aside locks", "aside journal.json", "aside counter", "aside backup", "end"]);
  });

  it("makes a backup of what a commit that is gone had set aside, also out of closed directories", async () => {
    const root = rootWithBase();
    const left = state(root, "stage/gone");
    mkdirSync(join(left, "h/3/d"), { recursive: true });
    writeFileSync(join(left, "h/3/d/f"), "precious");
    writeFileSync(join(left, "pid"), "999999999\n");
    runIn(shell, "chmod 0555 h/3/d", left);
    expect((await commit(shell, root)).said).toEqual(["done", "end"]);
    expect(readFileSync(state(root, "backup/20260102T030405Z-000001/d/f"), "utf8")).toBe("precious");
    expect(existsSync(left)).toBe(false);
  });
});
