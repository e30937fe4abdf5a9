import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../src/connect.ts";
import { seededRandom } from "../../src/emulator/parse-faults.ts";
import type { Emulator } from "../../src/emulator/start-emulator.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import type { Manifest } from "../../src/manifest/manifest.ts";
import type { Session } from "../../src/session.ts";
import { Bell } from "../../src/watch/bell.ts";
import type { Hints } from "../../src/watch/hints.ts";
import type { WatchEvent, WatchOptions } from "../../src/watch/watch.ts";
import { watch } from "../../src/watch/watch.ts";
import { start, waitForLine } from "../helpers/cli.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";

/** A watch over a temporary source, with what it said and a way to wait for quiescence. */
class Watched {
  readonly directory = temporaryDirectory();
  readonly source = join(this.directory, "source");
  readonly events: WatchEvent[] = [];
  readonly controller = new AbortController();
  root = "";
  failure: unknown;
  #end: Promise<void> = Promise.resolve();

  async start(
    files: Parameters<typeof layOut>[1],
    options: Partial<WatchOptions> = {},
    open?: () => Promise<{ session: Session; root: string }>,
  ): Promise<void> {
    layOut(this.source, files);
    const local = join(this.directory, "session");
    const reach = async () => {
      if (open !== undefined) {
        const opened = await open();
        this.root = opened.root;
        return opened.session;
      }
      this.root = join(local, "tmp/workspace");
      return await connect({ local, env: {}, cwd: "/", signal: this.controller.signal });
    };
    const iterate = async () => {
      const settings: WatchOptions = {
        loadManifest: async (): Promise<Manifest> => mirrorOf(this.directory, this.manifest),
        connect: reach,
        signal: this.controller.signal,
        debounceMs: 10,
        maxWaitMs: 300,
        lockTimeoutMs: 1000,
        ...options,
      };
      for await (const event of watch(settings)) this.events.push(event);
    };
    this.#end = iterate().catch((error: unknown) => {
      this.failure = error;
    });
    onTestFinished(async () => await this.stop());
    await this.until(() => this.events.some(({ type }) => type === "ready") || this.failure !== undefined);
    if (this.failure !== undefined) throw this.failure;
  }

  /** What the manifest says beside the tree. */
  manifest = "";

  async stop(): Promise<void> {
    this.controller.abort();
    await this.#end;
  }

  async until(isTrue: () => boolean, longestMs = 20_000): Promise<void> {
    const endMs = performance.now() + longestMs;
    while (!isTrue()) {
      if (performance.now() > endMs)
        throw new Error(`not in time; events: ${JSON.stringify(this.events.slice(-3)).slice(0, 2000)}`);
      await wait(15);
    }
  }

  /** Waits until the session equals the source. */
  async settled(longestMs = 20_000): Promise<void> {
    await this.until(() => JSON.stringify(safely(this.root)) === JSON.stringify(safely(this.source)), longestMs);
  }

  get cycles() {
    return this.events.filter((event) => event.type === "cycle");
  }
}

/** Files come and go while they are looked at. */
function safely(directory: string): Record<string, string> | undefined {
  try {
    return Object.fromEntries(Object.entries(look(directory)).toSorted(([one], [other]) => (one < other ? -1 : 1)));
  } catch {
    return undefined;
  }
}

