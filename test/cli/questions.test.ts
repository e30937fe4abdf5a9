import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { converse, hasTerminal, keys } from "./terminal.ts";

const apply = "Apply this\\? \\[y/N\\] ";
const offers = "\\[d\\]iff, \\[o\\]verwrite after a backup, \\[k\\]eep the session's, \\[s\\]kip";
const conflict = `a\\.txt: ${offers}\\? \\[s\\] `;
const { enter, ctrlC, ctrlD } = keys;

/** An applied workspace of which `b.txt` is no longer declared and, if wanted, `a.txt` was edited in the session. */
async function project(
  isEdited: boolean,
): Promise<{ readonly cwd: string; readonly read: () => Record<string, string> }> {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": "version: 1\nroot: /w\ntrees: [{ source: src, path: . }]\n", "src/a.txt": "a" });
  if (!isEdited) writeFileSync(join(cwd, "src/b.txt"), "b");
  await run(["apply", "--local"], { cwd });
  const root = join(cwd, ".agb-sync/local/w");
  if (isEdited) writeFileSync(join(root, "a.txt"), "edited in the session");
  else layOut(join(cwd, "src"), { "a.txt": "a" });
  const read = () => Object.fromEntries(namesIn(root).map((name) => [name, readFileSync(join(root, name), "utf8")]));
  return { cwd, read };
}

const namesIn = (root: string) => readdirSync(root).filter((name) => name !== ".agb-sync");

describe.skipIf(!hasTerminal)("apply on a terminal", () => {
  it.each([
    ["y", [[apply, `y${enter}`]], 0, /Applied: 1 deleted/, false],
    ["yes", [[apply, `YES${enter}`]], 0, /Applied: 1 deleted/, false],
    ["n", [[apply, `n${enter}`]], 1, /\nnothing was changed\n$/, true],
    ["Enter", [[apply, enter]], 1, /\nnothing was changed\n$/, true],
    ["Ctrl-D", [[apply, ctrlD]], 1, /\nnothing was changed\n$/, true],
    ["Ctrl-C", [[apply, ctrlC]], 130, /\ninterrupted; nothing was changed\n$/, true],
    [
      "a word that is no answer, then y",
      [
        [apply, `what${enter}`],
        [apply, `y${enter}`],
      ],
      0,
      /Applied: 1 deleted/,
      false,
    ],
  ] as const)("takes %s", async (_what, talk, code, end, isThere) => {
    const { cwd, read } = await project(false);
    const ended = await converse(["apply", "--local"], cwd, talk);
    expect(ended).toMatchObject({ code, unasked: [], said: expect.stringMatching(end) });
    expect(ended.said).not.toContain("fault");
    expect(read()).toEqual(isThere ? { "a.txt": "a", "b.txt": "b" } : { "a.txt": "a" });
  });

  it.each([
    ["skip", [[conflict, enter]], 3, /Done but for 1 conflict/, "edited in the session"],
    [
      "overwrite and y",
      [
        [conflict, `o${enter}`],
        [apply, `y${enter}`],
      ],
      0,
      /Applied: 1 written/,
      "a",
    ],
    [
      "overwrite and n",
      [
        [conflict, `o${enter}`],
        [apply, `n${enter}`],
      ],
      1,
      /nothing was changed/,
      "edited in the session",
    ],
    ["keep", [[conflict, `k${enter}`]], 0, /Nothing to do/, "edited in the session"],
    [
      "a word that is no answer, then skip",
      [
        [conflict, `x${enter}`],
        [conflict, `s${enter}`],
      ],
      3,
      /Done but/,
      "edited in the session",
    ],
    ["Ctrl-D", [[conflict, ctrlD]], 1, /\nnothing was changed\n$/, "edited in the session"],
    ["Ctrl-C", [[conflict, ctrlC]], 130, /\ninterrupted; nothing was changed\n$/, "edited in the session"],
  ] as const)("asks about a conflict and takes %s", async (_what, talk, code, end, text) => {
    const { cwd, read } = await project(true);
    const ended = await converse(["apply", "--local"], cwd, talk);
    expect(ended).toMatchObject({ code, unasked: [], said: expect.stringMatching(end) });
    expect(read()).toEqual({ "a.txt": text });
  });

  it("shows the plan that the answer makes before it is applied", async () => {
    const { cwd } = await project(true);
    const { said } = await converse(["apply", "--local"], cwd, [
      [conflict, `overwrite${enter}`],
      [apply, `y${enter}`],
    ]);
    expect(said).toMatch(
      /~ a\.txt \(1 B, after a backup\)\n\nPlan: 1 to write\.\n1 to replace \(1 after a backup\)\. Apply this\?/,
    );
  });
});
