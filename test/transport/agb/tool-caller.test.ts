import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../../src/errors.ts";
import type { SessionDetails } from "../../../src/transport/agb/agb-sessions.ts";
import { ApiRoute, LinkRoute } from "../../../src/transport/agb/tool-caller.ts";
import { type Answer, clientOf, refusal, serve, toolAnswer } from "../loopback.ts";

const signal = new AbortController().signal;

describe("a tool by way of the service", () => {
  it.each<readonly [name: string, answer: Answer, code: ErrorCode, retryable: boolean]>([
    ["a busy service, HTTP 200", refusal("SystemBusy", "system busy"), "UNAVAILABLE", true],
    ["a 503 in the body only", refusal("Any", "x", { httpStatusCode: 503 }), "UNAVAILABLE", true],
    ["an internal error, HTTP 200", refusal("InternalError", ""), "UNAVAILABLE", true],
    ["throttling, HTTP 200", refusal("Throttling.User", ""), "THROTTLED", true],
    ["a gone session", refusal("InvalidSession.NotFound", "Resource [Session] is not found"), "SESSION_GONE", false],
    ["a path with session in it", refusal("ToolError", "File not found: /tmp/session/x"), "NOT_FOUND", false],
    ["the same as content", toolAnswer("File not found: /tmp/session/x", true), "NOT_FOUND", false],
    ["a tool that is not known", refusal("InvalidTool.NotFound", "no"), "NOT_POSSIBLE_HERE", false],
    ["any other refusal", refusal("Whatever", "no"), "TOOL_FAILED", false],
    [
      "a tool's own words in the message",
      refusal("ToolError", "Execution failed. Error code:16 Error message: Device or resource busy"),
      "TOOL_FAILED",
      false,
    ],
    ["no result", { json: { success: true, data: null } }, "BAD_ANSWER", true],
  ])("%s is %s", async (_name, answer, code, retryable) => {
    const route = new ApiRoute(clientOf(await serve(() => answer)), "s");
    await expect(route.call("read_file", { path: "/tmp/session/x" }, 5000, signal)).rejects.toMatchObject({
      code,
      retryable,
    });
  });
});

describe("a link", () => {
  it.each<readonly [name: string, link: Answer, code: ErrorCode]>([
    ["that never answers", "hang", "TIMEOUT"],
    ["that breaks off", "drop", "UNAVAILABLE"],
    ["of a broken gateway", { status: 502, text: "<html>502</html>" }, "UNAVAILABLE"],
    ["that sends a web page", { text: "<html>hello</html>" }, "UNAVAILABLE"],
    ["that refuses the token", { status: 401, json: { code: 401 } }, "UNAVAILABLE"],
  ])("%s is not asked again", async (_name, link, code) => {
    const { route, paths } = await open((path) => (path === "/link/callTool" ? link : toolAnswer("there")));
    await expect(route.call("read_file", {}, 100, signal)).rejects.toMatchObject({ code, retryable: true });
    expect(await route.call("read_file", {}, 5000, signal)).toBe("there");
    expect(paths()).toEqual(["/link/callTool", "/mcp"]);
  });

  it.each<readonly [name: string, link: Answer, expected: object]>([
    [
      "is throttled",
      { status: 429, headers: { "retry-after": "7" }, text: "" },
      { code: "THROTTLED", retryable: true, retryAfterMs: 7000 },
    ],
    ["answers that its tool took too long", linkAnswer("[timeout]"), { code: "TIMEOUT", retryable: false }],
    ["answers that its tool failed", linkAnswer("x, error: No such file or directory"), { code: "NOT_FOUND" }],
  ])("that %s is asked again", async (_name, link, expected) => {
    const { route, paths } = await open(() => link);
    await expect(route.call("read_file", {}, 5000, signal)).rejects.toMatchObject(expected);
    await expect(route.call("read_file", {}, 5000, signal)).rejects.toMatchObject(expected);
    expect(paths()).toEqual(["/link/callTool", "/link/callTool"]);
  });
});

function linkAnswer(text: string): Answer {
  return { json: { data: JSON.stringify({ result: { isError: true, content: [{ type: "text", text }] } }) } };
}

/** A session with a link on the same server. */
async function open(answer: (path: string) => Answer) {
  const server = await serve(({ path }) => answer(path));
  const details: SessionDetails = {
    sessionId: "s",
    link: { url: `${server.url}/link`, token: "t" },
    servers: new Map([["read_file", "files"]]),
  };
  return { route: new LinkRoute(clientOf(server), details), paths: () => server.asked.map(({ path }) => path) };
}
