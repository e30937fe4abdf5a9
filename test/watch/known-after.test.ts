import { join } from "node:path";
import { expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import { readSources } from "../../src/desired/read-sources.ts";
import { applyPlan } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import type { Known } from "../../src/reconcile/planned.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { knownAfter } from "../../src/watch/known-after.ts";
import { look } from "../helpers/look.ts";
import { type Local, layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

it("deletes what a directory held that was held back while it was missing, and came back without it (W13)", async () => {
  const directory = temporaryDirectory();
  const { signal } = new AbortController();
  const local = join(directory, "session");
  const session = await connect({ local, env: {}, cwd: "/", signal });
  const manifest = mirrorOf(directory);
  let known: Known | undefined;
  const cycle = async (files: Readonly<Record<string, Local>>, held: readonly string[], changed: readonly string[]) => {
    layOut(join(directory, "source"), files);
    const desired = { ...(await readSources(manifest, { signal })), held: new Set(held.map(workspacePath)) };
    const from = known === undefined ? undefined : { ...known, changed: new Set(changed.map(workspacePath)) };
    const options = { signal, sources: Promise.resolve(desired), allowMassDelete: true };
    const planned = await makePlan(manifest, session, options, from);
    known = knownAfter(planned, await applyPlan(planned, manifest, options));
    return Object.keys(look(join(local, "tmp/workspace"))).toSorted();
  };
  const all = ["a", "sub", "sub/deep", "sub/deep/f", "sub/e"];
  expect(await cycle({ a: "1", "sub/deep/f": "1", "sub/e": "1" }, [], [])).toEqual(all);
  expect(await cycle({ a: "2" }, ["sub"], all)).toEqual(all);
  expect(await cycle({ a: "3" }, ["sub"], ["a"])).toEqual(all);
  expect(await cycle({ a: "3", "sub/e": "2" }, [], ["sub", "sub/e"])).toEqual(["a", "sub", "sub/e"]);
});
