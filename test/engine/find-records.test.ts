import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../src/connect.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { prunesOf } from "../../src/engine/find-records.ts";
import { apply, plan } from "../../src/index.ts";
import { ignoreMatcher } from "../../src/manifest/ignore-matcher.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

/** Names that matchers are known to differ about. */
const names = [
  ..."a|b|A|ab|é.log|éé.log|ab.log|a.log|.log|.a|a\t|a |a  | a|a\n|\n|🙂|🙂.log|a🙂b|[a]|[ab]|[!a]|a?|a*|*|\\|\\a|a\\|!a|#a|-a|--|{a}|a,b|~|$a|(a)|e\u0301|a..b|...|.hidden|node_modules|build".split(
    "|",
  ),
  "\u0085x",
  "\ufeffa",
];
/** Places that hold each other's names. */
const paths = [
  ...names,
  ...["dir", "a.d", "node_modules.d", "é", "a b"].flatMap((place) =>
    ["a", "ab", "é.log", "build/a", "node_modules/x/y.log", ".a", "a\n/b", "sub/dir/a"].map(
      (name) => `${place}/${name}`,
    ),
  ),
];

let directory = "";
/** Every path there is, and whether it is a directory. */
let all: ReadonlyMap<string, boolean> = new Map();

beforeAll(() => {
  // A hook belongs to no test whose end could remove it.
  directory = join(execFileSync("mktemp", ["-d"], { encoding: "utf8" }).trim(), "names");
  mkdirSync(directory);
  for (const path of paths) {
    mkdirSync(join(directory, dirname(path)), { recursive: true });
    writeFileSync(join(directory, path), "");
  }
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  all = new Map(
    entries.map((entry) => [join(entry.parentPath, entry.name).slice(directory.length + 1), entry.isDirectory()]),
  );
  return () => execFileSync("rm", ["-rf", dirname(directory)]);
});

const hasBusybox = spawnSync("busybox", ["find", "--help"]).status === 0;
const finders: readonly (readonly [string, readonly [string, ...string[]], Record<string, string>])[] = [
  ["find, in bytes", ["find"], { LC_ALL: "C" }],
  ["find, in characters", ["find"], { LC_ALL: "C.UTF-8" }],
  ...(hasBusybox ? [["find of busybox", ["busybox", "find"], {}] as const] : []),
];

/** What is left when `find` does not enter what it prunes. */
function foundBy(
  finder: readonly [string, ...string[]],
  env: Record<string, string>,
  patterns: readonly string[],
): readonly string[] {
  const pruning = prunesOf(patterns).prunes.flatMap((test) => [...test, "-prune", "-o"]);
  const [program, ...words] = [...finder, ".", "-mindepth", "1", ...pruning, "-print0"];
  const output = execFileSync(program, words, { cwd: directory, env: { ...process.env, ...env }, encoding: "utf8" });
  return output
    .split("\0")
    .slice(0, -1)
    .map((path) => path.slice(2));
}

const pattern = fc.oneof(
  fc.constantFrom(...names),
  fc
    .tuple(
      fc.constantFrom("", "", "", "!", "/", "\\", "**/", "dir/", "./", "//", " "),
      fc
        .array(
          fc.constantFrom(
            "a",
            "b",
            "A",
            ".",
            "log",
            "*",
            "*",
            "?",
            "é",
            "🙂",
            "[a-b]",
            "[!a]",
            "[^a]",
            "\\a",
            "\\",
            "dir",
            "build",
            "/",
            "**",
            "-",
            " ",
            "\t",
            "\n",
            "..",
            "node_modules",
            "{a}",
            "#",
            "!",
          ),
          {
            minLength: 1,
            maxLength: 4,
          },
        )
        .map((parts) => parts.join("")),
      fc.constantFrom("", "", "", "/", " ", "\\ ", "\t", "/**", "/*", "\r"),
    )
    .map((parts) => parts.join("")),
);

describe.each(finders)("ignore patterns that %s applies", (_name, finder, env) => {
  it("say of every name what they say on this machine", { timeout: 300_000 }, () => {
    const seen = { whole: 0, pruned: 0 };
    const examples: [string[]][] = [
      ["a", "*.log"],
      ["??.log"],
      ["a\t"],
      ["a "],
      ["*"],
      [".*"],
      ["*", "!a"],
      ["-*"],
      ["é*"],
      ["dir/a/"],
      ["/dir/a"],
      ["dir//a"],
      ["./a"],
      ["../a"],
      ["a*b"],
      ["*.*"],
      ["...", "--"],
      ["node_modules/", ".a*", "!.ab"],
      ["dir/", "!dir/a"],
      ["[a]"],
      ["\\a"],
      ["a/"],
      ["A"],
    ].map((patterns) => [patterns]);
    fc.assert(
      fc.property(fc.array(pattern, { minLength: 1, maxLength: 3 }), (patterns) => {
        const isIgnored = ignoreMatcher(patterns);
        const wanted = [...all].filter(([path, isDirectory]) => !isIgnored(path, isDirectory)).map(([path]) => path);
        const found = new Set(foundBy(finder, env, patterns));
        expect(
          wanted.filter((path) => !found.has(path)),
          "left out, although it counts",
        ).toEqual([]);
        if (found.size < all.size) seen.pruned += 1;
        if (!prunesOf(patterns).isWhole) return;
        seen.whole += 1;
        expect([...found].toSorted(), "listed, although it is ignored").toEqual(wanted.toSorted());
      }),
      { numRuns: process.env["CRASH_MATRIX"] === "full" ? 5000 : 60, examples },
    );
    expect(Math.min(seen.whole, seen.pruned)).toBeGreaterThan(5);
  });
});

describe("what goes to find", () => {
  it.each<[string, readonly string[], number, boolean]>([
    ["plain names", ["node_modules/", "*.log", "/build", "a/b/"], 4, true],
    ["besides a negation of another name", ["node_modules/", "*.pem", ".env", ".env.*", "!.env.example"], 3, false],
    ["besides a negation that is moot", ["node_modules/", "!src"], 1, true],
    ["nothing beside a negation of anything", ["node_modules/", "!*.js"], 0, false],
    ["nothing beside a negation of a place", ["node_modules/", "!a/b"], 0, false],
    ["no question marks, brackets, blanks or escapes", ["??.log", "[ab]", "a\t", "a ", "\\a", "é"], 0, false],
    ["comments and empty lines do not count", ["# a", "", "  ", "b"], 1, true],
  ])("%s", (_name, patterns, count, isWhole) => {
    const prunes = prunesOf(patterns);
    expect([prunes.prunes.length, prunes.isWhole]).toEqual([count, isWhole]);
  });
});

describe("an apply with names that matchers differ about", () => {
  it.each([["??.log"], ["a\t"], ["[!a].log"], ["*.log "], ["\\é.log"], ["?"]])(
    "is over after one: %j",
    async (rule) => {
      const place = temporaryDirectory();
      layOut(join(place, "source"), { "é.log": "1", "ab.log": "2", a: "3", "🙂": "4", "b.log": "5", "a\t": "6" });
      const manifest = manifestOf(place, `ignore: [${JSON.stringify(rule)}]\ntrees: [{ source: source, path: . }]\n`);
      const { signal } = new AbortController();
      const emulator = await startEmulator({ rootDir: join(place, "emulated") });
      onTestFinished(async () => await emulator.close());
      const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
      const session = await connect({ env, spec: manifest.session, cwd: "/", signal });
      await apply(manifest, session, { signal });
      expect((await plan(manifest, session, { signal })).plan.steps).toEqual([]);
      await session.close();
    },
  );
});
