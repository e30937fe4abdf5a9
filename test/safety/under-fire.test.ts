import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { hasCode } from "../../src/errors.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import type { Session } from "../../src/session.ts";
import { kinds, openOn, sharedEmulator } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { thorough } from "../helpers/tries-all.ts";
import { layOut, manifestOf, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

/** Bytes that do not compress, the same for the same seed. */
function noise(seed: number): Buffer {
  return Buffer.concat(
    Array.from({ length: 30 }, (_, block) => createHash("sha256").update(`${seed} ${block}`).digest()),
  );
}

const signal = new AbortController().signal;
const patient = { attempts: 12, baseDelayMs: 1, maxDelayMs: 3, maxRetryAfterMs: 2000 };
const LONGEST_MS = thorough(180_000, 1_200_000);
const rounds = Number(process.env["FAULT_ROUNDS"] ?? thorough(6, 60));

describe("random faults", () => {
  it.each(["batch", "steps"] as const)(
    "converges with a fault in every fifth request, strategy %s (S7)",
    { timeout: Math.max(120_000, rounds * 3000) },
    async (strategy) => {
      const random = (["500", "429", "reset"] as const).map((kind) => ({ kind, probability: 0.067 }));
      const emulator = await startEmulator({ faults: { random }, retryAfterSeconds: 0, seed: 7 });
      const directory = temporaryDirectory();
      try {
        const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
        const spec = { image: "agb-code-space-1", labels: {} };
        const session = await connect({ env, cwd: "/", spec, signal, retryPolicy: patient });
        const root = join(emulator.sessionRoot(session.id), "tmp/workspace");
        for (let round = 0; round < rounds; round += 1) {
          const text = Object.fromEntries(
            Array.from({ length: 6 }, (_, index) => [
              `d${index % 3}/f${(index + round) % 9}`,
              `${round} ${index} `.repeat(9000 * (index % 2)),
            ]),
          );
          layOut(join(directory, "source"), text);
          const report = await apply(mirrorOf(directory), session, {
            strategy,
            signal,
            allowMassDelete: true,
            lockTimeoutMs: 5000,
          });
          expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
          expect(look(root)).toEqual(look(join(directory, "source")));
        }
        expect(session.openWorkspace("/tmp/workspace").transport.counters.retries).toBeGreaterThan(rounds / 4);
        await session.close();
      } finally {
        await emulator.close();
      }
    },
  );
});

describe.each(kinds)("$name", ({ strategy, open, name }) => {
  it("never interleaves two applies (S22)", { timeout: LONGEST_MS }, async () => {
    const { session, rootDirectory } = await open();
    const directories = [temporaryDirectory(), temporaryDirectory()] as const;
    const contents = (who: number, round: number) =>
      Object.fromEntries(Array.from({ length: 4 }, (_, index) => [`f${index}`, `${who} ${round}`]));
    for (let round = 0; round < thorough(name.startsWith("embedded") ? 15 : 3, 50); round += 1) {
      directories.forEach((directory, who) => layOut(join(directory, "source"), contents(who, round)));
      const results = await Promise.allSettled(
        directories.map((directory) =>
          apply(mirrorOf(directory), session, { strategy, signal, allowMassDelete: true, lockTimeoutMs: 30_000 }),
        ),
      );
      const wrong = results.filter(
        (result) => result.status === "rejected" && !hasCode(result.reason, "LOCKED", "STALE_PLAN"),
      );
      expect(wrong).toEqual([]);
      const found = new Set(Object.keys(contents(0, 0)).map((file) => readFileSync(join(rootDirectory, file), "utf8")));
      expect(found.size).toBe(1);
    }
  });

  it("never follows a directory that turns into a link out of the root (S25)", { timeout: LONGEST_MS }, async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const canary = temporaryDirectory();
    writeFileSync(join(canary, "file"), "canary");
    const source = join(directory, "source");
    layOut(source, { "sub/file": "0", "other/file": "0", top: "0" });
    const options = { strategy, signal, onConflict: "overwrite", allowMassDelete: true } as const;
    await apply(mirrorOf(directory), session, options);
    let isOver = false;
    const attack = (async () => {
      while (!isOver) {
        for (const victim of ["sub", "other"]) {
          rmSync(join(rootDirectory, victim), { recursive: true, force: true });
          try {
            symlinkSync(canary, join(rootDirectory, victim));
          } catch {
            // The apply was faster.
          }
          await turn();
        }
      }
    })();
    for (let round = 1; round <= thorough(name.startsWith("embedded") ? 30 : 3, 100); round += 1) {
      layOut(source, { "sub/file": `${round}`, [`sub/new${round}`]: "x", "other/file": `${round}`, top: `${round}` });
      await apply(mirrorOf(directory), session, options).catch(() => undefined);
    }
    isOver = true;
    await attack;
    expect(look(canary, { modes: false })).toEqual({ file: expect.any(String) });
    expect(readFileSync(join(canary, "file"), "utf8")).toBe("canary");
  });

  it("shows a reader whole files only (S3)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const version = (round: number) => `${round}`.repeat(200_000);
    layOut(join(directory, "source"), { file: version(0) });
    await apply(mirrorOf(directory), session, { strategy, signal });
    let isOver = false;
    const partial: number[] = [];
    const reader = (async () => {
      while (!isOver) {
        try {
          const text = readFileSync(join(rootDirectory, "file"), "utf8");
          if (text.length !== 200_000 || text !== text.charAt(0).repeat(200_000)) partial.push(text.length);
        } catch {
          if (name !== "AGB without shell, steps") partial.push(-1);
        }
        await turn();
      }
    })();
    for (let round = 1; round < 5; round += 1) {
      layOut(join(directory, "source"), { file: version(round) });
      await apply(mirrorOf(directory), session, { strategy, signal });
    }
    isOver = true;
    await reader;
    expect(partial).toEqual([]);
  });

  it("writes every size and kind of content byte for byte (S1)", async () => {
    const { session, rootDirectory } = await open();
    const directory = temporaryDirectory();
    const astral = "\u{1f600}";
    layOut(join(directory, "source"), {
      edge: `${"a".repeat(59_998)}${astral.repeat(30)}`,
      "edge of units": `x${astral.repeat(40_000)}`,
      escapes: `"\\\n\t`.repeat(20_000),
      "two megabytes": Buffer.from(Array.from({ length: 2_000_000 }, (_, index) => (index * 7919) % 251)),
      "same again": Buffer.from(Array.from({ length: 2_000_000 }, (_, index) => (index * 7919) % 251)),
    });
    const report = await apply(mirrorOf(directory), session, { strategy, signal });
    expect(report.outcomes.filter(({ result }) => result.status !== "applied")).toEqual([]);
    expect(look(rootDirectory, { modes: false })).toEqual(look(join(directory, "source"), { modes: false }));
  });
});

