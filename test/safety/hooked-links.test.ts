import { cpSync, existsSync, renameSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { beforeEachCall } from "../helpers/before-each-call.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
const options = { strategy: "steps", signal, onConflict: "overwrite", allowMassDelete: true } as const;
const before = { "a/b/c/edited": "old", "a/b/c/gone": "gone", "a/b/moved": "moves along", top: "0" };
const after = { "a/b/c/edited": "new", "a/b/c/added": "added", "a/b/c/moved": "moves along", top: "1" };
/** More calls than an apply of this size makes. */
const MOST_CALLS = 200;

const [embedded] = kinds.filter(({ name }) => name === "embedded, steps");

describe("a directory that becomes a link inside a call", () => {
  // One level, several, and the parent itself; the target looks just like what the plan saw.
  it.each(["a", "a/b", "a/b/c"])("%s is never followed out of the root, whichever call it is (S25)", async (victim) => {
    if (embedded === undefined) throw new Error("there is no such kind");
    let calls = MOST_CALLS;
    for (let at = 0; at < calls; at += 1) {
      const { session, rootDirectory } = await embedded.open();
      const directory = temporaryDirectory();
      const outside = join(temporaryDirectory(), "outside");
      layOut(join(directory, "source"), before);
      await apply(mirrorOf(directory), session, options);
      layOut(join(directory, "source"), after);
      cpSync(join(rootDirectory, victim), outside, { recursive: true });
      const untouched = look(outside);
      let made = 0;
      const hooked = beforeEachCall(session, (index) => {
        made = index + 1;
        if (index !== at || !existsSync(join(rootDirectory, victim))) return;
        renameSync(join(rootDirectory, victim), join(dirname(rootDirectory), "was"));
        symlinkSync(outside, join(rootDirectory, victim));
      });
      await apply(mirrorOf(directory), hooked, options).catch(() => undefined);
      expect(look(outside), `call ${at}`).toEqual(untouched);
      if (at >= made) calls = at;
      await session.close();
    }
    expect(calls).toBeGreaterThan(20);
    expect(calls).toBeLessThan(MOST_CALLS);
  });
});
