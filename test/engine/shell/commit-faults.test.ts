import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply, applyPlan } from "../../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../../src/reconcile/make-plan.ts";
import type { Session } from "../../../src/session.ts";
import { untrueOutcomes, untrueRecords } from "../../helpers/against-disk.ts";
import { inCommit, withShell } from "../../helpers/in-commit.ts";
import { openOn, sharedEmulator } from "../../helpers/kinds.ts";
import { look } from "../../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();
const options = { strategy: "batch", signal, allowMassDelete: true } as const;
const before = { "d/e/edited": "old", "d/e/gone": "deleted", "d/moved": "moves", gone: "deleted, too", keep: "k" };
const after = { "d/e/edited": "new", "d/e/added": "added", "d/e/moved": "moves", keep: "k" };

async function prepare() {
  const { session, rootDirectory: root } = await openOn(await sharedEmulator());
  const directory = temporaryDirectory();
  layOut(join(directory, "source"), before);
  await apply(mirrorOf(directory), session, options);
  layOut(join(directory, "source"), after);
  /** One commit of what is planned now, and what became of each path. */
  const commit = async (altered: Session) => {
    const planned = await makePlan(mirrorOf(directory), altered, options);
    return await applyPlan(planned, mirrorOf(directory), options);
  };
  const locks = () => readdirSync(join(root, ".agb-sync/locks"));
  return { session, root, directory, commit, locks };
}

describe("a batch to which something happens while it works", () => {
  it.each([
    ["d/e/edited", "the file that it replaces"],
    ["d/e/gone", "the file that it deletes"],
    ["gone", "the file that it deletes"],
  ])("puts %s back when somebody has edited %s since it looked (S9, S20, S34)", async (path) => {
    const { session, root, directory, locks } = await prepare();
    const edit = `printf "edited just now" >"$R/${path}"`;
    const altered = inCommit(session, { "after it looked, before it works": edit });
    const report = await apply(mirrorOf(directory), altered, options);
    expect(readFileSync(join(root, path), "utf8")).toBe("edited just now");
    expect(report.conflicts.map((one) => one.path)).toEqual([path]);
    expect(untrueOutcomes(root, report.outcomes, { modes: true })).toEqual([]);
    expect([untrueRecords(root, { modes: true }), locks()]).toEqual([[path], []]);
    await session.close();
  });

  it.each(["d/e/edited", "d/e/added", "d/e/moved"])(
    "calls nothing applied when %s is not what it put there, and deletes nothing after that (S15, S34)",
    async (path) => {
      const { session, root, directory, commit, locks } = await prepare();
      const altered = inCommit(session, { "after it wrote, before it looks at that": `printf damaged >"$R/${path}"` });
      // It may say so by asking for another plan: then nothing of this one counts.
      const outcomes = await commit(altered).then(
        (report) => report.outcomes,
        () => [],
      );
      expect(untrueOutcomes(root, outcomes, { modes: true })).toEqual([]);
      expect(["d/e/gone", "gone"].filter((one) => !existsSync(join(root, one)))).toEqual([]);
      expect(locks()).toEqual([]);
      await apply(mirrorOf(directory), session, { ...options, onConflict: "overwrite" });
      expect(look(root)).toEqual(look(join(directory, "source")));
      await session.close();
    },
  );
});

/** As when the answer of a command that carries a commit is lost, and it is sent again: how often it was. */
function twice(session: Session): { readonly session: Session; readonly sent: () => number } {
  let sent = 0;
  const doubled = withShell(session, async (command, ask) => {
    if (!command.includes("ARCHIVE=archive")) return await ask(command);
    sent += 1;
    await ask(command);
    return await ask(command);
  });
  return { session: doubled, sent: () => sent };
}

describe("a commit whose answer was lost", () => {
  it("is done once, in place (S7)", async () => {
    const { session, root, directory, commit } = await prepare();
    writeFileSync(join(root, "d/e/edited"), "theirs");
    layOut(join(directory, "source"), after);
    const doubled = twice(session);
    const report = await apply(mirrorOf(directory), doubled.session, { ...options, onConflict: "overwrite" });
    expect([doubled.sent(), report.verified, report.conflicts]).toEqual([1, true, []]);
    expect(readdirSync(join(root, ".agb-sync/backup"))).toHaveLength(1);
    expect(look(root)).toEqual(look(join(directory, "source")));
    expect((await commit(session)).plan.steps).toEqual([]);
    await session.close();
  });

  it("is done once, on a fresh root, and leaves nothing beside it (S4, S7)", async () => {
    const { session, rootDirectory: root } = await openOn(await sharedEmulator());
    const directory = temporaryDirectory();
    layOut(join(directory, "source"), after);
    const doubled = twice(session);
    const planned = await makePlan(mirrorOf(directory), doubled.session, options);
    const report = await applyPlan(planned, mirrorOf(directory), options);
    expect([doubled.sent(), report.verified]).toEqual([1, true]);
    expect(look(root)).toEqual(look(join(directory, "source")));
    expect(readdirSync(dirname(root)).filter((name) => name.includes("agb-sync"))).toEqual([]);
    await session.close();
  });
});

