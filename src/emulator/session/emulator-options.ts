import type { Action, RequestInfo } from "./action.ts";
import type { Faults } from "./parse-faults.ts";

/** What the emulator answers where the real service is not known to answer one way (protocol §6, §14). */
export type Verdicts = {
  /** create_directory on a directory that exists. Default "succeed". */
  readonly createExistingDirectory: "succeed" | "fail";
  /** move_file onto something that exists; a directory is never replaced. Default "fail". */
  readonly moveOntoExisting: "fail" | "replace";
  /** delete_file of something that is not there. Default "fail". */
  readonly deleteMissing: "fail" | "succeed";
  /** write_file into a directory that is not there, without `create_parent_dir`. Default "fail". */
  readonly missingParent: "fail" | "create";
  /** list_directory on a link to a directory: "file" tags every link `[FILE]`, "follow" tags what it points to. */
  readonly linkTag: "file" | "follow";
  /** get_file_info on a link. Default "target". */
  readonly linkInfo: "target" | "link";
  /** edit_file when an edit matches nothing. Default "fail". */
  readonly editWithoutMatch: "fail" | "succeed";
  /** Bits taken from 0666 and 0777 for new files and directories, by tools and shell alike. Default 0o022. */
  readonly umask: number;
  /** Mode of directories made by create_directory; default 0777 without the umask. */
  readonly directoryMode?: number;
};

/** Tools that can be left out; `file_transfer` stands for the context behind file transfer (protocol §9). */
export type MissingTool = string;

export type EmulatorOptions = {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Where to listen. Default "127.0.0.1"; any other than loopback lets the network in, as far as it has the key. */
  readonly host?: string;
  /** Origins of web pages that may use it, such as "http://localhost:3000". Default: none. */
  readonly allowedOrigins?: readonly string[];
  /** Where sessions and stored objects live. Default: a new temporary directory, removed by `close`. */
  readonly rootDir?: string;
  /** The only key that is accepted. Default: a random one, see `Emulator.apiKey`. */
  readonly apiKey?: string;
  /** How a wrong key is refused. Default 400, as the sister product does (protocol §10). */
  readonly badKeyStatus?: 400 | 401 | 403;
  /** Round-trip time added to every answer, also of the object store. Default 0. */
  readonly latencyMs?: number;
  /** Seconds of session time for each second of real time. Default 1. */
  readonly clockSpeed?: number;
  /** Session time in milliseconds, from any start. Default: `clockSpeed` times the time since the emulator's start. */
  readonly sessionClock?: () => number;
  readonly faults?: Faults;
  /** What `Retry-After` says with a 429, in whole seconds. Default 1. */
  readonly retryAfterSeconds?: number;
  /** Makes random faults repeatable. Default 1. */
  readonly seed?: number;
  readonly verdicts?: Partial<Verdicts>;
  /** Tools the sessions lack: "shell", "run_code", any other tool, or "file_transfer". */
  readonly missingTools?: readonly MissingTool[];
  /** True: sessions carry `linkUrl` and `token`, so clients may use the link route. Default false. */
  readonly link?: boolean;
  /** How tool answers carry `data`. Default: an object on the API route, a string on the link route. */
  readonly dataAs?: "object" | "string";
  /** How a failing command is reported (protocol §7). Default "A". */
  readonly shellFailureForm?: "A" | "B" | "C";
  /** Who runs commands. Default "wuying" (uid 1000); "root" is uid 0 of the session only. */
  readonly user?: "wuying" | "root";
  /** Programs of the shell: those of this machine, or busybox only. Default "host". */
  readonly userland?: "host" | "busybox";
  /** Programs that the session lacks, such as "python3". */
  readonly withoutCommands?: readonly string[];
  /** Real milliseconds until labels can be searched or read. Default 0. */
  readonly labelLagMs?: number;
  /** Real milliseconds until a sync has moved its files. Default 0. */
  readonly transferLagMs?: number;
  /** How many status questions are answered "Running" although the sync is done. Default 0. */
  readonly transferPolls?: number;
  /** Real milliseconds after creation until the file-transfer context is there. Default 0. */
  readonly transferReadyMs?: number;
  /** True: finished tasks come before running ones, oldest first (protocol trap 14). Default false. */
  readonly staleTransferStatus?: boolean;
  /** Largest serialised `args` of a tool call. Default 64,512 (protocol §6.2). */
  readonly messageCapBytes?: number;
  /** Largest text of a tool answer; default unlimited. */
  readonly maxResponseBytes?: number;
  /** What becomes of a longer one: cut off in silence, or an error. Default "cut". */
  readonly oversizedResponse?: "cut" | "fail";
  /** Age at which a session ends whatever it does, in session time. Default 30 minutes. */
  readonly maxAgeMs?: number;
  /** Idle time after which a session ends if its creator gave none, in session time. Default 5 minutes. */
  readonly idleMs?: number;
  /** How long a released session is still known as FINISH, in session time. Default 60 seconds. */
  readonly finishedMs?: number;
  /** Directories of the session that nobody may write into, such as "/opt"; made read-only at creation. */
  readonly readOnlyPaths?: readonly string[];
  /** Size of each session's disk (a tmpfs), so that commands too see a full one. Needs the shell. Default: no limit. */
  readonly diskBytes?: number;
  /** Connections at a time that have not shown a key yet; one more, and the oldest is closed. Default 512. */
  readonly maxStrangers?: number;
  /** Real milliseconds in which the head of a request must have come. Default 10 seconds. */
  readonly headTimeoutMs?: number;
  /** How many requests `Emulator.requests` remembers. Default 10,000. */
  readonly keptRequests?: number;
  /** How many bytes of their arguments; older ones lose them. Default 64 MiB. */
  readonly keptArgsBytes?: number;
  /** Most sessions that run at a time. Default 1,000. */
  readonly maxSessions?: number;
  /** Most contexts. Default 1,000. */
  readonly maxContexts?: number;
  /** Most objects of all contexts together. Default 100,000. */
  readonly maxObjects?: number;
  /** Most bytes of all objects together. Default 8 GiB. */
  readonly maxStoredBytes?: number;
  /** Called before each request is acted on; what it gives decides the fate of the request. */
  readonly onRequest?: (request: RequestInfo) => Action | undefined | Promise<Action | undefined>;
};

