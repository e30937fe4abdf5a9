import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { statusOf } from "../../src/reconcile/drift.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import type { ReconcileOptions } from "../../src/reconcile/reconcile-options.ts";
import { run } from "../helpers/cli.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
const ON_LOCK = "onChange: [app/lock]";

/** A session with one tree, and commands that note in a file that they ran. */
async function opened(kind: (typeof kinds)[number]) {
  const directory = temporaryDirectory();
  const source = join(directory, "source");
  layOut(source, { lock: "1", other: "1" });
  const { session, rootDirectory } = await kind.open();
  const options: ReconcileOptions = { signal, strategy: kind.strategy };
  const manifest = (commands: string, more = "") =>
    manifestOf(directory, `trees: [{ source: source, path: app }]\nignore: [ran]\nrun: [${commands}]\n${more}`);
  const owed = async (of: Manifest) => (await makePlan(of, session, options)).owed.map(({ command }) => command);
  const ran = () => {
    try {
      return readFileSync(join(rootDirectory, "ran"), "utf8").trim();
    } catch {
      return "";
    }
  };
  return { directory, source, session, rootDirectory, options, manifest, owed, ran };
}

const note = (word: string, more = ON_LOCK) => `{ command: "echo ${word} >>ran", ${more} }`;
const fail = (more = ON_LOCK) => `{ command: "exit 7", ${more} }`;

describe.each(kinds.filter(({ isFull }) => isFull))("commands that are owed, $name", (kind) => {
  it("are named and run until they have ended well, also when their text is edited (S40)", async () => {
    const { session, options, manifest, owed, ran } = await opened(kind);
    const failing = manifest(`${note("one")}, ${fail()}, ${note("two")}`);
    for (let round = 0; round < 2; round += 1) {
      const { commands, owed: left } = await apply(failing, session, options);
      expect(commands.map(({ status }) => status)).toEqual([round === 0 ? "done" : "not-needed", "failed"]);
      expect(left.map(({ command }) => command)).toEqual(["exit 7", "echo two >>ran"]);
      expect(await owed(failing)).toEqual(["exit 7", "echo two >>ran"]);
      expect((await statusOf(failing, session, options)).owed).toHaveLength(2);
    }
    const mended = manifest(`${note("one")}, { command: "echo mended >>ran", ${ON_LOCK} }, ${note("two")}`);
    expect((await statusOf(mended, session, options)).owed.length).toBeGreaterThanOrEqual(2);
    await apply(mended, session, options);
    expect(ran().split("\n")).toEqual(expect.arrayContaining(["mended", "two"]));
    expect([await owed(mended), (await statusOf(mended, session, options)).owed]).toEqual([[], []]);
    expect((await apply(mended, session, options)).commands.every(({ status }) => status === "not-needed")).toBe(true);
    await session.close();
  });

  it("survive an apply that stops before them, one without commands, and a conflict elsewhere", async () => {
    const { session, options, manifest, owed, ran, source, rootDirectory } = await opened(kind);
    const all = manifest(note("one"));
    const controller = new AbortController();
    const stopped = apply(all, session, {
      ...options,
      signal: controller.signal,
      onEvent: (event) => {
        if (event.type === "phase-end" && event.phase === "commit") controller.abort();
      },
    });
    await stopped.catch(() => undefined);
    expect([ran(), await owed(all)]).toEqual(["", ["echo one >>ran"]]);
    const skipped = await apply(all, session, { ...options, runCommands: false });
    expect([skipped.owed.length, ran(), await owed(all)]).toEqual([1, "", ["echo one >>ran"]]);
    writeFileSync(join(rootDirectory, "app/other"), "somebody's");
    writeFileSync(join(source, "other"), "ours");
    const { conflicts, owed: left } = await apply(all, session, options);
    expect([conflicts.length, left.length, ran()]).toEqual([1, 1, ""]);
    await apply(all, session, { ...options, onConflict: "overwrite" });
    expect([ran(), await owed(all)]).toEqual(["one", []]);
    await session.close();
  });

  it("are all of them where nobody knows what was owed, and run by name when that is wanted", async () => {
    const { session, options, manifest, owed, ran, rootDirectory } = await opened(kind);
    const all = manifest(`${note("one", `name: first, ${ON_LOCK}`)}, ${note("two")}`);
    await apply(all, session, options);
    writeFileSync(join(rootDirectory, ".agb-sync/base.json"), "no base");
    expect(await owed(all)).toHaveLength(2);
    await apply(all, session, options);
    expect([ran(), await owed(all)]).toEqual(["one\ntwo\none\ntwo", []]);
    await apply(all, session, { ...options, run: ["first"] });
    expect(ran().endsWith("two\none")).toBe(true);
    await expect(apply(all, session, { ...options, run: ["frist"] })).rejects.toMatchObject({ code: "USAGE" });
    const named = manifest(`{ name: first, command: "exit 1", ${ON_LOCK} }`);
    await apply(named, session, { ...options, run: ["first"] });
    expect(await owed(manifest(note("edited", `name: first, onChange: [nothing]`)))).toHaveLength(1);
    await session.close();
  });

  it("are known to a commit that is cut off before it could say so", async () => {
    const { session, options, manifest, owed, source, rootDirectory } = await opened(kind);
    const all = manifest(note("one"));
    await apply(all, session, options);
    const state = (name: string) => join(rootDirectory, ".agb-sync", name);
    const before = readFileSync(state("base.json"));
    writeFileSync(join(source, "lock"), "2");
    const planned = await makePlan(all, session, options);
    await apply(all, session, { ...options, runCommands: false });
    // As it is written before the first file goes live.
    const [, ...records] = readFileSync(state("base.json"), "utf8").split("\n");
    const header = readFileSync(state("base.json"), "utf8").split("\n")[0] ?? "";
    writeFileSync(state("journal.json"), [header, ...records].join("\n"));
    writeFileSync(state("base.json"), before);
    expect([planned.plan.steps.length, await owed(all)]).toEqual([1, ["echo one >>ran"]]);
    await session.close();
  });
});

