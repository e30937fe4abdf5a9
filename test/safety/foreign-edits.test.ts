import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply, applyPlan } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { thorough } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const names = (letter: string, count: number) =>
  Array.from({ length: count }, (_, index) => `${letter}${String(index).padStart(3, "0")}`);

/**
 * A process of the session that, once the apply has replaced `e000` or changed the mode of `m000`, writes into every file
 * that still holds the old bytes. It says which.
 */
const agent = `
while read x <e000 && [ "$x" = old ] && ! [ -x m000 ]; do :; done
for f in e* g*; do read x <"$f" && [ "$x" = old ] && echo "agent $f" >"$f" && echo "$f"; done 2>/dev/null; :`;

async function linesOf(child: ChildProcess): Promise<readonly string[]> {
  let text = "";
  child.stdout?.on("data", (chunk) => (text += String(chunk)));
  await once(child, "close");
  return text.split("\n").filter((line) => line !== "");
}

/** All bytes below a directory, as one text. */
function everything(directory: string): string {
  if (!existsSync(directory)) return "";
  return readdirSync(directory, { withFileTypes: true })
    .map((entry) => join(directory, entry.name) + (entry.isDirectory() ? "/" : ""))
    .map((path) => (path.endsWith("/") ? everything(path) : readFileSync(path, "utf8")))
    .join("");
}

describe.each(kinds)("$name", ({ name, strategy, isFull, open }) => {
  // Where each of many calls starts a shell, fewer are enough for the agent to come between them.
  const count = thorough(name === "AGB with shell, steps" ? 12 : 40, 40);
  const options = { strategy, signal, allowMassDelete: true } as const;

  /** Applied, then half edited, half deleted, with modes in between that take their time. */
  async function prepare() {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    const old = [...names("e", count), ...names("g", count)].map((name) => [name, "old\n"] as const);
    const modes = names("m", count).map((name) => [name, { bytes: "m\n", mode: 0o755 }] as const);
    layOut(source, Object.fromEntries([...old, ...modes]));
    await apply(mirrorOf(directory), session, options);
    if (isFull) for (const [name] of modes) chmodSync(join(rootDirectory, name), 0o644);
    for (const name of names("e", count)) writeFileSync(join(source, name), `new ${name}\n`);
    for (const name of names("g", count)) rmSync(join(source, name));
    return { session, rootDirectory, directory };
  }

  it("loses no edit that is made while an apply runs (S9, S20)", { timeout: 120_000 }, async () => {
    const { session, rootDirectory, directory } = await prepare();
    const child = spawn("sh", ["-c", agent], { cwd: rootDirectory, stdio: ["ignore", "pipe", "ignore"] });
    const edited = linesOf(child);
    const report = await apply(mirrorOf(directory), session, options);
    const bytes = everything(rootDirectory);
    const lost = (await edited).filter((name) => !bytes.includes(`agent ${name}\n`));
    expect(lost).toEqual([]);
    const next = await makePlan(mirrorOf(directory), session, options);
    const told = new Set<string>([...report.conflicts, ...next.plan.conflicts].map(({ path }) => path));
    expect((await edited).filter((name) => !told.has(name))).toEqual([]);
    await session.close();
  });

  it("does not replace or delete what was edited after the plan was made (S9, S20)", async () => {
    const { session, rootDirectory, directory } = await prepare();
    const planned = await makePlan(mirrorOf(directory), session, options);
    for (const name of ["e001", "g001"]) writeFileSync(join(rootDirectory, name), `agent ${name}\n`);
    const outcome = await applyPlan(planned, mirrorOf(directory), options).catch((error: unknown) => error);
    const isTold = outcome instanceof Error || JSON.stringify(outcome).includes("conflict");
    expect(isTold).toBe(true);
    for (const name of ["e001", "g001"]) {
      expect(readFileSync(join(rootDirectory, name), "utf8")).toBe(`agent ${name}\n`);
    }
    const report = await apply(mirrorOf(directory), session, options);
    expect(report.conflicts.map(({ path }) => path)).toEqual(["e001", "g001"]);
    expect(readFileSync(join(rootDirectory, "e002"), "utf8")).toBe("new e002\n");
    expect(existsSync(join(rootDirectory, "g002"))).toBe(false);
    await session.close();
  });
});
