import type { ChildProcess } from "node:child_process";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import type { Action } from "../../src/emulator/session/action.ts";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import type { Emulator } from "../../src/emulator/start-emulator.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { run, start } from "../helpers/cli.ts";
import { sharedEmulator } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { type Local, layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { jsonLines } from "./json-lines.ts";

/** Longest that anything is waited for. */
const LONGEST_MS = 20_000;

const head = "version: 1\nroot: /tmp/workspace\nsession: { image: agb-code-space-1 }\n";
const mirror = `${head}trees: [{ source: src, path: . }]\n`;

function project(manifest: string, files: Readonly<Record<string, Local>>): string {
  const cwd = temporaryDirectory();
  layOut(cwd, { "agb-sync.yaml": manifest, ...files });
  return cwd;
}

/** `agb-sync watch` as a process, with what it said and ways to wait for it. */
class Watching {
  stdout = "";
  stderr = "";
  code: number | null = null;
  readonly cwd: string;
  readonly #child: ChildProcess;
  readonly #emulator: Emulator | undefined;
  readonly #listeners = new Set<() => void>();
  #isClosed = false;

  constructor(cwd: string, args: readonly string[] = [], emulator?: Emulator) {
    this.cwd = cwd;
    this.#emulator = emulator;
    const where = emulator === undefined ? ["--local"] : [];
    const child = start(["watch", ...where, ...args], { cwd, env: envOf(emulator) });
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#wake();
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#wake();
    });
    child.once("close", (code) => {
      this.#isClosed = true;
      this.code = code;
      this.#wake();
    });
  }

  /** Waits until `isTrue`, which is asked now and after everything that the process says. */
  async until(isTrue: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string) =>
        finish(() => reject(new Error(`${what}:\n${this.stdout.slice(-3000)}\n${this.stderr.slice(-3000)}`)));
      const timer = setTimeout(() => fail("not in time"), LONGEST_MS);
      const finish = (then: () => void) => {
        clearTimeout(timer);
        this.#listeners.delete(ask);
        then();
      };
      const ask = () => {
        if (isTrue()) finish(resolve);
        else if (this.#isClosed) fail(`ended with ${this.code}`);
      };
      this.#listeners.add(ask);
      ask();
    });
  }

  /** Waits for the text in what was said after `from` of both streams. */
  async says(pattern: RegExp, from = this.mark(0)): Promise<void> {
    await this.until(
      () => pattern.test(this.stdout.slice(from.stdout)) || pattern.test(this.stderr.slice(from.stderr)),
    );
  }

  /** Where both streams stand, for {@link says}. */
  mark(at?: number): { readonly stdout: number; readonly stderr: number } {
    return { stdout: at ?? this.stdout.length, stderr: at ?? this.stderr.length };
  }

  async ready(): Promise<void> {
    await this.says(/^Ready: .*\n|"type":"ready".*\n/m);
  }

  /** Sends a signal without waiting for anything. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits for the end; how long that took, in milliseconds. */
  async ended(): Promise<number> {
    const startedMs = performance.now();
    await this.until(() => this.#isClosed);
    return performance.now() - startedMs;
  }

  /** Ends the watch with a signal; how long that took, in milliseconds. */
  async end(signal: NodeJS.Signals = "SIGINT"): Promise<number> {
    this.kill(signal);
    return await this.ended();
  }

  /** Every line of `--json` that is whole, each checked against the schema. */
  get events(): readonly Record<string, unknown>[] {
    const end = this.stdout.lastIndexOf("\n") + 1;
    return end === 0 ? [] : jsonLines(this.stdout.slice(0, end));
  }

  all(type: string): readonly Record<string, unknown>[] {
    return this.events.filter((event) => event["type"] === type);
  }

  get cycleLines(): readonly string[] {
    return this.stdout.split("\n").filter((line) => /^\d\d:\d\d:\d\d /.test(line));
  }

  get sessionId(): string {
    const found = /session (\S+)\. Ctrl-C|"sessionId":"([^"]+)"|created session (\S+)/.exec(this.stdout + this.stderr);
    return found?.[1] ?? found?.[2] ?? found?.[3] ?? "";
  }

  /** Where the session's `/` lies on this machine. */
  get sessionRoot(): string {
    return this.#emulator?.sessionRoot(this.sessionId) ?? join(this.cwd, ".agb-sync/local");
  }

  /** Where the workspace lies on this machine. */
  get root(): string {
    return join(this.sessionRoot, "tmp/workspace");
  }

  /** The tickets that are left; a session with a shell removes their directory with the last of them. */
  get locks(): readonly string[] {
    const directory = join(this.root, ".agb-sync/locks");
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  /** The lines of a file in the session's `/tmp`, outside of the workspace. */
  log(name = "log"): readonly string[] {
    const file = join(this.sessionRoot, "tmp", name);
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
  }

  /** Writes into the mirrored source. */
  write(path: string, content: string | Buffer): void {
    writeFileSync(join(this.cwd, "src", path), content);
  }

  #wake(): void {
    for (const ask of this.#listeners) ask();
  }
}

