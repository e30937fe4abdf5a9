import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cliPath, run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { giveToNobody, runAsNobody } from "./as-nobody.ts";

const project = (body: string, files: Record<string, string> = {}) => {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": `version: 1\nroot: /tmp/workspace\n${body}`, ...files });
  return cwd;
};

describe("a .env", () => {
  it.each<[string, (path: string) => unknown]>([
    ["a directory", (path) => mkdirSync(path)],
    ["a FIFO", (path) => execFileSync("mkfifo", [path])],
    ["a link to nothing", (path) => symlinkSync("nothing", path)],
    ["an endless device", (path) => symlinkSync("/dev/zero", path)],
  ])("that is %s stops nothing and hides none above", async (_kind, make) => {
    const { url, apiKey } = await sharedEmulator();
    const cwd = temporaryDirectory();
    layOut(cwd, { ".env": `AGB_API_KEY=${apiKey}\nAGB_ENDPOINT=${url}\n`, "below/x": "" });
    const below = join(cwd, "below");
    make(join(below, ".env"));
    expect((await run(["session", "list"], { cwd: below })).code).toBe(0);
    writeFileSync(join(cwd, ".env"), "");
    expect((await run(["session", "list"], { cwd: below, env: { AGB_API_KEY: apiKey, AGB_ENDPOINT: url } })).code).toBe(
      0,
    );
    expect(await run(["session", "list"], { cwd: below })).toMatchObject({
      code: 69,
      stderr: expect.stringContaining("AGB_API_KEY is not set"),
    });
  });

  it("that must not be read is named, and not needed where everything is in the environment", async () => {
    const cwd = project('files: [{ path: a, content: "${env.TOKEN:-none}" }]\n', { ".env": "AGB_API_KEY=x\n" });
    chmodSync(cwd, 0o755);
    giveToNobody(cwd);
    chmodSync(join(cwd, ".env"), 0);
    const missing = await runAsNobody(["session", "list"], cwd);
    expect(missing).toMatchObject({
      code: 69,
      stderr: expect.stringMatching(/not set; .*\.env is left out: .*denied/),
    });
    expect((await runAsNobody(["validate"], cwd)).code).toBe(0);
  });

  it("gives its first line also behind a byte order mark, and is seen by ${env.X}; its secrets are not shown", async () => {
    const { url, apiKey } = await sharedEmulator();
    const body =
      'session: { image: i }\nfiles: [{ path: a, content: "${env.TOKEN}", sensitive: true }]\nrun: [{ command: "cat a" }]\n';
    const cwd = project(body, {
      ".env": `\ufeffAGB_ENDPOINT=${url}\nAGB_API_KEY\t=\t${apiKey}\nTOKEN=s3cret-of-mine\n`,
    });
    const { code, stdout, stderr } = await run(["apply", "-v"], { cwd });
    expect([code, stderr]).toEqual([0, expect.stringContaining("(redacted)")]);
    expect(stdout + stderr).not.toContain("s3cret");
  });
});

describe("--env-file and --var", () => {
  const body = 'vars: { model: small }\nfiles: [{ path: a, content: "${vars.model} ${env.X:-d} ${vars.more-none}" }]\n';
  const written = (cwd: string) => readFileSync(join(cwd, ".agb-sync/local/tmp/workspace/a"), "utf8");

  it.each<[readonly string[], string]>([
    [[], "small .env none"],
    [["--env-file", "one"], "small one none"],
    [["--env-file", "one", "--env-file", "two"], "small d none"],
    [["--var", "model=large=1", "--var", "more="], "large=1 .env "],
    [["--var", "more=1", "--var", "more=${env.X}"], "small .env ${env.X}"],
  ])("%j", async (options, expected) => {
    const cwd = project(body, { ".env": "X=.env\n", one: "X=one\n", two: "X=\n" });
    expect((await run(["apply", "--local", ...options], { cwd })).code).toBe(0);
    expect(written(cwd)).toBe(expected);
  });

  it("is read by its own rules where Node reads it too", async () => {
    const cwd = project(body, { one: "X=\tone\t\n" });
    const args = [cliPath, "apply", "--local", "--env-file", "one"];
    execFileSync(process.execPath, args, { cwd, env: { HOME: cwd }, stdio: "pipe" });
    expect(written(cwd)).toBe("small one none");
  });

  it.each<[readonly string[], RegExp]>([
    [["--env-file", "nope"], /--env-file nope: there is no such file/],
    [["--env-file", "."], /--env-file \.: it is a directory/],
    [["--env-file", "fifo"], /--env-file fifo: it is a FIFO/],
    [["--var", "model"], /--var model is not of the form NAME=VALUE/],
    [["--var", "a b=secret"], /--var a b=\.\.\. is not/],
    [["--var", "=x"], /--var =\.\.\. is not/],
  ])("%j is a mistake", async (options, told) => {
    const cwd = project(body);
    execFileSync("mkfifo", [join(cwd, "fifo")]);
    const { code, stderr } = await run(["apply", "--local", ...options], { cwd });
    expect([code, stderr]).toEqual([64, expect.stringMatching(told)]);
    expect(existsSync(join(cwd, ".agb-sync"))).toBe(false);
  });
});
