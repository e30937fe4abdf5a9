import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Action } from "../../src/emulator/session/action.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import type { LiveCommand, LiveOutcome } from "../../src/run/live-command.ts";
import { runLive } from "../../src/run/live-command.ts";
import type { Transport } from "../../src/transport/transport.ts";
import { kinds, openOn } from "../helpers/kinds.ts";

const withShell = kinds.filter(({ name }) => ["embedded, batch", "AGB with shell, batch"].includes(name));

type Ran = { readonly outcome: LiveOutcome; readonly stdout: Buffer; readonly stderr: Buffer };

async function ran(
  transport: Transport,
  words: LiveCommand["words"],
  more: Partial<LiveCommand> & { readonly signal?: AbortSignal; readonly onFirst?: () => void } = {},
): Promise<Ran> {
  const { signal = new AbortController().signal, onFirst, ...command } = more;
  const chunks = { stdout: [] as Uint8Array[], stderr: [] as Uint8Array[] };
  const outcome = await runLive({ words, cwd: "", env: {}, ...command }, transport, {
    onOutput: (stream, bytes) => {
      if (chunks.stdout.length + chunks.stderr.length === 0) onFirst?.();
      chunks[stream].push(bytes);
    },
    signal,
  });
  return { outcome, stdout: Buffer.concat(chunks.stdout), stderr: Buffer.concat(chunks.stderr) };
}

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

describe.each(withShell)("a live command: $name", ({ open }) => {
  const openRoot = async () => {
    const { session, rootDirectory } = await open();
    mkdirSync(rootDirectory, { recursive: true });
    return { transport: session.openWorkspace("/tmp/workspace").transport, rootDirectory };
  };

  it.each<{ name: string; script: string; exitCode: number; stdout: string; stderr: string }>([
    { name: "nothing", script: ":", exitCode: 0, stdout: "", stderr: "" },
    { name: "no newline at the end", script: "printf a; printf b >&2; exit 7", exitCode: 7, stdout: "a", stderr: "b" },
    { name: "a signal", script: "kill -TERM $$", exitCode: 143, stdout: "", stderr: "" },
    { name: "every status", script: "exit 255", exitCode: 255, stdout: "", stderr: "" },
    { name: "no standard input", script: "cat; echo end", exitCode: 0, stdout: "end\n", stderr: "" },
  ])("tells how it ended and what it printed: $name", async ({ script, exitCode, stdout, stderr }) => {
    const { transport } = await openRoot();
    const result = await ran(transport, ["sh", "-c", script]);
    expect(result.outcome).toEqual({ kind: "ended", exitCode });
    expect([result.stdout.toString(), result.stderr.toString()]).toEqual([stdout, stderr]);
  });

  it("takes words as they are, and variables and a directory of any name (S27)", async () => {
    const { transport, rootDirectory } = await openRoot();
    const cwd = "a 'b'\n$(touch bad)";
    mkdirSync(join(rootDirectory, cwd));
    const script = 'printf "%s|" "$@" "$V"; pwd';
    const { stdout } = await ran(transport, ["sh", "-c", script, "-", "a b", "", "$(x)", "'", "*", "-n"], {
      cwd,
      env: { V: "v'\n$(y)" },
    });
    const root = transport.kind === "agb" ? "/tmp/workspace" : rootDirectory;
    expect(stdout.toString()).toBe(`a b||$(x)|'|*|-n|v'\n$(y)|${root}/${cwd}\n`);
    expect(existsSync(join(rootDirectory, "bad"))).toBe(false);
  });

  it("brings both streams byte for byte, in lines of any length", async () => {
    const { transport } = await openRoot();
    const megabytes = process.env["CRASH_MATRIX"] === "full" ? 40 : 3;
    const script = `head -c ${megabytes}000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2`;
    const { outcome, stdout, stderr } = await ran(transport, ["sh", "-c", script]);
    expect(outcome).toEqual({ kind: "ended", exitCode: 0 });
    expect(sha256(stdout)).toBe(sha256("x".repeat(megabytes * 1_000_000)));
    expect(sha256(stderr)).toBe(sha256(Buffer.alloc(300_000)));
  });

  it("hands on what is printed while it runs", async () => {
    const { transport, rootDirectory } = await openRoot();
    const go = join(rootDirectory, "go");
    const script = "echo first; until [ -f go ]; do sleep 0.02; done; echo last";
    const { stdout } = await ran(transport, ["sh", "-c", script], { onFirst: () => writeFileSync(go, "") });
    expect(stdout.toString()).toBe("first\nlast\n");
  });

  it("is ended with all that it started when its time is up, and says what it printed last", async () => {
    const { transport, rootDirectory } = await openRoot();
    const script = "trap 'echo asked; exit 0' TERM; (sleep 50; touch late) & echo begun; wait";
    const { outcome, stdout } = await ran(transport, ["sh", "-c", script], { timeoutMs: 700 });
    expect(outcome).toEqual({ kind: "timed-out" });
    expect(stdout.toString()).toBe("begun\nasked\n");
    expect(existsSync(join(rootDirectory, ".agb-sync/run"))).toBe(true);
    expect(execFileSync("find", [join(rootDirectory, ".agb-sync/run"), "-mindepth", "1"], { encoding: "utf8" })).toBe(
      "",
    );
  });

  it("is ended when the signal aborts", async () => {
    const { transport } = await openRoot();
    const controller = new AbortController();
    const script = "trap 'echo asked; exit 0' TERM; echo begun; sleep 60 & wait";
    const { outcome, stdout } = await ran(transport, ["sh", "-c", script], {
      signal: controller.signal,
      onFirst: () => controller.abort(),
    });
    expect(outcome).toEqual({ kind: "interrupted" });
    expect(stdout.toString()).toBe("begun\nasked\n");
  });

  it("says so when it removes what holds its own output", async () => {
    const { transport, rootDirectory } = await openRoot();
    const script = "rm -rf .agb-sync; for i in $(seq 1 200); do [ -f go ] && break; sleep 0.02; done";
    const failure = ran(transport, ["sh", "-c", script]);
    await expect(failure).rejects.toMatchObject({ code: "TOOL_FAILED", message: expect.stringContaining(".agb-sync") });
    writeFileSync(join(rootDirectory, "go"), "");
  });
});

