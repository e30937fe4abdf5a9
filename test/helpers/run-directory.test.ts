import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { thorough } from "./tries-all.ts";
import { temporaryDirectory } from "./workspace.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
/** Starts an emulator, and command lines that work in its sessions. */
const someTests = "test/safety/batch-under-way.test.ts";

function safely(read: () => string | Buffer): string {
  try {
    return read().toString();
  } catch {
    return "";
  }
}

/** The command lines of everybody but `self` who has to do with this directory. */
function workersIn(directory: string, self: number): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== self)
    .flatMap((name) => {
      const commandLine = safely(() => readFileSync(`/proc/${name}/cmdline`)).replaceAll("\0", " ");
      const traces = [
        commandLine,
        safely(() => readFileSync(`/proc/${name}/environ`)),
        safely(() => readlinkSync(`/proc/${name}/cwd`)),
      ];
      return traces.some((trace) => trace.includes(directory)) ? [commandLine] : [];
    });
}

describe.skipIf(process.platform !== "linux")("a test run that is ended in the middle", () => {
  it.each(thorough<readonly NodeJS.Signals[]>(["SIGKILL"], ["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"]))(
    "by %s leaves no process and no file behind",
    async (how) => {
      const place = temporaryDirectory();
      const run = spawn(process.execPath, [vitest, "run", someTests], {
        cwd: project,
        env: { PATH: process.env["PATH"], HOME: place, TMPDIR: place },
        stdio: "ignore",
      });
      onTestFinished(() => void run.kill("SIGKILL"));
      const worksThere = () => workersIn(place, run.pid ?? 0).some((line) => line.includes("apply --session"));
      await expect.poll(worksThere, { timeout: 60_000, interval: 20 }).toBe(true);
      const ended = once(run, "exit");
      run.kill(how);
      await ended;
      const left = () => [workersIn(place, process.pid), readdirSync(place)];
      await expect.poll(left, { timeout: 30_000, interval: 100 }).toEqual([[], []]);
    },
  );
});
