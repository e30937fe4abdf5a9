import { describe, expect, it } from "vitest";
import type { ErrorCode } from "../../../src/errors.ts";
import { errorOf, fieldOf, parseEnvelope } from "../../../src/transport/agb/parse-envelope.ts";

const ok = { isEnvelope: true, isSuccess: true };

describe("an envelope", () => {
  it.each<readonly [name: string, status: number, body: unknown, expected: object]>([
    ["camel case", 200, { success: true, code: "ok", data: { a: 1 } }, { ...ok, code: "ok", data: { a: 1 } }],
    ["capitals", 200, { Success: true, Code: "ok", Data: [1] }, { ...ok, code: "ok", data: [1] }],
    ["both, where the lower one counts", 200, { Success: false, success: true }, ok],
    ["nested", 200, { statusCode: 200, body: { success: true, data: [] } }, { ...ok, data: [] }],
    ["nested capitals", 200, { body: { Success: true, Message: "m" } }, { ...ok, message: "m" }],
    ["data as a JSON string", 200, { success: true, data: '{"a":[1]}' }, { ...ok, data: { a: [1] } }],
    ["data as text", 200, { success: true, data: "plain" }, { ...ok, data: "plain" }],
    ["data that only looks like a number", 200, { success: true, data: "12" }, { ...ok, data: "12" }],
    [
      "fields beside data",
      200,
      { success: true, nextToken: "t" },
      { ...ok, fields: { success: true, nextToken: "t" } },
    ],
    ["no success", 200, { code: "ok", data: {} }, { isEnvelope: true, isSuccess: false }],
    ["success as text", 200, { success: "true" }, { isEnvelope: true, isSuccess: false }],
    ["success with HTTP 400", 400, { success: true }, { isSuccess: false, status: 400 }],
    ["a worse status in the body", 200, { success: false, httpStatusCode: 503 }, { isSuccess: false, status: 503 }],
    ["a worse status of HTTP", 502, { success: false, httpStatusCode: 200 }, { status: 502 }],
    ["a status beside success", 200, { success: true, httpStatusCode: 503 }, { isSuccess: true, status: 200 }],
    ["an object of no known field", 200, {}, { isEnvelope: false, isSuccess: false }],
    ["a message alone", 404, { message: "Not Found" }, { isEnvelope: false, message: "Not Found" }],
    ["a list", 200, [], { isEnvelope: false, isSuccess: false }],
    ["null", 200, null, { isEnvelope: false, isSuccess: false }],
  ])("with %s", (_name, status, body, expected) => {
    expect(parseEnvelope(status, JSON.stringify(body))).toMatchObject(expected);
  });

  it.each([
    ["", ""],
    ["<!DOCTYPE html><html>502</html>", ""],
    ["slow down", "slow down"],
    ['{"success":tru', '{"success":tru'],
  ])("is none in %j", (body, message) => {
    expect(parseEnvelope(200, body)).toMatchObject({ isEnvelope: false, isSuccess: false, message });
  });

  it.each([
    [{ sessionId: "a" }, "a"],
    [{ SessionId: "a" }, "a"],
    [{ SessionId: "a", sessionId: "b" }, "b"],
    [[], undefined],
    ["text", undefined],
  ])("has fields of any casing: %j", (value, expected) => {
    expect(fieldOf(value, "sessionId")).toBe(expected);
  });
});

describe("a failed envelope", () => {
  it.each<readonly [status: number, code: string, message: string, expected: ErrorCode, retryable: boolean]>([
    [400, "InvalidMcpSession.NotFound", "Resource [McpSession] is not found", "SESSION_GONE", false],
    [200, "InvalidSession.NotFound", "Resource [Session] is not found", "SESSION_GONE", false],
    [400, "InvalidSession.NotFound", "/x", "SESSION_GONE", false],
    [200, "ToolError", "File not found: /tmp/session/x", "BAD_ANSWER", false],
    [200, "ToolError", "/w/throttle/token expired/busy: no", "BAD_ANSWER", false],
    [429, "", "", "THROTTLED", true],
    [200, "Throttling.User", "", "THROTTLED", true],
    [400, "NOT_LOGIN", "You are not logged in or your token has expired", "BAD_API_KEY", false],
    [401, "", "", "BAD_API_KEY", false],
    [403, "AccessDenied", "denied", "ACCESS_DENIED", false],
    [500, "InternalError", "boom", "UNAVAILABLE", true],
    [200, "SystemBusy", "system busy", "UNAVAILABLE", true],
    [200, "", "please try again later", "UNAVAILABLE", true],
    [200, "InvalidAction.NotFound", "Specified api is not found", "BAD_ANSWER", false],
    [400, "InvalidParameter", "no", "BAD_ANSWER", false],
  ])("%i %s %j is %s", (status, code, message, expected, retryable) => {
    const envelope = parseEnvelope(status, JSON.stringify({ success: false, code, message }));
    expect(errorOf(envelope, "could not try")).toMatchObject({ code: expected, retryable });
  });

  it.each([
    [503, "<html>503 Service Unavailable</html>", "could not try: HTTP 503"],
    [500, '{"success":false,"message":"boom"}', "could not try: HTTP 500, boom"],
    [200, '{"success":false,"message":"m","data":{"errMsg":"the reason"}}', "could not try: the reason"],
    [400, '{"success":false}', "could not try: HTTP 400"],
  ])("of %i %s says so", (status, body, message) => {
    const error = errorOf(parseEnvelope(status, body), "could not try");
    expect(error.message).toBe(message);
    expect(error.hint).toBeTypeOf("string");
  });

  it("carries Retry-After", () => {
    expect(errorOf(parseEnvelope(503, ""), "x", 7000)).toMatchObject({ retryAfterMs: 7000 });
  });
});
