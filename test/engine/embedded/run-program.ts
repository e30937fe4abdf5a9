import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";
import { temporaryDirectory } from "../../helpers/workspace.ts";

/** The user that programs run as where the tests run as root, to whom no permission is ever denied. */
export const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** Gives everything below `directory` to that user. */
export function giveToNobody(directory: string): void {
  if (nobody.uid !== undefined) execFileSync("chown", ["-hR", `${nobody.uid}:${nobody.gid}`, directory]);
}

/** Runs a program of this directory in a process of its own, from the sources as they are. */
export function runProgram(
  name: "apply-program.ts" | "restore-program.ts",
  args: readonly string[],
  user: { readonly uid?: number; readonly gid?: number } = {},
) {
  const place = temporaryDirectory();
  chmodSync(place, 0o755);
  const outfile = join(place, "program.cjs");
  const entry = fileURLToPath(new URL(name, import.meta.url));
  buildSync({ entryPoints: [entry], bundle: true, platform: "node", outfile, logLevel: "error" });
  const { stdout, stderr, signal } = spawnSync(process.execPath, [outfile, ...args], { encoding: "utf8", ...user });
  return { stdout, stderr, signal };
}
