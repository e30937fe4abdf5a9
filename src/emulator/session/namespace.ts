import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { closeSync, constants, existsSync, lstatSync, openSync, rmSync, writeSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { constants as osConstants } from "node:os";
import { join } from "node:path";
import setUp from "./namespace.sh.generated.js";
import { deviceNames, etcMounts, systemAliases } from "./session-tree.ts";

export type NamespaceOptions = {
  /** The session's tree, which becomes `/`. */
  readonly tree: string;
  /** A file to write the mount table to, outside `tree`. */
  readonly tableFile: string;
  readonly user: "wuying" | "root";
  /** A directory of this machine to show at `/run/userland`. */
  readonly userlandDir?: string | undefined;
  /** Puts the tree on a disk (tmpfs) of its own; `prepare` fills the tree, which then lies elsewhere: `Namespace.tree`. */
  readonly disk?: { readonly sizeBytes: number; prepare(tree: string): void } | undefined;
};

type RunRequest = {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
};

export type RunResult = {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** As a shell would give it: 128 + signal where one ended it. */
  readonly exitCode: number;
  readonly isTimedOut: boolean;
  /** It wrote more than anybody keeps, and was killed for it. */
  readonly isTooLong: boolean;
};

/** The inside of one session for commands: its tree is `/`, its processes see one another and no others. */
export type Namespace = {
  /** Where the emulator finds the tree. */
  readonly tree: string;
  /** Leaves no free byte on the session's disk; undefined for sessions without one. */
  readonly fillDisk: ((this: void) => void) | undefined;
  /** Takes back what `fillDisk` took. */
  readonly freeDisk: ((this: void) => void) | undefined;
  /** Runs one program in its own process group, which is killed at the timeout. Calls run side by side. */
  run(request: RunRequest): Promise<RunResult>;
  /** Ends every process of the session, background ones too. */
  close(): Promise<void>;
};

const find = (name: string): string | undefined =>
  ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map((folder) => `${folder}/${name}`).find((path) => existsSync(path));

/**
 * Starts a user, mount and process namespace for a session (unshare(1), no privileges needed where the kernel lets
 * users make namespaces). Ends with the emulator, also when that is killed: its first process reads our pipe.
 * @throws {Error} with a sentence about why this machine does not allow it.
 */
export async function openNamespace(options: NamespaceOptions): Promise<Namespace> {
  try {
    return await start(options, "own-proc");
  } catch (error) {
    // Inside containers /proc is partly covered, and the kernel then refuses a new one.
    if (process.platform !== "linux") throw error;
    return start(options, "shared-proc");
  }
}

async function start(options: NamespaceOptions, proc: "own-proc" | "shared-proc"): Promise<Namespace> {
  const unshare = find("unshare");
  const nsenter = find("nsenter");
  if (process.platform !== "linux" || unshare === undefined || nsenter === undefined) {
    throw new Error("a shell needs Linux with unshare and nsenter (util-linux)");
  }
  const mountedTree = options.disk === undefined ? options.tree : join(options.tree, "tree");
  await writeFile(options.tableFile, mountTable(mountedTree, options.userlandDir, proc));
  const child = spawn(
    unshare,
    [
      "--user",
      "--map-root-user",
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "--propagation",
      "private",
      "sh",
      "-c",
      setUp,
      "sh",
      options.tableFile,
      options.tree,
      String(options.disk?.sizeBytes ?? ""),
    ],
    { stdio: ["pipe", "pipe", "pipe"], env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" }, detached: true },
  );
  const said = listen(child);
  try {
    const pid = child.pid;
    if (pid === undefined) throw new Error("unshare did not start");
    const disk = options.disk === undefined ? undefined : await prepareDisk(child, pid, options, said);
    await said("ready");
    const enter = [
      nsenter,
      `--user=/proc/${pid}/ns/user`,
      `--mount=/proc/${pid}/ns/mnt`,
      `--pid=/proc/${pid}/ns/pid_for_children`,
      // Else it drops supplementary groups, which only root may.
      "--preserve-credentials",
      unshare,
      "--user",
      // A namespace below the one that mounted: not even its root can unmount or remount anything.
      ...(options.user === "root" ? ["--map-root-user"] : ["--map-user=1000", "--map-group=1000"]),
    ];
    return {
      tree: disk?.tree ?? options.tree,
      fillDisk: disk?.fill,
      freeDisk: disk?.free,
      run: (request) => run(enter, request),
      close: async () => {
        disk?.close();
        await end(child);
      },
    };
  } catch (error) {
    await end(child);
    throw error;
  }
}

type Disk = {
  readonly tree: string;
  readonly fill: (this: void) => void;
  readonly free: (this: void) => void;
  readonly close: (this: void) => void;
};

/** The new disk, reached through a descriptor: it is mounted in the namespace only and has no path here. */
async function prepareDisk(
  child: ChildProcess,
  pid: number,
  { tree, disk }: NamespaceOptions,
  said: (word: string) => Promise<void>,
): Promise<Disk> {
  await said("disk");
  const descriptor = openSync(`/proc/${pid}/root${tree}`, constants.O_DIRECTORY);
  const top = `/proc/${process.pid}/fd/${descriptor}`;
  disk?.prepare(`${top}/tree`);
  child.stdin?.write("\n");
  const free = (): void => rmSync(`${top}/filler`, { force: true });
  return { tree: `${top}/tree`, fill: () => fillUp(`${top}/filler`), free, close: () => closeSync(descriptor) };
}

function fillUp(path: string): void {
  const file = openSync(path, "a");
  try {
    for (let size = 1 << 20; size >= 1; size = size === 1 ? 0 : Math.max(1, size >> 4)) {
      const block = Buffer.alloc(size);
      try {
        while (writeSync(file, block) > 0);
      } catch {
        // No space for a block of this size: go on with smaller ones.
      }
    }
  } finally {
    closeSync(file);
  }
}

/** Waits for words that the set-up prints; fails with what it complained about if it ends instead. */
function listen(child: ChildProcess): (word: string) => Promise<void> {
  let output = "";
  let complaint = "";
  let failure: Error | undefined;
  const ear = new EventEmitter();
  child.stdin?.on("error", () => {});
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    ear.emit("change");
  });
  const fail = (reason: string): void => {
    failure = new Error(`namespaces are not permitted here: ${reason}`);
    ear.emit("change");
  };
  child.once("error", (error) => fail(error.message));
  child.once("close", () => fail(complaint.trim().split("\n")[0] ?? "unshare failed"));
  return async (word) => {
    while (!output.includes(word)) {
      if (failure !== undefined) throw failure;
      await once(ear, "change");
    }
  };
}

