import type { Engine } from "./engine/engine.ts";
import type { SessionSpec } from "./manifest/manifest.ts";
import type { ProgressListener } from "./progress.ts";
import type { RetryPolicy } from "./transport/retry-policy.ts";
import type { Transport } from "./transport/transport.ts";

/** How to reach sessions. Exactly one of `local` and the AGB settings is used. */
export type ConnectOptions = {
  /** Embedded session below this local directory: no key, no network. */
  readonly local?: string;
  /** Attach to this session; otherwise one is found by name or created from `spec`. */
  readonly sessionId?: string;
  readonly spec?: SessionSpec;
  /** False: never create; `SESSION_NOT_FOUND` when none is there (plan, status, verify). Default true. */
  readonly create?: boolean;
  /**
   * A session that has to be created is for one command: labelled so that it is found when its client is killed, and
   * not left behind when the creation fails half-way or the signal aborts it.
   */
  readonly isForOneRun?: boolean;
  /** Where AGB_API_KEY, AGB_ENDPOINT and AGB_TIMEOUT_MS are looked up, before the nearest `.env`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Files of assignments that count after `env` and before the nearest `.env`, a later one before an earlier one. */
  readonly envFiles?: readonly string[];
  /** How patiently failed calls are repeated. Default: six tries over half a minute. */
  readonly retryPolicy?: RetryPolicy;
  /** Requests under way at a time, of every kind. Default 16. */
  readonly concurrency?: number;
  /** Told, as `waiting`, when nothing has come from the service for some seconds. */
  readonly onEvent?: ProgressListener;
  readonly signal: AbortSignal;
};

/** A session that is known to live, and the way to its files. */
export interface Session {
  readonly id: string;
  readonly kind: "embedded" | "agb";
  /** How it was come by. */
  readonly origin: "attached" | "found" | "created";
  /** Where it lies on this machine, if it does. */
  readonly localDirectory?: string;
  /** The files below `root`. Call `close` on the session, not on the transport. */
  openWorkspace(root: string): Workspace;
  /** Pushes the idle release away; does nothing for an embedded session. */
  keepAlive(signal: AbortSignal): Promise<void>;
  /** Ends the session, whose files are gone then; one that has ended counts. Does nothing for an embedded session. */
  release(signal: AbortSignal): Promise<void>;
  /** Frees sockets. The session lives on. */
  close(): Promise<void>;
}

/** One root in one session: file by file, and in batches where the session can. */
export type Workspace = {
  readonly transport: Transport;
  readonly steps: Engine;
  /** Undefined where there is neither a shell nor a native engine. */
  readonly batch: Engine | undefined;
};
