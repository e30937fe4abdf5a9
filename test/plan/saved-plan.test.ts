import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { formatSavedPlan, matchSaved, parseSavedPlan } from "../../src/plan/saved-plan.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const hidesNothing = () => false;

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
    const saved = parseSavedPlan(formatSavedPlan(plan, "agb-sync.yaml", hidesNothing), "p.json");
    const now = async () => {
      const current = await makePlan(mirrorOf(directory), session, options);
      return matchSaved(saved, current.plan, hidesNothing).changed;
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
  it.each(["", "{}", '{"kind":"agb-sync plan","version":2}', "[1]", "not JSON"])("is refused: %j", (text) => {
    expect(() => parseSavedPlan(text, "p.json")).toThrow("p.json is not a plan");
  });
});
