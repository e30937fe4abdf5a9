import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { jsonLines } from "./json-lines.ts";

const cwdWithManifest = () => {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": 'version: 1\nroot: /w\nfiles: [{ path: a.txt, content: "a" }]\n' });
  return cwd;
};

/** The names under `Commands:` of a help text. */
function commandsIn(help: string): readonly string[] {
  const list = /Commands:\n([\s\S]*?)\n\n/.exec(help)?.[1] ?? "";
  return [...list.matchAll(/^ {2}([a-z][a-z-]+)/gm)].flatMap(([, name = ""]) => (name === "help" ? [] : [name]));
}

describe("help", () => {
  it("prints the version, and examples for every command", async () => {
    const cwd = temporaryDirectory();
    expect((await run(["--version"], { cwd })).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const { stdout } = await run(["--help"], { cwd });
    const commands = commandsIn(stdout);
    expect(commands).toEqual(
      expect.arrayContaining(["init", "plan", "apply", "watch", "status", "session", "emulator"]),
    );
    const ways = [...commands.map((name) => [name]), ...["list", "restore"].map((name) => ["backups", name])];
    for (const way of ways) {
      const { code, stdout: help } = await run([...way, "--help"], { cwd });
      expect([code, help], way.join(" ")).toEqual([0, expect.stringMatching(/\nExamples:\n {2}agb-sync /)]);
    }
  });

  it("fits sixty columns without a broken word, and names the environment", async () => {
    const cwd = temporaryDirectory();
    const wide = await run(["--help"], { cwd });
    const names = [...commandsIn(wide.stdout).map((name) => [name]), ["backups", "restore"], ["session", "create"], []];
    const narrow = await Promise.all(names.map((name) => run([...name, "--help"], { cwd, env: { COLUMNS: "60" } })));
    const words = (text: string) => text.split(/\s+/).toSorted();
    expect(narrow.flatMap(({ stdout }) => stdout.split("\n").filter((line) => line.length > 60))).toEqual([]);
    expect(words(narrow.at(-1)?.stdout ?? "")).toEqual(words(wide.stdout));
    expect(wide.stdout).toMatch(/AGB_API_KEY .*\n {2}AGB_ENDPOINT .*\n {2}AGB_TIMEOUT_MS /);
  });

  it("has a plan for apply --dry-run, which changes nothing (S16)", async () => {
    const cwd = cwdWithManifest();
    const dry = await run(["apply", "--local", "--dry-run"], { cwd });
    expect(dry).toEqual(await run(["plan", "--local"], { cwd }));
    expect([dry.code, dry.stdout]).toEqual([0, expect.stringMatching(/Plan: /)]);
  });

  it("lists the exit codes", async () => {
    const { stdout } = await run(["--help"], { cwd: temporaryDirectory() });
    const codes = [...stdout.matchAll(/^ {2}(\d+) +\w/gm)].map(([, code]) => Number(code));
    expect(codes).toEqual([0, 1, 2, 3, 4, 5, 64, 65, 69, 75, 124, 129, 130, 143]);
  });

  it.each([
    ["status", ["--checksum", "--strategy"], ["--on-conflict", "--no-detect-moves"]],
    ["verify", ["--strategy"], ["--on-conflict", "--no-detect-moves", "--checksum"]],
    ["backups list", ["--manifest"], []],
    ["backups restore", ["--manifest"], []],
  ])("offers %s what it heeds", async (command, offered, others) => {
    const { stdout } = await run([...command.split(" "), "--help"], { cwd: temporaryDirectory() });
    for (const option of offered) expect(stdout).toContain(option);
    for (const option of others) expect(stdout).not.toContain(option);
  });

  it("takes the manifest of backups by option as well", async () => {
    const cwd = cwdWithManifest();
    const { code, stderr } = await run(["backups", "list", "--manifest", "nope.yaml", "--local"], { cwd });
    expect([code, stderr]).toEqual([65, expect.stringContaining("there is no nope.yaml")]);
    expect((await run(["backups", "list", "--manifest", "agb-sync.yaml", "--local"], { cwd })).code).toBe(0);
  });
});

describe("a mistake on the command line", () => {
  const all = "\n(agb-sync --help shows all commands)\n";
  it.each([
    ["foo", `unknown command 'foo'${all}`],
    ["foo --help", `unknown command 'foo'${all}`],
    ["help foo", `unknown command 'foo'${all}`],
    ["-C . --color never aply --help", `unknown command 'aply'\n(Did you mean apply?)${all}`],
    [
      "completion --help",
      expect.stringMatching(
        /^error: unknown command 'completion'\nhint: completion is not there yet.*\n\(agb-sync --help/,
      ),
    ],
    ["exec", expect.stringMatching(/hint: agb-sync run -- CMD/)],
    ["help completion", expect.stringMatching(/hint: completion is not there yet/)],
    ["completion --help", expect.stringMatching(/hint: completion is not there yet/)],
    ["deploy", expect.stringMatching(/hint: agb-sync apply /)],
    ["watch --dry-run", expect.stringMatching(/unknown option '--dry-run'\nhint: agb-sync plan /)],
    ["apply --force", expect.stringMatching(/unknown option '--force'\nhint: .*--overwrite PATH.*unlock/)],
    ["apply --timeout=5", expect.stringMatching(/hint: set AGB_TIMEOUT_MS/)],
    [
      "session lst --help",
      "unknown command 'lst'\n(Did you mean list?)\n(agb-sync session --help shows how it is used)\n",
    ],
    ["help backups foo", "unknown command 'foo'\n(agb-sync backups --help shows how it is used)\n"],
    ["plan --nope", "unknown option '--nope'\n(agb-sync plan --help shows how it is used)\n"],
    [
      "apply a b",
      "too many arguments for 'apply'. Expected 1 argument but got 2.\n(agb-sync apply --help shows how it is used)\n",
    ],
    ["session delete", "missing required argument 'id'\n(agb-sync session delete --help shows how it is used)\n"],
    [
      "plan --local --concurrency no",
      '--concurrency "no" is not a whole number from 1 to 1000\nhint: see how it is used: agb-sync plan --help\n',
    ],
  ])("exits with 64 and points to help: %s", async (line, message) => {
    const { code, stdout, stderr } = await run(line.split(" "), { cwd: cwdWithManifest() });
    expect([code, stdout, stderr]).toEqual([64, "", typeof message === "string" ? `error: ${message}` : message]);
  });

  it("is JSON where JSON is wanted", async () => {
    const { code, stdout } = await run(["foo", "--json"], { cwd: temporaryDirectory() });
    expect([code, jsonLines(stdout)]).toMatchObject([64, [{ type: "error", message: "unknown command 'foo'" }]]);
  });

  it.each([
    ["a command", ["x\u001b[31m"]],
    ["an option", ["plan", "--x\u001b[31m"]],
    ["a value", ["apply", "--color", "\u001b[31m"]],
    ["a manifest", ["apply", "\u001b[31m.yaml"]],
    ["a port", ["emulator", "--port", "\u001b[31m"]],
  ])("is repeated without its escapes: %s", async (_what, args) => {
    const { code, stdout, stderr } = await run(args, { cwd: temporaryDirectory() });
    expect([64, 65]).toContain(code);
    expect(stdout + stderr).not.toContain("\u001b");
    expect(stderr).toContain("\\x1b[31m");
  });
});
