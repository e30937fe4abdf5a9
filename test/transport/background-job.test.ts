import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { askInBackground } from "../../src/transport/ask-in-background.ts";
import { BackgroundJob } from "../../src/transport/background-job.ts";
import { EmbeddedTransport } from "../../src/transport/embedded/embedded-transport.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();
/** A real shell; session paths are below a temporary directory, so jobs live beside it. */
function open() {
  const directory = temporaryDirectory();
  const { shell } = new EmbeddedTransport({ directory, root: "/" });
  return { shell, directory };
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
    while (!existsSync(join(directory, "jobs/one/pid"))) await job.look(0, 1, signal);
    const group = Number(readFileSync(join(directory, "jobs/one/pid"), "utf8"));
    await job.stop(signal);
    await expect.poll(() => running(group)).toEqual([]);
    expect(existsSync(join(directory, "late"))).toBe(false);
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
