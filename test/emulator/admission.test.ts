import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it, onTestFinished } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { type Emulator, startEmulator } from "../../src/emulator/start-emulator.ts";
import { UsageError } from "../../src/errors.ts";
import { temporaryDirectory } from "../helpers/workspace.ts";
import { call, callTool, createSession, fieldOf, listOf, type Sent, sendRaw, textOf } from "./client.ts";

async function start(options: EmulatorOptions = {}): Promise<Emulator> {
  const emulator = await startEmulator(options);
  onTestFinished(async () => await emulator.close());
  return emulator;
}

type Head = Partial<Sent>;

async function send(emulator: Emulator, sent: Head, body = "") {
  return await sendRaw(emulator, { path: "/mcp/getSessionInfo", ...sent }, body);
}

/** What comes back over a connection until it is closed, after `bytes` were sent. */
async function talk(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {}).write(bytes);
  return await text(socket);
}

const withKey = (emulator: Emulator) => ({ authorization: `Bearer ${emulator.apiKey}` });

describe("S47: who may use an emulator", () => {
  it.each([
    ["127.0.0.1", 400],
    ["127.0.0.1:1", 400],
    ["127.9.8.7:8080", 400],
    ["localhost", 400],
    ["LOCALHOST:65535", 400],
    ["[::1]:8080", 400],
    ["attacker.example", 403],
    ["attacker.example:8080", 403],
    ["localhost.attacker.example", 403],
    ["127.0.0.1.nip.io:8080", 403],
    ["localhost:8080@attacker.example", 403],
    ["attacker.example#localhost", 403],
    ["0.0.0.0:8080", 403],
    ["10.0.0.1", 403],
    ["[::]:8080", 403],
  ])("with the right key and Host %j gets %d", async (host, status) => {
    const emulator = await start();
    const answer = await send(emulator, { headers: { ...withKey(emulator), host } });
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(status === 403 ? "AccessDenied" : "InvalidMcpSession.NotFound");
    expect(emulator.requests).toHaveLength(status === 403 ? 0 : 1);
  });

  it.each([
    ["an empty Host", "GET /sdk/ListSession HTTP/1.1\r\nhost:\r\nauthorization: KEY\r\n\r\n"],
    ["HTTP/1.0 without Host", "GET /sdk/ListSession HTTP/1.0\r\nauthorization: KEY\r\n\r\n"],
    [
      "two Hosts",
      "GET /sdk/ListSession HTTP/1.1\r\nhost: localhost\r\nHOST: evil.example\r\nauthorization: KEY\r\n\r\n",
    ],
    [
      "a whole URL as target",
      "GET http://evil.example/sdk/ListSession HTTP/1.1\r\nhost: localhost\r\nauthorization: KEY\r\n\r\n",
    ],
    [
      "a target with two slashes",
      "GET //evil.example/sdk/ListSession HTTP/1.1\r\nhost: localhost\r\nauthorization: KEY\r\n\r\n",
    ],
  ])("refuses %s", async (_, bytes) => {
    const emulator = await start();
    expect(await talk(emulator.port, bytes.replace("KEY", withKey(emulator).authorization))).toMatch(
      /^HTTP\/1\.1 40[03] /,
    );
    expect(emulator.requests).toEqual([]);
  });

  const page = { origin: "http://localhost:3000" };
  it.each<[string, Head]>([
    ["an Origin", { headers: page }],
    ["its own Origin", { headers: { origin: "http://127.0.0.1:1" } }],
    ["the Origin of a file", { headers: { origin: "null" } }],
    ["a form's text/plain", { headers: { ...page, "content-type": "text/plain" } }],
    ["an image of another port", { method: "GET", headers: { "sec-fetch-site": "same-site" } }],
    ["an image of another site", { method: "GET", headers: { "sec-fetch-site": "cross-site" } }],
    ["a script of the same origin", { method: "GET", headers: { "sec-fetch-site": "same-origin" } }],
    ["a preflight", { method: "OPTIONS", headers: { ...page, "access-control-request-method": "POST" } }],
    ["an Origin that begins like an allowed one", { headers: { origin: "http://good.example.evil.example" } }],
  ])("refuses a page that sends %s, with the right key too", async (_, sent) => {
    const emulator = await start({ allowedOrigins: ["http://good.example"] });
    const answer = await send(emulator, { ...sent, headers: { ...withKey(emulator), ...sent.headers } });
    expect(answer.status).toBe(403);
    expect(answer.headers).not.toHaveProperty("access-control-allow-origin");
    expect(emulator.requests).toEqual([]);
  });

  it("lets a page of an allowed origin in, if it has the key", async () => {
    const emulator = await start({ allowedOrigins: [page.origin] });
    const asked = await send(emulator, {
      method: "OPTIONS",
      headers: { ...page, "access-control-request-method": "POST" },
    });
    expect([asked.status, asked.headers["access-control-allow-headers"]]).toEqual([
      204,
      expect.stringContaining("authorization"),
    ]);
    const site = { ...page, "sec-fetch-site": "same-site" };
    const answer = await send(emulator, { headers: { ...site, ...withKey(emulator) } });
    expect([answer.status, answer.headers["access-control-allow-origin"]]).toEqual([400, page.origin]);
    expect((await send(emulator, { headers: site })).text).toContain("NOT_LOGIN");
  });

  it("guards links and stored objects by the same rules, and by their tokens and signatures", async () => {
    const emulator = await start({ link: true });
    const sessionId = await createSession(emulator);
    const { data } = await call(emulator, "/mcp/getSession", { sessionId });
    const link = { path: `/link/${sessionId}/callTool`, headers: { "x-access-token": textOf(data, "token") } };
    const body = JSON.stringify({ tool: "write_file", args: { path: "/tmp/a", content: "a" } });
    const context = await call(emulator, `/sdk/GetAndLoadInternalContext?sessionId=${sessionId}`, {});
    const [transfer] = Array.isArray(context.data) ? context.data : [];
    const query = `contextId=${textOf(transfer, "contextId")}&filePath=/tmp/file-transfer/a`;
    const { data: signed } = await call(emulator, `/sdk/GetContextFileUploadUrl?${query}`, {});
    const put = { method: "PUT", path: textOf(signed, "url").replace(emulator.url, "") };
    for (const [sent, status] of [
      [link, 200],
      [{ ...link, headers: {} }, 502],
      [{ ...link, headers: { "x-access-token": `${textOf(data, "token")}0` } }, 502],
      [{ ...link, headers: { ...link.headers, host: "evil.example" } }, 403],
      [{ ...link, headers: { ...link.headers, origin: "https://evil.example" } }, 403],
      [put, 200],
      [{ ...put, path: put.path.replace(/signature=.{8}/, "signature=00000000") }, 403],
      [{ ...put, method: "GET", headers: { "content-length": String(body.length) } }, 403],
      [{ ...put, method: "DELETE", headers: { "content-length": String(body.length) } }, 405],
      [{ ...put, headers: { host: "evil.example" } }, 403],
      [{ ...put, headers: { origin: "https://evil.example" } }, 403],
    ] satisfies [Head, number][]) {
      expect([JSON.stringify(sent), (await send(emulator, sent, body)).status]).toEqual([JSON.stringify(sent), status]);
    }
    expect(await callTool(emulator, sessionId, "read_file", { path: "/tmp/a" })).toBe("a");
  });

  it("has another key at each start, and takes none that is empty or cannot be sent", async () => {
    const keys = [(await start()).apiKey, (await start()).apiKey];
    expect(keys).toEqual([expect.stringMatching(/^ako-[0-9a-f]{32}$/), expect.stringMatching(/^ako-[0-9a-f]{32}$/)]);
    expect(keys[0]).not.toBe(keys[1]);
    for (const apiKey of ["", " ", "a b", "a\nb", "ä", "k".repeat(1001)]) {
      await expect(startEmulator({ apiKey })).rejects.toBeInstanceOf(UsageError);
    }
  });

  it("says when the network may reach it, and then takes its own addresses as Host only", async () => {
    expect((await start()).hostNotice).toBeUndefined();
    expect((await start({ host: "localhost" })).hostNotice).toBeUndefined();
    const open = await start({ host: "0.0.0.0" });
    expect(open.hostNotice).toMatch(/^The emulator listens on 0\.0\.0\.0/);
    expect((await send(open, { headers: { ...withKey(open), host: "evil.example" } })).status).toBe(403);
    expect((await send(open, { headers: { ...withKey(open), host: `127.0.0.1:${open.port}` } })).status).toBe(400);
    await expect(startEmulator({ host: "no.such.host.invalid" })).rejects.toBeInstanceOf(UsageError);
  });
});

