import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { cliPath, start, waitForLine } from "../helpers/cli.ts";
import { layOut, temporaryDirectory } from "../helpers/workspace.ts";

const top = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(join(top, "README.md"), "utf8");
const blocks = [...readme.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block = ""]) => block);
const backupName = /\d{8}T\d{6}Z-[0-9a-z]+/;

/** What differs from run to run, and says nothing. */
function normal(output: string): string {
  return output
    .replaceAll(/\b\d+ ms\b|\b\d+\.\d s\b/g, "TIME")
    .replaceAll(/^\d\d:\d\d:\d\d/gm, "CLOCK")
    .replaceAll(new RegExp(backupName, "g"), "BACKUP")
    .replaceAll(/\blocal-[0-9a-f]+/g, "SESSION")
    .replaceAll(/127\.0\.0\.1:\d+/g, "ADDRESS")
    .replaceAll(/AGB_API_KEY=\S+/g, "AGB_API_KEY=KEY");
}

/** Each command of a block with what the README says that it prints. */
function commandsIn(block: string): readonly { readonly command: string; readonly output: string }[] {
  return block
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf("\n");
      return { command: part.slice(0, end), output: part.slice(end + 1) };
    });
}

const program = (command: string) => command.replaceAll("npx agb-sync", `'${process.execPath}' '${cliPath}'`);
const isEndless = (command: string) => /agb-sync emulator/.test(command);
const finite = blocks.flatMap(commandsIn).filter(({ command }) => !isEndless(command));

it("shows what the program prints, command for command", async () => {
  const cwd = temporaryDirectory();
  cpSync(join(top, "examples"), join(cwd, "examples"), {
    recursive: true,
    filter: (path) => !path.endsWith("/.agb-sync"),
  });
  expect(finite.length).toBeGreaterThan(5);
  let status = 0;
  let backup: string | undefined;
  for (const { command, output } of finite) {
    const line = `(exit ${status}); { ${program(command.replace(backupName, (name) => backup ?? name))}; } 2>&1`;
    const child = spawn("bash", ["-c", line], {
      cwd,
      env: { PATH: process.env["PATH"] ?? "", HOME: cwd, NO_COLOR: "1" },
    });
    const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "close")]);
    expect(`$ ${command}\n${normal(printed)}`).toBe(`$ ${command}\n${normal(output)}`);
    status = typeof code === "number" ? code : 1;
    backup = backupName.exec(printed)?.[0] ?? backup;
  }
});

it("shows what the emulator prints", async () => {
  const [shown] = blocks.flatMap(commandsIn).filter(({ command }) => isEndless(command));
  const args =
    shown?.command
      .replace("npx agb-sync ", "")
      .replace(/--port \d+/, "--port 0")
      .split(" ") ?? [];
  const child = start(args, { cwd: temporaryDirectory() });
  let printed = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (printed += chunk));
  await waitForLine(child, /AGB_API_KEY/);
  child.kill("SIGTERM");
  await once(child, "close");
  expect(normal(printed)).toBe(normal(shown?.output ?? ""));
});

it("shows what a watch prints", async () => {
  const shown = blocks.find((block) => block.startsWith("Ready"));
  const cwd = temporaryDirectory();
  const files = { "main.py": "1", "a.txt": "moves", "old.txt": "goes" };
  layOut(cwd, { "agb-sync.yaml": "version: 1\nroot: /tmp/workspace\ntrees: [{ source: src, path: . }]\n" });
  layOut(join(cwd, "src"), files);
  const child = start(["watch", "--local", "--debounce", "300ms"], { cwd });
  let printed = "";
  child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (printed += chunk));
  await waitForLine(child, /^Ready/);
  const place = (name: string) => join(cwd, "src", name);
  const edits = [
    () => writeFileSync(place("main.py"), "four"),
    () => {
      mkdirSync(place("sub"));
      renameSync(place("a.txt"), place("sub/a.txt"));
      rmSync(place("old.txt"));
    },
    () => {
      for (const [name, content] of [
        ["one", "1"],
        ["two", "2"],
        ["three", ""],
        ["four", ""],
      ] as const) {
        writeFileSync(place(name), content);
      }
    },
  ];
  for (const edit of edits) {
    const next = waitForLine(child, /^\d\d:\d\d:\d\d /);
    edit();
    await next;
  }
  child.kill("SIGINT");
  await once(child, "close");
  expect(normal(printed.slice(printed.indexOf("Ready")))).toBe(normal(shown ?? ""));
});
