import { execFile, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Clock } from "../../src/clock.ts";
import type { Step } from "../../src/plan/plan.ts";
import type { Digest } from "../../src/tree/digest.ts";
import { digestOf } from "../../src/tree/digest.ts";
import { watch } from "../../src/watch/watch.ts";
import type { WatchOptions } from "../../src/watch/watch-options.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";
import { MemorySession, shown } from "./memory-session.ts";
import { interfering, nameOf, safely, Watched } from "./watched.ts";

const anchored = { anchor: "always here", "sub/e": "1" };
/** Nothing is looked at but what was hinted at. */
const hintsOnly = { safetyMs: 3_600_000, rescanMs: 0 };
/** What is promised of a watch without options. */
const QUIET_MS = 50;
const MAX_WAIT_MS = 2000;
/** How far apart the writes to a busy file are. */
const STEP_MS = 20;
/** How often a lock of git is looked at: it is noticed so much later that it has gone, or was waited for to the end. */
const LOCK_LOOK_MS = 20;
/** The keep-alive and the watch itself: whoever works does not sleep. */
const SLEEPERS = 2;
/** Longest real time that work between two sleeps is waited for. */
const WORK_MS = 30_000;

type Sleeper = { readonly atMs: number; readonly wake: () => void };

/** Time that goes on only while the watch waits: what it does between two waits takes none, however long it really takes. */
class SteppedClock implements Clock {
  readonly #sleepers = new Set<Sleeper>();
  #nowMs = 0;

  now(): number {
    return this.#nowMs;
  }

