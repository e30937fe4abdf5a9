import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { HttpPool } from "../../../src/transport/agb/http-pool.ts";
import { type Answer, clientOf, refusal, serve } from "../loopback.ts";

const signal = new AbortController().signal;
const ask = { what: "list the sessions" };

describe("an endpoint that is not AGB", () => {
  it.each<readonly [name: string, answer: Answer, why: string]>([
    ["a web page", { text: "<!doctype html><title>hi</title>" }, "HTTP 200 with a web page"],
    ["a web page of nothing found", { status: 404, text: "<html>404</html>" }, "HTTP 404 with a web page"],
    ["an empty object", { json: {} }, "HTTP 200 with {}"],
    ["a list", { json: [] }, "HTTP 200 with []"],
    ["nothing", { text: "" }, "HTTP 200 with an empty answer"],
    ["some other API", { status: 404, json: { message: "Not Found" } }, 'HTTP 404 with {"message":"Not Found"}'],
    [
      "a redirect",
      { status: 302, headers: { location: "https://a.example/" }, text: "" },
      "HTTP 302 to https://a.example/",
    ],
  ])("sends %s", async (_name, answer, why) => {
    const server = await serve(() => answer);
    for (const more of [{}, { acceptsFailure: true }]) {
      await expect(clientOf(server).call("/sdk/ListSession", { ...ask, ...more }, signal)).rejects.toMatchObject({
        code: "UNREACHABLE",
        retryable: false,
        message: `${server.host} does not answer like AGB (${why})`,
        hint: "check AGB_ENDPOINT",
      });
    }
    expect(server.asked.map(({ path }) => path)).toEqual(["/sdk/ListSession", "/sdk/ListSession"]);
  });

  it("speaks no HTTP", async () => {
    const server = createServer((socket) => void socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const address = server.address();
    const url = `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`;
    await expect(clientOf({ url }).call("/mcp", ask, signal)).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringContaining("does not answer like AGB"),
    });
  });

  it("speaks no TLS", async () => {
    const { host } = await serve(() => ({ json: {} }));
    await expect(clientOf({ url: `https://${host}` }).call("/mcp", ask, signal)).rejects.toMatchObject({
      code: "UNREACHABLE",
      retryable: false,
      message: `cannot reach ${host}: it does not speak TLS`,
      hint: expect.stringContaining(`http://${host}`),
    });
  });
});

describe("an endpoint that answered like AGB before", () => {
  it.each<readonly [answer: Answer, retryable: boolean]>([
    [{ text: "<html>maintenance</html>" }, true],
    [{ status: 404, text: "<html>404</html>" }, false],
  ])("has a gateway that sends %j", async (answer, retryable) => {
    const client = clientOf(await serve((_asked, index) => (index === 0 ? refusal("Any", "no") : answer)));
    await expect(client.call("/mcp", ask, signal)).rejects.toMatchObject({ code: "BAD_ANSWER" });
    await expect(client.call("/mcp", ask, signal)).rejects.toMatchObject({
      code: "BAD_ANSWER",
      retryable,
      message: expect.stringContaining(`could not ${ask.what}: HTTP`),
    });
  });
});

describe("a service in trouble", () => {
  it.each<readonly [answer: Answer, expected: object]>([
    [
      { status: 502, text: "<html>Bad Gateway</html>" },
      { code: "UNAVAILABLE", message: "could not list the sessions: HTTP 502" },
    ],
    [
      refusal("InternalError", "boom", { status: 500 }),
      { code: "UNAVAILABLE", message: "could not list the sessions: HTTP 500, boom" },
    ],
    [
      { status: 401, text: "<html>401</html>" },
      { code: "BAD_API_KEY", message: expect.stringContaining("HTTP 401") },
    ],
    [
      { status: 403, text: "<html>403</html>" },
      { code: "ACCESS_DENIED", message: expect.stringContaining("HTTP 403") },
    ],
    [
      { status: 429, headers: { "retry-after": "2" }, text: "slow down" },
      { code: "THROTTLED", retryAfterMs: 2000, message: expect.stringContaining("slow down") },
    ],
  ])("says %j", async (answer, expected) => {
    const client = clientOf(await serve(() => answer));
    await expect(client.call("/sdk/ListSession", ask, signal)).rejects.toMatchObject(expected);
  });

  it("has a hint with every 5xx", async () => {
    const client = clientOf(await serve(() => ({ status: 503, text: "" })));
    await expect(client.call("/mcp", ask, signal)).rejects.toMatchObject({ hint: expect.stringContaining("later") });
  });

  it("is asked again as the policy says, and not more", async () => {
    const server = await serve((_asked, index) =>
      index < 2 ? { status: 503, text: "" } : { json: { success: true, data: 1 } },
    );
    const client = clientOf(server);
    expect((await client.repeat("/mcp", ask, signal)).data).toBe(1);
    expect(client.pool.counters).toMatchObject({ requests: 3, retries: 2 });
  });
});

it("follows no redirect of the store either", async () => {
  const server = await serve(() => ({ status: 307, headers: { location: "/elsewhere" }, text: "" }));
  const pool = new HttpPool({ requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 }, {});
  const answer = await pool.send(`${server.url}/a`, { method: "PUT", headers: {}, body: "x", timeoutMs: 5000 }, signal);
  expect([answer.status, answer.location, server.asked.length]).toEqual([307, "/elsewhere", 1]);
  await pool.close();
});
