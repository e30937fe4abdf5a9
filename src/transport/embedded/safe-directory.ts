import { closeSync, constants, lstatSync, mkdirSync, openSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { hasErrno, TransportError } from "../../errors.ts";

const hasDescriptorPaths = process.platform === "linux";
/** Opens something only to reach it, which needs no permission on it; not in node:fs, the same number on every Linux. */
export const O_PATH = hasDescriptorPaths ? 0o10000000 : 0;

/**
 * The directory `inner` (relative, normal; `""` is `top` itself), reached from `top` without following a link in any
 * component, held open while `work` runs. `at(name)` is a path to a child that stays inside this very directory even
 * when somebody swaps one of its parents for a link meanwhile (S25): on Linux it goes through the open descriptor.
 * With `create`, missing directories are made on the way.
 * @throws {TransportError} `NOT_FOUND`, `NOT_A_DIRECTORY`, `OUTSIDE_ROOT` for a link in the way.
 */
export function inDirectory<Result>(
  top: string,
  inner: string,
  options: { readonly create: boolean },
  work: (at: (name: string) => string) => Result,
): Result {
  const descriptor = openAtOnce(top, inner) ?? openStepwise(top, inner, options.create);
  const prefix = hasDescriptorPaths ? `/proc/self/fd/${descriptor}` : join(top, inner);
  try {
    return work((name) => `${prefix}/${name}`);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * One call instead of one for each component: a directory whose own descriptor says that it lies at exactly this path
 * was reached through no link. Undefined when it was not, or could not be opened: the way step by step says why.
 */
function openAtOnce(top: string, inner: string): number | undefined {
  if (!hasDescriptorPaths) return undefined;
  const path = inner === "" ? top : `${top === "/" ? "" : top}/${inner}`;
  let descriptor: number;
  try {
    descriptor = openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch {
    return undefined;
  }
  if (readlinkSync(`/proc/self/fd/${descriptor}`) === path) return descriptor;
  closeSync(descriptor);
  return undefined;
}

function openStepwise(top: string, inner: string, create: boolean): number {
  let descriptor = openDirectory(top, top);
  let path = top;
  try {
    for (const name of inner.split("/")) {
      if (name === "") continue;
      const next = hasDescriptorPaths ? `/proc/self/fd/${descriptor}/${name}` : join(path, name);
      path = join(path, name);
      if (create) makeDirectory(next);
      const deeper = openDirectory(next, path);
      closeSync(descriptor);
      descriptor = deeper;
    }
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function openDirectory(path: string, shown: string): number {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
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

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, 0o755);
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
  }
}
