import { execFile } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { triesAll } from "../helpers/tries-all.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);
const about: { dependencies: Record<string, string>; devDependencies: Record<string, string> } = JSON.parse(
  readFileSync(join(project, "package.json"), "utf8"),
);

/** Names of the packages that the built library imports. */
function importedBy(dist: string): readonly string[] {
  const sources = readdirSync(dist).filter((name) => name.endsWith(".js"));
  const found = sources.flatMap((name) => [
    ...readFileSync(join(dist, name), "utf8").matchAll(
      /^(?:import|export)\b[^"'\n]*?"([^".][^"]*)";$|\bimport\("([^".][^"]*)"\)/gm,
    ),
  ]);
  const names = found.map(([, one, other]) => /^(?:@[^/]+\/)?[^/]+/.exec(one ?? other ?? "")?.[0] ?? "");
  return [...new Set(names)].filter((name) => name !== "" && !name.startsWith("node:")).toSorted();
}

it("installs with itself what the library imports, and nothing else", () => {
  expect(importedBy(join(project, "dist"))).toEqual(Object.keys(about.dependencies).toSorted());
});

it("names in its notices every package that is bundled, with the licence", () => {
  const notices = readFileSync(join(project, "dist/THIRD_PARTY_NOTICES.txt"), "utf8");
  for (const name of ["commander", "diff", "tar-stream", "undici", "yaml"]) {
    expect(notices).toMatch(new RegExp(`^${name} \\d+\\.\\d+\\.\\d+ \\([^)]+\\)\\n\\n[^-]`, "m"));
  }
  expect(Object.keys(about.devDependencies)).toEqual(expect.arrayContaining(["commander", "diff", "tar-stream"]));
});

/** What `npm pack` makes of a copy of the project, so that the dist that other tests run is left alone. */
async function pack(): Promise<{ readonly file: string; readonly paths: readonly string[] }> {
  const copy = join(temporaryDirectory(), "project");
  mkdirSync(copy);
  for (const name of ["package.json", "tsconfig.json", "tsconfig.build.json", "src", "schemas", ".build", "LICENSE"]) {
    cpSync(join(project, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(project, "node_modules"), join(copy, "node_modules"));
  const { stdout, stderr } = await run("npm", ["pack", "--json"], { cwd: copy });
  expect(stderr).not.toMatch(/warn/i);
  const report: { filename: string; files: { path: string }[] }[] = JSON.parse(stdout.slice(stdout.indexOf("[\n")));
  const [made = { filename: "", files: [] }] = report;
  return { file: join(copy, made.filename), paths: made.files.map(({ path }) => path) };
}

/** Puts beside it what npm would install with it: what is not for development only, by the lock file. */
function installDependencies(user: string): void {
  const lock: { packages: Record<string, { dev?: boolean; optional?: boolean }> } = JSON.parse(
    readFileSync(join(project, "package-lock.json"), "utf8"),
  );
  for (const [path, { dev = false, optional = false }] of Object.entries(lock.packages)) {
    if (path === "" || dev || optional) continue;
    cpSync(join(project, path), join(user, path), { recursive: true });
  }
}

const program = `import { readFileSync } from "node:fs";
import { apply, connect, loadManifest, type Manifest, type Plan, plan } from "agb-sync";
import schema from "agb-sync/schema.json" with { type: "json" };

const { signal } = new AbortController();
const here = { cwd: process.cwd(), env: process.env };
const manifest: Manifest = await loadManifest("agb-sync.yaml", here);
const session = await connect({ ...here, local: "by-library", signal });
const { plan: planned }: { plan: Plan } = await plan(manifest, session, { signal });
const { verified }: { verified: boolean } = await apply(manifest, session, { signal });
await session.close();
const text: string = readFileSync("by-library/tmp/workspace/a.txt", "utf8");
process.stdout.write(JSON.stringify([planned.steps.length > 0, verified, text, typeof schema]));
`;

/** Packing builds everything anew, and looks at the types with another compiler: apart from the usual tests. */
it.runIf(triesAll)(
  "packed and put into an empty project, command line and library run, and the types stand by themselves",
  async () => {
    const { file, paths } = await pack();
    const unwanted = paths.filter((path) => /\.d\.[cm]?ts$|\.map$|^(?:src|test|\.)/.test(path));
    expect(unwanted).toEqual(["dist/index.d.ts"]);
    const user = temporaryDirectory();
    const own = join(user, "node_modules/agb-sync");
    mkdirSync(own, { recursive: true });
    await run("tar", ["-xzf", file, "-C", own, "--strip-components=1"]);
    writeFileSync(join(user, "package.json"), '{ "type": "module" }\n');
    const manifest = 'version: 1\nroot: /tmp/workspace\nfiles: [{ path: a.txt, content: "a\\n" }]\n';
    writeFileSync(join(user, "agb-sync.yaml"), manifest);
    const node = async (...args: readonly string[]) => (await run(process.execPath, args, { cwd: user })).stdout;

    // The command line needs nothing beside it.
    const cli = join(own, "dist/bin/agb-sync.cjs");
    expect(await node(cli, "apply", "--local", "--yes")).toContain("verified");
    expect(readFileSync(join(user, ".agb-sync/local/tmp/workspace/a.txt"), "utf8")).toBe("a\n");
    expect(await node(cli, "schema")).toContain('"$schema"');

    installDependencies(user);
    for (const name of ["@types/node", "undici-types"]) {
      cpSync(join(project, "node_modules", name), join(user, "node_modules", name), { recursive: true });
    }
    writeFileSync(join(user, "main.ts"), program);
    const compiler = join(project, "node_modules/typescript/bin/tsc");
    const options = "--strict --module nodenext --target es2023 --types node --resolveJsonModule main.ts";
    await node(compiler, ...options.split(" "));
    expect(JSON.parse(await node("main.js"))).toEqual([true, true, "a\n", "object"]);

    const tool = (name: string) => join(project, "node_modules", name);
    expect(await node(tool("publint/src/cli.js"), "run", file, "--strict")).toContain("All good!");
    expect(await node(tool("@arethetypeswrong/cli/dist/index.js"), file, "--profile", "esm-only")).not.toContain("❌");
  },
  300_000,
);
