import type { ContextSync, TaskType } from "./context-sync.ts";
import type { Contexts, StoreContext } from "./contexts.ts";
import type { ObjectStore } from "./object-store.ts";
import { plain, quotaExceeded, type Reply, refuse, sessionNotFound, succeed, toolSessionNotFound } from "./reply.ts";
import type { Settings } from "./session/emulator-options.ts";
import { isRecord, type JsonRecord, numberAt, parseRecord, textAt, textMap } from "./session/json-values.ts";
import { transferDirectory } from "./session/session-tree.ts";
import { type Mounted, type Session, type Sessions, setLabels, visibleLabels } from "./session/sessions.ts";
import type { ToolDescription } from "./tool-catalogue.ts";
import type { Honesty, ToolRunner } from "./tools/call-tool.ts";

/** One request, read whole: what the URL and the body say. */
type Call = {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: JsonRecord;
  readonly honesty: Honesty;
};

export type Router = {
  /** The answer to a call of the service; undefined for a path that is not served. */
  answer(method: string, call: Call): Promise<Reply | undefined>;
  /** The answer of a session's link, whose token was looked at. */
  answerLink(sessionId: string, call: Call): Promise<Reply>;
};

export type Parts = {
  readonly settings: Settings;
  readonly sessions: Sessions;
  readonly contexts: Contexts;
  readonly store: ObjectStore;
  readonly sync: ContextSync;
  readonly tools: ToolRunner;
  readonly offered: readonly ToolDescription[];
  /** The server's own address, for links and presigned URLs. */
  readonly baseUrl: () => string;
};

type Handler = (call: Call) => Reply | Promise<Reply>;

const pageSize = 10;

/** Every endpoint of protocol §3. */
export function makeRouter(parts: Parts): Router {
  const { settings, sessions, tools } = parts;
  const routes: Readonly<Record<string, Handler>> = {
    ...sessionRoutes(parts),
    ...contextRoutes(parts),
    "POST /mcp": async (call) => {
      const session = sessions.find(textAt(call.body, "sessionId") ?? "");
      if (session === undefined) return toolSessionNotFound();
      const name = textAt(call.body, "name") ?? "";
      const { args, sizeBytes } = argsOf(call.body);
      if (!tools.has(name)) return refuse(200, "InvalidTool.NotFound", `Unknown tool: ${name}`);
      const { text, isError } = await tools.call(session, name, args, sizeBytes, call.honesty);
      const data = { content: [{ type: "text", text }], isError, parsedToolName: name };
      return succeed(settings.dataAs === "string" ? JSON.stringify(data) : data);
    },
  };
  return {
    answer: async (method, call) => {
      const handler = routes[`${method} ${call.path}`];
      return handler === undefined ? undefined : await handler(call);
    },
    answerLink: async (sessionId, call) => {
      const session = sessions.find(sessionId);
      if (session === undefined) return plain(502, { code: 502, message: "no such session" });
      const name = textAt(call.body, "tool") ?? "";
      if (!tools.has(name)) return plain(404, { code: 404, message: `Unknown tool: ${name}` });
      const { args, sizeBytes } = argsOf(call.body);
      const answer = await tools.call(session, name, args, sizeBytes, call.honesty);
      const data = { result: { isError: answer.isError, content: [{ type: "text", text: answer.text }] } };
      return plain(200, { data: settings.dataAs === "object" ? data : JSON.stringify(data) });
    },
  };
}

/** The arguments of a tool call and their serialised length: JSON text by the API, an object by a link; either by both. */
function argsOf(body: JsonRecord): { readonly args: JsonRecord; readonly sizeBytes: number } {
  const given = body["args"] ?? "{}";
  const written = typeof given === "string" ? given : JSON.stringify(given);
  return { args: parseRecord(written) ?? {}, sizeBytes: Buffer.byteLength(written) };
}

