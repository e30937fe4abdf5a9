import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { giveToNobody, runAsNobody } from "./as-nobody.ts";

const examples = fileURLToPath(new URL("../../examples", import.meta.url));

function project(manifest: string, files: Record<string, string> = {}): string {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": `version: 1\nroot: /tmp/workspace\n${manifest}`, ...files });
  return cwd;
}

const simple = 'files: [{ path: a.txt, content: "hello\\n" }]\n';

describe("agb-sync", () => {
  it("starts a manifest that is valid and applies as it is", async () => {
    const cwd = temporaryDirectory();
    expect((await run(["init"], { cwd })).code).toBe(0);
    expect((await run(["validate"], { cwd })).code).toBe(0);
    expect((await run(["apply", "--local"], { cwd })).code).toBe(0);
    const again = await run(["init"], { cwd });
    expect([again.code, again.stderr]).toEqual([64, expect.stringContaining("--force")]);
  });

  it("plans without a change, applies, and then has nothing to do", async () => {
    const cwd = project(simple);
    const plan = await run(["plan", "--local", "--exit-code"], { cwd });
    expect([plan.code, plan.stdout]).toEqual([2, expect.stringContaining("+ a.txt")]);
    for (const command of ["status", "verify", "unlock"]) await run([command, "--local"], { cwd });
    expect(readdirSync(cwd), "commands that only look leave no trace (S16)").toEqual(["agb-sync.yaml"]);
    const applied = await run(["apply", "--local"], { cwd });
    expect([applied.code, applied.stdout]).toEqual([0, expect.stringContaining("Applied: 1 created")]);
    expect(readFileSync(join(cwd, ".agb-sync/local/tmp/workspace/a.txt"), "utf8")).toBe("hello\n");
    const second = await run(["apply", "--local"], { cwd });
    expect([second.code, second.stdout]).toEqual([0, expect.stringContaining("Nothing to do")]);
    expect((await run(["plan", "--local", "--exit-code"], { cwd })).code).toBe(0);
    expect((await run(["verify", "--local"], { cwd })).code).toBe(0);
  });

  it("leaves a conflict alone with exit 3, overwrites it after a backup, and restores the backup", async () => {
    const cwd = project(simple);
    await run(["apply", "--local"], { cwd });
    const file = join(cwd, ".agb-sync/local/tmp/workspace/a.txt");
    writeFileSync(file, "edited in the session\n");
    expect((await run(["status", "--local"], { cwd })).code).toBe(2);
    const conflict = await run(["apply", "--local"], { cwd });
    expect([conflict.code, conflict.stdout]).toEqual([3, expect.stringContaining("conflict a.txt")]);
    expect(readFileSync(file, "utf8")).toBe("edited in the session\n");
    expect((await run(["apply", "--local", "--on-conflict", "overwrite", "--yes"], { cwd })).code).toBe(0);
    expect(readFileSync(file, "utf8")).toBe("hello\n");
    const { stdout } = await run(["backups", "list", "--local", "--json"], { cwd });
    const { name, paths } = JSON.parse(stdout);
    expect(paths).toEqual(["a.txt"]);
    const root = join(cwd, ".agb-sync/local/tmp/workspace");
    execFileSync("mkfifo", [join(root, ".agb-sync/backup", name, "pipe")]);
    const restored = await run(["backups", "restore", name, "--local"], { cwd });
    expect(restored).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/restored a\.txt\n.*Restored 1 path; 1 not restored, left as they were/s),
      stderr: expect.stringMatching(/not restored: pipe: .*FIFO/),
    });
    expect(readFileSync(file, "utf8")).toBe("edited in the session\n");
    const wrong = await run(["backups", "restore", name, "b.txt", "--local", "--json"], { cwd });
    expect([wrong.code, JSON.parse(wrong.stdout)]).toEqual([
      1,
      expect.objectContaining({ restored: [], failed: [{ path: "b.txt", message: expect.stringContaining("b.txt") }] }),
    ]);
  });

  it("applies a saved plan as it is, and refuses it when one of its paths has changed (S23, S37)", async () => {
    const tree = "trees: [{ source: src, path: . }]\n";
    const cwd = project(tree, { "src/a": "1", "src/b": "1" });
    await run(["apply", "--local"], { cwd });
    writeFileSync(join(cwd, "src/a"), "2");
    expect((await run(["plan", "--local", "--out", "p.json"], { cwd })).code).toBe(0);
    await run(["plan", "--local", "--out", "again.json"], { cwd });
    expect(readFileSync(join(cwd, "again.json"), "utf8")).toBe(readFileSync(join(cwd, "p.json"), "utf8"));
    writeFileSync(join(cwd, "src/b"), "a change elsewhere");
    const root = join(cwd, ".agb-sync/local/tmp/workspace");
    expect((await run(["apply", "p.json", "--local"], { cwd })).code).toBe(0);
    expect([readFileSync(join(root, "a"), "utf8"), readFileSync(join(root, "b"), "utf8")]).toEqual(["2", "1"]);
    const next = await run(["apply", "--local"], { cwd });
    expect(next.stdout).toContain("~ b");
    writeFileSync(join(cwd, "src/a"), "3");
    await run(["plan", "--local", "--out", "p.json"], { cwd });
    writeFileSync(join(cwd, "src/a"), "4");
    const refused = await run(["apply", "p.json", "--local"], { cwd });
    expect([refused.code, refused.stderr]).toEqual([4, expect.stringMatching(/changed since it was made: a\n/)]);
    expect(readFileSync(join(root, "a"), "utf8")).toBe("2");
  });

  it("keeps the newest five backups", async () => {
    const cwd = project(simple);
    await run(["apply", "--local"], { cwd });
    for (let round = 0; round < 7; round += 1) {
      writeFileSync(join(cwd, ".agb-sync/local/tmp/workspace/a.txt"), `edit ${round}\n`);
      expect((await run(["apply", "--local", "--on-conflict", "overwrite", "--yes"], { cwd })).code).toBe(0);
    }
    expect(readdirSync(join(cwd, ".agb-sync/local/tmp/workspace/.agb-sync/backup"))).toHaveLength(5);
  });

  it("stops a mass deletion with exit 5 and nothing deleted", async () => {
    const files = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`src/f${index}`, "x"]));
    const cwd = project("trees: [{ source: src, path: . }]\n", files);
    await run(["apply", "--local"], { cwd });
    rmSync(join(cwd, "src"), { recursive: true });
    mkdirSync(join(cwd, "src"));
    writeFileSync(join(cwd, "src/one"), "x");
    const stopped = await run(["apply", "--local", "--no-detect-moves"], { cwd });
    expect([stopped.code, stopped.stderr]).toEqual([5, expect.stringContaining("--allow-mass-delete")]);
    expect(readdirSync(join(cwd, ".agb-sync/local/tmp/workspace")).filter((name) => name.startsWith("f"))).toHaveLength(
      30,
    );
  });

  it("runs commands after a complete apply, and fails with the tail of what failed", async () => {
    const good = project(`${simple}run: [{ command: "cat a.txt > ran; echo \\"out $PWD\\"", onChange: [a.txt] }]\n`);
    const applied = await run(["apply", "--local"], { cwd: good });
    expect([applied.code, applied.stderr]).toEqual([0, expect.stringContaining("| out ")]);
    expect(readFileSync(join(good, ".agb-sync/local/tmp/workspace/ran"), "utf8")).toBe("hello\n");
    const bad = project(`${simple}run: [{ command: "echo the reason; exit 7" }]\n`);
    const failed = await run(["apply", "--local"], { cwd: bad });
    expect([failed.code, failed.stdout]).toEqual([1, expect.stringMatching(/exit 7[\s\S]*the reason/)]);
  });

  it("never shows what is sensitive (S35)", async () => {
    const cwd = project(
      'files: [{ path: .env, content: "TOKEN=${env.API_TOKEN}\\n", sensitive: true, mode: "0600" }]\n',
    );
    const env = { API_TOKEN: "s3cr3t-value-xyz" };
    for (const args of [
      ["plan", "--local", "--diff", "-v"],
      ["apply", "--local", "-v"],
      ["apply", "--local", "--json"],
      ["plan", "--local", "--json"],
    ]) {
      const { code, stdout, stderr } = await run(args, { cwd, env });
      expect(code).toBe(0);
      expect(stdout + stderr).not.toContain("s3cr3t-value-xyz");
    }
    const root = join(cwd, ".agb-sync/local/tmp/workspace");
    expect(look(root)[".env"]).toMatch(/^600 /);
    for (const name of ["base.json", "index"]) {
      expect(readFileSync(join(root, ".agb-sync", name), "utf8")).not.toContain("s3cr3t");
    }
  });

  it("escapes names that would fool a terminal", async () => {
    const cwd = project('files: [{ path: "a\\e[2Jb\\u202ec", content: x }]\n');
    const { stdout } = await run(["apply", "--local"], { cwd });
    expect(stdout).not.toContain("\u001b[2J");
    expect(stdout).not.toContain("\u202e");
  });

  it.each([
    ["an unknown option", ["apply", "--nope"], 64, /unknown option/],
    ["an unknown command", ["aply"], 64, /unknown command/],
    [
      "a manifest that is not there",
      ["apply", "nope.yaml", "--local"],
      65,
      /there is no nope\.yaml[\s\S]*agb-sync init/,
    ],
    ["a bad concurrency", ["apply", "--local", "--concurrency", "0"], 64, /whole number/],
    ["two kinds of session", ["apply", "--local", "--session", "x"], 64, /exclude one another/],
    ["no key", ["apply"], 69, /AGB_API_KEY is not set[\s\S]*--local/],
  ])("gives one clear message for %s", async (_what, args, code, message) => {
    const finished = await run(args, { cwd: project(simple) });
    expect(finished.code).toBe(code);
    expect(finished.stderr).toMatch(message);
    expect(finished.stderr).not.toMatch(/^\s+at /m);
  });

  it("reports every problem of a bad manifest with exit 65", async () => {
    const cwd = project("files: [{ path: ../x, content: a, sorce: b }]\n");
    const { code, stderr } = await run(["validate"], { cwd });
    expect([code, stderr]).toEqual([
      65,
      expect.stringMatching(/agb-sync\.yaml:3:\d+:[\s\S]*\^[\s\S]*did you mean `source`/),
    ]);
  });

  it.each(["quickstart", "python-agent", "ci"])("applies the example %s twice", async (name) => {
    const cwd = temporaryDirectory();
    // A copy: the files of the session lie beside the manifest.
    cpSync(join(examples, name), join(cwd, name), { recursive: true });
    const manifest = join(name, "agb-sync.yaml");
    const env = { API_TOKEN: "t", OPENAI_API_KEY: "t", GITHUB_SHA: "0a1b", CI: "true" };
    const first = await run(["apply", manifest, "--local", "--yes"], { cwd, env });
    expect([first.code, first.stdout]).toEqual([0, expect.stringMatching(/Applied: \d+ created/)]);
    const second = await run(["apply", manifest, "--local", "--yes"], { cwd, env });
    expect([second.code, second.stdout]).toEqual([0, expect.stringContaining("Nothing to do")]);
  });
});