/** Hints that never come, come twice, or come late, whatever happens. */
function lyingHints(random: () => number): Hints {
  const bell = new Bell();
  const timer = setInterval(() => bell.ring(), 150 + random() * 200);
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

type Edit = (watched: Watched, random: () => number) => Promise<void> | void;

const names = ["a", "b", "c d", "sub/e", "sub/deep/f", "g.txt"];
const pick = (random: () => number, list: readonly string[]) => list[Math.floor(random() * list.length)] ?? "a";

/** What people and their tools do to files. */
const edits: readonly Edit[] = [
  ({ source }, random) => {
    const file = join(source, pick(random, names));
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, `${random()}`);
  },
  ({ source }, random) => {
    const [from, to] = [join(source, pick(random, names)), join(source, pick(random, names))];
    if (existsSync(from) && from !== to) {
      mkdirSync(join(to, ".."), { recursive: true });
      renameSync(from, to);
    }
  },
  ({ source }, random) => rmSync(join(source, pick(random, names)), { force: true }),
  ({ source }) => {
    rmSync(join(source, "moved"), { recursive: true, force: true });
    if (existsSync(join(source, "sub"))) renameSync(join(source, "sub"), join(source, "moved"));
  },
  ({ source }, random) => {
    const file = join(source, pick(random, names));
    if (existsSync(file)) chmodSync(file, random() < 0.5 ? 0o755 : 0o644);
  },
  async ({ source }, random) => {
    for (let part = 0; part < 4; part += 1) {
      appendFileSync(join(source, "log"), `${random()}\n`);
      await wait(3);
    }
  },
  ({ source }, random) => {
    const file = join(source, pick(random, ["a", "b"]));
    writeFileSync(`${file}.tmp`, `${random()}`);
    renameSync(`${file}.tmp`, file);
  },
  ({ source }) => {
    const [one, other] = [join(source, "a"), join(source, "b")];
    if (!existsSync(one) || !existsSync(other)) return;
    renameSync(one, `${one}.swap`);
    renameSync(other, one);
    renameSync(`${one}.swap`, other);
  },
  ({ source }) => {
    rmSync(join(source, "link"), { force: true });
    symlinkSync("anchor", join(source, "link"));
  },
];

async function edit(watched: Watched, seed: number, count: number): Promise<void> {
  const random = seededRandom(seed);
  for (let step = 0; step < count; step += 1) {
    const one = edits[Math.floor(random() * edits.length)];
    await one?.(watched, random);
    if (random() < 0.4) await wait(random() * 25);
  }
}

const sequences = Number(process.env["WATCH_SEQUENCES"] ?? 12);
const anchored = { anchor: "always here", a: "1", b: "2", "sub/e": "3" };

