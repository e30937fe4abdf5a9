import { createHash, randomBytes, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  clearCommand,
  commitCommand,
  enterStage,
  stageOf,
  startCommand,
  stopCommand,
} from "../../../src/engine/shell/commit-script.ts";
import { INLINE_BYTES } from "../../../src/engine/shell/deliver.ts";
import { dialectOf } from "../../../src/engine/shell/dialect.ts";
import { MESSAGE_BUDGET_BYTES, serialisedBytes } from "../../../src/transport/agb/text-chunks.ts";
import { runMarked } from "../../../src/transport/run-marked.ts";
import { runIn, testShells } from "../../helpers/shells.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const names = ["plain", "a 'root'", "-n", "$(touch x)", "a\nb", "*", "é"];

function placeIn(top: string, name: string, isFresh: boolean) {
  const root = join(top, name);
  if (!isFresh) mkdirSync(root, { recursive: true });
  return { root, applyId: randomUUID(), isFresh };
}

describe.each(testShells)("a commit's commands by $name", (shell) => {
  it.each([false, true])("make the stage and find it again, whatever the root's name (S27; fresh: %s)", (isFresh) => {
    const top = temporaryDirectory();
    for (const name of names) {
      const place = placeIn(top, name, isFresh);
      for (const round of [1, 2]) {
        expect([name, round, runIn(shell, enterStage(place), "/")]).toEqual([name, round, ok("")]);
        expect(existsSync(stageOf(place))).toBe(true);
      }
    }
    expect(existsSync(join(top, "x"))).toBe(false);
  });

  const ways = [
    { name: "the root is a link", link: (root: string) => root },
    { name: "the state directory is a link", link: (root: string) => join(root, ".agb-sync") },
  ];
  it.each(ways)("do nothing where $name (S25)", ({ link }) => {
    const top = temporaryDirectory();
    mkdirSync(join(top, "elsewhere"));
    const place = { root: join(top, "root"), applyId: randomUUID(), isFresh: false };
    mkdirSync(dirname(link(place.root)), { recursive: true });
    symlinkSync(join(top, "elsewhere"), link(place.root));
    const { status, stderr } = runIn(shell, enterStage(place), "/");
    expect([status, stderr]).toEqual([1, "agb-sync: leads outside\n"]);
    expect(runIn(shell, "ls -A elsewhere", top)).toEqual(ok(""));
  });

  it("set aside what stands where the stage should be", () => {
    const place = placeIn(temporaryDirectory(), "root", false);
    const state = join(place.root, ".agb-sync");
    mkdirSync(state);
    symlinkSync("/tmp", join(state, "stage"));
    expect(runIn(shell, enterStage(place), "/")).toEqual(ok(""));
    expect(existsSync(stageOf(place))).toBe(true);
  });

  it("answer from the report of work that was done, and do not begin it again", () => {
    const place = placeIn(temporaryDirectory(), "a 'root'", false);
    const work = "set -C\necho $$ >pid || exit 0\nset +C\necho x >>count\nprintf 'done\\nend\\n' >report\n";
    for (const _ of [1, 2]) {
      expect(runIn(shell, startCommand(place, work, 20), "/")).toEqual(ok("done\nend\n"));
      expect(readFileSync(join(stageOf(place), "count"), "utf8")).toBe("x\n");
    }
    expect(runIn(shell, stopCommand(place), "/")).toEqual(ok("done\nend\n"));
  });

  it("tell that the work died, and what it said last", () => {
    const place = placeIn(temporaryDirectory(), "root", false);
    const { stdout } = runIn(shell, startCommand(place, "echo $$ >pid\necho 'no\nluck' >log", 20), "/");
    expect(stdout).toMatch(/^died\nno luck.*\nend\n$/);
    expect(runIn(shell, stopCommand(place), "/").stdout).toMatch(/^died\n.*\nend\n$/);
  });

  it("answer for work that takes too long, inside the command that marks its end (S39)", async () => {
    const place = placeIn(temporaryDirectory(), "root", false);
    const command = startCommand(place, "echo $$ >pid\nexec sleep 60", 1);
    const run = async (request: { command: string }) => {
      const { stdout, stderr, status } = runIn(shell, request.command, "/");
      return { stdout, stderr, exitCode: status ?? 1 };
    };
    const request = { command, timeoutMs: 1000, repeatable: true };
    expect(await runMarked(run, request, "commit", new AbortController().signal)).toBe("running\nend");
    process.kill(Number(readFileSync(join(stageOf(place), "pid"), "utf8")));
  });

  it("stop work that was not begun for good (S33)", () => {
    const place = placeIn(temporaryDirectory(), "root", false);
    expect(runIn(shell, stopCommand(place), "/")).toEqual(ok("stopped\nend\n"));
    runIn(shell, enterStage(place), "/");
    expect(runIn(shell, stopCommand(place), "/")).toEqual(ok("stopped\nend\n"));
    expect(existsSync(stageOf(place))).toBe(false);
  });

  it("clear a stage of what was sent, and leave what was set aside", () => {
    const place = placeIn(temporaryDirectory(), "a\nroot", false);
    runIn(shell, enterStage(place), "/");
    const stage = stageOf(place);
    const upload = join(temporaryDirectory(), "-n", "archive");
    mkdirSync(dirname(upload));
    for (const name of ["pid", "part-0", "archive", "n-1"]) writeFileSync(join(stage, name), "1");
    mkdirSync(join(stage, "o/1"), { recursive: true });
    expect(runIn(shell, clearCommand(place, upload), "/")).toEqual(ok(""));
    expect(runIn(shell, "ls", stage).stdout).toBe("o\npid\n");
    expect(existsSync(dirname(upload))).toBe(false);
    rmSync(join(stage, "pid"));
    expect(runIn(shell, clearCommand(place, undefined), "/")).toEqual(ok(""));
    expect([existsSync(stage), existsSync(dirname(stage))]).toEqual([false, true]);
  });
});

it("the longest command of a commit fits into one message (S28)", () => {
  const programs = "base64 sha256sum find sort xargs tar mv-T head tail wc cut tr stat awk sed readlink portable-list";
  const dialect = dialectOf({ shell: true, transfer: false, commands: new Set(programs.split(" ")) });
  if ("lacks" in dialect) throw new Error("no dialect");
  const root = `/${randomBytes(250).toString("hex")}`;
  const hash = createHash("sha256").digest("hex");
  const start = JSON.stringify({ version: 1, sessionId: "s-".padEnd(60, "x"), root });
  const command = commitCommand({
    root,
    applyId: randomUUID(),
    isFresh: false,
    dialect,
    isCompressed: true,
    delivery: { kind: "inline", base64: randomBytes(INLINE_BYTES).toString("base64") },
    archiveSha256: hash,
    stagedSha256: hash,
    preSha256: hash,
    checkedSha256: hash,
    removedSha256: hash,
    adoptedSha256: hash,
    baseGeneration: 1_000_000,
    baseStart: start,
    unusableBaseSha256: hash,
    baseHeader: `${start}"generation":1000001,"desired":"sha256:${hash}","count":1000000}`,
    baseCount: 1_000_000,
    ticketStart: JSON.stringify({ owner: basename(root), host: "", process: 1, startedAt: 1 }),
    backupTime: "20260102T030405Z",
  });
  expect(serialisedBytes(command)).toBeLessThanOrEqual(MESSAGE_BUDGET_BYTES - 500);
});

function ok(stdout: string) {
  return { status: 0, stdout, stderr: "" };
}
