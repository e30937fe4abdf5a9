import { describe, expect, it, onTestFinished } from "vitest";
import type { Emulator } from "../../src/emulator/start-emulator.ts";
import { startEmulator } from "../../src/emulator/start-emulator.ts";
import { call, callTool, createSession, listOf, release, textOf } from "./client.ts";

const path = "/home/project/data";

async function open() {
  const emulator = await startEmulator();
  onTestFinished(async () => await emulator.close());
  const context = await call(emulator, "/sdk/GetContext?name=store&allowCreate=true");
  return { emulator, contextId: textOf(context.data, "id") };
}

/** A session with the context mounted, once what is stored has arrived. */
async function mount(emulator: Emulator, contextId: string, policy: unknown = {}) {
  const sessionId = await createSession(emulator, {
    persistenceDataList: [{ contextId, path, policy: JSON.stringify(policy) }],
  });
  const list = await callTool(emulator, sessionId, "list_directory", { path });
  await expect.poll(async () => await taskStatus(emulator, sessionId)).toBe("Success");
  return { sessionId, atOnce: list };
}

async function taskStatus(emulator: Emulator, sessionId: string): Promise<string> {
  const { data } = await call(emulator, `/sdk/GetContextInfo?sessionId=${sessionId}&taskType=download`);
  const [group] = JSON.parse(textOf(data, "contextStatus") || "[]");
  const [task] = JSON.parse(group?.data ?? "[]");
  return task?.status ?? "none";
}

async function stored(emulator: Emulator, contextId: string): Promise<readonly string[]> {
  const listed = await call(
    emulator,
    `/sdk/DescribeContextFiles?contextId=${contextId}&parentFolderPath=${encodeURIComponent(path)}`,
    {},
  );
  return listOf(listed, "data").map((file) => textOf(file, "filePath"));
}

describe("a mounted path (protocol §8.3)", () => {
  it("is there as soon as the session is, and empty", async () => {
    const { emulator, contextId } = await open();
    expect(await mount(emulator, contextId)).toMatchObject({ atOnce: "" });
  });

  it.each([
    ["is released", release],
    ["reaches its age", async (emulator: Emulator, sessionId: string) => await emulator.expireSession(sessionId)],
  ])("is saved when the session %s, and restored in the next", async (_name, end) => {
    const { emulator, contextId } = await open();
    const { sessionId } = await mount(emulator, contextId);
    await callTool(emulator, sessionId, "create_directory", { path: `${path}/sub` });
    await callTool(emulator, sessionId, "write_file", { path: `${path}/sub/a`, content: "kept" });
    await callTool(emulator, sessionId, "write_file", { path: "/tmp/b", content: "not kept" });
    await end(emulator, sessionId);
    expect(await stored(emulator, contextId)).toEqual([`${path}/sub/a`]);
    const next = await mount(emulator, contextId);
    expect(await callTool(emulator, next.sessionId, "read_file", { path: `${path}/sub/a` })).toBe("kept");
    expect(await callTool(emulator, next.sessionId, "read_file", { path: "/tmp/b" })).toMatch(/^!.*No such file/);
  });

  it.each([
    [{ uploadPolicy: { autoUpload: true } }, [`${path}/a`]],
    [{ uploadPolicy: { autoUpload: false } }, []],
  ])("is saved as its policy %j says", async (policy, expected) => {
    const { emulator, contextId } = await open();
    const { sessionId } = await mount(emulator, contextId, policy);
    await callTool(emulator, sessionId, "write_file", { path: `${path}/a`, content: "x" });
    await release(emulator, sessionId);
    expect(await stored(emulator, contextId)).toEqual(expected);
  });

  it.each([
    [{ deletePolicy: { syncLocalFile: true } }, [`${path}/b`]],
    [{}, [`${path}/a`, `${path}/b`]],
  ])("loses what was deleted as its policy %j says", async (policy, expected) => {
    const { emulator, contextId } = await open();
    const first = await mount(emulator, contextId);
    for (const name of ["a", "b"]) {
      await callTool(emulator, first.sessionId, "write_file", { path: `${path}/${name}`, content: name });
    }
    await release(emulator, first.sessionId);
    const { sessionId } = await mount(emulator, contextId, policy);
    await callTool(emulator, sessionId, "delete_file", { path: `${path}/a` });
    await release(emulator, sessionId);
    expect((await stored(emulator, contextId)).toSorted()).toEqual(expected);
  });

  it("is not filled where its policy says so", async () => {
    const { emulator, contextId } = await open();
    const first = await mount(emulator, contextId);
    await callTool(emulator, first.sessionId, "write_file", { path: `${path}/a`, content: "x" });
    await release(emulator, first.sessionId);
    const { sessionId } = await mount(emulator, contextId, { downloadPolicy: { autoDownload: false } });
    expect(await callTool(emulator, sessionId, "list_directory", { path })).toBe("");
  });
});