describe("agb-sync against the emulator", () => {
  it.each([
    ["with a shell", {}, true],
    ["over the link route", { link: true }, true],
    ["without a shell", { missingTools: ["shell", "run_code"] }, false],
  ])("ends in the same tree as the embedded session, %s", async (_name, options, isFull) => {
    const emulator = await sharedEmulator(options);
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const cwd = temporaryDirectory();
    const source = isFull ? "quickstart" : "plain";
    const manifest = join(isFull ? examples : cwd, source, "agb-sync.yaml");
    if (!isFull) {
      layOut(join(cwd, source), {
        "agb-sync.yaml":
          "version: 1\nsession: { image: i, name: plain }\nroot: /tmp/workspace\ntrees: [{ source: app, path: app }]\n",
        "app/a.txt": "ä\r\n\ufeff",
        "app/sub/bytes.bin": Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      });
    }
    const applied = await run(["apply", manifest, "--yes"], { cwd, env });
    expect([applied.code, applied.stderr]).toEqual([0, expect.stringContaining("created session ")]);
    const { stdout } = await run(["session", "list", "--json"], { cwd, env });
    const { sessionId } = JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
    await run(["apply", manifest, "--yes", "--local", join(cwd, "local")], { cwd });
    const inSession = look(join(emulator.sessionRoot(sessionId), "tmp/workspace"), { modes: isFull });
    expect(inSession).toEqual(look(join(cwd, "local/tmp/workspace"), { modes: isFull }));
    const second = await run(["apply", manifest], { cwd, env });
    expect([second.code, second.stdout]).toEqual([0, expect.stringContaining("Nothing to do")]);
    expect((await run(["session", "delete", sessionId], { cwd, env })).code).toBe(0);
    const gone = await run(["plan", manifest, "--session", sessionId], { cwd, env });
    expect([gone.code, gone.stderr]).toEqual([69, expect.stringContaining("session list")]);
  });

  it("says what is wrong with the key, the endpoint and the permissions", async () => {
    const emulator = await sharedEmulator();
    const cwd = project(`session: { image: agb-code-space-1 }\n${simple}`);
    const key = await run(["apply"], { cwd, env: { AGB_API_KEY: "wrong", AGB_ENDPOINT: emulator.url } });
    expect([key.code, key.stderr]).toEqual([
      69,
      expect.stringMatching(/does not accept the API key[\s\S]*AGB_API_KEY/),
    ]);
    expect(key.stderr).not.toContain("wrong");
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const nowhere = await run(["apply"], { cwd, env: { ...env, AGB_ENDPOINT: "http://127.0.0.1:1" } });
    expect([nowhere.code, nowhere.stderr]).toEqual([69, expect.stringMatching(/cannot reach 127\.0\.0\.1:1/)]);
    writeFileSync(join(cwd, "agb-sync.yaml"), `version: 1\nroot: /opt/workspace\nsession: { image: i }\n${simple}`);
    const closed = await sharedEmulator({ readOnlyPaths: ["/opt"] });
    const denied = await run(["apply"], { cwd, env: { AGB_API_KEY: closed.apiKey, AGB_ENDPOINT: closed.url } });
    expect([denied.code, denied.stderr]).toEqual([
      1,
      expect.stringMatching(/Permission denied[\s\S]*\/tmp\/workspace/),
    ]);
  });
});

describe("permissions of local sources", () => {
  it("names a source that cannot be read and deletes nothing (S13)", async () => {
    const cwd = project("trees: [{ source: src, path: . }]\n", { "src/a": "1", "src/b": "2", "src/c": "3" });
    giveToNobody(cwd);
    await runAsNobody(["apply", "--local"], cwd);
    chmodSync(join(cwd, "src/a"), 0);
    rmSync(join(cwd, "src/b"));
    const { code, stderr } = await runAsNobody(["apply", "--local"], cwd);
    expect([code, stderr]).toEqual([1, expect.stringContaining("could not be read: nothing is deleted")]);
    expect(existsSync(join(cwd, ".agb-sync/local/tmp/workspace/b"))).toBe(true);
  });
});
