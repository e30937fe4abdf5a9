import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cliPath, run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import type { Local } from "../helpers/workspace.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { giveToNobody, runAsNobody } from "./as-nobody.ts";
import { jsonLines } from "./json-lines.ts";

const manifest = `version: 1
root: /tmp/workspace
session: { image: "\${env.IMAGE:-agb-code-space-1}", name: lock-test }
vars: { who: "\${env.WHO:-nobody}", plain: same }
files:
  - { path: plain.txt, content: "\${vars.plain}" }
  - { path: who.txt, content: "for \${vars.who}" }
  - { path: "home/\${env.WHO:-nobody}/notes", content: "notes" }
  - { path: .env, content: "TOKEN=\${env.TOKEN:-none}", sensitive: true, mode: "0600" }
  - { path: secret.bin, source: secret.bin, sensitive: true }
  - { path: app.json, source: app.tmpl, template: true }
  - { path: run.json, source: run.tmpl, template: true }
  - { path: id.txt, content: "\${session.id}" }
  - { path: stage.cfg, source: "stages/\${env.STAGE:-a}.cfg" }
trees:
  - { source: ., path: all, exclude: [.cache/, .agb-sync/] }
  - { source: "stages/\${env.STAGE:-a}", path: stage }
links:
  - { path: current, target: all/src }
  - { path: mine, target: "home/\${env.WHO:-nobody}" }
`;

const files: Readonly<Record<string, Local>> = {
  "agb-sync.yaml": manifest,
  "app.tmpl": '{"plain": "${vars.plain}"}',
  "run.tmpl": '{"session": "${session.id}"}',
  "secret.bin": "opensesame",
  "stages/a.cfg": "a",
  "stages/b.cfg": "b",
  "stages/a/of-a": "a",
  "stages/b/of-b": "b",
  "src/run.sh": { bytes: "#!/bin/sh\n", mode: 0o755 },
  "src/Zwei": "2",
  "src/eins": "1",
  "src/ä\u2028\u{1f600}": "odd",
};

function project(entries = files): { readonly cwd: string; readonly lock: () => string } {
  const cwd = temporaryDirectory();
  layOut(cwd, entries);
  return { cwd, lock: () => readFileSync(join(cwd, "agb-sync.yaml.lock"), "utf8") };
}

/** The names in a lock file, and what stands behind one of them. */
function entriesOf(text: string): ReadonlyMap<string, unknown> {
  const { entries }: { entries: readonly { path: string }[] } = JSON.parse(text);
  return new Map(entries.map((entry) => [entry.path, entry]));
}