function envOf(emulator: Emulator | undefined): Record<string, string> {
  return emulator === undefined ? {} : { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url };
}

/** An emulator of this test alone. */
async function ownEmulator(options: EmulatorOptions): Promise<Emulator> {
  const emulator = await startEmulator({ transferPolls: 1, ...options });
  onTestFinished(async () => await emulator.close());
  return emulator;
}

/** An emulator that can be made to answer nothing any more. */
async function silenceable() {
  let isSilent = false;
  let meet = (): void => undefined;
  const met = new Promise<void>((resolve) => {
    meet = resolve;
  });
  const onRequest = (): Action | undefined => {
    if (!isSilent) return undefined;
    meet();
    return "hang-before";
  };
  const emulator = await ownEmulator({ onRequest });
  return {
    emulator,
    /** From now on. */
    silence: () => void (isSilent = true),
    /** The first request that gets no answer. */
    met,
  };
}

const signals = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const;

describe("watch and signals", () => {
  it.each(signals)("ends on %s with a summary and its exit code, and leaves no lock (W28)", async (signal, code) => {
    const watching = new Watching(project(mirror, { "src/a.txt": "a" }));
    await watching.ready();
    watching.write("b.txt", "bb");
    await watching.until(() => watching.cycleLines.length === 1);
    expect(await watching.end(signal)).toBeLessThan(2000);
    // Nothing is under way that would have to be stopped.
    expect([watching.code, watching.stderr]).toEqual([code, "watched: 1 cycle, 2 steps, 3 B written\n"]);
    expect(watching.locks).toEqual([]);
  });

  it.each([
    ["steps", "SIGINT", 130],
    ["batch", "SIGTERM", 143],
    ["batch", "SIGHUP", 129],
  ] as const)(
    "ends in the middle of an apply by %s on %s, and leaves no lock and no part of a file (W28)",
    async (strategy, signal, code) => {
      const emulator = await sharedEmulator({ latencyMs: 70 });
      const whole = "x".repeat(5000);
      const watching = new Watching(
        project(mirror, { "src/first.txt": "1" }),
        ["--json", "--strategy", strategy, "--concurrency", "2"],
        emulator,
      );
      await watching.ready();
      const from = watching.mark();
      const names = Array.from({ length: 40 }, (_, index) => `${index}.txt`);
      for (const name of names) watching.write(name, whole);
      await watching.says(strategy === "steps" ? /"doneBytes":20000,/ : /"type":"phase-start".*"phase":"commit"/, from);
      expect(await watching.end(signal)).toBeLessThan(2000);
      expect(watching.code).toBe(code);
      expect(watching.events.at(-1)).toMatchObject({ type: "summary", exitCode: code });
      expect(watching.locks).toEqual([]);
      const arrived = names.filter((name) => existsSync(join(watching.root, name)));
      // By steps it takes far longer than a signal may take: the rest is left undone.
      expect(strategy === "batch" || arrived.length < names.length).toBe(true);
      for (const name of arrived) expect(readFileSync(join(watching.root, name), "utf8")).toBe(whole);
      const finish = ["apply", "--session", watching.sessionId, "--lock-timeout", "1s"];
      const finished = await run(finish, { cwd: watching.cwd, env: envOf(emulator) });
      expect([finished.code, finished.stderr]).toEqual([0, expect.not.stringMatching(/lock|conflict/)]);
      expect(look(watching.root)).toEqual(look(join(watching.cwd, "src")));
    },
  );

  it.each(signals)("ends on %s while the session answers nothing any more (W28)", async (signal, code) => {
    const { emulator, silence, met } = await silenceable();
    const watching = new Watching(project(mirror, { "src/a.txt": "a" }), [], emulator);
    await watching.ready();
    silence();
    watching.write("b.txt", "b");
    await met;
    expect(await watching.end(signal)).toBeLessThan(2000);
    expect([watching.code, watching.stderr]).toEqual([code, expect.stringMatching(/^watched: 0 cycles, 1 step,/m)]);
    expect(watching.cycleLines).toEqual([]);
  });

  it.each(signals)("ends on %s while the session answers nothing from the start (W28)", async (signal, code) => {
    const { emulator, silence, met } = await silenceable();
    silence();
    const watching = new Watching(project(mirror, { "src/a.txt": "a" }), [], emulator);
    await met;
    expect(await watching.end(signal)).toBeLessThan(2000);
    expect([watching.code, watching.stdout]).toEqual([code, ""]);
  });

  it("ends at once on a second signal (W28)", async () => {
    const { emulator, silence, met } = await silenceable();
    const watching = new Watching(project(mirror, { "src/a.txt": "a" }), [], emulator);
    await watching.ready();
    silence();
    watching.write("b.txt", "b");
    await met;
    watching.kill("SIGINT");
    await watching.says(/once more to leave at once/);
    // The first one alone would wait for more than a second.
    expect(await watching.end("SIGINT")).toBeLessThan(700);
    expect([watching.code, watching.stderr]).toEqual([130, expect.not.stringContaining("watched:")]);
  });
});

