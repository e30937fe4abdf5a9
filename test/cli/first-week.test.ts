import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { renderSessions } from "../../src/cli/render-sessions.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { sessionNameFor, starterFor } from "../../src/manifest/starter-manifest.ts";
import { cliPath, run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { options } from "../manifest/problems-of.ts";

/** A command line as a shell reads it. The emulator lives in this process: nothing here may wait for it. */
const inShell = (command: string | undefined, cwd: string, env: Readonly<Record<string, string>> = {}) =>
  promisify(execFile)("sh", ["-c", `exec '${process.execPath}' '${cliPath}' ${command}`], {
    cwd,
    env: { ...process.env, ...env },
  });

const files = "files: [{ path: a.txt, content: declared }]\n";

async function service() {
  const emulator = await sharedEmulator();
  return { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
}

function project(more: string, name = "agb-sync.yaml"): string {
  const cwd = temporaryDirectory();
  layOut(cwd, { [name]: `version: 1\nroot: /tmp/w\n${more}${files}` });
  return cwd;
}

describe("plan without a session", () => {
  it.each([
    ["no session is named", ""],
    ["there is no live session named nobody", "session: { name: nobody }\n"],
  ])("plans against an empty workspace, says so, and makes none: %s", async (why, spec) => {
    const cwd = project(spec);
    const env = await service();
    const before = await run(["session", "list", "--json"], { cwd, env });
    const { code, stdout, stderr } = await run(["plan", "--exit-code"], { cwd, env });
    expect([code, stdout]).toEqual([2, "  + a.txt (8 B)\n\nPlan: 1 to create.\n"]);
    expect(stderr).toBe(
      `warning: ${why}: planned against an empty workspace, as apply would find it in a new session\n`,
    );
    const json = JSON.parse((await run(["plan", "--json"], { cwd, env })).stdout);
    expect(json).toMatchObject({ sessionId: null, warnings: [expect.stringContaining("empty workspace")] });
    expect(await run(["session", "list", "--json"], { cwd, env })).toEqual(before);
  });

  it.each([
    ["a session that was named by its id", ["plan", "--session", "session-nope"]],
    ["a plan that is to be saved for a session", ["plan", "--out", "p.json"]],
    ["status", ["status"]],
    ["verify", ["verify"]],
  ])("is an error for %s", async (_what, args) => {
    const cwd = project("");
    expect((await run(args, { cwd, env: await service() })).code).toBe(69);
    expect(existsSync(join(cwd, "p.json"))).toBe(false);
  });
});

describe("a session that was created", () => {
  it("is used again by the command that is shown, when it has no name", async () => {
    const cwd = project("", "odd name.yaml");
    const env = await service();
    const { stderr } = await run(["apply", "odd name.yaml"], { cwd, env });
    const [, id, command] = /^created session (\S+); use it again with: agb-sync (.*) \(or give/m.exec(stderr) ?? [];
    expect(command).toBe(`apply 'odd name.yaml' --session ${id}`);
    const { stdout } = await inShell(command, cwd, env);
    expect(stdout).toMatch(/^Nothing to do/);
  });

  it("is said to be found again by its name, and is listed with all that is known", async () => {
    const env = await service();
    const cwd = project("session: { name: first-week, image: some-image }\n");
    const { stderr } = await run(["apply"], { cwd, env });
    expect(stderr).toMatch(/^created session \S+; the next apply finds it by its name, first-week$/m);
    const { stdout } = await run(["session", "list"], { cwd, env });
    expect(stdout).toMatch(/^ID +STATUS +NAME +IMAGE +AGE +TIME LEFT\n/);
    expect(stdout).toMatch(/^session-\S+ +running +first-week +some-image +0 min +30 min or less$/m);
  });

  it("is unknown in what nobody tells", () => {
    const known = { name: "n", image: "i", createdMs: 0 };
    const nobody = { name: undefined, image: undefined, createdMs: undefined };
    const rows = renderSessions(
      [
        { sessionId: "a", status: "RUNNING", origin: { ...known, createdMs: 60_000 } },
        { sessionId: "b", status: "", origin: nobody },
        { sessionId: "c", status: "RUNNING", origin: { ...known, createdMs: 999_000_000 } },
      ],
      8 * 60_000,
    );
    expect(rows.slice(1).map((row) => row.split(/ {2,}/))).toEqual([
      ["a", "running", "n", "i", "7 min", "23 min or less"],
      ["b", "unknown", "unknown", "unknown", "unknown", "unknown"],
      ["c", "running", "n", "i", "unknown", "unknown"],
    ]);
  });
});

describe("init", () => {
  it.each([["init"], ["init", "--from", "."]])(
    "names the session after the project and leads editors to the schema: %s",
    async (...args) => {
      const cwd = join(temporaryDirectory(), "My Été Project");
      mkdirSync(cwd);
      expect((await run(args, { cwd })).code).toBe(0);
      const text = readFileSync(join(cwd, "agb-sync.yaml"), "utf8");
      const [, schema = ""] = /^# yaml-language-server: \$schema=(file:\S+)\n/.exec(text) ?? [];
      expect(existsSync(new URL(schema))).toBe(true);
      expect(parseManifest(text, { ...options, directory: cwd }).session.name).toBe("my-ete-project");
    },
  );

  it("finds the schema of the project it is installed in", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "node_modules/agb-sync/schemas/manifest.schema.json": "{}", "deploy/x": "" });
    await run(["init"], { cwd: join(cwd, "deploy") });
    const text = readFileSync(join(cwd, "deploy/agb-sync.yaml"), "utf8");
    expect(text).toMatch(
      /^# yaml-language-server: \$schema=\.\.\/node_modules\/agb-sync\/schemas\/manifest\.schema\.json\n/,
    );
  });

  it.each(["project", "1e5", "2024-01-01", "true", "...", "日本", "a b\nc", "null", "x".repeat(300), "$(rm)", "yes"])(
    "makes a name of %j that stays text",
    (directory) => {
      const name = sessionNameFor(directory);
      expect(name).toMatch(/^[a-z][a-z0-9-]*$/);
      expect(parseManifest(starterFor(name, "s.json"), options).session.name).toBe(name);
    },
  );
});

