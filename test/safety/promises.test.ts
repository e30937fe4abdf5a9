import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { hasCode } from "../../src/errors.ts";
import { ManifestError } from "../../src/manifest/manifest-error.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { apply, applyPlan } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { run } from "../helpers/cli.ts";
import { kinds, openOn } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;

/** More than is kept in memory between reading and sending. */
const large = (letter: string) => letter.repeat(300_000);

describe.each(kinds)("$name", ({ strategy, open }) => {
  const options = { strategy, signal, allowMassDelete: true } as const;

  it("deletes nothing while a source cannot be read (S13)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, { a: "1", b: "2" });
    await apply(mirrorOf(directory), session, options);
    rmSync(join(source, "b"));
    writeFileSync(join(source, "c"), "3");
    writeFileSync(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff, 0xfe])]), "no name in UTF-8");
    const report = await apply(mirrorOf(directory), session, options);
    expect(look(rootDirectory, { modes: false })).toEqual({
      a: expect.anything(),
      b: expect.anything(),
      c: expect.anything(),
    });
    expect(report.unreadable).toHaveLength(1);
  });

  it("sends no bytes but those of the plan, and deletes nothing when a write was not done (S15, S24, S34)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, { edited: large("o"), gone: "old" });
    await apply(mirrorOf(directory), session, options);
    writeFileSync(join(source, "edited"), large("n"));
    rmSync(join(source, "gone"));
    const planned = await makePlan(mirrorOf(directory), session, options);
    expect(planned.plan.steps.map(({ step }) => step.op)).toEqual(["write", "delete"]);
    writeFileSync(join(source, "edited"), large("x"));
    const outcome = await applyPlan(planned, mirrorOf(directory), options).then(
      (report) => report.outcomes.map(({ result }) => result.status),
      (error: unknown) => error,
    );
    const isRefused = Array.isArray(outcome) ? !outcome.includes("applied") : hasCode(outcome, "SOURCE_CHANGED");
    expect(isRefused, String(outcome)).toBe(true);
    expect(readFileSync(join(rootDirectory, "edited"), "utf8")).toBe(large("o"));
    expect(readFileSync(join(rootDirectory, "gone"), "utf8")).toBe("old");
    await apply(mirrorOf(directory), session, options);
    expect(look(rootDirectory, { modes: false })).toEqual(look(source, { modes: false }));
  });

  it("follows no link out of the source and names it (S26)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    for (const target of ["/etc/hostname", "../outside", "sub/../../outside"]) {
      layOut(source, { a: "1" });
      writeFileSync(join(directory, "outside"), "secret");
      symlinkSync(target, join(source, "leaves"));
      await expect(apply(mirrorOf(directory), session, options)).rejects.toMatchObject({
        code: "SOURCE_ESCAPES",
        message: expect.stringContaining(join(source, "leaves")),
      });
    }
    expect(existsSync(rootDirectory)).toBe(false);
  });

  it("plans the same bytes from any order (S37)", async () => {
    const { session } = await open();
    const directory = temporaryDirectory();
    const names = Array.from({ length: 60 }, (_, index) => [`d${index % 7}/f${index}`, `${index % 11}`] as const);
    layOut(join(directory, "source"), Object.fromEntries(names));
    const first = await makePlan(mirrorOf(directory), session, options);
    layOut(join(directory, "source"), Object.fromEntries(names.toReversed()));
    const second = await makePlan(mirrorOf(directory), session, options);
    expect(JSON.stringify(second.plan)).toBe(JSON.stringify(first.plan));
  });
});

describe("roots", () => {
  const parse = (root: string, more = "") =>
    parseManifest(`version: 1\nroot: ${JSON.stringify(root)}\nfiles: [{ path: a, content: x }]\n${more}`, {
      file: "agb-sync.yaml",
      directory: "/",
      env: { HOME: "/home/user" },
    });

  it.each(["/", "", "..", "/tmp/..", "/etc", "/usr/bin", "/proc/self", "//", "/home/.."])(
    "refuses %j as a root (S18)",
    (root) => {
      expect(() => parse(root)).toThrow(ManifestError);
    },
  );

  it.each(["/tmp", "/home/user", "/root"])("refuses to prune all of %j (S18)", (root) => {
    expect(() => parse(root, "prune: all\n")).toThrow(ManifestError);
    expect(() => parse(root, "trees: [{ source: x, path: ., prune: all }]\n")).toThrow(ManifestError);
    expect(() => parse(root, "trees: [{ source: x, path: sub, prune: all }]\n")).not.toThrow();
  });
});

describe("archives", () => {
  it("hold files of the stage only, whatever the names (S27, S30)", async () => {
    const emulator = await startEmulator();
    try {
      const { session, rootDirectory } = await openOn(emulator);
      const directory = temporaryDirectory();
      mkdirSync(rootDirectory, { recursive: true });
      layOut(join(directory, "source"), {
        "...": "1",
        "-rf": "2",
        "..a/b": "3",
        "a\nb": "4",
        "$(touch x)": "5",
        "--to-command=sh": "6",
        link: { link: "..a/b" },
      });
      await apply(mirrorOf(directory), session, { strategy: "batch", signal });
      expect(look(rootDirectory)).toEqual(look(join(directory, "source")));
      const archives = emulator.requests
        .filter(({ tool }) => tool === "shell")
        .flatMap(({ args }) => [...JSON.stringify(args).matchAll(/(H4sI[A-Za-z0-9+/=]{40,})/g)]);
      expect(archives).toHaveLength(1);
      const file = join(directory, "archive.tgz");
      writeFileSync(file, Buffer.from(archives[0]?.[1] ?? "", "base64"));
      const listing = execFileSync("tar", ["-tvzf", file], { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } })
        .trim()
        .split("\n");
      for (const line of listing) expect(line).toMatch(/^[-dl]\S+ .* \d\d:\d\d (?:t\/|t$|[a-z][a-z-]*$)/);
      const names = execFileSync("tar", ["-tzf", file], { encoding: "utf8" }).split("\n");
      expect(names.filter((name) => name.startsWith("/") || name.split("/").includes(".."))).toEqual([]);
      await session.close();
    } finally {
      await emulator.close();
    }
  });
});

describe("the same inputs", () => {
  it("give the same bytes of JSON at any concurrency (S37)", async () => {
    const cwd = temporaryDirectory();
    layOut(join(cwd, "src"), Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, `${index}`])));
    writeFileSync(join(cwd, "agb-sync.yaml"), "version: 1\nroot: /tmp/workspace\ntrees: [{ source: src, path: . }]\n");
    const plans = await Promise.all(
      ["1", "16"].map(async (n) => await run(["plan", "--local", "--json", "--concurrency", n], { cwd })),
    );
    expect(plans.map(({ code }) => code)).toEqual([0, 0]);
    expect(plans[0]?.stdout).toBe(plans[1]?.stdout);
  });

  it("of an unreadable source give a non-zero exit (S13)", async () => {
    const cwd = temporaryDirectory();
    layOut(join(cwd, "src"), { a: "1" });
    writeFileSync(Buffer.concat([Buffer.from(`${cwd}/src/`), Buffer.from([0xff])]), "");
    writeFileSync(join(cwd, "agb-sync.yaml"), "version: 1\nroot: /tmp/workspace\ntrees: [{ source: src, path: . }]\n");
    const { code } = await run(["apply", "--local"], { cwd });
    expect(code).not.toBe(0);
  });
});
