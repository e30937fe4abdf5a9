import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { connect } from "../../../src/connect.ts";
import type { EmulatorOptions } from "../../../src/emulator/session/emulator-options.ts";
import { startEmulator } from "../../../src/emulator/start-emulator.ts";
import { FileTransfer } from "../../../src/transport/agb/file-transfer.ts";
import { digestOf } from "../../../src/tree/digest.ts";
import { ROOT, workspacePath } from "../../../src/tree/workspace-path.ts";
import { type Answer, type Asked, clientOf, quick, refusal, serve } from "../loopback.ts";

const signal = new AbortController().signal;
const bytes = Buffer.from("content");
const source = {
  sizeBytes: bytes.byteLength,
  async *open() {
    yield bytes;
  },
};

type Place =
  | "/sdk/GetAndLoadInternalContext"
  | "/sdk/GetContextFileUploadUrl"
  | "PUT"
  | "/sdk/SyncContext"
  | "/sdk/GetContextInfo";
type Service = Partial<Record<Place, Answer | ((asked: Asked, index: number) => Answer)>>;

/** A service whose transfer works but for what is given. */
async function open(service: Service) {
  const server = await serve((asked, index) => {
    const place = asked.method === "PUT" ? "PUT" : asked.path;
    const known = Object.entries(service).find(([name]) => name === place)?.[1];
    return typeof known === "function" ? known(asked, index) : (known ?? sound(place, asked));
  });
  const sound = (place: string, { query }: Asked): Answer => {
    switch (place) {
      case "/sdk/GetAndLoadInternalContext":
        return success([{ contextId: "c1", contextType: "file_transfer", contextPath: "/tmp/file-transfer/" }]);
      case "/sdk/GetContextFileUploadUrl":
        return success({ url: `${server.url}/store/x?signature=1` });
      case "/sdk/GetContextInfo":
        return success(statusOf(query.get("path"), "Success", ""));
      default:
        return success({});
    }
  };
  const count = (place: Place) => server.asked.filter(({ path, method }) => path === place || method === place).length;
  return { transfer: new FileTransfer(clientOf(server), "s", { pauseMs: 1 }), count };
}

function success(data: unknown): Answer {
  return { json: { success: true, data } };
}

function statusOf(path: string | null, status: string, errorMessage: string) {
  const task = { contextId: "c1", path, status, taskType: "download", errorMessage };
  return { contextStatus: JSON.stringify([{ type: "data", data: JSON.stringify([task]) }]) };
}

const notOffered = refusal("InvalidAction.NotFound", "Specified api is not found", { status: 404 });

