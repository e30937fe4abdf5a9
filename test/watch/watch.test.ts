import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { seededRandom } from "../../src/emulator/session/parse-faults.ts";
import { TransportError } from "../../src/errors.ts";
import { Bell } from "../../src/watch/bell.ts";
import { FileHints } from "../../src/watch/file-hints.ts";
import type { Hints } from "../../src/watch/hints.ts";
import { UnsettledFiles } from "../../src/watch/unsettled-files.ts";
import type { WatchOptions } from "../../src/watch/watch-options.ts";
import { asNobody } from "../desired/as-nobody.ts";
import { triesAll } from "../helpers/tries-all.ts";
import { burst, edit, plainEdits } from "./edits.ts";
import { MemorySession } from "./memory-session.ts";
import { directoryInMemory, interfering, safely, Watched } from "./watched.ts";

const anchored = { anchor: "always here", a: "1", b: "2", "sub/e": "3" };
const sequences = triesAll ? 300 : 10;
/** Nothing is looked at but what was hinted at. */
const hintsOnly = { safetyMs: 3_600_000, rescanMs: 0 };

/** Hints that come at some time, whatever happens, and know nothing of where. */
function lyingHints(random: () => number): Hints {
  const bell = new Bell();
  const timer = setInterval(() => bell.ring(), 50 + random() * 100);
  return {
    get count() {
      return bell.count;
    },
    firstMs: undefined,
    lastMs: 0,
    after: (seen, signal) => bell.after(seen, signal),
    take: () => ({ count: random() < 0.1 ? 5000 : 1, firstMs: undefined, places: undefined }),
    follow: async () => [],
    isFollowing: () => false,
    close: async () => clearInterval(timer),
  };
}

/** Hints that never come. */
const deafHints: Hints = {
  count: 0,
  firstMs: undefined,
  lastMs: 0,
  after: (seen, signal) => new Bell().after(seen, signal),
  take: () => ({ count: 0, firstMs: undefined, places: new Map() }),
  follow: async () => [],
  isFollowing: () => true,
  close: async () => undefined,
};

/** Real hints of which many are lost. */
function holedHints(random: () => number): Hints {
  const unsettled = new UnsettledFiles(systemClock, 10, 300);
  const inner = new FileHints({ clock: systemClock, unsettled, onTrouble: () => undefined });
  return {
    get count() {
      return inner.count;
    },
    get firstMs() {
      return inner.firstMs;
    },
    get lastMs() {
      return inner.lastMs;
    },
    after: (seen, signal) => inner.after(seen, signal),
    take() {
      const hinted = inner.take();
      const places = new Map([...(hinted.places ?? [])].filter(() => random() < 0.6));
      return { ...hinted, places };
    },
    follow: (directories, suspects) => inner.follow(directories, suspects),
    isFollowing: (directory) => inner.isFollowing(directory),
    close: () => inner.close(),
  };
}

/** Directories that this process watches, as the kernel counts them; 0 where there is no such count. */
function inotifyWatches(): number {
  if (!existsSync("/proc/self/fdinfo")) return 0;
  return readdirSync("/proc/self/fdinfo").reduce((sum, name) => {
    const info = `/proc/self/fdinfo/${name}`;
    return sum + (existsSync(info) ? readFileSync(info, "utf8").split("inotify wd:").length - 1 : 0);
  }, 0);
}

