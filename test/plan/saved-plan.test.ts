import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { PlanOrigin } from "../../src/plan/saved-plan.ts";
import { formatSavedPlan, matchSaved, parseSavedPlan } from "../../src/plan/saved-plan.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const hidesNothing = () => false;
const origin: PlanOrigin = {
  manifest: "agb-sync.yaml",
  manifestDigest: digestOf("version: 1"),
  vars: {},
  envFiles: [],
  isLocal: false,
  rules: {},
};

describe.each(kinds)("$name", ({ strategy, open }) => {
  it("a saved plan holds unless something has come to stand where it works (S23)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    const options = { strategy, signal, onConflict: "overwrite" } as const;
    layOut(source, { app: "declared as a file", b: "1", old: "x" });
    layOut(rootDirectory, { unmanaged: "theirs" });
    await apply(mirrorOf(directory), session, options);
    rmSync(join(rootDirectory, "app"));
    writeFileSync(join(source, "b"), "2");
    const { plan } = await makePlan(mirrorOf(directory), session, options);
    const saved = parseSavedPlan(formatSavedPlan(plan, origin, hidesNothing), "p.json");
    const now = async () => {
      const current = await makePlan(mirrorOf(directory), session, options);
      return matchSaved(saved, current.plan, current.actual, hidesNothing).changed;
    };
    expect(await now()).toEqual([]);

    writeFileSync(join(rootDirectory, "elsewhere"), "nobody minds");
    writeFileSync(join(source, "new"), "nor this");
    expect(await now()).toEqual([]);

    layOut(join(rootDirectory, "app"), { foreign: "would have to go" });
    // Where directories cannot be removed only what is in it is named.
    expect((await now())[0]).toMatch(/^app(?:\/foreign)?$/);
    rmSync(join(rootDirectory, "app"), { recursive: true });
    expect(await now()).toEqual([]);

    writeFileSync(join(rootDirectory, "b"), "edited since");
    expect(await now()).toEqual(["b"]);
  });
});

describe("a file that is no saved plan", () => {
  const whole = '{ "kind": "agb-sync plan", "version": 2,\n  "manifest": "m", "steps": [] }';

  it.each<[string, string]>([
    ["", "p.json is not a plan: it is damaged"],
    ["{}", "p.json is not a plan of agb-sync"],
    ["[1]", "p.json is not a plan of agb-sync"],
    [whole, "p.json is not a plan of this version of agb-sync"],
    [whole.replace("2", "1"), "p.json is not a plan of this version of agb-sync"],
    [whole.replace("2", "3"), "p.json is not a plan of this version of agb-sync, but of a newer one"],
    [whole.replace("[]", "[}"), "p.json:2:30 is not a plan: it is damaged"],
    [whole.slice(0, 50), "p.json:2:10 is not a plan: it is damaged"],
    ["not JSON", "p.json is not a plan: it is damaged"],
  ])("is refused: %j", (text, told) => {
    expect(() => parseSavedPlan(text, "p.json")).toThrow(
      expect.objectContaining({ code: "STALE_PLAN", message: expect.stringContaining(told) }),
    );
  });
});
