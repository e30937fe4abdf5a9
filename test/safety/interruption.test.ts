import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { connect } from "../../src/connect.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { hasErrno } from "../../src/errors.ts";
import { apply } from "../../src/reconcile/apply-plan.ts";
import { run, start } from "../helpers/cli.ts";
import { look } from "../helpers/look.ts";
import { thorough, triesAll } from "../helpers/tries-all.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

const before = {
  "keep.txt": "same\n",
  "edit.txt": "old\n",
  "gone.txt": "goes\n",
  "from/name.txt": "moves\n",
  "theirs.txt": "x",
};
const after = {
  "keep.txt": "same\n",
  "edit.txt": "new\n".repeat(50),
  "to/name.txt": "moves\n",
  "theirs.txt": "y",
  "new/one": "1",
};
const foreign = { "theirs.txt": "edited by an agent\n", "made/by-agent.txt": "unmanaged\n" };

const signals = ["SIGKILL", "SIGINT", "SIGTERM"] as const;
const codes = { SIGKILL: null, SIGINT: 130, SIGTERM: 143 } as const;

const all: readonly { name: string; strategy: string; options: EmulatorOptions; every: number }[] = [
  { name: "AGB with shell, batch", strategy: "batch", options: {}, every: 1 },
  { name: "AGB with shell, steps", strategy: "steps", options: {}, every: 19 },
  { name: "AGB without shell, steps", strategy: "steps", options: { missingTools: ["shell", "run_code"] }, every: 47 },
];
const kinds = thorough(
  all.filter(({ name }) => name !== "AGB with shell, steps"),
  all,
);

const tally: string[] = [];
afterAll(() => process.stdout.write(`${tally.join("\n")}\n`));

describe.each(kinds)("$name", ({ name, strategy, options, every }) => {
  it("survives the end of its process at any request (S2, S6, S22, S31, S32, S33)", {
    timeout: triesAll ? 1_200_000 : 300_000,
  }, async () => {
    const isDirectoryLeft = options.missingTools !== undefined;
    let count = -1;
    let strike: (() => void) | undefined;
    let at = -1;
    const emulator = await startEmulator({
      ...options,
      onRequest: () => {
        if (count >= 0 && count++ === at) strike?.();
        return undefined;
      },
    });
    const env = { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
    const cwd = temporaryDirectory();
    writeFileSync(
      join(cwd, "agb-sync.yaml"),
      "version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: . }]\n",
    );
    const argumentsFor = (id: string) => [
      "apply",
      "--session",
      id,
      "--yes",
      "--strategy",
      strategy,
      "--allow-mass-delete",
      "--lock-timeout",
      "2s",
    ];
    const prepare = async () => {
      layOut(join(cwd, "source"), before);
      const session = await connect({
        env,
        cwd: "/",
        spec: { image: "agb-code-space-1", labels: {} },
        signal: new AbortController().signal,
      });
      const root = join(emulator.sessionRoot(session.id), "tmp/workspace");
      await apply(mirrorOf(cwd), session, {
        strategy: strategy === "batch" ? "batch" : "steps",
        signal: new AbortController().signal,
      });
      writeFileSync(join(root, "theirs.txt"), foreign["theirs.txt"]);
      mkdirSync(join(root, "made"));
      writeFileSync(join(root, "made/by-agent.txt"), foreign["made/by-agent.txt"]);
      layOut(join(cwd, "source"), after);
      await session.close();
      return { id: session.id, root };
    };
    const textsNow = (root: string) => {
      const found = Object.entries(look(root, { modes: false })).filter(([, what]) => what !== "directory");
      return found.map(([path]) => [path, readFileSync(join(root, path), "utf8")] as const);
    };
    /** A request that was under way when its client was killed goes on in the service. */
    const texts = async (root: string) => {
      for (;;) {
        try {
          return textsNow(root);
        } catch (error) {
          if (!hasErrno(error, "ENOENT")) throw error;
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
    };
    const locks = (root: string) => {
      const directory = join(root, ".agb-sync/locks");
      return existsSync(directory) ? readdirSync(directory) : [];
    };
    try {
      const whole = await prepare();
      count = 0;
      // Without a shell the emptied directory stays, which is not complete.
      const usual = isDirectoryLeft ? 1 : 3;
      const first = await run(argumentsFor(whole.id), { cwd, env });
      expect(first.code, first.stderr + first.stdout).toBe(usual);
      const requests = count;
      count = -1;
      const expected = await texts(whole.root);
      let cases = 0;
      let struck = 0;
      for (let request = 0; request < requests; request += triesAll ? Math.ceil(every / 8) : every) {
        for (const signal of triesAll ? signals : [signals[cases % 3] ?? "SIGKILL"]) {
          cases += 1;
          const label = `${signal} at request ${request}`;
          const { id, root } = await prepare();
          const child = start(argumentsFor(id), { cwd, env });
          let said = "";
          child.stdout?.on("data", (chunk: Buffer) => (said += chunk.toString()));
          child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
          at = request;
          strike = () => void child.kill(signal);
          count = 0;
          const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
          count = -1;
          strike = undefined;
          // A signal at the very end may come when all is done.
          expect([codes[signal], usual], `${label}: ${said}`).toContain(code);
          if (code !== usual) struck += 1;
          const isTold = typeof code !== "number" || code < 128 || /interrupted|Done/.test(said);
          expect(isTold, `${label}: ${said}`).toBe(true);
          for (const [path, text] of await texts(root)) {
            expect(
              [before, after, foreign].map((tree) => new Map(Object.entries(tree)).get(path)),
              `${label}: ${path}`,
            ).toContain(text);
          }
          for (const [path, text] of Object.entries(foreign)) expect(readFileSync(join(root, path), "utf8")).toBe(text);
          const again = await run(argumentsFor(id), { cwd, env });
          expect([again.code, label], again.stderr).toEqual([usual, label]);
          expect(await texts(root), label).toEqual(expected);
          if (locks(root).length > 0 && /^Nothing to apply/m.test(again.stdout)) {
            // Killed when all was recorded: then there was nothing to do that a lock is taken for.
            writeFileSync(join(cwd, "source/one-more"), "");
            await run(argumentsFor(id), { cwd, env });
          }
          expect(locks(root), label).toEqual([]);
          rmSync(dirname(dirname(root)), { recursive: true, force: true });
        }
      }
      expect(struck).toBeGreaterThan(cases / 2);
      tally.push(
        `interruption, ${name}: ${requests} requests, ${cases} cases tried and survived, ${struck} struck in time`,
      );
    } finally {
      await emulator.close();
    }
  });
});