describe("agb-sync lock", () => {
  it("pins everything that is the same everywhere, and only names the rest, a line a path", async () => {
    const { cwd, lock } = project();
    const env = { WHO: "alice-of-accounts", TOKEN: "t0k3n-of-alice", STAGE: "b" };
    expect(await run(["lock"], { cwd, env })).toMatchObject({ code: 0 });
    const text = lock();
    const found = entriesOf(text);
    expect([...found.keys()]).toEqual(
      [...found.keys()].toSorted((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other))),
    );
    for (const path of found.keys()) {
      const lines = text
        .split("\n")
        .filter((line) => line.startsWith(`    {"path":${JSON.stringify(path).replace("\u2028", "\\u2028")},`));
      expect(lines).toHaveLength(1);
    }
    expect(found.get("who.txt")).toEqual({ path: "who.txt", kind: "file", mode: "0644", variesBy: ["env.WHO"] });
    expect(found.get("secret.bin")).toEqual({ path: "secret.bin", kind: "file", mode: "0644", sensitive: true });
    expect(found.get(".env")).toMatchObject({ mode: "0600", sensitive: true, variesBy: ["env.TOKEN"] });
    expect(found.get("home")).toMatchObject({ kind: "directory" });
    expect(found.get("home/${env.WHO:-nobody}/notes")).toMatchObject({ pathVaries: true, variesBy: ["env.WHO"] });
    expect(found.get("run.json")).toMatchObject({ variesBy: ["session.id"] });
    expect(found.get("id.txt")).toMatchObject({ variesBy: ["session.id"] });
    expect(found.get("app.json")).toMatchObject({ digest: expect.stringMatching(/^sha256:/) });
    expect(found.get("stage.cfg")).toMatchObject({ variesBy: ["env.STAGE"] });
    expect(found.get("stage/")).toEqual({ path: "stage/", kind: "tree", variesBy: ["env.STAGE"] });
    expect(found.get("mine")).toEqual({ path: "mine", kind: "link", variesBy: ["env.WHO"] });
    expect(found.get("current")).toEqual({ path: "current", kind: "link", target: "all/src" });
    expect([...found.keys()].filter((path) => path.startsWith("stage/") && path !== "stage/")).toEqual([]);
    expect(found.has("all/agb-sync.yaml.lock")).toBe(false);
    for (const value of Object.values(env).slice(0, 2)) expect(text).not.toContain(value);
  });

  it("gives the same bytes wherever, whenever and by whomever it is made, and again", async () => {
    const one = project();
    expect(await run(["lock"], { cwd: one.cwd })).toMatchObject({ code: 0 });
    expect(await run(["lock"], { cwd: one.cwd })).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Nothing to do/),
    });
    const mask = process.umask(0o077);
    const two = project(Object.fromEntries(Object.entries(files).toReversed()));
    process.umask(mask);
    const env = {
      PATH: process.env["PATH"],
      HOME: two.cwd,
      WHO: "bob",
      TOKEN: "x",
      IMAGE: "other",
      STAGE: "b",
      TZ: "Asia/Tokyo",
      LC_ALL: "tr_TR.UTF-8",
    };
    const args = ["-c", 'umask 0027; exec "$@"', "sh", process.execPath, cliPath, "-C", two.cwd, "lock"];
    expect(spawnSync("sh", args, { cwd: "/", env }).status).toBe(0);
    expect(two.lock()).toBe(one.lock());
    const three = project();
    giveToNobody(three.cwd);
    expect(await runAsNobody(["lock"], three.cwd)).toMatchObject({ code: 0 });
    expect(three.lock()).toBe(one.lock());
  });

  it("compares with --check, and takes some paths only with --update", async () => {
    const { cwd, lock } = project();
    const check = async () => await run(["lock", "--check"], { cwd });
    expect(await check()).toMatchObject({ code: 4, stderr: expect.stringMatching(/there is no agb-sync.yaml.lock/) });
    await run(["lock"], { cwd });
    expect(await check()).toMatchObject({ code: 0 });
    const before = lock();
    writeFileSync(join(cwd, "src/eins"), "changed");
    writeFileSync(join(cwd, "src/Zwei"), "changed too");
    rmSync(join(cwd, "src/run.sh"));
    const stale = await check();
    expect(stale).toMatchObject({ code: 4, stderr: expect.stringContaining("3 differences") });
    for (const line of ["  ~ all/src/eins (digest)", "  ~ all/src/Zwei (digest)", "  - all/src/run.sh"])
      expect(stale.stderr).toContain(line);
    expect(lock()).toBe(before);
    expect(await run(["lock", "--update", "all/src/eins", "./all/src/run.sh/"], { cwd })).toMatchObject({ code: 0 });
    expect(await check()).toMatchObject({ code: 4, stderr: expect.stringContaining("1 difference\n") });
    expect(await run(["lock", "--update", "nowhere"], { cwd })).toMatchObject({ code: 64 });
    await run(["lock"], { cwd });
    expect(await check()).toMatchObject({ code: 0 });
    expect(readdirSync(cwd).filter((name) => name.endsWith(".new"))).toEqual([]);
  });

  it("refuses one that is damaged, and makes it anew", async () => {
    const { cwd, lock } = project();
    await run(["lock"], { cwd });
    const whole = lock();
    writeFileSync(join(cwd, "agb-sync.yaml.lock"), `<<<<<<< ours\n${whole}`);
    expect(await run(["apply", "--locked", "--local"], { cwd })).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/agb-sync.yaml.lock is no lock file: it holds a merge conflict/),
    });
    expect(await run(["lock"], { cwd })).toMatchObject({ code: 0 });
    expect(lock()).toBe(whole);
  });
});