function mountTable(tree: string, userlandDir: string | undefined, proc: "own-proc" | "shared-proc"): string {
  const lines: string[] = [];
  const mount = (from: string, to: string, type: string, flags: string): void => {
    lines.push(`${escaped(from)} ${escaped(to)} ${type} ${flags} 0 0`);
  };
  const inside = (path: string): string => join(tree, path);
  mount(tree, tree, "none", "bind");
  if (proc === "own-proc") mount("proc", inside("proc"), "proc", "nosuid,nodev,noexec");
  else mount("/proc", inside("proc"), "none", "rbind");
  // Where the emulator runs as root, files below these may be written by anyone with its uid.
  for (const name of ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "mtrr"]) {
    if (existsSync(`/proc/${name}`)) mount(inside(`proc/${name}`), inside(`proc/${name}`), "none", "bind,ro");
  }
  mount("/usr", inside("usr"), "none", "rbind,ro");
  for (const name of systemAliases()) {
    if (!lstatSync(`/${name}`).isSymbolicLink()) mount(`/${name}`, inside(name), "none", "rbind,ro");
  }
  for (const { name } of etcMounts()) mount(`/etc/${name}`, inside(`etc/${name}`), "none", "bind,ro");
  for (const name of deviceNames) {
    if (existsSync(`/dev/${name}`)) mount(`/dev/${name}`, inside(`dev/${name}`), "none", "bind");
  }
  if (userlandDir !== undefined) mount(userlandDir, inside("run/userland"), "none", "bind,ro");
  return `${lines.join("\n")}\n`;
}

/** fstab(5): blanks and backslashes in paths are written as octal. */
function escaped(path: string): string {
  return path.replace(/[\s\\#]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

/** The most that is kept of what a program writes: it is answered in one message. */
const outputAtMostBytes = 64 * 1024 * 1024;

/** Output that is still under way when the program has ended: a background child may hold the pipe open for ever. */
const drainMs = 20;

async function run(enter: readonly string[], request: RunRequest): Promise<RunResult> {
  const [program = "", ...before] = enter;
  const child = spawn(program, [...before, `--wd=${request.cwd}`, "--", ...request.argv], {
    stdio: ["ignore", "pipe", "pipe"],
    env: request.env,
    detached: true,
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  let keptBytes = 0;
  const keepIn = (kept: Buffer[]) => (chunk: Buffer) => {
    keptBytes += chunk.length;
    if (keptBytes <= outputAtMostBytes) kept.push(chunk);
    else killGroup(child, "SIGKILL");
  };
  child.stdout.on("data", keepIn(stdout));
  child.stderr.on("data", keepIn(stderr));
  let isTimedOut = false;
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      isTimedOut = true;
      killGroup(child, "SIGKILL");
    }, request.timeoutMs);
    child.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    let exitCode = 0;
    let drain: NodeJS.Timeout | undefined;
    let isSettled = false;
    const settle = (): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(drain);
      child.stdout.destroy();
      child.stderr.destroy();
      const isTooLong = keptBytes > outputAtMostBytes;
      resolve({ stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr), exitCode, isTimedOut, isTooLong });
    };
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      exitCode = code ?? 128 + signalNumber(signal);
      const seen = (): number => stdout.length + stderr.length;
      const wait = (before: number): void => {
        drain = setTimeout(() => (seen() === before ? settle() : wait(seen())), drainMs);
      };
      wait(seen());
    });
    child.once("close", settle);
  });
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === null ? 0 : osConstants.signals[signal];
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It ended by itself in this moment.
  }
}

/** How long the first process may take to end by itself before it is killed. */
const endMs = 2000;

/**
 * The end of its input ends the first process, and with it all the others; `unshare` ends when they are gone. Killed, it
 * would end before them.
 */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  const deadline = setTimeout(() => killGroup(child, "SIGKILL"), endMs);
  child.stdin?.end();
  await ended;
  clearTimeout(deadline);
}
