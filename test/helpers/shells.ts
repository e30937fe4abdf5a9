import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll } from "vitest";

/** One shell with the programs beside it, as a session may have them. */
export type TestShell = {
  readonly name: string;
  readonly words: readonly [string, ...string[]];
  /** Where its programs are; this machine's own where undefined. */
  readonly path?: string;
};

const searched = (process.env["PATH"] ?? "").split(delimiter);
const placeOf = (program: string) => searched.map((folder) => join(folder, program)).find((path) => existsSync(path));

function shells(): readonly TestShell[] {
  const found: TestShell[] = ["dash", "bash"]
    .filter((name) => placeOf(name) !== undefined)
    .map((name) => ({ name, words: [name] }));
  const busybox = placeOf("busybox");
  if (busybox !== undefined) {
    const folder = mkdtempSync(join(tmpdir(), "agb-sync-busybox-"));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    const names = execFileSync(busybox, ["--list"], { encoding: "utf8" }).split("\n");
    for (const name of names.filter((one) => /^[\w[.+-]+$/.test(one))) symlinkSync(busybox, join(folder, name));
    found.push({ name: "busybox sh", words: [join(folder, "sh")], path: folder });
  }
  const missing = ["dash", "bash", "busybox sh"].filter((name) => !found.some((shell) => shell.name === name));
  // The gate has them all: there a shell that is missing is a fault, elsewhere it is left out.
  if (process.env["CI"] !== undefined && missing.length > 0) throw new Error(`install ${missing.join(", ")}`);
  return found;
}

/** The shells of this machine that programs are tried under. */
export const testShells: readonly TestShell[] = shells();

/** How a program ended, and what it printed. */
export type Ended = { readonly status: number | null; readonly stdout: string; readonly stderr: string };

/** Runs a program in `cwd`, with these bytes on its standard input. */
export function runIn(shell: TestShell, program: string, cwd: string, input: string | Uint8Array = ""): Ended {
  const [command, ...words] = shell.words;
  const { status, stdout, stderr } = spawnSync(command, [...words, "-c", program], {
    cwd,
    input,
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, LC_ALL: "C", ...(shell.path === undefined ? {} : { PATH: shell.path }) },
  });
  return { status, stdout, stderr };
}
