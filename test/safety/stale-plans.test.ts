import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply, applyPlan } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

describe.each(kinds)("$name", ({ strategy, open }) => {
  const options = { strategy, signal, allowMassDelete: true } as const;

  // What the two touch has nothing in common: only base tells that somebody was there.
  it("a plan is not carried out once another apply has changed base (S22, S31)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), { a: "1", b: "1" });
    await apply(mirrorOf(directory), session, options);
    layOut(join(directory, "source"), { a: "2", b: "1" });
    const planned = await makePlan(mirrorOf(directory), session, options);
    const other = temporaryDirectory();
    layOut(join(other, "source"), { a: "1", b: "1", c: "of the other" });
    await apply(mirrorOf(other), session, options);
    const before = [look(rootDirectory), readFileSync(join(rootDirectory, ".agb-sync/base.json"), "utf8")];
    await expect(applyPlan(planned, mirrorOf(directory), options)).rejects.toMatchObject({ code: "STALE_PLAN" });
    expect([look(rootDirectory), readFileSync(join(rootDirectory, ".agb-sync/base.json"), "utf8")]).toEqual(before);
    await session.close();
  });
});
