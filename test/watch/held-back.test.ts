import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { mirrorOf } from "../helpers/workspace.ts";
import { Watched } from "./watched.ts";

/** Only hints make a watch look, and only changes make it apply. */
const hintsOnly = { safetyMs: 60_000 };
const signal = new AbortController().signal;

const many = (name: string, count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}${index}`, `${name} ${index}`]));

/** Deletes and writes in the source, and waits until the watch has seen it. */
class Source {
  readonly watched: Watched;
  #saves = 0;

  constructor(watched: Watched) {
    this.watched = watched;
  }

  async change(gone: readonly string[], written: Readonly<Record<string, string>> = {}): Promise<void> {
    const { watched } = this;
    for (const name of gone) rmSync(join(watched.source, name), { recursive: true });
    for (const [name, text] of Object.entries(written)) writeFileSync(join(watched.source, name), text);
    this.#saves += 1;
    writeFileSync(join(watched.source, "saved"), `${this.#saves}`);
    await watched.until(() => this.#seen() === `${this.#saves}`);
  }

  #seen(): string {
    const file = join(this.watched.root, "saved");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }
}

async function started(files: Record<string, string>, manifest = ""): Promise<{ watched: Watched; source: Source }> {
  const watched = new Watched();
  watched.manifest = manifest;
  await watched.start({ ...files, saved: "0" }, hintsOnly);
  return { watched, source: new Source(watched) };
}

const left = ({ root }: Watched, name: string, count: number) =>
  Object.keys(many(name, count)).filter((path) => existsSync(join(root, path))).length;

describe("what a guard holds back (S43)", () => {
  it("stays held back although what the guarded run added changes the measure, until the source has it again", async () => {
    const { watched, source } = await started(many("old", 30));
    await source.change(Object.keys(many("old", 30)), many("new", 40));
    for (let save = 0; save < 3; save += 1) await source.change([]);
    expect([left(watched, "old", 30), left(watched, "new", 40)]).toEqual([30, 40]);
    expect(watched.all("problem").map(({ about }) => about)).toEqual(["guard"]);
    // What is not held back is deleted as ever.
    await source.change(["new0"]);
    expect([left(watched, "old", 30), left(watched, "new", 40)]).toEqual([30, 39]);
    // What the source has again is moot, the rest is not.
    await source.change([], many("old", 20));
    expect(watched.all("recovered")).toEqual([]);
    await source.change(["old0"]);
    expect(left(watched, "old", 30)).toBe(29);
    await source.change([], many("old", 30));
    await watched.until(() => watched.all("recovered").length === 1);
    await source.change(["old29"]);
    expect(left(watched, "old", 30)).toBe(29);
  });

  it("is not forgotten by a restart, nor by an apply, and goes once that is allowed", async () => {
    const { watched, source } = await started(many("old", 30));
    await source.change(Object.keys(many("old", 30)), many("new", 40));
    await source.change([]);
    await watched.stop();
    const again = new Watched(watched.directory);
    const files = { ...many("new", 40), saved: "9" };
    await again.start(files, hintsOnly).catch(() => undefined);
    expect(again.failure).toMatchObject({ code: "GUARD" });
    const { session } = await again.openLocal();
    await expect(apply(mirrorOf(watched.directory), session, { signal })).rejects.toMatchObject({ code: "GUARD" });
    expect(left(watched, "old", 30)).toBe(30);
    await apply(mirrorOf(watched.directory), session, { signal, allowMassDelete: true });
    expect([left(watched, "old", 30), left(watched, "new", 40)]).toEqual([0, 40]);
    expect((await apply(mirrorOf(watched.directory), session, { signal })).outcomes).toEqual([]);
  });

  it("is moot for a session that has lost it", async () => {
    const { watched, source } = await started(many("old", 30));
    await source.change(Object.keys(many("old", 30)), many("new", 40));
    await watched.stop();
    for (const name of Object.keys(many("old", 30))) rmSync(join(watched.root, name));
    const local = join(watched.directory, "session");
    const session = await connect({ local, env: {}, cwd: "/", signal });
    expect((await apply(mirrorOf(watched.directory), session, { signal })).conflicts).toEqual([]);
  });

  it("holds for a source that was emptied and then has something else", async () => {
    const { watched, source } = await started({});
    const tree = { ...many("old", 5) };
    watched.manifest = "";
    await source.change([], tree);
    for (const name of [...Object.keys(tree), "saved"]) rmSync(join(watched.source, name));
    await watched.until(() => watched.all("problem").length === 1);
    await source.change([]);
    await source.change([]);
    expect(left(watched, "old", 5)).toBe(5);
  });

  it("holds for what agb-sync did not write, where everything undeclared goes", async () => {
    const { watched, source } = await started({}, "prune: all\n");
    await source.change([]);
    for (const [name, text] of Object.entries(many("foreign", 30))) writeFileSync(join(watched.root, name), text);
    await watched.stop();
    const again = new Watched(watched.directory);
    again.manifest = "prune: all\n";
    await again.start({ saved: "1", ...many("new", 3) }, hintsOnly).catch(() => undefined);
    expect(again.failure).toMatchObject({ code: "GUARD" });
    expect(left(watched, "foreign", 30)).toBe(30);
  });

  it("counts what goes one after the other as one deletion", async () => {
    const { watched, source } = await started(many("old", 40));
    for (let first = 0; first < 40; first += 8) {
      await source.change(Array.from({ length: 8 }, (_, index) => `old${first + index}`));
    }
    expect(left(watched, "old", 40)).toBeGreaterThanOrEqual(20);
    expect(watched.all("problem").map(({ about }) => about)).toContain("guard");
  });
});
