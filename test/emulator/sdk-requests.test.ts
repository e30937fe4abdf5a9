import { describe, expect, it, onTestFinished } from "vitest";
import type { EmulatorOptions } from "../../src/emulator/session/emulator-options.ts";
import { type Emulator, startEmulator } from "../../src/emulator/start-emulator.ts";
import { call, callLink, callTool, createSession, fieldOf, listOf, sendRaw, textOf } from "./client.ts";

/** Requests as the official SDKs send them, and answers as they read them (protocol §2 to §9). */

async function start(options: EmulatorOptions = {}) {
  const emulator = await startEmulator(options);
  onTestFinished(async () => await emulator.close());
  return emulator;
}

/** How the two SDKs write the same request: names of headers, and the body of a POST that has nothing to say. */
const styles = [
  { sdk: "one without a body", authorization: "authorization", empty: undefined, type: {} },
  { sdk: "one with {}", authorization: "Authorization", empty: "{}", type: { "Content-Type": "application/json" } },
  { sdk: "one that shouts", authorization: "AUTHORIZATION", empty: "", type: { "CONTENT-TYPE": "application/json" } },
] as const;

type Style = (typeof styles)[number];

async function ask(emulator: Emulator, { authorization, empty, type }: Style, line: string, body?: object) {
  const [method = "", path = ""] = line.split(" ");
  const bytes = body === undefined ? (method === "GET" ? undefined : empty) : JSON.stringify(body);
  const headers = { [authorization]: `Bearer ${emulator.apiKey}`, ...(bytes === undefined ? {} : type) };
  const { status, text } = await sendRaw(emulator, { method, path, headers }, bytes);
  const envelope: { success: boolean; code: string; requestId: string; httpStatusCode: number; data: unknown } =
    JSON.parse(text);
  expect(envelope).toMatchObject({ requestId: expect.stringMatching(/./), httpStatusCode: status });
  return envelope;
}

const json = (value: unknown): string => encodeURIComponent(JSON.stringify(value));

