import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cliPath, run, start, waitForLine } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const project = (body: string) => {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": `version: 1\nroot: /tmp/workspace\n${body}` });
  return cwd;
};

describe("a wrong value of an option", () => {
  const plain = "files: [{ path: a, content: a }]\n";

  it.each([
    ["--max-delete", "200%"],
    ["--max-delete", "-1"],
    ["--max-delete", "NaN"],
    ["--max-delete", "1.5"],
    ["--max-delete", ""],
    ["--concurrency", "0"],
    ["--concurrency", "-3"],
    ["--concurrency", "1e2"],
    ["--concurrency", "0x10"],
    ["--concurrency", "99999999999999999999"],
    ["--concurrency", ""],
    ["--lock-timeout", "soon"],
    ["--lock-timeout", "10"],
    ["--lock-timeout", "-1s"],
    ["--lock-timeout", "999999h"],
    ["--strategy", "magic"],
    ["--on-conflict", "maybe"],
    ["--session", ""],
    ["--session", "s", "--local"],
  ])("is refused before a session is created: %s %s", async (...options) => {
    const emulator = await sharedEmulator();
    const before = emulator.requests.length;
    const cwd = project(plain);
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    for (const command of ["apply", "watch"]) {
      const { code, stderr } = await run([command, ...options], { cwd, env });
      expect([command, code, stderr]).toEqual([command, 64, expect.stringContaining("error: ")]);
    }
    expect([emulator.requests.length, readdirSync(cwd)]).toEqual([before, ["agb-sync.yaml"]]);
  });

  it.each([
    ["watch", "--debounce", "x"],
    ["watch", "--rescan", "-1s"],
    ["watch", "--poll", "NaN"],
    ["emulator", "--port", "65536"],
    ["emulator", "--port", "1e3"],
    ["emulator", "--port", ""],
    ["emulator", "--latency", "1"],
  ])("is refused: %s %s %s", async (...args) => {
    const cwd = project(plain);
    expect((await run(args[0] === "watch" ? [...args, "--local"] : args, { cwd })).code).toBe(64);
    expect(readdirSync(cwd)).toEqual(["agb-sync.yaml"]);
  });
});

it("a working directory that was removed is told in one line, and -C with an absolute path works there", () => {
  const cwd = project("");
  const removed = temporaryDirectory();
  const inRemoved = (args: string) =>
    execFileSync(
      "sh",
      ["-c", `rm -rf "$1"; "$2" "$3" ${args} 2>&1; echo " exit $?"`, "-", removed, process.execPath, cliPath],
      {
        cwd: removed,
        encoding: "utf8",
      },
    );
  expect(inRemoved("validate")).toMatch(/^error: the directory .* is not there any more\nhint: .*\n exit 1\n$/);
  layOut(removed, {});
  expect(inRemoved(`-C '${cwd}' validate`)).toMatch(/is valid.* exit 0/s);
});

it.each<[NodeJS.Signals, number]>([
  ["SIGHUP", 129],
  ["SIGTERM", 143],
])("%s ends the command that runs in the session, and frees the lock", async (signal, code) => {
  const cwd = project('run: [{ command: "echo begun; echo $$ > pid; sleep 600 & wait" }]\n');
  const child = start(["apply", "--local", "--yes"], { cwd });
  await waitForLine(child, /begun/);
  child.kill(signal);
  expect(await once(child, "close")).toEqual([code, null]);
  const root = join(cwd, ".agb-sync/local/tmp/workspace");
  const locks = join(root, ".agb-sync/locks");
  expect(existsSync(locks) ? readdirSync(locks) : []).toEqual([]);
  const pid = execFileSync("cat", [join(root, "pid")], { encoding: "utf8" }).trim();
  // What has ended and was not waited for by its new parent yet is a zombie.
  const isAlive = () =>
    /^[^Z\s]/.test(execFileSync("sh", ["-c", `ps -o stat= -p ${pid} || true`], { encoding: "utf8" }));
  await expect.poll(isAlive).toBe(false);
});