describe("request budgets of the batch strategy", () => {
  const requestsOf = (session: Session) => session.openWorkspace("/tmp/workspace").transport.counters.requests;

  it("do not grow with the number of files", { timeout: 180_000 }, async () => {
    const emulator = await sharedEmulator();
    const directory = temporaryDirectory();
    const fresh: number[] = [];
    for (const count of [600, 2400]) {
      const tree = Object.fromEntries(
        Array.from({ length: count }, (_, index) => [`d${index % 40}/f${index}`, noise(index)]),
      );
      layOut(join(directory, "source"), tree);
      const { session } = await openOn(emulator);
      const attached = requestsOf(session);
      await apply(mirrorOf(directory), session, { strategy: "batch", signal });
      fresh.push(requestsOf(session) - attached);
      const again = await connect({
        env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
        cwd: "/",
        sessionId: session.id,
        signal,
      });
      const known = requestsOf(again);
      await apply(mirrorOf(directory), again, { strategy: "batch", signal });
      expect(requestsOf(again) - known).toBeLessThanOrEqual(2);
      writeFileSync(join(directory, "source/d1/f1"), "edited");
      const third = await connect({
        env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
        cwd: "/",
        sessionId: session.id,
        signal,
      });
      const before = requestsOf(third);
      await apply(mirrorOf(directory), third, { strategy: "batch", signal });
      expect(requestsOf(third) - before).toBeLessThanOrEqual(3);
      await Promise.all([session.close(), again.close(), third.close()]);
    }
    expect(Math.max(...fresh)).toBeLessThanOrEqual(12);
    expect(fresh[1]).toBeLessThanOrEqual((fresh[0] ?? 0) * 1.3);
  });

  it("never puts sensitive content into a command (S29)", async () => {
    const emulator = await startEmulator();
    try {
      const { session, rootDirectory } = await openOn(emulator);
      const directory = temporaryDirectory();
      const manifest = () =>
        manifestOf(
          directory,
          'files: [{ path: .env, content: "KEY=s3cr3t-value", sensitive: true }, { path: a, content: x }]\n',
        );
      mkdirSync(join(rootDirectory, "there"), { recursive: true });
      await apply(manifest(), session, { strategy: "batch", signal });
      expect(readFileSync(join(rootDirectory, ".env"), "utf8")).toBe("KEY=s3cr3t-value");
      const commands = emulator.requests.filter(({ tool }) => tool === "shell").map(({ args }) => JSON.stringify(args));
      expect(commands.length).toBeGreaterThan(1);
      expect(commands.filter((text) => text.includes("H4sI") || text.includes("s3cr3t"))).toEqual([]);
      await session.close();
    } finally {
      await emulator.close();
    }
  });
});