describe.each(styles)("requests of a client: $sdk", (style) => {
  it("lives through a session", async () => {
    const emulator = await start();
    const on = async (line: string, body?: object) => await ask(emulator, style, line, body);
    const stats = json({ source: "sdk", sdk_language: "any", sdk_version: "1", is_release: true });
    const labels = JSON.stringify({ app: "sync", run: "42" });
    const created = await on(`POST /mcp/createSession?imageId=agb-code-space-1&sdkStats=${stats}`, {
      labels,
      timeout: 600,
    });
    const sessionId = textOf(created.data, "sessionId");
    expect(created.data).toMatchObject({ success: true, errMsg: "", linkUrl: "", wsUrl: "", token: "" });
    expect(JSON.parse(textOf(created.data, "toolList"))).toContainEqual({ name: "shell", server: "wuying_shell" });
    expect((await on("POST /mcp/getSession", { sessionId })).data).toMatchObject({
      sessionId,
      success: false,
      status: "RUNNING",
    });
    expect((await on("POST /mcp/getSessionInfo", { sessionId })).data).toEqual({ status: "RUNNING" });
    expect(await on(`POST /mcp/refreshSessionIdleTime?sessionId=${sessionId}`)).toMatchObject({ success: true });
    expect((await on("POST /mcp/getMcpResource", { sessionId })).data).toMatchObject({ desktopInfo: { ticket: "" } });
    const tools = await on("POST /mcp/listTools?imageId=agb-code-space-1");
    expect(JSON.parse(String(tools.data))).toContainEqual(
      expect.objectContaining({
        name: "read_file",
        tool: "read_file",
        server: "wuying_filesystem",
        inputSchema: expect.anything(),
      }),
    );
    expect(await on(`GET /internet/getLink?sessionId=${sessionId}&protocolType=https&port=30199`)).toMatchObject({
      success: true,
    });
    expect(await on(`GET /internet/getLink?sessionId=${sessionId}&protocolType=wss&port=30200`)).toMatchObject({
      success: false,
    });
    expect((await on(`GET /sdk/GetLabel?sessionId=${sessionId}&maxResults=10`)).data).toEqual({ labels });
    expect(await on(`POST /sdk/SetLabel?sessionId=${sessionId}&Labels=${json({ other: 'ä "1"' })}`)).toMatchObject({
      success: true,
    });
    expect((await on(`GET /sdk/GetLabel?sessionId=${sessionId}`)).data).toEqual({ labels: '{"other":"ä \\"1\\""}' });
    expect(await on(`POST /sdk/SetLabel?sessionId=${sessionId}&labels=${json({ small: "letter" })}`)).toMatchObject({
      success: false,
    });
    expect((await on(`GET /sdk/ListSession?labels=${json({ app: "sync" })}`)).data).toEqual([]);
    expect((await on(`GET /sdk/ListSession?labels=${json({ other: 'ä "1"' })}&isAll=false`)).data).toEqual([
      { sessionId, sessionStatus: "RUNNING" },
    ]);
    expect(await on("POST /mcp/releaseSessionAsync", { sessionId })).toMatchObject({ success: true });
    expect((await on("POST /mcp/getSessionInfo", { sessionId })).data).toEqual({ status: "FINISH" });
    for (const path of ["releaseSessionAsync", "releaseSession", "getSession"]) {
      expect(await on(`POST /mcp/${path}`, { sessionId })).toMatchObject({
        code: "InvalidMcpSession.NotFound",
        httpStatusCode: 400,
      });
    }
    expect(await on("POST /mcp/getLink", { sessionId })).toMatchObject({
      success: false,
      code: "InvalidAction.NotFound",
    });
  });

  it("keeps contexts and what is in them", async () => {
    const emulator = await start();
    const on = async (line: string) => await ask(emulator, style, line);
    expect(await on("GET /sdk/GetContext?name=c&allowCreate=false")).toMatchObject({ success: false });
    const { data } = await on("GET /sdk/GetContext?name=c&allowCreate=true&loginRegionId=");
    const id = textOf(data, "id");
    expect(data).toEqual({
      id,
      name: "c",
      createTime: expect.any(String),
      lastUsedTime: expect.any(String),
      state: "available",
    });
    expect((await on(`GET /sdk/GetContext?id=${id}&allowCreate=false`)).data).toEqual(data);
    expect(await on(`POST /sdk/ModifyContext?id=${id}&name=d`)).toMatchObject({ success: true });
    expect((await on("GET /sdk/GetContext?name=d&allowCreate=true")).data).toMatchObject({ id });
    const file = `contextId=${id}&filePath=${encodeURIComponent("/home/a b.txt")}`;
    const upload = await on(`POST /sdk/GetContextFileUploadUrl?${file}`);
    expect(upload.data).toEqual({ url: expect.any(String), expireTime: expect.any(Number) });
    const put = { method: "PUT", path: textOf(upload.data, "url").replace(emulator.url, "") };
    expect(
      (await sendRaw(emulator, { ...put, headers: { "content-type": "application/octet-stream" } }, "x")).status,
    ).toBe(403);
    expect(await sendRaw(emulator, put, "bytes\0")).toMatchObject({
      status: 200,
      headers: { etag: expect.any(String) },
    });
    const listed = await on(
      `POST /sdk/DescribeContextFiles?contextId=${id}&parentFolderPath=/home&pageNumber=1&pageSize=50`,
    );
    expect(listed).toMatchObject({ count: 1, data: [{ fileName: "a b.txt", filePath: "/home/a b.txt", size: 6 }] });
    const download = await on(`POST /sdk/GetContextFileDownloadUrl?${file}`);
    const get = { method: "GET", path: textOf(download.data, "url").replace(emulator.url, "") };
    expect(await sendRaw(emulator, get)).toMatchObject({ status: 200, text: "bytes\0" });
    expect(await on(`POST /sdk/DeleteContextFile?${file}`)).toMatchObject({ success: true });
    expect((await sendRaw(emulator, get)).status).toBe(404);
    expect(await on(`POST /sdk/ClearContext?id=${id}`)).toMatchObject({ success: true });
    expect(await on(`POST /sdk/DeleteContext?id=${id}`)).toMatchObject({ success: true });
    expect(await on(`GET /sdk/GetContext?id=${id}&allowCreate=false`)).toMatchObject({ success: false });
  });
});