/** One page of a list: what comes after the item that `nextToken` names, which may be gone by now. */
function pageOf<Item extends { readonly number: number }>(items: readonly Item[], query: URLSearchParams) {
  const size = Math.min(100, Math.max(1, Math.trunc(Number(query.get("maxResults")) || pageSize)));
  const after = Number(query.get("nextToken") ?? "");
  const rest = items.filter(({ number }) => number > after);
  const page = rest.slice(0, size);
  const nextToken = rest.length > size ? String(page.at(-1)?.number ?? "") : "";
  return { page, beside: { nextToken, maxResults: size } };
}

function sessionRoutes({ settings, sessions, sync, offered, baseUrl }: Parts): Readonly<Record<string, Handler>> {
  const toolList = () => JSON.stringify(offered.map(({ name, server }) => ({ name, server })));
  const resourceUrl = ({ id }: Session) => `${baseUrl()}/resource/${id}?resourceId=${id}`;
  const details = (session: Session) => ({
    sessionId: session.id,
    success: true,
    errMsg: "",
    appInstanceId: session.id,
    resourceId: session.id,
    resourceUrl: resourceUrl(session),
    taskId: "",
    networkInterfaceIp: "127.0.0.1",
    linkUrl: settings.link ? `${baseUrl()}/link/${session.id}` : "",
    wsUrl: "",
    token: settings.link ? session.token : "",
    toolList: toolList(),
  });
  const ofBody =
    (work: (session: Session) => Reply | Promise<Reply>): Handler =>
    (call) => {
      const session = sessions.find(textAt(call.body, "sessionId") ?? call.query.get("sessionId") ?? "");
      return session === undefined ? sessionNotFound() : work(session);
    };
  const release = ofBody(async (session) => {
    await sessions.end(session);
    return succeed({});
  });
  return {
    "POST /mcp/createSession": async ({ query, body }) => {
      const imageId = query.get("imageId") ?? textAt(body, "imageId") ?? "";
      if (imageId === "") return refuse(400, "InvalidParameter.ImageId", "imageId is required");
      const labels = textMap(body["labels"] ?? "{}");
      if (labels === undefined) return refuse(400, "InvalidParameter.Labels", "labels are not a map of texts");
      const seconds = numberAt(body, "timeout");
      const mounts = mountsOf(body["persistenceDataList"]);
      const idleMs = seconds !== undefined && seconds > 0 ? seconds * 1000 : undefined;
      if (sessions.list().length >= settings.maxSessions) return quotaExceeded();
      const session = await sessions.create({ imageId, labels, idleMs, mounts });
      sync.loadMounts(session);
      return succeed(details(session));
    },
    // `success: false` of a healthy session is what the service was seen to answer (protocol §4.2).
    "POST /mcp/getSession": ofBody((session) => succeed({ ...details(session), success: false, status: "RUNNING" })),
    "POST /mcp/getSessionInfo": ({ body }) => {
      const status = sessions.status(textAt(body, "sessionId") ?? "");
      return status === undefined ? sessionNotFound() : succeed({ status });
    },
    "POST /mcp/releaseSessionAsync": release,
    "POST /mcp/releaseSession": release,
    "POST /mcp/refreshSessionIdleTime": ofBody((session) => {
      sessions.touch(session);
      return succeed({});
    }),
    "POST /mcp/getMcpResource": ofBody((session) =>
      succeed({ sessionId: session.id, resourceUrl: resourceUrl(session), desktopInfo: desktopInfoOf(session) }),
    ),
    "POST /mcp/listTools": () => succeed(JSON.stringify(offered.map((tool) => ({ ...tool, tool: tool.name })))),
    "GET /sdk/ListSession": ({ query }) => {
      const wanted = Object.entries(textMap(query.get("labels") ?? "{}") ?? {});
      const found = sessions
        .list()
        .filter((session) => wanted.every(([key, value]) => visibleLabels(session)[key] === value));
      const { page, beside } = pageOf(found, query);
      const data = page.map(({ id }) => ({ sessionId: id, sessionStatus: "RUNNING" }));
      return succeed(data, { ...beside, count: found.length });
    },
    "POST /sdk/SetLabel": ({ query }) => {
      const session = sessions.find(query.get("sessionId") ?? "");
      if (session === undefined) return sessionNotFound();
      const labels = textMap(query.get("Labels") ?? "");
      if (labels === undefined) return refuse(400, "InvalidParameter.Labels", "Labels are not a map of texts");
      setLabels(session, labels, settings.labelLagMs);
      return succeed({});
    },
    "GET /sdk/GetLabel": ({ query }) => {
      const session = sessions.find(query.get("sessionId") ?? "");
      return session === undefined ? sessionNotFound() : succeed({ labels: JSON.stringify(visibleLabels(session)) });
    },
    "GET /internet/getLink": ({ query }) => {
      const port = Number(query.get("port") ?? "30100");
      if (port < 30_100 || port > 30_199) return refuse(400, "InvalidParameter.Port", "port must be 30100 to 30199");
      return sessions.find(query.get("sessionId") ?? "") === undefined
        ? sessionNotFound()
        : succeed({ url: `${baseUrl()}/port/${port}` });
    },
  };
}

