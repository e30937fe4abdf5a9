import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../../src/connect.ts";
import { hasCode } from "../../../src/errors.ts";
import { parseManifest } from "../../../src/manifest/parse-manifest.ts";
import { apply } from "../../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../../src/reconcile/make-plan.ts";
import { look } from "../../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();

type Link = { readonly at: string; readonly to: "directory" | "file"; readonly isRefused: boolean };

describe.each(["batch", "steps"] as const)("links among the state, %s", (strategy) => {
  it.each<Link>([
    { at: ".agb-sync", to: "directory", isRefused: true },
    { at: ".agb-sync/backup", to: "directory", isRefused: false },
    { at: ".agb-sync/locks", to: "directory", isRefused: false },
    { at: ".agb-sync/stage", to: "directory", isRefused: false },
    { at: ".agb-sync/base.json", to: "file", isRefused: false },
    { at: ".agb-sync/index", to: "file", isRefused: false },
    { at: ".agb-sync/index.new", to: "file", isRefused: false },
  ])("lead nowhere: $at (S25)", async ({ at, to, isRefused }) => {
    const directory = temporaryDirectory();
    const local = join(directory, "session");
    const root = join(local, "tmp/workspace");
    const canary = join(directory, "canary");
    layOut(join(directory, "source"), { edited: "1", other: "1" });
    const session = await connect({ local, env: {}, cwd: "/", signal });
    const options = { strategy, onConflict: "overwrite", signal } as const;
    await apply(mirrorOf(directory), session, options);
    layOut(join(directory, "source"), { edited: "2", other: "2" });
    writeFileSync(join(root, "edited"), "theirs");
    layOut(canary, { file: "canary", "there/file": "canary" });
    const before = look(canary);
    rmSync(join(root, at), { recursive: true, force: true });
    symlinkSync(join(canary, to === "file" ? "file" : "there"), join(root, at));
    const outcome = await apply(mirrorOf(directory), session, options).then(
      ({ outcomes }) => outcomes.every(({ result }) => result.status === "applied"),
      (error: unknown) => error,
    );
    expect(look(canary)).toEqual(before);
    const isUntouched = () => readFileSync(join(root, "edited"), "utf8") === "theirs";
    // What stands in the place of its own files and directories makes way; the state directory itself does not.
    const isSafe = isRefused
      ? hasCode(outcome, "OUTSIDE_ROOT") || (outcome === false && isUntouched())
      : outcome === true;
    expect(isSafe, String(outcome)).toBe(true);
  });

  it.each(["tmp", "tmp/workspace"])("of the way to the root lead nowhere: %s (S25)", async (at) => {
    const directory = temporaryDirectory();
    const local = join(directory, "session");
    const outside = join(directory, "outside");
    layOut(join(directory, "source"), { file: "1" });
    mkdirSync(dirname(join(local, at)), { recursive: true });
    mkdirSync(outside);
    symlinkSync(outside, join(local, at));
    const session = await connect({ local, env: {}, cwd: "/", signal });
    const options = { strategy, signal } as const;
    await expect(apply(mirrorOf(directory), session, options)).rejects.toMatchObject({ code: "OUTSIDE_ROOT" });
    await expect(makePlan(mirrorOf(directory), session, options)).rejects.toMatchObject({ code: "OUTSIDE_ROOT" });
    expect(look(outside)).toEqual({});
  });

  it("of the way to the root that come after the plan lead nowhere (S25)", async () => {
    const directory = temporaryDirectory();
    const local = join(directory, "session");
    const outside = join(directory, "outside");
    layOut(join(directory, "source"), { file: "1" });
    mkdirSync(outside);
    const session = await connect({ local, env: {}, cwd: "/", signal });
    const text = "version: 1\nroot: /tmp/deep/workspace\ntrees: [{ source: source, path: . }]\n";
    const manifest = parseManifest(text, { file: "agb-sync.yaml", directory, env: {} });
    const outcome = apply(manifest, session, {
      strategy,
      signal,
      onEvent: (event) => {
        if (event.type !== "phase-start" || event.phase !== "commit") return;
        mkdirSync(local, { recursive: true });
        symlinkSync(outside, join(local, "tmp"));
      },
    });
    await expect(outcome).rejects.toMatchObject({ code: "OUTSIDE_ROOT" });
    expect(look(outside)).toEqual({});
  });
});

describe("the session's own file", () => {
  it.each(["a link", "no id"])("is refused when it is %s", async (what) => {
    const directory = temporaryDirectory();
    const local = join(directory, "session");
    mkdirSync(local);
    writeFileSync(join(directory, "elsewhere"), what);
    if (what === "a link") symlinkSync(join(directory, "elsewhere"), join(local, ".agb-sync-session"));
    else writeFileSync(join(local, ".agb-sync-session"), "");
    await expect(connect({ local, env: {}, cwd: "/", signal })).rejects.toMatchObject({ code: "SESSION_FAILED" });
    expect(existsSync(join(local, "tmp"))).toBe(false);
  });
});
