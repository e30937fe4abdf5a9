import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { cliPath, waitForLine } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";
import { Watched } from "./watched.ts";

/** Watches that the system allows from now on, and how it says no; and those that are open. */
const system = vi.hoisted(() => ({
  left: Number.POSITIVE_INFINITY,
  code: "",
  open: new Set<{ emit(event: "error", error: Error): boolean }>(),
}));

vi.mock(import("node:fs"), async (importOriginal) => {
  const original = await importOriginal();
  const watch = (directory: string, options: { persistent: boolean }) => {
    if (system.left <= 0) throw Object.assign(new Error(`${system.code}: watch`), { code: system.code });
    system.left -= 1;
    const watcher = original.watch(directory, options);
    system.open.add(watcher);
    watcher.on("close", () => system.open.delete(watcher));
    return watcher;
  };
  return { ...original, watch: Object.assign(watch, original.watch) };
});

const anchored = { anchor: "always here", a: "1", b: "2", "sub/e": "3" };
/** Nothing is looked at but what was hinted at, or polled. */
const hintsOnly = { safetyMs: 3_600_000, rescanMs: 0 };
/** How often is polled. */
const POLL_MS = 2000;

const settings: Readonly<Record<string, RegExp>> = {
  ENOSPC: /fs\.inotify\.max_user_watches.*polling/,
  EMFILE: /fs\.inotify\.max_user_instances.*ulimit -n.*polling/,
};

/** Whether this machine lets a process limit its own watches: a user's limits hold for each user namespace. */
function canLimit(): boolean {
  try {
    execFileSync("unshare", ["-r", "sh", "-c", "echo 9 > /proc/sys/user/max_inotify_watches"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe.runIf(process.platform === "linux")("a watch at the limits of the system", () => {
  beforeEach(() => {
    system.left = Number.POSITIVE_INFINITY;
    system.open.clear();
    return () => void vi.useRealTimers();
  });

  it.each<[string, string, number]>([
    ["no file watch is left at the start", "ENOSPC", 0],
    ["only one file watch is left at the start", "ENOSPC", 1],
    ["no watcher and no open file is left at the start", "EMFILE", 0],
  ])("polls and says so once when %s (W26)", async (_name, code, left) => {
    Object.assign(system, { code, left });
    const watched = await startPolled();
    await watched.until(() => watched.all("warning").length > 0);
    await editTwice(watched);
    expectOneWarning(watched, code);
    expect(system.open.size).toBe(0);
  });

  it("polls and says so once when a directory that is made later is one too many (W26)", async () => {
    system.code = "ENOSPC";
    const watched = await startPolled();
    const before = system.open.size;
    expect(before).toBeGreaterThanOrEqual(2);
    system.left = 1;
    mkdirSync(join(watched.source, "one/too/many"), { recursive: true });
    writeFileSync(join(watched.source, "one/too/many/file"), "x");
    await watched.until(() => watched.all("warning").length > 0);
    await editTwice(watched);
    expectOneWarning(watched, "ENOSPC");
    expect(system.open.size).toBe(0);
  });

  it("polls and says so once when a watch breaks down later (W26)", async () => {
    const watched = await startPolled();
    const failure = Object.assign(new Error("EMFILE: watch"), { code: "EMFILE" });
    for (const watcher of system.open) watcher.emit("error", failure);
    await watched.until(() => watched.all("warning").length > 0);
    await editTwice(watched);
    expectOneWarning(watched, "EMFILE");
    expect(system.open.size).toBe(0);
  });

  it.runIf(canLimit())("polls and says so once when the kernel itself answers ENOSPC or EMFILE (W26)", async () => {
    const warnings = await Promise.all([
      watchBelow("echo 2 > /proc/sys/user/max_inotify_watches"),
      watchBelow("echo 0 > /proc/sys/user/max_inotify_instances"),
    ]);
    expect(warnings).toEqual([
      [expect.stringMatching(settings["ENOSPC"] ?? /never/)],
      [expect.stringMatching(settings["EMFILE"] ?? /never/)],
    ]);
  });
});

/** A watch whose polling has to be asked for by `poll`. */
async function startPolled(): Promise<Watched> {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  const watched = new Watched();
  await watched.start(anchored, hintsOnly);
  return watched;
}

/** Lets one interval of polling pass, after which everything has to be there. */
async function poll(watched: Watched): Promise<void> {
  vi.advanceTimersByTime(POLL_MS);
  await watched.settled();
}

/** Two edits one after the other: polling goes on. */
async function editTwice(watched: Watched): Promise<void> {
  writeFileSync(join(watched.source, "sub/e"), "edited");
  mkdirSync(join(watched.source, "new"));
  writeFileSync(join(watched.source, "new/file"), "x");
  await poll(watched);
  writeFileSync(join(watched.source, "new/file"), "edited");
  rmSync(join(watched.source, "b"));
  await poll(watched);
}

function expectOneWarning(watched: Watched, code: string): void {
  expect(watched.all("warning").map(({ message }) => message)).toEqual([
    expect.stringMatching(settings[code] ?? /never/),
  ]);
  expect(watched.events.filter(({ type }) => type === "problem")).toEqual([]);
}

/** Runs the built command in a user namespace of its own with a limit, and edits meanwhile. Gives its warnings. */
async function watchBelow(limit: string): Promise<readonly string[]> {
  const directory = temporaryDirectory();
  layOut(join(directory, "source"), anchored);
  writeFileSync(
    join(directory, "agb-sync.yaml"),
    "version: 1\nroot: /tmp/workspace\ntrees: [{ source: source, path: . }]\n",
  );
  const command = `${limit} && exec "$0" "$1" watch --json --local session`;
  const child = spawn("unshare", ["-r", "sh", "-c", command, process.execPath, cliPath], {
    cwd: directory,
    env: { PATH: process.env["PATH"] ?? "", HOME: directory, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await waitForLine(child, /"warning"/);
  const workspace = join(directory, "session/tmp/workspace");
  const arrived = waitForLine(child, /"cycle"/);
  writeFileSync(join(directory, "source/a"), "later");
  rmSync(join(directory, "source/sub"), { recursive: true });
  await arrived;
  expect(readFileSync(join(workspace, "a"), "utf8")).toBe("later");
  expect(existsSync(join(workspace, "sub"))).toBe(false);
  const closed = once(child, "close");
  child.kill("SIGINT");
  await closed;
  return output.split("\n").filter((line) => line.includes('"warning"'));
}
