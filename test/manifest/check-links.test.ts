import { mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readSources } from "../../src/desired/read-sources.ts";
import { hasCode } from "../../src/errors.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";
import { problemsOf } from "./problems-of.ts";

type Link = readonly [path: string, target: string];

const linesOf = (links: readonly Link[]) =>
  `links:\n${links.map(([path, target]) => `  - { path: ${JSON.stringify(path)}, target: ${JSON.stringify(target)} }\n`).join("")}`;

describe("declared links", () => {
  const out = "leads out of root through";
  it.each<[string, readonly Link[], string, readonly (string | RegExp)[]]>([
    [
      "up after a link",
      [
        ["d", "."],
        ["x", "d/d/../../etc/passwd"],
      ],
      "",
      [`5 link target "d/d/../../etc/passwd" ${out} "d"`],
    ],
    [
      "in the other order",
      [
        ["x", "d/../y"],
        ["d", "."],
      ],
      "",
      [`4 link target "d/../y" ${out} "d"`],
    ],
    [
      "through several",
      [
        ["a", "b"],
        ["b", "c/"],
        ["c", "."],
        ["x", "./a/../y"],
      ],
      "",
      [`7 link target "./a/../y" ${out} "c"`],
    ],
    [
      "from below",
      [
        ["s/d", ".."],
        ["s/t/x", "../d/../../e"],
      ],
      "",
      [`5 link target "../d/../../e" ${out} "s/d"`],
    ],
    ["up after what nobody knows", [["x", "who/../y"]], "", [/^4 link target "who\/..\/y" goes up again from "who"/]],
    [
      "into the state",
      [
        ["d", "."],
        ["x", "d/.agb-sync/base.json"],
      ],
      "",
      [/^5 .* leads into \.agb-sync\/ through "d"/],
    ],
    ["into the state at once", [["s/x", "../.agb-sync"]], "", [/^4 .* leads into \.agb-sync\/,/]],
    [
      "in a circle",
      [
        ["a", "b"],
        ["b", "a"],
        ["c", "a/x"],
      ],
      "",
      [/^4 .*circle/, /^5 .*circle/, /^6 .*circle/],
    ],
    ["into themselves", [["a", "a/x"]], "", [/^4 .* leads in a circle through "a"/]],
    ["absolutely", [["a", "/etc"]], "", [/^4 .* is absolute/]],
    ["nowhere: nothing", [["a", ""]], "", [/^4 .*target.* is empty/]],
    ["by a NUL", [["a", "b\0c"]], "", [/^4 .* contains a NUL character/]],
    ["by a name that is too long", [["a", "b".repeat(256)]], "", [/^4 .* has a name longer than 255 bytes/]],
    ["up after a directory", [["x", "d/../y/"]], "directories: [{ path: d }]\n", []],
    ["up after a directory above something", [["x", "d/e/../.."]], "files: [{ path: d/e/f, content: '' }]\n", []],
    ["up after a file", [["x", "f/../y"]], "files: [{ path: f, content: '' }]\n", []],
    [
      "to where they are",
      [
        ["x", "."],
        ["s/y", ".."],
        ["s/z", "../x/s/.."],
        ["w", "s/y/s/"],
      ],
      "",
      [],
    ],
  ])("are judged by where they lead: %s", (_name, links, more, problems) => {
    const found = problemsOf(`version: 1\nroot: /tmp/workspace\n${linesOf(links)}${more}`).map((text) =>
      text.replace(/^(\d+):\d+ \w+ /, "$1 ").replace(/ \| .*$/s, ""),
    );
    const isMet = (text: string, problem: string | RegExp | undefined) =>
      typeof problem === "string" ? text.includes(problem) : problem?.test(text) === true;
    expect(found.map((text, at) => (isMet(text, problems[at]) ? problems[at] : text))).toEqual(problems);
  });

  it("never lead out of root when they are accepted", () => {
    const name = fc.constantFrom("a", "b", "c");
    const place = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join("/"));
    const target = fc.array(fc.constantFrom("a", "b", "c", "..", "..", "."), { minLength: 1, maxLength: 5 });
    const links = fc.array(
      fc.tuple(
        place,
        target.map((names) => names.join("/")),
      ),
      { minLength: 1, maxLength: 4 },
    );
    const seen = { accepted: 0, refused: 0 };
    const directory = realpathSync(temporaryDirectory());
    let round = 0;
    fc.assert(
      fc.property(links, fc.uniqueArray(place, { maxLength: 3 }), (declared, directories) => {
        const text = `version: 1\nroot: /tmp/workspace\n${linesOf(declared)}directories: ${JSON.stringify(directories.map((path) => ({ path })))}\n`;
        if (problemsOf(text).length > 0) {
          seen.refused += 1;
          return;
        }
        seen.accepted += 1;
        round += 1;
        // Deep enough that everything above is there too.
        const root = join(directory, `${round}/a/b/c/a/b/c/root`);
        for (const path of directories) mkdirSync(join(root, path), { recursive: true });
        for (const [path, to] of declared) {
          mkdirSync(dirname(join(root, path)), { recursive: true });
          symlinkSync(to, join(root, path));
        }
        for (const [path] of declared)
          expect(`${resolved(join(root, path)) ?? root}/`).toMatch(new RegExp(`^${root}/`));
      }),
      { numRuns: process.env["CRASH_MATRIX"] === "full" ? 5000 : 300 },
    );
    expect(seen.accepted).toBeGreaterThan(20);
    expect(seen.refused).toBeGreaterThan(20);
  });
});