describe("commands that are owed, on the command line", () => {
  it("make plan, status and verify end with 2, and say which", async () => {
    const cwd = temporaryDirectory();
    layOut(join(cwd, "app"), { "package.json": "{}" });
    const manifest = (command: string) =>
      writeFileSync(
        join(cwd, "agb-sync.yaml"),
        `version: 1\nroot: /tmp/workspace\ntrees: [{ source: app, path: app }]\nrun: [{ command: ${JSON.stringify(command)}, onChange: [app/package.json] }]\n`,
      );
    manifest("exit 7");
    const ends = async (...args: string[]) => (await run([...args, "--local"], { cwd })).code;
    expect([await ends("apply"), await ends("apply")]).toEqual([1, 1]);
    for (const command of [["plan", "--exit-code"], ["status"], ["verify"]]) {
      const { code, stdout } = await run([...command, "--local"], { cwd });
      expect([code, stdout]).toEqual([2, expect.stringContaining("$ exit 7")]);
      const { stdout: json } = await run([...command, "--local", "--json"], { cwd });
      expect(JSON.parse(json)).toMatchObject(
        command[0] === "verify" ? { equal: false } : { owed: [{ name: null, command: "exit 7" }] },
      );
    }
    expect([await ends("apply", "--no-run"), await ends("verify")]).toEqual([0, 2]);
    manifest("true");
    expect([await ends("apply"), await ends("verify"), await ends("status")]).toEqual([0, 0, 0]);
    expect(await ends("apply", "--run", "nope")).toBe(64);
    rmSync(join(cwd, ".agb-sync"), { recursive: true });
    const { code, stdout } = await run(["status", "--local"], { cwd });
    expect([code, stdout]).toEqual([2, expect.stringContaining("Nothing was applied")]);
  });

  it("leave no secret in the state (S35)", async () => {
    const cwd = temporaryDirectory();
    layOut(join(cwd, "app"), { a: "1" });
    const text = `version: 1\nroot: /tmp/workspace\ntrees: [{ source: app, path: app }]\nrun: [{ command: "exit \${env.N} # \${env.TOKEN}", onChange: [a] }]\n`;
    writeFileSync(join(cwd, "agb-sync.yaml"), text);
    await run(["apply", "--local"], { cwd, env: { TOKEN: "hunter2hunter2", N: "3" } });
    const base = readFileSync(join(cwd, ".agb-sync/local/tmp/workspace/.agb-sync/base.json"), "utf8");
    expect([base.includes('"owed":["'), base.includes("hunter2")]).toEqual([true, false]);
  });
});