describe("watch", () => {
  it("ends equal to the source after any sequence of edits (W1, W10 to W13)", { timeout: 600_000 }, async () => {
    const watched = new Watched();
    await watched.start(anchored, { allowMassDelete: true, rescanMs: 0 });
    for (let seed = 1; seed <= sequences; seed += 1) {
      await edit(watched, seed, 30);
      await watched.settled();
    }
    expect(watched.events.filter(({ type }) => type === "problem")).toEqual([]);
  });

  it.each([
    ["with a watcher that lies (W1)", (): Partial<WatchOptions> => ({ openHints: () => lyingHints(seededRandom(3)) })],
    ["with no events at all (W2)", (): Partial<WatchOptions> => ({ pollMs: 120 })],
  ])("ends equal to the source %s", { timeout: 60_000 }, async (_name, options) => {
    const watched = new Watched();
    await watched.start(anchored, { allowMassDelete: true, rescanMs: 0, ...options() });
    for (let seed = 1; seed <= 4; seed += 1) {
      await edit(watched, seed * 100, 20);
      await watched.settled();
    }
  });

  it("loses none of a burst of 40,000 files (W3)", { timeout: 120_000 }, async () => {
    const watched = new Watched();
    await watched.start(anchored);
    for (let index = 0; index < 40_000; index += 1) {
      const directory = join(watched.source, `burst${index % 40}`);
      if (index < 40) mkdirSync(directory);
      writeFileSync(join(directory, `f${index}`), `${index % 50}`);
    }
    await watched.until(() => existsSync(join(watched.root, "burst39/f39999")), 100_000);
    await watched.settled(60_000);
  });

  it("makes a rename a move, and a directory's rename moves only (W11)", async () => {
    const watched = new Watched();
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`dir/f${index}`, `content ${index}`]));
    await watched.start({ ...many, anchor: "x" });
    renameSync(join(watched.source, "dir"), join(watched.source, "renamed"));
    await watched.settled();
    await watched.until(() => watched.cycles.length > 0);
    const steps = watched.cycles.flatMap(({ report }) => report.outcomes.map(({ step }) => step.op));
    expect(steps.filter((op) => op === "move")).toHaveLength(300);
    expect(steps).not.toContain("write");
  });

  it("sends an atomic save once and no editor's temporary file (W9)", async () => {
    const watched = new Watched();
    await watched.start({ "file.txt": "0", anchor: "x" });
    const file = join(watched.source, "file.txt");
    for (let save = 1; save <= 10; save += 1) {
      writeFileSync(join(watched.source, "4913"), "");
      rmSync(join(watched.source, "4913"));
      renameSync(file, `${file}~`);
      writeFileSync(`${file}.swp`, "swap");
      writeFileSync(file, `save ${save}`);
      await wait(25);
      rmSync(`${file}~`);
      rmSync(`${file}.swp`);
      await watched.settled();
    }
    await watched.until(() => watched.cycles.length >= 10);
    const paths = watched.cycles.flatMap(({ report }) =>
      report.outcomes.map(({ step }) => (step.op === "move" ? step.to : step.path)),
    );
    expect(new Set(paths)).toEqual(new Set(["file.txt"]));
  });

  it("does nothing for the same bytes again, and nothing for its own writes (W10, W22)", async () => {
    const watched = new Watched();
    await watched.start(anchored);
    writeFileSync(join(watched.source, "a"), "1");
    writeFileSync(join(watched.source, "short-lived"), "x");
    rmSync(join(watched.source, "short-lived"));
    await wait(300);
    expect(watched.cycles).toEqual([]);
  });

  it("reports what the session changed once, and does not overwrite it (W23)", async () => {
    const watched = new Watched();
    await watched.start(anchored, { rescanMs: 200 });
    writeFileSync(join(watched.root, "a"), "edited by an agent");
    await watched.until(() => watched.cycles.some(({ newConflicts }) => newConflicts.length > 0));
    writeFileSync(join(watched.source, "b"), "another change");
    await watched.until(() => readFileSync(join(watched.root, "b"), "utf8") === "another change");
    await wait(500);
    expect(readFileSync(join(watched.root, "a"), "utf8")).toBe("edited by an agent");
    expect(watched.cycles.flatMap(({ newConflicts }) => newConflicts.map(({ path }) => path))).toEqual(["a"]);
  });

  it("stops at an emptied or missing source without a deletion, and goes on when it is back (W14)", async () => {
    const watched = new Watched();
    await watched.start(anchored, { rescanMs: 0 });
    renameSync(watched.source, `${watched.source}.away`);
    await watched.until(() => watched.events.some(({ type }) => type === "problem"));
    expect(readFileSync(join(watched.root, "a"), "utf8")).toBe("1");
    renameSync(`${watched.source}.away`, watched.source);
    writeFileSync(join(watched.source, "a"), "back");
    await watched.settled();
  });

  it("keeps the last good manifest and does not delete what becomes ignored (W25)", async () => {
    const watched = new Watched();
    await watched.start(anchored, { rescanMs: 0 });
    watched.manifest = "ignore: [sub/]\n";
    writeFileSync(join(watched.source, "a"), "new");
    await watched.until(() => readFileSync(join(watched.root, "a"), "utf8") === "new");
    expect(existsSync(join(watched.root, "sub/e"))).toBe(true);
    watched.manifest = "flies: []\n";
    writeFileSync(join(watched.source, "a"), "newer");
    await watched.until(() => readFileSync(join(watched.root, "a"), "utf8") === "newer");
    expect(watched.events.filter(({ type }) => type === "problem")).toHaveLength(1);
  });
});

