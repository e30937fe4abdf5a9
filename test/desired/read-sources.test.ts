import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSources } from "../../src/desired/read-sources.ts";
import { ManifestError } from "../../src/manifest/manifest-error.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";
import { asNobody } from "./as-nobody.ts";

const { signal } = new AbortController();

/** A directory that also somebody else may look into. */
function openDirectory(): string {
  const directory = temporaryDirectory();
  chmodSync(directory, 0o755);
  return directory;
}

describe("reading what a manifest names", () => {
  it("gives files, templates, trees and links with their modes", async () => {
    const directory = temporaryDirectory();
    layOut(directory, {
      "run.sh": { bytes: "#!/bin/sh\n", mode: 0o755 },
      "t.tmpl": Buffer.from("\ufeffhello ${env.NAME}\r\n"),
      "app/a": "1",
      "app/empty": { directory: true },
      "app/l": { link: "a" },
    });
    const text = `files:
  - { path: bin/run.sh, source: run.sh }
  - { path: t, source: t.tmpl, template: true, mode: "0600", sensitive: true }
trees: [{ path: app, source: app }]
links: [{ path: current, target: app }]
`;
    const { tree, contents, policies } = await readSources(manifestOf(directory, text, { NAME: "you" }), { signal });
    const told = [...tree].map(
      ([path, entry]) => `${path} ${"mode" in entry ? entry.mode.toString(8) : "target" in entry ? entry.target : ""}`,
    );
    expect(told.toSorted()).toEqual([
      "app 755",
      "app/a 644",
      "app/empty 755",
      "app/l a",
      "bin 755",
      "bin/run.sh 755",
      "current app",
      "t 600",
    ]);
    const template = [...contents.values()].find(({ sensitive }) => sensitive);
    const chunks: Uint8Array[] = [];
    for await (const chunk of template?.open() ?? []) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString("utf8")).toBe("\ufeffhello you\r\n");
    expect([...policies.values()].filter(({ sensitive }) => sensitive)).toHaveLength(1);
  });

  it("tells of every template that is at fault, each at its place, and shows nothing of a sensitive one", async () => {
    const directory = temporaryDirectory();
    layOut(directory, {
      "one.tmpl": "a\nSHOWN ${vars.x}\n",
      "two.tmpl": "SECRET ${vars.y} ${SECRET}",
      "three.tmpl": Buffer.from("a\n\xe9", "latin1"),
      "fine.tmpl": "a",
    });
    const names = ["one", "two", "three", "fine"];
    const files = names.map(
      (name) => `  - { path: ${name}, source: ${name}.tmpl, template: true, sensitive: ${name === "two"} }\n`,
    );
    const read = readSources(manifestOf(directory, `files:\n${files.join("")}`), { signal });
    const error: unknown = await read.catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ManifestError);
    expect(String(error).replaceAll(`${directory}/`, "").split("\n")).toEqual([
      "ManifestError: one.tmpl:2:7: vars.x is not defined (UNDEFINED_NAME)",
      "    SHOWN ${vars.x}",
      "          ^^^^^^^^^",
      "  add x to vars, or give a default: ${vars.x:-...}",
      "two.tmpl:1:8: vars.y is not defined (UNDEFINED_NAME)",
      "  add y to vars, or give a default: ${vars.y:-...}",
      "two.tmpl:1:18: this is not an expression (BAD_EXPRESSION)",
      "  write ${vars.NAME}, ${env.NAME}, ${session.id}, ${vars.NAME:-default} or ${vars.NAME-default}; $${ is a literal ${",
      "three.tmpl:2:1: this is not UTF-8 text (NOT_TEXT)",
      "  save it as UTF-8, or send it as it is, without `template: true`",
    ]);
  });

  it.each([
    [
      "a file that has gone",
      "files: [{ path: a, source: gone }]",
      "SOURCE_MISSING",
      "the source DIR/gone is not there (agb-sync.yaml:3)",
    ],
    [
      "a file that became a directory",
      "files: [{ path: a, source: tree }]",
      "SOURCE_MISSING",
      "the source DIR/tree is a directory (agb-sync.yaml:3)",
    ],
    [
      "a tree that has gone",
      "trees: [{ path: a, source: gone }]",
      "SOURCE_MISSING",
      "the tree DIR/gone is not there (agb-sync.yaml:3)",
    ],
    [
      "a tree that became a file",
      "trees: [{ path: a, source: file }]",
      "SOURCE_MISSING",
      "the tree DIR/file is not a directory (agb-sync.yaml:3)",
    ],
    [
      "a link that leaves its tree",
      "trees: [{ path: ., source: out }]",
      "SOURCE_ESCAPES",
      "DIR/out/sub/l is a link to ../../file, which leaves its tree (agb-sync.yaml:3)",
    ],
    [
      "a tree with a file where another entry needs a directory",
      "trees: [{ path: ., source: tree }]\nfiles: [{ path: a/b, content: x }]",
      "MANIFEST_INVALID",
      "a/b (agb-sync.yaml:4) needs a directory where another entry puts something else: a (agb-sync.yaml:3)",
    ],
  ])("stops, naming the line, at %s", async (_name, text, code, message) => {
    const directory = temporaryDirectory();
    layOut(directory, { "tree/a": "x", file: "x", "out/sub/l": { link: "../../file" } });
    await expect(readSources(manifestOf(directory, `${text}\n`), { signal })).rejects.toMatchObject({
      code,
      message: message.replaceAll("DIR", directory),
    });
  });

  it.each([
    ["a file", "files: [{ path: a, source: file }]", "file"],
    ["a template", "files: [{ path: a, source: file, template: true }]", "file"],
    ["a file in a closed directory", "files: [{ path: a, source: closed/a }]", "closed/a"],
    ["a file of a tree", "trees: [{ path: ., source: tree }]", "tree/file"],
    ["a tree", "trees: [{ path: ., source: closed }]", "closed"],
    ["a tree in a closed directory", "trees: [{ path: ., source: closed/tree }]", "closed/tree"],
  ])("leaves out what it may not read, and says so: %s", async (_name, text, unreadable) => {
    const directory = openDirectory();
    layOut(join(directory, "tree"), { file: "x", other: "x" });
    layOut(join(directory, "closed"), { a: "x", "tree/a": "x" });
    writeFileSync(join(directory, "file"), "x");
    for (const path of ["closed", "file", "tree/file"]) chmodSync(join(directory, path), 0);
    const manifest = manifestOf(directory, `${text}\nlinks: [{ path: l, target: other }]\n`);
    const desired = await asNobody(() => readSources(manifest, { signal }));
    expect(desired.unreadable).toEqual([join(directory, unreadable)]);
    expect(desired.warnings).toEqual([expect.stringContaining(`${join(directory, unreadable)} cannot be`)]);
    expect([...desired.tree.keys()].filter((path) => path !== "other")).toEqual(["l"]);
    chmodSync(join(directory, "closed"), 0o755);
  });

  it("takes a tree through a link to it", async () => {
    const directory = temporaryDirectory();
    layOut(directory, { "real/a": "x", tree: { link: "real" } });
    const { tree } = await readSources(manifestOf(directory, "trees: [{ path: ., source: tree }]\n"), { signal });
    expect([...tree.keys()]).toEqual(["a"]);
  });

  it("ends when it is called off", async () => {
    const directory = temporaryDirectory();
    mkdirSync(join(directory, "tree"));
    for (let file = 0; file < 250; file += 1) writeFileSync(join(directory, "tree", `${file}`), "");
    const read = readSources(manifestOf(directory, "trees: [{ path: ., source: tree }]\n"), {
      signal: AbortSignal.abort(),
    });
    await expect(read).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("names trees without an entry (S12)", async () => {
    const directory = temporaryDirectory();
    layOut(directory, { "tree/a.log": "x" });
    const { emptyTrees } = await readSources(
      manifestOf(directory, 'ignore: ["*.log"]\ntrees: [{ path: t, source: tree }]\n'),
      { signal },
    );
    expect(emptyTrees).toEqual([expect.objectContaining({ source: join(directory, "tree"), path: "t" })]);
    rmSync(join(directory, "tree"), { recursive: true });
    symlinkSync("nothing", join(directory, "tree"));
    await expect(
      readSources(manifestOf(directory, "trees: [{ path: t, source: tree }]\n"), { signal }),
    ).rejects.toThrow(`the tree ${directory}/tree is a link to nothing`);
  });
});
