import { mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/connect.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { look } from "../../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";
import { runProgram } from "./run-program.ts";

const { signal } = new AbortController();
const id = "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f";

function prepare() {
  const directory = temporaryDirectory();
  const local = join(directory, "session");
  const root = join(local, "tmp/workspace");
  layOut(join(directory, "source"), { "a/file": "1", other: "2" });
  const applyHere = async () => {
    const session = await connect({ local, env: {}, cwd: "/", signal });
    return await apply(mirrorOf(directory), session, { strategy: "batch", signal });
  };
  return { directory, local, root, applyHere };
}

/** Makes something look as if nobody had touched it for two minutes. */
function age(path: string): void {
  const seconds = Date.now() / 1000 - 120;
  utimesSync(path, seconds, seconds);
}

describe("what a killed apply left is gone after the next one", () => {
  it("of a root that was being built", async () => {
    const { directory, local, root, applyHere } = prepare();
    expect(runProgram("apply-program.ts", [directory, local, "bytes"]).signal).toBe("SIGKILL");
    expect(readdirSync(dirname(root))).toEqual([expect.stringMatching(/^\.workspace\.agb-sync-/)]);
    await applyHere();
    expect(readdirSync(dirname(root))).toEqual(["workspace"]);
    expect(look(root)).toEqual(look(join(directory, "source")));
  });

  it("of a root that was being built when another went live", async () => {
    const { directory, local, root, applyHere } = prepare();
    expect(runProgram("apply-program.ts", [directory, local, "bytes"]).signal).toBe("SIGKILL");
    mkdirSync(root);
    await applyHere();
    expect(readdirSync(dirname(root))).toEqual(["workspace"]);
  });

  it.each([
    { name: "while it stages", dieAt: "bytes" },
    { name: "while it moves into place", dieAt: "a/file0" },
  ])("of its stage, killed $name", async ({ dieAt }) => {
    const { directory, local, root, applyHere } = prepare();
    await applyHere();
    const names = Array.from({ length: 2000 }, (_, index) => [`a/file${index}`, `${index}`]);
    layOut(join(directory, "source"), Object.fromEntries(names));
    expect(runProgram("apply-program.ts", [directory, local, dieAt]).signal).toBe("SIGKILL");
    expect(readdirSync(join(root, ".agb-sync/stage"))).toHaveLength(2);
    await applyHere();
    expect(look(join(root, ".agb-sync/stage"))).toEqual({ content: expect.stringMatching(/directory$/) });
    expect(readdirSync(join(root, ".agb-sync/locks"))).toEqual([]);
    expect(look(root)).toEqual(look(join(directory, "source")));
  });

  it("but not what it had replaced: that becomes a backup, under its own path (S42)", async () => {
    const { directory, local, root, applyHere } = prepare();
    layOut(join(directory, "source"), { "a/file0": "before", "b/c/file1": "before, too" });
    await applyHere();
    layOut(join(directory, "source"), { "a/file0": "after", "b/c/file1": "after, too" });
    expect(runProgram("apply-program.ts", [directory, local, "step"]).signal).toBe("SIGKILL");
    layOut(join(directory, "source"), { "a/file0": "later", "b/c/file1": "later, too" });
    await applyHere();
    const backups = readdirSync(join(root, ".agb-sync/backup"));
    expect(backups).toEqual([expect.stringMatching(/-000001$/)]);
    const kept = join(root, ".agb-sync/backup", backups[0] ?? "");
    expect(readFileSync(join(kept, "a/file0"), "utf8")).toBe("before");
    expect(readFileSync(join(kept, "b/c/file1"), "utf8")).toBe("before, too");
    expect(readdirSync(join(root, ".agb-sync/stage"))).toEqual(["content"]);
  });

  it("but not what had been set aside from the workspace: that becomes a backup", async () => {
    const { directory, root, applyHere } = prepare();
    await applyHere();
    const stage = join(root, ".agb-sync/stage", id);
    mkdirSync(stage, { recursive: true });
    writeFileSync(join(stage, "held-3"), "the only copy");
    layOut(join(directory, "source"), { other: "2 new" });
    await applyHere();
    const [backup = ""] = readdirSync(join(root, ".agb-sync/backup"));
    expect(readFileSync(join(root, ".agb-sync/backup", backup, "held-3"), "utf8")).toBe("the only copy");
  });

  it("of the state it was writing, and of a stage and a root that it had only just begun", async () => {
    const { directory, root, applyHere } = prepare();
    await applyHere();
    const left = [
      join(root, `.agb-sync/.${id}.agb-sync-new`),
      join(root, `.agb-sync/locks/.${id}.agb-sync-new`),
      join(root, ".agb-sync/base.7.new"),
      join(root, `.agb-sync/stage/${id}`),
      join(dirname(root), `.workspace.agb-sync-${id}`),
    ];
    const make = () => {
      for (const path of left) {
        if (path.endsWith("new")) writeFileSync(path, "half");
        else mkdirSync(path, { recursive: true });
      }
    };
    make();
    layOut(join(directory, "source"), { other: "2 new" });
    await applyHere();
    const beside = () => readdirSync(dirname(root));
    const state = () => Object.keys(look(join(root, ".agb-sync")));
    // Fresh ones may belong to somebody who is at work; a stage cannot, with the lock held.
    expect([...beside(), ...state()]).toEqual(
      expect.arrayContaining([`.workspace.agb-sync-${id}`, `.${id}.agb-sync-new`, "base.7.new"]),
    );
    expect(state()).not.toContain(`stage/${id}`);
    make();
    for (const path of left) age(path);
    layOut(join(directory, "source"), { other: "3 new" });
    await applyHere();
    expect(beside()).toEqual(["workspace"]);
    expect(state()).toEqual([".gitignore", "base.json", "index", "locks", "stage", "stage/content"]);
  });
});

describe("what is no leftover stays", () => {
  it.each([
    { name: "a root that a living process builds", at: `.workspace.agb-sync-${id}`, hasTicket: true },
    { name: "another root's", at: `.other.agb-sync-${id}`, hasTicket: false },
    { name: "a directory that is called alike", at: ".workspace.agb-sync-notes", hasTicket: false },
    { name: "a longer name", at: `.workspace.agb-sync-${id}.old`, hasTicket: false },
  ])("$name", async ({ at, hasTicket }) => {
    const { root, applyHere } = prepare();
    const place = join(dirname(root), at);
    mkdirSync(join(place, ".agb-sync/locks"), { recursive: true });
    writeFileSync(join(place, "file"), "1");
    const times = { startedAt: Date.now() - 600_000, expiresAt: Date.now() + 60_000 };
    const ticket = { owner: "somebody", host: hostname(), process: process.ppid, ...times };
    if (hasTicket) writeFileSync(join(place, ".agb-sync/locks/one.json"), JSON.stringify(ticket));
    age(join(place, ".agb-sync/locks"));
    age(place);
    await applyHere();
    expect(readdirSync(dirname(root)).toSorted()).toEqual([at, "workspace"].toSorted());
    expect(readdirSync(place)).toContain("file");
  });
});