describe("what watch says of a batch", () => {
  const before = { "src/1": "1", "src/2": "2", "src/3": "3", "src/old": "moved" };
  /** Three changed, one new, one moved: 4.2 kB of new content. */
  const change = (watching: Watching) => {
    for (const path of ["1", "2", "3", "4"]) watching.write(path, randomBytes(1050));
    renameSync(join(watching.cwd, "src/old"), join(watching.cwd, "src/new"));
  };

  it.each([
    ["the embedded session", false],
    ["a session of the service", true],
  ])("is one line with counts, bytes, calls and time: %s (W29)", async (_what, isRemote) => {
    const emulator = isRemote ? await sharedEmulator() : undefined;
    const watching = new Watching(project(mirror, before), ["--debounce", "300ms"], emulator);
    await watching.ready();
    change(watching);
    await watching.until(() => watching.cycleLines.length > 0);
    const from = watching.mark();
    watching.write("4", "four");
    await watching.says(/\n/, { ...from, stderr: Number.POSITIVE_INFINITY });
    await watching.end();
    const calls = isRemote ? "\\d+ calls? {2}" : "";
    const line = (what: string, names: string) =>
      new RegExp(`^\\d\\d:\\d\\d:\\d\\d {2}${what} {2}${calls}(\\d{3} ms|\\d\\.\\d s) {2}${names}$`);
    expect(watching.stdout.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^Applied: /),
      expect.stringMatching(/^Ready: /),
      expect.stringMatching(line("~3 \\+1 →1 {2}4\\.2 kB", "1, 2, 3, and 2 more")),
      expect.stringMatching(line("~1 {2}4 B", "4")),
    ]);
  });

  it("is one event with counts, bytes, requests and the time from the first change to the check (W29)", async () => {
    const emulator = await sharedEmulator();
    const watching = new Watching(project(mirror, before), ["--json", "--debounce", "300ms"], emulator);
    await watching.ready();
    const requests = emulator.requests.length;
    const startedMs = performance.now();
    change(watching);
    await watching.until(() => watching.all("cycle").length > 0);
    const tookMs = performance.now() - startedMs;
    const made = emulator.requests.length - requests;
    watching.write("4", "four");
    await watching.until(() => watching.all("cycle").length > 1);
    await watching.end("SIGTERM");
    const rest = { verified: true, failed: 0, skipped: 0, newConflicts: [], newFailures: [], exitCode: 0 };
    expect(watching.all("cycle")).toMatchObject([
      { ...rest, applied: 5, requests: made },
      { ...rest, applied: 1 },
    ]);
    const [cycle, second] = watching.all("cycle");
    // What cannot be compressed and more must have been sent, and again when only four bytes were new it was not.
    expect(Number(cycle?.["bytesSent"]) - Number(second?.["bytesSent"])).toBeGreaterThan(4000);
    expect(cycle?.["bytesReceived"]).toBeGreaterThan(0);
    expect(cycle?.["latencyMs"]).toBeGreaterThanOrEqual(300);
    expect(cycle?.["latencyMs"]).toBeLessThanOrEqual(tookMs);
    const summary = watching.events.at(-1);
    expect(summary).toMatchObject({ type: "summary", cycles: 2, steps: 10, exitCode: 143 });
    const sum = watching.all("ready").concat(watching.all("cycle"));
    expect(summary?.["requests"]).toBe(sum.reduce((total, event) => total + Number(event["requests"]), 0));
  });
});

