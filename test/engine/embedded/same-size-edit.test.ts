import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/connect.ts";
import type { ProgressEvent } from "../../../src/progress.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { drift } from "../../../src/reconcile/drift.ts";
import { makePlan } from "../../../src/reconcile/make-plan.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();
const options = { strategy: "batch", allowMassDelete: true, signal } as const;

describe("an edit of the same size", () => {
  const before = { untouched: "1", written: "1", moved: "a longer text", gone: "1" };
  const edits = { untouched: "x", written: "x", renamed: "another text." };

  it.each([
    { name: "an untouched file", file: "untouched", when: "write" },
    { name: "a file that is written", file: "written", when: "write" },
    { name: "a file that was written and read back", file: "written", when: "delete" },
    { name: "a file that was moved and read back", file: "renamed", when: "delete" },
  ] as const)("of $name during a commit is seen after it", async ({ file, when }) => {
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    const session = await connect({ local: join(directory, "session"), env: {}, cwd: "/", signal });
    const inSession = join(directory, "session/tmp/workspace", file);
    layOut(source, before);
    await apply(mirrorOf(directory), session, options);
    writeFileSync(join(source, "written"), "2");
    mkdirSync(join(source, "sub"));
    renameSync(join(source, "moved"), join(source, "renamed"));
    rmSync(join(source, "gone"));
    let isEdited = false;
    const onEvent = (event: ProgressEvent) => {
      if (event.type !== "step" || event.step.op !== when || isEdited) return;
      isEdited = true;
      writeFileSync(inSession, edits[file]);
    };
    await apply(mirrorOf(directory), session, { ...options, onEvent });
    expect(isEdited).toBe(true);
    expect((await drift(mirrorOf(directory), session, options)).map((one) => one.path)).toEqual([file]);
    const { plan } = await makePlan(mirrorOf(directory), session, options);
    expect(plan.conflicts.map((one) => one.path)).toEqual([file]);
  });
});