describe("watch over a connection", () => {
  const retryPolicy = { attempts: 2, baseDelayMs: 1, maxDelayMs: 2, maxRetryAfterMs: 10 };
  const opener = (emulator: Emulator, sessions: string[]) => async () => {
    const session = await connect({
      env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
      cwd: "/",
      spec: { image: "agb-code-space-1", labels: {} },
      signal: new AbortController().signal,
      retryPolicy,
    });
    sessions.push(session.id);
    return { session, root: join(emulator.sessionRoot(session.id), "tmp/workspace") };
  };

  it("applies what was missed in an outage, at once (W18, W19)", { timeout: 60_000 }, async () => {
    let isDown = false;
    const emulator = await startEmulator({ onRequest: () => (isDown ? "drop-before" : undefined) });
    onTestFinished(() => emulator.close());
    const watched = new Watched();
    await watched.start(anchored, { rescanMs: 0, allowMassDelete: true }, opener(emulator, []));
    isDown = true;
    for (let change = 0; change < 100; change += 1) {
      writeFileSync(join(watched.source, `f${change % 30}`), `${change}`);
      await wait(10);
    }
    await watched.until(() => watched.events.some(({ type }) => type === "problem"));
    isDown = false;
    await watched.settled();
    await watched.until(() => watched.events.some(({ type }) => type === "recovered"));
    await watched.stop();
  });

  it("fills a new session when the old one has gone (W20)", { timeout: 60_000 }, async () => {
    const emulator = await startEmulator();
    onTestFinished(() => emulator.close());
    const sessions: string[] = [];
    const watched = new Watched();
    await watched.start(anchored, { rescanMs: 0, renew: true }, opener(emulator, sessions));
    await emulator.expireSession(sessions[0] ?? "");
    writeFileSync(join(watched.source, "a"), "after the end");
    await watched.until(() => watched.events.some(({ type }) => type === "renewed"));
    await watched.settled();
    expect(sessions).toHaveLength(2);
    await watched.stop();
  });

  it("ends with the reason when the session has gone and is not to be renewed", async () => {
    const emulator = await startEmulator();
    onTestFinished(() => emulator.close());
    const sessions: string[] = [];
    const watched = new Watched();
    await watched.start(anchored, { rescanMs: 0 }, opener(emulator, sessions));
    await emulator.expireSession(sessions[0] ?? "");
    writeFileSync(join(watched.source, "a"), "after the end");
    await watched.until(() => watched.failure !== undefined);
    expect(watched.failure).toMatchObject({ code: expect.stringMatching(/^SESSION_(?:GONE|NOT_FOUND)$/) });
  });
});

describe("agb-sync watch", () => {
  it("follows git between two branches and ends cleanly on a signal (W15, W28)", { timeout: 60_000 }, async () => {
    const cwd = temporaryDirectory();
    const source = join(cwd, "repository");
    mkdirSync(source);
    const git = (...args: readonly string[]) =>
      execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@example.org", ...args], {
        cwd: source,
        stdio: "pipe",
      });
    git("init", "-q", "-b", "one");
    const fill = (text: string, count: number) => {
      for (let index = 0; index < count; index += 1) {
        mkdirSync(join(source, `d${index % 20}`), { recursive: true });
        writeFileSync(join(source, `d${index % 20}/f${index}`), `${text} ${index}`);
      }
    };
    fill("one", 500);
    git("add", ".");
    git("commit", "-qm", "one");
    git("checkout", "-qb", "two");
    rmSync(join(source, "d3"), { recursive: true });
    fill("two", 250);
    git("add", ".");
    git("commit", "-qm", "two");
    git("checkout", "-q", "one");
    writeFileSync(
      join(cwd, "agb-sync.yaml"),
      "version: 1\nroot: /tmp/workspace\nignore: [.git/]\ntrees: [{ source: repository, path: . }]\n",
    );
    const child = start(["watch", "--local", "session", "--allow-mass-delete"], { cwd });
    await waitForLine(child, /^Ready/);
    const root = join(cwd, "session/tmp/workspace");
    const expected = () =>
      Object.fromEntries(Object.entries(look(source)).filter(([path]) => !path.startsWith(".git")));
    for (const branch of ["two", "one", "two"]) {
      git("checkout", "-q", branch);
      const endMs = performance.now() + 15_000;
      while (JSON.stringify(safely(root)) !== JSON.stringify(sorted(expected())) && performance.now() < endMs)
        await wait(30);
      expect(safely(root)).toEqual(sorted(expected()));
    }
    child.kill("SIGINT");
    const [code] = await once(child, "close");
    expect(code).toBe(130);
    expect(existsSync(join(root, ".agb-sync/locks"))).toBe(true);
  });
});

function sorted(found: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(found).toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