describe("commands of the manifest under watch", () => {
  const withCommands = (...commands: readonly string[]) =>
    `${mirror}run:\n${commands.map((command) => `  - ${command}\n`).join("")}`;
  const noShell = "the emulator has no shell here";

  it("run once for each batch that changes what they wait for, and for no other (W30)", async ({ skip }) => {
    const emulator = await sharedEmulator();
    skip(emulator.shellNotice !== undefined, noShell);
    const manifest = withCommands(
      '{ command: "echo a >> /tmp/log; echo built a", onChange: [a/] }',
      '{ command: "echo b >> /tmp/log; echo built b; exit 3", onChange: ["b/*.txt"] }',
    );
    const files = { "src/a/1": "1", "src/a/2": "1", "src/b/1.txt": "1", "src/b/1.md": "1", "src/c": "1" };
    const cwd = project(manifest.replace("; exit 3", ""), files);
    const watching = new Watching(cwd, [], emulator);
    await watching.ready();
    expect(watching.log()).toEqual(["a", "b"]);
    const batch = async (done: RegExp, ...paths: readonly string[]) => {
      const from = watching.mark();
      const count = watching.cycleLines.length;
      for (const path of paths) watching.write(path, `${count}\n`);
      await watching.says(done, from);
      await watching.until(() => watching.cycleLines.length > count);
    };
    await batch(/^\$ echo a.*: done\n/m, "a/1", "a/2");
    expect(watching.log()).toEqual(["a", "b", "a"]);
    await batch(/^\d\d:.* ~2 .*\n/m, "c", "b/1.md");
    await batch(/^\$ echo b.*: done\n/m, "b/1.txt");
    await batch(/^\d\d:.* ~1 .*\n/m, "c");
    await batch(/^\$ echo a.*: done\n/m, "a/1");
    expect(watching.log()).toEqual(["a", "b", "a", "b", "a"]);
    expect(watching.stderr.match(/^echo a >> \/tmp\/log; echo built a \| built a$/gm)).toHaveLength(3);
    expect(watching.stderr.match(/^echo b >> \/tmp\/log; echo built b \| built b$/gm)).toHaveLength(2);
    await watching.end();
    expect([watching.code, watching.locks]).toEqual([130, []]);
  });

  it("stream their output while they run, and a failure ends neither the watch nor its batches (W30)", async ({
    skip,
  }) => {
    const emulator = await sharedEmulator();
    skip(emulator.shellNotice !== undefined, noShell);
    const command = "echo begun; until [ -e /tmp/go ]; do sleep 0.02; done; rm /tmp/go; echo ended; exit 3";
    const files = { "src/a": "1", "src/c": "1" };
    const watching = new Watching(project(mirror, files), ["--json"], emulator);
    await watching.ready();
    writeFileSync(join(watching.cwd, "agb-sync.yaml"), withCommands(`{ command: "${command}", onChange: [a] }`));
    watching.write("a", "2");
    await watching.says(/"type":"output".*"text":"begun".*\n/);
    // What does not concern it is applied beside it.
    const applied = watching.all("cycle").length;
    watching.write("c", "2");
    await watching.until(() => watching.all("cycle").length > applied);
    expect(watching.all("output")).toMatchObject([{ text: "begun" }]);
    writeFileSync(join(watching.sessionRoot, "tmp/go"), "");
    await watching.says(/"message":"\$ echo begun.*exit 3".*\n/);
    expect(watching.all("output")).toMatchObject([
      { stream: "stdout", command, text: "begun" },
      { stream: "stdout", command, text: "ended" },
    ]);
    expect(watching.all("notice").at(-1)).toMatchObject({ level: "warning", message: `$ ${command}: exit 3` });
    watching.write("c", "3");
    await watching.until(() => watching.all("cycle").length > applied + 1);
    await watching.end();
    // Nothing of what it waits for has changed since it failed.
    expect(watching.all("output")).toHaveLength(2);
    expect(watching.code).toBe(130);
  });

  it("wait after a batch that failed until it is done (W30)", async ({ skip }) => {
    let isBroken = false;
    const emulator = await ownEmulator({
      onRequest: ({ tool, args }) => {
        const isBad = isBroken && tool === "write_file" && JSON.stringify(args).includes("this is bad");
        return isBad ? { refuse: "Forbidden", message: "not now" } : undefined;
      },
    });
    skip(emulator.shellNotice !== undefined, noShell);
    const manifest = withCommands('{ command: "cat bad good >> /tmp/log", onChange: [good, bad] }');
    const cwd = project(manifest, { "src/bad": "1\n", "src/good": "1\n" });
    const watching = new Watching(cwd, ["--strategy", "steps"], emulator);
    await watching.ready();
    expect(watching.log()).toEqual(["1", "1"]);
    isBroken = true;
    watching.write("bad", "this is bad\n");
    watching.write("good", "2\n");
    await watching.says(/^warning: \$ cat bad good.*: waits until the step that failed can be done\n/m);
    // Another batch, which alone would be good.
    const count = watching.cycleLines.length;
    watching.write("good", "3\n");
    await watching.until(() => watching.cycleLines.length > count);
    expect(watching.log()).toEqual(["1", "1"]);
    isBroken = false;
    await watching.says(/^\$ cat bad good.*: done\n/m);
    expect(watching.log()).toEqual(["1", "1", "this is bad", "3"]);
    await watching.end();
    expect(watching.stderr).not.toMatch(/^cat bad good.*\|/m);
  });

  it("run one at a time, never during a commit, and start again for a newer batch (W30)", async ({ skip }) => {
    const emulator = await sharedEmulator({ latencyMs: 15 });
    skip(emulator.shellNotice !== undefined, noShell);
    const names = Array.from({ length: 3 }, (_, index) => `a/${index}`);
    const script = [
      // A process that is dead and not yet waited for does nothing any more.
      "lives() { grep -q '^State:[^Z]*$' /proc/$1/status 2>/dev/null; }",
      "lives $$ || echo nothing to be seen here >> /tmp/log",
      "for p in $(cat /tmp/pids 2>/dev/null); do if lives $p; then echo overlap >> /tmp/log; fi; done",
      // Whoever commits holds the lock.
      "look() { for l in ../.agb-sync/locks/*; do if [ -e $l ]; then echo a commit beside me >> /tmp/log; fi; done; }",
      // It takes its time to go when it is asked to: what comes next must wait until it has gone.
      "trap 'n=0; while [ $n -lt 20 ]; do look; sleep 0.02; n=$((n + 1)); done; exit 1' TERM",
      "look; v=$(cat 0); echo $$ >> /tmp/pids; echo start $v | tee -a /tmp/log",
      "until [ -e /tmp/go ]; do look; sleep 0.01; done",
      "look; echo end $v | tee -a /tmp/log",
      "",
    ].join("\n");
    // Another one before it: that both are due must not make two of them run.
    const manifest = withCommands(
      '{ command: "echo first >> /tmp/log", onChange: [a/] }',
      '{ command: "sh ./tool.sh", cwd: a, onChange: [a/] }',
    );
    const files = Object.fromEntries(names.map((name) => [`src/${name}`, "1\n"]));
    const cwd = project(mirror, { ...files, "src/a/tool.sh": script });
    const watching = new Watching(cwd, ["--strategy", "steps"], emulator);
    await watching.ready();
    writeFileSync(join(cwd, "agb-sync.yaml"), manifest);
    for (const version of [2, 3]) {
      for (const name of names) watching.write(name, `${version}\n`);
      await watching.says(new RegExp(`^sh ./tool.sh \\| start ${version}\n`, "m"));
    }
    writeFileSync(join(watching.sessionRoot, "tmp/go"), "");
    await watching.says(/^\$ sh .\/tool.sh: done\n/m);
    await watching.end();
    const starts = [2, 3].flatMap((version) => ["first", `start ${version}`]);
    expect(watching.log()).toEqual([...starts, "end 3"]);
    expect(watching.stderr.match(/what it works on changes; it starts again after that$/gm)).toHaveLength(1);
  });
});

