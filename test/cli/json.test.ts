import { createHash } from "node:crypto";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { isOfSchema, jsonLines } from "./json-lines.ts";

function project(manifest: string, files: Record<string, string> = {}): string {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": `version: 1\nroot: /tmp/workspace\n${manifest}`, ...files });
  return cwd;
}

const simple = 'files: [{ path: a.txt, content: "hello\\n" }]\n';
const fileOf = (cwd: string, path: string) => join(cwd, ".agb-sync/local/tmp/workspace", path);

async function json(args: readonly string[], cwd: string, env: Record<string, string> = {}) {
  const finished = await run([...args, "--json"], { cwd, env });
  return { ...finished, lines: jsonLines(finished.stdout) };
}

describe("--json", () => {
  it("is of the published schema in every command on a workspace, and ends where it can with the exit code", async () => {
    const cwd = project(simple);
    const last = async (...args: string[]) => {
      const { code, lines } = await json(args, cwd);
      return { code, count: lines.length, ...lines.at(-1) };
    };
    expect(await last("validate")).toMatchObject({ code: 0, count: 1, type: "validate", files: 1, unreadable: [] });
    expect(await last("plan", "--local")).toMatchObject({ code: 0, count: 1, type: "plan", unreadable: [] });
    expect(await last("verify", "--local")).toMatchObject({ code: 2, count: 1, type: "verify", equal: false });
    expect(await last("apply", "--local")).toMatchObject({ type: "summary", applied: 1, unreadable: [], exitCode: 0 });
    expect(await last("backups", "list", "--local")).toEqual({ code: 0, count: 0 });
    expect(await last("unlock", "--local")).toMatchObject({ code: 0, count: 1, type: "unlock", removed: [] });
    writeFileSync(fileOf(cwd, "a.txt"), "edited in the session\n");
    expect(await last("status", "--local")).toMatchObject({ code: 2, count: 1, type: "status" });
    expect(await last("plan", "--local")).toMatchObject({ conflicts: [{ path: "a.txt" }] });
    expect(await last("apply", "--local")).toMatchObject({ code: 3, type: "summary", exitCode: 3 });
    expect(await last("apply", "--local", "--on-conflict", "overwrite")).toMatchObject({ code: 0, applied: 1 });
    const backup = await last("backups", "list", "--local");
    expect(backup).toMatchObject({ code: 0, count: 1, type: "backup", paths: ["a.txt"] });
    const name = "name" in backup ? String(backup.name) : "";
    expect(await last("backups", "restore", name, "--local")).toMatchObject({ type: "restore", restored: ["a.txt"] });
    expect(await last("watch", "--local", "--once-ready-exit")).toMatchObject({ type: "summary", conflicts: [{}] });
    expect(isOfSchema({ ...(await json(["plan", "--local"], cwd)).lines[0], steps: "none" })).toBe(false);
    expect(isOfSchema({ ...(await json(["apply", "--local"], cwd)).lines.at(-1), digest: "none" })).toBe(false);
  });

  it("is of the published schema in every command on sessions", async () => {
    const emulator = await sharedEmulator();
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const cwd = temporaryDirectory();
    const created = await json(["session", "create", "--image", "agb-code-space-1"], cwd, env);
    expect(created.lines).toMatchObject([{ type: "session", origin: "created" }]);
    const id = String(created.lines[0]?.["sessionId"]);
    const listed = await run(["session", "list"], { cwd, env });
    expect([listed.stdout, listed.stderr]).toEqual([
      expect.stringMatching(new RegExp(`^ID .*\\n${id}  running `)),
      "1 live session\n",
    ]);
    for (const [args, facts] of [
      [["session", "list"], { sessionId: id, status: "RUNNING" }],
      [["session", "keep-alive", id], { sessionId: id, outcome: "kept-alive" }],
      [["session", "delete", id], { sessionId: id, outcome: "deleted" }],
    ] as const) {
      const { code, lines } = await json(args, cwd, env);
      expect([code, lines]).toMatchObject([0, [{ type: "session", ...facts }]]);
    }
  });

  it("comes without the escapes of the user's words", async () => {
    const emulator = await sharedEmulator();
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const args = ["session", "create", "--image", "x\u001b[31m"];
    const { code, stdout, stderr } = await run(args, { cwd: temporaryDirectory(), env });
    expect([code, stderr]).toEqual([0, "created from x\\x1b[31m\n"]);
    await run(["session", "delete", stdout.trim()], { cwd: temporaryDirectory(), env });
  });

  it.each<[string, string[], Record<string, unknown>, RegExp]>([
    ["an unknown option", ["apply", "--nope"], { code: "USAGE", exitCode: 64 }, /unknown option '--nope'/],
    ["a bad value", ["apply", "--local", "--concurrency", "0"], { code: "USAGE", exitCode: 64 }, /whole number/],
    ["no manifest", ["plan", "nope.yaml"], { code: "MANIFEST_NOT_FOUND", exitCode: 65 }, /there is no nope\.yaml/],
    ["no key", ["status"], { code: "NO_API_KEY", exitCode: 69, problems: [] }, /AGB_API_KEY/],
    ["no backup", ["backups", "restore", "x", "--local"], { code: "NOT_FOUND", exitCode: 1 }, /there is no backup x/],
    ["no key for sessions", ["session", "list"], { code: "NO_API_KEY", exitCode: 69 }, /AGB_API_KEY/],
  ])("ends with the error: %s", async (_what, args, facts, message) => {
    const { code, stderr, lines } = await json(args, project(simple));
    expect(lines).toMatchObject([{ type: "error", message: expect.stringMatching(message), ...facts }]);
    expect([code, stderr]).toEqual([facts["exitCode"], expect.stringMatching(message)]);
  });

  it.each([["validate"], ["plan"], ["apply"], ["verify"], ["status"], ["watch"], ["unlock"]])(
    "tells every problem of a manifest with its place: %s",
    async (command) => {
      const { code, stderr, lines } = await json([command], project("files: [{ path: ../x, content: a, sorce: b }]\n"));
      const at = { file: "agb-sync.yaml", line: 3, column: expect.any(Number), message: expect.any(String) };
      expect([code, lines]).toMatchObject([
        65,
        [
          {
            type: "error",
            code: "MANIFEST_INVALID",
            message: "the manifest has 2 problems",
            problems: [
              { ...at, code: "BAD_PATH" },
              { ...at, code: "UNKNOWN_KEY" },
            ],
          },
        ],
      ]);
      expect(stderr).toMatch(/agb-sync\.yaml:3:\d+:/);
    },
  );
});

