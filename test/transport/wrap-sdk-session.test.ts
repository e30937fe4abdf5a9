import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ErrorCode, SdkSession, SdkToolResult } from "../../src/index.ts";
import { apply, plan, UsageError, wrapSdkSession } from "../../src/index.ts";
import { sdkFault } from "../../src/transport/agb/sdk-fault.ts";
import { ROOT } from "../../src/tree/workspace-path.ts";
import { openOn, sharedEmulator } from "../helpers/kinds.ts";
import { look } from "../helpers/look.ts";
import { layOut, mirrorOf, temporaryDirectory } from "../helpers/workspace.ts";
import { quick } from "./loopback.ts";

const signal = new AbortController().signal;

it.each(["batch", "steps"] as const)(
  "works through an object shaped like the SDK's session, by %s",
  async (strategy) => {
    const emulator = await sharedEmulator();
    const { session, rootDirectory } = await openOn(emulator);
    const sdk = new Sdk(session.id, async (name, args) => {
      const response = await fetch(`${emulator.url}/mcp?autoGenSession=false`, {
        method: "POST",
        headers: { authorization: `Bearer ${emulator.apiKey}`, "content-type": "application/json" },
        body: JSON.stringify({ sessionId: session.id, name, args: JSON.stringify(args) }),
      });
      const { data } = JSON.parse(await response.text());
      const { text } = data.content[0];
      return data.isError === true ? { success: false, errorMessage: text } : { success: true, data: text };
    });
    const directory = temporaryDirectory();
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 31) % 253));
    layOut(join(directory, "source"), {
      "a.txt": "text\n",
      "sub/b.bin": bytes,
      "run.sh": { bytes: "#!/bin/sh\n", mode: 0o755 },
    });
    const wrapped = wrapSdkSession(sdk, { retryPolicy: quick });
    const report = await apply(mirrorOf(directory), wrapped, { strategy, signal });
    expect(report.verified).toBe(true);
    expect(look(rootDirectory)).toEqual(look(join(directory, "source")));
    expect((await plan(mirrorOf(directory), wrapped, { strategy, signal })).plan.steps).toEqual([]);
    await session.close();
  },
);

describe("an SDK's session", () => {
  const callMcpTool = async (): Promise<SdkToolResult> => ({ success: true });

  it.each<readonly [name: string, sdk: SdkSession]>([
    ["getSessionId", { getSessionId: () => "s-1", callMcpTool }],
    ["sessionId", { sessionId: "s-1", callMcpTool }],
    ["a private _sessionId", Object.assign({ callMcpTool }, { _sessionId: "s-1" })],
    ["an empty sessionId before a private one", Object.assign({ sessionId: "", callMcpTool }, { _sessionId: "s-1" })],
  ])("has its id in %s", (_name, sdk) => {
    expect(wrapSdkSession(sdk).id).toBe("s-1");
  });

  it("must have an id", () => {
    expect(() => wrapSdkSession({ callMcpTool })).toThrow(
      expect.objectContaining({ constructor: UsageError, hint: expect.any(String) }),
    );
  });

  it.each([[undefined], [null], [""]])("gives %j for an empty text", async (data) => {
    const sdk = new Sdk("s-1", async (tool) =>
      tool === "shell" ? { success: false, errorMessage: "Unknown tool: shell" } : { success: true, data },
    );
    const { transport } = wrapSdkSession(sdk).openWorkspace("/w");
    expect(await transport.listDirectory(ROOT, signal)).toEqual([]);
  });

  it.each<readonly [text: string, code: ErrorCode | undefined]>([
    ["<html><head><title>502 Bad Gateway</title></head></html>", "UNAVAILABLE"],
    ["Failed to call MCP tool shell: connect ECONNREFUSED 127.0.0.1:1", "UNAVAILABLE"],
    ["Failed to call MCP tool shell: Unexpected token", "UNAVAILABLE"],
    ["connect ECONNRESET", "UNAVAILABLE"],
    ["getaddrinfo EAI_AGAIN sdk-api.agb.cloud", "UNAVAILABLE"],
    ["socket hang up", "UNAVAILABLE"],
    ["fetch failed", "UNAVAILABLE"],
    ["API client returned null response", "UNAVAILABLE"],
    ["Request failed with status code 503", "UNAVAILABLE"],
    ["HTTP 504", "UNAVAILABLE"],
    ["Service Unavailable", "UNAVAILABLE"],
    ["system busy", "UNAVAILABLE"],
    ["timeout of 60000ms exceeded", "TIMEOUT"],
    ["Failed to call MCP tool shell: timeout of 60000ms exceeded", "TIMEOUT"],
    ["connect ETIMEDOUT 10.0.0.1:443", "TIMEOUT"],
    ["Request failed with status code 429", "THROTTLED"],
    ["Execution failed. Error code:-1 Error message: [timeout]", undefined],
    ["Execution failed. Error code:1 Error message: curl: socket hang up", undefined],
    ['{"stdout":"ECONNRESET","stderr":"","exit_code":1}', undefined],
    ["Failed to read file: /w/ECONNRESET, error: No such file or directory", undefined],
    ["File not found: /w/HTTP 503/socket hang up", undefined],
    ["Tool execution failed", undefined],
    ["", undefined],
  ])("that says %j without success means %s", (text, code) => {
    const fault = sdkFault("shell", text, ["/w/HTTP 503/socket hang up"]);
    expect([fault?.code, fault?.retryable]).toEqual([code, code === undefined ? undefined : true]);
  });

  it.each<readonly [name: string, fail: () => Promise<SdkToolResult>]>([
    ["says that its connection broke", async () => ({ success: false, errorMessage: "socket hang up" })],
    ["says that it got a web page", async () => ({ success: false, errorMessage: "<html>502</html>" })],
    ["throws", async () => await Promise.reject(new Error("no luck"))],
  ])("that %s is asked again", async (_name, fail) => {
    let calls = 0;
    const sdk = new Sdk("s-1", async (tool) => {
      if (tool === "shell") return { success: false, errorMessage: "Unknown tool: shell" };
      calls += 1;
      return calls < 3 ? await fail() : { success: true, data: "[DIR] a" };
    });
    const { transport } = wrapSdkSession(sdk, { retryPolicy: quick }).openWorkspace("/w");
    expect(await transport.listDirectory(ROOT, signal)).toEqual([{ name: "a", kind: "directory" }]);
  });
});

type CallTool = (tool: string, args: Record<string, unknown>) => Promise<SdkToolResult>;

/** Of the shape of the AGB SDK's class: its id is private, and calls take two timeouts more. */
class Sdk {
  private readonly _sessionId: string;
  private readonly _call: CallTool;

  constructor(sessionId: string, call: CallTool) {
    this._sessionId = sessionId;
    this._call = call;
  }

  getSessionId(): string {
    return this._sessionId;
  }

  async callMcpTool(
    toolName: string,
    args: Record<string, unknown>,
    readTimeout?: number,
    connectTimeout?: number,
  ): Promise<SdkToolResult> {
    if (readTimeout !== undefined || connectTimeout !== undefined) throw new Error("no timeouts were expected");
    return await this._call(toolName, args);
  }
}