describe("lists", () => {
  it("come in pages, beside data what leads to the next, also when the last one shown has gone", async () => {
    const emulator = await start();
    const ids: string[] = [];
    for (let count = 0; count < 5; count += 1) ids.push(await createSession(emulator));
    const page = async (token: string) => {
      const envelope = await call(emulator, `/sdk/ListSession?maxResults=2&nextToken=${token}&labels=%7B%7D`);
      return { ids: listOf(envelope, "data").map((item) => textOf(item, "sessionId")), envelope };
    };
    const first = await page("");
    expect(first.envelope).toMatchObject({ maxResults: 2, count: 5, nextToken: expect.stringMatching(/./) });
    for (const sessionId of first.ids) await call(emulator, "/mcp/releaseSessionAsync", { sessionId });
    const second = await page(textOf(first.envelope, "nextToken"));
    const third = await page(textOf(second.envelope, "nextToken"));
    expect([...first.ids, ...second.ids, ...third.ids]).toEqual(ids);
    expect(third.envelope).toMatchObject({ nextToken: "", count: 3 });
  });

  it("of contexts come in pages too", async () => {
    const emulator = await start();
    for (const name of ["a", "b", "c"]) await call(emulator, `/sdk/GetContext?name=${name}&allowCreate=true`);
    const first = await call(emulator, "/sdk/ListContexts?maxResults=2");
    expect(first).toMatchObject({ data: [{ name: "a" }, { name: "b" }], maxResults: 2, totalCount: 3 });
    const rest = await call(emulator, `/sdk/ListContexts?maxResults=2&nextToken=${textOf(first, "nextToken")}`);
    expect(rest).toMatchObject({ data: [{ name: "c" }], nextToken: "" });
  });
});

type Args = Readonly<Record<string, unknown>>;
const file = "/tmp/d/a.txt";
const content = "ab€\n";

