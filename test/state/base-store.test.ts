import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { kinds } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

describe.each(kinds.filter(({ strategy }) => strategy === "steps"))("base of $name", ({ strategy, isFull, open }) => {
  const options = { strategy, signal, allowMassDelete: true } as const;

  async function prepare() {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const source = join(directory, "source");
    layOut(source, { edited: "first", gone: "1", stays: "1" });
    await apply(mirrorOf(directory), session, options);
    const state = join(rootDirectory, ".agb-sync");
    layOut(source, { edited: "second", stays: "1" });
    return {
      session,
      rootDirectory,
      source,
      state,
      apply: async () => await apply(mirrorOf(directory), session, options),
    };
  }

  it("is found although its writer was killed before it was in place (S6, S31)", async () => {
    const prepared = await prepare();
    const { state, source, rootDirectory } = prepared;
    renameSync(join(state, "base.json"), join(state, "base.1.new"));
    const report = await prepared.apply();
    expect(report.conflicts).toEqual([]);
    expect(look(rootDirectory, { modes: isFull })).toEqual(look(source, { modes: isFull }));
    expect(readdirSync(state).filter((name) => name.startsWith("base"))).toEqual(["base.json"]);
    expect((await prepared.apply()).plan.steps).toEqual([]);
  });

  it.each<[string, (text: string) => string, string]>([
    ["half written", (text) => text.slice(0, -20), "base.1.new"],
    ["of another generation than it is named after", (text) => text, "base.2.new"],
    ["of another session", (text) => text.replace(/"sessionId":"[^"]*"/, '"sessionId":"other"'), "base.1.new"],
  ])("is not taken from one that is %s (S17, S31)", async (_name, change, staged) => {
    const prepared = await prepare();
    const { state, rootDirectory } = prepared;
    const text = readFileSync(join(state, "base.json"), "utf8");
    rmSync(join(state, "base.json"));
    writeFileSync(join(state, staged), change(text));
    const report = await prepared.apply();
    expect(report.conflicts.map(({ path }) => path)).toEqual(["edited"]);
    expect(readFileSync(join(rootDirectory, "edited"), "utf8")).toBe("first");
  });
});
