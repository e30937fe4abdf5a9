import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { digestOf } from "../../src/tree/digest.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import type { WatchOptions } from "../../src/watch/watch.ts";
import { layOut } from "../helpers/workspace.ts";
import { MemorySession } from "./memory-session.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { Watched } from "./watched.ts";

const anchored = { anchor: "always here", a: "1", b: "2" };
/** Nothing is looked at but what was hinted at. */
const hintsOnly = { safetyMs: 3_600_000, rescanMs: 0 };
const QUIET_MS = 50;
const LONGEST_MS = 2000;

/** Virtual time that tells of every sleep. */
class ToldClock extends VirtualClock {
  onSleep: () => void = () => undefined;

  override sleep(ms: number, signal: AbortSignal): Promise<void> {
    const sleeping = super.sleep(ms, signal);
    this.onSleep();
    return sleeping;
  }
}

/** A watch over a session in memory, with the times that the product has by default, in virtual time. */
async function inVirtualTime(options: Partial<WatchOptions> = {}) {
  const [watched, session, clock] = [new Watched(), new MemorySession(), new ToldClock()];
  clock.onSleep = () => watched.wake();
  const times = { debounceMs: QUIET_MS, maxWaitMs: LONGEST_MS };
  await watched.start(anchored, { ...hintsOnly, ...times, clock, ...options }, watched.over(session));
  const committed = session.count("commit");
  return {
    watched,
    session,
    clock,
    commits: () => session.count("commit") - committed,
    write: (path: string, text: string) => writeFileSync(join(watched.source, path), text),
    /** Waits until a hint has come and somebody waits for quiet. */
    hinted: async () => {
      const before = clock.sleeps.length;
      await watched.until(() => clock.sleeps.slice(before).some(({ ms }) => ms <= QUIET_MS));
    },
  };
}

const held = (session: MemorySession, path: string) => {
  const entry = session.tree.get(workspacePath(path));
  return entry?.kind === "file" ? entry.digest : undefined;
};

describe("when changes are applied", () => {
  it("is after 50 ms of quiet for the first one, not before and not later (W6)", async () => {
    const { session, clock, commits, write, hinted } = await inVirtualTime();
    write("a", "first");
    await hinted();
    await clock.pass(QUIET_MS - 1);
    expect(commits()).toBe(0);
    await clock.pass(1);
    await clock.until(() => commits() > 0, 1);
    expect(held(session, "a")).toBe(digestOf("first"));
  });

  it("is after 50 ms of quiet for a burst, in one apply (W6)", async () => {
    const { session, clock, commits, write } = await inVirtualTime();
    for (let index = 0; index < 10; index += 1) {
      write(`f${index}`, `${index}`);
      await clock.pass(QUIET_MS - 20);
    }
    expect(commits()).toBe(0);
    await clock.pass(QUIET_MS);
    await clock.until(() => commits() > 0, QUIET_MS);
    expect([commits(), held(session, "f9")]).toEqual([1, digestOf("9")]);
  });

  it("is after two seconds at the latest while another file is written all the time (W7, W8)", async () => {
    const { session, clock, commits, write } = await inVirtualTime();
    const [known, sent] = [new Map<string, string>(), new Set<string>()];
    const startMs = clock.now();
    write("other", "waits");
    let otherMs = Number.POSITIVE_INFINITY;
    for (let index = 0; clock.now() - startMs < 1.1 * LONGEST_MS; index += 1) {
      const text = `version ${index}`;
      known.set(digestOf(text), text);
      write("hot", text);
      await clock.pass(20);
      const hot = held(session, "hot");
      if (hot !== undefined) sent.add(hot);
      if (held(session, "other") !== undefined) otherMs = Math.min(otherMs, clock.now() - startMs);
    }
    expect(otherMs).toBeLessThanOrEqual(LONGEST_MS + QUIET_MS);
    expect([...sent].every((digest) => known.has(digest))).toBe(true);
    expect(sent.size).toBeLessThanOrEqual(3);
    expect(commits()).toBeLessThanOrEqual(4);
    await clock.until(() => held(session, "hot") === [...known.keys()].at(-1), LONGEST_MS);
  });

  it("waits while git holds its lock, and no longer than for the longest wait (W15)", async () => {
    const { watched, clock, commits, write, hinted } = await inVirtualTime();
    mkdirSync(join(watched.directory, ".git"));
    const lock = join(watched.directory, ".git/index.lock");
    writeFileSync(lock, "");
    write("a", "half of a checkout");
    await hinted();
    await clock.pass(LONGEST_MS / 2);
    expect(commits()).toBe(0);
    rmSync(lock);
    await clock.until(() => commits() === 1, 100);
    writeFileSync(lock, "");
    write("b", "git died");
    await hinted();
    await clock.pass(LONGEST_MS / 2);
    expect(commits()).toBe(1);
    await clock.until(() => commits() === 2, LONGEST_MS);
    // A lock that was left behind is not waited for again.
    write("a", "goes on");
    await hinted();
    await clock.until(() => commits() === 3, 2 * QUIET_MS);
  });
});