describe("a live command over a bad connection", () => {
  it("loses and repeats nothing when every second answer is lost or cut", async () => {
    const actions: readonly Action[] = ["drop-before", "drop-after", "truncate", "cut", { status: 503 }];
    let [requests, struck] = [0, 0];
    const emulator = await startEmulator({
      onRequest: ({ tool }) => {
        if (tool === undefined) return undefined;
        requests += 1;
        if (requests < 5 || requests % 2 === 1) return undefined;
        struck += 1;
        return actions[struck % actions.length];
      },
    });
    const { session, rootDirectory } = await openOn(emulator);
    mkdirSync(rootDirectory, { recursive: true });
    const { transport } = session.openWorkspace("/tmp/workspace");
    const script = "seq 1 500000; echo once >>ran; seq 1 20000 >&2; exit 5";
    const { outcome, stdout, stderr } = await ran(transport, ["sh", "-c", script]);
    expect(outcome).toEqual({ kind: "ended", exitCode: 5 });
    const seq = (n: number) => execFileSync("seq", ["1", String(n)], { maxBuffer: 1e8 });
    expect([sha256(stdout), sha256(stderr)]).toEqual([sha256(seq(500_000)), sha256(seq(20_000))]);
    expect(execFileSync("cat", [join(rootDirectory, "ran")], { encoding: "utf8" })).toBe("once\n");
    expect(struck).toBeGreaterThan(5);
    await session.close();
    await emulator.close();
  });
});
