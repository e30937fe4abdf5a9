import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { gzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { HttpPool } from "../../../src/transport/agb/http-pool.ts";

const signal = new AbortController().signal;

function openPool(): HttpPool {
  const pool = new HttpPool({ requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 }, {});
  onTestFinished(async () => await pool.close());
  return pool;
}

async function listen(server: Server): Promise<string> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  return `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}/x`;
}

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  return await listen(createServer(answer));
}

/** Says a little again and again, until nobody listens. */
function trickle(to: Writable, text: string): void {
  const timer = setInterval(() => to.write(text), 10);
  const stop = () => clearInterval(timer);
  to.on("error", stop).on("close", stop);
}

const neverEnding: readonly (readonly [name: string, server: () => Promise<string>])[] = [
  ["never answers", async () => await serve(() => undefined)],
  ["takes the connection and is silent", async () => await listen(createTcpServer(() => undefined))],
  [
    "sends its headers byte by byte",
    async () =>
      await listen(
        createTcpServer((socket) => {
          socket.write("HTTP/1.1 200 OK\r\nx: ");
          trickle(socket, "y");
        }),
      ),
  ],
  [
    "sends headers for ever",
    async () =>
      await listen(
        createTcpServer((socket) => {
          socket.write("HTTP/1.1 200 OK\r\n");
          trickle(socket, "x: y\r\n");
        }),
      ),
  ],
  [
    "answers its headers and stalls",
    async () =>
      await serve((_request, response) => {
        response.writeHead(200, { "content-length": "100" });
        response.write("{");
      }),
  ],
  [
    "sends one byte at a time",
    async () =>
      await serve((_request, response) => {
        response.writeHead(200, { "content-length": "100000" });
        trickle(response, " ");
      }),
  ],
  ["sends chunks for ever", async () => await serve((_request, response) => trickle(response, "chunk"))],
];

describe("a server that", () => {
  it.each(neverEnding)("%s is given up when the time of the whole call is over (S44)", async (_name, server) => {
    const pool = openPool();
    const url = await server();
    for (const method of ["GET", "POST"] as const) {
      const startedMs = performance.now();
      const call = pool.send(url, { method, headers: {}, timeoutMs: 150 }, signal);
      await expect(call).rejects.toMatchObject({ code: "TIMEOUT", retryable: true });
      expect(performance.now() - startedMs).toBeLessThan(3000);
    }
  });

  it.each<readonly [name: string, server: () => Promise<string>, sizeBytes: number]>([
    ["never answers", async () => await serve((request) => void request.resume()), 100_000],
    ["never reads", async () => await serve(() => undefined), 64 * 1024 * 1024],
  ])("%s an upload is given up as soon as nothing moves", { timeout: 20_000 }, async (_name, server, sizeBytes) => {
    const url = await server();
    const startedMs = performance.now();
    // Its bytes alone would have a quarter of an hour.
    await expect(upload(url, sizeBytes, 300)).rejects.toMatchObject({ code: "TIMEOUT", retryable: true });
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  it("reads an upload slowly but steadily is waited for", { timeout: 20_000 }, async () => {
    const url = await serve((request, response) => {
      request.on("data", () => {
        request.pause();
        setTimeout(() => request.resume(), 5);
      });
      request.on("end", () => response.end("{}"));
    });
    expect(await upload(url, 12 * 1024 * 1024, 300)).toMatchObject({ status: 200 });
  });
});

async function upload(url: string, sizeBytes: number, timeoutMs: number) {
  const chunks = (async function* () {
    for (let at = 0; at < sizeBytes; at += 50_000) yield Buffer.alloc(Math.min(50_000, sizeBytes - at));
  })();
  const headers = { "content-length": String(sizeBytes) };
  return await openPool().send(url, { method: "PUT", headers, body: { sizeBytes, chunks }, timeoutMs }, signal);
}

describe("an answer", () => {
  it("that never ends is refused early", async () => {
    const piece = Buffer.alloc(1024 * 1024, " ");
    const url = await serve((_request, response) => {
      const more = () => {
        while (response.write(piece));
      };
      response.on("drain", more);
      more();
    });
    const before = process.memoryUsage().rss;
    const call = openPool().send(url, { method: "GET", headers: {}, timeoutMs: 60_000 }, signal);
    await expect(call).rejects.toMatchObject({ code: "BAD_ANSWER", message: expect.stringContaining("64 MiB") });
    expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024);
  });

  it.each(["gzip", "GZIP", "x-gzip"])("in %s is unpacked although nobody asked for it", async (encoding) => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-encoding": encoding });
      response.end(gzipSync('{"success":true}'));
    });
    const answer = await openPool().send(url, { method: "GET", headers: {}, timeoutMs: 5000 }, signal);
    expect(answer.body.toString()).toBe('{"success":true}');
  });

  it("that unpacks to more than is read is refused", async () => {
    const bomb = gzipSync(Buffer.alloc(300 * 1024 * 1024));
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      response.end(bomb);
    });
    const call = openPool().send(url, { method: "GET", headers: {}, timeoutMs: 20_000 }, signal);
    await expect(call).rejects.toMatchObject({ code: "BAD_ANSWER", message: expect.stringContaining("64 MiB") });
  });

  it("that is not what its encoding says may be asked for again", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-encoding": "gzip" });
      response.end("{}");
    });
    const call = openPool().send(url, { method: "GET", headers: {}, timeoutMs: 5000 }, signal);
    await expect(call).rejects.toMatchObject({ code: "BAD_ANSWER", retryable: true });
  });
});
