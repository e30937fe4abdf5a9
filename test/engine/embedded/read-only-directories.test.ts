import { chmodSync, chownSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/connect.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { look } from "../../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";
import { giveToNobody, nobody, runProgram } from "./run-program.ts";

const { signal } = new AbortController();

async function prepare() {
  const directory = temporaryDirectory();
  const local = join(directory, "session");
  layOut(join(directory, "source"), { "closed/a": "old", "closed/moves": "the same bytes" });
  const session = await connect({ local, env: {}, cwd: "/", signal });
  await apply(mirrorOf(directory), session, { strategy: "batch", signal });
  const root = join(local, "tmp/workspace");
  return { directory, local, root };
}

describe("read-only directories of somebody who is not root", () => {
  it("give up what is replaced, to a backup with an inode of its own (S19)", async () => {
    const { directory, local, root } = await prepare();
    writeFileSync(join(root, "closed/a"), "theirs");
    layOut(join(directory, "source"), { "closed/a": "new", "closed/moves": "the same bytes" });
    chmodSync(join(root, "closed"), 0o555);
    giveToNobody(directory);
    const { stdout, stderr } = runProgram("apply-program.ts", [directory, local], nobody);
    expect([stdout, stderr]).toEqual(['["applied"]', ""]);
    expect(readFileSync(join(root, "closed/a"), "utf8")).toBe("new");
    const backup = look(join(root, ".agb-sync/backup"), { modes: false });
    const [kept = ""] = Object.keys(backup).filter((path) => path.endsWith("/closed/a"));
    expect(readFileSync(join(root, ".agb-sync/backup", kept), "utf8")).toBe("theirs");
    for (const path of ["closed/a", join(".agb-sync/backup", kept)]) {
      expect(lstatSync(join(root, path)).nlink).toBe(1);
    }
    expect(lstatSync(join(root, "closed")).mode & 0o777).toBe(0o555);
  });

  it("give up what is moved", async () => {
    const { directory, local, root } = await prepare();
    layOut(join(directory, "source"), { "closed/a": "old", "open/moved": "the same bytes" });
    chmodSync(join(root, "closed"), 0o555);
    giveToNobody(directory);
    const { stdout, stderr } = runProgram("apply-program.ts", [directory, local], nobody);
    expect([stdout, stderr]).toEqual(['["applied","applied"]', ""]);
    expect(readFileSync(join(root, "open/moved"), "utf8")).toBe("the same bytes");
    expect(lstatSync(join(root, "open/moved")).nlink).toBe(1);
    expect(Object.keys(look(root))).toEqual(["closed", "closed/a", "open", "open/moved"]);
  });

  it("take back what is restored, and lose nothing where that fails (S19)", async () => {
    const { directory, local, root } = await prepare();
    const backup = join(root, ".agb-sync/backup/20260102T030405Z-0a1b2c");
    layOut(backup, { "closed/a": { bytes: "theirs", mode: 0o440 }, "made/new": "1", "sealed/b": "never", d: "a file" });
    chmodSync(join(backup, "made"), 0o555);
    layOut(join(root, "sealed"), { b: "not nobody's" });
    layOut(join(root, "d"), { "in/it": "1" });
    chmodSync(join(root, "d"), 0o555);
    chmodSync(join(root, "closed"), 0o555);
    giveToNobody(directory);
    if (nobody.uid !== undefined) chownSync(join(root, "sealed"), 0, 0);
    chmodSync(join(root, "sealed"), 0o555);
    const { stdout, stderr } = runProgram("restore-program.ts", [local], nobody);
    const result = JSON.parse(stdout || JSON.stringify({ stderr }));
    const told = {
      restored: ["closed/a", "d", "made/new"],
      failed: [["sealed/b", expect.stringContaining("permission denied")]],
    };
    const isNobody = nobody.uid !== undefined;
    expect(result).toEqual(isNobody ? told : result);
    expect(isNobody ? readFileSync(join(root, "sealed/b"), "utf8") : "not nobody's").toBe("not nobody's");
    expect(look(root)).toMatchObject({
      closed: "555 directory",
      made: "555 directory",
      d: expect.stringMatching(/^644/),
    });
    expect(look(root)["closed/a"]).toMatch(/^440 /);
    const [, aside = ""] = readdirSync(join(root, ".agb-sync/backup"));
    expect(look(join(root, ".agb-sync/backup", aside))).toMatchObject({
      d: "555 directory",
      "d/in/it": expect.anything(),
    });
    expect(readdirSync(join(root, ".agb-sync/stage"))).toEqual([]);
  });
});
