import { once } from "node:events";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import { call, sendRaw } from "../emulator/client.ts";
import { run, start, waitForLine } from "../helpers/cli.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";

/** An emulator of the built command line, known by the line that it tells people to use. */
async function serve(...args: readonly string[]) {
  const child = start(["emulator", ...args], { cwd: temporaryDirectory() });
  onTestFinished(() => void child.kill("SIGKILL"));
  const complaints = child.stderr === null ? Promise.resolve("") : text(child.stderr);
  const line = await waitForLine(child, /export AGB_ENDPOINT/);
  const [, url = "", apiKey = ""] = /AGB_ENDPOINT=(\S+) AGB_API_KEY=(\S+)/.exec(line) ?? [];
  const end = async () => {
    child.kill("SIGTERM");
    await once(child, "exit");
    return await complaints;
  };
  return { url, apiKey, end };
}

describe("S47: the emulator of the command line", () => {
  it("prints a key that it takes, another at each start", async () => {
    const [one, other] = await Promise.all([serve(), serve()]);
    expect(one.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(one.apiKey).not.toBe(other.apiKey);
    expect(await call(one, "/sdk/ListSession")).toMatchObject({ success: true });
    expect(await call({ ...one, apiKey: other.apiKey }, "/sdk/ListSession")).toMatchObject({ code: "NOT_LOGIN" });
    expect(await call({ ...one, apiKey: "ako-local" }, "/sdk/ListSession")).toMatchObject({ code: "NOT_LOGIN" });
  });

  it("is no other host, and serves no page but those it was told of", async () => {
    const { apiKey, ...server } = await serve("--api-key", "ako-local", "--allow-origin", "http://localhost:3000");
    expect(apiKey).toBe("ako-local");
    const ask = async (headers: Readonly<Record<string, string>>) => {
      const sent = {
        method: "GET",
        path: "/sdk/ListSession",
        headers: { authorization: "Bearer ako-local", ...headers },
      };
      return (await sendRaw(server, sent)).status;
    };
    expect(await ask({})).toBe(200);
    expect(await ask({ host: "rebound.example" })).toBe(403);
    expect(await ask({ origin: "http://localhost:3001" })).toBe(403);
    expect(await ask({ origin: "http://localhost:3000" })).toBe(200);
    expect(await server.end()).not.toContain("knows the key");
  });

  it("warns when it lets the network in", async () => {
    const { end } = await serve("--host", "0.0.0.0");
    expect(await end()).toContain("whoever reaches this machine and knows the key can use it");
  });

  it.each([
    [["--api-key", ""], /key of the emulator is empty/],
    [["--api-key", "a b"], /key of the emulator/],
    [["--allow-origin", "localhost:3000"], /is not the origin of a page/],
    [["--allow-origin", "http://localhost:3000/path"], /is not the origin of a page/],
    [["--allow-origin", "*"], /is not the origin of a page/],
    [["--host", "no.such.host.invalid"], /has no address/],
  ])("refuses %j", async (args, expected) => {
    const { code, stderr } = await run(["emulator", ...args], { cwd: temporaryDirectory() });
    expect([code, stderr]).toEqual([64, expect.stringMatching(expected)]);
  });
});