describe("GitHub annotations", () => {
  it("go to stderr, where they spoil no result", async () => {
    const env = { GITHUB_ACTIONS: "true" };
    const cwd = project("files: [{ path: ../x, content: a }]\n");
    const { stdout, stderr } = await run(["plan", "--local", "--json"], { cwd, env });
    expect(jsonLines(stdout)).toHaveLength(1);
    expect(stderr).toMatch(/^::error file=agb-sync\.yaml,line=3,col=\d+,title=BAD_PATH::/m);
  });
});

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("secrets", () => {
  /** The secret stands in a sensitive file, and the command prints it. */
  const talkative = (files: string) =>
    project(
      `files: [{ path: .env, content: "\${env.SECRET}\\n", sensitive: true }${files}]\nrun: [{ command: "cat .env; echo ab1ab; echo a=1,ab,path; exit 7" }]\n`,
    );

  it.each([["path"], ["1"], ["ab"], ["applied"], ["summary"], ["write"], ["sha256"]])(
    "that are %j leave JSON whole, and are replaced in its texts",
    async (secret) => {
      const cwd = talkative(", { path: ab1ab, content: x }");
      const plan = await json(["plan", "--local"], cwd, { SECRET: secret });
      expect(plan.lines).toMatchObject([{ type: "plan", steps: [{ step: { path: ".env" } }, {}] }]);
      const { code, stderr, lines } = await json(["apply", "--local"], cwd, { SECRET: secret });
      expect([code, lines.at(-1)]).toMatchObject([1, { type: "summary", applied: 2, exitCode: 1 }]);
      const said = lines.flatMap(({ type, text }) => (type === "output" ? [text] : []));
      expect(said[0]).toBe("(redacted)");
      expect(stderr).not.toContain(secret);
    },
  );

  it.each([
    ["1", "stderr", /\| \(redacted\)\n.*\| ab1ab\n.*\| a=\(redacted\),ab,path\n/],
    ["ab", "stderr", /\| \(redacted\)\n.*\| ab1ab\n.*\| a=1,\(redacted\),path\n/],
    ["path", "stderr", /\| \(redacted\)\n.*\| ab1ab\n.*\| a=1,ab,\(redacted\)\n/],
    ["1", "stdout", /^Plan: 1 to create\.$/m],
    ["ab", "stdout", /^ {11}\(redacted\)\n {11}ab1ab\n/m],
  ] as const)(
    "that are %j are replaced in the output of commands, not in words of ours",
    async (SECRET, stream, text) => {
      const finished = await run(["apply", "--local"], { cwd: talkative(""), env: { SECRET } });
      expect(finished[stream]).toMatch(text);
    },
  );

  it("stay out of plans, events and backups with their digests", async () => {
    const cwd = project('files: [{ path: .pin, content: "${env.PIN}", sensitive: true }]\n');
    await run(["apply", "--local"], { cwd, env: { PIN: "1234" } });
    writeFileSync(fileOf(cwd, ".pin"), "4321");
    for (const args of [
      ["plan", "--local"],
      ["status", "--local"],
      ["plan", "--local", "--on-conflict", "overwrite"],
      ["apply", "--local", "--on-conflict", "overwrite"],
    ]) {
      const { stdout } = await json(args, cwd, { PIN: "5678" });
      for (const pin of ["1234", "4321", "5678"]) expect(stdout, args.join(" ")).not.toContain(sha256(pin));
    }
    expect(readdirSync(fileOf(cwd, ".agb-sync/backup"))).toHaveLength(1);
  });
});