describe("--locked", () => {
  it("refuses what differs before a session is created, in CI unasked, and lets through what does not", async () => {
    const { cwd } = project();
    const emulator = await sharedEmulator();
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url, WHO: "carol", STAGE: "b" };
    const sessions = async () => (await run(["session", "list"], { cwd, env })).stdout;
    const none = await sessions();
    expect(await run(["apply", "--locked"], { cwd, env })).toMatchObject({ code: 4 });
    await run(["lock"], { cwd, env });
    writeFileSync(join(cwd, "src/eins"), "changed");
    const refused = await run(["apply", "--json"], { cwd, env: { ...env, CI: "true" } });
    expect(refused).toMatchObject({ code: 4 });
    expect(jsonLines(refused.stdout).at(-1)).toMatchObject({
      code: "STALE_LOCK",
      differences: [{ path: "all/src/eins", change: "changed", what: ["digest"] }],
    });
    expect(await run(["plan", "--locked"], { cwd, env })).toMatchObject({ code: 4 });
    expect(await sessions()).toBe(none);
    expect(await run(["plan"], { cwd, env })).toMatchObject({ code: 0 });
    expect(await run(["apply", "--no-locked"], { cwd, env: { ...env, CI: "true" } })).toMatchObject({ code: 0 });
    await run(["lock", "--update", "all"], { cwd });
    const locked = await run(["apply", "--json"], { cwd, env: { ...env, CI: "true", WHO: "dave", STAGE: "a" } });
    expect(locked).toMatchObject({ code: 0 });
    expect(await run(["verify"], { cwd, env: { ...env, WHO: "dave", STAGE: "a" } })).toMatchObject({ code: 0 });
    expect(existsSync(join(cwd, ".agb-sync"))).toBe(false);
  });

  it("looks at the manifest too: image, root, modes, links, vars", async () => {
    const { cwd } = project({
      "agb-sync.yaml": 'version: 1\nroot: /tmp/a\nvars: { x: one }\nfiles: [{ path: a, content: "${vars.x}" }]\n',
    });
    await run(["lock"], { cwd });
    const differences = async (text: string, ...options: string[]) => {
      writeFileSync(join(cwd, "agb-sync.yaml"), text);
      const { code, stdout } = await run(["lock", "--check", "--json", ...options], { cwd });
      const last: { differences?: unknown } | undefined = jsonLines(stdout).at(-1);
      return [code, last?.differences];
    };
    const rest = 'vars: { x: one }\nfiles: [{ path: a, content: "${vars.x}" }]\n';
    expect(await differences(`version: 1\nroot: /tmp/b\n${rest}`)).toEqual([
      4,
      [{ path: "root", change: "changed", what: ["value"] }],
    ]);
    expect(await differences(`version: 1\nroot: /tmp/a\nsession: { image: x }\n${rest}`)).toEqual([
      4,
      [{ path: "image", change: "changed", what: ["value"] }],
    ]);
    expect(await differences(`version: 1\nroot: /tmp/a\n${rest.replace('}"', '}", mode: "0600"')}`)).toEqual([
      4,
      [{ path: "a", change: "changed", what: ["mode"] }],
    ]);
    expect(await differences(`version: 1\nroot: /tmp/a\n${rest}`, "--var", "x=two")).toEqual([
      4,
      [{ path: "a", change: "changed", what: ["digest"] }],
    ]);
    expect(
      await differences(
        `version: 1\nroot: /tmp/a\n${rest.replace("files:", "links: [{ path: b, target: a }]\nfiles:")}`,
      ),
    ).toEqual([4, [{ path: "b", change: "added", what: [] }]]);
    expect(await differences(`version: 1\nroot: /tmp/a\n${rest}`)).toEqual([0, []]);
  });

  it("has no lock file for standard input", async () => {
    const { cwd } = project({ x: "" });
    const stdin = "version: 1\nroot: /tmp/a\n";
    expect(await run(["lock", "-"], { cwd, stdin })).toMatchObject({ code: 64 });
    expect(await run(["plan", "-", "--locked", "--local"], { cwd, stdin })).toMatchObject({ code: 64 });
    expect(await run(["plan", "-", "--local"], { cwd, stdin, env: { CI: "true" } })).toMatchObject({ code: 0 });
  });
});
