import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSources } from "../../src/desired/read-sources.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { run } from "../helpers/cli.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";
import { options, problemsOf } from "./problems-of.ts";

const head = "version: 1\nroot: /tmp/workspace\n";

describe("half a character", () => {
  it.each<[string, string, readonly string[]]>([
    ["a content", 'files: [{ path: a, content: "x\\ud83dy" }]', ["3:29"]],
    ["the second half", 'files: [{ path: a, content: "\\ude00" }]', ["3:29"]],
    ["the wrong order", 'files: [{ path: a, content: "\\ude00\\ud83d" }]', ["3:29"]],
    ["by eight digits", 'files: [{ path: a, content: "\\U0000d83d" }]', ["3:29"]],
    ["a path", 'files: [{ path: "a\\udc00", content: "" }]', ["3:17"]],
    ["a path of a directory", 'directories: [{ path: "\\ud800" }]', ["3:23"]],
    ["a link target", 'links: [{ path: a, target: "b\\ud83d" }]', ["3:28"]],
    ["a command", 'run: [{ command: "echo \\ud83d" }]', ["3:18"]],
    ["a cwd and what it runs for", 'run: [{ command: "x", cwd: "\\ud83d", onChange: ["\\ud83d"] }]', ["3:28", "3:49"]],
    ["an ignore pattern", 'ignore: [ok, "\\ud83d"]', ["3:14"]],
    ["an exclude pattern", 'trees: [{ source: s, path: s, exclude: ["\\ud83d"] }]', ["3:41"]],
    ["a source", 'files: [{ path: a, source: "\\ud83d" }]', ["3:28"]],
    ["a label", 'session: { labels: { a: "\\ud83d" }, name: "\\ud83d", image: "\\ud83d" }', ["3:25", "3:43", "3:60"]],
    ["the key of a label", 'session: { labels: { "a\\ud83d": b } }', ["3:22"]],
    ["a variable, once", 'vars: { a: "\\ud83d" }\nfiles: [{ path: a, content: "${vars.a}" }]', ["3:12"]],
    [
      "halves that a variable would join",
      'vars: { a: "\\ud83d" }\nfiles: [{ path: a, content: "${vars.a}\\ude00" }]',
      ["3:12", "4:29"],
    ],
    ["a default", 'files: [{ path: a, content: "${env.NONE:-\\ud83d}" }]', ["3:29"]],
    ["moves and absent paths", 'moves: [{ from: "\\ud83d", to: b }]\nabsent: ["\\ud83d"]', ["3:17", "4:10"]],
    ["an alias", 'files: [{ path: a, content: &x "\\ud83d" }, { path: b, content: *x }]', ["3:32"]],
    [
      "what is sensitive, without showing it",
      'files: [{ path: a, content: "s3cret\\ud83d", sensitive: true }]',
      ["3:29"],
    ],
    ["nothing", 'files: [{ path: "😀\\ud83d\\ude00", content: "\\ud83d\\ude00 \\ufffd \\uffff" }]', []],
  ])("is refused where it stands: %s", (_name, text, places) => {
    const problems = problemsOf(`${head}${text}\n`);
    expect(problems.map((problem) => problem.split(" ")[0]).slice(0, places.length)).toEqual(places);
    expect(problems.filter((problem) => !problem.includes("half a character")).slice(places.length)).toEqual([]);
    expect(problems.length > 0).toBe(places.length > 0);
    expect(problems.join("\n")).not.toContain("s3cret");
  });

  it.each<[string, { env?: Record<string, string>; vars?: Record<string, string> }, string]>([
    ["the environment", { env: { HALF: "a\ud83d" } }, "env.HALF"],
    ["--var", { vars: { HALF: "a\ud83d" } }, "vars.HALF"],
  ])("is refused where it is put in by %s, in templates too", async (_name, given, name) => {
    const parse = (text: string) => () => parseManifest(`${head}${text}`, { ...options, ...given });
    const message = `half a character (a lone surrogate) in ${name}`;
    for (const text of [`files: [{ path: a, content: "\${${name}}" }]`, `links: [{ path: a, target: "x\${${name}}" }]`])
      expect(parse(text)).toThrow(expect.objectContaining({ message: expect.stringContaining(message) }));
    const directory = temporaryDirectory();
    layOut(directory, { t: `ok\n \${${name}}\n` });
    const manifest = {
      ...manifestOf(directory, "files: [{ path: t, source: t, template: true }]\n"),
      variables: { vars: given.vars ?? {}, env: given.env ?? {} },
    };
    await expect(readSources(manifest, { signal: new AbortController().signal })).rejects.toMatchObject({
      message: expect.stringContaining(`t:2:2: there is ${message}`),
    });
  });

  it("ends validate with the line, and nothing is applied", async () => {
    const cwd = temporaryDirectory();
    writeFileSync(join(cwd, "agb-sync.yaml"), `${head}files:\n  - path: a\n    content: "x\\ud83dy"\n`);
    for (const args of [["validate"], ["apply", "--local", "S"]]) {
      const { code, stderr } = await run(args, { cwd });
      expect([code, stderr]).toEqual([65, expect.stringContaining("agb-sync.yaml:5:14: half a character")]);
    }
    expect(() => readFileSync(join(cwd, "S/tmp/workspace/a"))).toThrow("ENOENT");
  });
});
