import { createHash } from "node:crypto";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { AgbSyncError } from "../../src/errors.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { openOn } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { triesAll } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
const noise = (blocks: number) =>
  Buffer.concat(Array.from({ length: blocks }, (_, block) => createHash("sha256").update(`${block}`).digest()));
const small = { note: "x\n" };

const kinds: readonly (readonly [name: string, strategy: "batch" | "steps", options: EmulatorOptions])[] = [
  ["in parts", "batch", { missingTools: ["file_transfer"] }],
  ["by upload", "batch", {}],
  ["file by file", "steps", { missingTools: ["file_transfer"] }],
  ["file by file, by upload", "steps", {}],
];

describe("a disk that an apply has filled", () => {
  const all = kinds.flatMap((kind) => ([37_500, 94_000] as const).map((blocks) => [...kind, blocks] as const));

  // 1.2 MB go into the stage and do not fit beside it once more; 3 MB do not even go there.
  it.each(triesAll ? all : all.slice(4, 5))(
    "%s, strategy %s, is named, and free for the next one: %j, %i blocks",
    { timeout: 120_000 },
    async (_name, strategy, options, blocks) => {
      const emulator = await startEmulator({ transferPolls: 1, diskBytes: 2_000_000, ...options });
      onTestFinished(async () => await emulator.close());
      if (emulator.shellNotice !== undefined) return;
      const { session, rootDirectory } = await openOn(emulator);
      onTestFinished(async () => await session.close());
      const directory = temporaryDirectory();
      for (const rootExists of [false, true]) {
        layOut(join(directory, "source"), { ...small, large: noise(blocks) });
        const report = await apply(mirrorOf(directory), session, { strategy, signal, allowMassDelete: true }).catch(
          (error: unknown) => error,
        );
        const errors = report instanceof AgbSyncError ? [report] : errorsOf(report);
        // What is less may just fit.
        const codes = new Set([...errors.map(({ code }) => code), ...(blocks > 60_000 ? [] : ["NO_SPACE"])]);
        expect({ rootExists, codes }).toEqual({ rootExists, codes: new Set(["NO_SPACE"]) });
        expect(errors.filter(({ hint }) => hint === undefined)).toEqual([]);
        layOut(join(directory, "source"), { note: `${String(rootExists)}\n` });
        const next = await apply(mirrorOf(directory), session, { strategy, signal, allowMassDelete: true });
        expect(next.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
        expect(look(rootDirectory, { modes: false })).toEqual(look(join(directory, "source"), { modes: false }));
      }
    },
  );
});

function errorsOf(report: unknown): readonly AgbSyncError[] {
  if (typeof report !== "object" || report === null || !("outcomes" in report) || !Array.isArray(report.outcomes)) {
    throw report;
  }
  const outcomes: readonly { readonly result: { readonly error?: unknown } }[] = report.outcomes;
  return outcomes.flatMap(({ result }) => (result.error instanceof AgbSyncError ? [result.error] : []));
}