describe("watching files in real time", () => {
  it("sends a growing file at most once per longest wait, whole as it was at one moment (W8)", async () => {
    const watched = new Watched();
    const maxWaitMs = 200;
    await watched.start({ ...anchored, log: "" }, { ...hintsOnly, maxWaitMs });
    const file = join(watched.source, "log");
    const prefixes = new Set<string>();
    let text = "";
    const startMs = performance.now();
    while (performance.now() - startMs < 1500) {
      const line = `${text.length} `.repeat(200);
      text += line;
      prefixes.add(digestOf(text));
      appendFileSync(file, line);
      await wait(4);
    }
    const lengthMs = performance.now() - startMs;
    await watched.settled();
    const sent = watched.cycles.flatMap(({ report }) =>
      report.outcomes.flatMap(({ step }) => (step.op === "write" ? [step.digest] : [])),
    );
    expect(sent.filter((digest) => !prefixes.has(digest))).toEqual([]);
    expect(sent.at(-1)).toBe(digestOf(text));
    expect(sent.length).toBeLessThanOrEqual(Math.ceil(lengthMs / maxWaitMs) + 1);
    expect(readFileSync(join(watched.root, "log"), "utf8")).toBe(text);
  });

  it("makes few applies of the checkout of a branch with 2,000 other files (W15)", async () => {
    const watched = new Watched();
    watched.manifest = "ignore: [.git]\n";
    const names = Array.from({ length: 2000 }, (_, index) => `d${index % 40}/f${index}`);
    const git = (...args: readonly string[]) =>
      execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b", "-C", watched.source, ...args], {
        env: { PATH: process.env["PATH"], GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
      });
    layOut(watched.source, Object.fromEntries(names.map((name) => [name, `one ${name}`])));
    git("init", "-q", "-b", "one");
    git("add", "-A");
    git("commit", "-qm", "one");
    git("checkout", "-qb", "two");
    for (const name of names) writeFileSync(join(watched.source, name), `two ${name}\n`.repeat(3));
    git("commit", "-qam", "two");
    git("checkout", "-q", "one");
    const maxWaitMs = 300;
    const repository = join(watched.directory, "repository");
    // `start` lays the source out anew: the repository waits beside it.
    execFileSync("mv", [join(watched.source, ".git"), repository]);
    const files = Object.fromEntries(names.map((name) => [name, `one ${name}`]));
    await watched.start(files, { ...hintsOnly, maxWaitMs });
    writeFileSync(join(watched.source, ".git"), `gitdir: ${repository}\n`);
    git("config", "core.worktree", watched.source);
    const startMs = performance.now();
    git("checkout", "-q", "-f", "two");
    const lengthMs = performance.now() - startMs;
    const last = () => readFileSync(join(watched.root, "d39/f1999"), "utf8");
    await watched.until(() => last().startsWith("two") && watched.steps.length >= names.length);
    expect(watched.cycles.length).toBeLessThanOrEqual(Math.ceil(lengthMs / maxWaitMs) + 1);
    expect(new Set(watched.steps).size).toBe(names.length);
  });
});
