import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { run } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

/** Tells on standard error which modules the process loaded: Node's own by name, ours by file. */
const witness = `process.on("exit", () => require("node:fs").writeSync(2, "loaded " + JSON.stringify({
  own: process.moduleLoadList.filter((name) => name.startsWith("NativeModule ")).map((name) => name.slice(13)),
  files: Object.keys(require.cache).filter((file) => file.includes("/dist/")),
})));`;

async function loadedBy(args: readonly string[]): Promise<{ readonly own: string[]; readonly text: string }> {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": 'version: 1\nroot: /tmp/workspace\nfiles: [{ path: a.txt, content: "a" }]\n' });
  writeFileSync(join(cwd, "witness.cjs"), witness);
  const { stderr } = await run(args, { cwd, env: { NODE_OPTIONS: `--require ${join(cwd, "witness.cjs")}` } });
  const { own, files } = JSON.parse(/^loaded (.*)$/m.exec(stderr)?.[1] ?? "{}");
  return { own, text: files.map((file: string) => readFileSync(file, "utf8")).join("\n") };
}

/** Words that only occur in the code of a package. */
const traces = {
  undici: "llhttp",
  yaml: "BLOCK_FOLDED",
  ajv: "ucs2length",
  chokidar: "FSWatcher",
  diff: "createTwoFiles",
};

describe("what a command loads", () => {
  it.each([
    ["--help", [], ["crypto", "child_process", "readline/promises"]],
    ["apply --help", [], ["crypto", "child_process", "readline/promises"]],
    ["plan --local", ["yaml", "ajv"], ["readline/promises", "zlib", "http"]],
    ["plan --local --diff", ["yaml", "ajv", "diff"], ["readline/promises", "zlib", "http"]],
  ])("%s", async (line, packages, modules) => {
    const { own, text } = await loadedBy(line.split(" "));
    expect(own.filter((name) => modules.includes(name))).toEqual([]);
    const found = Object.entries(traces).flatMap(([name, word]) => (text.includes(word) ? [name] : []));
    expect(found).toEqual(packages);
  });
});
