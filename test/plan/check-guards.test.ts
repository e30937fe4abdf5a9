import { describe, expect, it } from "vitest";
import { GuardError, UsageError } from "../../src/errors.ts";
import { checkDeletions, countDeletions, parseDeleteLimit } from "../../src/plan/check-guards.ts";
import type { Plan, Step } from "../../src/plan/plan.ts";
import { digestOf } from "../../src/tree/digest.ts";
import type { Entry } from "../../src/tree/entry.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";

const file: Entry = { kind: "file", sizeBytes: 1, digest: digestOf("x") };
const path = (index: number) => workspacePath(`f${index}`);
const remove = (index: number): Step => ({ op: "delete", path: path(index), before: file, backup: false });
const move = (index: number): Step => ({
  op: "move",
  from: path(index),
  to: workspacePath(`moved/f${index}`),
  before: file,
  held: false,
});

function planOf(steps: readonly Step[]): Plan {
  return {
    version: 1,
    sessionId: "s",
    root: "/tmp/workspace",
    madeFrom: { desired: digestOf("d"), actual: digestOf("a") },
    steps: steps.map((step) => ({ step, after: [] })),
    conflicts: [],
    unsupported: [],
    kept: [],
    waiting: [],
    warnings: [],
  };
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);
const tree = (count: number) => new Map(range(count).map((index) => [path(index), file]));

/** The class of what `work` throws. */
function thrownBy(work: () => void): unknown {
  try {
    work();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.constructor : error;
  }
}

describe("the limit on deletions (S14)", () => {
  it.each([
    { what: "half of what is there", deletions: 11, there: 22, limit: undefined, stops: false },
    { what: "more than half", deletions: 12, there: 22, limit: undefined, stops: true },
    { what: "more than half, but ten files only", deletions: 10, there: 10, limit: undefined, stops: false },
    { what: "as many as allowed", deletions: 3, there: 100, limit: "3", stops: false },
    { what: "one more than allowed", deletions: 4, there: 100, limit: "3", stops: true },
    { what: "none allowed", deletions: 1, there: 100, limit: "0", stops: true },
    { what: "the share that is allowed", deletions: 10, there: 100, limit: "10%", stops: false },
    { what: "more than the share", deletions: 11, there: 100, limit: "10%", stops: true },
    { what: "everything, where all of it is allowed", deletions: 100, there: 100, limit: "100%", stops: false },
  ])("$what: stops $stops", ({ deletions, there, limit, stops }) => {
    const check = () =>
      checkDeletions(
        planOf(range(deletions).map(remove)),
        tree(there),
        limit === undefined ? undefined : parseDeleteLimit(limit),
      );
    expect(thrownBy(check)).toBe(stops ? GuardError : undefined);
  });

  it("counts neither moves nor what is replaced", () => {
    const replaced: Step = { op: "create-directory", path: path(0), mode: 0o755 };
    const plan = planOf([remove(0), replaced, ...range(50).map((index) => move(index + 1)), remove(99)]);
    expect(countDeletions(plan)).toBe(1);
    expect(() => checkDeletions(plan, tree(100), { count: 1 })).not.toThrow();
  });

  it.each(["", "-1", "1.5", "ten", "101%", "%", "1e3"])("refuses %j", (text) => {
    expect(() => parseDeleteLimit(text)).toThrow(UsageError);
  });
});
