import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { run, start } from "../helpers/cli.ts";
import { openOn } from "../helpers/kinds.ts";
import { thorough } from "../helpers/tries-all.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

/** What a child's clock says: as many milliseconds away from the truth as the environment has it. */
const SHIFTED_CLOCK = `const Real = Date, shift = Number(process.env.CLOCK_SHIFT_MS);
globalThis.Date = class extends Real {
  constructor(...args) { super(...(args.length === 0 ? [Real.now() + shift] : args)); }
  static now() { return Real.now() + shift; }
};`;
const DAY_MS = 24 * 3_600_000;
const KEPT = 5;

/** The same row of random numbers for every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** Everything that is ever seen in the backups of one session, and whether it went in turn. */
class Watched {
  readonly #root: string;
  readonly #texts = new Map<string, string>();
  readonly #there = new Set<string>();
  readonly #gone = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  get texts(): ReadonlySet<string> {
    return new Set([...this.#texts.values()].flatMap((text) => text.split("\0")));
  }

  get count(): number {
    return this.#texts.size;
  }

  /** To be called after each round; says what is wrong. */
  look(): readonly string[] {
    const directory = join(this.#root, ".agb-sync/backup");
    const now = new Map<string, string>();
    const faults: string[] = [];
    const names = existsSync(directory) ? readdirSync(directory) : [];
    for (const name of names) if (/\d{6}$/.test(name)) now.set(name, textsBelow(join(directory, name)).join("\0"));
    for (const [name, text] of now) {
      if (this.#gone.has(name)) faults.push(`${name} is used twice`);
      const before = (this.#texts.get(name) ?? "").split("\0").filter((one) => one !== "");
      if (!before.every((one) => text.split("\0").includes(one))) faults.push(`${name} has lost what it held`);
      this.#texts.set(name, text);
      this.#there.add(name);
    }
    const numberOf = (name: string) => Number(name.slice(-6));
    for (const name of this.#there) {
      if (now.has(name)) continue;
      const newer = [...now.keys()].filter((other) => numberOf(other) > numberOf(name));
      if (newer.length < KEPT) faults.push(`${name} went out of turn`);
      this.#there.delete(name);
      this.#gone.add(name);
    }
    return faults;
  }
}

function textsBelow(directory: string): readonly string[] {
  return readdirSync(directory).flatMap((name) => {
    const path = join(directory, name);
    return lstatSync(path).isDirectory() ? textsBelow(path) : [readFileSync(path, "utf8")];
  });
}

/** `APPLIES=1000` is a quarter of an hour for each kind of session. */
const longest = (rounds: number) => Number(process.env["APPLIES"] ?? thorough(rounds, 60));

const tally: string[] = [];
afterAll(() => process.stdout.write(`${tally.join("\n")}\n`));

const all = [
  { name: "embedded, batch", strategy: "batch", options: undefined, rounds: 12 },
  { name: "embedded, steps", strategy: "steps", options: undefined, rounds: 8 },
  { name: "AGB with shell, batch", strategy: "batch", options: {}, rounds: 8 },
  { name: "AGB with shell, steps", strategy: "steps", options: {}, rounds: 4 },
  { name: "AGB without shell, steps", strategy: "steps", options: { missingTools: ["shell", "run_code"] }, rounds: 6 },
] as const;

const kinds = thorough<readonly (typeof all)[number][]>(
  all.filter(({ name }) => !name.startsWith("AGB with shell, steps") && name !== "embedded, steps"),
  all,
);

describe.each(kinds)("$name", ({ name, strategy, options, rounds }) => {
  it("keeps every byte that was replaced, whatever the clocks say and whoever is killed (S19, S42)", {
    timeout: 3_600_000,
  }, async () => {
    const cwd = temporaryDirectory();
    const random = randomFrom(20_261_128);
    writeFileSync(join(cwd, "clock.mjs"), SHIFTED_CLOCK);
    layOut(join(cwd, "source"), { a: "ours", "d/b": "ours", c: "0" });
    const tree = "trees: [{ source: source, path: . }]";
    writeFileSync(join(cwd, "agb-sync.yaml"), `version: 1\nroot: /tmp/workspace\n${tree}\n`);
    const emulator = options === undefined ? undefined : await startEmulator({ ...options });
    try {
      const opened = emulator === undefined ? undefined : await openOn(emulator);
      const root = opened?.rootDirectory ?? join(cwd, "session/tmp/workspace");
      const target = opened === undefined ? ["--local", "session"] : ["--session", opened.session.id];
      const args = ["apply", ...target, "--yes", "--on-conflict", "overwrite", "--strategy", strategy];
      const environment = () => ({
        NODE_OPTIONS: `--import=${join(cwd, "clock.mjs")}`,
        CLOCK_SHIFT_MS: String(Math.round((random() - 0.5) * 20 * DAY_MS)),
        XDG_CACHE_HOME: join(cwd, "cache"),
        ...(emulator === undefined ? {} : { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url }),
      });
      const applyToEnd = async () => {
        const { code, stdout, stderr } = await run([...args, "--lock-timeout", "60s"], { cwd, env: environment() });
        expect(code, stdout + stderr).toBe(0);
        return stdout;
      };
      await applyToEnd();
      const watched = new Watched(root);
      const written: string[] = [];
      let [applies, killed] = [0, 0];
      const edit = (path: string) => {
        written.push(`theirs ${written.length}`);
        writeFileSync(join(root, path), written.at(-1) ?? "");
      };
      for (let round = 0; applies < longest(rounds); round += 1) {
        const [label, way] = [`round ${round}`, (round + 1) % 4];
        // A file of its own that a killed apply may have replaced is edited only once the next has gone through.
        const faults: string[] = [];
        edit("a");
        edit("d/b");
        writeFileSync(join(cwd, "source/c"), String(round));
        if (way === 3) {
          const child = start(args, { cwd, env: environment() });
          const ended = new Promise((resolve) => child.once("close", resolve));
          await Promise.race([ended, wait(random() * 600)]);
          child.kill("SIGKILL");
          await ended;
          killed += 1;
          applies += 1;
          faults.push(...watched.look());
        }
        const outputs = await Promise.all(way === 2 ? [applyToEnd(), applyToEnd()] : [applyToEnd()]);
        applies += outputs.length;
        expect([...faults, ...watched.look()], label).toEqual([]);
        for (const [, kept = ""] of outputs.map((output) => /\.agb-sync\/backup\/([^/\s]+)\//.exec(output) ?? []))
          expect(kept === "" || existsSync(join(root, ".agb-sync/backup", kept)), `${label}: ${kept}`).toBe(true);
        expect([readFileSync(join(root, "a"), "utf8"), readFileSync(join(root, "d/b"), "utf8")]).toEqual([
          "ours",
          "ours",
        ]);
        const lost = written.filter((text) => !watched.texts.has(text));
        expect(lost, `${label}: in no backup`).toEqual([]);
      }
      await opened?.session.close();
      tally.push(
        `backups, ${name}: ${applies} applies, ${killed} killed, ${written.length} files replaced, ${watched.count} backups: none lost`,
      );
    } finally {
      await emulator?.close();
    }
  });
});