  random(): number {
    return 1;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#sleepers.delete(sleeper);
        signal.removeEventListener("abort", giveUp);
      };
      const giveUp = () => {
        leave();
        reject(new Error("given up"));
      };
      const sleeper = {
        atMs: this.#nowMs + ms,
        wake() {
          leave();
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  /** Lets `ms` pass, waking everybody in turn; at the end all hints and all work of that time are done. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await this.#rest();
      const [next] = [...this.#sleepers].toSorted((one, other) => one.atMs - other.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.wake();
    }
    this.#nowMs = endMs;
  }

  /** A turn of the event loop fetches the hints that the kernel has; two, as the first may be past that. */
  async #rest(): Promise<void> {
    const latest = performance.now() + WORK_MS;
    for (let turn = 1; turn <= 2 || this.#sleepers.size < SLEEPERS; turn += 1) {
      if (performance.now() > latest) throw new Error("the watch does not come to rest");
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

type Commit = { readonly atMs: number; readonly steps: readonly Step[] };

/** A watch without options that concern time, over a session in memory, in time that goes on when it is told to. */
class Paced {
  readonly directory = temporaryDirectory();
  readonly source = join(this.directory, "source");
  readonly clock = new SteppedClock();
  /** All commits after the first one. */
  readonly commits: Commit[] = [];
  readonly #session = new MemorySession();

  async start(): Promise<void> {
    layOut(this.source, anchored);
    const controller = new AbortController();
    const onCommit = ({ steps }: { readonly steps: readonly { readonly step: Step }[] }) =>
      void this.commits.push({ atMs: this.clock.now(), steps: steps.map(({ step }) => step) });
    const settings: WatchOptions = {
      loadManifest: async () => mirrorOf(this.directory, "ignore: [.git]\n"),
      connect: async () => interfering(this.#session, { onCommit }),
      signal: controller.signal,
      clock: this.clock,
      ...hintsOnly,
    };
    const end = (async () => {
      for await (const { type } of watch(settings)) {
        if (type !== "ready" && type !== "cycle") throw new Error(`nothing but cycles was expected: ${type}`);
      }
    })();
    onTestFinished(async () => {
      controller.abort();
      await end;
    });
    await Promise.race([this.clock.pass(0), end]);
    this.commits.length = 0;
  }

  write(path: string, text: string): void {
    writeFileSync(join(this.source, path), text);
  }

  /** When each commit was, after `sinceMs`. */
  timesMs(sinceMs: number): readonly number[] {
    return this.commits.map(({ atMs }) => atMs - sinceMs);
  }

  /** When which version of a file was committed. */
  versionsOf(path: string): readonly { readonly atMs: number; readonly digest: Digest }[] {
    return this.commits.flatMap(({ atMs, steps }) =>
      steps.flatMap((step) => (step.op === "write" && step.path === path ? [{ atMs, digest: step.digest }] : [])),
    );
  }

  isEqual(): boolean {
    return JSON.stringify(shown(this.#session.tree)) === JSON.stringify(safely(this.source));
  }
}

async function paced(): Promise<Paced> {
  const one = new Paced();
  await one.start();
  return one;
}

describe("the quiet period", () => {
  it.each([0, 1000, 600_000])("is all that a save waits for after %i ms without any (W6)", async (idleMs) => {
    const watched = await paced();
    for (const text of ["first", "second", "third"]) {
      await watched.clock.pass(idleMs);
      const sinceMs = watched.clock.now();
      watched.commits.length = 0;
      watched.write("a", text);
      await watched.clock.pass(QUIET_MS - 1);
      expect(watched.commits).toEqual([]);
      await watched.clock.pass(1);
      expect(watched.timesMs(sinceMs)).toEqual([QUIET_MS]);
      expect(watched.versionsOf("a").map(({ digest }) => digest)).toEqual([digestOf(text)]);
    }
  });

  it.each([2, 10, 45])("begins anew with each of %i saves, and one commit takes them all (W6)", async (count) => {
    const watched = await paced();
    for (let index = 1; index <= count; index += 1) {
      watched.write(`f${index}`, `${index}`);
      if (index < count) await watched.clock.pass(QUIET_MS - 10);
    }
    const lastMs = watched.clock.now();
    await watched.clock.pass(5000);
    expect(watched.timesMs(lastMs)).toEqual([QUIET_MS]);
    expect(watched.isEqual()).toBe(true);
  });

  it("is given up after two seconds while other files are saved all the time (W6, W7)", async () => {
    const watched = await paced();
    const sinceMs = watched.clock.now();
    for (let index = 1; index <= 160; index += 1) {
      watched.write(`f${index}`, `${index}`);
      await watched.clock.pass(QUIET_MS - 10);
    }
    expect(watched.timesMs(sinceMs)).toEqual([1, 2, 3].map((nth) => nth * MAX_WAIT_MS));
    await watched.clock.pass(MAX_WAIT_MS);
    expect(watched.isEqual()).toBe(true);
  });
});

type Noise = (file: string, step: number) => void;
const noises: Readonly<Record<string, Noise>> = {
  "appended to": (file, step) => appendFileSync(file, `line ${step}\n`),
  "written anew": (file, step) => writeFileSync(file, `version ${step}`),
  "replaced by a rename": (file, step) => {
    writeFileSync(`${file}.new`, `version ${step}`);
    renameSync(`${file}.new`, file);
  },
  "deleted and made again": (file, step) => {
    if (step % 2 === 0) writeFileSync(file, `version ${step}`);
    else rmSync(file);
  },
};

describe("a file that is written to every 20 ms for ever", () => {
  it.each(Object.entries(noises))(
    "delays no other by more than two seconds when it is %s (W7)",
    async (_how, noise) => {
      const watched = await paced();
      const savedMs = new Map<string, number>();
      for (let step = 0; step * STEP_MS < 12_000; step += 1) {
        noise(join(watched.source, "sub/noisy"), step);
        // At times that have nothing to do with the longest wait.
        if (step % 17 === 0 && step * STEP_MS < 12_000 - MAX_WAIT_MS) {
          watched.write(`other${step}`, `${step}`);
          savedMs.set(`other${step}`, watched.clock.now());
        }
        await watched.clock.pass(STEP_MS);
      }
      const waitsMs = [...savedMs].map(([path, ms]) => (watched.versionsOf(path)[0]?.atMs ?? Infinity) - ms);
      expect(waitsMs).toHaveLength(30);
      expect(Math.max(...waitsMs)).toBeLessThanOrEqual(MAX_WAIT_MS);
    },
  );

  it.each(Object.entries(noises).slice(0, 3))(
    "is sent at most every two seconds when it is %s (W8)",
    async (_how, noise) => {
      const watched = await paced();
      const file = join(watched.source, "sub/noisy");
      const versions = new Set<string>();
      const sinceMs = watched.clock.now();
      for (let step = 0; step * STEP_MS < 12_000; step += 1) {
        noise(file, step);
        versions.add(digestOf(readFileSync(file)));
        await watched.clock.pass(STEP_MS);
      }
      const lastMs = watched.clock.now() - STEP_MS;
      await watched.clock.pass(MAX_WAIT_MS);
      const sent = watched.versionsOf("sub/noisy");
      expect(sent.map(({ digest }) => digest).filter((digest) => !versions.has(digest))).toEqual([]);
      const whileWritten = sent.filter(({ atMs }) => atMs <= lastMs).map(({ atMs }) => atMs - sinceMs);
      expect(whileWritten.length).toBeGreaterThan(2);
      const gapsMs = whileWritten.slice(1).map((ms, index) => ms - (whileWritten[index] ?? 0));
      expect(Math.min(...gapsMs)).toBeGreaterThanOrEqual(MAX_WAIT_MS);
      expect(sent.length - whileWritten.length).toBe(1);
      expect(watched.isEqual()).toBe(true);
    },
  );

  it("arrives as it was at one moment while another process appends to it (W8)", async () => {
    const watched = new Watched();
    const times = { debounceMs: 200, maxWaitMs: 400 };
    await watched.start({ ...anchored, log: "" }, { ...hintsOnly, ...times });
    const file = join(watched.source, "log");
    const startMs = performance.now();
    await appending(file, 2000);
    const takenMs = performance.now() - startMs;
    await watched.settled();
    const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
    const hash = createHash("sha256");
    const moments = new Set(lines.map((line) => hash.update(`${line}\n`).copy().digest("hex")));
    const sent = watched.cycles
      .flatMap(({ report }) => report.outcomes)
      .flatMap(({ step, result }) => {
        expect(result.status).toBe("applied");
        return step.op === "write" ? [step.digest.slice("sha256:".length)] : [nameOf(step)];
      });
    expect(sent.filter((digest) => !moments.has(digest))).toEqual([]);
    expect(sent.at(-1)).toBe([...moments].at(-1));
    expect(sent.length).toBeLessThanOrEqual(Math.ceil(takenMs / times.maxWaitMs) + 1);
  });
});

/** Lets another process append a line every five milliseconds. */
async function appending(file: string, lengthMs: number): Promise<void> {
  const script = `
    const [, file, lengthMs] = process.argv;
    const endMs = Date.now() + Number(lengthMs);
    for (let line = 0; Date.now() < endMs; line += 1) {
      require("node:fs").appendFileSync(file, "line " + line + " ".repeat(200) + "\\n");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }`;
  const child = spawn(process.execPath, ["-e", script, file, `${lengthMs}`], { stdio: "inherit" });
  onTestFinished(() => void child.kill());
  expect(await once(child, "exit")).toEqual([0, null]);
}

/** Settings of the machine do not matter. */
const gitEnv = { PATH: process.env["PATH"], GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
const identity = ["-c", "user.name=a", "-c", "user.email=a@localhost"];

function git(directory: string, ...args: readonly string[]): void {
  execFileSync("git", [...identity, "-C", directory, ...args], { env: gitEnv });
}

const repositories: Readonly<Record<string, (source: string) => string>> = {
  "the repository of the source": (source) => join(source, ".git"),
  "a repository around it": (source) => join(source, "../.git"),
  "its worktree": (source) => {
    writeFileSync(join(source, ".git"), "gitdir: ../elsewhere/worktrees/one\n");
    return join(source, "../elsewhere/worktrees/one");
  },
};

describe("the work of git", () => {
  it.each(Object.entries(repositories))(
    "is waited for at its lock in %s, for two seconds at most (W15)",
    async (_where, at) => {
      const watched = await paced();
      const repository = at(watched.source);
      mkdirSync(repository, { recursive: true });
      const lock = join(repository, "index.lock");
      await watched.clock.pass(1000);
      watched.commits.length = 0;

      writeFileSync(lock, "");
      watched.write("a", "of a checkout");
      await watched.clock.pass(1000);
      watched.write("b", "of a checkout");
      await watched.clock.pass(500);
      expect(watched.commits).toEqual([]);
      rmSync(lock);
      await watched.clock.pass(LOCK_LOOK_MS);
      expect(watched.commits.flatMap(({ steps }) => steps.map(nameOf))).toEqual(["write a", "write b"]);

      watched.commits.length = 0;
      writeFileSync(lock, "left behind by a git that died");
      watched.write("a", "edited after that");
      await watched.clock.pass(MAX_WAIT_MS - 1);
      expect(watched.commits).toEqual([]);
      await watched.clock.pass(LOCK_LOOK_MS);
      expect(watched.commits).toHaveLength(1);

      const sinceMs = watched.clock.now();
      watched.commits.length = 0;
      watched.write("a", "edited once more");
      await watched.clock.pass(QUIET_MS);
      expect(watched.timesMs(sinceMs)).toEqual([QUIET_MS]);
      expect(existsSync(lock)).toBe(true);

      writeFileSync(lock, "left behind long ago");
      const longAgo = new Date(Date.now() - 61_000);
      utimesSync(lock, longAgo, longAgo);
      watched.commits.length = 0;
      watched.write("a", "edited while others are");
      await watched.clock.pass(QUIET_MS);
      expect(watched.commits).toHaveLength(1);
    },
  );

  it.each([
    { kind: "at full speed", slow: 0, maxWaitMs: MAX_WAIT_MS },
    { kind: "with pauses that are longer than the quiet period", slow: 6, maxWaitMs: MAX_WAIT_MS },
    { kind: "that takes longer than the longest wait", slow: 15, maxWaitMs: 300 },
    { kind: "that stands still for longer than that", slow: 15, maxWaitMs: 300, standstill: "d0/f0.slow" },
  ])("ends equal to the source after a checkout of 500 files $kind, in few applies (W15)", async (checkout) => {
    const { slow, maxWaitMs, standstill } = checkout;
    const watched = new Watched();
    const { source } = watched;
    watched.manifest = "ignore: [.git]\n";
    const names = Array.from({ length: 500 }, (_, index) => `d${index % 20}/f${index}${index < slow ? ".slow" : ""}`);
    const fill = (text: string) => {
      for (const name of names) {
        mkdirSync(join(source, name, ".."), { recursive: true });
        writeFileSync(join(source, name), `${text} ${name}`);
      }
      git(source, "add", "-A");
      git(source, "commit", "-qm", text);
    };
    const options = { ...hintsOnly, debounceMs: QUIET_MS, maxWaitMs };
    await watched.start({ ".gitattributes": "*.slow filter=slow\n" }, options, async () => {
      git(source, "init", "-q", "-b", "other");
      fill("other");
      git(source, "checkout", "-qb", "first");
      fill("first");
      git(source, "config", "filter.slow.smudge", `[ %f = '${standstill}' ] && sleep 0.6; sleep 0.1; cat`);
      return await watched.openLocal();
    });
    const isThere = () => {
      const { ".git": _git, ...files } = Object.fromEntries(
        Object.entries(safely(source) ?? {}).filter(([path]) => !path.startsWith(".git/")),
      );
      return JSON.stringify(files) === JSON.stringify(safely(watched.root));
    };
    expect(isThere()).toBe(true);
    const startMs = performance.now();
    await promisify(execFile)("git", [...identity, "-C", source, "checkout", "-q", "other"], { env: gitEnv });
    const takenMs = performance.now() - startMs;
    await watched.until(isThere);
    expect(readFileSync(join(watched.root, "d19/f499"), "utf8")).toBe("other d19/f499");
    // Git takes a file away before its filter runs: a look in the middle of a long checkout sees that, and more later.
    const wanted = new Set(names.map((name) => `write ${name}`));
    const others = watched.steps.filter((step) => !wanted.has(step));
    expect(new Set(watched.steps).size - new Set(others).size).toBe(names.length);
    expect(others.length).toBeLessThanOrEqual(takenMs < maxWaitMs ? 0 : slow);
    // One at the end of each longest wait, one after git, and one for what changed while that one was under way.
    expect(watched.cycles.length).toBeLessThanOrEqual(Math.ceil(takenMs / maxWaitMs) + 2);
  });
});
