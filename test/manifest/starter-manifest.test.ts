import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseManifest } from "../../src/manifest/parse-manifest.ts";
import { manifestFor, starterManifest } from "../../src/manifest/starter-manifest.ts";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { options } from "./problems-of.ts";

describe("a manifest to start with", () => {
  it("is right as it is", () => {
    const { files, directories } = parseManifest(starterManifest, options);
    expect([files.length, directories.length]).toEqual([1, 1]);
    expect(files[0]?.origin).toEqual({ kind: "inline", text: "Hello from agb-sync\n" });
  });

  it("is right when all its lines count", () => {
    const all = starterManifest.slice(starterManifest.indexOf("\n")).replaceAll(/^( *)# /gm, "$1");
    expect(parseManifest(all, options)).toMatchObject({ files: [{}, {}], trees: [{}] });
  });

  it("is not made of a directory that has no name", async () => {
    const cwd = temporaryDirectory();
    const { code, stderr } = await run(["init", "--from", ""], { cwd });
    expect([code, stderr]).toEqual([64, expect.stringContaining('--from "" is not a directory')]);
    expect(existsSync(join(cwd, "agb-sync.yaml"))).toBe(false);
  });

  it("is taken when its directory is called a${b}", async () => {
    const cwd = temporaryDirectory();
    layOut(cwd, { "a${b}/file": "x" });
    expect((await run(["init", "--from", "a${b}"], { cwd })).code).toBe(0);
    const { code, stdout } = await run(["validate"], { cwd });
    expect([code, stdout]).toEqual([0, expect.stringContaining("1 file,")]);
  });

  it("mirrors a directory, whatever its name is", () => {
    const parts = fc.constantFrom(
      "${",
      "$",
      "$${",
      "{",
      "}",
      '"',
      "\\",
      "\n",
      "'",
      "#",
      " ",
      "é",
      "\u2028",
      "\u0085",
      "${vars.a}",
    );
    const name = fc
      .array(fc.oneof(parts, fc.string({ unit: "grapheme", maxLength: 4 })), { minLength: 1 })
      .map((list) => list.join("").replaceAll("\0", ""))
      .filter((text) => text !== "");
    const property = fc.property(name, (directory) => {
      const { trees } = parseManifest(manifestFor(directory), options);
      expect(trees.map(({ source }) => source)).toEqual([resolve(options.directory, directory)]);
    });
    expect(() => fc.assert(property, { numRuns: Number(process.env["FUZZ_RUNS"] ?? 300) })).not.toThrow();
  });
});
