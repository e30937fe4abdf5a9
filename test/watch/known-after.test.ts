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

/** Carries out one cycle after the other from what is known, and gives the paths that the session then holds. */
async function startCycles() {
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
  return cycle;
}

it("deletes what a directory held that was held back while it was missing, and came back without it (W13)", async () => {
  const cycle = await startCycles();
  const all = ["a", "sub", "sub/deep", "sub/deep/f", "sub/e"];
  expect(await cycle({ a: "1", "sub/deep/f": "1", "sub/e": "1" }, [], [])).toEqual(all);
  expect(await cycle({ a: "2" }, ["sub"], all)).toEqual(all);
  expect(await cycle({ a: "3" }, ["sub"], ["a"])).toEqual(all);
  expect(await cycle({ a: "3", "sub/e": "2" }, [], ["sub", "sub/e"])).toEqual(["a", "sub", "sub/e"]);
});

it("deletes the directories above a file that was held back when they went (W13)", async () => {
  const cycle = await startCycles();
  const all = ["a", "sub", "sub/deep", "sub/deep/f"];
  expect(await cycle({ a: "1", "sub/deep/f": "1" }, [], [])).toEqual(all);
  expect(await cycle({ a: "2" }, ["sub/deep/f"], ["a", "sub", "sub/deep"])).toEqual(all);
  expect(await cycle({ a: "3" }, ["sub/deep/f"], ["a"])).toEqual(all);
  expect(await cycle({ a: "3" }, [], ["sub/deep/f"])).toEqual(["a"]);
});
