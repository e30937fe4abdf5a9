import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { UsageError } from "../../errors.ts";

const searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The programs that commands of a session find. */
export type Userland = {
  readonly path: string;
  /** A directory of links to show at `/run/userland`; undefined where this machine's own directories do. */
  readonly directory: string | undefined;
};

/**
 * Makes the programs of a session: this machine's, or those of busybox alone, without the hidden ones. A hidden name
 * also hides its versions: "python3" takes python3.11 and python with it.
 * @throws {UsageError} if busybox is wanted and not installed.
 */
export async function makeUserland(
  kind: "host" | "busybox",
  hidden: readonly string[],
  directory: string,
): Promise<Userland> {
  if (kind === "host" && hidden.length === 0) return { path: searchPath.join(":"), directory: undefined };
  mkdirSync(directory, { recursive: true });
  const programs = kind === "busybox" ? await busyboxPrograms() : hostPrograms();
  for (const [name, target] of programs) {
    const link = join(directory, name);
    if (!isHidden(name, hidden) && !existsSync(link)) symlinkSync(target, link);
  }
  return { path: "/run/userland", directory };
}

async function busyboxPrograms(): Promise<ReadonlyMap<string, string>> {
  const busybox = ["/bin/busybox", "/usr/bin/busybox"].find((path) => existsSync(path));
  if (busybox === undefined) {
    throw new UsageError("the busybox userland needs busybox, which is not installed", {
      hint: "install it (https://busybox.net), or take --behave userland=host",
    });
  }
  const { stdout } = await promisify(execFile)(busybox, ["--list"]);
  return new Map(
    stdout
      .split("\n")
      .filter((name) => /^[\w[.+-]+$/.test(name))
      .map((name) => [name, busybox]),
  );
}

function hostPrograms(): ReadonlyMap<string, string> {
  const programs = new Map<string, string>();
  for (const folder of searchPath) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder)) {
      if (!programs.has(name)) programs.set(name, `${folder}/${name}`);
    }
  }
  return programs;
}

function isHidden(name: string, hidden: readonly string[]): boolean {
  const plain = name.replace(/[\d.]+$/, "");
  return hidden.some((word) => name === word || plain === word.replace(/[\d.]+$/, ""));
}
