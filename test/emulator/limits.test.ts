import { describe, expect, it, onTestFinished } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { shellTimeoutMs } from "../../src/emulator/tools/shell.ts";
import { call, callLink, callTool, createSession, textOf } from "./client.ts";

async function start(options: EmulatorOptions = {}) {
  const emulator = await startEmulator(options);
  onTestFinished(async () => await emulator.close());
  return emulator;
}

/** Arguments of write_file that are `sizeBytes` long when they are serialised, filled with `text`. */
function argsOf(sizeBytes: number, text: string) {
  const each = Buffer.byteLength(JSON.stringify(text)) - 2;
  const bare = Buffer.byteLength(JSON.stringify({ path: "/tmp/a", content: "" }));
  const room = sizeBytes - bare;
  return { path: "/tmp/a", content: text.repeat(Math.floor(room / each)) + "x".repeat(room % each) };
}

describe("the cap on a message", () => {
  it.each([
    ["plain text", "a"],
    ["quotes, which are escaped", '"'],
    ["newlines, which are escaped", "\n"],
    ["control characters, which become six bytes", "\u0001"],
    ["characters of three bytes", "€"],
    ["characters of four bytes", "😀"],
  ])("counts the bytes of the serialised arguments: %s", async (_, text) => {
    const emulator = await start({ link: true });
    const sessionId = await createSession(emulator);
    for (const tool of [callTool, callLink]) {
      const most = argsOf(64_512, text);
      expect(await tool(emulator, sessionId, "write_file", most)).toBe("True");
      expect(await tool(emulator, sessionId, "write_file", argsOf(64_513, text))).toMatch(/^!.*64513 bytes exceeds/);
      expect(await tool(emulator, sessionId, "read_file", { path: "/tmp/a" })).toBe(most.content);
    }
  });

  it("can be chosen", async () => {
    const emulator = await start({ messageCapBytes: 100 });
    const sessionId = await createSession(emulator);
    expect(await callTool(emulator, sessionId, "write_file", argsOf(100, "a"))).toBe("True");
    expect(await callTool(emulator, sessionId, "write_file", argsOf(101, "a"))).toMatch(/^!/);
  });
});

describe("the time of a command", () => {
  it.each([
    [undefined, 1000],
    [0, 1],
    [-5, 1],
    [50_000, 50_000],
    [60_000, 50_000],
    [Number.MAX_VALUE, 50_000],
  ])("that asks for %s ms is %d ms", (wanted, given) => {
    expect(shellTimeoutMs(wanted)).toBe(given);
  });

  it.each<[string, object, number]>([
    ["none is given", {}, 1.5],
    ["a shorter one is given", { timeout_ms: 200 }, 0.8],
    ["it comes as text", { timeout_ms: "200" }, 0.8],
  ])("ends it, with its children and without its output, when %s", async (_, args, lateSeconds) => {
    const emulator = await start();
    const sessionId = await createSession(emulator);
    const command = `echo so-far; (sleep ${lateSeconds}; echo late >/tmp/late) & sleep 30`;
    const answer = await callTool(emulator, sessionId, "shell", { command, ...args });
    const look = { command: "sleep 0.8; ls /tmp", timeout_ms: 20_000 };
    const absent = await callTool(emulator, sessionId, "shell", look);
    const hasShell = emulator.shellNotice === undefined;
    expect(answer).toMatch(hasShell ? /^!.*\[timeout\]$/ : /^!Unknown tool/);
    expect(answer + absent).not.toMatch(/so-far|late/);
  });
});

describe("the life of a session", () => {
  const minuteMs = 60_000;

  /** An emulator whose sessions live by a clock that the test moves. */
  async function withClock(options: EmulatorOptions = {}) {
    let nowMs = 0;
    const emulator = await start({ ...options, sessionClock: () => nowMs });
    const statusOf = async (sessionId: string) => {
      const { code, data } = await call(emulator, "/mcp/getSessionInfo", { sessionId });
      return code === "ok" ? textOf(data, "status") : code;
    };
    return { emulator, statusOf, moveTo: (to: number) => (nowMs = to) };
  }

  it.each<[string, EmulatorOptions, object, number]>([
    ["five minutes by default", {}, {}, 5 * minuteMs],
    ["what its creator gave, in seconds", {}, { timeout: 600 }, 10 * minuteMs],
    ["what its creator gave as text", {}, { timeout: "30" }, minuteMs / 2],
    ["five minutes where its creator gave 0", {}, { timeout: 0 }, 5 * minuteMs],
    ["what the emulator was told", { idleMs: 7000 }, {}, 7000],
  ])("ends when it was idle for %s", async (_, options, body, idleMs) => {
    const { emulator, statusOf, moveTo } = await withClock(options);
    const sessionId = await createSession(emulator, { ...body });
    moveTo(idleMs - 1);
    // Asking for the status is no activity.
    expect([await statusOf(sessionId), await statusOf(sessionId)]).toEqual(["RUNNING", "RUNNING"]);
    moveTo(idleMs);
    expect(await statusOf(sessionId)).toBe("FINISH");
    expect(await callTool(emulator, sessionId, "list_directory", { path: "/tmp" })).toMatch(/^!.*not found/);
    moveTo(idleMs + minuteMs + 1);
    expect(await statusOf(sessionId)).toBe("InvalidMcpSession.NotFound");
  });

  it.each(["a keep-alive", "a tool call"])("goes on after %s", async (what) => {
    const { emulator, statusOf, moveTo } = await withClock();
    const sessionId = await createSession(emulator);
    moveTo(4 * minuteMs);
    if (what === "a tool call") await callTool(emulator, sessionId, "list_directory", { path: "/tmp" });
    else await call(emulator, `/mcp/refreshSessionIdleTime?sessionId=${sessionId}`, {});
    moveTo(9 * minuteMs - 1);
    expect(await statusOf(sessionId)).toBe("RUNNING");
    moveTo(9 * minuteMs);
    expect(await statusOf(sessionId)).toBe("FINISH");
  });

  it.each<[EmulatorOptions, number]>([
    [{}, 30 * minuteMs],
    [{ maxAgeMs: 8 * minuteMs }, 8 * minuteMs],
  ])("ends at its greatest age, however busy it is: %j", async (options, maxAgeMs) => {
    const { emulator, statusOf, moveTo } = await withClock(options);
    const sessionId = await createSession(emulator);
    for (let at = 0; at < maxAgeMs; at += 4 * minuteMs) {
      moveTo(at);
      await call(emulator, `/mcp/refreshSessionIdleTime?sessionId=${sessionId}`, {});
    }
    moveTo(maxAgeMs - 1);
    expect(await statusOf(sessionId)).toBe("RUNNING");
    await call(emulator, `/mcp/refreshSessionIdleTime?sessionId=${sessionId}`, {});
    moveTo(maxAgeMs);
    expect(await statusOf(sessionId)).toBe("FINISH");
    expect(await call(emulator, "/sdk/ListSession")).toMatchObject({ data: [], success: true });
  });

  it("runs as fast as it is told", async () => {
    const emulator = await start({ clockSpeed: 1_000_000 });
    const sessionId = await createSession(emulator);
    await expect
      .poll(async () => textOf((await call(emulator, "/mcp/getSessionInfo", { sessionId })).data, "status"))
      .not.toBe("RUNNING");
  });
});
