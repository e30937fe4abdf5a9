import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { runCommands } from "../../src/run/run-commands.ts";
import { askInBackground } from "../../src/transport/ask-in-background.ts";
import { BackgroundJob } from "../../src/transport/background-job.ts";
import { EmbeddedTransport } from "../../src/transport/embedded/embedded-transport.ts";
import type { ShellRequest } from "../../src/transport/transport.ts";
import { manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
/** A real shell; session paths are below a temporary directory, so jobs live beside it. `path` is its PATH. */
function open(path?: string) {
  const directory = temporaryDirectory();
  const { shell } = new EmbeddedTransport({ directory, root: "/" });
  const withPath = async (request: ShellRequest, inner: AbortSignal) =>
    await shell(path === undefined ? request : { ...request, env: { PATH: path } }, inner);
  return { shell: withPath, directory };
}

/** A directory of the programs that jobs need, and no others. */
function fewPrograms(): string {
  const path = temporaryDirectory();
  for (const name of ["sh", "mkdir", "mv", "cat", "wc", "tr", "tail", "head", "base64", "rm", "sleep"]) {
    symlinkSync(execFileSync("which", [name], { encoding: "utf8" }).trim(), join(path, name));
  }
  return path;
}

async function pidOf(job: BackgroundJob, directory: string): Promise<number> {
  while (!existsSync(join(directory, "jobs/one/pid"))) await job.look(0, 1, signal);
  return Number(readFileSync(join(directory, "jobs/one/pid"), "utf8"));
}

async function untilEnd(job: BackgroundJob): Promise<number> {
  for (;;) {
    const { exitCode } = await job.look(0, 10, signal);
    if (exitCode !== undefined) return exitCode;
  }
}

describe("a background job", () => {
  it("runs once however often it is started, and tells its output by offset and how it ended", async () => {
    const { shell, directory } = open();
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    const start = () => job.start("echo x >>ran; printf 'a\\nb'; exit 3", { joinsErrors: true }, signal);
    await Promise.all([start(), start(), start()]);
    expect(await untilEnd(job)).toBe(3);
    expect(readFileSync(join(directory, "ran"), "utf8")).toBe("x\n");
    expect(await job.look(1, 10, signal)).toEqual({ exitCode: 3, sizeBytes: 3, output: Buffer.from("\nb") });
    await job.remove(signal);
    expect(existsSync(join(directory, "jobs/one"))).toBe(false);
  });

  it("is stopped with its children", async () => {
    const { shell, directory } = open();
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    await job.start("(sleep 60; echo late >late) & sleep 60; echo late >late", { joinsErrors: true }, signal);
    const group = await pidOf(job, directory);
    await job.stop(signal);
    await expect.poll(() => running(group)).toEqual([]);
    expect(existsSync(join(directory, "late"))).toBe(false);
  });
});

describe("a background job that goes wrong", () => {
  it.each([["setsid"], ["neither setsid nor nohup"]])("outlives a hangup, with %s", async (means) => {
    const { shell, directory } = open(means === "setsid" ? undefined : fewPrograms());
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    await job.start("until [ -f go ]; do sleep 0.05; done; exit 4", { joinsErrors: true }, signal);
    process.kill(await pidOf(job, directory), "SIGHUP");
    writeFileSync(join(directory, "go"), "");
    expect(await untilEnd(job)).toBe(4);
  });

  it("fails at once when its process was killed", async () => {
    const { shell, directory } = open();
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    await job.start("sleep 60", { joinsErrors: true }, signal);
    process.kill(-(await pidOf(job, directory)), "SIGKILL");
    await expect(untilEnd(job)).rejects.toMatchObject({
      code: "TOOL_FAILED",
      message: expect.stringContaining("killed"),
    });
  });

  it("fails when looks find no process for two seconds", async () => {
    const { shell, directory } = open();
    mkdirSync(join(directory, "jobs/one"), { recursive: true });
    writeFileSync(join(directory, "jobs/one/output"), "");
    let nowMs = 5000;
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/", now: () => nowMs });
    for (nowMs of [5000, 6000, 6999]) expect((await job.look(0, 1, signal)).exitCode).toBeUndefined();
    nowMs = 7000;
    await expect(job.look(0, 1, signal)).rejects.toMatchObject({
      code: "TOOL_FAILED",
      message: expect.stringContaining("did not start"),
    });
  });

  it.each([
    ["sleep 60", ""],
    ["echo before; sleep 60", "before\n"],
  ])("was stopped and not killed when its time was up: %s", async (command, printed) => {
    const transport = new EmbeddedTransport({ directory: temporaryDirectory(), root: "/" });
    const { run } = manifestOf("/", `run: [{ command: ${JSON.stringify(command)}, timeout: 1s }]`);
    const [outcome] = await runCommands(run, transport, { changed: [], signal });
    expect(outcome).toMatchObject({ status: "failed", tail: `${printed}stopped after 1000 ms` });
  });

  it("is the failure of its command, with what was printed before", async () => {
    const transport = new EmbeddedTransport({ directory: temporaryDirectory(), root: "/" });
    const { run } = manifestOf("/", 'run: [{ command: "echo before; kill -9 $PPID" }]');
    const [outcome] = await runCommands(run, transport, { changed: [], signal });
    expect(outcome).toMatchObject({
      status: "failed",
      exitCode: undefined,
      tail: expect.stringMatching(/^before\n.*killed/),
    });
  });
});

describe("a command in the background", () => {
  it("answers in pages, whatever the length", async () => {
    const { shell } = open();
    const expected = Array.from({ length: 30_000 }, (_, index) => index).join("\n");
    expect(await askInBackground(shell, "seq 0 29999", "count", signal)).toBe(expected);
  });

  it("fails with what it said", async () => {
    const { shell } = open();
    const name = randomUUID();
    await expect(askInBackground(shell, `cat ./${name}`, "read", signal)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringContaining(name),
    });
  });
});

/** Processes of the group that still run; one that nobody has waited for yet does not. */
function running(group: number): readonly string[] {
  const states = execFileSync("ps", ["-e", "-o", "pgid=,stat=,args="], { encoding: "utf8" }).trim().split("\n");
  return states.filter((line) => line.trim().startsWith(`${group} `) && !/^\s*\d+\s+Z/.test(line));
}
