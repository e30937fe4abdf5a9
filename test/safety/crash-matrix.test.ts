import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import type { Action } from "../../src/emulator/action.ts";
import type { EmulatorOptions } from "../../src/emulator/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import type { Session } from "../../src/session.ts";
import { breakLock } from "../../src/state/lock.ts";
import { look } from "../helpers/look.ts";
import { triesAll } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
/** Calls are repeated at once, so that a matrix of hundreds of cases takes seconds. */
const retryPolicy = { attempts: 4, baseDelayMs: 1, maxDelayMs: 2, maxRetryAfterMs: 5 };

const before = {
  "keep.txt": "the same before and after\n",
  "edit.txt": "old\n",
  "gone.txt": "to be deleted\n",
  "sub/deep/old.txt": "to be deleted with its directory\n",
  "from/name.txt": "moves without its bytes being sent\n",
  "theirs.txt": "will be edited in the session\n",
};
const after = {
  "keep.txt": "the same before and after\n",
  "edit.txt": "new bytes\n".repeat(40),
  "to/name.txt": "moves without its bytes being sent\n",
  "theirs.txt": "declared anew: a conflict\n",
  "created/one.txt": "1\n",
  "created/two.txt": "2\n",
};

type Kind = { readonly name: string; readonly strategy: "steps" | "batch"; readonly options: EmulatorOptions };
const kinds: readonly Kind[] = [
  { name: "batch", strategy: "batch", options: {} },
  { name: "steps with shell", strategy: "steps", options: {} },
  { name: "steps without shell", strategy: "steps", options: { missingTools: ["shell", "run_code"] } },
];

/** What may strike one request; `dead`: this request and all that follow never arrive, as if the client were killed. */
const faults: readonly (Action | "dead")[] = [
  "drop-before",
  "drop-after",
  "half",
  "truncate",
  "cut",
  "lie",
  { status: 500 },
  { status: 500, after: true },
  { status: 429 },
  "disk-full",
  "expire",
  "dead",
];

const tally: string[] = [];
afterAll(() => process.stdout.write(`${tally.join("\n")}\n`));

describe.each(kinds)("crash matrix: $name (S2, S6, S7, S8, S11, S20, S31, S34)", ({ name, strategy, options }) => {
  it("survives every fault at every request", { timeout: triesAll ? 1_200_000 : 300_000 }, async () => {
    let strike: { readonly at: number; readonly fault: Action | "dead" } | undefined;
    let count = -1;
    const emulator = await startEmulator({
      ...options,
      onRequest: () => {
        if (count < 0) return undefined;
        const index = count++;
        if (strike === undefined) return undefined;
        if (strike.fault === "dead") return index >= strike.at ? "drop-before" : undefined;
        return index === strike.at ? strike.fault : undefined;
      },
    });
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const reach = async (sessionId?: string): Promise<Session> =>
      await connect({
        env,
        cwd: "/",
        signal,
        retryPolicy,
        ...(sessionId === undefined ? { spec: { image: "agb-code-space-1", labels: {} } } : { sessionId }),
      });
    const settings = { strategy, signal, allowMassDelete: true, lockTimeoutMs: 0 } as const;
    const directory = temporaryDirectory();
    const source = join(directory, "source");

    /** A session as the first apply left it, with one file edited and one added by somebody else. */
    const prepare = async () => {
      layOut(source, before);
      const session = await reach();
      const root = join(emulator.sessionRoot(session.id), "tmp/workspace");
      await apply(mirrorOf(directory), session, settings);
      writeFileSync(join(root, "theirs.txt"), "edited by an agent\n");
      mkdirSync(join(root, "made"), { recursive: true });
      writeFileSync(join(root, "made/by-agent.txt"), "unmanaged\n");
      layOut(source, after);
      return { session, root };
    };
    /** Old or new bytes at every declared path, and nobody else's byte touched. */
    const check = (root: string) => {
      for (const [path, text] of Object.entries(look(root, { modes: false }))) {
        if (text === "directory") continue;
        const bytes = readFileSync(join(root, path), "utf8");
        const allowed = [read(before, path), read(after, path), read(foreign, path)];
        expect(allowed, path).toContain(bytes);
      }
      for (const [path, text] of Object.entries(foreign)) expect(readFileSync(join(root, path), "utf8")).toBe(text);
    };
    try {
      const { session, root } = await prepare();
      count = 0;
      const whole = await apply(mirrorOf(directory), session, settings);
      const requests = count;
      count = -1;
      const expected = look(root, { modes: false });
      expect(whole.conflicts.map(({ path }) => path)).toEqual(["theirs.txt"]);
      await session.close();

      let cases = 0;
      const afterExpiry: object[] = [];
      for (let at = 0; at < requests; at += 1) {
        for (const [number, fault] of faults.entries()) {
          // Every 24th case of the long matrices.
          if (!triesAll && requests > 10 && (at * 5 + number) % 24 !== 0) continue;
          cases += 1;
          const label = `${JSON.stringify(fault)} at request ${at}`;
          const prepared = await prepare();
          strike = { at, fault };
          count = 0;
          const outcome = await apply(mirrorOf(directory), prepared.session, settings).then(
            (report) => ({ report }),
            (error: unknown) => ({ error }),
          );
          count = -1;
          strike = undefined;
          const { id } = prepared.session;
          await prepared.session.close();
          if (fault === "expire") {
            afterExpiry.push(outcome);
            continue;
          }
          if (fault === "disk-full") {
            emulator.freeDisk(id);
          }
          check(prepared.root);
          const again = await reach(id);
          // This process lives on, so its lock would count for a minute: what `agb-sync unlock` does.
          if (fault === "dead" || fault === "lie")
            await breakLock(again.openWorkspace("/tmp/workspace").transport, signal);
          const report = await apply(mirrorOf(directory), again, { ...settings, lockTimeoutMs: 5000 }).catch(
            (error: unknown) => {
              throw new Error(`after ${label}`, { cause: error });
            },
          );
          expect(
            report.conflicts.map(({ path }) => path),
            label,
          ).toEqual(["theirs.txt"]);
          expect(withoutDirectories(look(prepared.root, { modes: false })), label).toEqual(
            withoutDirectories(expected),
          );
          expect((await makePlan(mirrorOf(directory), again, settings)).plan.steps, label).toEqual([]);
          await again.close();
          rmSync(dirname(dirname(prepared.root)), { recursive: true, force: true });
        }
      }
      expect(afterExpiry.filter((outcome) => !("error" in outcome))).toEqual([]);
      tally.push(`crash matrix, ${name}: ${requests} requests x ${faults.length} faults, ${cases} tried and survived`);
    } finally {
      await emulator.close();
    }
  });
});

const foreign = { "theirs.txt": "edited by an agent\n", "made/by-agent.txt": "unmanaged\n" };

function read(tree: Readonly<Record<string, string>>, path: string): string | undefined {
  return tree[path];
}

/** Without a shell empty directories cannot be removed; whether one is left depends on where the fault struck. */
function withoutDirectories(found: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(found).filter(([, what]) => what !== "directory"));
}
