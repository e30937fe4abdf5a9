import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { forSession } from "../../src/manifest/for-session.ts";
import { ManifestError } from "../../src/manifest/manifest-error.ts";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { options, problemsOf } from "./problems-of.ts";
import { wrongManifests } from "./wrong-manifests.ts";
import { wrongShapes } from "./wrong-shapes.ts";
import { wrongYaml } from "./wrong-yaml.ts";

const runs = Number(process.env["FUZZ_RUNS"] ?? 300);

describe("wrong manifests", () => {
  it.each([...wrongYaml, ...wrongShapes, ...wrongManifests])("%s", (_name, text, problems) => {
    expect(problemsOf(text)).toEqual(problems);
  });
});

describe("right manifests", () => {
  it("interpolates variables, the environment and defaults, and leaves $${ alone", () => {
    const manifest = parseManifest(
      'version: 1\nroot: /tmp/w\nvars: { a: one }\nfiles:\n  - path: f\n    content: "${vars.a} ${env.TOKEN} ${vars.b:-two} $${x}"\n',
      options,
    );
    expect(manifest.files[0]?.origin).toEqual({ kind: "inline", text: "one abc two ${x}" });
  });

  it("gives variables what the environment and the variables above them say, and numbers as they are written", () => {
    const text =
      'version: 1\nroot: /tmp/w\nvars: { a: &a "${env.TOKEN}", port: 0x1f, b: "${vars.a}:${vars.port}${vars.c:-!}", c: *a }\n';
    expect(parseManifest(text, options).variables.vars).toEqual({ a: "abc", port: "0x1f", b: "abc:0x1f!", c: "abc" });
  });

  it("leaves out what waits for the session, and gives it its value for each session", () => {
    const text = `version: 1
root: /tmp/\${session.id}
vars: { a: "<\${session.id}>", b: "\${vars.a:-x}" }
ignore: ["\${vars.b}", x]
directories: [{ path: "d\${vars.b}" }, { path: d }]
files: [{ path: f, content: "\${vars.b}" }, { path: "\${session.id-x}", content: "" }, { path: g, content: "" }]
trees: [{ source: "\${session.id}", path: t }]
links: [{ path: l, target: "\${session.id}" }, { path: m, target: g }]
moves: [{ from: "\${vars.a}", to: b }]
absent: ["\${vars.a}"]
run: [{ command: "echo \${session.id}" }, { command: "true" }]
`;
    const manifest = parseManifest(text, options);
    const paths = (of: typeof manifest) =>
      [...of.directories, ...of.files, ...of.trees, ...of.links, ...of.absent].map(({ path }) => path);
    expect(manifest.usesSessionId).toBe(true);
    expect([paths(manifest), manifest.ignore, manifest.moves]).toEqual([["d", "g", "m"], ["x"], []]);
    expect(manifest.waiting.map(({ line }) => line)).toEqual([4, 5, 6, 6, 7, 8, 9, 10, 11]);
    for (const id of ["s1", "s2"]) {
      const resolved = forSession(forSession(manifest, "s0"), id);
      expect(paths(resolved)).toEqual([`d<${id}>`, "d", "f", id, "g", "t", "l", "m", `<${id}>`]);
      expect(resolved.files[0]?.origin).toEqual({ kind: "inline", text: `<${id}>` });
      expect([resolved.root, resolved.ignore[0], resolved.run[0]?.command, resolved.waiting]).toEqual([
        `/tmp/${id}`,
        `<${id}>`,
        `echo ${id}`,
        [],
      ]);
      expect(forSession(resolved, id)).toBe(resolved);
    }
  });

  it("refuses what a session is asked for by to hold its id", () => {
    const text =
      'version: 1\nroot: /tmp/w\nvars: { a: "${session.id}" }\nsession:\n  name: "${session.id}"\n  labels: { k: "${vars.a}" }\n';
    for (const more of [{}, { sessionId: "s" }]) {
      expect(problemsOf(text, more)).toEqual([
        "5:9 BAD_EXPRESSION session.name cannot hold the id of the session that it asks for | write it out, or make it from vars and env",
        "6:16 BAD_EXPRESSION session.labels.k cannot hold the id of the session that it asks for | write it out, or make it from vars and env",
      ]);
    }
  });

  it.each([
    [".inf", "an infinite number"],
    ["-.Inf", "an infinite number"],
    ["1e999", "an infinite number"],
    [".nan", "NaN"],
  ])("says what is wrong with a variable of %s", (written, what) => {
    expect(problemsOf(`version: 1\nroot: /tmp/w\nvars: { a: ${written} }\n`)).toEqual([
      `3:12 WRONG_TYPE vars.a must be a string or number or boolean, not ${what} | write it in quotes for the text as it stands, or a number that ends`,
    ]);
  });

  it("takes names that JavaScript has its own idea of for names", () => {
    const text =
      'version: 1\nroot: /tmp/w\nvars: { __proto__: x, constructor: y, b: "${vars.__proto__}${vars.constructor}" }\n';
    const { vars } = parseManifest(text, options).variables;
    expect(vars["b"]).toBe("xy");
    expect(
      problemsOf('version: 1\nroot: "/${env.__proto__}${vars.toString}"\n').map((one) => one.split(" |")[0]),
    ).toEqual(["2:9 UNDEFINED_NAME env.__proto__ is not defined", "2:25 UNDEFINED_NAME vars.toString is not defined"]);
  });

  it("tells what only shows when the id is known", () => {
    const text =
      'version: 1\nroot: /tmp/w\nfiles: [{ path: "${session.id}", content: "" }, { path: s, content: "" }]\n';
    const manifest = parseManifest(text, options);
    expect(() => forSession(manifest, "s")).toThrow(ManifestError);
    expect(forSession(manifest, "t").files).toHaveLength(2);
  });

  it.each([
    ["0644", 0o644],
    ['"0755"', 0o755],
    ["0o600", 0o600],
    ["1777", 0o1777],
  ])("reads the mode %s as it is written, although YAML 1.2 calls it a number", (written, mode) => {
    const text = `version: 1\nroot: /tmp/w\nfiles: [{ path: f, content: x, mode: ${written} }]\n`;
    expect(parseManifest(text, options).files[0]?.mode).toBe(mode);
  });

  it.each<[string, number, boolean, boolean]>([
    ["0000", 0, false, false],
    ["0200", 0o200, false, false],
    ["0111", 0o111, false, false],
    ["0333", 0o333, false, false],
    ["2077", 0o2077, false, false],
    ["0400", 0o400, true, false],
    ["0644", 0o644, true, false],
    ["0500", 0o500, true, true],
    ["0555", 0o555, true, true],
    ["4755", 0o4755, true, true],
    ["1777", 0o1777, true, true],
  ])("takes the mode %s where its owner can still read what has it", (written, mode, isForFile, isForDirectory) => {
    const problems = (list: string) =>
      problemsOf(`version: 1\nroot: /tmp/w\n${list}\n`).map((one) => one.split(" |")[0]);
    const told = (column: number, verb: string, kind: string) =>
      `3:${column} BAD_MODE mode ${written} leaves its owner unable to ${verb} the ${kind}: it could not be verified`;
    expect(problems(`files: [{ path: f, content: x, mode: "${written}" }]`)).toEqual(
      isForFile ? [] : [told(38, "read", "file")],
    );
    expect(problems(`directories: [{ path: d, mode: "${written}" }]`)).toEqual(
      isForDirectory ? [] : [told(32, "list", "directory")],
    );
    const text = `version: 1\nroot: /tmp/w\nfiles: [{ path: f, content: x, mode: "${isForFile ? written : "0600"}" }]\n`;
    expect(parseManifest(text, options).files[0]?.mode).toBe(isForFile ? mode : 0o600);
  });

  it("takes moves that follow one another, the longest idle time, and links beside themselves", () => {
    const text = `version: 1
root: /tmp/w
session: { idleTimeout: 30m }
moves: [{ from: a, to: b }, { from: c, to: a }, { from: b, to: d }]
links: [{ path: a/l, target: ../l }, { path: m, target: ..x }]
`;
    const { moves, links, session } = parseManifest(text, options);
    expect([moves.length, links.length, session.idleTimeoutMs]).toEqual([3, 2, 1_800_000]);
  });

  it("knows what must not be shown", () => {
    const text = 'version: 1\nroot: /tmp/w\nfiles: [{ path: f, content: "T=${env.TOKEN}", sensitive: true }]\n';
    expect(parseManifest(text, options).secrets).toEqual(["T=abc", "abc"]);
  });
});

