import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { removeTree } from "./janitor.mjs";

const PREFIX = "agb-sync-test-run-";
const janitor = fileURLToPath(new URL("janitor.mjs", import.meta.url));

/**
 * One temporary directory for a whole run, so that nothing can stay behind: a process of its own waits for our end,
 * however that comes about, ends whatever still works in the directory, and removes it.
 */
export default async function setUp({ tmpDir }: TestProject): Promise<() => Promise<void>> {
  const place = realpathSync(tmpdir());
  for (const name of readdirSync(place)) {
    const pid = Number(/^agb-sync-test-run-(\d+)-/.exec(name)?.[1]);
    if (pid > 0 && !isAlive(pid)) removeTree(join(place, name));
  }
  const directory = mkdtempSync(join(place, `${PREFIX}${process.pid}-`));
  // Some tests act as a user who may not read everything, but has to get here.
  chmodSync(directory, 0o755);
  const before = process.env["TMPDIR"];
  process.env["TMPDIR"] = directory;
  // Its own session: what is sent to our group or terminal does not reach it.
  const child = spawn(process.execPath, [janitor, directory, tmpDir, String(process.pid), ...npmAbove().map(String)], {
    detached: true,
    stdio: ["pipe", "ignore", "inherit"],
    cwd: "/",
  });
  child.unref();
  return async () => {
    if (before === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = before;
    child.stdin.end("done\n");
    await once(child, "close");
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** The processes between `npm test` and us: npm killed leaves its children running. None where npm did not start us. */
function npmAbove(): readonly number[] {
  if (process.env["npm_lifecycle_event"] === undefined) return [];
  const above: number[] = [];
  for (let pid = process.ppid; pid > 1; pid = parentOf(pid)) {
    above.push(pid);
    if (/^npm(?:\s|$)/.test(textOf(`/proc/${pid}/cmdline`))) return above;
  }
  return [];
}

function parentOf(pid: number): number {
  return Number(/^PPid:\s*(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
