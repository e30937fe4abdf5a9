import { describe, expect, it } from "vitest";
import { AgbSessions } from "../../../src/transport/agb/agb-sessions.ts";
import { type Answer, type Asked, clientOf, refusal, serve } from "../loopback.ts";

const signal = new AbortController().signal;
const spec = { image: "agb-code-space-1", labels: {} };
const created: Answer = { json: { success: true, data: { sessionId: "s-1", success: true } } };
const refused = (errMsg: string): Answer => ({ json: { success: true, data: { success: false, errMsg } } });

async function open(answer: (asked: Asked, index: number) => Answer) {
  const server = await serve(answer);
  return {
    sessions: new AgbSessions(clientOf(server)),
    asked: server.asked,
    paths: () => server.asked.map(({ path }) => path),
  };
}

describe("a list of sessions", () => {
  it("is asked for in pages of the SDKs' size, to the last one", async () => {
    const page = (ids: readonly string[], nextToken: string) => ({
      json: { success: true, data: ids.map((sessionId) => ({ sessionId, sessionStatus: "RUNNING" })), nextToken },
    });
    const { sessions, asked } = await open((_asked, index) => (index === 0 ? page(["a", "b"], "t") : page(["c"], "")));
    const found = await sessions.list({ app: "x" }, signal);
    expect(found.map(({ sessionId }) => sessionId)).toEqual(["a", "b", "c"]);
    expect(asked.map(({ query }) => [query.get("maxResults"), query.get("nextToken")])).toEqual([
      ["10", null],
      ["10", "t"],
    ]);
  });

  it.each<readonly [name: string, ids: (index: number) => readonly string[], pages: number]>([
    ["nothing", () => [], 10],
    ["the same sessions", () => ["a", "b"], 11],
    ["other sessions", (index) => [`s${index}`], 1001],
  ])("that shows %s and new tokens for ever is given up", { timeout: 60_000 }, async (_name, ids, pages) => {
    const { sessions, asked } = await open((_asked, index) => ({
      json: { success: true, data: ids(index).map((sessionId) => ({ sessionId })), nextToken: `t${index}` },
    }));
    await expect(sessions.list({}, signal)).rejects.toMatchObject({ code: "BAD_ANSWER" });
    expect(asked).toHaveLength(pages);
  });

  it("ends where a token comes again", async () => {
    const { sessions } = await open(() => ({ json: { success: true, data: [{ sessionId: "a" }], nextToken: "t" } }));
    expect(await sessions.list({}, signal)).toHaveLength(1);
  });

  it.each([[{ data: [] }], [{ data: "[]" }], [{ data: null, count: 0 }]])("is empty in %j", async (fields) => {
    const { sessions } = await open(() => ({ json: { success: true, ...fields } }));
    expect(await sessions.list({}, signal)).toEqual([]);
  });

  it.each([[{ data: null }], [{}], [{ data: {} }], [{ data: "" }], [{ data: null, count: 3 }]])(
    "is not in %j",
    async (fields) => {
      const { sessions } = await open(() => ({ json: { success: true, ...fields } }));
      await expect(sessions.list({}, signal)).rejects.toMatchObject({ code: "BAD_ANSWER", hint: expect.any(String) });
    },
  );
});

describe("a creation", () => {
  it.each<readonly [answer: Answer]>([
    [refused("create failed, code 17")],
    [refusal("CreateFailed", "something went wrong")],
    [refusal("InvalidState", "x", { status: 400 })],
  ])("that fails with %j is tried again twice", async (failure) => {
    const { sessions, paths } = await open((_asked, index) => (index < 2 ? failure : created));
    expect(await sessions.create(spec, signal)).toMatchObject({ sessionId: "s-1" });
    expect(paths()).toEqual(Array.from({ length: 3 }, () => "/mcp/createSession"));
  });

  it("fails after the third try with the reason", async () => {
    const { sessions, paths } = await open(() => refused("create failed, code 17"));
    await expect(sessions.create(spec, signal)).rejects.toMatchObject({
      code: "SESSION_FAILED",
      message: expect.stringContaining("code 17"),
    });
    expect(paths()).toHaveLength(3);
  });

  it.each<readonly [answer: Answer, code: string]>([
    [refused("quota exceeded"), "SESSION_FAILED"],
    [refused("account status is CEASED"), "SESSION_FAILED"],
    [refusal("InvalidParameter.ImageId", "imageId is required", { status: 400 }), "SESSION_FAILED"],
    [refusal("SystemBusy", "quota exceeded"), "SESSION_FAILED"],
    [refusal("Unauthorized", "not authorized"), "SESSION_FAILED"],
    [refusal("NOT_LOGIN", "token expired", { status: 400 }), "BAD_API_KEY"],
    [refusal("AccessDenied", "", { status: 403 }), "ACCESS_DENIED"],
  ])("that fails with %j is not tried again", async (failure, code) => {
    const { sessions, paths } = await open(() => failure);
    await expect(sessions.create(spec, signal)).rejects.toMatchObject({ code });
    expect(paths()).toEqual(["/mcp/createSession"]);
  });

  it("whose answer was lost is found by its own label, once that can be searched", async () => {
    let looks = 0;
    const { sessions, asked } = await open(({ path }) => {
      if (path === "/mcp/createSession") return "drop";
      if (path === "/mcp/getSession") return created;
      looks += 1;
      return { json: { success: true, data: looks < 3 ? [] : [{ sessionId: "s-1", sessionStatus: "RUNNING" }] } };
    });
    expect(await sessions.create(spec, signal)).toMatchObject({ sessionId: "s-1" });
    const [first] = asked;
    expect(JSON.parse(JSON.parse(first?.body ?? "").labels)).toEqual(JSON.parse(asked[1]?.query.get("labels") ?? ""));
    expect(asked.filter(({ path }) => path === "/mcp/createSession")).toHaveLength(1);
  });

  it("that is throttled waits as long as it is told, and looks for nothing", async () => {
    const throttled: Answer = { status: 429, headers: { "retry-after": "0" }, text: "" };
    const { sessions, paths } = await open((_asked, index) => (index === 0 ? throttled : created));
    expect(await sessions.create(spec, signal)).toMatchObject({ sessionId: "s-1" });
    expect(paths()).toEqual(["/mcp/createSession", "/mcp/createSession"]);
  });

  it("ends when its signal aborts, without another try", async () => {
    const stop = new AbortController();
    const { sessions, paths } = await open(() => {
      stop.abort();
      return refused("create failed");
    });
    await expect(sessions.create(spec, stop.signal)).rejects.toMatchObject({ code: "ABORTED" });
    expect(paths()).toHaveLength(1);
  });
});
