import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { type Header, pack } from "tar-stream";
import { describe, expect, it } from "vitest";
import { pull } from "../../src/pull/pull.ts";
import { Receiver } from "../../src/pull/receiver.ts";
import { entriesOf } from "../../src/pull/remote-by-shell.ts";
import { workspacePath } from "../../src/tree/workspace-path.ts";
import { openOn, sharedEmulator } from "../helpers/kinds.ts";
import { layOut, manifestOf, temporaryDirectory } from "../helpers/workspace.ts";

const { signal } = new AbortController();

type Forged = Partial<Header> & { readonly name: string };

async function received(forged: readonly Forged[]) {
  const tar = pack();
  for (const header of [...forged, { name: "./out/last" }]) {
    if ((header.type ?? "file") === "file") tar.entry(header, "forged");
    else tar.entry(header);
  }
  tar.finalize();
  const bytes = await buffer(tar);
  const cwd = temporaryDirectory();
  layOut(cwd, { "outside/keep": "", "work/near": "" });
  const receiver = new Receiver([{ path: workspacePath("out"), to: join(cwd, "work/out") }], { signal }, undefined);
  const chunks = async function* () {
    yield await Promise.resolve(bytes);
  };
  for await (const entry of entriesOf(chunks(), false)) await receiver.receive(entry);
  const { outcomes } = await receiver.finish();
  await receiver.close();
  expect([readdirSync(join(cwd, "outside")), readdirSync(cwd), readdirSync(join(cwd, "work"))]).toEqual([
    ["keep"],
    ["outside", "work"],
    ["near", "out"],
  ]);
  return { outcomes, out: join(cwd, "work/out") };
}

describe("a forged archive", () => {
  it.each<[string, Forged[]]>([
    ["an absolute name", [{ name: "/tmp/agb-sync-forged" }]],
    ["a name that leads out", [{ name: "./out/../../outside/x" }]],
    ["a name that leads out at once", [{ name: "../outside/x" }]],
    ["a name that leads out and back", [{ name: "./out/../out/x" }]],
    ["a name that nobody asked for", [{ name: "./other/x" }]],
    ["a name that only begins alike", [{ name: "./outside/x" }]],
    ["a name too long for a component", [{ name: `./out/${"n".repeat(256)}` }]],
    ["a hard link", [{ name: "./out/x", type: "link", linkname: "../../outside/keep" }]],
    ["a hard link inside", [{ name: "./out/x", type: "link", linkname: "./out/last" }]],
    ["a device", [{ name: "./out/x", type: "character-device" }]],
    ["a disk", [{ name: "./out/x", type: "block-device" }]],
    ["a FIFO", [{ name: "./out/x", type: "fifo" }]],
    ["a link to an absolute place", [{ name: "./out/x", type: "symlink", linkname: "/etc" }]],
    ["a link that leads out", [{ name: "./out/x", type: "symlink", linkname: "../near" }]],
    ["a link that leads out from below", [{ name: "./out/a/x", type: "symlink", linkname: "../../near" }]],
    ["a link with a way back", [{ name: "./out/x", type: "symlink", linkname: "a/../../near" }]],
    ["a link to nothing", [{ name: "./out/x", type: "symlink", linkname: "" }]],
    ["a name twice", [{ name: "./out/x" }, { name: "./out/x", type: "symlink", linkname: "last" }]],
    ["the directory itself as a link", [{ name: "./out", type: "symlink", linkname: "../outside" }]],
    ["a file below a file", [{ name: "./out/x" }, { name: "./out/x/y" }]],
    ["a name that is no text", [{ name: "./out/\ufffd" }]],
  ])("with %s is refused there, told, and the rest comes", async (_, forged) => {
    const { outcomes, out } = await received(forged);
    const told = outcomes.filter(({ status, reason }) => status !== "created" && reason !== undefined);
    expect(told.length).toBeGreaterThan(0);
    expect(existsSync("/tmp/agb-sync-forged")).toBe(false);
    expect(readFileSync(join(out, "last"), "utf8")).toBe("forged");
  });

  it("brings no set-user-id, and nothing through a link that came with it", async () => {
    const { outcomes, out } = await received([
      { name: "./out/root", mode: 0o6755 },
      { name: "./out/d", type: "directory", mode: 0o755 },
      { name: "./out/l", type: "symlink", linkname: "d" },
      { name: "./out/l/through" },
    ]);
    expect(statSync(join(out, "root")).mode & 0o7777).toBe(0o755);
    expect(readdirSync(join(out, "d"))).toEqual([]);
    expect(outcomes.filter(({ status }) => status !== "created").map(({ path }) => path)).toEqual(["out/l"]);
  });
});

describe("pull from a session with a shell", () => {
  const count = process.env["CRASH_MATRIX"] === "full" ? 10_000 : 1500;
  it(`brings ${count} files in at most 8 requests, byte for byte`, async () => {
    const emulator = await sharedEmulator();
    const { session, rootDirectory } = await openOn(emulator);
    for (let index = 0; index < count; index += 1) {
      const directory = join(rootDirectory, `data/d${index % 100}`);
      if (index < 100) mkdirSync(directory, { recursive: true });
      writeFileSync(
        join(directory, `f${index}`),
        createHash("shake256", { outputLength: 2000 }).update(String(index)).digest(),
      );
    }
    const cwd = temporaryDirectory();
    const manifest = manifestOf(cwd, "pull: [{ path: data, to: data }]\n");
    const before = session.openWorkspace(manifest.root).transport.counters.requests;
    const { outcomes } = await pull(manifest, session, { signal });
    const requests = session.openWorkspace(manifest.root).transport.counters.requests - before;
    expect([outcomes.length, outcomes.every(({ status }) => status === "created")]).toEqual([count, true]);
    expect(requests).toBeLessThanOrEqual(8);
    for (const index of [0, 99, 100, count - 1]) {
      const wanted = createHash("shake256", { outputLength: 2000 }).update(String(index)).digest();
      expect(readFileSync(join(cwd, `data/d${index % 100}/f${index}`))).toEqual(wanted);
    }
    await session.close();
  });
});
