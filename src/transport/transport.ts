import type { Content } from "../tree/content.ts";
import type { Digest } from "../tree/digest.ts";
import type { Entry, Mode } from "../tree/entry.ts";
import type { WorkspacePath } from "../tree/workspace-path.ts";

/** One direct child of a directory. `unknown`: the session does not say what it is. */
export type Child = { readonly name: string; readonly kind: Entry["kind"] | "unknown" };

export type ShellRequest = {
  /** POSIX sh. The caller keeps it below the message cap of the session (protocol §6.2, §7). */
  readonly command: string;
  /** At most 50,000 (protocol §7). */
  readonly timeoutMs: number;
  /** Absolute path in the session; for the embedded session relative to its directory. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Running it twice ends like running it once: a lost answer may be retried. Default false. */
  readonly repeatable?: boolean;
  /** What it is for, for messages: `scan the workspace`. */
  readonly what?: string;
  /** Throws for an answer that cannot be used, which then counts as a failed request. */
  readonly check?: (result: ShellResult) => void;
};

export type ShellResult = { readonly stdout: string; readonly stderr: string; readonly exitCode: number };

/** What a session can hold and do beside plain files, found out once before the plan is made. */
export type Features = {
  /** Modes can be read and set. */
  readonly modes: boolean;
  /** Symbolic links can be read and made. */
  readonly links: boolean;
  /** Any bytes can be written; false: text only. */
  readonly binary: boolean;
  /** Empty directories can be removed. */
  readonly removeDirectory: boolean;
  /** Commands can be run. */
  readonly shell: boolean;
  /** Names that differ in case or Unicode form only are one name here: true on most disks of macOS and Windows. */
  readonly foldsNames: boolean;
  /** Every name can be told apart in a listing; false: not those with a line break (protocol §13, trap 6). */
  readonly anyName: boolean;
  /** What the probe of a cloud session found; undefined for sessions that need none. */
  readonly probe?: SessionProbe;
};

/** What one probing command found in a session (protocol §7, "Probe once per session"). */
export type SessionProbe = {
  /** A POSIX shell can be used, by the shell tool or through `run_code`. */
  readonly shell: boolean;
  /** Names of the programs found by `command -v`, and abilities such as `gnu-find`, `mv-T` and `sha256sum-z`. */
  readonly commands: ReadonlySet<string>;
  /** Files can be delivered by file transfer (protocol §9). */
  readonly transfer: boolean;
  /** Effective user id; undefined where there is no shell. */
  readonly userId?: number;
};

/** What becomes of a file or link that stands where something is moved to. */
export type MoveOptions = {
  /** It is replaced, atomically where the session can. */
  readonly replace: boolean;
  /**
   * With `replace`: it stays at this path, whose parent exists and where nothing is. A hard link that is made before the
   * rename where the session can, so that `to` is never empty; else it is moved there first.
   */
  readonly keepAt?: WorkspacePath;
};

/**
 * The files of one session below one root: the single seam between the core and any kind of session.
 * Paths are relative to `root`. Where calls are requests over a network, each of them is limited and repeated where it
 * leaves: a failure that comes out here is the last one. A signal that is already aborted means that nothing is sent.
 * Every failure is a TransportError.
 */
export interface Transport {
  /** For messages and for the lock: which kind of session this is. */
  readonly kind: "embedded" | "agb";
  readonly sessionId: string;
  /** Absolute path in the session. */
  readonly root: string;

  /** What this session can do; asks the session once and remembers. Safe to repeat. */
  features(signal: AbortSignal): Promise<Features>;

  /**
   * Direct children of `path`, in any order. `[]` means an empty directory and nothing else. Safe to repeat.
   * @throws {TransportError} `NOT_FOUND`, `NOT_A_DIRECTORY`, `PERMISSION_DENIED`, `UNAVAILABLE`.
   */
  listDirectory(path: WorkspacePath, signal: AbortSignal): Promise<readonly Child[]>;

  /** What is at `path`, not following a link where the session can tell; undefined when nothing is. No digest. */
  stat(path: WorkspacePath, signal: AbortSignal): Promise<Entry | undefined>;