function contextRoutes({
  settings,
  sessions,
  contexts,
  store,
  sync,
  baseUrl,
}: Parts): Readonly<Record<string, Handler>> {
  const noContext = () => refuse(400, "InvalidContext.NotFound", "Resource [Context] is not found");
  const describe = (context: StoreContext) => ({
    id: context.id,
    name: context.name,
    createTime: context.createdAt.toISOString(),
    lastUsedTime: context.lastUsedAt.toISOString(),
    state: context.state,
  });
  const ofQuery =
    (key: string, work: (context: StoreContext, query: URLSearchParams) => Reply): Handler =>
    (call) => {
      const context = contexts.get(call.query.get(key) ?? "");
      return context === undefined ? noContext() : work(context, call.query);
    };
  const url = (operation: "put" | "get") =>
    ofQuery("contextId", (context, query) => {
      const { target, expires } = store.sign(operation, context.id, query.get("filePath") ?? "");
      return succeed({ url: `${baseUrl()}${target}`, expireTime: expires });
    });
  return {
    "GET /sdk/ListContexts": ({ query }) => {
      const all = contexts.list();
      const { page, beside } = pageOf(all, query);
      return succeed(page.map(describe), { ...beside, totalCount: all.length });
    },
    "GET /sdk/GetContext": ({ query }) => {
      const id = query.get("id") ?? "";
      const name = query.get("name") ?? "";
      const found = id === "" ? contexts.byName(name) : contexts.get(id);
      if (found !== undefined) return succeed(describe(found));
      if (query.get("allowCreate") !== "true" || name === "") return noContext();
      return contexts.list().length < settings.maxContexts ? succeed(describe(contexts.create(name))) : quotaExceeded();
    },
    "POST /sdk/ModifyContext": ofQuery("id", (context, query) => {
      context.name = query.get("name") ?? context.name;
      return succeed({});
    }),
    "POST /sdk/DeleteContext": ofQuery("id", (context) => {
      contexts.remove(context);
      return succeed({});
    }),
    "POST /sdk/ClearContext": ofQuery("id", (context) => {
      contexts.clear(context);
      setTimeout(() => (context.state = "available"), settings.transferLagMs).unref();
      return succeed({});
    }),
    "POST /sdk/SyncContext": async ({ query }) => {
      const session = sessions.find(query.get("sessionId") ?? "");
      if (session === undefined) return sessionNotFound();
      const type: TaskType = query.get("mode") === "download" ? "download" : "upload";
      const contextId = query.get("contextId");
      const path = query.get("path");
      if (contextId === null || path === null) {
        for (const mount of session.mounts) {
          const mounted = contexts.get(mount.contextId);
          if (mounted !== undefined) sync.start(session, mounted, mount.path, type);
        }
        return succeed({});
      }
      const context = contexts.get(contextId);
      if (context === undefined) return noContext();
      sync.start(session, context, path, type);
      return succeed({});
    },
    "GET /sdk/GetContextInfo": ({ query }) => {
      const session = sessions.find(query.get("sessionId") ?? "");
      if (session === undefined) return sessionNotFound();
      const value = (key: string) => query.get(key) ?? undefined;
      const filter = { contextId: value("contextId"), path: value("path"), taskType: value("taskType") };
      return succeed({ contextStatus: sync.status(session, filter) });
    },
    "POST /sdk/GetContextFileUploadUrl": url("put"),
    "POST /sdk/GetContextFileDownloadUrl": url("get"),
    "POST /sdk/DeleteContextFile": ofQuery("contextId", (context, query) => {
      contexts.drop(context, query.get("filePath") ?? "");
      return succeed({});
    }),
    "POST /sdk/DescribeContextFiles": ofQuery("contextId", (context, query) => {
      const folder = (query.get("parentFolderPath") ?? "").replace(/\/+$/, "");
      const size = Math.max(1, Number(query.get("pageSize")) || 50);
      const page = Math.max(1, Number(query.get("pageNumber")) || 1);
      const inside = [...context.objects.values()].filter(({ path }) => path.startsWith(`${folder}/`));
      const shown = inside.slice((page - 1) * size, page * size).map((file) => ({
        fileId: file.etag,
        fileName: file.path.slice(file.path.lastIndexOf("/") + 1),
        filePath: file.path,
        fileType: "FILE",
        gmtCreate: file.storedAt.toISOString(),
        gmtModified: file.storedAt.toISOString(),
        size: file.sizeBytes,
        status: "available",
      }));
      return succeed(shown, { count: inside.length });
    }),
    "POST /sdk/GetAndLoadInternalContext": ({ query }) => {
      const session = sessions.find(query.get("sessionId") ?? "");
      if (session === undefined) return sessionNotFound();
      const isReady = performance.now() - session.bornAt >= settings.transferReadyMs;
      if (!isReady || settings.missingTools.includes("file_transfer")) return succeed([]);
      const contextId = contexts.ofSession(session.id).id;
      return succeed([{ contextId, contextType: "file_transfer", contextPath: `${transferDirectory}/` }]);
    },
  };
}

