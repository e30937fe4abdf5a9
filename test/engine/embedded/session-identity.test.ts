import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/connect.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { drift } from "../../../src/reconcile/drift.ts";
import { makePlan } from "../../../src/reconcile/make-plan.ts";
import type { ReconcileOptions } from "../../../src/reconcile/reconcile-options.ts";
import type { Session } from "../../../src/session.ts";
import { listBackups, restoreBackup } from "../../../src/state/backups.ts";
import { breakLock } from "../../../src/state/lock.ts";
import { look } from "../../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();

/** A source with one file, and the place of a session that does not exist yet. */
function prepare() {
  const directory = temporaryDirectory();
  layOut(join(directory, "source"), { file: "1" });
  const local = join(directory, "deep/session");
  const open = async () => await connect({ local, env: {}, cwd: "/", signal });
  return { directory, local, open, manifest: mirrorOf(directory) };
}

type Look = (session: Session, directory: string, options: ReconcileOptions) => Promise<unknown>;

describe.each(["batch", "steps"] as const)("a session that is only looked at, %s", (strategy) => {
  it.each<{ readonly name: string; readonly looks: Look }>([
    { name: "plan", looks: async (session, directory, options) => makePlan(mirrorOf(directory), session, options) },
    {
      name: "verify",
      looks: async (session, directory, options) =>
        makePlan(mirrorOf(directory), session, { ...options, checksum: true }),
    },
    { name: "status", looks: async (session, directory, options) => drift(mirrorOf(directory), session, options) },
    { name: "backups list", looks: async (session) => listBackups(transportOf(session), signal) },
    { name: "unlock", looks: async (session) => breakLock(transportOf(session), signal) },
    {
      name: "backups restore, of none",
      looks: async (session) =>
        restoreBackup(transportOf(session), "none", [], new Date(), signal).catch(() => undefined),
    },
  ])("is not made: $name (S16)", async ({ looks }) => {
    const { directory, local, open } = prepare();
    const session = await open();
    await looks(session, directory, { strategy, signal });
    expect(existsSync(join(directory, "deep"))).toBe(false);
    mkdirSync(local, { recursive: true });
    await looks(await open(), directory, { strategy, signal });
    expect(readdirSync(local)).toEqual([]);
  });

  it("has one id before and after the first apply (S17)", async () => {
    const { local, open, manifest } = prepare();
    const first = await open();
    const second = await open();
    await apply(manifest, first, { strategy, signal });
    expect(readFileSync(join(local, ".agb-sync-session"), "utf8")).toBe(`${first.id}\n`);
    expect([second.id, (await open()).id]).toEqual([first.id, first.id]);
    expect(await makePlan(manifest, second, { strategy, signal })).toMatchObject({ isSettled: true });
    expect(readdirSync(local).toSorted()).toEqual([".agb-sync-session", "tmp"]);
  });

  it("takes its id along when it is moved, and leaves none behind in a copy of its files (S17)", async () => {
    const { directory, local, open, manifest } = prepare();
    const first = await open();
    await apply(manifest, first, { strategy, signal });
    const moved = join(directory, "moved");
    renameSync(local, moved);
    expect((await connect({ local: moved, env: {}, cwd: "/", signal })).id).toBe(first.id);
    const copy = join(directory, "copy");
    cpSync(join(moved, "tmp"), join(copy, "tmp"), { recursive: true });
    layOut(join(directory, "source"), { other: "2" });
    const another = await connect({ local: copy, env: {}, cwd: "/", signal });
    expect(another.id).not.toBe(first.id);
    await apply(manifest, another, { strategy, signal });
    expect(Object.keys(look(join(copy, "tmp/workspace")))).toEqual(["file", "other"]);
  });

  it("deletes nothing by the base of another session (S17)", async () => {
    const { directory, local, open, manifest } = prepare();
    await apply(manifest, await open(), { strategy, signal });
    writeFileSync(join(local, ".agb-sync-session"), "local-another\n");
    layOut(join(directory, "source"), { other: "2" });
    const report = await apply(manifest, await open(), { strategy, signal });
    expect(report.plan.warnings).toEqual([expect.stringContaining("belongs to another session")]);
    expect(Object.keys(look(join(local, "tmp/workspace")))).toEqual(["file", "other"]);
  });

  it("is the one of the process that came first, with a base bound to it (S17)", async () => {
    const { local, open, manifest } = prepare();
    const session = await open();
    let isBegun = false;
    const report = await apply(manifest, session, {
      strategy,
      signal,
      onEvent: (event) => {
        if (event.type !== "phase-start" || event.phase !== "commit" || isBegun) return;
        isBegun = true;
        mkdirSync(local, { recursive: true });
        writeFileSync(join(local, ".agb-sync-session"), "local-first\n");
      },
    });
    expect(report.outcomes.map(({ result }) => result.status)).toEqual(["applied"]);
    const base = readFileSync(join(local, "tmp/workspace/.agb-sync/base.json"), "utf8");
    expect(JSON.parse(base.split("\n")[0] ?? "")).toMatchObject({ sessionId: "local-first" });
    expect(await makePlan(manifest, await open(), { strategy, signal })).toMatchObject({ isSettled: true });
  });
});

function transportOf(session: Session) {
  return session.openWorkspace("/tmp/workspace").transport;
}