  /** The bytes of a file, streamed. Safe to repeat. @throws `NOT_FOUND`, `IS_A_DIRECTORY`, `PERMISSION_DENIED`. */
  readFile(path: WorkspacePath, signal: AbortSignal): AsyncIterable<Uint8Array>;

  /**
   * Digests of many files; a path that cannot be read as a file is missing from the answer. Safe to repeat.
   * Implementations that cannot hash in the session read the bytes.
   */
  digestFiles(paths: readonly WorkspacePath[], signal: AbortSignal): Promise<ReadonlyMap<WorkspacePath, Digest>>;

  /**
   * Makes `path` hold exactly `content` with `mode`. Whole-file semantics: safe to repeat from the start.
   * The parent exists. Not necessarily atomic: callers write below the state directory and move into place.
   */
  writeFile(path: WorkspacePath, content: Content, mode: Mode, signal: AbortSignal): Promise<void>;

  /** Makes a directory and missing parents; an existing directory is success. Safe to repeat. */
  createDirectory(path: WorkspacePath, mode: Mode | undefined, signal: AbortSignal): Promise<void>;

  /**
   * Renames a file, link or directory; see `MoveOptions`.
   * Not safe to repeat blindly: after a lost answer, look at both ends first.
   * @throws `ALREADY_EXISTS` without `replace` when something is at `to`; nothing changes then.
   */
  move(from: WorkspacePath, to: WorkspacePath, options: MoveOptions, signal: AbortSignal): Promise<void>;

  /** Removes a file or link. A missing one is success. Safe to repeat. @throws `IS_A_DIRECTORY`. */
  deleteFile(path: WorkspacePath, signal: AbortSignal): Promise<void>;

  /** Removes an empty directory; a missing one is success. @throws `DIRECTORY_NOT_EMPTY`, `NOT_POSSIBLE_HERE`. */
  removeDirectory(path: WorkspacePath, signal: AbortSignal): Promise<void>;

  /** @throws `NOT_POSSIBLE_HERE` where `features().modes` is false. Safe to repeat. */
  setMode(path: WorkspacePath, mode: Mode, signal: AbortSignal): Promise<void>;

  /** Makes a symbolic link where nothing is. @throws `ALREADY_EXISTS`, `NOT_POSSIBLE_HERE`. */
  createLink(path: WorkspacePath, target: string, signal: AbortSignal): Promise<void>;

  /** Runs a command in the session; undefined where there is no shell. Not safe to repeat blindly. */
  readonly shell?: ((request: ShellRequest, signal: AbortSignal) => Promise<ShellResult>) | undefined;

  /**
   * Puts bytes at an absolute path in the session by file transfer (protocol §9), streamed; undefined where there is
   * none. Resolves when the transfer has been handed over, which may be before the file is there: the caller waits
   * for its digest. `settled` rejects when the service says that the file will never be there.
   * @throws {TransportError} `NOT_POSSIBLE_HERE` for what is refused for good: deliver in another way; `UNAVAILABLE`.
   */
  readonly upload?: ((content: UploadSource, signal: AbortSignal) => Promise<UploadedFile>) | undefined;

  /**
   * Begins what an upload needs beforehand, while its bytes are still being packed; the next `upload` uses it. Failures
   * show there.
   */
  readonly prepareUpload?: ((signal: AbortSignal) => void) | undefined;

  /** What has been asked so far, for `-v` and the bench. */
  readonly counters: Counters;

  /** Frees sockets and timers. The session itself lives on. */
  close(): Promise<void>;
}

export type UploadSource = { readonly sizeBytes: number; open(): AsyncIterable<Uint8Array> };

/** Where an upload arrives in the session. */
export type UploadedFile = {
  readonly absolutePath: string;
  /**
   * Resolves when the service says that the file has arrived, or can say nothing more; rejects with `NOT_POSSIBLE_HERE`
   * when it says that it never will, so that the content can be delivered in another way.
   */
  readonly settled: Promise<void>;
  /** Removes the stored object; failures are ignored. */
  discard(): Promise<void>;
};

export type Counters = { requests: number; bytesSent: number; bytesReceived: number; retries: number };
