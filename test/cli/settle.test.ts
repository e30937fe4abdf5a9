import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commandAgain, restoreCommand } from "../../src/cli/again.ts";
import { shellWord } from "../../src/cli/shell-word.ts";
import { cliPath, run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { converse, hasTerminal, keys } from "./terminal.ts";

const odd = "it's $(odd)\n-x";

/** Five files that the session has changed; one of them is no longer declared. */
async function project() {
  const cwd = temporaryDirectory();
  const names = ["a", "d/one", "d/two", "gone", odd];
  layOut(cwd, { "agb-sync.yaml": "version: 1\nroot: /w\ntrees: [{ source: src, path: . }]\n" });
  layOut(join(cwd, "src"), Object.fromEntries(names.map((name) => [name, `declared ${name}`])));
  await run(["apply", "--local"], { cwd });
  const place = (name: string) => join(cwd, ".agb-sync/local/w", name);
  for (const name of names) writeFileSync(place(name), "of the session");
  const { gone: _gone, ...left } = Object.fromEntries(names.map((name) => [name, `declared ${name}`]));
  layOut(join(cwd, "src"), left);
  /** `O`: overwritten or deleted, `S`: the session's bytes. */
  const look = () =>
    names
      .map((name) => (existsSync(place(name)) && readFileSync(place(name), "utf8") === "of the session" ? "S" : "O"))
      .join("");
  return { cwd, look };
}

describe("conflicts settled by path", () => {
  it.each([
    ["a file", ["--overwrite", "a"], 3, "OSSSS"],
    ["a directory is all below it", ["--overwrite", "d"], 3, "SOOSS"],
    ["with a trailing slash and a dot", ["--overwrite", "./d/"], 3, "SOOSS"],
    ["the innermost decision wins", ["--overwrite", "d", "--keep", "d/two"], 3, "SOSSS"],
    ["what is no longer declared is deleted", ["--overwrite", "gone"], 3, "SSSOS"],
    ["an odd name", [`--overwrite=${odd}`], 3, "SSSSO"],
    ["the root is everything", ["--overwrite", "."], 0, "OOOOO"],
    ["everything kept but one", ["--keep", ".", "--overwrite", "a"], 0, "OSSSS"],
    ["a path beats the general rule", ["--on-conflict", "overwrite", "--keep", "a", "d/one"], 0, "SSOOO"],
  ])("%s", async (_what, options, code, after) => {
    const { cwd, look } = await project();
    const planned = await run(["plan", "--local", ...options], { cwd });
    const applied = await run(["apply", "--local", ...options], { cwd });
    expect([applied.code, look()]).toEqual([code, after]);
    const plans = applied.stdout.slice(0, planned.stdout.indexOf("\n\n"));
    expect(planned.stdout.startsWith(plans)).toBe(true);
  });

  it("takes back what was kept", async () => {
    const { cwd, look } = await project();
    await run(["apply", "--local", "--keep", "."], { cwd });
    expect(look()).toBe("SSSSS");
    const { code } = await run(["apply", "--local", "--overwrite", "a"], { cwd });
    expect([code, look()]).toEqual([0, "OSSSS"]);
  });

  it.each([
    [
      "a path of which nobody has heard",
      ["--overwrite", "nope"],
      /nothing to settle at nope.*\n.*in conflict: a, d\/one/,
    ],
    ["a pattern", ["--keep", "*.txt"], /nothing to settle at \*\.txt/],
    ["a path outside", ["--overwrite", "../a"], /--overwrite "\.\.\/a": the path contains "\.\."/],
    ["agb-sync's own", ["--keep", ".agb-sync/base.json"], /keeps for itself/],
    ["both ways", ["--keep", "a", "--overwrite", "./a"], /cannot be both overwritten and kept/],
  ])("refuses %s, and changes nothing", async (_what, options, said) => {
    const { cwd, look } = await project();
    const { code, stderr } = await run(["apply", "--local", ...options], { cwd });
    expect([code, stderr, look()]).toEqual([64, expect.stringMatching(said), "SSSSS"]);
  });

  it.each([
    ["overwrite", "OOOOO"],
    ["keep", "SSSSS"],
  ])("tells each once, with a command that settles it: %s", async (way, after) => {
    const { cwd, look } = await project();
    const { stdout, code } = await run(["apply", "--local"], { cwd });
    expect([code, stdout.match(/changed in the session/g)]).toEqual([3, Array(5).fill("changed in the session")]);
    const [, command = ""] = new RegExp(`^ {2}${way}: +agb-sync (.*)$`, "m").exec(stdout) ?? [];
    const settled = execFileSync("bash", ["-c", `exec node '${cliPath}' ${command}`], { cwd, encoding: "utf8" });
    expect([settled, look()]).toEqual([expect.not.stringMatching(/^ *! /m), after]);
  });
});

const offers = "\\[d\\]iff, \\[o\\]verwrite after a backup, \\[k\\]eep the session's, \\[s\\]kip";
const { enter } = keys;
const apply = ["Apply this\\? \\[y/N\\] ", `y${enter}`] as const;
const ask = (name: string, place: number, answer: string) =>
  [`${name} \\(${place} of 5\\): ${offers}.*\\? \\[s\\] `, answer + enter] as const;

describe.skipIf(!hasTerminal)("conflicts on a terminal", () => {
  it.each([
    [
      "one by one",
      [ask("a", 1, "o"), ask("d/one", 2, "k"), ask("d/two", 3, "s"), ask("gone", 4, "o"), ask("it's.*", 5, ""), apply],
      3,
      "OSSOS",
    ],
    ["all of these at once", [ask("a", 1, "k"), ask("d/one", 2, "all"), ["all 4: ", `o${enter}`], apply], 0, "SOOOO"],
    ["all of these skipped", [ask("a", 1, "a"), ["all 5: ", enter]], 3, "SSSSS"],
    ["nothing", [ask("a", 1, "o"), [`d/one \\(2 of 5\\): .*\\[s\\] `, keys.ctrlD]], 1, "SSSSS"],
  ] as const)("are settled: %s", async (_what, talk, code, after) => {
    const { cwd, look } = await project();
    const ended = await converse(["apply", "--local"], cwd, talk);
    expect([ended.unasked, ended.code, look()]).toEqual([[], code, after]);
  });

  it("show their difference and ask again, and are not told twice", async () => {
    const { cwd, look } = await project();
    const talk = [ask("a", 1, "d"), ask("a", 1, "o"), ask("d/one", 2, "a"), ["all 4: ", enter], apply] as const;
    const { said, unasked } = await converse(["apply", "--local"], cwd, talk);
    expect([unasked, look()]).toEqual([[], "OSSSS"]);
    expect(said).toContain("\n-of the session\n");
    expect(said.match(/! conflict d\/one: changed in the session/g)).toHaveLength(1);
    expect(said).toMatch(
      /Done but for 4 conflicts: .*\n {2}bring them back: .*\n {2}overwrite: agb-sync apply --local --overwrite d\/one /,
    );
  });
});

describe("a command that is shown to be copied", () => {
  it.each([
    "plain",
    "with space",
    "it's",
    "-dash",
    "$(rm x)",
    "new\nline",
    "\u001b[31mé\u202e",
    "a\\b\u0007'",
    "*?",
    "",
    "1\u00012",
  ])("holds %j as one word", (text) => {
    const word = shellWord(text);
    expect(execFileSync("bash", ["-c", `printf %s ${word}`], { encoding: "utf8" })).toBe(
      text.startsWith("-") ? text : text,
    );
    expect(word).not.toMatch(/[\u0000-\u001f\u202e]/);
  });

  it("leads to the same workspace", () => {
    const given = { directory: "my project", manifest: "deploy.yaml", local: "some where" } as const;
    expect(commandAgain("apply", given, ["--keep a"])).toBe(
      "agb-sync -C 'my project' apply deploy.yaml --local 'some where' --keep a",
    );
    expect(restoreCommand("b-1", { manifest: "m.yaml", session: "s-1" })).toBe(
      "agb-sync backups restore b-1 --session s-1 --manifest m.yaml",
    );
  });
});
