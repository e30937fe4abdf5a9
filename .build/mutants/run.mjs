// Breaks promises on purpose, one small change of src at a time, and runs the tests that should notice: what survives is
// a hole in the tests. See README.md. Changes are made in copies of the tree, never in the tree itself.
//
//     node .build/mutants/run.mjs [--only 'WORDS|WORDS'] [--copies 2] [--skip-unchanged]
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { transformSync } from "esbuild";
import { mutations } from "./mutations.mjs";

const project = fileURLToPath(new URL("../..", import.meta.url));
/** How long the tests of one mutation may take; a test that hangs has noticed as well. */
const LIMIT_MS = 180_000;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    copies: { type: "string", default: "2" },
    "skip-unchanged": { type: "boolean", default: false },
  },
});

const git = (...args) => execFileSync("git", args, { cwd: project, encoding: "utf8" });
const nameOf = ({ promise, file, what }) => `${promise}: ${what} (${file})`;
const filesOf = ({ tests }) => [tests].flat();
const words = options.only.toLowerCase().split("|");
const chosen = mutations.filter((one) => {
  const text = `${one.row} ${nameOf(one)} ${filesOf(one).join(" ")}`.toLowerCase();
  return words.some((word) => text.includes(word));
});
const keyOf = (one) => JSON.stringify([filesOf(one), one.only ?? ""]);

/** A copy of the tree as it is, with its dependencies linked. */
class Copy {
  #top;
  #isStale = true;

  constructor(parent, number) {
    this.#top = join(parent, `copy-${number}`);
    const names = git("ls-files", "--cached", "--others", "--exclude-standard")
      .trim()
      .split("\n")
      .filter((name) => existsSync(join(project, name)));
    for (const name of names) {
      mkdirSync(dirname(join(this.#top, name)), { recursive: true });
      cpSync(join(project, name), join(this.#top, name));
    }
    symlinkSync(join(project, "node_modules"), join(this.#top, "node_modules"));
  }

  /** How the tests end with this change, or as it is. */
  async tryOut(one, isChanged) {
    const path = join(this.#top, one.file);
    const text = readFileSync(path, "utf8");
    if (isChanged)
      writeFileSync(
        path,
        text.replace(one.text, () => one.becomes),
      );
    try {
      const needsBuild = filesOf(one).some((file) =>
        /helpers\/cli\.ts/.test(readFileSync(join(project, file), "utf8")),
      );
      if (needsBuild || this.#isStale || one.file.endsWith(".sh")) await this.#build();
      this.#isStale = needsBuild && isChanged;
      return await this.#test(one);
    } finally {
      writeFileSync(path, text);
      if (isChanged && one.file.endsWith(".sh")) this.#isStale = true;
    }
  }

  async #build() {
    for (const step of ["generate.mjs", "build.mjs"]) await this.#run([join(this.#top, ".build", step)], LIMIT_MS);
  }

  async #test(one) {
    const result = join(this.#top, "result.json");
    rmSync(result, { force: true });
    const filter = one.only === undefined ? [] : ["-t", one.only];
    const reporter = ["--reporter=json", `--outputFile=${result}`];
    const vitest = join(this.#top, "node_modules/vitest/vitest.mjs");
    const args = [
      vitest,
      "run",
      "--bail=1",
      "--maxWorkers=1",
      "--root",
      this.#top,
      ...reporter,
      ...filesOf(one),
      ...filter,
    ];
    const end = await this.#run(args, LIMIT_MS);
    if (end === "late") return { status: "late", by: "" };
    const { numPassedTests, testResults } = JSON.parse(readFileSync(result, "utf8"));
    const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = tests.find(({ status }) => status === "failed");
    if (failed !== undefined) return { status: "failed", by: failed.fullName };
    return numPassedTests > 0 && end === 0 ? { status: "passed", by: "" } : { status: "broken", by: "no test ran" };
  }

  async #run(args, limitMs) {
    const env = { ...process.env, TMPDIR: this.#top, CRASH_MATRIX: "" };
    const child = spawn(process.execPath, args, { cwd: this.#top, env, stdio: "ignore", detached: true });
    return await new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        resolve("late");
        process.kill(-child.pid, "SIGKILL");
      }, limitMs);
      child.once("error", reject);
      child.once("exit", (code) => {
        clearTimeout(timer);
        resolve(code);
      });
    });
  }
}

/** What is wrong with an entry before anything is run. */
function faultOf({ file, text, becomes, tests }) {
  const lost = [tests].flat().find((test) => !existsSync(join(project, test)));
  if (lost !== undefined) return `there is no ${lost}`;
  const parts = readFileSync(join(project, file), "utf8").split(text);
  if (parts.length !== 2) return `${file} holds the text ${parts.length - 1} times`;
  if ([tests].flat().length === 0) return "no test is named";
  try {
    if (file.endsWith(".ts")) transformSync(parts.join(becomes), { loader: "ts" });
    return undefined;
  } catch {
    return "what it becomes is no program";
  }
}

/** Hands the entries to the copies, each the next one as soon as it is done. */
async function withCopies(copies, entries, work) {
  const waiting = [...entries];
  await Promise.all(
    copies.map(async (copy) => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await work(copy, next);
    }),
  );
}

const startedMs = performance.now();
const parent = mkdtempSync(join(tmpdir(), "agb-sync-mutants-"));
process.once("exit", () => rmSync(parent, { recursive: true, force: true }));
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(name, () => process.exit(130));

const faults = chosen.flatMap((one) => (faultOf(one) === undefined ? [] : [`${nameOf(one)}: ${faultOf(one)}`]));
if (faults.length > 0) {
  console.error(faults.join("\n"));
  process.exit(2);
}
const copies = Array.from({ length: Number(options.copies) }, (_, number) => new Copy(parent, number));
const useless = new Set();
if (!options["skip-unchanged"]) {
  const distinct = [...new Map(chosen.map((one) => [keyOf(one), one])).values()];
  await withCopies(copies, distinct, async (copy, one) => {
    const { status, by } = await copy.tryOut(one, false);
    if (status === "passed") return;
    useless.add(keyOf(one));
    console.log(`USELESS  ${filesOf(one).join(" ")} ${one.only ?? ""}: ${status} without any change: ${by}`);
  });
}
const counts = { killed: 0, survived: 0, useless: 0 };
await withCopies(copies, chosen, async (copy, one) => {
  if (useless.has(keyOf(one))) {
    counts.useless += 1;
    return;
  }
  const { status, by } = await copy.tryOut(one, true);
  const isKilled = status === "failed" || status === "late";
  counts[isKilled ? "killed" : status === "passed" ? "survived" : "useless"] += 1;
  const word = isKilled ? "killed  " : status === "passed" ? "SURVIVED" : "BROKEN  ";
  console.log(`${word} ${nameOf(one)}${by === "" ? "" : `\n         by ${by}`}`);
});
const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1);
console.log(
  `${chosen.length} mutations: ${counts.killed} killed, ${counts.survived} survived, ${counts.useless} useless; ${minutes} minutes`,
);
process.exitCode = counts.survived + counts.useless === 0 ? 0 : 1;
