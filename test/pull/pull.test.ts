import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { pull } from "../../src/pull/pull.ts";
import type { PullOptions } from "../../src/pull/pull-report.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import type { Kind } from "../helpers/kinds.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const text = `files: [{ path: app/declared.txt, content: declared }]
pull:
  - { path: app, to: out/app, exclude: ["*.log", cache/], prune: true }
  - { path: report.xml, to: report.xml }
`;

async function setting(kind: Kind) {
  const { session, rootDirectory } = await kind.open();
  const cwd = temporaryDirectory();
  const manifest = manifestOf(cwd, text);
  await apply(manifest, session, { signal, strategy: kind.strategy });
  mkdirSync(join(rootDirectory, "app/sub"), { recursive: true });
  mkdirSync(join(rootDirectory, "app/cache"));
  const put = (path: string, bytes: string | Buffer) => writeFileSync(join(rootDirectory, path), bytes);
  put("app/sub/odd \u00e4 $(x)", Buffer.from([0, 1, 255, 10]));
  put("app/sub/empty", "");
  put("app/x.log", "left out");
  put("app/cache/y", "left out");
  put("report.xml", "<ok/>");
  const run = async (options: Partial<PullOptions> = {}) => {
    const settings = { signal, cacheDirectory: join(cwd, "cache"), strategy: kind.strategy, ...options };
    const { outcomes, unchanged } = await pull(manifest, session, settings);
    const told = outcomes.map(({ path, status }) => `${status} ${path}`).toSorted();
    return { told, outcomes, unchanged };
  };
  return { session, rootDirectory, cwd, put, run, here: (path: string) => join(cwd, path) };
}

describe.each(kinds)("pull, $name", (kind) => {
  it("brings back bytes, modes and links, and leaves out what is excluded", async () => {
    const { session, rootDirectory, run, here, cwd } = await setting(kind);
    chmodSync(join(rootDirectory, "app/sub/empty"), 0o750);
    if (kind.isFull) symlinkSync("../declared.txt", join(rootDirectory, "app/sub/link"));
    const dry = await run({ dryRun: true });
    expect(existsSync(here("out"))).toBe(false);
    const first = await run();
    expect(first.told).toEqual(dry.told);
    expect(first.told).toContain("created app/declared.txt");
    expect(readFileSync(here("out/app/sub/odd \u00e4 $(x)"))).toEqual(Buffer.from([0, 1, 255, 10]));
    expect(readFileSync(here("report.xml"), "utf8")).toBe("<ok/>");
    expect(existsSync(here("out/app/x.log")) || existsSync(here("out/app/cache"))).toBe(false);
    const link = kind.isFull ? readlinkSync(here("out/app/sub/link")) : "../declared.txt";
    const mode = kind.isFull ? lstatSync(here("out/app/sub/empty")).mode & 0o777 : 0o750;
    expect([link, mode]).toEqual(["../declared.txt", 0o750]);
    expect((await run()).told).toEqual([]);
    expect(readdirSync(cwd).filter((name) => name.startsWith(".agb-sync-pull"))).toEqual([]);
    await session.close();
  });

  it("leaves what changed here, and deletes only what it brought and nobody changed", async () => {
    const { session, rootDirectory, put, run, here } = await setting(kind);
    mkdirSync(here("out/app"), { recursive: true });
    writeFileSync(here("out/app/declared.txt"), "mine before");
    expect((await run()).told).toContain("conflict app/declared.txt");
    expect(readFileSync(here("out/app/declared.txt"), "utf8")).toBe("mine before");
    expect((await run({ force: true })).told).toEqual(["replaced app/declared.txt"]);
    put("app/declared.txt", "from there");
    expect((await run()).told).toEqual(["replaced app/declared.txt"]);
    writeFileSync(here("out/app/declared.txt"), "mine again");
    put("app/declared.txt", "from there again");
    expect((await run()).told).toEqual(["conflict app/declared.txt"]);
    writeFileSync(here("out/app/own"), "never pulled");
    rmSync(join(rootDirectory, "app/sub"), { recursive: true });
    rmSync(join(rootDirectory, "app/declared.txt"));
    const gone = await run();
    expect(gone.told).toEqual([
      "conflict app/declared.txt",
      "deleted app/sub/empty",
      "deleted app/sub/odd \u00e4 $(x)",
    ]);
    expect(readdirSync(here("out/app")).toSorted()).toEqual(["declared.txt", "own"]);
    rmSync(join(rootDirectory, "app"), { recursive: true });
    expect((await run()).told).toEqual(["failed app"]);
    expect(existsSync(here("out/app/own"))).toBe(true);
    await session.close();
  });

  it("brings with --changed what the session made or changed only", async () => {
    const { session, put, run } = await setting(kind);
    expect((await run({ changed: true })).told).toEqual([
      "created app/sub/empty",
      "created app/sub/odd \u00e4 $(x)",
      "created report.xml",
    ]);
    put("app/declared.txt", "changed there");
    expect((await run({ changed: true })).told).toEqual(["created app/declared.txt"]);
    await session.close();
  });

  it.runIf(kind.isFull)("makes no link that leads out, and writes through none", async () => {
    const { session, rootDirectory, run, here, cwd } = await setting(kind);
    const links = { absolute: "/etc", up: "../..", later: "sub/../../../x", fine: "sub/../declared.txt" };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, join(rootDirectory, "app", name));
    layOut(join(cwd, "outside"), { keep: "" });
    mkdirSync(here("out/app"), { recursive: true });
    symlinkSync(join(cwd, "outside"), here("out/app/sub"));
    const { outcomes } = await run();
    const refused = outcomes.filter(({ status }) => status === "refused").map(({ path }) => path);
    expect(refused.toSorted()).toEqual([
      "app/absolute",
      "app/fine",
      "app/later",
      "app/sub/empty",
      "app/sub/odd \u00e4 $(x)",
      "app/up",
    ]);
    expect(readdirSync(join(cwd, "outside"))).toEqual(["keep"]);
    await session.close();
  });
});