describe("--local", () => {
  it("is beside the manifest, from wherever it is called, and says where the files are", async () => {
    const cwd = project("");
    mkdirSync(join(cwd, "deep/er"), { recursive: true });
    const here = await run(["apply", "--local"], { cwd });
    expect([here.code, here.stderr]).toEqual([0, "the files are in .agb-sync/local/tmp/w\n"]);
    const below = await run(["apply", "--local"], { cwd: join(cwd, "deep/er") });
    expect([below.stdout, below.stderr]).toEqual([
      expect.stringMatching(/^Nothing to do/),
      `the files are in ${join(cwd, ".agb-sync/local/tmp/w")}\n`,
    ]);
    const other = temporaryDirectory();
    const named = await run(["verify", join(cwd, "agb-sync.yaml"), "--local"], { cwd: other });
    expect([named.code, existsSync(join(other, ".agb-sync"))]).toEqual([0, false]);
  });

  it("shows the whole command that brings back what was replaced", async () => {
    const cwd = project("", "my app.yaml");
    const args = ["my app.yaml", "--local", "state of it"];
    await run(["apply", ...args], { cwd });
    const file = join(cwd, "state of it/tmp/w/a.txt");
    writeFileSync(file, "of the session");
    const { stdout } = await run(["apply", ...args, "--overwrite", "a.txt"], { cwd });
    const [, command = ""] = /^ {2}bring them back: agb-sync (.*)$/m.exec(stdout) ?? [];
    expect(readFileSync(file, "utf8")).toBe("declared");
    await inShell(command, cwd);
    expect(readFileSync(file, "utf8")).toBe("of the session");
  });
});
