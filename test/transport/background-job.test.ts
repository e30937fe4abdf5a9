import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
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
  while (!existsSync(join(directory, "jobs/one/pid"))) await job.look({ outputAt: 0, mostBytes: 1 }, signal);
  return Number(readFileSync(join(directory, "jobs/one/pid"), "utf8"));
}

async function untilEnd(job: BackgroundJob): Promise<number> {
  for (;;) {
    const { exitCode } = await job.look({ outputAt: 0, mostBytes: 10 }, signal);
    if (exitCode !== undefined) return exitCode;
  }
}

describe("a background job", () => {
  it.each([
    { when: "before it is looked at", waitMs: 0 },
    { when: "while it is looked at", waitMs: 5000 },
  ])("says so when what it keeps is removed $when", async ({ waitMs }) => {
    const { shell, directory } = open();
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    const script = "while [ ! -e go ]; do sleep 0.05; done; rm -rf jobs; sleep 5";
    await job.start(script, { joinsErrors: true }, signal);
    await pidOf(job, directory);
    if (waitMs === 0) {
      writeFileSync(join(directory, "go"), "");
      while (existsSync(join(directory, "jobs"))) await new Promise((resolve) => setImmediate(resolve));
    }
    const seen = job.look({ outputAt: 0, mostBytes: 10, waitMs }, signal);
    writeFileSync(join(directory, "go"), "");
    await expect(seen).rejects.toMatchObject({ code: "TOOL_FAILED", message: expect.stringContaining("was removed") });
  });

  it("runs once however often it is started, and tells its output by offset and how it ended", async () => {
    const { shell, directory } = open();
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    const start = () => job.start("echo x >>ran; printf 'a\\nb'; exit 3", { joinsErrors: true }, signal);
    await Promise.all([start(), start(), start()]);
    expect(await untilEnd(job)).toBe(3);
    expect(readFileSync(join(directory, "ran"), "utf8")).toBe("x\n");
    expect(await job.look({ outputAt: 1, mostBytes: 10 }, signal)).toEqual({
      exitCode: 3,
      output: { sizeBytes: 3, bytes: Buffer.from("\nb") },
      errors: { sizeBytes: 0, bytes: Buffer.alloc(0) },
    });
    await job.remove(signal);
    expect(existsSync(join(directory, "jobs/one"))).toBe(false);
  });

  it("keeps what it prints and what it complains of apart, byte for byte", async () => {
    const { shell } = open();
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    await job.start("printf '\\000\\377.\\n'; printf 'no\\r' >&2; kill -9 $$", { joinsErrors: false }, signal);
    expect(await untilEnd(job)).toBe(137);
    expect(await job.look({ outputAt: 0, errorsAt: 1, mostBytes: 10 }, signal)).toEqual({
      exitCode: 137,
      output: { sizeBytes: 4, bytes: Buffer.from([0, 255, 46, 10]) },
      errors: { sizeBytes: 3, bytes: Buffer.from("o\r") },
    });
  });

  it("answers a look that waits as soon as there is something new, or it has ended", async () => {
    const { shell, directory } = open();
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    const script = "until [ -f go ]; do sleep 0.05; done; echo x >&2; until [ -f end ]; do sleep 0.05; done";
    await job.start(script, { joinsErrors: false }, signal);
    const look = async (errorsAt: number, waitMs: number) =>
      await job.look({ outputAt: 0, errorsAt, mostBytes: 10, waitMs }, signal);
    expect((await look(0, 100)).errors.sizeBytes).toBe(0);
    const next = look(0, 15_000);
    writeFileSync(join(directory, "go"), "");
    expect((await next).errors.bytes.toString()).toBe("x\n");
    const last = look(2, 15_000);
    writeFileSync(join(directory, "end"), "");
    expect((await last).exitCode).toBe(0);
  });

  it("makes things as the session does, and keeps its own to its owner (umask)", async () => {
    const { shell, directory } = open();
    const usual = (await shell({ command: "umask", timeoutMs: 5000 }, signal)).stdout;
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/" });
    await job.start("umask", { joinsErrors: false }, signal);
    expect(await untilEnd(job)).toBe(0);
    const { output } = await job.look({ outputAt: 0, mostBytes: 10 }, signal);
    expect(output.bytes.toString()).toBe(usual);
    expect(statSync(join(directory, "jobs/one")).mode & 0o777).toBe(0o700);
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
    writeFileSync(join(directory, "jobs/one/errors"), "");
    let nowMs = 5000;
    const job = new BackgroundJob(shell, { directory: "jobs/one", cwd: "/", now: () => nowMs });
    for (nowMs of [5000, 6000, 6999])
      expect((await job.look({ outputAt: 0, mostBytes: 1 }, signal)).exitCode).toBeUndefined();
    nowMs = 7000;
    await expect(job.look({ outputAt: 0, mostBytes: 1 }, signal)).rejects.toMatchObject({
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
