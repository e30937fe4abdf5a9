import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { HttpPool } from "../../../src/transport/agb/http-pool.ts";
import { proxiesFrom } from "../../../src/transport/agb/proxy.ts";

const signal = new AbortController().signal;
type Environment = Readonly<Record<string, string>>;

describe("the proxy on the way", () => {
  it.each<readonly [env: Environment, url: string, proxy: string | undefined]>([
    [{ HTTP_PROXY: "127.0.0.1:9" }, "http://a.example/", "127.0.0.1:9"],
    [{ http_proxy: "http://[::1]:8080" }, "http://a.example/", "[::1]:8080"],
    [{ http_proxy: "[::1]:8080" }, "http://a.example/", "[::1]:8080"],
    [{ HTTPS_PROXY: "http://user:secret@p:1" }, "https://a.example/", "p:1"],
    [{ ALL_PROXY: "p:1" }, "https://a.example/", "p:1"],
    [{ HTTP_PROXY: "p:1" }, "https://a.example/", "p:1"],
    [{ HTTPS_PROXY: "p:1" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "", http_proxy: "p:1" }, "http://a.example/", "p:1"],
    [{ HTTP_PROXY: "p:1" }, "http://127.0.0.1:5/", undefined],
    [{ HTTP_PROXY: "p:1" }, "http://127.8.9.1:5/", undefined],
    [{ HTTP_PROXY: "p:1" }, "http://[::1]:5/", undefined],
    [{ HTTP_PROXY: "p:1" }, "http://localhost:5/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "*" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "", no_proxy: "a.example" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "b.example, example" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: ".example" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "*.example" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "A.EXAMPLE" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "ample" }, "http://a.example/", "p:1"],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "a.example:81" }, "http://a.example/", "p:1"],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "a.example:80" }, "http://a.example/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "::2" }, "http://[::2]/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "[::2]:80" }, "http://[::2]/", undefined],
    [{ HTTP_PROXY: "p:1", NO_PROXY: "10.0.0.1" }, "http://10.0.0.1/", undefined],
    [{}, "http://a.example/", undefined],
  ])("%j to %s is %s", (env, url, proxy) => {
    expect(proxiesFrom(env).of(new URL(url))?.shown).toBe(proxy);
  });

  it.each([["socks5://p:1"], ["http://"], ["p:port"], ["http://user:secret@"], ["http://user:secret@p:99999"]])(
    "%s is none, and says no password",
    (value) => {
      const message = expect.not.stringContaining("secret");
      expect(() => proxiesFrom({ HTTP_PROXY: value })).toThrow(expect.objectContaining({ code: "USAGE", message }));
    },
  );

  it("is named when it is dead, and its password is not", async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    server.close();
    const env = { HTTPS_PROXY: `user:secret@127.0.0.1:${port}`, HTTP_PROXY: `127.0.0.1:${port}` };
    const pool = new HttpPool({ requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 }, env);
    onTestFinished(async () => await pool.close());
    for (const url of ["https://sdk-api.example/x", "http://sdk-api.example/x"]) {
      await expect(pool.send(url, { method: "GET", headers: {}, timeoutMs: 5000 }, signal)).rejects.toMatchObject({
        code: "UNREACHABLE",
        message: `cannot reach the proxy 127.0.0.1:${port} on the way to sdk-api.example: nothing listens there`,
        hint: expect.stringContaining("_PROXY"),
      });
    }
  });
});