describe.each([
  ["the API", callTool],
  ["a link", callLink],
])("tools by %s", (_, tool) => {
  it.each<[string, string, Args, string | RegExp]>([
    ["the whole file", "read_file", { path: file, offset: 0, length: 0 }, content],
    ["a file without a range", "read_file", { path: file }, content],
    ["bytes, not characters", "read_file", { path: file, offset: 1, length: 4 }, "b€"],
    ["from an offset to the end", "read_file", { path: file, offset: 5, length: 0 }, "\n"],
    ["past the end", "read_file", { path: file, offset: 99, length: 51_200 }, ""],
    ["more than there is", "read_file", { path: file, offset: 2, length: 51_200 }, "€\n"],
    ["numbers as text", "read_file", { path: file, offset: "1", length: "1" }, "b"],
    ["a fraction", "read_file", { path: file, offset: 0.5, length: 1.5 }, "a"],
    ["a negative offset", "read_file", { path: file, offset: -1, length: 1 }, "a"],
    ["bytes as base64", "read_file", { path: file, offset: 2, length: 2, format: "binary" }, "4oI="],
    ["a directory", "read_file", { path: "/tmp/d" }, /^!.*Is a directory$/],
    [
      "nothing",
      "read_file",
      { path: "/tmp/none" },
      /^!Execution failed\. Error code:-32602 Error message: .*No such file or directory$/,
    ],
    ["in append mode", "write_file", { path: file, content: "!", mode: "append" }, "True"],
    ["a new file", "write_file", { path: "/tmp/d/new", content: "", mode: "create_new" }, "True"],
    ["a file that is there as new", "write_file", { path: file, content: "x", mode: "create_new" }, /^!.*File exists$/],
    ["in a mode that there is not", "write_file", { path: file, content: "x", mode: "w" }, /^!.*Invalid mode/],
    ["into nowhere", "write_file", { path: "/tmp/none/a", content: "x" }, /^!.*No such file or directory$/],
    ["into nowhere, made first", "write_file", { path: "/tmp/none/a", content: "x", create_parent_dir: true }, "True"],
    [
      "a directory",
      "list_directory",
      { path: "/tmp/d" },
      /^(?:\[FILE\] a\.txt\n\[DIR\] sub|\[DIR\] sub\n\[FILE\] a\.txt)$/,
    ],
    [
      "a directory with a slash",
      "list_directory",
      { path: "/tmp/d/" },
      /^(?:\[FILE\] a\.txt\n\[DIR\] sub|\[DIR\] sub\n\[FILE\] a\.txt)$/,
    ],
    ["an empty directory", "list_directory", { path: "/tmp/d/sub" }, ""],
    [
      "a file",
      "get_file_info",
      { path: file },
      /^size: 6\nmodified: [\d-]{10} [\d:]{8}\ncreated: N\/A\naccessed: N\/A\nisDirectory: false\nisFile: true\npermissions: rw-r--r--$/,
    ],
    ["a directory", "get_file_info", { path: "/tmp/d" }, /\nisDirectory: true\nisFile: false\npermissions: rwxr-xr-x$/],
    [
      "nothing",
      "get_file_info",
      { path: "/tmp/none" },
      /^!.*Failed to get file status: \/tmp\/none, error: No such file or directory$/,
    ],
    ["parents", "create_directory", { path: "/tmp/p/q/r/" }, "True"],
    ["a directory that is there", "create_directory", { path: "/tmp/d" }, "True"],
    ["a file", "delete_file", { path: file }, "True"],
    ["a directory", "delete_file", { path: "/tmp/d" }, /^!.*Is a directory$/],
    ["into a directory", "move_file", { source: file, destination: "/tmp/d/sub/" }, "True"],
    ["onto something", "move_file", { source: "/tmp/d/sub", destination: file }, /^!.*File exists$/],
    [
      "the first match, in order",
      "edit_file",
      {
        path: file,
        edits: [
          { oldText: "b", newText: "$&a" },
          { oldText: "a", newText: "" },
        ],
        dryRun: false,
      },
      "True",
    ],
    ["without a match", "edit_file", { path: file, edits: [{ oldText: "none", newText: "" }] }, /^!/],
    [
      "several files",
      "read_multiple_files",
      { paths: [file, file] },
      `${file}:\n${content}\n\n---\n${file}:\n${content}\n`,
    ],
    ["by name", "search_files", { path: "/tmp", pattern: "*.t?t" }, file],
    ["by name with a slash", "search_files", { path: "/tmp/", pattern: "a.txt" }, file],
    ["nothing by name", "search_files", { path: "/tmp", pattern: "A.TXT" }, "No matches found"],
    ["without a list", "search_files", { path: "/tmp/d", pattern: "*", excludePatterns: ["a.*"] }, "/tmp/d/sub"],
    [
      "without names and commas",
      "search_files",
      { path: "/tmp/d", pattern: "*", excludePatterns: "x,a.*" },
      "/tmp/d/sub",
    ],
    [
      "without names of another spelling",
      "search_files",
      { path: "/tmp/d", pattern: "*", exclude_patterns: "sub" },
      file,
    ],
    ["what has no name", "read_file", {}, /^!.*path is required$/],
  ])("%s: %s %j", async (_, name, args, expected) => {
    const emulator = await start({ link: true, missingTools: ["shell"] });
    const sessionId = await createSession(emulator);
    await callTool(emulator, sessionId, "create_directory", { path: "/tmp/d/sub" });
    await callTool(emulator, sessionId, "write_file", { path: file, content, mode: "overwrite" });
    const answer = await tool(emulator, sessionId, name, args);
    const isAsExpected = typeof expected === "string" ? answer === expected : expected.test(answer);
    expect(isAsExpected, answer).toBe(true);
  });
});

