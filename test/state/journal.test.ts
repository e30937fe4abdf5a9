import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StepsEngine } from "../../src/engine/steps/steps-engine.ts";
import { TransportError } from "../../src/errors.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { drift } from "../../src/reconcile/drift.ts";
import type { Session } from "../../src/session.ts";
import { formatJournal, JOURNAL_PATH, parseJournal, recover } from "../../src/state/journal.ts";
import type { Base, BaseEntry } from "../../src/tree/base.ts";
import { BASE_PATH, emptyBase } from "../../src/tree/base.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { beforeCall } from "../helpers/before-call.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { withWorkspace } from "../helpers/with-workspace.ts";
import { layOut, manifestOf, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

/** The same session, cut off as soon as base is to be replaced: everything else was done. */
function cutOffBeforeBase(session: Session): Session {
  return withWorkspace(session, (workspace) => {
    const transport = beforeCall(workspace.transport, "move", (_from, to) => {
      if (to === BASE_PATH) throw new TransportError("UNREACHABLE", "nobody answers");
    });
    return { transport, steps: new StepsEngine(transport, 4), batch: undefined };
  });
}

describe.each(kinds)("after applies that were cut off: $name", ({ strategy, isFull, open }) => {
  const options = { strategy, signal, allowMassDelete: true } as const;

  /** An apply, then as many that were cut off as there are trees, each of what `source` held then. */
  async function prepare(...later: readonly Readonly<Record<string, string>>[]) {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, { edited: "first", moved: "the same", stays: "1" });
    await apply(mirrorOf(directory), session, options);
    for (const tree of later) {
      layOut(source, { stays: "1", ...tree });
      const refused = apply(mirrorOf(directory), cutOffBeforeBase(session), { ...options, strategy: "steps" });
      await expect(refused).rejects.toMatchObject({ code: "UNREACHABLE" });
    }
    return { session, rootDirectory, directory, source };
  }

  it("what they wrote is ours, also when the sources have changed since (S6, S31)", async () => {
    const { session, rootDirectory, directory, source } = await prepare(
      { edited: "second", "to/moved": "the same", gone: "for a moment" },
      { edited: "third", "to/moved": "the same", gone: "for a moment" },
    );
    expect(await drift(mirrorOf(directory), session, options)).toEqual([
      expect.objectContaining({ path: "moved", after: undefined }),
    ]);
    writeFileSync(join(source, "edited"), "fourth");
    rmSync(join(source, "gone"));
    const report = await apply(mirrorOf(directory), session, options);
    expect(report.conflicts).toEqual([]);
    const shown = { modes: isFull };
    expect(look(rootDirectory, shown)).toEqual(look(source, shown));
    expect(existsSync(join(rootDirectory, JOURNAL_PATH))).toBe(false);
    const again = await apply(mirrorOf(directory), session, options);
    expect(again.plan.steps).toEqual([]);
  });

  it("what somebody wrote there since is a conflict still (S8)", async () => {
    const { session, rootDirectory, directory, source } = await prepare({ edited: "second", added: "new" });
    writeFileSync(join(rootDirectory, "edited"), "theirs");
    writeFileSync(join(rootDirectory, "added"), "theirs too");
    writeFileSync(join(source, "edited"), "third");
    rmSync(join(source, "added"));
    const report = await apply(mirrorOf(directory), session, options);
    expect(report.conflicts.map(({ path }) => path)).toEqual(["edited"]);
    expect(readFileSync(join(rootDirectory, "edited"), "utf8")).toBe("theirs");
    expect(readFileSync(join(rootDirectory, "added"), "utf8")).toBe("theirs too");
  });
});

describe.each(kinds)("after a seed was cut off: $name", ({ strategy, open }) => {
  it("leaves it to the session, and does not delete it when it is declared no more (S8)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const options = { strategy, signal } as const;
    const manifest = (files: string) => manifestOf(directory, `files: [{ path: stays, content: x }${files}]\n`);
    await apply(manifest(""), session, options);
    const seeding = manifest(", { path: seed, content: y, ifPresent: keep }, { path: ours, content: z }");
    const refused = apply(seeding, cutOffBeforeBase(session), { ...options, strategy: "steps" });
    await expect(refused).rejects.toMatchObject({ code: "UNREACHABLE" });
    const report = await apply(manifest(""), session, options);
    expect(report.plan.steps.map(({ step }) => step)).toEqual([
      expect.objectContaining({ op: "delete", path: "ours" }),
    ]);
    expect(Object.keys(look(rootDirectory, { modes: false })).toSorted()).toEqual(["seed", "stays"]);
  });
});

describe("a journal", () => {
  const binding = { sessionId: "s", root: "/tmp/workspace" };
  const record = (text: string): BaseEntry => ({
    entry: { kind: "file", mode: 0o644, sizeBytes: text.length, digest: digestOf(text) },
  });
  const next: Base = { ...emptyBase(binding.sessionId, binding.root), generation: 3 };
  const name = fc.stringMatching(/^[a-z]{1,3}$/).map(workspacePath);

  it("says the same after it was stored", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, fc.string().map(record)), { selector: String }), (records) => {
        const parsed = parseJournal(formatJournal(next, records), binding);
        expect(parsed.generation).toBe(3);
        const unique = [...new Map(records.map((one) => [JSON.stringify(one), one])).values()];
        expect(parsed.records).toEqual(unique);
      }),
    );
  });

  it.each([
    ["is missing", undefined],
    ["is damaged", "{}\n"],
    ["is cut short", formatJournal(next, [[workspacePath("a"), record("a")]]).slice(0, -4)],
    ["belongs to another session", formatJournal({ ...next, sessionId: "other" }, [])],
  ])("that %s knows nothing (S31)", (_why, text) => {
    expect(parseJournal(text, binding).records).toEqual([]);
  });

  it("counts for the generation after base only", () => {
    const journal = { generation: 3, records: [[workspacePath("a"), record("a")] as const] };
    const actual = new Map([[workspacePath("a"), record("a").entry]]);
    const at = (generation: number) => recover({ ...next, generation }, journal, actual, binding).recovered;
    expect([1, 2, 3, 4].map((generation) => at(generation).length)).toEqual([0, 1, 0, 0]);
  });
});
