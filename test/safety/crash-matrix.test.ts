import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import type { Action } from "../../src/emulator/session/action.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { hasCode } from "../../src/errors.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { makePlan } from "../../src/reconcile/make-plan.ts";
import type { Session } from "../../src/session.ts";
import { breakLock } from "../../src/state/lock.ts";
import { isKept, untrueOutcomes, untrueRecords } from "../helpers/against-disk.ts";
import { look } from "../helpers/look.ts";
import { thorough } from "../helpers/tries-all.ts";
import type { Local } from "../helpers/workspace.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const signal = new AbortController().signal;
/** Calls are repeated at once, so that a matrix of hundreds of cases takes seconds. */
const retryPolicy = { attempts: 4, baseDelayMs: 1, maxDelayMs: 2, maxRetryAfterMs: 5 };

const before: Readonly<Record<string, Local>> = {
  "run.sh": { bytes: "#!/bin/sh\n", mode: 0o644 },
  "tool.sh": { bytes: "old tool\n", mode: 0o755 },
  "keep.txt": "the same before and after\n",
  "edit.txt": "old\n",
  "gone.txt": "to be deleted\n",
  "sub/deep/old.txt": "to be deleted with its directory\n",
  "from/name.txt": "moves without its bytes being sent\n",
  "theirs.txt": "will be edited in the session\n",
};
const after: Readonly<Record<string, Local>> = {
  "run.sh": { bytes: "#!/bin/sh\n", mode: 0o755 },
  "tool.sh": { bytes: "new tool\n", mode: 0o644 },
  "keep.txt": "the same before and after\n",
  "edit.txt": "new bytes\n".repeat(40),
  "to/name.txt": "moves without its bytes being sent\n",
  "theirs.txt": "declared anew: a conflict\n",
  "created/one.txt": "1\n",
  "created/two.txt": "2\n",
};

/** What somebody put there: left alone, in conflict, or overwritten because its entry says so. */
const foreign = { "theirs.txt": "edited by an agent\n", "made/by-agent.txt": "unmanaged\n" };
const SEIZED = "written by an agent, and declared\n";
const seizing = 'files: [{ path: seized.txt, content: "declared\\n", onConflict: overwrite }]\n';

type Kind = {
  readonly name: string;
  readonly strategy: "steps" | "batch";
  readonly options: EmulatorOptions;
  /** Which part of the cases is tried: one of so many, in `npm test` and in the exhaustive run. */
  readonly oneOf: number;
};
const every = Number(process.env["CRASH_EVERY"] ?? 0);
const kinds: readonly Kind[] = [
  { name: "batch", strategy: "batch", options: {}, oneOf: every || thorough(3, 1) },
  { name: "steps with shell", strategy: "steps", options: {}, oneOf: every || thorough(300, 6) },
  {
    name: "steps without shell",
    strategy: "steps",
    options: { missingTools: ["shell", "run_code"] },
    oneOf: every || thorough(120, 3),
  },
];

/**
 * What may strike one request; `dead`: this request and all that follow never arrive, as if the client were killed.
 * `second`: just before it another client applies the same.
 */
type Fault = Action | "dead" | "second";
const faults: readonly Fault[] = [
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
  "second",
];
const starts = ["in place", "a fresh root"] as const;
const cases = kinds.flatMap((kind) => starts.map((start) => ({ ...kind, start })));

const tally: string[] = [];
afterAll(() => process.stdout.write(`${tally.join("\n")}\n`));

