import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/connect.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../../src/reconcile/make-plan.ts";
import { manifestOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();

describe.each(["batch", "steps"] as const)("ifPresent: keep, %s", (strategy) => {
  it.each(["managed", "all"])("makes again what the session deleted, and only that (prune: %s)", async (prune) => {
    const directory = temporaryDirectory();
    const session = await connect({ local: join(directory, "session"), env: {}, cwd: "/", signal });
    const root = join(directory, "session/tmp/workspace");
    const manifest = manifestOf(
      directory,
      `prune: ${prune}\nfiles:\n  - { path: sub/notes, content: seed, ifPresent: keep }\n  - { path: other, content: x }\n`,
    );
    await apply(manifest, session, { strategy, signal });
    writeFileSync(join(root, "sub/notes"), "mine now");
    const settled = await makePlan(manifest, session, { strategy, signal });
    expect([settled.plan.steps, settled.isSettled]).toEqual([[], true]);
    rmSync(join(root, "sub/notes"));
    const report = await apply(manifest, session, { strategy, signal });
    expect(report.outcomes.map(({ step, result }) => [step.op, result.status])).toEqual([["write", "applied"]]);
    expect(readFileSync(join(root, "sub/notes"), "utf8")).toBe("seed");
  });

  it("sees what is not ours beside a seed (prune: all)", async () => {
    const directory = temporaryDirectory();
    const session = await connect({ local: join(directory, "session"), env: {}, cwd: "/", signal });
    const manifest = manifestOf(
      directory,
      "prune: all\nfiles:\n  - { path: notes, content: seed, ifPresent: keep }\n  - { path: other, content: x }\n",
    );
    await apply(manifest, session, { strategy, signal });
    writeFileSync(join(directory, "session/tmp/workspace/theirs"), "1");
    const { plan } = await makePlan(manifest, session, { strategy, signal });
    expect(plan.steps.map(({ step }) => step)).toMatchObject([{ op: "delete", path: "theirs" }]);
  });
});
