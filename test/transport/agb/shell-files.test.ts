import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { probeShell } from "../../../src/transport/agb/probe.ts";
import { ShellFiles } from "../../../src/transport/agb/shell-files.ts";
import { Requests } from "../../../src/transport/requests.ts";
import type { ShellRequest } from "../../../src/transport/transport.ts";
import { memoryContent } from "../../../src/tree/content.ts";
import { digestOf } from "../../../src/tree/digest.ts";
import { workspacePath } from "../../../src/tree/workspace-path.ts";
import { runIn, testShells } from "../../helpers/shells.ts";
import { temporaryDirectory } from "../../helpers/workspace.ts";

const { signal } = new AbortController();
const names = ["a\nb", "-n", " x ", "$(touch x)", "`y`", "back\\slash", "'q'", '"q"', "*", "?[a]", "é", "#", "~"];
const path = workspacePath;
const content = (text: string) => memoryContent(Buffer.from(text), false);

describe.each(testShells)("files by commands of $name", (shell) => {
  const run = async ({ command }: Pick<ShellRequest, "command">) => {
    const { status, stdout, stderr } = runIn(shell, command, "/");
    return { stdout, stderr, exitCode: status ?? 1 };
  };
  const probed = probeShell(run, signal);

  /** A root with a directory `d`, a link `out` to a directory beside it, and calls for it. */
  async function open(without: readonly string[] = []) {
    const top = temporaryDirectory();
    const root = join(top, "a 'root'");
    mkdirSync(join(root, "d"), { recursive: true });
    mkdirSync(join(top, "elsewhere"));
    symlinkSync("../elsewhere", join(root, "out"));
    const probe = await probed;
    const commands = new Set([...probe.commands].filter((name) => !without.includes(name)));
    const files = new ShellFiles(
      run,
      root,
      { ...probe, commands },
      new Requests({ requests: 0, bytesSent: 0, bytesReceived: 0, retries: 0 }),
    );
    return { top, root, files };
  }

  it("finds out what this session can do", async () => {
    const { shell: isThere, commands, userId } = await probed;
    expect([isThere, userId]).toEqual([true, process.getuid?.()]);
    expect([...commands]).toEqual(expect.arrayContaining(["base64", "stat", "mv", "mv-T", "portable-list"]));
    expect(commands.has("gnu-find")).toBe(shell.path === undefined);
  });

  it("writes, lists, looks, hashes, moves and deletes, whatever the names (S27)", async () => {
    const { root, files } = await open();
    for (const name of [...names, "x".repeat(255)]) {
      const directory = path(`d/${name}`);
      const file = path(`d/${name}/${name}`);
      await files.createDirectory(directory, 0o750, signal);
      await files.writeBytes(file, content(name), 0o640, signal);
      const seen = await files.stat(file, signal);
      expect([name, seen]).toEqual([name, { kind: "file", mode: 0o640, sizeBytes: Buffer.byteLength(name) }]);
      expect(await files.list(directory, signal)).toEqual([{ name, kind: "file" }]);
      expect((await files.digests([file], signal)).get(file)).toBe(digestOf(Buffer.from(name)));
      await files.setMode(file, 0o400, signal);
      await files.createLink(path(`d/${name}/l`), name, signal);
      expect(await files.stat(path(`d/${name}/l`), signal)).toEqual({ kind: "link", target: name });
      await files.move(file, path(`d/${name}/moved`), { replace: false }, signal);
      expect(statSync(join(root, "d", name, "moved")).mode & 0o777).toBe(0o400);
      await files.deleteFile(path(`d/${name}/moved`), signal);
      await files.deleteFile(path(`d/${name}/l`), signal);
      await files.removeDirectory(directory, signal);
    }
    expect(readdirSync(join(root, "d"))).toEqual([]);
  });

  it("goes through no link and changes nothing behind it (S25)", async () => {
    const { top, root, files } = await open();
    writeFileSync(join(top, "elsewhere/f"), "foreign");
    writeFileSync(join(root, "d/f"), "1");
    const behind = path("out/f");
    const calls = [
      () => files.writeBytes(behind, content("x"), 0o644, signal),
      () => files.setMode(behind, 0o600, signal),
      () => files.deleteFile(behind, signal),
      () => files.createLink(path("out/l"), "x", signal),
      () => files.createDirectory(path("out/new"), undefined, signal),
      () => files.move(path("d/f"), path("out/g"), { replace: true }, signal),
      () => files.move(behind, path("d/g"), { replace: true }, signal),
      () => files.move(path("d/f"), path("d/g"), { replace: true, keepAt: path("out/k") }, signal),
      () => files.list(path("out"), signal),
      () => files.setMode(path("out"), 0o700, signal),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: "OUTSIDE_ROOT" });
    expect(await files.stat(behind, signal)).toBeUndefined();
    expect([readdirSync(join(top, "elsewhere")), readdirSync(join(root, "d"))]).toEqual([["f"], ["f"]]);
  });

  it("says what is in the way, and what is not there", async () => {
    const { root, files } = await open();
    writeFileSync(join(root, "d/f"), "1");
    await expect(files.createLink(path("d/f"), "x", signal)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    await expect(files.move(path("d/f"), path("out"), { replace: false }, signal)).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
    });
    await expect(files.move(path("d/f"), path("d"), { replace: true }, signal)).rejects.toMatchObject({
      code: "IS_A_DIRECTORY",
    });
    await expect(files.deleteFile(path("d"), signal)).rejects.toMatchObject({ code: "IS_A_DIRECTORY" });
    await expect(files.list(path("d/f"), signal)).rejects.toMatchObject({ code: "NOT_A_DIRECTORY" });
    await expect(files.list(path("gone"), signal)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await files.deleteFile(path("gone/f"), signal);
    await files.removeDirectory(path("d/gone"), signal);
  });

  it.each([[[]], [["mv-T"]]])("keeps what a move replaces, a link as it is (without %j)", async (without) => {
    const { root, files } = await open(without);
    for (const name of ["a", "b"]) writeFileSync(join(root, "d", name), `new ${name}`);
    writeFileSync(join(root, "d/old"), "old");
    await files.move(path("d/a"), path("d/old"), { replace: true, keepAt: path("d/kept") }, signal);
    await files.move(path("d/b"), path("out"), { replace: true, keepAt: path("d/link") }, signal);
    expect(readFileSync(join(root, "d/kept"), "utf8")).toBe("old");
    expect(readFileSync(join(root, "d/old"), "utf8")).toBe("new a");
    expect(readFileSync(join(root, "out"), "utf8")).toBe("new b");
    expect(readlinkSync(join(root, "d/link"))).toBe("../elsewhere");
  });

  it("writes a file of several pieces, and decodes and takes over what arrived", async () => {
    const { top, root, files } = await open();
    const text = "x".repeat(100_000);
    await files.writeBytes(path("d/f"), content(text), 0o444, signal);
    expect(readFileSync(join(root, "d/f"), "utf8")).toBe(text);
    writeFileSync(join(root, "d/e"), Buffer.from("secret\n").toString("base64"));
    for (const _ of [1, 2]) await files.decode(path("d/e"), path("d/s"), 0o600, signal);
    expect(readFileSync(join(root, "d/s"), "utf8")).toBe("secret\n");
    writeFileSync(join(top, "-n"), "up");
    await files.fetch(join(top, "-n"), 2, path("d/s"), 0o644, signal);
    expect(readFileSync(join(root, "d/s"), "utf8")).toBe("up");
    expect(readdirSync(join(root, "d")).toSorted()).toEqual(["f", "s"]);
  });
});
