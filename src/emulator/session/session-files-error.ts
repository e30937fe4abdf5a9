/** A file operation of a session that failed, with the errno name the kernel gave or would have given. */
export class SessionFilesError extends Error {
  override readonly name = "SessionFilesError";
  readonly errno: string;

  constructor(errno: string) {
    super(strerror(errno));
    this.errno = errno;
  }
}

const texts: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  EBUSY: "Device or resource busy",
  EEXIST: "File exists",
  EFBIG: "File too large",
  EINVAL: "Invalid argument",
  EISDIR: "Is a directory",
  ELOOP: "Too many levels of symbolic links",
  EMFILE: "Too many open files",
  ENAMETOOLONG: "File name too long",
  ENOENT: "No such file or directory",
  ENOSPC: "No space left on device",
  ENOTDIR: "Not a directory",
  ENOTEMPTY: "Directory not empty",
  ENXIO: "No such device or address",
  EROFS: "Read-only file system",
  ETXTBSY: "Text file busy",
  EXDEV: "Invalid cross-device link",
};

/** What strerror(3) says of an errno name such as "ENOENT". */
export function strerror(errno: string): string {
  return texts[errno] ?? `Input/output error (${errno})`;
}

/** The errno name of anything thrown by a file operation; undefined for other errors. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof SessionFilesError) return error.errno;
  if (error instanceof Error && "code" in error && typeof error.code === "string" && /^E[A-Z0-9]+$/.test(error.code)) {
    return error.code;
  }
  return undefined;
}