const git = async (cwd: string, ...args: readonly string[]) => {
  const identity = {
    GIT_AUTHOR_NAME: "a",
    GIT_AUTHOR_EMAIL: "a@b",
    GIT_COMMITTER_NAME: "a",
    GIT_COMMITTER_EMAIL: "a@b",
  };
  const env = {
    PATH: process.env["PATH"],
    HOME: cwd,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    ...identity,
  };
  await promisify(execFile)("git", args, { cwd, env });
};

describe("watch on a repository", () => {
  it("ends equal to a fresh apply after checkouts back and forth between two branches (W10, W11, W15)", async () => {
    const cwd = project(`${head}trees: [{ source: src, path: . }]\nignore: [.git/]\n`, {});
    const source = join(cwd, "src");
    const path = (index: number) => `d${index % 10}/e${index % 3}/f${index}.txt`;
    const at = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => path(from + index));
    layOut(source, Object.fromEntries(at(0, 500).map((name) => [name, `${name}\n`.repeat(20)])));
    await git(source, "init", "-q", "-b", "main");
    await git(source, "add", "-A");
    await git(source, "commit", "-qm", "500 files");
    await git(source, "checkout", "-qb", "other");
    for (const name of at(0, 200)) writeFileSync(join(source, name), `other ${name}\n`.repeat(30));
    for (const name of at(200, 250)) rmSync(join(source, name));
    for (const name of at(500, 550)) writeFileSync(join(source, name), "only here");
    for (const name of at(250, 270)) renameSync(join(source, name), join(source, `${name}.moved`));
    renameSync(join(source, "d9"), join(source, "d9 renamed"));
    rmSync(join(source, path(300)));
    layOut(join(source, path(300)), { "now/a/directory": "x" });
    chmodSync(join(source, path(301)), 0o755);
    await git(source, "add", "-A", "--", ".");
    await git(source, "commit", "-qm", "other");
    await git(source, "checkout", "-q", "main");

    const local = (): Record<string, string> =>
      Object.fromEntries(Object.entries(look(source)).filter(([name]) => !/^\.git(\/|$)/.test(name)));
    const isEqual = (watching: Watching) => JSON.stringify(look(watching.root)) === JSON.stringify(local());
    const watching = new Watching(cwd);
    await watching.ready();
    expect(look(watching.root)).toEqual(local());
    for (const round of [1, 2, 3]) {
      for (const branch of ["other", "main"]) {
        const count = watching.cycleLines.length;
        await git(source, "checkout", "-q", branch);
        // First each to its end, then while the one before is applied, then as fast as git is.
        if (round === 1) await watching.until(() => watching.cycleLines.length > count && isEqual(watching));
        if (round === 2) await watching.until(() => watching.cycleLines.length > count);
      }
    }
    await git(source, "checkout", "-q", "other");
    await watching.until(() => isEqual(watching));
    await watching.end();
    expect([watching.code, watching.locks]).toEqual([130, []]);
    expect(watching.stderr).not.toMatch(/warning|error|conflict/);
    const fresh = join(cwd, "fresh");
    const applied = await run(["apply", "--local", fresh], { cwd });
    expect([applied.code, applied.stderr]).toEqual([0, expect.stringMatching(/^the files are in .*\n$/)]);
    expect(look(watching.root)).toEqual(look(join(fresh, "tmp/workspace")));
    expect(look(watching.root)[path(301)]).toMatch(/^755 /);
    expect(Object.keys(look(watching.root))).toEqual(
      expect.arrayContaining([path(548), `${path(250)}.moved`, `${path(300)}/now/a/directory`]),
    );
  });
});