/** Every option with its value; what stays optional has no default. */
export type Settings = Required<
  Omit<
    EmulatorOptions,
    "rootDir" | "verdicts" | "faults" | "dataAs" | "maxResponseBytes" | "diskBytes" | "onRequest" | "sessionClock"
  >
> &
  Pick<
    EmulatorOptions,
    "rootDir" | "faults" | "dataAs" | "maxResponseBytes" | "diskBytes" | "onRequest" | "sessionClock"
  > & {
    readonly verdicts: Verdicts;
  };

const defaultVerdicts: Verdicts = {
  createExistingDirectory: "succeed",
  moveOntoExisting: "fail",
  deleteMissing: "fail",
  missingParent: "fail",
  linkTag: "file",
  linkInfo: "target",
  editWithoutMatch: "fail",
  umask: 0o022,
};

/** The options with every default filled in; the key is made by whoever starts the server. */
export function settingsOf(options: EmulatorOptions, apiKey: string): Settings {
  return {
    port: 0,
    host: "127.0.0.1",
    allowedOrigins: [],
    badKeyStatus: 400,
    latencyMs: 0,
    clockSpeed: 1,
    retryAfterSeconds: 1,
    seed: 1,
    missingTools: [],
    link: false,
    shellFailureForm: "A",
    user: "wuying",
    userland: "host",
    withoutCommands: [],
    labelLagMs: 0,
    transferLagMs: 0,
    transferPolls: 0,
    transferReadyMs: 0,
    staleTransferStatus: false,
    messageCapBytes: 64_512,
    oversizedResponse: "cut",
    maxAgeMs: 30 * 60_000,
    idleMs: 5 * 60_000,
    finishedMs: 60_000,
    readOnlyPaths: [],
    maxStrangers: 512,
    headTimeoutMs: 10_000,
    keptRequests: 10_000,
    keptArgsBytes: 64 * 1024 * 1024,
    maxSessions: 1000,
    maxContexts: 1000,
    maxObjects: 100_000,
    maxStoredBytes: 8 * 1024 ** 3,
    ...options,
    apiKey,
    verdicts: { ...defaultVerdicts, ...options.verdicts },
  };
}
