import { describe, expect, it } from "vitest";
import { AgbSyncError } from "../../src/errors.ts";
import type { Manifest } from "../../src/manifest/manifest.ts";
import { WatchedManifest } from "../../src/watch/watched-manifest.ts";
import { manifestOf } from "../helpers/workspace.ts";
import { VirtualClock } from "./virtual-clock.ts";

const first = manifestOf("/", "files: [{ path: a, content: '1' }]\n");

function watched() {
  const clock = new VirtualClock();
  let next: () => Manifest = () => first;
  const manifest = new WatchedManifest(first, async () => next(), clock);
  const becomes = (load: () => Manifest) => (next = load);
  const gone = () => becomes(() => throwing("MANIFEST_NOT_FOUND"));
  return { clock, manifest, becomes, gone };
}

function throwing(code: "MANIFEST_NOT_FOUND" | "MANIFEST_INVALID"): never {
  throw new AgbSyncError(code === "MANIFEST_INVALID" ? "USAGE" : code, "no manifest");
}

describe("a manifest that is watched (W25)", () => {
  it("may be gone for a moment, and is missed after two seconds, once for as long as that lasts", async () => {
    const { clock, manifest, becomes, gone } = watched();
    gone();
    expect(await manifest.reload(undefined)).toEqual({ kind: "missing" });
    expect(manifest.nextMs).toBe(2000);
    await clock.pass(1999);
    expect(await manifest.reload(undefined)).toEqual({ kind: "missing" });
    await clock.pass(1);
    expect(await manifest.reload(undefined)).toMatchObject({ kind: "broken", error: { code: "MANIFEST_NOT_FOUND" } });
    expect([manifest.nextMs, manifest.current]).toEqual([Number.POSITIVE_INFINITY, first]);
    becomes(() => first);
    expect(await manifest.reload(undefined)).toEqual({ kind: "same" });
    gone();
    await clock.pass(100);
    expect(await manifest.reload(undefined)).toEqual({ kind: "missing" });
  });

  it("that is broken leaves the last good one in force, at once and for as long as it is", async () => {
    const { manifest, becomes } = watched();
    becomes(() => throwing("MANIFEST_INVALID"));
    expect(await manifest.reload(undefined)).toMatchObject({ kind: "broken" });
    expect(manifest.current).toBe(first);
    becomes(() => manifestOf("/", "files: [{ path: a, content: '2' }]\n"));
    expect(await manifest.reload(undefined)).toEqual({ kind: "new", isOther: false, changesSession: false });
    expect(manifest.current).not.toBe(first);
    expect(await manifest.reload(undefined)).toEqual({ kind: "same" });
  });

  it.each<[string, string, { readonly isOther: boolean; readonly changesSession: boolean }]>([
    ["other bytes", "files: [{ path: a, content: '2' }]\n", { isOther: false, changesSession: false }],
    ["another path", "files: [{ path: b, content: '1' }]\n", { isOther: true, changesSession: false }],
    ["another rule", "prune: none\nfiles: [{ path: a, content: '1' }]\n", { isOther: true, changesSession: false }],
    [
      "another session",
      "session: { image: other }\nfiles: [{ path: a, content: '1' }]\n",
      { isOther: true, changesSession: true },
    ],
  ])("with %s is told as that", async (_what, text, news) => {
    const { manifest, becomes } = watched();
    becomes(() => manifestOf("/", text));
    expect(await manifest.reload(undefined)).toEqual({ kind: "new", ...news });
  });
});
