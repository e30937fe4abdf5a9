// Started by a test run: janitor.mjs DIRECTORY OTHER PID [PID...]. When its input ends, or one of the processes does, the
// run is over: what still works in DIRECTORY is ended, and it and OTHER, where Vitest keeps what it made of the sources,
// are removed. With "done" on its input the run ended well.
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** How often the processes above the run are looked at. */
const LOOK_MS = 1000;
/** Who starts others while being ended is met again. */
const ROUNDS = 50;

/** Removes a directory with everything in it, closed directories too. @param {string} directory */
export function removeTree(directory) {
  try {
    rmSync(directory, { recursive: true, force: true });
  } catch {
    open(directory);
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** @param {string} directory */
function open(directory) {
  try {
    chmodSync(directory, 0o700);
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (lstatSync(path).isDirectory()) open(path);
    }
  } catch {
    // Gone meanwhile.
  }
}

/** @param {() => { toString(): string }} read */
function safely(read) {
  try {
    return read().toString();
  } catch {
    return "";
  }
}

/**
 * Everybody whose working directory, command line or environment lies in the directory.
 * @param {string} directory
 * @returns {number[]}
 */
function workersIn(directory) {
  if (!existsSync("/proc/self/environ")) {
    const lines = safely(() => execFileSync("ps", ["-axww", "-o", "pid=,command="])).split("\n");
    return lines.filter((line) => line.includes(directory)).map((line) => Number.parseInt(line, 10));
  }
  return readdirSync("/proc").flatMap((name) => {
    const traces = [
      () => readlinkSync(`/proc/${name}/cwd`),
      () => readFileSync(`/proc/${name}/cmdline`),
      () => readFileSync(`/proc/${name}/environ`),
    ];
    return /^\d+$/.test(name) && traces.some((trace) => safely(trace).includes(directory)) ? [Number(name)] : [];
  });
}

/** @param {number} pid */
function end(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

/** @typedef {{ readonly directory: string, readonly other: string, readonly runner: number }} Run */

/** @param {Run} run @param {boolean} isDone */
async function tidy({ directory, other, runner }, isDone) {
  // Whoever starts the others first.
  if (!isDone) end(runner);
  for (let round = 0; round < ROUNDS; round += 1) {
    const left = workersIn(directory).filter((pid) => pid !== process.pid && pid !== runner);
    if (left.length === 0) break;
    for (const pid of left) end(pid);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  removeTree(directory);
  removeTree(other);
  process.exit(0);
}

/** @param {Run} run @param {number[]} above */
function wait(run, above) {
  let said = "";
  process.stdin.on("data", (chunk) => (said += String(chunk)));
  process.stdin.on("close", () => void tidy(run, said.includes("done")));
  process.stdin.on("error", () => {});
  const isGone = (/** @type {number} */ pid) => !existsSync(`/proc/${pid}`);
  if (above.length > 0) setInterval(() => above.some(isGone) && void tidy(run, false), LOOK_MS);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [directory = "", other = "", ...pids] = process.argv.slice(2);
  const [runner = 0, ...above] = pids.map(Number);
  wait({ directory, other, runner }, above);
}