describe.each(cases)("crash matrix: $name, $start (S2, S6, S7, S8, S11, S19, S20, S22, S31, S34)", (kind) => {
  const { name, strategy, options, start, oneOf } = kind;
  const modes = options.missingTools === undefined;
  const isFresh = start === "a fresh root";

  it("survives every fault at every request", { timeout: thorough(300_000, 1_200_000) }, async () => {
    let strike: { readonly at: number; readonly fault: Fault } | undefined;
    let count = -1;
    let second: (() => Promise<unknown>) | undefined;
    const emulator = await startEmulator({
      ...options,
      onRequest: async () => {
        if (count < 0) return undefined;
        const index = count++;
        if (strike === undefined) return undefined;
        if (strike.fault === "dead") return index >= strike.at ? "drop-before" : undefined;
        if (index !== strike.at) return undefined;
        if (strike.fault !== "second") return strike.fault;
        count = -1;
        await second?.();
        return undefined;
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
    const declared = () => mirrorOf(directory, seizing);

    /** A session as the first apply left it, with files edited and added by somebody else; or an empty one. */
    const prepare = async () => {
      const session = await reach();
      const root = join(emulator.sessionRoot(session.id), "tmp/workspace");
      if (!isFresh) {
        layOut(source, before);
        await apply(mirrorOf(directory), session, settings);
        for (const [path, text] of Object.entries({ ...foreign, "seized.txt": SEIZED })) {
          mkdirSync(dirname(join(root, path)), { recursive: true });
          writeFileSync(join(root, path), text);
        }
      }
      layOut(source, after);
      return { session, root };
    };

    /** Old or new bytes and mode at every declared path, nothing missing, and nobody else's byte touched. */
    const check = (root: string, fault: Fault, label: string) => {
      const found = existsSync(root) ? look(root, { modes }) : {};
      const [old, wanted] = [isFresh ? {} : shown(before, modes), shown(after, modes)];
      for (const path of new Set([...Object.keys(old), ...Object.keys(wanted)])) {
        if (path in foreign && !isFresh) continue;
        // File tools put nothing over a file: a client that died between two calls leaves the old bytes set aside alone.
        const isAside = !modes && fault === "dead" && old[path] !== undefined && isKept(root, bytesOf(before[path]));
        if (found[path] === undefined && isAside) continue;
        expect([old[path], wanted[path]], `${label}: ${path}`).toContain(found[path]);
      }
      for (const path of Object.keys(found)) {
        const isKnown =
          found[path]?.endsWith("directory") || path in { ...old, ...wanted, ...foreign, "seized.txt": 1 };
        expect(isKnown, `${label}: ${path} came from nowhere`).toBe(true);
      }
      if (isFresh) return;
      expect(found["from/name.txt"] ?? found["to/name.txt"], label).toBe(old["from/name.txt"]);
      for (const [path, text] of Object.entries(foreign)) expect(readFileSync(join(root, path), "utf8")).toBe(text);
      const inPlace = existsSync(join(root, "seized.txt")) ? readFileSync(join(root, "seized.txt"), "utf8") : "";
      expect(inPlace === SEIZED || isKept(root, SEIZED), `${label}: the agent's bytes`).toBe(true);
    };
    const conflicts = isFresh ? [] : ["theirs.txt"];
    try {
      const { session, root } = await prepare();
      count = 0;
      const whole = await apply(declared(), session, settings);
      const requests = count;
      count = -1;
      const expected = look(root, { modes });
      expect(whole.conflicts.map(({ path }) => path)).toEqual(conflicts);
      expect(untrueOutcomes(root, whole.outcomes, { modes })).toEqual([]);
      await session.close();

      let tried = 0;
      const afterExpiry: object[] = [];
      for (let at = 0; at < requests; at += 1) {
        for (const [number, fault] of faults.entries()) {
          if ((at * 5 + number) % oneOf !== 0) continue;
          tried += 1;
          const label = `${JSON.stringify(fault)} at request ${at}`;
          const prepared = await prepare();
          const { id } = prepared.session;
          second = async () => {
            const other = await reach(id);
            await apply(declared(), other, settings).catch((error: unknown) => {
              if (!hasCode(error, "LOCKED", "STALE_PLAN")) throw error;
            });
            await other.close();
          };
          strike = { at, fault };
          count = 0;
          const outcome = await apply(declared(), prepared.session, settings).then(
            (report) => ({ report }),
            (error: unknown) => ({ error }),
          );
          count = -1;
          strike = undefined;
          await prepared.session.close();
          if (fault === "expire") {
            afterExpiry.push(outcome);
            continue;
          }
          if (fault === "disk-full") emulator.freeDisk(id);
          check(prepared.root, fault, label);
          const outcomes = "report" in outcome ? outcome.report.outcomes : [];
          const untrue = outcomes.length === 0 ? [] : untrueOutcomes(prepared.root, outcomes, { modes });
          expect(untrue, label).toEqual([]);
          const again = await reach(id);
          // This process lives on, so its lock would count for a minute: what `agb-sync unlock` does.
          if (fault === "dead" || fault === "lie")
            await breakLock(again.openWorkspace("/tmp/workspace").transport, signal);
          const report = await apply(declared(), again, { ...settings, lockTimeoutMs: 5000 }).catch(
            (error: unknown) => {
              throw new Error(`after ${label}`, { cause: error });
            },
          );
          expect(
            report.conflicts.map(({ path }) => path),
            label,
          ).toEqual(conflicts);
          expect(withoutDirectories(look(prepared.root, { modes })), label).toEqual(withoutDirectories(expected));
          expect(untrueOutcomes(prepared.root, report.outcomes, { modes }), label).toEqual([]);
          expect(untrueRecords(prepared.root, { modes }), label).toEqual(conflicts);
          expect(isFresh || isKept(prepared.root, SEIZED), `${label}: the agent's bytes in the backup`).toBe(true);
          expect((await makePlan(declared(), again, settings)).plan.steps, label).toEqual([]);
          await again.close();
          rmSync(dirname(dirname(prepared.root)), { recursive: true, force: true });
        }
      }
      expect(afterExpiry.filter((outcome) => !("error" in outcome))).toEqual([]);
      tally.push(
        `crash matrix, ${name}, ${start}: ${requests} requests x ${faults.length} faults, ${tried} tried and survived`,
      );
    } finally {
      await emulator.close();
    }
  });
});

describe("a client without a shell that dies between two requests", () => {
  const replaced = { "edit.txt": "old\n", "seized.txt": SEIZED };

  it.each(Object.entries(replaced))(
    "leaves %s to the next apply, and its bytes where they are kept (S2, S19)",
    async (path, old) => {
      let isArmed = false;
      let isDead = false;
      const emulator = await startEmulator({
        missingTools: ["shell", "run_code"],
        onRequest: ({ tool, args }) => {
          isDead ||= isArmed && tool === "move_file" && args?.["destination"] === `/tmp/workspace/${path}`;
          return isDead ? "drop-before" : undefined;
        },
      });
      try {
        const directory = temporaryDirectory();
        const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
        const spec = { image: "agb-code-space-1", labels: {} };
        const session = await connect({ env, cwd: "/", signal, retryPolicy, spec });
        const root = join(emulator.sessionRoot(session.id), "tmp/workspace");
        layOut(join(directory, "source"), before);
        await apply(mirrorOf(directory), session, { strategy: "steps", signal });
        writeFileSync(join(root, "seized.txt"), SEIZED);
        layOut(join(directory, "source"), { ...before, "edit.txt": "new\n" });
        isArmed = true;
        await expect(apply(mirrorOf(directory, seizing), session, { strategy: "steps", signal })).rejects.toThrow(/./);
        isArmed = isDead = false;
        expect([existsSync(join(root, path)), isKept(root, old)]).toEqual([false, true]);

        const again = await connect({ env, cwd: "/", signal, retryPolicy, sessionId: session.id });
        await breakLock(again.openWorkspace("/tmp/workspace").transport, signal);
        await apply(mirrorOf(directory, seizing), again, { strategy: "steps", signal });
        const bytes = ["edit.txt", "seized.txt"].map((name) => readFileSync(join(root, name), "utf8"));
        expect(bytes).toEqual(["new\n", "declared\n"]);
        expect(isKept(root, old)).toBe(true);
        await Promise.all([session.close(), again.close()]);
      } finally {
        await emulator.close();
      }
    },
  );
});

function bytesOf(what: Local | undefined): string {
  return typeof what === "string" ? what : what !== undefined && "bytes" in what ? String(what.bytes) : "";
}

/** What `look` shows of a tree that is laid out. */
function shown(tree: Readonly<Record<string, Local>>, modes: boolean): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree).map(([path, what]) => {
      const mode = typeof what === "object" && "mode" in what && what.mode !== undefined ? what.mode : 0o644;
      const digest = createHash("sha256").update(bytesOf(what)).digest("hex");
      return [path, `${modes ? `${mode.toString(8)} ` : ""}${digest}`];
    }),
  );
}

/** Without a shell empty directories cannot be removed; whether one is left depends on where the fault struck. */
function withoutDirectories(found: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(found).filter(([, what]) => what !== "directory"));
}