describe("facts in JSON", () => {
  it("have one shape: steps in plans and saved plans, modes as in manifests, drift with its kind, backups by name", async () => {
    const cwd = temporaryDirectory();
    const manifest = (more: string) =>
      `version: 1\nroot: /w\nfiles:\n  - { path: a, content: a }\n  - { path: b, content: b }\n${more}`;
    layOut(cwd, { "agb-sync.yaml": manifest("") });
    await run(["apply", "--local"], { cwd });
    const root = join(cwd, ".agb-sync/local/w");
    writeFileSync(join(root, "a"), "of the session");
    chmodSync(join(root, "b"), 0o600);
    const [status] = (await json(["status", "--local"], cwd)).lines;
    expect(status?.["drift"]).toMatchObject([
      { path: "a", change: "content", before: { mode: "0644" } },
      { path: "b", change: "mode", before: { mode: "0644" }, after: { mode: "0600" } },
    ]);
    writeFileSync(join(cwd, "agb-sync.yaml"), manifest('  - { path: new, content: new, mode: "0750" }\n'));
    const [plan] = (await json(["plan", "--local", "--out", "p.json"], cwd)).lines;
    const saved = JSON.parse(readFileSync(join(cwd, "p.json"), "utf8"));
    expect(saved.steps).toEqual(plan?.["steps"]);
    expect(saved.steps).toMatchObject([
      { step: { op: "write", path: "new", mode: "0750" }, after: [] },
      { step: { op: "set-mode", path: "b", mode: "0644", before: "0600" } },
    ]);
    expect((await run(["apply", "p.json", "--local"], { cwd })).code).toBe(3);
    const applied = await json(["apply", "--local", "--overwrite", "a"], cwd);
    const [backup] = (await json(["backups", "list", "--local"], cwd)).lines;
    expect(applied.lines.at(-1)).toMatchObject({ type: "summary", backup: backup?.["name"], exitCode: 0 });
  });
});
