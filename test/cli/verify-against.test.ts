import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { run } from "../helpers/cli.ts";
import { openOn, sharedEmulator } from "../helpers/kinds.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { isOfSchema, jsonLines } from "./json-lines.ts";

const recipe = fileURLToPath(new URL("../../examples/ci/digest.py", import.meta.url));

const manifest = `version: 1
root: /tmp/workspace
ignore: ["*.log"]
directories: [{ path: empty }]
files: [{ path: notes.md, content: seed, ifPresent: keep }]
trees: [{ source: src, path: app }]
`;

type Setting = {
  readonly cwd: string;
  readonly env: Record<string, string>;
  readonly place: string;
  readonly where: readonly string[];
};

function project(): string {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": manifest, "src/one": "1", "src/sub/ä": "2" });
  return cwd;
}

async function embedded(): Promise<Setting> {
  const cwd = project();
  return await Promise.resolve({ cwd, env: {}, place: join(cwd, "s/tmp/workspace"), where: ["--local", "s"] });
}

const onEmulator = (options: EmulatorOptions) => async (): Promise<Setting> => {
  const emulator = await sharedEmulator(options);
  const { session, rootDirectory } = await openOn(emulator);
  await session.close();
  const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
  return { cwd: project(), env, place: rootDirectory, where: ["--session", session.id] };
};

describe.each<[string, () => Promise<Setting>]>([
  ["embedded", embedded],
  ["AGB with shell", onEmulator({})],
  ["AGB without shell", onEmulator({ missingTools: ["shell", "run_code"] })],
])("verify --against, %s", (_, open) => {
  it("is met by the digest of what is there only, and by nothing when something else is", async () => {
    const { cwd, env, place, where } = await open();
    const verify = async (...options: string[]) => await run(["verify", ...where, ...options], { cwd, env });
    const applied = await run(["apply", "--json", ...where], { cwd, env });
    expect(applied.code).toBe(0);
    const { digest }: { digest?: string } = jsonLines(applied.stdout).at(-1) ?? {};
    const outside = spawnSync("python3", [recipe, place], { encoding: "utf8" });
    expect(outside.stdout.trim()).toBe(digest);
    const wanted = String(digest);
    expect(await verify("--against", wanted)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Verified: /) });
    expect(await verify("--against", wanted.slice("sha256:".length).toUpperCase())).toMatchObject({ code: 0 });

    writeFileSync(join(place, "x.log"), "what is ignored is not looked at");
    expect(await verify("--against", wanted)).toMatchObject({ code: 0 });
    mkdirSync(join(place, "cache"));
    writeFileSync(join(place, "cache/a"), "");
    writeFileSync(join(place, "app/sub/stray"), "");
    const unmanaged = await verify("--against", wanted, "--json");
    const [line] = jsonLines(unmanaged.stdout);
    expect([unmanaged.code, isOfSchema(line), line]).toMatchObject([
      2,
      true,
      { equal: true, found: wanted, matches: false, unmanaged: ["app/sub/stray", "cache"] },
    ]);
    const told = await verify("--against", wanted);
    expect(told).toMatchObject({
      code: 2,
      stdout: expect.stringMatching(/stray: not declared\n.*cache\/: not declared\n/),
    });
    expect(told.stdout).not.toMatch(/verified/i);
    expect(await verify()).toMatchObject({ code: 0 });
    rmSync(join(place, "cache"), { recursive: true });
    rmSync(join(place, "app/sub/stray"));

    const other = `sha256:${"0".repeat(64)}`;
    const refused = await verify("--against", other);
    expect(refused).toMatchObject({ code: 2, stdout: expect.stringContaining(`found ${wanted}`) });
    expect(refused.stdout).not.toMatch(/verified/i);
    expect(await verify("--against", "9f86d0")).toMatchObject({ code: 64 });

    // An edited seed is what is there; what is kept is never called equal.
    writeFileSync(join(place, "notes.md"), "edited");
    expect(await verify("--against", wanted)).toMatchObject({ code: 2 });
    writeFileSync(join(place, "notes.md"), "seed");
    writeFileSync(join(place, "app/one"), "edited");
    expect(await verify("--against", wanted)).toMatchObject({ code: 2 });
    expect(await run(["apply", "--keep", "app/one", ...where], { cwd, env })).toMatchObject({ code: 0 });
    const now = spawnSync("python3", [recipe, place], { encoding: "utf8" });
    rmSync(join(place, "x.log"));
    const kept = spawnSync("python3", [recipe, place], { encoding: "utf8" }).stdout.trim();
    expect(now.stdout.trim()).not.toBe(kept);
    expect(await verify("--against", wanted, "--allow-kept")).toMatchObject({ code: 2 });
    expect(await verify("--against", kept)).toMatchObject({ code: 2, stdout: expect.stringMatching(/kept/) });
    expect(await verify("--against", kept, "--allow-kept")).toMatchObject({ code: 0 });
  });
});
