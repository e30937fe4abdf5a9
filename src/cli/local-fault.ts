import { AgbSyncError, hasErrno } from "../errors.ts";

/** What the system's code means for people, and what can be done about it. */
const reasons: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  ENOENT: ["there is no such file or directory", "check the path"],
  ENOTDIR: ["a part of the path is not a directory", "check the path"],
  EISDIR: ["it is a directory", "name a file"],
  EEXIST: ["something else is there", "choose another path"],
  ENAMETOOLONG: ["the path is too long", "choose a shorter path"],
  ELOOP: ["its links lead in a circle", "check the path"],
  EACCES: ["permission denied", "check its permissions, or choose another place"],
  EPERM: ["permission denied", "check its permissions, or choose another place"],
  EROFS: ["the file system is read-only", "choose another place"],
  ENOSPC: ["no space is left", "free some space, or choose another place"],
  EDQUOT: ["no quota is left", "free some space, or choose another place"],
  EMFILE: ["too many files are open", "raise the limit: ulimit -n"],
  ENFILE: ["too many files are open", "close other programs"],
  EADDRINUSE: ["the port is in use", "choose another --port, or leave it out for any free one"],
  EADDRNOTAVAIL: ["the address is not one of this machine", "choose another address"],
};

const verbs: Readonly<Record<string, string>> = {
  mkdir: "create",
  scandir: "list",
  opendir: "list",
  stat: "look at",
  lstat: "look at",
  realpath: "look at",
  open: "open",
  read: "read",
  write: "write",
  rename: "replace",
  unlink: "remove",
  listen: "listen on",
};

/**
 * The error for people that stands for what the system said of a local file, directory or port: `LOCAL_FAILED`, with the
 * path that the system names. Undefined for anything else, which is then a fault of ours.
 */
export function localFault(error: unknown): AgbSyncError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { syscall, path, address, port }: Partial<NodeJS.ErrnoException & { address: string; port: number }> = error;
  const what = path ?? (address === undefined ? undefined : `${address}:${port}`);
  // A write to a file that is open names no path.
  if (what === undefined && hasErrno(error, "ENOSPC", "EDQUOT", "EMFILE", "ENFILE")) {
    return explained(error, "write to a disk of this machine");
  }
  return what === undefined ? undefined : explained(error, `${verbs[syscall ?? ""] ?? "use"} ${what}`);
}

/** Works on a local file; what goes wrong with it is told with what was meant, such as `write plan.json`. */
export function doing<Result>(what: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw explained(error, what) ?? error;
  }
}

function explained(error: unknown, what: string): AgbSyncError | undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const known = reasons[code];
  if (known === undefined) return undefined;
  const [reason, hint] = known;
  return new AgbSyncError("LOCAL_FAILED", `cannot ${what}: ${reason}`, { hint, cause: error });
}
