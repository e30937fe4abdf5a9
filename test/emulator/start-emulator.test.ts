import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { UsageError } from "../../src/errors.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";
import { call, callTool, createSession, release } from "./client.ts";

async function start(options: EmulatorOptions = {}) {
  const emulator = await startEmulator(options);
  onTestFinished(async () => await emulator.close());
  return emulator;
}

/** Something that may not be had, said as a usage error with what to do. */
function refusal(text: string) {
  return expect.objectContaining({
    constructor: UsageError,
    message: expect.stringContaining(text),
    hint: expect.stringMatching(/--port|--root/),
  });
}

describe("an emulator", () => {
  it("says that its port is taken", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    await expect(startEmulator({ port })).rejects.toEqual(refusal(`port ${port} of 127.0.0.1 is taken`));
  });

  it.each([["/proc/x"], ["/proc/x/y/z"], ["/proc/self"], ["/dev/null"], ["/dev/null/x"], ["/sys/x"]])(
    "says that it cannot keep its files in %s",
    async (rootDir) => {
      await expect(startEmulator({ rootDir })).rejects.toEqual(refusal(rootDir));
    },
  );

  it("makes the directory that it is given, with its parents, and leaves it there", async () => {
    const rootDir = join(temporaryDirectory(), "a b/c");
    const emulator = await startEmulator({ rootDir });
    const sessionId = await createSession(emulator);
    expect(readdirSync(join(rootDir, "sessions"))).toContain(sessionId);
    expect(existsSync(join(rootDir, "probe"))).toBe(false);
    await emulator.close();
    expect(readdirSync(rootDir)).toEqual(expect.arrayContaining(["objects", "sessions"]));
  });

  it("forgets a released session with all that it made, also where it shut itself out", async () => {
    const emulator = await start();
    const sessionId = await createSession(emulator);
    const tree = emulator.sessionRoot(sessionId);
    mkdirSync(join(tree, "tmp/a/b"), { recursive: true });
    writeFileSync(join(tree, "tmp/a/b/c"), "");
    chmodSync(join(tree, "tmp/a/b"), 0o000);
    chmodSync(join(tree, "tmp/a"), 0o500);
    expect(await release(emulator, sessionId)).toBe(true);
    expect(existsSync(tree)).toBe(false);
    expect(await callTool(emulator, sessionId, "list_directory", { path: "/" })).toMatch(/^!.*not found/);
  });
});

describe("an emulator that is not started by root", () => {
  it("serves sessions, with a shell where the machine allows, and leaves nothing", async () => {
    const { child, line, files } = await startAsOther();
    const endpoint: { url: string; apiKey: string; shellNotice?: string } = JSON.parse(line);
    const sessionId = await createSession(endpoint);
    const tool = async (name: string, args: Readonly<Record<string, unknown>>) =>
      await callTool(endpoint, sessionId, name, args);
    expect(await tool("create_directory", { path: "/tmp/w" })).toBe("True");
    expect(await tool("write_file", { path: "/tmp/w/a", content: "text" })).toBe("True");
    expect(await tool("read_file", { path: "/tmp/w/a" })).toBe("text");
    expect(await tool("write_file", { path: "/usr/a", content: "text" })).toMatch(/^!.*Permission denied$/);
    const command = "mkdir -p /tmp/w/shut/x && chmod 0 /tmp/w/shut && id -u";
    const shell = await tool("shell", { command, timeout_ms: 10_000 });
    expect(shell).toMatch(endpoint.shellNotice === undefined ? /"stdout":"1000\\n".*"exit_code":0/ : /^!Unknown tool/);
    expect((await call(endpoint, "/mcp/getSessionInfo", { sessionId })).data).toEqual({ status: "RUNNING" });
    expect(await release(endpoint, sessionId)).toBe(true);
    const other = await createSession(endpoint);
    expect(other).not.toBe(sessionId);
    await end(child);
    expect(readdirSync(files)).toEqual([]);
  });

  it("releases sessions that hold a directory which nobody may open beside many others", async () => {
    const { child, line, files } = await startAsOther();
    const endpoint: { url: string; apiKey: string } = JSON.parse(line);
    const trees = join(files, readdirSync(files)[0] ?? "", "sessions");
    for (let round = 0; round < 20; round++) {
      const sessionId = await createSession(endpoint);
      const made = Array.from({ length: 20 }, (_, number) => `/tmp/d${number}/a/b/c`);
      for (const path of [...made, "/tmp/shut/a"]) await callTool(endpoint, sessionId, "create_directory", { path });
      chmodSync(join(trees, sessionId, "tmp/shut"), 0);
      expect(await release(endpoint, sessionId)).toBe(true);
      expect(readdirSync(trees)).toEqual([]);
    }
    await end(child);
  });
});

async function end(child: ChildProcess): Promise<void> {
  child.stdin?.end();
  expect(await once(child, "close")).toEqual([0, null]);
}

/** The emulator's source in a process of another user where this one is root; its standard input ends it. */
async function startAsOther(): Promise<{ child: ChildProcess; line: string; files: string }> {
  const directory = temporaryDirectory();
  const files = join(directory, "files");
  mkdirSync(files);
  const script = join(directory, "run.mjs");
  const source = fileURLToPath(new URL("../../src/emulator/start-emulator.ts", import.meta.url));
  await build({
    stdin: {
      contents: `import { startEmulator } from ${JSON.stringify(source)};
const { url, apiKey, shellNotice, close } = await startEmulator();
process.stdout.write(JSON.stringify({ url, apiKey, shellNotice }) + "\\n");
for await (const _ of process.stdin);
await close();`,
      resolveDir: directory,
    },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: script,
    logLevel: "silent",
  });
  chmodSync(directory, 0o755);
  chmodSync(script, 0o644);
  const isRoot = process.getuid?.() === 0;
  const other = isRoot ? { uid: 65_534, gid: 65_534 } : {};
  if (isRoot) chownSync(files, 65_534, 65_534);
  const child = spawn(process.execPath, [script], {
    ...other,
    cwd: "/",
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: files },
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout }), "line"),
    once(child, "close").then(([code]) => {
      throw new Error(`the emulator ended with ${code}`);
    }),
  ]);
  return { child, line: String(line), files };
}