it("changes what it was told to, and nothing on a dry run", async () => {
  const emulator = await start();
  const sessionId = await createSession(emulator);
  const tool = async (name: string, args: Args) => await callTool(emulator, sessionId, name, args);
  await tool("write_file", { path: "/tmp/a", content: "one two one", mode: "overwrite" });
  const edits = [
    { oldText: "one", newText: "$& 1" },
    { oldText: "1", newText: "2" },
  ];
  await tool("edit_file", { path: "/tmp/a", edits, dryRun: true });
  expect(await tool("read_file", { path: "/tmp/a" })).toBe("one two one");
  await tool("edit_file", { path: "/tmp/a", edits, dryRun: false });
  await tool("write_file", { path: "/tmp/a", content: "😀", mode: "append" });
  expect(await tool("read_file", { path: "/tmp/a" })).toBe("$& 2 two one😀");
});

it("tells what has changed since it was asked last", async () => {
  const emulator = await start();
  const sessionId = await createSession(emulator);
  const tool = async (name: string, args: Args) => await callTool(emulator, sessionId, name, args);
  const changes = async () => JSON.parse(await tool("get_file_change", { path: "/tmp" }));
  await tool("write_file", { path: "/tmp/old", content: "1" });
  expect(await changes()).toEqual([]);
  await tool("write_file", { path: "/tmp/new", content: "1" });
  await tool("write_file", { path: "/tmp/old", content: "2" });
  await tool("create_directory", { path: "/tmp/d" });
  expect(await changes()).toEqual([
    { eventType: "create", path: "/tmp/d", pathType: "directory" },
    { eventType: "create", path: "/tmp/new", pathType: "file" },
    { eventType: "modify", path: "/tmp/new", pathType: "file" },
    { eventType: "modify", path: "/tmp/old", pathType: "file" },
  ]);
  await tool("delete_file", { path: "/tmp/old" });
  expect(await changes()).toEqual([{ eventType: "delete", path: "/tmp/old", pathType: "file" }]);
  expect(await changes()).toEqual([]);
});

describe("a failing command", () => {
  const command = { command: "echo out; echo bad >&2; exit 7", timeout_ms: 20_000, envs: { A: "'; x\n" } };
  it.each([
    ["A", /^\{"stdout":"out\\n","stderr":"bad\\n","exit_code":7,"traceId":"[0-9a-f]+"\}$/],
    ["B", /^!\{"stdout":"out\\n","stderr":"bad\\n","exit_code":7,"traceId":"[0-9a-f]+"\}$/],
    ["C", /^!Execution failed\. Error code:7 Error message: bad\n$/],
  ] as const)("in form %s", async (shellFailureForm, expected) => {
    const emulator = await start({ shellFailureForm, dataAs: "string" });
    const sessionId = await createSession(emulator);
    const { data } = await call(emulator, "/mcp?autoGenSession=false", {
      sessionId,
      name: "shell",
      args: JSON.stringify(command),
    });
    const decoded: unknown = JSON.parse(String(data));
    const text = textOf(listOf(decoded, "content")[0], "text");
    const answer = `${fieldOf(decoded, "isError") === true ? "!" : ""}${text}`;
    expect(answer).toMatch(emulator.shellNotice === undefined ? expected : /./);
  });
});