describe("arbitrary input", () => {
  const keys = fc.constantFrom("version", "root", "files", "path", "content", "trees", "source", "mode", "vars", "x");
  const documents = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom(null, "/tmp/w", "${vars.x}", "${", "../a"),
      fc.array(tie("value"), { maxLength: 3 }),
      fc.dictionary(keys, tie("value"), { maxKeys: 4 }),
    ),
  }));

  it("ends in a manifest or a ManifestError, never in anything else", () => {
    const fuzz = () => {
      fc.assert(
        fc.property(fc.string(), (text) => void problemsOf(text)),
        { numRuns: runs },
      );
      fc.assert(
        fc.property(fc.string({ unit: "binary" }), (text) => void problemsOf(`version: 1\n${text}`)),
        { numRuns: runs },
      );
      fc.assert(
        fc.property(documents.value, (value) => void problemsOf(JSON.stringify(value) ?? "")),
        { numRuns: runs },
      );
    };
    expect(fuzz).not.toThrow();
  });

  it("does not fall for an alias bomb", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 12; level += 1) {
      lines.push(`a${level}: &a${level} [${Array.from({ length: 9 }, () => `*a${level - 1}`).join(", ")}]`);
    }
    const startedMs = performance.now();
    expect(problemsOf(lines.join("\n")).length).toBeGreaterThan(0);
    expect(performance.now() - startedMs).toBeLessThan(5000);
  });
});