describe("the lock of a batch (S22)", () => {
  const ticket = (differs: object = {}) => {
    const nowMs = Date.now();
    return JSON.stringify({
      owner: "somebody else",
      host: "elsewhere",
      process: 1,
      startedAt: nowMs,
      expiresAt: nowMs + 600_000,
      ...differs,
    });
  };

  it("is not taken while somebody else has it, and nothing is changed", async () => {
    const { session, root, directory } = await prepare();
    mkdirSync(join(root, ".agb-sync/locks"), { recursive: true });
    writeFileSync(join(root, ".agb-sync/locks/theirs.json"), ticket());
    const untouched = look(root);
    const refused = apply(mirrorOf(directory), session, { ...options, lockTimeoutMs: 0 });
    await expect(refused).rejects.toMatchObject({ code: "LOCKED", message: expect.stringContaining("somebody else") });
    expect(look(root)).toEqual(untouched);
    await session.close();
  });

  it("falls at once when the work of its holder is gone from the session", async () => {
    const { session, root, directory } = await prepare();
    mkdirSync(join(root, ".agb-sync/locks"), { recursive: true });
    writeFileSync(join(root, ".agb-sync/locks/dead.json"), ticket({ host: "", process: 0 }));
    mkdirSync(join(root, ".agb-sync/stage/dead"), { recursive: true });
    writeFileSync(join(root, ".agb-sync/stage/dead/pid"), "99999999\n");
    const { verified } = await apply(mirrorOf(directory), session, { ...options, lockTimeoutMs: 0 });
    expect([verified, look(root)]).toEqual([true, look(join(directory, "source"))]);
    await session.close();
  });

  it("is renewed for as long as the work takes", async () => {
    const { session, root, directory } = await prepare();
    // Five seconds pass in a moment there, so that the test takes none.
    const altered = inCommit(session, {
      "once it has the lock": "sleep() { command sleep 0.05; }",
      "after it looked, before it works": `i=$(stat -c %i "$LOCKED"); n=0
while [ "$(stat -c %i "$LOCKED")" = "$i" ] && [ $n -lt 60 ]; do n=$((n+1)); command sleep 0.05; done
[ $n -ge 60 ] || echo renewed >"$R/../renewed"`,
    });
    await apply(mirrorOf(directory), altered, options);
    expect(existsSync(join(dirname(root), "renewed"))).toBe(true);
    await session.close();
  });

  it.each([
    ["the lock was taken away", 'rm -f "$LOCKED"'],
    ["another apply has changed base", 'sed -i "1s/\\"generation\\":1,/\\"generation\\":9,/" base.json'],
  ])("is looked at before base is written: not when %s", async (_what, happens) => {
    const { session, root, commit } = await prepare();
    const base = () =>
      readFileSync(join(root, ".agb-sync/base.json"), "utf8").replace('"generation":9', '"generation":1');
    const untouched = base();
    await expect(commit(inCommit(session, { "before it writes base": happens }))).rejects.toMatchObject({
      code: "STALE_PLAN",
    });
    expect(base()).toBe(untouched);
    await session.close();
  });

  it("is held while base is replaced by rename (S32)", async () => {
    const { session, root, directory } = await prepare();
    const base = join(root, ".agb-sync/base.json");
    const inode = statSync(base).ino;
    await apply(mirrorOf(directory), session, options);
    expect(statSync(base).ino).not.toBe(inode);
    await session.close();
  });
});

describe("a directory that becomes a link inside a batch (S25)", () => {
  it.each(["d", "d/e"])("%s is not followed, whatever it leads to", async (victim) => {
    const { session, root, directory } = await prepare();
    const outside = join(dirname(root), "outside");
    const swap = `mv "$R/${victim}" "$R/../was" && ln -s "$(cd "$R/.." && pwd -P)/outside" "$R/${victim}"`;
    mkdirSync(outside);
    const inner = victim === "d" ? "e/" : "";
    const alike = { [`${inner}edited`]: "old", [`${inner}gone`]: "deleted", moved: "moves" };
    layOut(outside, alike);
    const untouched = look(outside);
    await apply(mirrorOf(directory), inCommit(session, { "after it looked, before it works": swap }), options).catch(
      () => undefined,
    );
    expect(existsSync(join(dirname(root), "was"))).toBe(true);
    expect(look(outside)).toEqual(untouched);
    await session.close();
  });

  it("is the state directory: nobody's bytes go where it leads", async () => {
    const { session, root, directory } = await prepare();
    writeFileSync(join(root, "d/e/edited"), "theirs");
    mkdirSync(join(dirname(root), "outside"));
    const swap = 'mv "$R/.agb-sync" "$R/../was" && ln -s "$(cd "$R/.." && pwd -P)/outside" "$R/.agb-sync"';
    const altered = inCommit(session, { "after it looked, before it works": swap });
    await apply(mirrorOf(directory), altered, { ...options, onConflict: "overwrite" }).catch(() => undefined);
    expect(readdirSync(join(dirname(root), "outside"))).not.toContain("backup");
    expect(readFileSync(join(root, "d/e/edited"), "utf8")).toBe("theirs");
    await session.close();
  });
});
