import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { dirname } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { type FileVerdicts, fileTool, Refusal } from "./documented-files.ts";
import { fieldOf, textOf } from "./json.ts";

/** The layouts that the reference allows, and what it leaves open. Left out: the first of each. */
export type Documented = FileVerdicts & {
  readonly keys?: "camel" | "capital" | "body";
  readonly data?: "object" | "string";
  readonly failures?: "HTTP 400" | "HTTP 200";
  readonly link?: "none" | "string" | "object" | "null";
  readonly toolList?: "string" | "array" | "capital" | "none";
  readonly shell?: "A" | "B" | "B errorCode" | "C" | "plain" | "none";
  /** How texts come: in one item, in two, or as a blob. */
  readonly content?: "one" | "two" | "blob" | "string";
  readonly transfer?:
    | "works"
    | "late"
    | "stale"
    | "upper"
    | "none"
    | "refused"
    | "fails"
    | "silent"
    | "down"
    | "unanswered";
};

export type Service = { readonly url: string; readonly key: string; readonly directory: string };

type Answer = { readonly status?: number; readonly body: string };
type Task = { readonly path: string; polls: number };

const key = "ako-documented";
const token = "token-of-the-link";
const sessionId = "session-documented";
const tools = [
  "read_file",
  "write_file",
  "list_directory",
  "get_file_info",
  "create_directory",
  "delete_file",
  "move_file",
];

/**
 * A server written from the reference alone (protocol §2 to §10), without a line of the emulator: what the client holds
 * for granted must be in the reference. One session in one real directory below /tmp, with the real `sh`.
 */
