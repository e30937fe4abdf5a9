import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { Agent, request } from "undici";
import { delayProxy } from "./delay-proxy.ts";

/** What a contender needs to know of the emulator. */
export type Service = { readonly url: string; readonly apiKey: string };

const agent = new Agent({ connections: 64, keepAliveTimeout: 60_000 });

/** The service as a plain client calls it, with a count of requests. */
export class PlainClient {
  requests = 0;
  readonly #service: Service;

  constructor(service: Service) {
    this.#service = service;
  }

  async call(
    method: "GET" | "POST",
    path: string,
    query: Record<string, string>,
    body: object = {},
  ): Promise<Record<string, unknown>> {
    this.requests += 1;
    const { body: answer } = await request(`${this.#service.url}${path}?${new URLSearchParams(query).toString()}`, {
      dispatcher: agent,
      method,
      headers: { authorization: `Bearer ${this.#service.apiKey}`, "content-type": "application/json" },
      ...(method === "POST" ? { body: JSON.stringify(body) } : {}),
    });
    const envelope: unknown = await answer.json();
    if (typeof envelope !== "object" || envelope === null || !("success" in envelope) || envelope.success !== true) {
      throw new Error(`${path} failed: ${JSON.stringify(envelope)}`);
    }
    return { ...envelope };
  }

  async tool(sessionId: string, name: string, args: object): Promise<void> {
    const { data } = await this.call(
      "POST",
      "/mcp",
      { autoGenSession: "false" },
      { sessionId, name, args: JSON.stringify(args) },
    );
    if (JSON.stringify(data).includes('"isError":true')) throw new Error(`${name}: ${JSON.stringify(data)}`);
  }

  async createSession(): Promise<string> {
    const { data } = await this.call("POST", "/mcp/createSession", { imageId: "agb-code-space-1" }, { labels: "{}" });
    return String(Object.entries({ ...(data as object) }).find(([key]) => key === "sessionId")?.[1]);
  }

  async put(url: string, bytes: Buffer): Promise<void> {
    this.requests += 1;
    const { body } = await request(url, { dispatcher: agent, method: "PUT", body: bytes });
    await body.dump();
  }
}

function filesBelow(directory: string, prefix = ""): string[] {
  return readdirSync(join(directory, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = prefix === "" ? entry.name : `${prefix}/${entry.name}`;
    return entry.isDirectory() ? filesBelow(directory, path) : [path];
  });
}

/** One write_file a file, `width` at a time, directories first: what most scripts do. */
export async function perFileLoop(service: Service, source: string, root: string, width: number): Promise<number> {
  const client = new PlainClient(service);
  const sessionId = await client.createSession();
  client.requests = 0;
  const files = filesBelow(source);
  const directories = [...new Set(files.map((file) => file.split("/").slice(0, -1).join("/")))];
  const each = async <Item>(items: readonly Item[], work: (item: Item) => Promise<void>) => {
    const queue = items.values();
    const worker = async () => {
      for (const item of queue) await work(item);
    };
    await Promise.all(Array.from({ length: width }, worker));
  };
  await each(directories, (path) => client.tool(sessionId, "create_directory", { path: `${root}/${path}` }));
  await each(files, (path) =>
    client.tool(sessionId, "write_file", {
      path: `${root}/${path}`,
      content: readFileSync(join(source, path), "utf8"),
      mode: "overwrite",
    }),
  );
  return client.requests;
}

const SDK_POLL_MS = 1500;

/** Pack with tar, upload by file transfer as the SDK does, unpack by shell; nothing is verified. */
export async function tarballRecipe(
  service: Service,
  source: string,
  root: string,
  sessionId: string,
): Promise<number> {
  const client = new PlainClient(service);
  const archive = join(source, "..", `${randomUUID()}.tar.gz`);
  await promisify(execFile)("tar", ["-czf", archive, "-C", source, "."]);
  const context = await client.call("POST", "/sdk/GetAndLoadInternalContext", {
    sessionId,
    contextTypes: '["file_transfer"]',
  });
  const contextId = /"contextId":"([^"]+)"/.exec(JSON.stringify(context))?.[1] ?? "";
  const directory = "/tmp/file-transfer";
  const filePath = `${directory}/${randomUUID()}.tar.gz`;
  const address = await client.call("POST", "/sdk/GetContextFileUploadUrl", { contextId, filePath });
  await client.put(/"url":"([^"]+)"/.exec(JSON.stringify(address))?.[1] ?? "", readFileSync(archive));
  await client.call("POST", "/sdk/SyncContext", { sessionId, contextId, path: directory, mode: "download" });
  for (const more of [{}, { taskType: "download" }]) {
    for (;;) {
      const info = await client.call("GET", "/sdk/GetContextInfo", { sessionId, contextId, path: directory, ...more });
      if (/Success/.test(JSON.stringify(info)) && !/Running/.test(JSON.stringify(info))) break;
      await wait(SDK_POLL_MS);
    }
  }
  await client.call("POST", "/sdk/DeleteContextFile", { contextId, filePath });
  await client.tool(sessionId, "shell", {
    command: `mkdir -p ${root} && tar -xzf ${filePath} -C ${root}`,
    timeout_ms: 50_000,
  });
  return client.requests;
}

/** rsync to a daemon on loopback, behind a proxy with the same delay. Undefined where rsync is not installed. */
export async function startRsync(directory: string, roundTripMs: number) {
  try {
    await promisify(execFile)("rsync", ["--version"]);
  } catch {
    return undefined;
  }
  const port = await freePort();
  mkdirSync(join(directory, "rsync"), { recursive: true });
  const config = join(directory, "rsyncd.conf");
  writeFileSync(config, `use chroot = no\nuid = 0\ngid = 0\n[w]\npath = ${join(directory, "rsync")}\nread only = no\n`);
  const daemon: ChildProcess = spawn(
    "rsync",
    ["--daemon", "--no-detach", `--port=${port}`, `--config=${config}`, "--address=127.0.0.1"],
    { stdio: "ignore" },
  );
  await wait(300);
  const proxy = await delayProxy(port, roundTripMs);
  return {
    sync: async (source: string, name: string) => {
      await promisify(execFile)("rsync", [
        "-a",
        "--delete",
        `${source}/`,
        `rsync://127.0.0.1:${proxy.port}/w/${name}/`,
      ]);
    },
    close: () => {
      proxy.close();
      daemon.kill();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