describe("file transfer", () => {
  /** A session with its transfer context, and the states of its tasks as one reads them: JSON in JSON in JSON. */
  async function transferring(options: EmulatorOptions) {
    const emulator = await start(options);
    const sessionId = await createSession(emulator);
    const query = `sessionId=${sessionId}&contextTypes=${json(["file_transfer"])}`;
    const { data } = await call(emulator, `/sdk/GetAndLoadInternalContext?${query}`, {});
    const [context] = Array.isArray(data) ? data : [];
    const contextId = textOf(context, "contextId");
    const sync = async (path: string, mode: string) =>
      await call(
        emulator,
        `/sdk/SyncContext?sessionId=${sessionId}&contextId=${contextId}&path=${path}&mode=${mode}`,
        {},
      );
    const states = async (rest = ""): Promise<readonly { status: string; path: string; startTime: number }[]> => {
      const info = await call(emulator, `/sdk/GetContextInfo?sessionId=${sessionId}${rest}`);
      const outer = textOf(info.data, "contextStatus");
      if (outer === "") return [];
      const [entry] = JSON.parse(outer);
      expect(fieldOf(entry, "type")).toBe("data");
      return JSON.parse(textOf(entry, "data"));
    };
    return { context, sync, states };
  }

  it("names its directory with a slash, and echoes the path of a task as it was given", async () => {
    const { context, sync, states } = await transferring({});
    expect(context).toMatchObject({ contextType: "file_transfer", contextPath: "/tmp/file-transfer/" });
    expect(await states()).toEqual([]);
    for (const path of ["/tmp/file-transfer", "/tmp/file-transfer/"])
      expect(await sync(path, "download")).toMatchObject({ success: true });
    const paths = async () => (await states("&taskType=download")).map(({ path, status }) => `${status} ${path}`);
    await expect.poll(paths).toEqual(["Success /tmp/file-transfer/", "Success /tmp/file-transfer"]);
    expect(await states("&taskType=upload")).toEqual([]);
  });

  it("is done after some questions, and fails with a reason", async () => {
    const { sync, states } = await transferring({ transferPolls: 2 });
    await sync("/tmp/none", "upload");
    expect([(await states())[0]?.status, (await states())[0]?.status]).toEqual(["Running", "Running"]);
    await expect
      .poll(async () => (await states())[0])
      .toMatchObject({ status: "Failed", errorMessage: expect.stringMatching(/No such/) });
  });

  it("can show the task of an earlier transfer first", async () => {
    const { sync, states } = await transferring({ staleTransferStatus: true, transferLagMs: 50 });
    await sync("/tmp/file-transfer", "download");
    await expect.poll(async () => (await states())[0]?.status).toBe("Success");
    await sync("/tmp/file-transfer", "download");
    expect((await states()).map(({ status }) => status)).toEqual(["Success", "Running"]);
  });
});

it("carries what one session stored to where another's mapping policy wants it, and back", async () => {
  const emulator = await start();
  const { data } = await call(emulator, "/sdk/GetContext?name=c&allowCreate=true");
  const contextId = textOf(data, "id");
  const mountedAt = async (path: string, policy: object) => {
    const persistenceDataList = [{ contextId, path, policy: JSON.stringify(policy) }];
    const sessionId = await createSession(emulator, { persistenceDataList });
    const status = async () =>
      JSON.stringify((await call(emulator, `/sdk/GetContextInfo?sessionId=${sessionId}`)).data);
    await expect.poll(status).toContain("Success");
    return sessionId;
  };
  const end = async (sessionId: string) => await call(emulator, "/mcp/releaseSessionAsync", { sessionId });
  const first = await mountedAt("/tmp/one", {});
  await callTool(emulator, first, "write_file", { path: "/tmp/one/a", content: "a" });
  await end(first);
  const second = await mountedAt("/home/wuying/two/", { mappingPolicy: { path: "/tmp/one" } });
  expect(await callTool(emulator, second, "read_file", { path: "/home/wuying/two/a" })).toBe("a");
  await callTool(emulator, second, "write_file", { path: "/home/wuying/two/b", content: "b" });
  await end(second);
  const third = await mountedAt("/tmp/one", {});
  expect(await callTool(emulator, third, "read_file", { path: "/tmp/one/b" })).toBe("b");
});

it("refuses code that says nothing", async () => {
  const emulator = await start();
  const sessionId = await createSession(emulator);
  expect(await callTool(emulator, sessionId, "run_code", { code: "", language: "python", timeout_s: 60 })).toMatch(
    /^!/,
  );
});
