import { cpSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const manifest =
  "version: 1\nroot: /tmp/workspace\ntrees: [{ source: src, path: . }]\nrun: [{ command: echo ran >> log }]\n";

async function saved(text = manifest, options: readonly string[] = [], stdin = "") {
  const cwd = temporaryDirectory();
  const files = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`one/src/f${index}`, `${index}`]));
  layOut(cwd, { "one/agb-sync.yaml": text, ...files });
  const one = join(cwd, "one");
  const out = await run(["plan", ...options, "--local", "s", "--out", "p.json"], { cwd: one, stdin });
  expect(out).toMatchObject({ code: 0 });
  return { cwd, one, read: (path: string) => readFileSync(join(one, "s/tmp/workspace", path), "utf8") };
}

describe("a saved plan", () => {
  it("is applied once; a second time it says so, and runs nothing again", async () => {
    const { one, read } = await saved();
    const apply = async () => await run(["apply", "p.json", "--local", "s"], { cwd: one });
    expect((await apply()).code).toBe(0);
    const again = await apply();
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining("applied already")]);
    expect(again.stdout.split("\n").length).toBeLessThan(4);
    writeFileSync(join(one, "src/other"), "a change elsewhere");
    expect(await apply()).toMatchObject({ code: 0, stderr: expect.stringContaining("applied already") });
    expect(read("log")).toBe("ran\n");
    writeFileSync(join(one, "src/f1"), "new");
    const refused = await apply();
    expect([refused.code, refused.stderr]).toEqual([
      4,
      expect.stringMatching(/since it was made: f0, .* and 20 more\n/),
    ]);
  });

  it("names its manifest relative to itself: moved together they hold, and no other checkout is used", async () => {
    const { cwd, one } = await saved();
    expect(readFileSync(join(one, "p.json"), "utf8")).not.toContain(cwd);
    renameSync(one, join(cwd, "two"));
    mkdirSync(join(cwd, "empty"));
    cpSync(join(cwd, "two/p.json"), join(cwd, "empty/p.json"));
    expect(await run(["apply", "../empty/p.json", "--local", "s"], { cwd: join(cwd, "two") })).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/its manifest .*empty\/agb-sync.yaml is not there/),
    });
    expect((await run(["apply", "two/p.json", "--local", "two/s"], { cwd })).code).toBe(4);
    layOut(join(cwd, "empty"), { "agb-sync.yaml": `${manifest}# another\n` });
    cpSync(join(cwd, "two/p.json"), join(cwd, "empty/p.json"));
    expect(await run(["apply", "p.json", "--local", "../two/s"], { cwd: join(cwd, "empty") })).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/empty\/agb-sync.yaml changed since it was made/),
    });
  });

  it("is refused when its manifest changed, wherever in it", async () => {
    const { one } = await saved();
    writeFileSync(join(one, "agb-sync.yaml"), manifest.replace("ran", "other"));
    expect(await run(["apply", "p.json", "--local", "s"], { cwd: one })).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/agb-sync.yaml changed since it was made/),
    });
  });

  it("made from standard input wants the same there again", async () => {
    const { one, read } = await saved("", ["-"], manifest);
    const apply = async (stdin: string) => await run(["apply", "p.json", "--local", "s"], { cwd: one, stdin });
    expect(await apply("")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("standard input is not the one"),
    });
    expect((await apply(manifest)).code).toBe(0);
    expect(read("log")).toBe("ran\n");
  });

  it("made with --var, --env-file and rules finds them again or says what is missing, and holds no value of them", async () => {
    const text = `${manifest}files: [{ path: v, content: "\${vars.v} \${env.E}" }]\n`;
    const base = temporaryDirectory();
    layOut(base, { "agb-sync.yaml": text, "src/a": "a", "conf/e": "E=e" });
    const at = { cwd: base };
    const how = ["--local", "s", "--var", "v=s3cret"];
    const rules = ["--env-file", "conf/e", "--on-conflict", "overwrite", "--no-detect-moves"];
    mkdirSync(join(base, "s/tmp/workspace"), { recursive: true });
    writeFileSync(join(base, "s/tmp/workspace/a"), "theirs");
    expect((await run(["plan", ...how, ...rules, "--out", "conf/p.json"], at)).code).toBe(0);
    expect(readFileSync(join(base, "conf/p.json"), "utf8")).not.toContain("s3cret");
    const none = await run(["apply", "conf/p.json", "--local", "s"], at);
    expect(none).toMatchObject({ code: 4, stderr: expect.stringContaining("made with other values of --var v") });
    expect((await run(["apply", "conf/p.json", ...how], at)).code).toBe(0);
    expect(readFileSync(join(base, "s/tmp/workspace/v"), "utf8")).toBe("s3cret e");
    expect(readFileSync(join(base, "s/tmp/workspace/a"), "utf8")).toBe("a");
  });

  it("is for one session, whatever the file is called", async () => {
    const { url, apiKey } = await sharedEmulator();
    const env = { AGB_API_KEY: apiKey, AGB_ENDPOINT: url };
    const { cwd, one } = await saved();
    expect(await run(["apply", "p.json"], { cwd: one, env })).toMatchObject({
      code: 64,
      stderr: expect.stringMatching(/embedded on this machine\n.*--local/),
    });
    expect(await run(["apply", "p.json", "--local", "other"], { cwd: one })).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/it was made for session local-\w+, this is local-/),
    });
    const ids: string[] = [];
    for (const _ of [1, 2]) ids.push((await run(["session", "create", "--image", "i"], { cwd, env })).stdout.trim());
    const [first = "", second = ""] = ids;
    await run(["plan", "--session", first, "--out", "of-agb"], { cwd: one, env });
    expect((await run(["apply", "of-agb", "--session", second], { cwd: one, env })).code).toBe(4);
    expect((await run(["apply", "of-agb"], { cwd: one, env })).code).toBe(0);
    layOut(join(cwd, "json"), { "m.json": JSON.stringify({ version: 1, root: "/w" }) });
    expect((await run(["apply", "m.json", "--local"], { cwd: join(cwd, "json") })).code).toBe(0);
  });
});
