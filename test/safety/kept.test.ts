import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { foundDigest } from "../../src/reconcile/found-digest.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import { run } from "../helpers/cli.ts";
import { kinds } from "../helpers/kinds.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;

describe.each(kinds)("what is said of a session (S41), $name", (kind) => {
  it("is not that it is as declared where something is kept, and the digest is of what is there", async () => {
    const directory = temporaryDirectory();
    const { session, rootDirectory } = await kind.open();
    const manifest = manifestOf(directory, "files: [{ path: a.txt, content: ours }, { path: b.txt, content: b }]\n");
    const options = { signal, strategy: kind.strategy };
    const declared = await apply(manifest, session, options);
    expect([declared.verified, declared.kept]).toEqual([true, []]);
    const digests: string[] = [declared.workspaceDigest];
    for (const text of ["theirs", "again other"]) {
      writeFileSync(join(rootDirectory, "a.txt"), text);
      const kept = await apply(manifest, session, { ...options, onConflict: "keep" });
      const again = await apply(manifest, session, options);
      for (const { verified, kept: paths, conflicts } of [kept, again]) {
        expect([verified, paths, conflicts]).toEqual([false, ["a.txt"], []]);
      }
      expect(again.workspaceDigest).toBe(kept.workspaceDigest);
      const planned = await makePlan(manifest, session, { ...options, checksum: true });
      expect([planned.plan.kept, await foundDigest(planned, signal)]).toEqual([["a.txt"], kept.workspaceDigest]);
      digests.push(kept.workspaceDigest);
    }
    expect(new Set(digests).size).toBe(3);
    const back = await apply(
      manifestOf(directory, "files: [{ path: a.txt, content: again other }, { path: b.txt, content: b }]\n"),
      session,
      options,
    );
    expect([back.verified, back.kept, back.workspaceDigest]).toEqual([true, [], digests[2]]);
    await session.close();
  });

  it("tells the bytes of a seed that was edited, and those of a conflict", async () => {
    const directory = temporaryDirectory();
    const { session, rootDirectory } = await kind.open();
    const manifest = manifestOf(
      directory,
      "files: [{ path: s, content: seed, ifPresent: keep }, { path: b, content: b }]\n",
    );
    const options = { signal, strategy: kind.strategy };
    const { workspaceDigest: first } = await apply(manifest, session, options);
    writeFileSync(join(rootDirectory, "s"), "edited by an agent");
    const seeded = await apply(manifest, session, options);
    expect([seeded.verified, seeded.kept, seeded.workspaceDigest === first]).toEqual([true, [], false]);
    writeFileSync(join(rootDirectory, "b"), "somebody's");
    const conflict = await apply(manifest, session, options);
    expect([first, seeded.workspaceDigest]).not.toContain(conflict.workspaceDigest);
    await session.close();
  });

  it("is not that a directory is empty or deleted which holds what a scan leaves out", async () => {
    const directory = temporaryDirectory();
    const { session, rootDirectory } = await kind.open();
    const options = { signal, strategy: kind.strategy };
    const manifest = manifestOf(directory, "prune: all\nignore: [ignored]\nfiles: [{ path: a, content: a }]\n");
    await apply(manifest, session, options);
    for (const name of ["x/deep", "y", "z"]) mkdirSync(join(rootDirectory, name), { recursive: true });
    writeFileSync(Buffer.concat([Buffer.from(`${rootDirectory}/x/deep/n-`), Buffer.from([0xff])]), "1");
    writeFileSync(join(rootDirectory, "y/line\nbreak"), "1");
    writeFileSync(join(rootDirectory, "z/ignored"), "1");
    const report = await apply(manifest, session, { ...options, allowMassDelete: true });
    const done = report.outcomes
      .filter(({ result }) => result.status === "applied")
      .map(({ step }) => ("path" in step ? step.path : ""));
    expect(done.filter((path) => path.startsWith("x") || path === "z")).toEqual([]);
    await session.close();
  });
});

describe("verify after keep (S41)", () => {
  it("ends with 2 and lists what is kept, unless that is allowed", async () => {
    const cwd = temporaryDirectory();
    layOut(join(cwd, "app"), { "a.txt": "1" });
    writeFileSync(join(cwd, "agb-sync.yaml"), "version: 1\nroot: /tmp/workspace\ntrees: [{ source: app, path: . }]\n");
    await run(["apply", "--local"], { cwd });
    writeFileSync(join(cwd, ".agb-sync/local/tmp/workspace/a.txt"), "2");
    const kept = await run(["apply", "--local", "--on-conflict", "keep"], { cwd });
    expect([kept.code, kept.stdout]).toEqual([0, expect.stringContaining("(1 kept)")]);
    const verified = await run(["verify", "--local"], { cwd });
    expect([verified.code, verified.stdout]).toEqual([2, expect.stringContaining("a.txt")]);
    expect(verified.stdout).not.toContain("equals");
    const json = await run(["verify", "--local", "--json"], { cwd });
    const said = JSON.parse(json.stdout);
    expect([said.equal, said.kept, said.digest === said.found]).toEqual([false, ["a.txt"], false]);
    const allowed = await run(["verify", "--local", "--allow-kept"], { cwd });
    expect([allowed.code, allowed.stdout]).toEqual([0, expect.stringContaining(said.found)]);
  });
});
