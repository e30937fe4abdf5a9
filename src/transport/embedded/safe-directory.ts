import { closeSync, constants, lstatSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { TransportError } from "../../errors.ts";

const hasDescriptorPaths = process.platform === "linux";

/**
 * One directory, reached from `top` without following a link in any component, held open while `work` runs. `at(name)`
 * is a path to a child that stays inside this very directory even when somebody swaps one of its parents for a link
 * meanwhile (S25): on Linux it goes through the open descriptor.
 * @throws {TransportError} `NOT_FOUND`, `NOT_A_DIRECTORY`, `OUTSIDE_ROOT` for a link in the way.
 */
export function inDirectory<Result>(
  top: string,
  names: readonly string[],
  options: { readonly create: boolean; readonly mode?: number },
  work: (at: (name: string) => string) => Result,
): Result {
  let descriptor = openDirectory(top, top);
  let path = top;
  try {
    for (const name of names) {
      const next = hasDescriptorPaths ? `/proc/self/fd/${descriptor}/${name}` : join(path, name);
      path = join(path, name);
      if (options.create) makeDirectory(next, options.mode);
      const inner = openDirectory(next, path);
      closeSync(descriptor);
      descriptor = inner;
    }
    const held = descriptor;
    return work((name) => (hasDescriptorPaths ? `/proc/self/fd/${held}/${name}` : join(path, name)));
  } finally {
    closeSync(descriptor);
  }
}

function openDirectory(path: string, shown: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (cause) {
    throw explain(cause, path, shown);
  }
}

function explain(cause: unknown, path: string, shown: string): TransportError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOENT") return new TransportError("NOT_FOUND", `${shown}: no such directory`, { cause });
  if (code === "EACCES" || code === "EPERM")
    return new TransportError("PERMISSION_DENIED", `${shown}: permission denied`, { cause });
  if (code === "ELOOP" || (code === "ENOTDIR" && isLink(path))) {
    return new TransportError("OUTSIDE_ROOT", `${shown} is a link and is not followed`, {
      hint: "remove the link from the session, or declare it",
      cause,
    });
  }
  if (code === "ENOTDIR") return new TransportError("NOT_A_DIRECTORY", `${shown} is not a directory`, { cause });
  return new TransportError("TOOL_FAILED", `${shown}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}

function makeDirectory(path: string, mode: number | undefined): void {
  try {
    mkdirSync(path, mode ?? 0o755);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
}