describe("S47: an emulator is not exhausted", () => {
  it.each([
    ["a body without the key", {}, 400],
    ["a body larger than any", { authorization: "KEY" }, 413],
  ])("does not read %s", async (_, headers: Record<string, string>, status) => {
    const emulator = await start();
    const own = headers["authorization"] === undefined ? {} : withKey(emulator);
    const outgoing = request({ host: "127.0.0.1", port: emulator.port, method: "POST", path: "/mcp", agent: false });
    for (const [name, value] of Object.entries({ ...own, "transfer-encoding": "chunked" }))
      outgoing.setHeader(name, value);
    const ended = new Promise<number>((resolve) => {
      let sent = 0;
      const block = Buffer.alloc(1 << 20, " ");
      const more = (): void =>
        void (outgoing.destroyed || sent > 500
          ? resolve(sent)
          : outgoing.write(block, () => {
              sent += 1;
              more();
            }));
      outgoing.on("error", () => resolve(sent)).on("close", () => resolve(sent));
      more();
    });
    const [answer] = await once(outgoing, "response");
    expect(answer.statusCode).toBe(status);
    answer.resume();
    outgoing.destroy();
    expect(await ended).toBeLessThan(200);
  });

  it("refuses before a client sends a body that it holds back", async () => {
    const emulator = await start();
    const head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 500000000\r\n";
    expect(await talk(emulator.port, `${head}\r\n`)).toMatch(/^HTTP\/1\.1 400 .*\r\n[^]*NOT_LOGIN/);
    expect(await talk(emulator.port, `${head}authorization: ${withKey(emulator).authorization}\r\n\r\n`)).toContain(
      "413",
    );
  });

  it("lets nobody without the key take all connections, or count as a request", async () => {
    const emulator = await start({ maxStrangers: 5, headTimeoutMs: 300, faults: { random: [], killAfter: 3 } });
    const closed: number[] = [];
    const sockets = Array.from({ length: 12 }, (_, index): Socket => {
      const socket = connect(emulator.port, "127.0.0.1");
      return socket
        .on("error", () => {})
        .on("close", () => closed.push(index))
        .resume();
    });
    onTestFinished(() => sockets.forEach((socket) => void socket.destroy()));
    for (let count = 0; count < 5; count += 1) expect((await send(emulator, {})).text).toContain("NOT_LOGIN");
    expect((await send(emulator, { headers: withKey(emulator) })).status).toBe(400);
    expect(closed.length).toBeGreaterThanOrEqual(7);
    // Whoever sends a byte now and then is closed as well.
    sockets.at(-1)?.write("POST /mcp HTTP/1.1\r\nhost: loc");
    await Promise.all(sockets.map(async (socket) => socket.destroyed || (await once(socket, "close"))));
  }, 20_000);

  it("remembers the latest requests, and of their arguments the latest", async () => {
    const emulator = await start({ keptRequests: 4, keptArgsBytes: 2500 });
    const sessionId = await createSession(emulator);
    for (const name of ["a", "b", "c", "d", "e"]) {
      await callTool(emulator, sessionId, "write_file", { path: `/tmp/${name}`, content: "x".repeat(700) });
    }
    expect(emulator.requests.map(({ index, args }) => [index, fieldOf(args, "path")])).toEqual([
      [2, undefined],
      [3, "/tmp/c"],
      [4, "/tmp/d"],
      [5, "/tmp/e"],
    ]);
  });

  it("has so many sessions, contexts and objects, and no more", async () => {
    const emulator = await start({ maxSessions: 1, maxContexts: 1, maxObjects: 2, maxStoredBytes: 10 });
    const sessionId = await createSession(emulator);
    const full = { success: false, message: "quota exceeded", data: { success: false, errMsg: "quota exceeded" } };
    expect(await call(emulator, "/mcp/createSession?imageId=i", {})).toMatchObject(full);
    expect(await call(emulator, "/sdk/GetContext?allowCreate=true&name=a")).toMatchObject({ success: true });
    expect(await call(emulator, "/sdk/GetContext?allowCreate=true&name=b")).toMatchObject(full);
    const id = textOf((await call(emulator, "/sdk/GetContext?allowCreate=true&name=a")).data, "id");
    const put = async (name: string, bytes: string): Promise<number> => {
      const { data } = await call(emulator, `/sdk/GetContextFileUploadUrl?contextId=${id}&filePath=/${name}`, {});
      return (
        (await send(emulator, { method: "PUT", path: textOf(data, "url").replace(emulator.url, "") }, bytes)).status ??
        0
      );
    };
    expect([await put("a", "12345"), await put("b", "123456"), await put("b", "12345")]).toEqual([200, 400, 200]);
    expect(await put("c", "")).toBe(400);
    await call(emulator, `/sdk/DeleteContextFile?contextId=${id}&filePath=/a`, {});
    expect(await put("c", "12345")).toBe(200);
    expect((await call(emulator, "/mcp/releaseSessionAsync", { sessionId })).success).toBe(true);
    expect(await createSession(emulator)).not.toBe("");
  });

  it("kills a command that writes without end", async () => {
    const emulator = await start();
    const sessionId = await createSession(emulator);
    const answer = await callTool(emulator, sessionId, "shell", { command: "yes", timeout_ms: 50_000 });
    expect(answer).toMatch(emulator.shellNotice === undefined ? /^!.*too long/ : /^!Unknown tool/);
  });
});

