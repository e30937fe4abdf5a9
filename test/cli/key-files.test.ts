import { linkSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run, start, waitForLine } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const KEY = "AGB_API_KEY=akm-0123\n";
const manifest = (more: string) => `version: 1\nroot: /tmp/workspace\n${more}\n`;
const tree = "trees: [{ source: ., path: . }]";

function project(files: Readonly<Record<string, string>>, text: string): string {
  const directory = temporaryDirectory();
  layOut(directory, { ...files, "agb-sync.yaml": manifest(text) });
  return directory;
}

describe("the file that holds the key (S46)", () => {
  it.each<[string, Readonly<Record<string, string>>, string, readonly string[], string]>([
    ["in a tree", { ".env": KEY }, tree, [], ".env"],
    ["with another beside it", { ".env": `A=b\nexport ${KEY}` }, tree, [], ".env"],
    ["as a file", { ".env": KEY }, "files: [{ path: settings, source: .env }]", [], ".env"],
    ["as a template", { ".env": KEY }, "files: [{ path: settings, source: .env, template: true }]", [], ".env"],
    ["by --env-file", { "keys/prod": KEY }, tree, ["--env-file", "keys/prod"], "keys/prod"],
    ["through a link", { real: KEY }, tree, ["LINK"], "real"],
    ["by another name of the same file", { ".env": KEY }, "trees: [{ source: app, path: . }]", ["HARD"], "app/copy"],
  ])("is warned of when it would be sent: %s", async (_name, files, text, args, named) => {
    const cwd = project({ ...files, "app/f": "" }, text);
    if (args[0] === "LINK") symlinkSync("real", join(cwd, ".env"));
    if (args[0] === "HARD") linkSync(join(cwd, ".env"), join(cwd, "app/copy"));
    const options = args.filter((arg) => /^[a-z-]/.test(arg));
    for (const command of [["validate"], ["plan", "--local", "/nowhere"], ["apply", "--local", "S"]]) {
      const { stdout, stderr } = await run([...command, ...options], { cwd });
      expect([command, `${stdout}${stderr}`.match(/\S+ holds AGB_API_KEY/g)]).toEqual([
        command,
        [`${join(cwd, named)} holds AGB_API_KEY`],
      ]);
    }
  });

  it.each([
    ["is not sent", { ".env": KEY }, `${tree}\nignore: [.env]`],
    ["holds no key", { ".env": "A=b\n" }, tree],
    ["does not set it", { ".env": "# AGB_API_KEY=x\n" }, tree],
  ])("is not warned of when it %s", async (_name, files, text) => {
    const { code, stdout, stderr } = await run(["validate"], { cwd: project(files, text) });
    expect([code, `${stdout}${stderr}`]).toEqual([0, expect.not.stringContaining("AGB_API_KEY")]);
  });

  it("is warned of by watch when it comes later", async () => {
    const cwd = project({ "app/f": "", "other/.env": "" }, "trees: [{ source: app, path: . }]");
    writeFileSync(join(cwd, ".env"), KEY);
    const child = start(["watch", "--local", "S"], { cwd });
    await waitForLine(child, /Ready/);
    linkSync(join(cwd, ".env"), join(cwd, "app/.env"));
    expect(await waitForLine(child, /AGB_API_KEY/)).toContain(join(cwd, "app/.env"));
  });
});

describe("init", () => {
  const secrets = [".env", ".env.local", "sub/.env.production", "cert.pem", "k/server.key", "id_rsa", ".ssh/config"];
  const tools = [".git/HEAD", "node_modules/x/y", "app/node_modules/z"];
  const kept = [".env.example", "sub/.env.example", "app/f", "keys.ts", "environment", "agb-sync.yaml.md"];

  it.each([["init", "--from", "."]])("writes what leaves out secrets, tools and the manifest", async (...args) => {
    const cwd = temporaryDirectory();
    layOut(cwd, Object.fromEntries([...secrets, ...tools, ...kept].map((path) => [path, KEY])));
    expect((await run(args, { cwd })).code).toBe(0);
    const { code, stdout } = await run(["plan", "--local", "S"], { cwd });
    const planned = [...stdout.matchAll(/^ +\+ (.*[^/]) \(/gm)].map(([, path = ""]) => path);
    expect([code, new Set(planned)]).toEqual([0, new Set(kept)]);
  });
});