function resolved(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    // To nothing, so far.
    return undefined;
  }
}

describe("links of trees (S26)", () => {
  it.each([
    ["up after a link", { d: { link: "." }, x: { link: "d/d/../../etc/passwd" } }, "", "leaves its tree through d"],
    ["up after a link below", { "s/d": { link: ".." }, x: { link: "s/d/../f" } }, "", "leaves its tree through s/d"],
    ["up after what is not there", { x: { link: "who/../f" }, f: "" }, "", "goes up again from who"],
    [
      "into the state",
      { d: { link: "." }, x: { link: "d/.agb-sync/base.json" } },
      "",
      "leads into .agb-sync/ through d",
    ],
    ["through a declared one", { x: { link: "d/d/../../etc" }, f: "" }, "links: [{ path: d, target: . }]", "through d"],
  ])("are refused by name when they lead out: %s", async (_name, entries, more, words) => {
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), entries);
    const manifest = manifestOf(directory, `trees: [{ source: source, path: . }]\n${more}\n`);
    await expect(readSources(manifest, { signal: new AbortController().signal })).rejects.toMatchObject({
      code: "SOURCE_ESCAPES",
      message: expect.stringMatching(new RegExp(`source/x is a link to .*${words}.* \\(agb-sync.yaml:3\\)$`)),
    });
  });

  it.each([
    ["up after a directory", { "s/t/f": "", x: { link: "s/t/../../s" } }, ""],
    ["in a circle", { a: { link: "b" }, b: { link: "a" }, c: { link: "a/x" } }, ""],
    ["out of the tree by a declared link", { x: { link: "d/f" } }, "links: [{ path: app/d, target: ../other }]"],
  ])("stay as they are otherwise: %s", async (_name, entries, more) => {
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), entries);
    const manifest = manifestOf(directory, `trees: [{ source: source, path: app }]\n${more}\n`);
    const { tree } = await readSources(manifest, { signal: new AbortController().signal });
    expect([...tree].filter(([, { kind }]) => kind === "link").length).toBeGreaterThan(0);
  });

  it("judge declared ones too, at their line and column", async () => {
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { d: { link: "." }, "e/f": "" });
    const manifest = (target: string) =>
      manifestOf(directory, `trees: [{ source: source, path: s }]\nlinks: [{ path: x, target: ${target} }]\n`);
    const { signal } = new AbortController();
    await expect(readSources(manifest("s/d/../../y"), { signal })).rejects.toMatchObject({
      message: expect.stringContaining('agb-sync.yaml:4:28: link target "s/d/../../y" leads out of root through "s/d"'),
    });
    await expect(readSources(manifest("s/who/.."), { signal })).rejects.toSatisfy((error) =>
      hasCode(error, "MANIFEST_INVALID"),
    );
    expect((await readSources(manifest("s/e/../d"), { signal })).tree.get(workspacePath("x"))?.kind).toBe("link");
  });
});