it("two emulators share one directory, and each leaves what is the other's", async () => {
  const rootDir = join(temporaryDirectory(), "root");
  const options = { rootDir, withoutCommands: ["python3"] };
  const [one, other] = await Promise.all([startEmulator(options), start(options)]);
  const [sessionOfOne, sessionOfOther] = [await createSession(one), await createSession(other)];
  await one.close();
  expect(readdirSync(join(rootDir, "sessions"))).toEqual(expect.arrayContaining([sessionOfOne, sessionOfOther]));
  expect(await callTool(other, sessionOfOther, "write_file", { path: "/tmp/a", content: "a" })).toBe("True");
  const listed = await callTool(other, sessionOfOther, "shell", { command: "ls /tmp", timeout_ms: 20_000 });
  expect(listed).toMatch(other.shellNotice === undefined ? /"exit_code":0/ : /^!Unknown tool/);
  const again = await start(options);
  expect((await call(again, "/mcp/getSessionInfo", { sessionId: sessionOfOne })).success).toBe(false);
  expect(existsSync(join(rootDir, "sessions", sessionOfOne))).toBe(true);
});

it("names the resource in its address", async () => {
  const emulator = await start();
  const sessionId = await createSession(emulator);
  const { data } = await call(emulator, "/mcp/getMcpResource", { sessionId });
  expect(textOf(data, "resourceUrl")).toContain(`resourceId=${sessionId}`);
  expect(fieldOf(fieldOf(data, "desktopInfo"), "resourceId")).toBe(sessionId);
  const created = await call(emulator, "/mcp/createSession?imageId=i", {});
  expect(textOf(created.data, "resourceUrl")).toMatch(/[?&]resourceId=/);
  expect(listOf(created.data, "toolList")).toEqual([]);
});
