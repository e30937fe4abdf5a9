import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { jsonLines } from "./json-lines.ts";

describe("agb-sync session", () => {
  async function account() {
    const { url, apiKey } = await sharedEmulator();
    const cwd = temporaryDirectory();
    const env = { AGB_API_KEY: apiKey, AGB_ENDPOINT: url };
    const session = async (...args: string[]) => await run(["session", ...args], { cwd, env });
    const create = async (...args: string[]) => (await session("create", "--image", "i", ...args)).stdout.trim();
    const live = async () => (await session("list")).stdout;
    return { session, create, live };
  }

  it.each(["delete", "keep-alive"])("%s takes an id or a name, and says which there is none of", async (command) => {
    const { session, create, live } = await account();
    const [byId, byName] = [await create(), await create("--name", `demo-${command}`)];
    const done = await session(command, byId, "nope", `demo-${command}`, "");
    expect(done.code).toBe(69);
    expect(done.stdout).toMatch(new RegExp(`${byId}[ .].*\\n.*${byName} \\(demo-${command}\\)`));
    expect(done.stderr).toMatch(/no live session with the id or the name "nope"[^]*the name ""/);
    const left = await live();
    expect([left.includes(byId), left.includes(byName)]).toEqual(command === "delete" ? [false, false] : [true, true]);
  });

  it.each(["delete", "keep-alive"])("%s tells of one that is gone, as JSON too", async (command) => {
    const { session, create } = await account();
    const id = await create();
    await session("delete", id);
    const { code, stdout } = await session(command, id, "--json");
    expect([code, jsonLines(stdout)]).toEqual([
      69,
      [expect.objectContaining({ type: "error", code: "SESSION_NOT_FOUND" })],
    ]);
  });
});

describe("--local with what is no directory", () => {
  const manifest = "version: 1\nroot: /tmp/workspace\nfiles: [{ path: a, content: a }]\n";
  const commands = [
    ["apply"],
    ["plan"],
    ["watch", "--once-ready-exit"],
    ["status"],
    ["verify"],
    ["unlock"],
    ["backups", "list"],
  ];

  it.each([...commands, ["backups", "restore", "x"]])(
    "is refused before %s makes anything of it",
    async (...command) => {
      const cwd = temporaryDirectory();
      layOut(cwd, { "agb-sync.yaml": manifest });
      for (const local of ["foo.yaml", "below/foo.yml", "plan.json"]) {
        const { code, stderr } = await run([...command, "--local", local], { cwd });
        expect([code, stderr]).toEqual([
          64,
          expect.stringMatching(`--local ${local} is not there\nhint: .*goes before it`),
        ]);
      }
      expect(await run([...command, "--local", ""], { cwd })).toMatchObject({ code: 64 });
      expect(readdirSync(cwd)).toEqual(["agb-sync.yaml"]);
    },
  );

  it.each(commands)("means the manifest where that is one: %s", async (...command) => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "foo.yaml": manifest });
    expect((await run(["apply", "--local", "foo.yaml"], { cwd })).code).toBe(0);
    expect((await run([...command, "--local", "foo.yaml"], { cwd })).code).toBe(0);
    expect((await run([...command, "--local", "-"], { cwd, stdin: manifest })).code).toBe(0);
    expect(readdirSync(cwd).toSorted()).toEqual([".agb-sync", "foo.yaml"]);
  });
});
