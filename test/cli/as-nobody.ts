import { spawn } from "node:child_process";
import { once } from "node:events";
import { lchownSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import type { Finished } from "../helpers/cli.ts";
import { cliPath } from "../helpers/cli.ts";

/** The user `nobody`, as whom tests of permissions run where they would be root's, whom none stops. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

/** Runs the command line as somebody whom permissions stop. */
export async function runAsNobody(args: readonly string[], cwd: string): Promise<Finished> {
  const child = spawn(process.execPath, [cliPath, ...args], { cwd, ...nobody, env: { HOME: cwd, NO_COLOR: "1" } });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code: typeof code === "number" ? code : null, stdout, stderr };
}

/** Makes a directory and everything in it belong to whoever `runAsNobody` is. */
export function giveToNobody(directory: string): void {
  if (nobody === undefined) return;
  const inner = readdirSync(directory, { recursive: true, encoding: "utf8" });
  for (const path of ["", ...inner]) lchownSync(join(directory, path), nobody.uid, nobody.gid);
}