describe("watch for scripts", () => {
  it("ends with 0 after the first apply with --once-ready-exit (W4)", async () => {
    const emulator = await sharedEmulator();
    const cwd = project(mirror, { "src/a/b.txt": "b", "src/c.txt": "c" });
    const watching = new Watching(cwd, ["--once-ready-exit"], emulator);
    await watching.ended();
    expect([watching.code, watching.stdout, watching.stderr]).toEqual([
      0,
      expect.stringMatching(/^Applied: 3 created .*\nReady: .*\n$/),
      expect.stringMatching(/^watched: 0 cycles, 3 steps, 2 B written\n/m),
    ]);
    expect(look(watching.root)).toEqual(look(join(cwd, "src")));
    expect(watching.locks).toEqual([]);
    const again = new Watching(cwd, ["--once-ready-exit", "--json", "--session", watching.sessionId], emulator);
    await again.ended();
    expect([again.code, again.events.slice(-2)]).toMatchObject([
      0,
      [
        { type: "ready", applied: 0, verified: true, exitCode: 0 },
        { type: "summary", cycles: 0, exitCode: 0 },
      ],
    ]);
  });
});

describe("edits of the manifest and of ignore files under watch", () => {
  it("reports a broken manifest with its line, keeps the last good one, and goes on with a mended one (W25)", async () => {
    const cwd = project(mirror, { "src/a.txt": "1", "more/m.txt": "m" });
    const file = join(cwd, "agb-sync.yaml");
    const watching = new Watching(cwd);
    await watching.ready();
    writeFileSync(file, `${mirror}directories:\n  - path: made\n  - path: ../out\n`);
    await watching.says(/watching on with the last manifest that was right\n/);
    expect(watching.stderr).toMatch(/^agb-sync\.yaml:7:\d+: /m);
    watching.write("a.txt", "2");
    await watching.until(() => watching.cycleLines.length === 1);
    expect(look(watching.root)).toEqual(look(join(cwd, "src")));
    expect(watching.stderr).not.toMatch(/^going on$/m);
    writeFileSync(file, `${head}trees: [{ source: src, path: . }, { source: more, path: more }]\n`);
    await watching.says(/^going on\n/m);
    await watching.until(() => watching.cycleLines.length === 2);
    expect(readFileSync(join(watching.root, "more/m.txt"), "utf8")).toBe("m");
    writeFileSync(join(cwd, "more/m.txt"), "mm");
    await watching.until(() => watching.cycleLines.length === 3);
    expect(readFileSync(join(watching.root, "more/m.txt"), "utf8")).toBe("mm");
    await watching.end();
    expect(watching.code).toBe(130);
    expect(watching.stderr.match(/agb-sync\.yaml:7:/g)).toHaveLength(1);
  });

  it("says in JSON where a manifest is broken, once, and when it no longer is (W25)", async () => {
    const cwd = project(mirror, { "src/a.txt": "1" });
    const file = join(cwd, "agb-sync.yaml");
    const watching = new Watching(cwd, ["--json"]);
    await watching.ready();
    writeFileSync(file, `${mirror}files:\n  - { path: x, content: "1", sorce: y }\n`);
    await watching.until(() => watching.all("problem").length > 0);
    watching.write("a.txt", "2");
    await watching.until(() => watching.all("cycle").length === 1);
    writeFileSync(file, mirror);
    await watching.until(() => watching.all("recovered").length > 0);
    await watching.end();
    expect(watching.all("problem")).toMatchObject([
      {
        about: "manifest",
        code: "MANIFEST_INVALID",
        problems: [{ file: "agb-sync.yaml", line: 6, code: "UNKNOWN_KEY" }],
      },
    ]);
    expect(watching.all("recovered")).toHaveLength(1);
    expect(watching.all("summary")).toMatchObject([{ cycles: 1, exitCode: 130 }]);
  });

  it.each([
    {
      by: "ignore in the manifest",
      ignore: (cwd: string) => writeFileSync(join(cwd, "agb-sync.yaml"), `${mirror}ignore: ["*.log", build/]\n`),
    },
    {
      by: ".gitignore",
      ignore: (cwd: string) => writeFileSync(join(cwd, "src/.gitignore"), "*.log\nbuild/\n"),
    },
  ])("does not delete in the session what $by begins to leave out, here or gone (W25)", async ({ by, ignore }) => {
    const manifest = by === ".gitignore" ? mirror.replace("path: .", "path: ., gitignore: true") : mirror;
    const cwd = project(manifest, {
      "src/a.log": "1",
      "src/gone.log": "2",
      "src/build/out": "3",
      "src/kept": "4",
      "src/gone": "5",
    });
    const watching = new Watching(cwd, ["--rescan", "300ms"]);
    await watching.ready();
    const whole = look(watching.root);
    ignore(cwd);
    watching.write("fence", "1");
    await watching.until(() => existsSync(join(watching.root, "fence")));
    // What is left out by now may change and go without a trace; what is not goes from the session too.
    watching.write("a.log", "changed");
    for (const path of ["gone.log", "build", "gone"]) rmSync(join(cwd, "src", path), { recursive: true });
    await watching.until(() => !existsSync(join(watching.root, "gone")));
    await watching.end();
    const { gone: _gone, ...rest } = whole;
    expect(look(watching.root)).toMatchObject(rest);
    const again = new Watching(cwd, ["--once-ready-exit"]);
    await again.ended();
    expect([again.code, again.stdout]).toEqual([0, expect.stringMatching(/^Nothing to do/)]);
    expect(look(watching.root)).toMatchObject(rest);
    expect(Object.keys(look(watching.root))).not.toContain("gone");
  });
});