describe("watch", () => {
  it("ends equal to the source after any sequence of edits, on hints alone (W1, W10 to W13)", {
    timeout: 900_000,
  }, async () => {
    const watched = new Watched();
    let scans = 0;
    await watched.start(anchored, { allowMassDelete: true, ...hintsOnly }, async () => {
      const { session, root } = await watched.openLocal();
      return { session: interfering(session, { onScan: () => void (scans += 1) }), root };
    });
    for (let seed = 1; seed <= sequences; seed += 1) {
      await edit(watched.source, seed, 30, plainEdits);
      await watched.settled();
    }
    expect(watched.events.filter(({ type }) => type !== "cycle" && type !== "ready")).toEqual([]);
    expect(scans).toBe(1);
  });

  it.each<[string, (source: string) => Partial<WatchOptions>]>([
    ["with a watcher that knows nothing (W1)", () => ({ openHints: () => lyingHints(seededRandom(3)) })],
    [
      "with a watcher that drops what it saw (W1)",
      () => ({ openHints: () => holedHints(seededRandom(5)), safetyMs: 100 }),
    ],
    ["with no events at all (W2)", () => ({ pollMs: 50 })],
    ["with nothing but the safety interval (W2)", () => ({ openHints: () => deafHints, safetyMs: 100 })],
  ])("ends equal to the source %s", async (_name, options) => {
    const watched = new Watched();
    await watched.start(anchored, { allowMassDelete: true, ...options(watched.source) });
    for (let seed = 1; seed <= 3; seed += 1) {
      await edit(watched.source, seed * 100, 20, plainEdits);
      await watched.settled();
    }
  });

  it("loses none of a burst of 40,000 files written while the process is busy (W3)", { timeout: 120_000 }, async () => {
    const watched = new Watched(directoryInMemory());
    const session = new MemorySession();
    await watched.start(anchored, hintsOnly, watched.over(session));
    burst(watched.source, 40_000);
    await watched.until(() => session.tree.size >= 40_000 + 40 + 5, 100_000);
    expect(watched.isEqual()).toBe(true);
  });

  it("makes the rename of a file, and of a directory of a thousand, moves without content (W11)", async () => {
    const many = Object.fromEntries(Array.from({ length: 1000 }, (_, index) => [`dir/f${index}`, `content ${index}`]));
    const watched = new Watched(directoryInMemory());
    await watched.start({ ...many, anchor: "x" }, hintsOnly);
    renameSync(join(watched.source, "dir"), join(watched.source, "renamed"));
    await watched.settled();
    const moves = watched.steps.filter((step) => step.startsWith("move"));
    expect([watched.cycles.length, moves.length]).toEqual([1, 1000]);
    renameSync(join(watched.source, "anchor"), join(watched.source, "other"));
    await watched.settled();
    expect(watched.steps.at(-1)).toBe("move anchor other");
    expect(watched.steps.filter((step) => step.startsWith("write"))).toEqual([]);
  });

  it("makes chains, swaps and changes of case moves that end with the right bytes (W12)", async () => {
    const watched = new Watched();
    const { source } = watched;
    await watched.start({ A: "one", B: "two", C: "three" }, hintsOnly);
    const rename = (from: string, to: string) => renameSync(join(source, from), join(source, to));
    rename("C", "D");
    rename("B", "C");
    rename("A", "B");
    await watched.settled();
    rename("B", "swap");
    rename("C", "B");
    rename("swap", "C");
    await watched.settled();
    rename("D", "d");
    await watched.settled();
    expect(readFileSync(join(watched.root, "B"), "utf8")).toBe("two");
    expect(watched.steps.map((step) => step.split(" ")[0])).toEqual(Array.from({ length: 6 }, () => "move"));
  });

  it("brings a directory that is moved in, and sees later edits in it (W13)", async () => {
    const watched = new Watched();
    const { source, directory } = watched;
    await watched.start(anchored, hintsOnly);
    mkdirSync(join(directory, "outside/deep"), { recursive: true });
    writeFileSync(join(directory, "outside/deep/file"), "1");
    renameSync(join(directory, "outside"), join(source, "inside"));
    await watched.settled();
    writeFileSync(join(source, "inside/deep/file"), "2");
    await watched.settled();
    renameSync(join(source, "inside"), join(source, "elsewhere"));
    await watched.settled();
    writeFileSync(join(source, "elsewhere/deep/file"), "3");
    await watched.settled();
    renameSync(join(source, "elsewhere"), join(directory, "outside"));
    await watched.settled();
  });

  it.each<[string, (source: string) => void]>([
    [
      "a directory that was removed and made again",
      (source) => {
        rmSync(join(source, "sub"), { recursive: true });
        mkdirSync(join(source, "sub"));
      },
    ],
    [
      "a directory that took the place of another",
      (source) => {
        mkdirSync(join(source, "new"));
        renameSync(join(source, "sub"), join(source, "old"));
        renameSync(join(source, "new"), join(source, "sub"));
      },
    ],
    [
      "the source itself, replaced",
      (source) => {
        renameSync(source, `${source}.old`);
        mkdirSync(join(source, "sub"), { recursive: true });
        writeFileSync(join(source, "anchor"), "another one");
      },
    ],
  ])("sees edits in %s (W1, W13)", async (_name, replace) => {
    const watched = new Watched();
    await watched.start(anchored, hintsOnly);
    replace(watched.source);
    await watched.settled();
    for (const text of ["1", "2", "3"]) {
      writeFileSync(join(watched.source, "sub/e"), text);
      await watched.settled();
    }
  });

  it("misses nothing that is written into directories as they are made (W13)", async () => {
    const watched = new Watched();
    await watched.start(anchored, hintsOnly);
    for (let index = 0; index < 30; index += 1) {
      mkdirSync(join(watched.source, `new${index}`));
      if (index % 2 === 0) await watched.settled();
      writeFileSync(join(watched.source, `new${index}/file`), `${index}`);
      await watched.settled();
    }
  });

  it("does nothing for the same bytes, for what comes and goes, and for its own writes (W10, W22)", async () => {
    const watched = new Watched();
    const { source } = watched;
    await watched.start(anchored, hintsOnly);
    writeFileSync(join(source, "a"), "1");
    writeFileSync(join(source, "short-lived"), "x");
    rmSync(join(source, "short-lived"));
    rmSync(join(source, "b"));
    writeFileSync(join(source, "b"), "updated");
    await watched.settled();
    writeFileSync(join(source, "marker"), "x");
    await watched.settled();
    expect(watched.steps).toEqual(["write b", "write marker"]);
  });

  it("takes the other files along, and deletes last, in one batch (W16)", async () => {
    const watched = new Watched();
    const { source } = watched;
    await watched.start({ ...anchored, old: "moves", gone: "goes" }, hintsOnly);
    mkdirSync(join(source, "made"));
    renameSync(join(source, "old"), join(source, "made/moved"));
    writeFileSync(join(source, "a"), "written");
    rmSync(join(source, "gone"));
    await watched.settled();
    expect(watched.cycles).toHaveLength(1);
    expect(watched.steps).toEqual(["create-directory made", "move old made/moved", "write a", "delete gone"]);
  });

  it("applies once at a time, and what changes meanwhile in exactly one more (W17)", async () => {
    const watched = new Watched();
    let open = (): void => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    let [commits, underWay, most] = [0, 0, 0];
    const onCommit = async () => {
      commits += 1;
      underWay += 1;
      most = Math.max(most, underWay);
      watched.wake();
      if (commits === 2) await gate;
      underWay -= 1;
    };
    await watched.start(anchored, hintsOnly, async () => {
      const { session, root } = await watched.openLocal();
      return { session: interfering(session, { onCommit }), root };
    });
    writeFileSync(join(watched.source, "a"), "first");
    await watched.until(() => commits === 2);
    for (let index = 0; index < 10; index += 1) writeFileSync(join(watched.source, `f${index}`), `${index}`);
    open();
    await watched.settled();
    expect([commits, most, watched.cycles.length]).toEqual([3, 1, 2]);
  });

  it("reports what the session changed once, and does not overwrite it (W23)", async () => {
    const watched = new Watched();
    await watched.start(anchored, { rescanMs: 150 });
    writeFileSync(join(watched.root, "a"), "edited by an agent");
    rmSync(join(watched.root, "sub/e"));
    await watched.until(() => watched.cycles.some(({ newConflicts }) => newConflicts.length > 0));
    for (const text of ["another change", "and another"]) {
      writeFileSync(join(watched.source, "b"), text);
      await watched.until(() => readFileSync(join(watched.root, "b"), "utf8") === text);
    }
    expect(readFileSync(join(watched.root, "a"), "utf8")).toBe("edited by an agent");
    expect(readFileSync(join(watched.root, "sub/e"), "utf8")).toBe("3");
    expect(watched.cycles.flatMap(({ newConflicts }) => newConflicts.map(({ path }) => path))).toEqual(["a"]);
    const drift = watched.all("drift").flatMap(({ changes }) => changes.map(({ path, after }) => [path, after?.kind]));
    expect(drift).toEqual([
      ["a", "file"],
      ["sub/e", undefined],
    ]);
  });

  it("stops at a source that is emptied, missing or replaced, without a deletion, until it is back (W14)", async () => {
    const watched = new Watched();
    const { source } = watched;
    const full = { a: "1", b: "2", "sub/e": "3" };
    await watched.start(full, hintsOnly);
    const before = safely(watched.root);
    const problems = () => watched.all("problem").length;
    const recoveries = () => watched.all("recovered").length;
    renameSync(source, `${source}.away`);
    await watched.until(() => problems() === 1);
    expect(safely(watched.root)).toEqual(before);
    renameSync(`${source}.away`, source);
    await watched.until(() => recoveries() === 1);
    for (const name of readdirSync(source)) renameSync(join(source, name), join(watched.directory, name));
    await watched.until(() => problems() === 2);
    expect(safely(watched.root)).toEqual(before);
    for (const name of ["a", "b", "sub"]) renameSync(join(watched.directory, name), join(source, name));
    await watched.until(() => recoveries() === 2);
    writeFileSync(join(source, "a"), "back");
    await watched.settled();
    expect(watched.steps).toEqual(["write a"]);
  });

  it("holds back too many deletions, says so once, and lets everything else go on (W14)", async () => {
    const watched = new Watched();
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`f${index}`, `${index}`]));
    await watched.start({ ...many, kept: "x" }, hintsOnly);
    for (const name of Object.keys(many)) rmSync(join(watched.source, name));
    for (const text of ["1", "2"]) {
      writeFileSync(join(watched.source, "kept"), text);
      await watched.until(() => readFileSync(join(watched.root, "kept"), "utf8") === text);
    }
    expect(watched.all("problem").map(({ about, error }) => [about, "code" in error && error.code])).toEqual([
      ["guard", "GUARD"],
    ]);
    expect(existsSync(join(watched.root, "f0"))).toBe(true);
    for (const [name, text] of Object.entries(many)) writeFileSync(join(watched.source, name), text);
    await watched.until(() => watched.all("recovered").length === 1);
  });

  it("ends with the guard when the source is empty from the start (W14)", async () => {
    const first = new Watched();
    await first.start(anchored, hintsOnly);
    await first.stop();
    const again = new Watched(first.directory);
    await again.start({}, hintsOnly).catch(() => undefined);
    expect(again.failure).toMatchObject({ code: "GUARD" });
    expect(existsSync(join(first.directory, "session/tmp/workspace/a"))).toBe(true);
  });

  it("deletes at the start what went while nobody watched, and keeps what was edited before the first scan (W4, W5)", async () => {
    const first = new Watched();
    await first.start(anchored, hintsOnly);
    await first.stop();
    const again = new Watched(first.directory);
    const onScan = () => writeFileSync(join(again.source, "early"), "written between arming and the first scan");
    const { b: _gone, ...rest } = anchored;
    await again.start(rest, hintsOnly, async () => {
      const { session, root } = await again.openLocal();
      return { session: interfering(session, { onScan }), root };
    });
    const [ready] = again.all("ready");
    expect(ready?.report).toMatchObject({ verified: true, outcomes: [{ step: { op: "delete", path: "b" } }] });
    await again.settled();
    expect(again.steps).toEqual(["write early"]);
  });

  it("is ready only when the first apply is verified (W4)", async () => {
    const watched = new Watched();
    mkdirSync(join(watched.directory, "session/tmp/workspace"), { recursive: true });
    let commits = 0;
    const onCommit = ({ steps }: { steps: readonly unknown[] }) => {
      commits += 1;
      if (commits === 1) throw new TransportError("UNAVAILABLE", `lost ${steps.length} steps`, { retryable: true });
    };
    await watched.start(anchored, hintsOnly, async () => {
      const { session, root } = await watched.openLocal();
      return { session: interfering(session, { onCommit }), root };
    });
    await watched.until(() => watched.all("recovered").length === 1);
    expect(watched.events.map(({ type }) => type)).toEqual(["problem", "ready", "recovered"]);
    expect(watched.isEqual()).toBe(true);
  });

  it("never lists or opens what is ignored (W24)", async () => {
    await asNobody(async () => {
      const watched = new Watched();
      watched.manifest = "ignore: [private/]\n";
      const shut = () => chmodSync(join(watched.source, "private"), 0);
      await watched.start({ ...anchored, "private/file": "secret" }, hintsOnly, async () => {
        shut();
        return await watched.openLocal();
      });
      writeFileSync(join(watched.source, "a"), "changed");
      await watched.until(() => watched.steps.length === 1);
      chmodSync(join(watched.source, "private"), 0o700);
      expect(watched.events.filter(({ type }) => type === "warning" || type === "problem")).toEqual([]);
      expect(existsSync(join(watched.root, "private"))).toBe(false);
    });
  });

  it("sends new bytes under the same size and time (W31)", async () => {
    const watched = new Watched();
    await watched.start(anchored, hintsOnly);
    const file = join(watched.source, "a");
    const { atime, mtime } = statSync(file);
    writeFileSync(file, "9");
    utimesSync(file, atime, mtime);
    await watched.settled();
    utimesSync(file, new Date("2099-01-01"), new Date("2099-01-01"));
    writeFileSync(join(watched.source, "b"), "8");
    utimesSync(join(watched.source, "b"), new Date(0), new Date(0));
    await watched.settled();
    expect(watched.steps).toEqual(["write a", "write b"]);
  });

  it("skips FIFOs and links in circles with one notice (W32)", async () => {
    const watched = new Watched();
    await watched.start(anchored, hintsOnly);
    execFileSync("mkfifo", [join(watched.source, "pipe")]);
    symlinkSync(".", join(watched.source, "circle"));
    symlinkSync("one", join(watched.source, "other"));
    symlinkSync("other", join(watched.source, "one"));
    for (const text of ["1", "2", "3"]) {
      writeFileSync(join(watched.source, "a"), text);
      await watched.until(() => readFileSync(join(watched.root, "a"), "utf8") === text);
    }
    const warnings = watched.all("warning").map(({ message }) => message);
    expect(warnings).toEqual([expect.stringMatching(/pipe is a socket, FIFO or device and is skipped/)]);
    expect(existsSync(join(watched.root, "pipe"))).toBe(false);
  });

  it("keeps no handles, watches or listeners over a long run (W27)", async () => {
    const watched = new Watched(directoryInMemory());
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));
    await watched.start(anchored, { ...hintsOnly, debounceMs: 1 });
    const before = inotifyWatches();
    for (let round = 0; round < 60; round += 1) {
      mkdirSync(join(watched.source, `made${round}/deep`), { recursive: true });
      writeFileSync(join(watched.source, `made${round}/deep/file`), `${round}`);
      await watched.settled();
      rmSync(join(watched.source, `made${round}`), { recursive: true });
      await watched.settled();
    }
    expect(inotifyWatches()).toBe(before);
    expect(warnings).toEqual([]);
  });
});