export async function documentedService(options: Documented): Promise<Service> {
  // A root below the temporary directory of the tests may be none that a manifest can name.
  const directory = mkdtempSync("/tmp/agb-sync-test-");
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const service = new DocumentedService(options, directory);
  const server = createServer((request, response) => {
    void service.answer(request).then(({ status = 200, body }) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  service.url = `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}`;
  return { url: service.url, key, directory };
}

class DocumentedService {
  url = "";
  readonly #options: Documented;
  readonly #directory: string;
  readonly #stored = new Map<string, Buffer>();
  readonly #tasks: Task[] = [];
  #isReleased = false;

  constructor(options: Documented, directory: string) {
    this.#options = options;
    this.#directory = directory;
  }

  async answer(request: IncomingMessage): Promise<Answer> {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://127.0.0.1");
    if (pathname.startsWith("/store/")) return await this.#put(request, decodeURIComponent(pathname.slice(7)));
    const body: unknown = JSON.parse((await text(request)) || "{}");
    if (pathname === "/link/callTool") return await this.#link(request, body);
    if (request.headers.authorization !== `Bearer ${key}`)
      return this.#failed("NOT_LOGIN", "You are not logged in or your token has expired");
    switch (pathname) {
      case "/mcp/createSession":
        return this.#ok({ ...this.#details(), success: true, errMsg: "" });
      case "/mcp/getSession":
        if (this.#isReleased) return this.#failed("InvalidMcpSession.NotFound", "Resource [McpSession] is not found");
        return this.#ok({ ...this.#details(), success: false, status: "RUNNING" });
      case "/mcp/getSessionInfo":
        if (this.#isReleased) return this.#failed("InvalidMcpSession.NotFound", "Resource [McpSession] is not found");
        return this.#ok({ status: "RUNNING" });
      case "/mcp/releaseSessionAsync":
        this.#isReleased = true;
        return this.#ok(undefined);
      case "/mcp/refreshSessionIdleTime":
        return this.#ok(undefined);
      case "/sdk/ListSession":
        return this.#ok([]);
      case "/sdk/GetLabel":
        return this.#ok({ labels: "{}" });
      case "/mcp":
        return await this.#call(body);
      default:
        return await this.#transfer(pathname, searchParams);
    }
  }

  #details() {
    const { link = "none", toolList = "string", shell } = this.#options;
    const listed = [
      ...tools.map((name) => [name, "wuying_filesystem"] as const),
      ...(shell === "none" ? [] : [["shell", "wuying_shell"] as const]),
    ].map(([name, server]) => (toolList === "capital" ? { Name: name, Server: server } : { name, server }));
    const none = link === "null" ? null : "";
    return {
      sessionId,
      appInstanceId: "app-1",
      resourceUrl: "https://example.org/?resourceId=r-1",
      linkUrl: link === "string" || link === "object" ? `${this.url}/link/` : none,
      wsUrl: none,
      token: link === "string" || link === "object" ? token : none,
      ...(toolList === "none" ? {} : { toolList: toolList === "array" ? listed : JSON.stringify(listed) }),
    };
  }

  /** The API route (protocol §5.1). */
  async #call(body: unknown): Promise<Answer> {
    if (this.#isReleased) return this.#failed("InvalidSession.NotFound", "Resource [Session] is not found");
    const name = textOf(fieldOf(body, "name"));
    const { content = "one" } = this.#options;
    const { text: said, isError } = await this.#run(name, JSON.parse(textOf(fieldOf(body, "args"))));
    const [head, tail] = [said.slice(0, said.indexOf("\n")), said.slice(said.indexOf("\n") + 1)];
    const isSplit = content === "two" && said.includes("\n");
    const items = isSplit ? [head, tail].map((one) => ({ type: "text", text: one })) : [{ type: "text", text: said }];
    const bare = content === "blob" ? [{ type: "blob", blob: said }] : [said];
    return this.#ok({ content: content === "one" || content === "two" ? items : bare, isError, parsedToolName: name });
  }

  /** The direct route: arguments as an object, and only the first item counts (protocol §5.2). */
  async #link(request: IncomingMessage, body: unknown): Promise<Answer> {
    if (request.headers["x-access-token"] !== token || fieldOf(body, "token") !== token)
      return { status: 403, body: "" };
    if (request.headers.authorization !== undefined) return { status: 400, body: "the key does not belong here" };
    const { text: said, isError } = await this.#run(textOf(fieldOf(body, "tool")), fieldOf(body, "args"));
    const result = {
      isError,
      content: [
        { type: "text", text: said },
        { type: "text", text: "[FILE] not-there" },
      ],
    };
    return {
      body: JSON.stringify({ data: this.#options.link === "string" ? JSON.stringify({ result }) : { result } }),
    };
  }

  async #run(name: string, args: unknown): Promise<{ readonly text: string; readonly isError: boolean }> {
    try {
      if (name === "shell" && this.#options.shell !== "none") return await this.#shell(args);
      return { text: fileTool(name, args, this.#options), isError: false };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { text: `Execution failed. Error code:-32602 Error message: ${error.message}`, isError: true };
    }
  }

  /** A fresh shell for each call; what it says depends on the form (protocol §7). */
  async #shell(args: unknown) {
    const cwd = textOf(fieldOf(args, "cwd")) || this.#directory;
    const child = spawn("sh", ["-c", textOf(fieldOf(args, "command"))], {
      cwd,
      detached: true,
      env: { PATH: process.env["PATH"], HOME: this.#directory, ...Object(fieldOf(args, "envs") ?? {}) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const late = new AbortController();
    const timer = delay(Number(fieldOf(args, "timeout_ms") ?? 1000), "late" as const, { signal: late.signal }).catch(
      () => "done" as const,
    );
    const whole = Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    const ended = await Promise.race([whole, timer]);
    if (typeof ended === "string") {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
      return { text: "Execution failed. Error code:-1 Error message: [timeout]", isError: true };
    }
    late.abort();
    const [stdout, stderr, [code]] = ended;
    const exit = typeof code === "number" ? code : 137;
    const { shell = "A" } = this.#options;
    const said = { stdout, stderr, exit_code: exit, traceId: exit === 0 ? "" : "trace-1" };
    if (exit === 0) return { text: shell === "plain" ? stdout : JSON.stringify(said), isError: false };
    if (shell === "A") return { text: JSON.stringify(said), isError: false };
    if (shell === "B") return { text: JSON.stringify(said), isError: true };
    if (shell === "B errorCode") {
      return { text: JSON.stringify({ stdout, stderr, errorCode: exit, traceId: "trace-1" }), isError: true };
    }
    return { text: `Execution failed. Error code:${exit} Error message: ${stderr}`, isError: true };
  }

  /** File transfer (protocol §9): the store, and tasks that bring what is in it into the session. */
  async #transfer(pathname: string, query: URLSearchParams): Promise<Answer> {
    const { transfer = "works" } = this.#options;
    const filePath = query.get("filePath") ?? "";
    switch (pathname) {
      case "/sdk/GetAndLoadInternalContext":
        if (transfer === "none") return this.#ok([]);
        return this.#ok([
          { contextId: "c1", contextType: "file_transfer", contextPath: `${this.#directory}/transfer/` },
        ]);
      case "/sdk/GetContextFileUploadUrl":
        if (transfer === "refused") return this.#failed("InvalidAction.NotFound", "The action is not found");
        return this.#ok({ url: `${this.url}/store/${encodeURIComponent(filePath)}`, expireTime: 1_767_229_200 });
      case "/sdk/SyncContext":
        this.#tasks.push({ path: query.get("path") ?? "", polls: 0 });
        if (transfer !== "late") this.#arrive(query.get("path") ?? "");
        return this.#ok(undefined);
      case "/sdk/GetContextInfo":
        return this.#ok({ contextStatus: this.#status() });
      case "/sdk/DeleteContextFile":
        this.#stored.delete(filePath);
        return this.#ok(undefined);
      default:
        return this.#failed("InvalidAction.NotFound", `no such action: ${pathname}`);
    }
  }

  async #put(request: IncomingMessage, filePath: string): Promise<Answer> {
    const bytes = await buffer(request);
    if (request.headers["content-type"] !== undefined || request.headers.authorization !== undefined) {
      return { status: 403, body: "<Error><Code>SignatureDoesNotMatch</Code></Error>" };
    }
    if (this.#options.transfer === "down") return { status: 503, body: "" };
    if (this.#options.transfer === "unanswered") return await new Promise<never>(() => undefined);
    this.#stored.set(filePath, bytes);
    return { status: 200, body: "" };
  }

  #arrive(path: string): void {
    if (this.#options.transfer === "fails") return;
    for (const [filePath, bytes] of this.#stored) {
      if (dirname(filePath) !== path) continue;
      mkdirSync(path, { recursive: true });
      writeFileSync(filePath, bytes);
    }
  }

  #status(): string {
    const { transfer = "works" } = this.#options;
    if (transfer === "silent") return "";
    const isLate = transfer === "late";
    const tasks = this.#tasks.map((task) => {
      task.polls += 1;
      const isDone = !isLate || task.polls > 1;
      if (isLate && isDone) this.#arrive(task.path);
      const failed = transfer === "fails" ? "Failed" : "Success";
      return {
        contextId: "c1",
        path: task.path,
        status: isDone ? (transfer === "upper" ? "COMPLETED" : failed) : "Pending",
        taskType: "download",
        startTime: 1_767_225_600,
        finishTime: 1_767_225_602,
        errorMessage: "",
      };
    });
    const stale = {
      contextId: "c1",
      path: `${this.#directory}/transfer`,
      status: "Success",
      taskType: "download",
      startTime: 1,
      finishTime: 2,
      errorMessage: "",
    };
    const data = JSON.stringify(transfer === "stale" ? [stale, ...tasks] : tasks);
    return JSON.stringify([
      { type: "progress", data: "" },
      { type: "data", data },
    ]);
  }

  #ok(data: unknown): Answer {
    const { keys = "camel", data: form = "object" } = this.#options;
    const sent = form === "string" && data !== undefined ? JSON.stringify(data) : data;
    const envelope = { code: "ok", requestId: "R-1", success: true, httpStatusCode: 200, message: "", data: sent };
    return { body: JSON.stringify(inKeys(envelope, keys)) };
  }

  #failed(code: string, message: string): Answer {
    const { failures = "HTTP 400", keys = "camel" } = this.#options;
    const status = failures === "HTTP 400" ? 400 : 200;
    const envelope = { code, requestId: "R-1", success: false, httpStatusCode: status, message, data: {} };
    return { status, body: JSON.stringify(inKeys(envelope, keys)) };
  }
}

function inKeys(envelope: Readonly<Record<string, unknown>>, keys: "camel" | "capital" | "body"): unknown {
  if (keys === "camel") return envelope;
  const capital = Object.fromEntries(
    Object.entries(envelope).map(([name, value]) => [name.charAt(0).toUpperCase() + name.slice(1), value]),
  );
  return keys === "capital" ? capital : { statusCode: 200, headers: {}, body: capital };
}