/** The keys of protocol §4.2; there is no desktop behind them. */
function desktopInfoOf({ id }: Session): JsonRecord {
  return { appId: "", authCode: "", connectionProperties: "", resourceId: id, resourceType: "", ticket: "" };
}

function mountsOf(value: unknown): readonly Mounted[] {
  return (Array.isArray(value) ? value : []).flatMap((item: unknown): readonly Mounted[] => {
    const record = isRecord(item) ? item : {};
    const contextId = textAt(record, "contextId");
    const path = textAt(record, "path");
    if (contextId === undefined || path === undefined) return [];
    const policy = isRecord(record["policy"]) ? record["policy"] : parseRecord(textAt(record, "policy") ?? "{}");
    const flag = (part: string, name: string): unknown => {
      const rules = policy?.[part];
      return isRecord(rules) ? rules[name] : undefined;
    };
    const textIn = (part: string, name: string): string => {
      const value = flag(part, name);
      return typeof value === "string" ? value : "";
    };
    return [
      {
        contextId,
        path,
        storedPath: textIn("mappingPolicy", "path") || path,
        isDownloadedAtStart: flag("downloadPolicy", "autoDownload") !== false,
        isUploadedAtEnd: flag("uploadPolicy", "autoUpload") !== false,
        deletesStored: flag("deletePolicy", "syncLocalFile") === true,
      },
    ];
  });
}