describe("an upload", () => {
  it("is handed over and settles", async () => {
    const { transfer, count } = await open({});
    const uploaded = await transfer.upload(source, signal);
    expect(uploaded.absolutePath).toMatch(/^\/tmp\/file-transfer\/[0-9a-f-]{36}\/content$/);
    await expect(uploaded.settled).resolves.toBeUndefined();
    expect(count("PUT")).toBe(1);
  });

  it.each<readonly [name: string, service: Service]>([
    ["transfer is not offered", { "/sdk/GetAndLoadInternalContext": notOffered }],
    ["transfer is denied", { "/sdk/GetAndLoadInternalContext": refusal("AccessDenied", "", { status: 403 }) }],
    ["there never is a context", { "/sdk/GetAndLoadInternalContext": success([]) }],
    ["addresses are not offered", { "/sdk/GetContextFileUploadUrl": notOffered }],
    ["an address is refused", { "/sdk/GetContextFileUploadUrl": refusal("InvalidContext", "not now") }],
    ["no address is given", { "/sdk/GetContextFileUploadUrl": success({}) }],
    ["the address is no address", { "/sdk/GetContextFileUploadUrl": success({ url: "file:///etc/passwd" }) }],
    ["the store cannot be reached", { "/sdk/GetContextFileUploadUrl": success({ url: "http://127.0.0.1:1/x" }) }],
    ["the store refuses the signature", { PUT: { status: 403, text: "<Error><Code>AccessDenied</Code></Error>" } }],
    ["the store knows no such bucket", { PUT: { status: 404, text: "" } }],
    ["the store redirects", { PUT: { status: 307, headers: { location: "/x" }, text: "" } }],
  ])("is not possible here when %s", async (_name, service) => {
    const { transfer } = await open(service);
    await expect(transfer.upload(source, signal)).rejects.toMatchObject({
      code: "NOT_POSSIBLE_HERE",
      retryable: false,
      message: expect.stringMatching(/./),
    });
  });

  it.each<readonly [name: string, service: Service, code: string]>([
    ["the store fails", { PUT: { status: 503, text: "" } }, "UNAVAILABLE"],
    ["the connection breaks", { PUT: "drop" }, "UNAVAILABLE"],
    ["the store is throttled", { PUT: { status: 429, text: "" } }, "THROTTLED"],
    ["no address can be had", { "/sdk/GetContextFileUploadUrl": { status: 500, text: "" } }, "UNAVAILABLE"],
    ["no context can be had", { "/sdk/GetAndLoadInternalContext": refusal("SystemBusy", "") }, "UNAVAILABLE"],
  ])("may be repeated when %s", async (_name, service, code) => {
    const { transfer } = await open(service);
    await expect(transfer.upload(source, signal)).rejects.toMatchObject({ code, retryable: true });
  });

  it("asks for its context again after a failure, and not after a refusal", async () => {
    let isDown = true;
    const answer = () => (isDown ? refusal("SystemBusy", "") : notOffered);
    const { transfer, count } = await open({ "/sdk/GetAndLoadInternalContext": answer });
    await expect(transfer.isAvailable(signal)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    isDown = false;
    const before = count("/sdk/GetAndLoadInternalContext");
    expect([await transfer.isAvailable(signal), await transfer.isAvailable(signal)]).toEqual([false, false]);
    expect(count("/sdk/GetAndLoadInternalContext")).toBe(before + 1);
  });
});

describe("an upload that was handed over", () => {
  it.each<readonly [name: string, service: Service]>([
    ["the task failed", { "/sdk/GetContextInfo": ({ query }) => success(statusOf(query.get("path"), "Failed", "")) }],
    [
      "the task has a fault",
      { "/sdk/GetContextInfo": ({ query }) => success(statusOf(query.get("path"), "Success", "sync failed")) },
    ],
    ["the sync is refused", { "/sdk/SyncContext": notOffered }],
    ["the sync cannot be asked for", { "/sdk/SyncContext": { status: 503, text: "" } }],
  ])("will never be there when %s", async (_name, service) => {
    const { transfer } = await open(service);
    const { settled } = await transfer.upload(source, signal);
    await expect(settled).rejects.toMatchObject({ code: "NOT_POSSIBLE_HERE" });
  });

  it.each<readonly [name: string, answer: Answer]>([
    ["fails", { status: 503, text: "" }],
    ["is not offered", notOffered],
  ])("may be there all the same when the question %s", async (_name, answer) => {
    const { transfer, count } = await open({ "/sdk/GetContextInfo": answer });
    const { settled } = await transfer.upload(source, signal);
    await expect(settled).resolves.toBeUndefined();
    expect(count("/sdk/GetContextInfo")).toBeLessThanOrEqual(quick.attempts);
  });

  it("is lost with its session", async () => {
    const gone = refusal("InvalidMcpSession.NotFound", "Resource [McpSession] is not found", { status: 400 });
    const { transfer } = await open({ "/sdk/GetContextInfo": gone });
    const { settled } = await transfer.upload(source, signal);
    await expect(settled).rejects.toMatchObject({ code: "SESSION_GONE" });
  });

  it("is not mistaken for an older one that is reported first", async () => {
    const { transfer, count } = await open({
      "/sdk/GetContextInfo": ({ query }) => {
        const isFirst = count("/sdk/GetContextInfo") === 1;
        return success(
          isFirst ? statusOf("/tmp/file-transfer/older", "Failed", "x") : statusOf(`${query.get("path")}/`, "done", ""),
        );
      },
    });
    const { settled } = await transfer.upload(source, signal);
    await expect(settled).resolves.toBeUndefined();
    expect(count("/sdk/GetContextInfo")).toBe(2);
  });
});

describe("a large file", () => {
  const large = randomBytes(450_000);
  it.each<readonly [name: string, options: EmulatorOptions]>([
    [
      "goes in parts when the store refuses it",
      { onRequest: ({ method }) => (method === "PUT" ? { status: 403 } : undefined) },
    ],
    [
      "goes in parts when no address is given",
      { onRequest: ({ path }) => (path.endsWith("UploadUrl") ? { refuse: "InvalidContext" } : undefined) },
    ],
    [
      "goes in parts when the sync is refused",
      { onRequest: ({ path }) => (path.endsWith("SyncContext") ? { refuse: "InvalidContext" } : undefined) },
    ],
    [
      "arrives although its task cannot be looked at",
      { onRequest: ({ path }) => (path.endsWith("ContextInfo") ? { status: 503 } : undefined) },
    ],
    [
      "arrives although its task cannot be looked at, without a shell",
      {
        missingTools: ["shell", "run_code"],
        transferLagMs: 300,
        onRequest: ({ path }) => (path.endsWith("ContextInfo") ? { status: 503 } : undefined),
      },
    ],
  ])("%s", async (_name, options) => {
    const emulator = await startEmulator(options);
    onTestFinished(async () => await emulator.close());
    const session = await connect({
      env: { AGB_API_KEY: emulator.apiKey, AGB_ENDPOINT: emulator.url },
      cwd: "/",
      spec: { image: "agb-code-space-1", labels: {} },
      retryPolicy: quick,
      signal,
    });
    onTestFinished(async () => await session.close());
    const { transport } = session.openWorkspace("/tmp/workspace");
    await transport.createDirectory(ROOT, undefined, signal);
    const content = {
      digest: digestOf(large),
      sizeBytes: large.byteLength,
      sensitive: false,
      async *open() {
        yield large;
      },
    };
    await transport.writeFile(workspacePath("large"), content, 0o644, signal);
    const written = readFileSync(join(emulator.sessionRoot(session.id), "tmp/workspace/large"));
    expect(written.equals(large)).toBe(true);
  });
});
